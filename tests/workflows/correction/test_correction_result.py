"""What a correction shows of itself."""

from __future__ import annotations

from pathlib import Path

from drawn_correct import CASES, generous, swapped
from labelmend.methods.confident import Confident
from labelmend.workflows.correction.correct import correct
from labelmend.workflows.correction.result import CorrectResult


def corrected(root: Path) -> CorrectResult:
    return correct(
        root / "labels", root / "probs", method=Confident(), out=root / "out", classes={"nut": 1, "bolt": 2}
    )


def test_cases_with_most_changed_pixels_come_first(tmp_path):
    done = corrected(swapped(tmp_path))
    rows = done.rows()
    assert [row["case"] for row in rows[:2]] == ["c", "a"]
    assert rows[0]["changed_vox"] > 100
    assert rows[1] == {"case": "a", "changed_vox": 0, "reason": "kept as given"}
    assert len(done.to_frame()) == len(CASES)


def test_the_text_says_how_many_and_where(tmp_path):
    text = repr(corrected(swapped(tmp_path))).splitlines()
    assert text[0] == f"1 of 6 cases corrected, 0 trusted, written to {tmp_path / 'out' / 'labels'}"
    assert text[1].split() == ["case", "changed_vox", "reason"]


def test_warnings_stand_below_the_table(tmp_path):
    done = correct(
        generous(tmp_path) / "labels",
        tmp_path / "probs",
        method=Confident(),
        out=tmp_path / "out",
        classes={"disc": 1},
        min_learned=0.99,
    )
    assert done.warnings
    assert repr(done).endswith(done.warnings[-1])
