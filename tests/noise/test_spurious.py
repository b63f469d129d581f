"""Invented objects: as many as told, apart from the clean ones, and of their shape."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, find_objects, label

from labelmend.errors import ConfigError
from labelmend.noise.spurious import SpuriousNoise
from labelmend.types import Grid, LabelMap


def drawn(
    noise: SpuriousNoise, mask: np.ndarray, seed: int = 0, spacing: tuple[float, ...] | None = None
) -> tuple[np.ndarray, list[dict]]:
    spacing = spacing or (1.0,) * mask.ndim
    params = noise.draw_mask(np.random.default_rng(seed), mask, spacing)
    assert json.loads(json.dumps(params)) == params
    return SpuriousNoise().apply_mask(mask, params, spacing), params["objects"]


def bar() -> np.ndarray:
    mask = np.zeros((120, 120), bool)
    mask[40:80, 50:70] = True
    return mask


def test_the_number_of_objects_is_poisson() -> None:
    counts = [len(drawn(SpuriousNoise(2.0), bar(), seed)[1]) for seed in range(400)]
    assert np.mean(counts) == pytest.approx(2, abs=0.25)
    assert np.var(counts) == pytest.approx(2, abs=0.5)


def test_nothing_is_removed_and_nothing_added_touches_the_clean_mask() -> None:
    for seed in range(30):
        result, objects = drawn(SpuriousNoise(4.0), bar(), seed)
        added = result & ~bar()
        assert (bar() <= result).all()
        assert added.any() == bool(objects)
        assert not (binary_dilation(added) & bar()).any()


def test_an_invented_object_is_a_smaller_copy() -> None:
    noise = SpuriousNoise(1.0, scale_low=0.5, scale_high=0.5)
    found = 0
    for seed in range(40):
        result, objects = drawn(noise, bar(), seed)
        if len(objects) == 1:
            (box,) = find_objects((result & ~bar()).astype(int))
            inner = all(s.start > 0 and s.stop < 120 for s in box)
            if inner:
                assert (result & ~bar())[box].shape == (20, 10)
                assert (result & ~bar())[box].all()
                found += 1
    assert found > 5


def test_places_fill_the_free_image_evenly() -> None:
    noise = SpuriousNoise(3.0, scale_low=0.1, scale_high=0.1)
    centres = np.array([o["centre"] for seed in range(300) for o in drawn(noise, bar(), seed)[1]])
    assert centres.mean(axis=0) == pytest.approx([60, 60], abs=4)
    quarters = np.histogram2d(*centres.T, bins=2, range=[[0, 120]] * 2)[0]
    assert quarters.min() > 0.8 * len(centres) / 4
    assert not bar()[tuple(centres.T)].any()


def test_sizes_are_uniform_between_the_two_shares() -> None:
    noise = SpuriousNoise(3.0, scale_low=0.2, scale_high=0.6)
    scales = np.array([o["scale"] for seed in range(200) for o in drawn(noise, bar(), seed)[1]])
    assert 0.2 <= scales.min() < 0.22
    assert 0.58 < scales.max() <= 0.6
    assert scales.mean() == pytest.approx(0.4, abs=0.02)


def test_all_objects_are_copied_from() -> None:
    mask = bar()
    mask[5:15, 5:15] = mask[100:104, 100:104] = True
    sources = {o["copy_of"] for seed in range(40) for o in drawn(SpuriousNoise(2.0), mask, seed)[1]}
    assert sources == {1, 2, 3}


def test_where_the_class_is_absent_balls_of_the_radius_in_mm_are_copied() -> None:
    noise = SpuriousNoise(1.0, scale_low=1, scale_high=1, radius_mm=6)
    for seed in range(20):
        result, objects = drawn(noise, np.zeros((30, 60, 60), bool), seed, (3.0, 1.0, 1.0))
        if (
            len(objects) == 1
            and result.sum() > 0
            and all(8 < c < n for c, n in zip(objects[0]["centre"], (22, 50, 50)))
        ):
            (box,) = find_objects(result.astype(int))
            assert result[box].shape == (5, 13, 13)
            assert result.sum() * 3.0 == pytest.approx(4 / 3 * math.pi * 6**3, rel=0.1)
            break
    else:
        pytest.fail("no ball away from the border")


@pytest.mark.parametrize("shape", [(1, 9), (1, 1), (9, 1), (2, 3, 4)])
def test_full_and_tiny_masks_can_be_drawn(shape: tuple[int, ...]) -> None:
    full = np.ones(shape, bool)
    assert drawn(SpuriousNoise(3.0), full)[1] == []
    one = np.zeros(shape, bool)
    one[(0,) * len(shape)] = True
    assert drawn(SpuriousNoise(3.0), one, spacing=(0.5, 5.0, 0.5)[: len(shape)])[0].shape == shape
    assert drawn(SpuriousNoise(3.0, radius_mm=0), ~full)[0].any()


def test_a_thin_object_shrinks_to_one_pixel_and_not_to_nothing() -> None:
    mask = np.zeros((40, 40), bool)
    mask[3:20, 3] = mask[19, 3:20] = True
    result, objects = drawn(SpuriousNoise(20.0, scale_low=0.01, scale_high=0.06), mask)
    assert label(result)[1] > 1
    assert len(objects) > 5


def test_other_classes_keep_their_pixels_in_an_exclusive_map() -> None:
    array = np.zeros((60, 60), np.uint8)
    array[10:30, 10:30] = 1
    array[:, 35:] = 2
    array[0] = 9
    labels = LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("a", "b"), ignore=9)
    noise = SpuriousNoise(30.0)
    result = noise.apply(labels, noise.draw(np.random.default_rng(0), labels)).array
    assert np.array_equal(result == 2, (array == 2) | ((array == 0) & (result == 2)))
    assert np.array_equal(result == 9, array == 9)
    assert (result == 1).sum() > (array == 1).sum()


def test_another_hand_invents_more_and_a_generous_one_too() -> None:
    assert SpuriousNoise(1.5).styled(strength=2).count == 3
    assert SpuriousNoise(1.5).styled(bias=math.log(2)).count == pytest.approx(3)
    assert SpuriousNoise(1.5).styled(bias=-1).count < 1.5
    assert np.array_equal(drawn(SpuriousNoise().styled(strength=0), bar())[0], bar())


@pytest.mark.parametrize(
    "setting",
    [
        {"count": -1},
        {"count": 1e9},
        {"count": float("nan")},
        {"scale_low": 0},
        {"scale_low": 0.6, "scale_high": 0.5},
        {"scale_high": 1.5},
        {"radius_mm": float("inf")},
    ],
)
def test_absurd_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="spurious noise: "):
        SpuriousNoise(**setting)
