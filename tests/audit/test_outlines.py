"""Outlines along pixel faces, and planes of volumes."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.audit.outlines import choose_plane, outlines, svg_path
from labelmend.types import Grid


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
    assert svg_path(mask) == "M2 1h1v1h-1z"


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 3), bool)) == []
    assert svg_path(np.zeros((3, 3), bool)) == ""


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


def test_a_flat_picture_is_shown_as_it_is_stored() -> None:
    array = np.arange(6).reshape(2, 3)
    plane = choose_plane(Grid((2, 3), (1.0, 2.0)), array)
    assert np.array_equal(plane.take(array), array)
    assert (plane.axis, plane.name, plane.ends) == (None, "", "")
    assert plane.height_to_width == 2 * 1.0 / (3 * 2.0)


def test_without_affine_the_thickest_axis_is_cut() -> None:
    weight = np.zeros((4, 5, 6))
    weight[2, 3, 1] = 1
    plane = choose_plane(Grid((4, 5, 6), (1.0, 3.0, 1.0)), weight)
    assert (plane.axis, plane.index, plane.name) == (1, 3, "slice across axis 1, 4 of 5")
    assert plane.take(weight).shape == (4, 6)
    assert plane.take(weight)[2, 1] == 1


def test_without_affine_and_with_equal_spacing_the_first_axis_is_cut() -> None:
    assert choose_plane(Grid((4, 5, 6), (1.0, 1.0, 1.1)), np.ones((4, 5, 6))).axis == 0


def test_an_isotropic_volume_with_affine_is_shown_axially_right_at_left_and_anterior_on_top() -> None:
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[0, 1] = affine[1, 2] = affine[3, 3] = 1  # axes run to superior, right, anterior
    volume = np.zeros((3, 4, 5))
    volume[1, 3, 4] = 1  # the most right, most anterior voxel of the second slice
    plane = choose_plane(Grid((3, 4, 5), (1.0, 1.0, 1.0), affine), volume)
    assert (plane.axis, plane.name, plane.ends) == (0, "axial slice, 2 of 3", "RLAP")
    picture = plane.take(volume)
    assert picture.shape == (5, 4)
    assert picture[0, 0] == 1


def test_a_sagittal_stack_is_shown_with_anterior_at_left_and_superior_on_top() -> None:
    affine = np.diag([4.0, -1.0, -1.0, 1.0])
    volume = np.zeros((3, 4, 5))
    volume[0, 0, 0] = 1  # axes 1 and 2 run to posterior and inferior: first = most anterior, most superior
    plane = choose_plane(Grid((3, 4, 5), (4.0, 1.0, 1.0), affine), volume)
    assert (plane.name, plane.ends) == ("sagittal slice, 1 of 3", "APSI")
    assert plane.take(volume).shape == (5, 4)
    assert plane.take(volume)[0, 0] == 1


def test_an_oblique_affine_with_two_axes_alike_is_not_trusted() -> None:
    affine = np.array([[1, 1, 0, 0], [0.5, 0.9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    plane = choose_plane(Grid((3, 4, 5), (1.0, 1.0, 1.0), affine), np.ones((3, 4, 5)))
    assert (plane.axis, plane.ends) == (0, "")


def test_a_flat_nifti_is_turned_like_a_slice() -> None:
    array = np.arange(6).reshape(2, 3)
    plane = choose_plane(Grid((2, 3), (1.0, 1.0), np.diag([-1.0, 1.0, 1.0, 1.0])), array)
    assert plane.ends == "RLAP"
    assert plane.take(array).tolist() == [[2, 5], [1, 4], [0, 3]]
