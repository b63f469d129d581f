"""Axes of saved arrays and of grids: reversed for NIfTI, unchanged for pictures, reoriented where asked."""

import itertools

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, io_orientation

from labelmend.errors import GeometryError
from labelmend.io.probabilities.axes import Axes, what_would_fit
from labelmend.types import Grid

VOLUME = Grid((4, 5, 6), (1.0, 1.0, 3.0), np.diag([1.0, 1.0, 3.0, 1.0]))
SLICE = Grid((4, 5), (1.0, 1.0), np.eye(4))
PICTURE = Grid((4, 5), (1.0, 1.0))
STACK = Grid((3, 4, 5), (2.0, 1.0, 1.0))


def numbered(shape):
    return np.arange(np.prod(shape)).reshape(shape)


def test_axes_of_nifti_are_reversed_in_the_order_of_simpleitk():
    axes = Axes(VOLUME, "sitk")
    assert axes.shapes() == ((6, 5, 4),)
    saved = numbered((6, 5, 4))
    assert axes.on_grid(saved)[1, 2, 3] == saved[3, 2, 1]
    assert axes.on_grid(saved).shape == VOLUME.shape


def test_axes_of_pictures_are_the_same_in_either_order():
    for order in ("array", "sitk"):
        assert Axes(STACK, order).shapes() == ((3, 4, 5),)
        np.testing.assert_array_equal(Axes(STACK, order).on_grid(numbered((3, 4, 5))), numbered((3, 4, 5)))


def test_arrays_in_the_order_of_the_grid_stay():
    np.testing.assert_array_equal(Axes(VOLUME, "array").on_grid(numbered((4, 5, 6))), numbered((4, 5, 6)))


def test_flat_arrays_may_carry_an_axis_of_length_one():
    assert Axes(PICTURE, "sitk").shapes() == ((4, 5), (1, 4, 5), (4, 1, 5), (4, 5, 1))
    assert Axes(PICTURE, "array").shapes() == ((4, 5), (1, 4, 5), (4, 1, 5), (4, 5, 1))
    assert Axes(SLICE, "sitk").shapes() == ((5, 4), (1, 5, 4), (5, 1, 4), (5, 4, 1))
    np.testing.assert_array_equal(Axes(PICTURE, "sitk").on_grid(numbered((1, 4, 5))), numbered((4, 5)))
    np.testing.assert_array_equal(Axes(SLICE, "sitk").on_grid(numbered((1, 5, 4))), numbered((5, 4)).T)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_reorienting_is_undone_for_every_orientation(axes, signs):
    turned = np.zeros((3, 3))
    turned[list(axes), range(3)] = np.multiply(signs, (1.0, 2.0, 3.5))
    tilt = np.array([[0.98, -0.17, 0], [0.17, 0.98, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ turned
    given = numbered((4, 5, 6))
    ras = nibabel.Nifti1Image(given.astype(np.int32), affine).as_reoriented(io_orientation(affine))
    saved = np.asarray(ras.dataobj).T  # what nnU-Net keeps: RAS, then z y x
    found = Axes(Grid((4, 5, 6), (1.0, 2.0, 3.5), affine), "sitk", ras=True)
    assert found.shapes() == (saved.shape,)
    np.testing.assert_array_equal(found.on_grid(saved), given)


def test_reorienting_a_single_slice_is_undone_too():
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    given = numbered((4, 5))
    saved = np.asarray(apply_orientation(given[..., None], io_orientation(affine))).T
    assert saved.shape == (1, 5, 4)
    found = Axes(Grid((4, 5), (1.0, 2.0), affine), "sitk", ras=True)
    np.testing.assert_array_equal(found.on_grid(saved), given)


def test_pictures_are_never_reoriented():
    np.testing.assert_array_equal(Axes(PICTURE, "sitk", ras=True).on_grid(numbered((4, 5))), numbered((4, 5)))


def test_a_flat_affine_is_an_error():
    grid = Grid((4, 5, 6), (1.0, 1.0, 1.0), np.diag([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(GeometryError, match="does not span three dimensions"):
        Axes(grid, "sitk", ras=True).shapes()


def test_what_would_fit_is_told():
    assert what_would_fit((3, 6, 5, 4), VOLUME) == 'it would fit with axis order "sitk": use --order sitk'
    assert what_would_fit((3, 4, 5, 6), VOLUME) == 'it would fit with axis order "array": use --order array'
    assert what_would_fit((4, 5, 3), PICTURE).startswith("it would fit with its axes in the order (2, 0, 1)")
    assert what_would_fit((3, 5, 4), PICTURE).startswith("it would fit with its axes in the order (0, 2, 1)")
    assert what_would_fit((3, 8, 8), PICTURE).startswith("no order of its axes would fit")
    assert what_would_fit((3,), PICTURE).startswith("no order of its axes would fit")
