import numpy as np
import pytest

from labelmend.errors import GeometryError
from labelmend.geometry import signed_distance


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
