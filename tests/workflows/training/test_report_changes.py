"""Counts and Dice of runs drawn by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from labelmend.errors import GeometryError, MissingDataError
from labelmend.types import Grid
from labelmend.workflows.training.report_changes import (
    CaseMasks,
    mean,
    measure_all,
    measure_changes,
    open_folders,
    read_masks,
)
from labelmend.workflows.training.report_summary import CaseFacts, read_summary


def masks(given: object, corrected: object, clean: object = None, valid: object = None) -> CaseMasks:
    one, two = np.array([[given]], bool), np.array([[corrected]], bool)
    three = None if clean is None else np.array([[clean]], bool)
    shape = one.shape[1:]
    return CaseMasks(
        Grid(shape, (1.0, 1.0)),
        one,
        two,
        three,
        np.ones(shape, bool) if valid is None else np.array([valid], bool),
    )


FACTS = CaseFacts("x", 1, "", (None,), None)


def change(run: Path) -> None:
    path = run / "summary.json"
    raw = json.loads(path.read_text())
    raw["cases"].reverse()
    path.write_text(json.dumps(raw))


def test_dice_and_counts_against_given_and_clean() -> None:
    result = measure_changes(masks([1, 1, 1, 1, 0], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0]), FACTS)
    assert (result.added_vox, result.removed_vox) == ((0,), (2,))
    assert result.dice == (pytest.approx(4 / 6),)
    assert result.given_dice == (pytest.approx(6 / 7),)
    assert result.corrected_dice == (pytest.approx(4 / 5),)
    assert result.worse


def test_two_empty_masks_have_no_dice_and_count_as_unchanged() -> None:
    result = measure_changes(masks([0, 0], [0, 0], [0, 0]), FACTS)
    assert (result.dice, result.given_dice, result.size, result.worse) == ((None,), (None,), 0.0, False)


def test_one_empty_mask_has_dice_zero_and_counts_as_changed_wholly() -> None:
    result = measure_changes(masks([1, 1], [0, 0]), FACTS)
    assert (result.dice, result.size) == ((0.0,), 1.0)


def test_pixels_that_nobody_annotated_do_not_count() -> None:
    result = measure_changes(masks([1, 1, 0], [1, 0, 1], valid=[1, 0, 0]), FACTS)
    assert (result.added_vox, result.removed_vox, result.dice) == ((0,), (0,), (1.0,))


def test_the_furthest_move_is_by_size_not_by_sign() -> None:
    facts = CaseFacts("x", 1, "", (1.0, -3.0, None, 3.0), None)
    result = measure_changes(masks([1], [1]), facts)
    assert result.furthest == 1
    assert measure_changes(masks([1], [1]), FACTS).furthest is None


def test_the_mean_leaves_out_what_is_unknown() -> None:
    assert mean((1.0, None, 2.0)) == 1.5
    assert mean((None,)) is None


def test_cases_are_ranked_by_change_whatever_their_order_in_the_summary(flat_run: Path) -> None:
    change(flat_run)
    summary = read_summary(flat_run)
    seen: list[str] = []
    changes = measure_all(open_folders(summary), summary, seen.append)
    assert seen == ["b", "a"]
    assert [c.facts.case for c in changes] == ["a", "b"]
    heart, lung = changes[0].dice
    assert (heart, lung) == (1.0, pytest.approx(2 * 16 / (36 + 16)))
    assert changes[0].removed_vox == (0, 20)
    assert changes[1].corrected_dice == (1.0, pytest.approx(2 * 16 / (20 + 16)))


def test_classes_are_matched_by_name_not_by_order(flat_run: Path) -> None:
    raw = json.loads((flat_run / "summary.json").read_text())
    raw["classes"] = ["lung", "heart"]
    (flat_run / "summary.json").write_text(json.dumps(raw))
    summary = read_summary(flat_run)
    changes = measure_all(open_folders(summary), summary)
    assert changes[0].removed_vox == (20, 0)


def test_the_reference_may_lack_cases(flat_run: Path) -> None:
    for name in ("heart", "lung"):
        (flat_run.parent / "data" / "clean" / name / "b.png").unlink()
    summary = read_summary(flat_run)
    first, second = measure_all(open_folders(summary), summary)
    assert first.given_dice is not None
    assert second.given_dice is None
    assert second.corrected_dice is None


def test_exclusive_volumes_are_read_like_overlapping_pictures(volume_run: Path) -> None:
    summary = read_summary(volume_run)
    (only,) = measure_all(open_folders(summary), summary)
    assert (only.ndim, only.added_vox, only.removed_vox) == (3, (0, 0), (0, 7))
    assert only.dice == (1.0, pytest.approx(2 * 11 / (18 + 11)))
    assert only.given_dice is None


def test_a_run_that_revised_nothing_needs_no_corrected_folder(flat_run: Path) -> None:
    shutil.rmtree(flat_run / "labels")
    summary = read_summary(flat_run)
    with pytest.raises(MissingDataError, match=r"no folder .*labels"):
        open_folders(summary)
    raw = json.loads((flat_run / "summary.json").read_text())
    for case in raw["cases"]:
        case["version"] = 0
    (flat_run / "summary.json").write_text(json.dumps(raw))
    summary = read_summary(flat_run)
    assert [c.size for c in measure_all(open_folders(summary), summary)] == [0.0, 0.0]


def test_a_revised_case_without_corrected_labels_is_named(flat_run: Path) -> None:
    for name in ("heart", "lung"):
        (flat_run / "labels" / name / "b.png").unlink()
    summary = read_summary(flat_run)
    with pytest.raises(MissingDataError, match="case 'b' was revised"):
        read_masks(open_folders(summary), summary, summary.cases[1])


def test_shapes_that_differ_name_case_and_folder(flat_run: Path) -> None:

    for name in ("heart", "lung"):
        picture(flat_run / "labels" / name / "a.png", np.zeros((5, 5), np.uint8))
    summary = read_summary(flat_run)
    with pytest.raises(GeometryError, match="case 'a': given and corrected labels differ in shape"):
        read_masks(open_folders(summary), summary, summary.cases[0])
