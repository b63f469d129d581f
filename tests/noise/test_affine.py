"""Shift, rotation and scale of a structure in mm."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from drawing import disc
from labelmend.errors import ConfigError
from labelmend.noise.affine import AffineNoise, affine_noise
from labelmend.types import BoolArray, Grid, LabelMap

STILL: dict[str, Any] = {"shift_mm": (0, 0, 0), "rotation_deg": 0.0, "axis": (1, 0, 0), "log_scale": 0.0}


def ellipse(spacing: tuple[float, float], shape: tuple[int, int] = (80, 80)) -> BoolArray:
    """14 by 7 mm about the middle, long along the first axis."""
    y, x = ((np.arange(n) - n // 2) * s for n, s in zip(shape, spacing, strict=True))
    return (y[:, None] / 14) ** 2 + (x[None] / 7) ** 2 < 1


def moments(mask: BoolArray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Centroid and covariance of a mask, in mm."""
    points = np.argwhere(mask) * spacing
    return points.mean(axis=0), np.cov(points.T)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.7), (0.3, 1.7)])
@pytest.mark.parametrize("mask", [ellipse((1, 1)), ellipse((1, 1)) ^ ellipse((2, 2)), np.eye(80, dtype=bool)])
def test_without_motion_the_mask_is_exactly_the_same(mask: BoolArray, spacing: tuple[float, ...]) -> None:
    assert np.array_equal(affine_noise(mask, **{**STILL, "shift_mm": (0, 0)}, spacing_mm=spacing), mask)


def test_without_motion_a_volume_is_exactly_the_same(rng: np.random.Generator) -> None:
    mask = rng.random((7, 9, 11)) < 0.3
    assert np.array_equal(affine_noise(mask, **STILL, spacing_mm=(0.5, 5.0, 0.7)), mask)


def test_a_shift_by_whole_pixels_moves_every_pixel_and_cuts_what_leaves_the_image() -> None:
    mask = np.zeros((8, 12), bool)
    mask[3:6, 5:9] = True
    mask[4, 7] = False
    noisy = affine_noise(mask, **{**STILL, "shift_mm": (-1.5, 10.0)}, spacing_mm=(0.5, 2.0))
    expected = np.zeros_like(mask)
    expected[0:3, 10:12] = mask[3:6, 5:7]
    assert np.array_equal(noisy, expected)


def test_a_shift_by_parts_of_pixels_moves_the_centroid_by_that_and_keeps_the_area() -> None:
    spacing = (0.5, 1.2)
    mask = ellipse(spacing)
    noisy = affine_noise(mask, **{**STILL, "shift_mm": (1.8, -2.2)}, spacing_mm=spacing)
    step = moments(noisy, spacing)[0] - moments(mask, spacing)[0]
    assert step == pytest.approx([1.8, -2.2], abs=0.15)
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.02)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.4)])
@pytest.mark.parametrize("angle", [17.0, 45.0, 90.0, -60.0])
def test_a_rotation_is_rigid_in_mm(spacing: tuple[float, float], angle: float) -> None:
    mask = ellipse(spacing)
    noisy = affine_noise(mask, **{**STILL, "shift_mm": (0, 0), "rotation_deg": angle}, spacing_mm=spacing)
    centre, covariance = moments(noisy, spacing)
    before, straight = moments(mask, spacing)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = np.array([[c, -s], [s, c]]) @ straight @ np.array([[c, s], [-s, c]])
    assert np.abs(centre - before).max() < 0.2
    assert np.abs(covariance - turned).max() < 0.04 * straight.max()
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.02)


def test_a_quarter_turn_of_a_volume_about_an_axis_swaps_the_other_two() -> None:
    spacing = (2.0, 1.0, 1.0)
    mask = np.zeros((13, 25, 25), bool)
    mask[5:8, 7:18, 11:14] = True  # 6 x 11 x 3 mm
    noisy = affine_noise(mask, **{**STILL, "rotation_deg": 90, "axis": (0, 0, 1)}, spacing_mm=spacing)
    extent_mm = (np.ptp(np.argwhere(noisy), axis=0) + 1) * spacing
    assert np.abs(extent_mm - [11, 6, 3]).max() <= 1.0


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_the_scale_multiplies_lengths(factor: float) -> None:
    spacing = (0.5, 0.7)
    mask = ellipse(spacing, (120, 80))
    params = {**STILL, "shift_mm": (0, 0), "log_scale": math.log(factor)}
    noisy = affine_noise(mask, **params, spacing_mm=spacing)
    assert noisy.sum() / mask.sum() == pytest.approx(factor**2, rel=0.03)


@pytest.mark.parametrize("radius", [5, 12, 25])
def test_areas_are_unbiased_but_for_a_hundredth(radius: int, rng: np.random.Generator) -> None:
    mask = disc((91, 91), (45, 45), radius)
    noise = AffineNoise(scale=0)
    areas = [
        noise.apply_mask(mask, noise.draw_mask(rng, mask, (1.0, 1.0)), (1.0, 1.0)).sum() for _ in range(60)
    ]
    assert np.mean(areas) / mask.sum() == pytest.approx(1, abs=0.012)


