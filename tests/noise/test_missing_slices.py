"""Slices without annotation, and ends of structures that are cut or extended."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise.missing_slices import MissingSlicesNoise
from labelmend.types import Grid, LabelMap

QUIET = MissingSlicesNoise(probability=0, end_slices=0)


def volume(
    shape: tuple[int, int, int] = (40, 9, 9), spacing: tuple[float, ...] = (4.0, 1.0, 1.0)
) -> LabelMap:
    array = np.zeros(shape, np.uint8)
    array[10:30, 2:5, 2:5] = 1
    array[15:20, 6:8, 6:8] = 2
    return LabelMap(array, Grid(shape, spacing), ("a", "b"))


def noisy(noise: MissingSlicesNoise, labels: LabelMap, seed: int = 0) -> np.ndarray:
    params = noise.draw(np.random.default_rng(seed), labels)
    return MissingSlicesNoise().apply(labels, json.loads(json.dumps(params))).array


def extent(array: np.ndarray, value: int) -> tuple[int, int]:
    found = np.flatnonzero((array == value).any(axis=(1, 2)))
    return int(found[0]), int(found[-1])


def test_slices_are_left_out_as_often_as_told_and_for_all_classes() -> None:
    labels = volume()
    noise = MissingSlicesNoise(probability=0.3, end_slices=0)
    shares = []
    for seed in range(60):
        result = noisy(noise, labels, seed)
        same = (result == labels.array).all(axis=(1, 2))
        empty = (result == 0).all(axis=(1, 2))
        assert (same | empty).all()
        shares.append(1 - same[10:30].mean())
    assert np.mean(shares) == pytest.approx(0.3, abs=0.04)


def test_without_either_error_nothing_changes() -> None:
    assert np.array_equal(noisy(QUIET, volume()), volume().array)
    assert np.array_equal(noisy(MissingSlicesNoise().styled(strength=0), volume()), volume().array)


def test_ends_are_wrong_by_each_number_of_slices_as_often_and_both_ways() -> None:
    noise = MissingSlicesNoise(probability=0, end_slices=2)
    ends = np.array([extent(noisy(noise, volume(), seed), 1) for seed in range(600)]) - (10, 29)
    for moved in ends.T:
        share = [np.mean(moved == k) for k in (-2, -1, 0, 1, 2)]
        assert share == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6], abs=0.07)
    assert abs(np.corrcoef(ends.T)[0, 1]) < 0.15


def test_an_extension_repeats_the_last_slice_of_the_object() -> None:
    labels = volume()
    labels.array[10, 2, 2] = 0
    result = noisy(MissingSlicesNoise(0, 6, extend=1), labels, seed=3)
    first, last = extent(result, 1)
    assert first < 10
    assert last > 29
    assert (result[first:10] == result[10]).all()
    assert (result[30 : last + 1] == result[29]).all()
    assert np.array_equal(result[10:30] == 1, labels.array[10:30] == 1)


def test_a_cut_takes_slices_away_and_leaves_at_least_one() -> None:
    labels = volume()
    for seed in range(20):
        result = noisy(MissingSlicesNoise(0, 9, extend=0), labels, seed)
        assert (labels.array[result > 0] == result[result > 0]).all()
        assert (result == 2).any()
    assert (noisy(MissingSlicesNoise(0, 10**6, extend=0), labels) == 1).any(axis=(1, 2)).sum() == 1


def test_each_object_of_a_class_has_ends_of_its_own() -> None:
    array = np.zeros((30, 3, 9), np.uint8)
    array[10:20, :, :2] = array[10:20, :, 5:7] = 1
    labels = LabelMap(array, Grid(array.shape, (3.0, 1.0, 1.0)), ("a",))
    result = noisy(MissingSlicesNoise(0, 6), labels, seed=1)
    assert extent(result[..., :4], 1) != extent(result[..., 4:], 1)


def test_extensions_stop_at_the_border_of_the_volume() -> None:
    array = np.zeros((20, 3, 3), np.uint8)
    array[1:18, 1, 1] = 1
    labels = LabelMap(array, Grid(array.shape, (3.0, 1.0, 1.0)), ("a",))
    noise = MissingSlicesNoise(0, 6, extend=1)
    for seed in range(10):
        ((low, high),) = noise.draw(np.random.default_rng(seed), labels)["ends"]["a"]
        assert extent(noisy(noise, labels, seed), 1) == (1 - min(low, 1), 17 + min(high, 2))


def test_classes_stay_exclusive_where_one_extends_into_another() -> None:
    array = np.zeros((20, 2, 2), np.uint8)
    array[5:10], array[10:15], array[0] = 1, 2, 9
    labels = LabelMap(array, Grid(array.shape, (3.0, 1.0, 1.0)), ("a", "b"), ignore=9)
    result = noisy(MissingSlicesNoise(0, 3, extend=1), labels)
    assert np.array_equal(result[5:15], array[5:15])
    assert np.array_equal(result == 9, array == 9)


def test_overlapping_masks_move_by_themselves() -> None:
    masks = np.zeros((2, 30, 4, 4), bool)
    masks[0, 10:20], masks[1, 12:18, 1:3] = True, True
    labels = LabelMap(masks, Grid(masks.shape[1:], (3.0, 1.0, 1.0)), ("a", "b"))
    result = noisy(MissingSlicesNoise(0, 4), labels)
    assert not np.array_equal(result[0], masks[0])
    assert not np.array_equal(result[1], masks[1])


@pytest.mark.parametrize(("spacing", "axis"), [((1, 1, 5), 2), ((1, 1, 1), 0), ((1, 3, 3), 1)])
def test_slices_lie_across_the_thickest_axis_or_the_one_that_is_told(
    spacing: tuple[float, ...], axis: int
) -> None:
    full = np.ones((12, 12, 12), np.uint8)
    labels = LabelMap(full, Grid(full.shape, spacing), ("a",))
    for told, across in ((None, axis), (1, 1)):
        empty = noisy(MissingSlicesNoise(0.5, 0, axis=told), labels) == 0
        others = tuple(a for a in range(3) if a != across)
        assert np.array_equal(empty.any(axis=others), empty.all(axis=others))
        assert 0 < empty.mean() < 1


def test_empty_volumes_and_single_voxels_can_be_drawn() -> None:
    for array in (np.zeros((3, 1, 4), np.uint8), np.ones((1, 1, 1), np.uint8)):
        labels = LabelMap(array, Grid(array.shape, (0.5, 5.0, 0.5)), ("a",))
        assert noisy(MissingSlicesNoise(0, 3), labels).sum() == array.sum()


def test_flat_labels_are_refused() -> None:
    labels = LabelMap(np.ones((4, 5), np.uint8), Grid((4, 5), (1.0, 1.0)), ("a",))
    with pytest.raises(ConfigError, match="is for volumes, got labels of shape"):
        MissingSlicesNoise().draw(np.random.default_rng(0), labels)


def test_parameters_of_other_classes_are_refused() -> None:
    params = MissingSlicesNoise().draw(np.random.default_rng(0), volume())
    other = LabelMap(volume().array, volume().grid, ("x", "y"))
    with pytest.raises(ConfigError, match="no class 'x', only a, b"):
        MissingSlicesNoise().apply(other, params)


def test_another_hand_skips_more_and_a_generous_one_extends_more() -> None:
    noise = MissingSlicesNoise(0.2, 2, 0.5)
    assert noise.styled(strength=2) == MissingSlicesNoise(0.4, 4, 0.5)
    generous = noise.styled(bias=math.log(2))
    assert generous.extend == pytest.approx(2 / 3)
    assert generous.probability == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    "setting",
    [
        {"probability": 2},
        {"extend": -1},
        {"end_slices": -1},
        {"end_slices": 1.5},
        {"axis": -1},
    ],
)
def test_absurd_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="missing_slices noise: "):
        MissingSlicesNoise(**setting)  # type: ignore[arg-type]
