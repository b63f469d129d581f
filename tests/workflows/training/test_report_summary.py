"""RUN/summary.json read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drawn_data import edit_json
from labelmend.errors import MissingDataError, UnreadableFileError
from labelmend.workflows.training.report_summary import read_summary


def test_paths_are_resolved_against_the_run(flat_run: Path) -> None:
    summary = read_summary(flat_run)
    assert summary.corrected == flat_run / "labels"
    assert summary.given == flat_run.parent / "data" / "given"
    assert summary.spacing_mm == (2.0, 2.0)


def test_a_missing_reference_is_none(volume_run: Path) -> None:
    assert read_summary(volume_run).reference is None


def test_null_and_nan_are_both_unknown(flat_run: Path) -> None:
    row = {"class": "lung", "mean_mm": -2.0, "low_mm": float("nan"), "high_mm": None}
    row |= {"n_cases": 1, "moved": True, "why": ""}
    edit_json(flat_run / "summary.json", rounds=[{"round": 1, "loss": None, "bias": [row], "n_revised": 2}])
    (round_,) = read_summary(flat_run).rounds
    assert (round_.loss, round_.bias[0].mean, round_.bias[0].low, round_.bias[0].high) == (
        None,
        -2.0,
        None,
        None,
    )


def test_a_run_that_did_not_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"summary\.json is not there"):
        read_summary(tmp_path)


@pytest.mark.parametrize("text", ["[]", '{"classes": ["a"]}', "null", "7", '{"classes": 7}'])
def test_a_summary_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UnreadableFileError, match=r"cannot use .*summary\.json"):
        read_summary(tmp_path)


def test_a_missing_entry_is_named(flat_run: Path) -> None:
    raw = json.loads((flat_run / "summary.json").read_text())
    del raw["unit"]
    (flat_run / "summary.json").write_text(json.dumps(raw))
    with pytest.raises(UnreadableFileError, match="entry 'unit' is missing"):
        read_summary(flat_run)


def test_displacements_that_do_not_fit_the_classes_name_the_case(flat_run: Path) -> None:
    case = {"case": "a", "version": 1, "reason": "", "displacement_mm": [1.0], "confidence": 1}
    edit_json(flat_run / "summary.json", cases=[case])
    with pytest.raises(UnreadableFileError, match="case 'a' has 1 displacements for 2 classes"):
        read_summary(flat_run)


def test_findings_without_a_mean_are_no_bias(flat_run: Path) -> None:
    finding = {"class": "lung", "why": "labels replaced by agreement of two networks"}
    edit_json(flat_run / "summary.json", rounds=[{"round": 1, "bias": [finding], "n_revised": 2}])
    assert read_summary(flat_run).rounds[0].bias == ()


def test_spacing_may_be_one_number_for_all_axes_and_notes_are_kept(flat_run: Path) -> None:
    edit_json(flat_run / "summary.json", spacing_mm=1.4, notes=["stopped early"])
    summary = read_summary(flat_run)
    assert (summary.spacing_mm, summary.notes) == (1.4, ("stopped early",))
