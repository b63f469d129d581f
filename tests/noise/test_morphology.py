"""Dilation and erosion by a drawn radius: flat faces, the paper's definition, and the law of the draw."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from drawing import disc
from labelmend.errors import ConfigError
from labelmend.noise.morphology import MorphologyNoise
from labelmend.types import BoolArray, Grid, LabelMap


def moved(
    mask: BoolArray, radius: float, *, dilate: bool, spacing: tuple[float, ...], in_pixels: bool = False
) -> BoolArray:
    params = {"radius": radius, "dilate": dilate, "in_pixels": in_pixels}
    return MorphologyNoise().apply_mask(mask, params, spacing)


def blob() -> BoolArray:
    mask = disc((50, 60), (25, 24), 14) | disc((50, 60), (30, 42), 9)
    mask[24:27, 22:27] = False
    return mask


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("radius", [1.0, 2.5, 3.9, 7.0, 10.0])
def test_a_flat_face_moves_by_the_radius_to_half_a_pixel_whatever_the_spacing(
    axis: int, radius: float
) -> None:
    spacing = (0.5, 5.0, 0.8)
    mask = np.zeros((60, 12, 60), bool)
    place: list[slice] = [slice(None)] * 3
    place[axis] = slice(mask.shape[axis] // 2, None)
    mask[tuple(place)] = True
    line = [0, 0, 0]
    line[axis] = slice(None)  # type: ignore[call-overload]
    for dilate, sign in ((True, 1), (False, -1)):
        noisy = moved(mask, radius, dilate=dilate, spacing=spacing)
        steps = int(noisy[tuple(line)].sum()) - int(mask[tuple(line)].sum())
        assert abs(sign * steps * spacing[axis] - radius) <= spacing[axis] / 2


@pytest.mark.parametrize("radius", [3.01, 3.5, 4.99, 7.2, 8.9])
def test_the_papers_definition_is_the_radius_plus_half_a_pixel(radius: float) -> None:
    mask = blob()
    grown = mask | (distance_transform_edt(~mask) < radius)
    shrunk = mask & ~(distance_transform_edt(mask) < radius)
    spacing = (0.7, 3.0)
    assert np.array_equal(moved(mask, radius - 0.5, dilate=True, spacing=spacing, in_pixels=True), grown)
    assert np.array_equal(moved(mask, radius - 0.5, dilate=False, spacing=spacing, in_pixels=True), shrunk)
    assert shrunk.sum() < mask.sum() < grown.sum()


@pytest.mark.parametrize("radius", [2.0, 2.5, 6.3])
def test_erosion_is_the_dilation_of_the_background(radius: float) -> None:
    mask = blob()
    grown = moved(~mask, radius, dilate=True, spacing=(1.0, 2.5))
    assert np.array_equal(moved(mask, radius, dilate=False, spacing=(1.0, 2.5)), ~grown)


def test_a_grown_pixel_is_a_ball_in_mm() -> None:
    mask = np.zeros((41, 41, 9), bool)
    mask[20, 20, 4] = True
    noisy = moved(mask, 8.0, dilate=True, spacing=(0.5, 1.0, 5.0))
    half_widths_mm = [
        (noisy.any(axis=tuple({0, 1, 2} - {axis})).sum() - 1) / 2 * s
        for axis, s in enumerate((0.5, 1.0, 5.0))
    ]
    assert half_widths_mm == [8.0, 8.0, 10.0]


def test_radii_are_uniform_and_dilations_as_frequent_as_asked(rng: np.random.Generator) -> None:
    noise = MorphologyNoise(low_mm=2, high_mm=6, dilate=0.3)
    drawn = [noise.draw_mask(rng, np.ones((1, 1), bool), (1.0, 1.0)) for _ in range(4000)]
    radii = np.array([d["radius"] for d in drawn])
    assert radii.min() >= 2
    assert radii.max() <= 6
    assert np.abs(np.histogram(radii, bins=8, range=(2, 6))[0] - 500).max() < 4 * 500**0.5
    assert abs(np.mean([d["dilate"] for d in drawn]) - 0.3) < 4 * (0.21 / 4000) ** 0.5


@pytest.mark.parametrize("dilate", [True, False])
@pytest.mark.parametrize("value", [True, False])
def test_an_empty_and_a_full_mask_come_back(value: bool, dilate: bool) -> None:
    mask = np.full((1, 7), value)
    assert np.array_equal(moved(mask, 3.0, dilate=dilate, spacing=(1.0, 1.0)), mask)


def test_the_image_border_does_not_move_and_a_small_structure_can_vanish() -> None:
    mask = np.zeros((8, 30), bool)
    mask[:, :10] = True
    mask[4, 25] = True
    noisy = moved(mask, 3.0, dilate=False, spacing=(1.0, 1.0))
    assert noisy[:, :7].all()
    assert not noisy[:, 7:].any()


def test_parameters_survive_json_and_alone_fix_the_result() -> None:
    labels = LabelMap(blob()[None], Grid((50, 60), (1.0, 2.0)), ("a",))
    noise = MorphologyNoise(low_mm=3, high_mm=5, dilate=0, in_pixels=True)
    params = noise.draw(np.random.default_rng(0), labels)
    again = json.loads(json.dumps(params))
    assert again == params
    assert params["noise"] == "morphology"
    assert np.array_equal(MorphologyNoise().apply(labels, again).array, noise.apply(labels, params).array)


def test_strength_multiplies_radii_and_bias_the_odds_of_a_dilation() -> None:
    styled = MorphologyNoise(low_mm=2, high_mm=6, in_pixels=True).styled(strength=1.5, bias=np.log(3))
    assert (styled.low_mm, styled.high_mm, styled.in_pixels) == (3, 9, True)
    assert styled.dilate == pytest.approx(0.75)
    nothing = MorphologyNoise().styled(strength=0)
    params = nothing.draw_mask(np.random.default_rng(0), blob(), (1.0, 1.0))
    assert np.array_equal(nothing.apply_mask(blob(), params, (1.0, 1.0)), blob())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"low_mm": -1}, "low_mm must be a number from 0 up, got -1"),
        ({"high_mm": float("inf")}, "high_mm"),
        ({"low_mm": float("nan")}, "low_mm"),
        ({"low_mm": 7, "high_mm": 6}, "low_mm must not be above high_mm, got 7 and 6"),
        ({"dilate": 1.1}, r"dilate must lie in \[0, 1\], got 1.1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MorphologyNoise(**setting)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="strength"):
        MorphologyNoise().styled(strength=-1)
