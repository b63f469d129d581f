"""Outlines copied from every few slices: which slices, where to, and what stays on average."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise.slice_steps import SliceStepsNoise
from labelmend.types import Grid, LabelMap

THICK = (5.0, 1.0, 1.0)


def noisy(
    noise: SliceStepsNoise, mask: np.ndarray, seed: int = 0, spacing: tuple[float, ...] = THICK
) -> np.ndarray:
    params = noise.draw_mask(np.random.default_rng(seed), mask, spacing)
    return SliceStepsNoise().apply_mask(mask, json.loads(json.dumps(params)), spacing)


def ball(shape: tuple[int, int, int] = (30, 41, 41)) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    return ((z - 14) / 9) ** 2 + ((y - 20) / 14) ** 2 + ((x - 20) / 14) ** 2 < 1


@pytest.mark.parametrize("every", [2, 3, 4, 5])
def test_each_slice_is_a_copy_of_the_nearest_drawn_one(every: int) -> None:
    mask = np.random.default_rng(0).random((17, 6, 7)) < 0.5
    for seed in range(6):
        params = SliceStepsNoise(every, 0).draw_mask(np.random.default_rng(seed), mask, THICK)
        drawn = range(params["first"] - every, 17 + every, every)
        result = SliceStepsNoise().apply_mask(mask, params, THICK)
        for i in range(17):
            nearest = min(drawn, key=lambda k: (abs(k - i), -k))
            assert np.array_equal(result[i], mask[min(max(nearest, 0), 16)])


def test_every_phase_is_drawn_as_often() -> None:
    noise = SliceStepsNoise(every=4)
    first = [noise.draw_mask(np.random.default_rng(s), ball(), THICK)["first"] for s in range(400)]
    assert np.bincount(first) == pytest.approx([100] * 4, abs=30)


@pytest.mark.parametrize("every", [2, 3, 4, 7])
def test_over_all_phases_the_volume_stays(every: int) -> None:
    settings = {"seed": 0, "every": every, "shift_mm": 0.0, "axis": 0}
    sums = [SliceStepsNoise().apply_mask(ball(), {"first": k, **settings}, THICK).sum() for k in range(every)]
    assert np.mean(sums) == pytest.approx(ball().sum())
    assert len(set(sums)) > 1


def test_drawing_every_slice_in_place_changes_nothing() -> None:
    assert np.array_equal(noisy(SliceStepsNoise(1, 0), ball()), ball())
    assert np.array_equal(noisy(SliceStepsNoise().styled(strength=0), ball()), ball())


def centres(stack: np.ndarray) -> np.ndarray:
    """Row and column of the centre of every slice."""
    return np.array([np.argwhere(plane).mean(axis=0) for plane in stack])


def test_drawn_slices_are_shifted_by_the_deviation_in_mm_along_each_axis_without_changing_shape() -> None:
    mask = np.zeros((400, 61, 81), bool)
    mask[:, 27:34, 37:44] = True
    result = noisy(SliceStepsNoise(1, 6.0), mask, spacing=(5.0, 2.0, 1.0))
    assert (result.sum(axis=(1, 2)) == 49).all()
    moved = centres(result) - (30, 40)
    assert moved.mean(axis=0) == pytest.approx([0, 0], abs=1)
    assert moved.std(axis=0) == pytest.approx([3, 6], rel=0.12)


def test_slices_copied_from_one_another_lie_in_the_same_place() -> None:
    mask = np.zeros((30, 41, 41), bool)
    mask[:, 15:25, 15:25] = True
    jumps = (np.diff(centres(noisy(SliceStepsNoise(5, 4.0), mask)), axis=0) != 0).any(axis=1)
    assert jumps.sum() <= 6
    assert (np.diff(np.flatnonzero(jumps)) % 5 == 0).all()
    assert jumps.any()


def test_the_mask_goes_on_as_it_is_at_the_image_border() -> None:
    full = np.ones((8, 6, 7), bool)
    assert noisy(SliceStepsNoise(3, 3.0), full).all()
    half = np.zeros((8, 30, 30), bool)
    half[:, :, :15] = True
    assert noisy(SliceStepsNoise(3, 1.0), half)[:, :, :8].all()


def test_the_drawn_slices_lie_across_the_thickest_axis_or_the_one_that_is_told() -> None:
    mask = np.random.default_rng(0).random((9, 9, 9)) < 0.5
    for spacing, told, axis in (((1, 1, 3), None, 2), ((1, 1, 1), None, 0), ((1, 1, 3), 1, 1)):
        stack = np.moveaxis(noisy(SliceStepsNoise(3, 0, told), mask, spacing=spacing), axis, 0)
        assert len({plane.tobytes() for plane in stack}) in (3, 4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 6), (2, 1, 9), (3, 4, 1)])
def test_small_empty_and_full_volumes_can_be_drawn(shape: tuple[int, ...]) -> None:
    for spacing in (THICK, (0.5, 5.0, 0.5), (1.0, 1.0, 1.0)):
        for noise in (SliceStepsNoise(), SliceStepsNoise(every=100, shift_mm=1e6)):
            assert not noisy(noise, np.zeros(shape, bool), spacing=spacing).any()
            assert noisy(noise, np.ones(shape, bool), spacing=spacing).all()


def test_ignored_pixels_stay_and_classes_stay_exclusive() -> None:
    array = np.zeros((20, 30, 30), np.uint8)
    array[4:15, 5:15, 5:25], array[4:15, 15:25, 5:25], array[:, :, 12] = 1, 2, 9
    labels = LabelMap(array, Grid(array.shape, THICK), ("a", "b"), ignore=9)
    noise = SliceStepsNoise(3, 2.0)
    result = noise.apply(labels, noise.draw(np.random.default_rng(0), labels)).array
    assert np.array_equal(result == 9, array == 9)
    assert not np.array_equal(result, array)


def test_flat_labels_are_refused() -> None:
    labels = LabelMap(np.ones((4, 5), np.uint8), Grid((4, 5), (1.0, 1.0)), ("a",))
    with pytest.raises(ConfigError, match="is for volumes, got labels of shape"):
        SliceStepsNoise().draw(np.random.default_rng(0), labels)


def test_another_hand_leaves_out_more_slices_and_shifts_further() -> None:
    assert SliceStepsNoise(3, 1.0).styled(strength=2, bias=5) == SliceStepsNoise(5, 2.0)
    assert SliceStepsNoise(3, 1.0).styled(strength=0.5) == SliceStepsNoise(2, 0.5)


@pytest.mark.parametrize(
    "setting", [{"every": 0}, {"every": 2.5}, {"shift_mm": -1}, {"shift_mm": float("nan")}, {"axis": 7}]
)
def test_absurd_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="slice_steps noise: "):
        SliceStepsNoise(**setting)  # type: ignore[arg-type]
