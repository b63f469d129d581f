"""Displacements worked out by hand: sign, spread, specks, spacing, missing boundaries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drawing import box
from labelmend.errors import GeometryError
from labelmend.geometry import boundary_bias
from labelmend.workflows.noise_fitting.displacement import Pair, measure, without_specks


def test_a_mask_that_is_too_large_has_a_positive_bias_and_one_too_small_a_negative_one() -> None:
    clean, large = box((1, 20), (0, 1), (8, 12)), box((1, 20), (0, 1), (6, 14))
    assert measure(large, clean).bias_mm == 2.0
    assert measure(clean, large).bias_mm == -2.0
    assert measure(large, clean).roughness_mm == 0.0


def test_the_bias_is_that_of_geometry_with_the_sign_turned(rng: np.random.Generator) -> None:
    clean = box((30, 40), (10, 20), (10, 30))
    given = box((30, 40), (7, 21), (12, 33))
    assert measure(given, clean, (2.0, 0.5)).bias_mm == pytest.approx(
        -boundary_bias(given, clean, (2.0, 0.5))
    )


def test_roughness_is_the_spread_along_the_boundary() -> None:
    clean, given = box((1, 20), (0, 1), (8, 12)), box((1, 20), (0, 1), (5, 13))
    found = measure(given, clean, 0.5)
    assert (found.bias_mm, found.roughness_mm) == (1.0, 0.5)  # 3 and 1 pixels of half a millimetre
    assert (found.area_ratio, found.dice) == (2.0, pytest.approx(2 / 3))
    assert sorted(found.values_mm) == [0.5, 1.5]


def test_slices_far_apart_move_the_boundary_by_their_distance() -> None:
    clean, given = box((8, 4, 4), (2, 4), (0, 4), (0, 4)), box((8, 4, 4), (2, 5), (0, 4), (0, 4))
    found = measure(given, clean, (5.0, 1.0, 1.0))
    assert (found.bias_mm, found.roughness_mm) == (2.5, 2.5)  # one of two equal faces moved by 5 mm


@pytest.mark.parametrize("empty", [np.zeros((5, 6), bool), np.ones((5, 6), bool)])
def test_a_mask_without_boundary_has_no_displacement(empty: np.ndarray) -> None:
    mask = box((5, 6), (1, 3), (1, 4))
    for given, clean in ((empty, mask), (mask, empty)):
        found = measure(given, clean)
        assert math.isnan(found.bias_mm)
        assert found.values_mm.size == 0
    assert measure(np.zeros((5, 6), bool), mask).dice == 0.0


def test_islands_and_holes_that_are_specks_are_no_boundary() -> None:
    clean = box((60, 60), (20, 40), (20, 40))
    given = clean.copy()
    given[5, 5:8], given[30, 30] = True, False
    assert np.array_equal(without_specks(given, clean), clean)
    assert measure(given, clean).bias_mm == 0.0
    assert measure(given, clean).dice < 1


def test_small_parts_of_the_clean_mask_are_no_specks() -> None:
    clean = box((60, 60), (20, 40), (20, 40))
    clean[5, 5], clean[30, 30] = True, False
    assert np.array_equal(without_specks(clean, clean), clean)


def test_a_large_island_is_no_speck() -> None:
    clean = box((60, 60), (30, 40), (30, 40))
    given = clean | box((60, 60), (2, 9), (2, 9))
    assert np.array_equal(without_specks(given, clean), given)


def test_speckle_far_from_the_outlines_is_counted_as_it_is(rng: np.random.Generator) -> None:
    clean = box((200, 200), (50, 150), (50, 150))
    given = clean ^ (rng.random(clean.shape) < 0.03)
    found = measure(given, clean)
    assert found.n_deep > 30000
    assert abs(found.speck_share - 0.03) < 4 * (0.03 * 0.97 / found.n_deep) ** 0.5


def test_long_waves_are_correlated_further_than_short_ones() -> None:
    y, x = np.mgrid[:120, :240]
    clean = y > 60
    found = [
        measure(y > 60 + np.rint(8 * np.sin(2 * np.pi * x / length)), clean).correlation_mm
        for length in (20, 80)
    ]
    assert 1 < found[0] < 8
    assert 8 < found[1] < 32


def test_a_shifted_outline_has_no_correlation_to_measure() -> None:
    y, _ = np.mgrid[:20, :20]
    assert math.isnan(measure(y > 8, y > 10).correlation_mm)


def test_ignored_pixels_count_as_right() -> None:
    clean = box((1, 20), (0, 1), (8, 12))
    given = box((1, 20), (0, 1), (6, 14))
    ignored = box((1, 20), (0, 1), (12, 20))
    pair = Pair(given, clean, (1.0, 1.0), ignored)
    assert pair.against_clean(given).bias_mm == 1.0  # two on the left, none on the right


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"\(2, 3\), clean mask \(3, 2\)"):
        measure(np.ones((2, 3), bool), np.ones((3, 2), bool))
