"""Volumes turned by their affine: every voxel stays where it lies in the world."""

import itertools

import nibabel
import numpy as np
import pytest

from labelmend.geometry.orientation import (
    Turn,
    axis_codes,
    corner_gap_vox,
    labels_onto,
    turn_onto,
    turn_to,
)
from labelmend.types import Grid, LabelMap

SHAPE, SPACING = (4, 3, 2), (0.5, 0.7, 3.0)
AS_IS = np.eye(4)
EVERY = [
    Turn(axes, back)
    for axes in itertools.permutations(range(3))
    for back in itertools.product((False, True), repeat=3)
]


def rotation(degrees: float) -> np.ndarray:
    """About the third axis."""
    turned = np.eye(4)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned[:2, :2] = [[c, -s], [s, c]]
    return turned


def grid(affine: np.ndarray = AS_IS, shape: tuple[int, ...] = SHAPE) -> Grid:
    spacing = SPACING[: len(shape)]
    return Grid(shape, spacing, affine @ np.diag([*SPACING, 1.0]))


TILTED = rotation(20)
TILTED[:3, 3] = [5, -3, 2]


def where(of: Grid, voxel: tuple[int, ...]) -> np.ndarray:
    return (of.affine @ [*voxel, *[0] * (3 - len(voxel)), 1])[:3]


@pytest.mark.parametrize("turn", EVERY)
def test_a_turned_voxel_stays_where_it_lies(turn):
    old, array = grid(TILTED), np.arange(24).reshape(SHAPE)
    new, turned = turn.grid(old), turn.apply(array)
    assert turned.shape == new.shape
    for voxel in np.ndindex(turned.shape):
        before = tuple(np.argwhere(array == turned[voxel])[0])
        np.testing.assert_allclose(where(new, voxel), where(old, before), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(new.affine[:3, :3], axis=0), new.spacing_mm)


@pytest.mark.parametrize("turn", EVERY)
def test_a_turn_is_undone(turn):
    stack = np.arange(48).reshape(2, *SHAPE)
    assert np.array_equal(turn.undo(turn.apply(stack)), stack)
    np.testing.assert_allclose(turn.inverse().grid(turn.grid(grid(TILTED))).affine, grid(TILTED).affine)


@pytest.mark.parametrize("turn", EVERY)
def test_codes_and_turns_are_those_of_nibabel(turn):
    stored = turn.grid(grid(TILTED))
    assert axis_codes(stored) == "".join(nibabel.aff2axcodes(stored.affine))
    back = turn_to(stored, "RAS")
    assert axis_codes(back.grid(stored)) == "RAS"
    np.testing.assert_allclose(back.grid(stored).affine, grid(TILTED).affine, atol=1e-12)


def test_nothing_to_turn_gives_the_very_array():
    array = np.zeros(SHAPE)
    turn = turn_to(grid(), "RAS")
    assert turn.is_none
    assert turn.apply(array) is array


@pytest.mark.parametrize("degrees", [44.9999999, 45.0, 45.0000001])
def test_where_two_orders_of_axes_fit_equally_well_the_stored_one_stays(degrees):
    assert axis_codes(grid(rotation(degrees))) == "RAS"
    assert turn_to(grid(rotation(degrees)), "RAS").is_none


def test_labels_are_turned_onto_their_image_even_where_its_orientation_is_a_near_tie():
    image = grid(rotation(45))
    stored = Turn((1, 0, 2), (False, True, False)).grid(image)
    turn = turn_onto(stored, image)
    np.testing.assert_allclose(turn.grid(stored).affine, image.affine, atol=1e-12)


def test_labels_without_affine_or_alike_stay_as_they_are():
    labels = LabelMap(np.zeros(SHAPE, np.uint8), Grid(SHAPE, SPACING), ("a",))
    assert labels_onto(labels, grid()) is labels
    assert axis_codes(labels.grid) is None
    assert turn_to(labels.grid, "RAS") is None
    placed = LabelMap(np.zeros(SHAPE, np.uint8), grid(), ("a",))
    assert labels_onto(placed, grid()) is placed


def test_masks_and_ignored_pixels_of_overlapping_labels_turn_together():
    masks = np.arange(24).reshape(1, *SHAPE) % 5 == 0
    ignored = masks[0][::-1]
    labels = LabelMap(masks, grid(np.diag([-1.0, 1, 1, 1])), ("a",), ignored_mask=ignored)
    found = labels_onto(labels, grid())
    assert np.array_equal(found.array, masks[:, ::-1])
    assert np.array_equal(found.ignored(), masks[0])


def test_a_slice_is_turned_in_its_plane_only():
    flat = grid(np.diag([-1.0, 1, -1, 1]), (4, 3))
    assert axis_codes(flat) == "LAS"
    turn = turn_to(flat, "RAS")
    assert turn == Turn((0, 1), (True, False))
    assert turn.grid(flat).affine[0, 3] == -1.5
    coronal = Grid((4, 3), (0.5, 3.0), np.eye(4)[:, [0, 2, 1, 3]])
    assert axis_codes(coronal) == "RSA"
    assert turn_to(coronal, "RAS") is None


def test_the_gap_between_corners_is_told_in_voxels():
    moved = np.eye(4)
    moved[2, 3] = 1.5  # half a slice of 3 mm
    assert corner_gap_vox(grid(), grid(moved)) == pytest.approx(0.5)
    # half a degree about the origin moves the corner at (1.5, 1.4) mm by 2.052 mm * 2 sin(0.25 deg)
    apart = np.linalg.norm((rotation(0.5) - np.eye(4))[:3, :3] @ [1.5, 1.4, 3.0] / SPACING)
    assert corner_gap_vox(grid(), grid(rotation(0.5))) == pytest.approx(apart, rel=1e-3)


def test_grids_that_lie_at_one_place_have_no_gap():
    moved = np.eye(4)
    moved[:3, 3] = 10, -20, 30
    assert corner_gap_vox(grid(moved), grid(moved)) == 0
    assert corner_gap_vox(grid(moved), grid(AS_IS)) == pytest.approx(np.linalg.norm([20, -20 / 0.7, 10]))
