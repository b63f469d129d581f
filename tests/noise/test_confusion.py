"""Objects given to another class: outlines stay, shares are as told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise.confusion import ConfusionNoise
from labelmend.types import Grid, LabelMap


def exclusive(array: np.ndarray | list, classes: tuple[str, ...] = ("a", "b", "c"), **more: Any) -> LabelMap:
    array = np.asarray(array, np.uint8)
    return LabelMap(array, Grid(array.shape, (1.0,) * array.ndim), classes, **more)


def noisy(noise: ConfusionNoise, labels: LabelMap, seed: int = 0) -> np.ndarray:
    params = noise.draw(np.random.default_rng(seed), labels)
    return ConfusionNoise().apply(labels, json.loads(json.dumps(params))).array


ROW = [[1, 1, 0, 2, 3, 3, 0, 1, 0, 2, 2]]


def test_every_object_of_a_pair_is_taken_for_the_other_and_the_rest_stays() -> None:
    result = noisy(ConfusionNoise(1.0, {"a": "b", "b": "c"}), exclusive(ROW))
    assert result.tolist() == [[2, 2, 0, 3, 3, 3, 0, 2, 0, 3, 3]]


def test_two_classes_can_be_swapped() -> None:
    swap = ConfusionNoise(1.0, {"a": "b", "b": "a"})
    assert noisy(swap, exclusive(ROW)).tolist() == [[2, 2, 0, 1, 3, 3, 0, 2, 0, 1, 1]]
    masks = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], bool)
    labels = LabelMap(masks, Grid((1, 4), (1.0, 1.0)), ("a", "b"))
    assert np.array_equal(noisy(swap, labels), masks[::-1])


def test_objects_are_confused_whole_and_apart_from_one_another() -> None:
    grid = np.zeros((40, 40), np.uint8)
    for i in range(10):
        for j in range(10):
            grid[4 * i : 4 * i + 3, 4 * j : 4 * j + 3] = 1 + (i + j) % 3
    result = noisy(ConfusionNoise(0.4), exclusive(grid))
    changed = [
        (result != grid)[4 * i : 4 * i + 3, 4 * j : 4 * j + 3].mean() for i in range(10) for j in range(10)
    ]
    assert set(changed) == {0, 1}
    assert np.mean(changed) == pytest.approx(0.4, abs=0.15)
    assert np.array_equal(result > 0, grid > 0)


def test_any_other_class_is_as_likely() -> None:
    dots = np.zeros((60, 60), np.uint8)
    dots[::2, ::2] = 1
    result = noisy(ConfusionNoise(1.0), exclusive(dots))
    counts = np.bincount(result.ravel(), minlength=4)
    assert counts[1] == 0
    assert counts[2] == pytest.approx(450, abs=60)
    assert counts[2] + counts[3] == 900


def test_pixels_that_touch_across_a_corner_are_two_objects() -> None:
    labels = exclusive(np.eye(30), ("a", "b"))
    assert set(np.unique(noisy(ConfusionNoise(0.5), labels))) == {0, 1, 2}


def test_an_overlapping_object_joins_the_mask_of_its_new_class() -> None:
    masks = np.zeros((2, 3, 8), bool)
    masks[0, 1, 1:5] = masks[1, :, 4:6] = True
    labels = LabelMap(masks, Grid((3, 8), (1.0, 1.0)), ("a", "b"))
    result = noisy(ConfusionNoise(1.0, {"a": "b"}), labels)
    assert not result[0].any()
    assert np.array_equal(result[1], masks[0] | masks[1])


def test_objects_of_volumes_hang_together_across_slices() -> None:
    volume = np.zeros((4, 3, 3), np.uint8)
    volume[:, 1, 1] = 1
    for seed in range(10):
        assert len(np.unique(noisy(ConfusionNoise(0.5), exclusive(volume), seed)[:, 1, 1])) == 1


def test_ignored_pixels_stay() -> None:
    labels = exclusive([[1, 1, 9, 1, 2, 9]], ("a", "b"), ignore=9)
    assert noisy(ConfusionNoise(1.0), labels).tolist() == [[2, 2, 9, 2, 1, 9]]


def test_an_empty_map_stays_empty() -> None:
    assert not noisy(ConfusionNoise(1.0), exclusive(np.zeros((1, 5)))).any()


def test_one_class_has_none_to_be_confused_with() -> None:
    with pytest.raises(ConfigError, match="two classes or more, got only a"):
        ConfusionNoise().draw(np.random.default_rng(0), exclusive([[1, 0]], ("a",)))


def test_pairs_of_classes_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="no class called 'lung'"):
        ConfusionNoise(pairs={"a": "lung"}).draw(np.random.default_rng(0), exclusive(ROW))
    with pytest.raises(ConfigError, match="takes class 'a' for itself"):
        ConfusionNoise(pairs={"a": "a"})


def test_a_probability_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="probability must lie in"):
        ConfusionNoise(1.5)


def test_another_hand_confuses_more_often_and_at_most_always() -> None:
    assert ConfusionNoise(0.2).styled(strength=2, bias=3) == ConfusionNoise(0.4)
    assert ConfusionNoise(0.2).styled(strength=20) == ConfusionNoise(1.0)
    assert np.array_equal(noisy(ConfusionNoise().styled(strength=0), exclusive(ROW)), ROW)


def test_a_class_of_value_0_is_confused_like_any_other() -> None:
    streets = {"classes": ("sidewalk", "building"), "background": "road"}
    away = ConfusionNoise(1.0, {"sidewalk": "road"})
    assert noisy(away, exclusive([[0, 1, 1, 2, 0, 0]], **streets)).tolist() == [[0, 0, 0, 2, 0, 0]]
    over = ConfusionNoise(1.0, {"road": "building"})
    assert noisy(over, exclusive([[0, 1, 1, 2, 0, 0]], **streets)).tolist() == [[2, 1, 1, 2, 2, 2]]
    swap = ConfusionNoise(1.0, {"road": "sidewalk", "sidewalk": "road"})
    assert noisy(swap, exclusive([[0, 1, 1, 2, 0, 9]], ignore=9, **streets)).tolist() == [[1, 0, 0, 2, 1, 9]]


def test_one_class_and_a_class_of_value_0_are_enough_to_be_confused() -> None:
    labels = exclusive([[0, 1, 0]], ("sidewalk",), background="road")
    assert noisy(ConfusionNoise(1.0), labels).tolist() == [[1, 0, 1]]
