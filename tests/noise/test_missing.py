"""Objects left out whole: as often as told, small ones more often if told so."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from drawing import disc
from labelmend.errors import ConfigError
from labelmend.noise.missing import MissingNoise, diameters
from labelmend.types import Grid, LabelMap


def noisy(
    noise: MissingNoise, mask: np.ndarray, seed: int = 0, spacing: tuple[float, ...] | None = None
) -> np.ndarray:
    spacing = spacing or (1.0,) * mask.ndim
    params = noise.draw_mask(np.random.default_rng(seed), mask, spacing)
    return MissingNoise().apply_mask(mask, json.loads(json.dumps(params)), spacing)


def dots(shape: tuple[int, ...] = (60, 60)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[(slice(None, None, 2),) * len(shape)] = True
    return mask


def test_objects_are_left_out_as_often_as_told() -> None:
    assert noisy(MissingNoise(0.3), dots()).sum() == pytest.approx(0.7 * 900, abs=60)
    assert not noisy(MissingNoise(1), dots()).any()
    assert np.array_equal(noisy(MissingNoise(0), dots()), dots())


def test_objects_go_whole_and_nothing_is_added() -> None:
    mask = np.kron(dots((20, 20)), np.ones((3, 3))) > 0
    result = noisy(MissingNoise(0.5), mask)
    assert not (result & ~mask).any()
    left = result.reshape(20, 3, 20, 3).sum(axis=(1, 3))
    assert set(np.unique(left)) == {0, 9}


def test_the_numbers_in_the_parameters_count_objects_in_array_order() -> None:
    mask = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 1]], bool)
    result = MissingNoise().apply_mask(mask, {"objects": [1, 4]}, (1.0, 1.0))
    assert result.astype(int).tolist() == [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]


def test_the_probability_halves_with_every_so_many_mm_of_diameter() -> None:
    small = dots((200, 200))
    large = np.kron(dots((100, 100)), np.ones((6, 6))) > 0
    noise = MissingNoise(0.8, halving_mm=4.0)
    for mask, size in ((small, 1), (large, 36)):
        diameter_mm = 2 * 2 * math.sqrt(size / math.pi)
        left = noisy(noise, mask, spacing=(2.0, 2.0)).sum() / mask.sum()
        assert 1 - left == pytest.approx(0.8 * 0.5 ** (diameter_mm / 4), abs=0.02)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_diameter_of_a_drawn_ball_is_twice_its_radius(ndim: int) -> None:
    spacing = (0.5, 1.0, 0.25)[:ndim]
    ball = disc((61,) * ndim, (30,) * ndim, 5.1, spacing)
    assert diameters(np.array([ball.sum()]), spacing) == pytest.approx([10.2], rel=0.05)


def test_objects_of_volumes_hang_together_across_slices() -> None:
    volume = np.zeros((5, 3, 3), bool)
    volume[:, 1, 1] = True
    assert {int(noisy(MissingNoise(0.5), volume, seed).sum()) for seed in range(20)} == {0, 5}


@pytest.mark.parametrize("shape", [(4, 5), (1, 6), (2, 3, 4)])
def test_an_empty_mask_stays_and_a_full_one_is_one_object(shape: tuple[int, ...]) -> None:
    assert not noisy(MissingNoise(0.5), np.zeros(shape, bool)).any()
    assert {noisy(MissingNoise(0.5), np.ones(shape, bool), s).mean() for s in range(20)} == {0.0, 1.0}


def test_ignored_pixels_stay() -> None:
    labels = LabelMap(np.array([[1, 1, 9, 1]], np.uint8), Grid((1, 4), (1.0, 1.0)), ("a",), ignore=9)
    noise = MissingNoise(1)
    result = noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    assert result.array.tolist() == [[0, 0, 9, 0]]


def test_another_hand_overlooks_more_and_a_generous_one_less() -> None:
    noise = MissingNoise(0.2, 5.0)
    assert noise.styled(strength=2) == MissingNoise(0.4, 5.0)
    assert noise.styled(strength=9).probability == 1
    assert noise.styled(strength=0).probability == 0
    assert noise.styled(bias=math.log(2)).probability == pytest.approx(1 / 9)  # odds 1/4 become 1/8
    assert noise.styled(bias=-1).probability > 0.2


@pytest.mark.parametrize(
    "setting",
    [{"probability": -0.1}, {"probability": float("nan")}, {"halving_mm": 0}, {"halving_mm": float("inf")}],
)
def test_absurd_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="missing noise: "):
        MissingNoise(**setting)  # type: ignore[arg-type]
