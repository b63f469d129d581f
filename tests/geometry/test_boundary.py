import numpy as np
import pytest

from labelmend.errors import GeometryError
from labelmend.geometry import (
    boundary_bias,
    boundary_displacements,
    face_values,
    frontier,
    signed_distance,
    trimmed_mean,
)


def slab(start: int, stop: int, shape=(6, 20), axis: int = 1) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[(slice(None),) * axis + (slice(start, stop),)] = True
    return mask


def test_frontiers_of_a_cross():
    mask = np.array(
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool
    )
    inner = np.array(
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool
    )
    outer = np.array(
        [[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0]], bool
    )
    np.testing.assert_array_equal(frontier(mask, outer=False), inner)
    np.testing.assert_array_equal(frontier(mask, outer=True), outer)


def test_the_image_border_is_no_frontier():
    assert not frontier(np.ones((3, 4), bool), outer=False).any()


def test_equal_masks_have_no_bias(rng):
    mask = rng.random((14, 15)) > 0.5
    assert boundary_bias(mask, mask, (2.0, 1.0)) == pytest.approx(0)


@pytest.mark.parametrize("moved_vox", [-3, -2, -1, 1, 2, 3])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (4.0, 0.7)])
def test_a_flat_boundary_moved_outward_reads_minus_its_shift_and_inward_plus(moved_vox, spacing_mm):
    predicted, clean = slab(6 - moved_vox, 14 + moved_vox), slab(6, 14)
    bias = boundary_bias(predicted, clean, spacing_mm)
    assert bias == pytest.approx(-moved_vox * spacing_mm[1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_boundary_in_3d_reads_mm_along_its_own_axis(axis):
    spacing_mm, shape = (5.0, 0.8, 1.1), (12, 12, 12)
    bias = boundary_bias(slab(4, 12, shape, axis), slab(6, 12, shape, axis), spacing_mm)
    assert bias == pytest.approx(-2 * spacing_mm[axis])


def test_faces_carry_their_area():
    values, areas = face_values(np.zeros((2, 2)), np.array([[1, 0], [0, 0]], bool), (3.0, 2.0))
    assert values.tolist() == [0, 0]
    assert areas.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("empty", [np.zeros((4, 4), bool), np.ones((4, 4), bool)])
def test_nothing_is_measured_where_a_boundary_is_missing(empty):
    some = np.eye(4, dtype=bool)
    assert np.isnan(boundary_bias(empty, some))
    assert np.isnan(boundary_bias(some, empty))


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(GeometryError, match=r"\(3, 3\).*\(3, 4\)"):
        boundary_bias(np.eye(3, dtype=bool), np.zeros((3, 4), bool))


def test_a_trimmed_bias_reads_the_shift_although_a_part_of_the_boundary_is_lost():
    """A square moved outward by 1; on its right side the prediction runs on to the border."""
    clean, predicted = np.zeros((24, 40), bool), np.zeros((24, 40), bool)
    clean[6:18, 6:26] = True
    predicted[5:19, 5:40] = True
    assert boundary_bias(predicted, clean, trim=0.25) == pytest.approx(-1)
    assert boundary_bias(predicted, clean) < -1.5


def test_the_trimmed_mean_cuts_by_weight():
    # weights 2 1 1: a quarter of 4 is cut at each end, one of the two at -8 and the one at 4
    assert trimmed_mean(np.array([4.0, -8.0, 1.0]), np.array([1.0, 2.0, 1.0]), 0.25) == pytest.approx(-3.5)


@pytest.mark.parametrize("spacing_mm", [1.0, 0.7, (5.0, 0.7, 0.7)])
def test_displacements_are_the_same_with_and_without_a_distance_that_is_there_already(rng, spacing_mm):
    for shift in (0, 1, 3):
        clean = np.zeros((9, 14, 14), bool)
        clean[2:6, 3:9, 3:9] = True
        predicted = np.roll(clean, shift, axis=2) ^ (rng.random(clean.shape) > 0.99)
        distance = signed_distance(predicted, spacing_mm)
        known, areas = boundary_displacements(distance, predicted, clean, spacing_mm)
        found, same = boundary_displacements(None, predicted, clean, spacing_mm)
        assert (found.tobytes(), same.tobytes()) == (known.tobytes(), areas.tobytes())
        values, _ = face_values(distance, clean, spacing_mm)
        shared = face_values(predicted.astype(float), clean)[0] == 0.5
        assert found.tolist() == np.where(shared, 0, values).tolist()


def test_faces_that_both_boundaries_share_are_not_displaced():
    clean = np.array([[0, 1, 1, 1, 1, 0, 0, 0, 0]], bool)
    predicted = np.array([[0, 1, 1, 1, 1, 1, 1, 0, 0]], bool)
    values, areas = boundary_displacements(None, predicted, clean, (2.0, 0.5))
    assert values.tolist() == [0, -1]
    assert areas.tolist() == [2, 2]


def test_masks_and_distances_of_another_shape_are_refused():
    mask = np.eye(3, dtype=bool)
    for distance, predicted in ((None, mask[:2]), (np.zeros((3, 2)), mask)):
        with pytest.raises(GeometryError, match="read on the boundary of a mask of shape"):
            boundary_displacements(distance, predicted, mask)
