"""The verb on drawn discs: what it prints, writes and refuses."""

import json

import numpy as np
import pytest

from drawing import disc, picture
from labelmend.cli import main


@pytest.fixture
def data(tmp_path):
    """Twelve cases with a disc each; in the first it is annotated in the wrong place."""
    (tmp_path / "probs").mkdir()
    for number in range(12):
        case, true = f"case_{number:02d}", disc((48, 48), (16 + number % 3, 16), 8)
        picture(tmp_path / f"labels/{case}.png", (true if number else disc((48, 48), (36, 36), 8)) * 1)
        picture(tmp_path / f"images/{case}.png", true * 120 + 60)
        inside = np.where(true, 0.9, 0.05).astype(np.float16)
        np.save(tmp_path / f"probs/{case}.npy", np.stack([1 - inside, inside]))
    return tmp_path


def run(data, *more):
    return main(
        [
            "audit", str(data / "labels"), "--probabilities", str(data / "probs"), "--classes", "{disc: 1}",
            "--out", str(data / "AUDIT"), *more,
        ]
    )  # fmt: skip


def test_the_wrong_case_comes_first_and_is_told_in_words(data, capsys):
    assert run(data, "--images", str(data / "images")) == 0
    shown = capsys.readouterr().out
    assert "Look at these first, of 12 cases" in shown
    assert "disc: an object of 193 px seems to be spurious" in " ".join(shown.split())
    first = json.loads((data / "AUDIT" / "cases.jsonl").read_text().splitlines()[0])
    assert first["case"] == "case_00"
    assert (data / "AUDIT" / "report.html").read_text().startswith("<!")


def test_the_page_and_the_proposals_can_be_left_out(data, capsys):
    assert run(data, "--no-page", "--no-proposals") == 0
    assert "review" not in capsys.readouterr().out
    assert sorted(path.name for path in (data / "AUDIT").iterdir()) == [
        "audit.json", "cases.jsonl", "findings.csv", "findings.jsonl", "summary.md",
    ]  # fmt: skip


def test_a_case_without_probabilities_is_named_and_nothing_is_written(data, capsys):
    (data / "probs" / "case_03.npy").unlink()
    assert run(data) == 2
    assert "case_03" in capsys.readouterr().err
    assert not (data / "AUDIT").exists()