def test_a_flat_cylinder_of_thick_slices_keeps_its_volume_within_a_few_hundredths(
    rng: np.random.Generator,
) -> None:
    spacing = (5.0, 1.0, 1.0)
    mask = np.zeros((9, 45, 45), bool)
    mask[3:6] = disc((45, 45), (22, 22), 14)
    noise = AffineNoise(scale=0, rotation_deg=0)
    volumes = [noise.apply_mask(mask, noise.draw_mask(rng, mask, spacing), spacing).sum() for _ in range(60)]
    assert np.mean(volumes) / mask.sum() == pytest.approx(1, abs=0.025)


def test_drawn_numbers_have_the_spread_that_was_asked_for(rng: np.random.Generator) -> None:
    noise = AffineNoise(shift_mm=3, rotation_deg=8, scale=0.1, log_scale=0.05)
    n, mask = 4000, np.ones((1, 1, 1), bool)
    drawn = [noise.draw_mask(rng, mask, (1.0, 1.0, 1.0)) for _ in range(n)]
    shifts, axes = np.array([d["shift_mm"] for d in drawn]), np.array([d["axis"] for d in drawn])
    scales = np.array([d["log_scale"] for d in drawn])
    spread = 4 / (2 * n) ** 0.5
    assert np.abs(shifts.std(axis=0) / 3 - 1).max() < spread
    assert abs(np.std([d["rotation_deg"] for d in drawn]) / 8 - 1) < spread
    assert abs(scales.std() / 0.1 - 1) < spread
    assert abs(scales.mean() - 0.05) < 4 * 0.1 / n**0.5
    assert np.linalg.norm(axes, axis=1) == pytest.approx(1)
    assert np.abs(np.cov(axes.T) - np.eye(3) / 3).max() < 0.03


@pytest.mark.parametrize("value", [True, False])
def test_an_empty_and_a_full_mask_come_back(value: bool) -> None:
    mask = np.full((1, 9), value)
    params = AffineNoise().draw_mask(np.random.default_rng(0), mask, (1.0, 1.0))
    assert np.array_equal(AffineNoise().apply_mask(mask, params, (1.0, 1.0)), mask)


def test_extreme_draws_give_masks_and_not_errors(rng: np.random.Generator) -> None:
    noise = AffineNoise(shift_mm=1e6, rotation_deg=1e6, scale=1e6)
    for shape in ((1, 9), (9, 9), (1, 6, 6), (5, 6, 7)):
        mask = np.zeros(shape, bool)
        mask[(slice(0, 1), *[slice(2, 4)] * (len(shape) - 1))] = True
        for _ in range(5):
            params = noise.draw_mask(rng, mask, (1.0,) * len(shape))
            assert noise.apply_mask(mask, params, (1.0,) * len(shape)).shape == shape


def test_a_structure_that_meets_the_border_goes_on_beyond_it() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, :8] = True
    noisy = affine_noise(mask, **{**STILL, "shift_mm": (0, 5)}, spacing_mm=(1.0, 1.0))
    assert noisy[:, :13].all()
    assert not noisy[:, 13:].any()


def test_parameters_survive_json_and_alone_fix_the_result() -> None:
    labels = LabelMap(ellipse((0.5, 1.0))[None], Grid((80, 80), (0.5, 1.0)), ("a",))
    noise = AffineNoise(shift_mm=5, rotation_deg=20, scale=0.2, log_scale=0.1)
    params = noise.draw(np.random.default_rng(0), labels)
    again = json.loads(json.dumps(params))
    assert again == params
    assert np.array_equal(AffineNoise().apply(labels, again).array, noise.apply(labels, params).array)


def test_strength_multiplies_everything_and_bias_is_in_deviations_of_the_scale() -> None:
    styled = AffineNoise(3, 8, 0.1, 0.02).styled(strength=2, bias=0.5)
    assert (styled.shift_mm, styled.rotation_deg, styled.scale) == (6, 16, 0.2)
    assert styled.log_scale == pytest.approx(0.14)
    nothing = AffineNoise().styled(strength=0, bias=2)
    mask = ellipse((1.0, 1.0))
    params = nothing.draw_mask(np.random.default_rng(0), mask, (1.0, 1.0))
    assert np.array_equal(nothing.apply_mask(mask, params, (1.0, 1.0)), mask)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"shift_mm": -2}, "shift_mm must be a number from 0 up, got -2"),
        ({"rotation_deg": float("nan")}, "rotation_deg"),
        ({"scale": float("inf")}, "scale"),
        ({"log_scale": float("nan")}, "log_scale must be a finite number, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AffineNoise(**setting)


def test_a_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="2-D and 3-D masks, got a 1-D mask"):
        affine_noise(np.arange(9) == 4, **{**STILL, "shift_mm": (0,)}, spacing_mm=(1.0,))
