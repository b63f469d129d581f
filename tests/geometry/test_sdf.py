import numpy as np
import pytest

from labelmend.errors import GeometryError
from labelmend.geometry import signed_distance, signed_distance_at


def test_zero_lies_on_the_face_between_two_voxels():
    assert signed_distance(np.array([False, True])).tolist() == [0.5, -0.5]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_face_lies_at_half_the_spacing_of_its_own_axis(axis):
    spacing_mm = (3.0, 0.5, 1.2)
    mask = np.zeros((8, 8, 8), bool)
    mask[(slice(None),) * axis + (slice(4, None),)] = True
    line = np.moveaxis(signed_distance(mask, spacing_mm), axis, 0)[:, 0, 0]
    expected = -(np.arange(8) - 3.5) * spacing_mm[axis]
    np.testing.assert_allclose(line, expected)


def test_a_square_reads_its_depth_inside_and_its_distance_outside():
    mask = np.zeros((7, 7), bool)
    mask[2:5, 2:5] = True
    distance = signed_distance(mask)
    assert distance[3, 3] == -1.5
    assert distance[3, 0] == 1.5
    assert distance[1, 1] == pytest.approx(np.sqrt(2) - 0.5)


def test_the_two_sides_are_mirror_images(rng):
    mask = rng.random((9, 11)) > 0.5
    np.testing.assert_allclose(signed_distance(mask, (2.0, 1.0)), -signed_distance(~mask, (2.0, 1.0)))


def test_scaling_the_grid_scales_the_distance(rng):
    mask = rng.random((6, 7, 5)) > 0.5
    np.testing.assert_allclose(signed_distance(mask, (3, 6, 9)), 3 * signed_distance(mask, (1, 2, 3)))


def test_isotropic_and_anisotropic_code_agree(rng):
    mask = rng.random((12, 13)) > 0.6
    nearly = signed_distance(mask, (2.0, 2.0 + 1e-9))
    np.testing.assert_allclose(nearly, signed_distance(mask, 2.0), atol=1e-6)


def test_empty_and_full_masks_have_no_boundary():
    assert (signed_distance(np.zeros((3, 3), bool)) == np.inf).all()
    assert (signed_distance(np.ones((3, 3), bool)) == -np.inf).all()


@pytest.mark.parametrize("spacing_mm", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, np.nan), (1, 2, 3)])
def test_a_spacing_that_does_not_fit_is_refused(spacing_mm):
    with pytest.raises(GeometryError, match="positive spacings"):
        signed_distance(np.eye(3, dtype=bool), spacing_mm)


@pytest.mark.parametrize("spacing_mm", [0.7, (0.7, 0.7, 0.7), (5.0, 0.7, 0.7), (0.3, 1.1, 0.9)])
def test_some_pixels_have_the_distance_that_they_have_among_all(rng, spacing_mm):
    mask = rng.random((5, 9, 8)) > 0.5
    mask[2:4, 3:6, 3:6] = True
    whole = signed_distance(mask, spacing_mm).ravel()
    for places in (
        np.arange(mask.size),
        rng.integers(0, mask.size, 20),
        np.flatnonzero(mask)[::-1],
        np.flatnonzero(~mask),
        np.array([], int),
    ):
        found = signed_distance_at(mask, places, spacing_mm)
        assert found.tobytes() == whole[places].tobytes()


def test_of_some_pixels_of_empty_and_full_masks_there_is_no_boundary_either():
    places = np.array([0, 8])
    assert signed_distance_at(np.zeros((3, 3), bool), places).tolist() == [np.inf] * 2
    assert signed_distance_at(np.ones((3, 3), bool), places).tolist() == [-np.inf] * 2
