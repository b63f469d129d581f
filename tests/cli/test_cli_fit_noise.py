"""`labelmend fit-noise` as a person runs it: tables, files, and one sentence when something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawing import disc, picture
from drawn_data import contents
from labelmend.cli import main
from labelmend.noise import markov_noise

QUICK = ["--flip", "0.1", "--flips", "[0.2]", "--n-boot", "30"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    rng = np.random.default_rng(0)
    for index in range(4):
        clean = disc((40, 40), (20, 20), 9 + index)
        picture(tmp_path / "clean" / "disc" / f"c{index}.png", clean)
        for name in ("given", "other"):
            noisy = markov_noise(clean, rng, steps=15, expand=0.8, flip=0.1)
            picture(tmp_path / name / "disc" / f"c{index}.png", noisy)
    return [str(tmp_path / name) for name in ("given", "clean", "other")]


def test_a_fit_prints_bias_settings_and_flags_and_writes_a_page(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fit"
    assert main(["fit-noise", *folders[:2], *QUICK, "--spacing-mm", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "disc: 4 cases" in printed
    assert "bias, mm" in printed
    assert "steps, at flip 0.1" in printed
    assert "labelmend simulate CLEAN --out OUT --noise markov --noise.steps " in printed
    assert "flip 0.2: steps " in printed
    tables = printed.split("labelmend simulate")[0].splitlines()
    assert max(len(line) for line in tables if not line.startswith(("chi", "Flip"))) <= 80
    assert sorted(path.name for path in out.iterdir()) == ["fit.html", "fit.json"]


def test_the_flags_printed_can_be_typed(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit-noise", *folders[:2], "--flip", "0.1", "--flips", "[]", "--n-boot", "0"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("labelmend simulate")]
    words = line.replace("CLEAN", folders[1]).replace("OUT", str(tmp_path / "drawn")).split()[1:]
    assert main(words) == 0


def test_annotators_are_compared_without_truth(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fit"
    assert main(["fit-noise", "--raters", *folders, "--n-boot", "30", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if len(line.split()) > 3}
    assert float(rows["clean"][2]) < 0 < float(rows["given"][2])
    assert "cannot be seen without clean masks" in printed
    assert (out / "fit.html").is_file()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([], "give the folders GIVEN and CLEAN, or --raters"),
        (["given"], "give the folders GIVEN and CLEAN, or --raters"),
        (["given", "clean", "--raters", "other"], "give either"),
        (["given", "nowhere"], "nowhere"),
        (["given", "clean", "--flip", "0"], "flip must be a probability above 0"),
        (["given", "clean", "--level", "2"], "level must lie in [0, 1], got 2.0"),
        (["given", "clean", "--out", "given/fit"], "is inside the input folder"),
        (["given", "clean", "--out", "."], "already holds"),
        (["--raters", "given"], "expected two or more"),
    ],
)
def test_bad_settings_end_in_one_sentence_and_exit_code_2(
    folders: list[str], tmp_path: Path, monkeypatch, capsys, chosen: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert main(["fit-noise", *chosen]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("labelmend fit-noise: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert contents(tmp_path) == before
