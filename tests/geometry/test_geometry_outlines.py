"""Outlines along pixel faces, and polygons filled at pixel centres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labelmend.geometry import outlines, paging_axis, rasterise


def area(corners: list[tuple[int, int]]) -> float:
    """Shoelace formula; clockwise on a screen is positive."""
    x, y = np.array(corners, float).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def length(corners: list[tuple[int, int]]) -> int:
    points = np.array([*corners, corners[0]])
    return int(np.abs(np.diff(points, axis=0)).sum())


def test_one_pixel_is_a_square() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    assert outlines(mask) == [[(2, 1), (3, 1), (3, 2), (2, 2)]]


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 3), bool)) == []


def test_a_full_mask_is_outlined_by_the_image_border() -> None:
    assert outlines(np.ones((2, 5), bool)) == [[(0, 0), (5, 0), (5, 2), (0, 2)]]


def test_a_hole_runs_the_other_way_round() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    assert sorted(map(area, outlines(mask))) == [-1.0, 9.0]


def test_pixels_that_touch_at_a_corner_are_outlined_apart() -> None:
    for mask in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        assert sorted(map(area, outlines(mask))) == [1.0, 1.0]


def test_holes_that_touch_at_a_corner_form_one_outline() -> None:
    mask = np.ones((4, 4), bool)
    mask[1, 1] = mask[2, 2] = False
    assert sorted(map(area, outlines(mask))) == [-2.0, 16.0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_area_and_length_of_random_outlines_are_those_of_the_mask(
    rng: np.random.Generator, share: float
) -> None:
    mask = rng.random((23, 17)) < share
    faces = sum(int((np.diff(np.pad(mask, 1).astype(int), axis=axis) != 0).sum()) for axis in (0, 1))
    found = outlines(mask)
    assert sum(map(area, found)) == mask.sum()
    assert sum(map(length, found)) == faces


def test_corners_are_kept_only_where_the_direction_changes(rng: np.random.Generator) -> None:
    for corners in outlines(rng.random((15, 15)) < 0.5):
        steps = np.diff(np.array([*corners, corners[0], corners[1]]), axis=0)
        assert (np.abs(steps).min(axis=1) == 0).all()
        assert ((steps[1:] * steps[:-1]).sum(axis=1) == 0).all()


@settings(max_examples=200, deadline=None, database=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_filled_outlines_give_every_mask_back(mask: np.ndarray) -> None:
    assert np.array_equal(rasterise(outlines(mask), mask.shape), mask)


def inside(x: float, y: float, polygon: np.ndarray) -> bool:
    """Even-odd, one edge after the other."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0)):
        if (y0 <= y) != (y1 <= y):
            crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
    return crossings % 2 == 1


points = st.lists(st.tuples(*[st.floats(-4, 12, allow_subnormal=False)] * 2), min_size=3, max_size=8)


@settings(max_examples=100, deadline=None, database=None)
@given(points)
def test_a_pixel_is_filled_if_its_centre_is_inside_whatever_the_polygon(corners: list) -> None:
    expected = [[inside(c + 0.5, r + 0.5, np.array(corners)) for c in range(8)] for r in range(6)]
    assert np.array_equal(rasterise([corners], (6, 8)), expected)


def test_a_polygon_through_pixel_centres_does_not_grow_the_area() -> None:
    square = [(1.5, 1.5), (5.5, 1.5), (5.5, 4.5), (1.5, 4.5)]
    assert rasterise([square], (7, 7)).sum() == 4 * 3


def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none_out() -> None:
    middle = [(4.5, 1), (3.5, 3.5), (5.5, 7.5)]
    left, right = [(0, 0), *middle, (0, 9)], [(9, 0), *middle, (9, 9)]
    both = rasterise([left], (9, 9)).astype(int) + rasterise([right], (9, 9))
    whole = rasterise([[(0, 0), middle[0], (9, 0), (9, 9), middle[-1], (0, 9)]], (9, 9))
    assert np.array_equal(both, whole)


def test_the_area_of_filled_discs_is_that_of_the_disc_on_average(rng: np.random.Generator) -> None:
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    disc = 6.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    areas = [rasterise([disc + rng.uniform(10, 11, 2)], (21, 21)).sum() for _ in range(300)]
    assert np.mean(areas) == pytest.approx(np.pi * 36, rel=0.005)


def test_no_polygons_and_polygons_outside_fill_nothing() -> None:
    assert not rasterise([], (3, 4)).any()
    assert not rasterise([[], [(1, 1)], [(0, 0), (3, 2)]], (3, 4)).any()
    assert not rasterise([[(-9, -9), (-2, -9), (-2, 9)], [(9, 0), (12, 0), (12, 3)]], (3, 4)).any()


def test_a_polygon_around_the_image_fills_it() -> None:
    assert rasterise([[(-5, -5), (50, -5), (50, 50), (-5, 50)]], (3, 4)).all()


def test_annotators_page_through_the_thickest_slices() -> None:
    assert paging_axis((0.7, 0.7, 3.0)) == 2
    assert paging_axis((1.0, 2.0, 2.0)) == 1
    assert paging_axis((1.0, 1.0, 1.0)) == 0
