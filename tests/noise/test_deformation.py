"""Smooth Gaussian displacement: its variance, the closed form of the marginal, neighbours that stay so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.special import ndtr

from drawing import disc
from labelmend.errors import ConfigError
from labelmend.noise.deformation import DeformationNoise, smooth_field
from labelmend.types import BoolArray, FloatArray, Grid, LabelMap


def single(mask: BoolArray, spacing: tuple[float, ...]) -> LabelMap:
    return LabelMap(mask[None], Grid(mask.shape, spacing), ("a",))


def frequency(noise: DeformationNoise, labels: LabelMap, n: int) -> FloatArray:
    """How often each pixel is drawn as foreground."""
    rng = np.random.default_rng(5)
    return np.mean([noise.apply(labels, noise.draw(rng, labels)).array[0] for _ in range(n)], axis=0)


def interval(centres_mm: FloatArray, low: float, high: float, sd: float) -> FloatArray:
    """P(low < x + u < high) for u normal."""
    return np.asarray(ndtr((high - centres_mm) / sd) - ndtr((low - centres_mm) / sd))


def assert_marginal(found: FloatArray, expected: FloatArray, n: int, slack: float) -> None:
    """Every pixel within the error of n draws, and the squared errors not too large on the whole."""
    variance = expected * (1 - expected) / n
    assert (np.abs(found - expected) < slack + 4.5 * variance**0.5).all()
    assert ((found - expected) ** 2).mean() < 1.3 * variance.mean() + slack**2


@pytest.mark.parametrize(("spacing", "length_mm"), [((1.0, 1.0), 6.0), ((0.7, 2.5), 6.0), ((0.7, 2.5), 15.0)])
def test_the_marginal_is_the_mask_convolved_with_the_normal_density(
    spacing: tuple[float, float], length_mm: float
) -> None:
    n, sd = 700, 3.0
    shape = tuple(round(60 / s) for s in spacing)
    (y, x) = (np.arange(m) * s for m, s in zip(shape, spacing, strict=True))
    rows = (y > 20) & (y < 42)
    columns = (x > 15) & (x < 32)
    labels = single(rows[:, None] & columns[None], spacing)
    found = frequency(DeformationNoise(sd_mm=sd, length_mm=length_mm), labels, n)
    edges = [(c[b].min() - s / 2, c[b].max() + s / 2) for c, b, s in zip((y, x), (rows, columns), spacing)]
    expected = interval(y, *edges[0], sd)[:, None] * interval(x, *edges[1], sd)[None]
    assert_marginal(found, expected, n, slack=0.012)


def test_the_marginal_of_any_shape_is_its_blur() -> None:
    n, sd, spacing = 700, 4.0, (1.0, 2.0)
    y, x = np.mgrid[:64, :32] * np.reshape(spacing, (2, 1, 1))
    mask = (np.hypot(y - 30, x - 26) < 14) | (np.hypot(y - 42, x - 40) < 8)
    mask &= ~(np.hypot(y - 28, x - 26) < 5)
    found = frequency(DeformationNoise(sd_mm=sd, length_mm=12), single(mask, spacing), n)
    expected = gaussian_filter(mask.astype(float), [sd / s for s in spacing], truncate=6)
    assert_marginal(found, expected, n, slack=0.02)
    blurs = {f: gaussian_filter(mask.astype(float), [f * sd / s for s in spacing]) for f in (0.92, 1, 1.08)}
    assert min(blurs, key=lambda f: float(((found - blurs[f]) ** 2).sum())) == 1


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.5, 0.7)])
@pytest.mark.parametrize("offset", [-2.0, 0.6, 3.0])
def test_an_offset_moves_a_flat_face_outward_by_that_much(
    spacing: tuple[float, float], offset: float
) -> None:
    n, sd = 500, 3.0
    y = np.arange(round(60 / spacing[0])) * spacing[0]
    mask = np.repeat((y > 30)[:, None], 6, axis=1)
    noise = DeformationNoise(sd_mm=sd, length_mm=10, offset_mm=offset)
    found = frequency(noise, single(mask, spacing), n).mean(axis=1)
    face = y[y > 30].min() - spacing[0] / 2
    assert found == pytest.approx(ndtr((y - face + offset) / sd), abs=4 * 0.5 / n**0.5)


@pytest.mark.parametrize(
    ("shape", "spacing", "length_mm"),
    [((9, 30), (1.0, 1.0), 12.0), ((8, 9), (5.0, 1.0), 4.0), ((6, 10, 8), (5.0, 0.5, 1.5), 6.0)],
)
def test_every_pixel_has_variance_one_and_neighbours_correlate_by_the_square_of_their_distance(
    shape: tuple[int, ...], spacing: tuple[float, ...], length_mm: float
) -> None:
    n = 2000
    rng = np.random.default_rng(0)
    fields = np.array([smooth_field(rng, shape, spacing, length_mm)[:2].reshape(2, -1) for _ in range(n)])
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(len(shape), -1)
    squares = ((points[:, :1] - points) * np.reshape(spacing, (-1, 1))) ** 2
    expected = np.exp(-squares.sum(axis=0) / (2 * length_mm**2))
    found = (fields[:, 0, :1] * fields[:, 0]).mean(axis=0)
    error = 1 / n**0.5
    assert np.abs(fields.var(axis=0) - 1).max() < 4.5 * 2**0.5 * error
    assert np.abs(fields.mean(axis=0)).max() < 4.5 * error
    assert np.abs(found - expected).max() < 4.5 * 2**0.5 * error + 0.06 * (min(spacing) > length_mm)
    assert np.abs((fields[:, 0] * fields[:, 1]).mean(axis=0)).max() < 4.5 * error


def test_a_part_of_the_field_is_the_part_of_the_whole_field() -> None:
    box = (slice(3, 9), slice(0, 5))
    whole = smooth_field(np.random.default_rng(0), (20, 30), (1.0, 2.0), 7.0)
    part = smooth_field(np.random.default_rng(0), (20, 30), (1.0, 2.0), 7.0, box)
    assert np.allclose(whole[(slice(None), *box)], part, rtol=0, atol=1e-12)


def test_a_length_far_below_the_pixel_gives_white_noise_and_a_huge_one_a_shift_of_the_whole_image() -> None:
    white = smooth_field(np.random.default_rng(0), (60, 60), (1.0, 1.0), 1e-6)
    assert abs((white[0, 1:] * white[0, :-1]).mean()) < 4 / 60
    rigid = smooth_field(np.random.default_rng(0), (60, 60), (1.0, 1.0), 1e7)
    assert np.ptp(rigid, axis=(1, 2)).max() < 1e-3


def halves() -> LabelMap:
    """Three classes that fill a disc without a gap, on anisotropic pixels."""
    y, x = np.mgrid[:60, :30] * np.reshape((1.0, 2.0), (2, 1, 1)) - 30
    array = np.where(x < 2, 1, np.where(y < 3, 2, 3)).astype(np.uint8)
    array[np.hypot(y, x) > 20] = 0
    return LabelMap(array, Grid(array.shape, (1.0, 2.0)), ("a", "b", "c"))


@pytest.mark.parametrize("offset", [0.0, 2.0, -2.0])
def test_neighbours_stay_neighbours(offset: float) -> None:
    labels = halves()
    noise = DeformationNoise(sd_mm=3, length_mm=20, offset_mm=offset)
    rng = np.random.default_rng(0)
    for _ in range(20):
        noisy = noise.apply(labels, noise.draw(rng, labels)).array
        holes = label(noisy == 0)[1] - 1
        assert holes == 0
        for a, b in ((1, 2), (1, 3), (2, 3)):
            sides = [
                set(zip(p.ravel(), q.ravel()))
                for p, q in ((noisy[1:], noisy[:-1]), (noisy[:, 1:], noisy[:, :-1]))
            ]
            assert any((a, b) in s or (b, a) in s for s in sides)


def test_all_classes_share_one_field_whether_or_not_they_overlap() -> None:
    labels = halves()
    stacked = LabelMap(labels.masks(), labels.grid, labels.classes)
    alone = LabelMap(labels.masks()[:1], labels.grid, ("a",))
    noise = DeformationNoise(sd_mm=3, length_mm=15)
    params = noise.draw(np.random.default_rng(0), labels)
    one, many = noise.apply(labels, params).masks(), noise.apply(stacked, params).array
    assert (one != many).sum() <= 0.01 * many.sum()  # where three classes meet
    reach = noise.apply(alone, params).array[0] != many[0]
    assert not reach.any()


def test_without_displacement_and_offset_labels_are_exactly_the_same(rng: np.random.Generator) -> None:
    array = rng.integers(0, 4, (6, 9, 11)).astype(np.int16)
    labels = LabelMap(array, Grid(array.shape, (5.0, 0.5, 0.7)), ("a", "b", "c"))
    nothing = DeformationNoise(offset_mm=3).styled(strength=0, bias=1)
    assert np.array_equal(nothing.apply(labels, nothing.draw(rng, labels)).array, array)


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("offset", [-1.0, 0.0, 1.0])
def test_an_empty_and_a_full_mask_come_back(value: bool, offset: float) -> None:
    labels = single(np.full((1, 9), value), (1.0, 1.0))
    noise = DeformationNoise(offset_mm=offset)
    noisy = noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    assert np.array_equal(noisy.array, labels.array)


def test_a_full_image_of_two_classes_gets_no_background() -> None:
    array = np.repeat([[1] * 10 + [2] * 10], 12, axis=0)
    labels = LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("a", "b"))
    noise = DeformationNoise()
    noisy = noise.apply(labels, noise.draw(np.random.default_rng(0), labels)).array
    assert (noisy > 0).all()
    assert (noisy != array).any()


def test_ignored_pixels_stay() -> None:
    labels = halves()
    array = labels.array.copy()
    array[25:30] = 255
    labels = LabelMap(array, labels.grid, labels.classes, ignore=255)
    noise = DeformationNoise()
    noisy = noise.apply(labels, noise.draw(np.random.default_rng(0), labels)).array
    assert np.array_equal(noisy == 255, array == 255)
    assert (noisy != array).any()


def test_a_flat_cylinder_of_thick_slices_keeps_its_volume_within_a_few_hundredths() -> None:
    mask = np.zeros((9, 45, 45), bool)
    mask[3:6] = disc((45, 45), (22, 22), 14)
    # At this length the true volume hardly varies; what is left is the bias of interpolation.
    noise = DeformationNoise(sd_mm=2, length_mm=200)
    found = frequency(noise, single(mask, (5.0, 1.0, 1.0)), 60).sum()
    assert found / mask.sum() == pytest.approx(1, abs=0.025)


def test_parameters_survive_json_and_alone_fix_the_result() -> None:
    labels, noise = halves(), DeformationNoise(sd_mm=2, length_mm=9, offset_mm=0.5)
    params = noise.draw(np.random.default_rng(0), labels)
    again = json.loads(json.dumps(params))
    assert again == params
    assert params["noise"] == "deformation"
    assert np.array_equal(DeformationNoise().apply(labels, again).array, noise.apply(labels, params).array)


def test_strength_multiplies_displacement_and_offset_and_bias_is_in_deviations() -> None:
    assert DeformationNoise(3, 20, 1).styled(strength=2, bias=0.5) == DeformationNoise(6, 20, 5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"sd_mm": -1}, "sd_mm must be a number from 0 up, got -1"),
        ({"length_mm": 0}, "length_mm must be above 0, got 0"),
        ({"length_mm": float("inf")}, "length_mm"),
        ({"offset_mm": float("nan")}, "offset_mm must be a finite number, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DeformationNoise(**setting)


def test_a_length_of_nearly_nothing_makes_pixels_independent_and_warns_of_nothing() -> None:
    fields = [smooth_field(np.random.default_rng(2), (4, 5), (1.0, 9.0), n) for n in (1e-6, 1e-300, 5e-324)]
    assert np.array_equal(fields[0], fields[1])
    assert np.array_equal(fields[0], fields[2])
