"""A noise as a transform of a training pipeline: what it draws, what it leaves alone, how it is seeded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.noise import MarkovNoise, MissingNoise, RandAnnotationNoise

NOISE = MarkovNoise(steps=10, expand=0.9, flip=0.5)
GONE = MissingNoise(probability=1.0)
MAP = np.zeros((1, 32, 32), np.uint8)
MAP[0, 8:20, 8:20], MAP[0, 22:28, 4:28] = 1, 3
MASKS = np.concatenate([MAP == 1, MAP > 0])
VOLUME = np.stack([MAP[0]] * 3)[None]


@pytest.mark.parametrize(
    "labels",
    [MAP, MAP.astype(np.float32), MAP > 0, MASKS, MASKS.astype(np.float32), VOLUME],
)
def test_shape_and_dtype_stay_and_the_labels_do_not_change(labels):
    before = labels.copy()
    noisy = RandAnnotationNoise(NOISE, seed=0)(labels)
    assert (noisy.shape, noisy.dtype) == (labels.shape, labels.dtype)
    assert set(np.unique(noisy)) <= set(np.unique(labels))
    assert not np.array_equal(noisy, labels)
    np.testing.assert_array_equal(labels, before)


def test_each_mask_of_several_is_drawn_by_itself():
    noisy = RandAnnotationNoise(GONE, seed=0)(MASKS.astype(np.uint8))
    assert (noisy.dtype, noisy.sum()) == (np.uint8, 0)


def test_only_some_calls_draw():
    transform = RandAnnotationNoise(GONE, prob=0.25, seed=0)
    assert sum(not transform(MAP).any() for _ in range(400)) == pytest.approx(100, abs=30)
    assert RandAnnotationNoise(GONE, prob=0.0)(MAP) is MAP


def test_of_a_dict_only_the_labels_are_drawn():
    data = {"image": MAP * 0.1, "label": MAP, "name": "a"}
    noisy = RandAnnotationNoise(GONE, keys="label")(data)
    assert noisy.keys() == data.keys()
    assert (noisy["image"] is data["image"], noisy["name"], noisy["label"].any()) == (True, "a", False)
    assert data["label"].any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bool])
def test_a_tensor_comes_back_as_a_tensor(dtype):
    noisy = RandAnnotationNoise(NOISE, seed=0)(torch.as_tensor(MAP > 0).to(dtype))
    assert (noisy.dtype, tuple(noisy.shape)) == (dtype, MAP.shape)


def test_the_seed_decides():
    def three(transform: RandAnnotationNoise) -> np.ndarray:
        return np.stack([transform(MAP) for _ in range(3)])

    first = three(RandAnnotationNoise(NOISE, seed=4))
    assert not np.array_equal(first[0], first[1])
    again = RandAnnotationNoise(NOISE).set_random_state(4)
    np.testing.assert_array_equal(three(again), first)
    states = [
        again.set_random_state(state=np.random.RandomState(seed)) and three(again) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(states[0], states[1])
    assert not np.array_equal(states[0], states[2])


@pytest.mark.parametrize(
    ("labels", "settings", "error", "sentence"),
    [
        (MAP[0], {}, GeometryError, r"channels in front, .* got \(32, 32\)"),
        (MAP * 0.5, {}, LabelValueError, "hold other values"),
        (np.concatenate([MAP, MAP]), {}, LabelValueError, "hold other values"),
        ({"label": MAP}, {}, ConfigError, "a dict and no keys; the dict has label"),
        ({"label": MAP}, {"keys": ["mask"]}, ConfigError, "a dict without 'mask'; the dict has label"),
    ],
)
def test_what_are_no_labels_with_channels_is_refused(labels, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        RandAnnotationNoise(GONE, **settings)(labels)


def test_a_probability_lies_between_0_and_1():
    with pytest.raises(ConfigError, match=r"prob must lie in \[0, 1\], got 2"):
        RandAnnotationNoise(GONE, prob=2)
