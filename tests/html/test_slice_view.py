"""SVG paths, and planes of volumes."""

from __future__ import annotations

import numpy as np

from labelmend.html.slice_view import choose_plane, svg_path
from labelmend.types import Grid


def test_one_pixel_is_a_square() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    assert svg_path(mask) == "M2 1h1v1h-1z"


def test_every_outline_is_a_closed_part_of_the_path() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    assert svg_path(mask) == "M0 0h3v3h-3zM1 2h1v-1h-1z"


def test_an_empty_mask_has_no_path() -> None:
    assert svg_path(np.zeros((3, 3), bool)) == ""


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
