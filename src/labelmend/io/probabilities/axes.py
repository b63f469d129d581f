"""Map the axes of a stored array to those of a grid: same order, reversed, or reoriented."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError
from labelmend.types import Grid

Order = Literal["array", "sitk"]
ORDERS: tuple[Order, ...] = get_args(Order)
OrderSetting = Literal["auto", "array", "sitk"]
"""Accepted values: an axis order, or "auto" to infer it from the name of the array."""

ORDER_HELP = (
    "axis order of probability arrays for NIfTI labels: array (as in nibabel), sitk (reversed, as in "
    "SimpleITK and nnU-Net), or auto (inferred from the name of the array)"
)


@dataclass(frozen=True)
class Axes:
    """The spatial axes of an array relative to a grid.

    A grid with an affine comes from NIfTI, whose axes labelmend reads as x y z; one without an affine comes
    from pictures, whose axes are the same in either convention.

    Args:
        grid: the target grid.
        order: "array": same as the grid; "sitk": reversed if the grid comes from NIfTI.
        ras: the array was reoriented to RAS (right, anterior, superior) before its axes were reversed.
            Needs an affine; ignored without one.
    """

    grid: Grid
    order: Order
    ras: bool = False

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Accepted shapes of the array; 2-D ones may have an extra axis of length one anywhere."""
        base = self._base()
        if self._reoriented or self.grid.ndim != 2:
            return (base,)
        return (base, *((*base[:place], 1, *base[place:]) for place in range(3)))

    def on_grid(self, array: NDArray[Any]) -> NDArray[Any]:
        """View an array of one of the `shapes` as `(*space)` on the grid."""
        array = array.reshape(self._base())
        if not self._reversed:
            return array
        return self._back(array.T) if self._reoriented else array.T

    @property
    def _reversed(self) -> bool:
        return self.order == "sitk" and self.grid.affine is not None

    @property
    def _reoriented(self) -> bool:
        return self.ras and self._reversed

    def _base(self) -> tuple[int, ...]:
        shape = self.grid.shape
        if self._reoriented:
            places = self._orientation()[:, 0].astype(int)
            full = (*shape, 1)[:3]
            shape = tuple(full[int(np.flatnonzero(places == axis)[0])] for axis in range(3))
        return shape[::-1] if self._reversed else shape

    def _orientation(self) -> NDArray[np.float64]:
        """Per axis of the grid, the axis it becomes in RAS orientation and whether it is flipped (-1)."""
        from nibabel.orientations import io_orientation

        found = np.asarray(io_orientation(self.grid.affine), np.float64)
        if np.isnan(found).any():
            raise GeometryError(
                f"the affine of the labels does not span three dimensions: {self.grid.affine}"
            )
        return found

    def _back(self, array: NDArray[Any]) -> NDArray[Any]:
        """From RAS orientation to the axes of the grid."""
        from nibabel.orientations import apply_orientation, ornt_transform

        ras = np.array([[0, 1], [1, 1], [2, 1]], np.float64)
        turned = apply_orientation(array, ornt_transform(ras, self._orientation()))
        return np.asarray(turned).reshape(self.grid.shape)


def what_would_fit(shape: tuple[int, ...], grid: Grid) -> str:
    """Advice on a channels-first array that does not fit, as the end of a sentence.

    Args:
        shape: its whole shape, channels included.
        grid: the target grid.

    >>> what_would_fit((256, 128, 3), Grid((256, 128), (1.0, 1.0)))
    'it would fit with its axes in the order (2, 0, 1), as by array.transpose'
    """
    for order in ORDERS:
        if shape[1:] in Axes(grid, order).shapes():
            return f'it would fit with axis order "{order}": use --order {order}'
    if len(shape) == grid.ndim + 1:
        channels_last = (len(shape) - 1, *range(len(shape) - 1))
        for axes in (channels_last, *permutations(range(len(shape)))):
            if tuple(shape[axis] for axis in axes[1:]) == grid.shape:
                return f"it would fit with its axes in the order {axes}, as by array.transpose"
    return "no order of its axes would fit; predict on the grid of the labels"
