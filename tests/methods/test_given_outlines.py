"""The given labels of trusted cases decide whether predictions replace them, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from labelmend.methods.given_outlines import Compared, decide, decisions
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.metrics import Bias
from labelmend.types import Grid, LabelMap, Predicted

METHOD = SpatialCorrection(upsample=1)
MOVED = {"class": "lung", "moved": True, "level": 0.0, "shift_mm": -2.0, "mean_mm": -2.0, "clean_dice": 0.9,
         "why": "moved back"}  # fmt: skip
STILL = MOVED | {"moved": False, "shift_mm": 0.0, "mean_mm": 0.1, "why": "no bias"}


def compared(mean_mm: float = -3.0, error_mm: float = 0.1, **more: float) -> Compared:
    bias = Bias("lung", mean_mm, math.nan, math.nan, error_mm, 2)
    numbers = {"given_dice": 0.8, "predicted_dice": 0.95, "moved_dice": 0.9, "finest_mm": 1.0} | more
    return Compared(bias, **numbers, unit="mm")


def line(text: str, overlapping: bool = True, **more: Any) -> LabelMap:
    """Labels on one row of pixels of 2 mm: `.` background, `a` and `b` classes."""
    array = np.array([[".ab".index(letter) for letter in text]])
    masks = np.stack([array == 1, array == 2])
    grid = Grid(array.shape, (1.0, 2.0))
    return LabelMap(masks if overlapping else array.astype(np.uint8), grid, ("a", "b"), **more)


def probs_of(text: str, *, overlapping: bool = True) -> np.ndarray:
    """Sure probabilities of what a line shows."""
    masks = line(text).masks()
    likely = np.where(masks, 0.98, 0.01)
    return (
        likely if overlapping else np.concatenate([1 - likely.sum(axis=0, keepdims=True), likely])
    ).astype(np.float32)


def test_moved_outlines_replace_given_ones_that_are_worse() -> None:
    row = decide(METHOD, MOVED, compared())
    assert row == MOVED | {"given_mm": -3.0, "given_dice": 0.8}


@pytest.mark.parametrize("given_dice", [0.9, 0.97])
def test_given_labels_stay_where_they_are_as_good_as_moved_outlines(given_dice: float) -> None:
    row = decide(METHOD, MOVED, compared(given_dice=given_dice))
    assert not row["moved"]
    assert f"given labels (Dice {given_dice:.3f}) are no worse" in row["why"]


def test_an_unbiased_prediction_replaces_biased_given_outlines() -> None:
    row = decide(METHOD, STILL, compared())
    assert (row["moved"], row["level"], row["shift_mm"], row["clean_dice"]) == (True, 0.0, 0.0, 0.95)
    assert row["why"] == (
        "replaced by the prediction: on trusted cases given outlines lie 3.00 mm too far out, predicted ones "
        "0.10 mm off"
    )
    assert "too far in" in decide(METHOD, STILL, compared(3.0))["why"]


def test_one_trusted_case_has_no_error_and_is_enough() -> None:
    assert decide(METHOD, STILL, compared(error_mm=math.nan))["moved"]


@pytest.mark.parametrize(
    "numbers",
    [
        {"mean_mm": 0.4},  # under half a voxel
        {"error_mm": 1.6},  # within two errors of zero
        {"mean_mm": -0.55},  # hardly farther off than the prediction
        {"predicted_dice": 0.79},
        {"given_dice": 0.2, "predicted_dice": 0.45},  # under min_dice: not learned
        {"mean_mm": math.nan},
        {"given_dice": math.nan},
    ],
)
def test_given_outlines_stay_without_good_reason(numbers: dict[str, float]) -> None:
    row = decide(METHOD, STILL, compared(**numbers))
    assert (row["moved"], row["why"]) == (False, "no bias")


def test_numbers_of_trusted_cases_are_those_of_hand() -> None:
    """The given mask is 2 pixels of 2 mm too long at each end: -4 mm; the prediction is right."""
    truth, given = line("....aaaa...."), line("..aaaaaaaa..")
    rows = [STILL | {"class": "a", "mean_mm": 0.0}, STILL | {"class": "b", "mean_mm": math.nan}]
    a, b = decisions(METHOD, rows, [(truth, given, probs_of("....aaaa...."))])
    assert (a["given_mm"], a["given_dice"], a["clean_dice"]) == (-4.0, pytest.approx(2 / 3), 1.0)
    assert a["moved"]
    assert b == rows[1]  # in no case


def test_ignored_pixels_count_in_neither() -> None:
    truth = line("....aaaa....", overlapping=False, ignore=7)
    truth.array[0, 8:] = 7
    given = line("....aaaaaaaa", overlapping=False)
    (a, _) = decisions(METHOD, [STILL, STILL], [(truth, given, probs_of("....aaaa....", overlapping=False))])
    assert a["given_dice"] == 1.0


def test_without_masks_drawn_anew_the_method_decides_alone() -> None:
    assert decisions(METHOD, [MOVED], []) == [MOVED]


@pytest.mark.parametrize("overlapping", [True, False])
def test_acting_classes_are_moved_or_replaced_and_others_keep_their_pixels(overlapping: bool) -> None:
    """a is moved in by 2 mm, a pixel at each end; b is not corrected, and keeps what a would take."""
    given = line("..aaaaaabb..", overlapping=overlapping)
    predicted = Predicted("x", given, given, probs_of("aaaaaaaaaaa.", overlapping=overlapping))
    revised = METHOD.revised(predicted, {"a": MOVED | {"class": "a"}})
    expected = line("aaaaaaaaaa.." if overlapping else "aaaaaaaabb..").masks()[0]
    np.testing.assert_array_equal(revised.labels.masks()[0], expected)
    np.testing.assert_array_equal(revised.labels.masks()[1], given.masks()[1])
    assert (revised.reason, revised.confidence) == ("a: moved back", 0.9)


def test_a_class_that_is_never_predicted_is_kept() -> None:
    given = line("..aaaa......")
    revised = METHOD.revised(Predicted("x", given, given, probs_of("............")), {"a": MOVED})
    np.testing.assert_array_equal(revised.labels.masks(), given.masks())
    assert revised.reason == "a: kept, the network finds none"


def test_a_volume_of_unequal_spacing_takes_the_prediction() -> None:
    grid = Grid((4, 6, 6), (3.0, 1.0, 0.5))
    given, found = np.zeros((2, 1, *grid.shape), bool)
    given[0, 1:3], found[0, 1:3, 2:4, 2:4] = True, True
    labels = LabelMap(given, grid, ("lung",))
    row = STILL | {"moved": True}
    probs = np.where(found, 0.99, 0.01).astype(np.float32)
    revised = METHOD.revised(Predicted("x", labels, labels, probs), {"lung": row})
    np.testing.assert_array_equal(revised.labels.array, found)
    assert (revised.added_vox, revised.removed_vox) == ((0,), (64,))


@pytest.mark.parametrize(
    ("numbers", "replaced"),
    [
        ({"mean_mm": -0.6}, True),  # half a voxel more than the prediction's 0.1
        ({"mean_mm": -0.5, "row": 0.0}, True),  # half a voxel
        ({"mean_mm": -0.8, "finest_mm": 2.0, "row": 0.0}, False),  # 0.4 voxels
        ({"mean_mm": -3.0, "error_mm": 1.5}, False),  # two errors
        ({"given_dice": 0.95}, False),  # the prediction is no better
        ({"given_dice": 0.2, "predicted_dice": 0.5}, False),  # min_dice is not exceeded
    ],
)
def test_margins_by_hand(numbers: dict[str, float], replaced: bool) -> None:
    row = STILL | {"mean_mm": numbers.pop("row", 0.1)}
    assert decide(METHOD, row, compared(**numbers))["moved"] == replaced
