"""Label values: conversion to integers and to the dtype of a file, and the values that occur."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError

WHOLE_TOLERANCE = 1e-4

BLOCK = 1 << 18
"""Pixels counted at once; counting makes a copy of eight bytes per pixel."""


def as_integers(array: NDArray[Any]) -> NDArray[Any]:
    """Label values as integers: integers keep their dtype, floats must be whole numbers and become int32.

    Raises:
        LabelValueError: a value is NaN, infinite or not whole.
    """
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise LabelValueError(f"labels must be whole numbers, but the file stores {array.dtype}")
    good = np.isfinite(array) & (np.abs(array) < 2**31)
    whole = np.rint(np.where(good, array, 0))
    good &= np.abs(np.where(good, array, 0) - whole) < WHOLE_TOLERANCE
    if not good.all():
        shown = ", ".join(f"{value:g}" for value in np.unique(array[~good])[:3])
        raise LabelValueError(
            f"labels must be whole numbers, but {int((~good).sum())} pixels are not (such as {shown})"
        )
    return whole.astype(np.int32)


def fit_dtype(array: NDArray[Any], dtype: np.dtype | type) -> NDArray[Any]:
    """The values in the dtype of the source file, or a LabelValueError if they do not fit."""
    fitted = array.astype(dtype)
    if not np.array_equal(fitted, array):
        raise LabelValueError(
            f"values {array.min()} to {array.max()} do not fit the source's {np.dtype(dtype).name} pixels"
        )
    return fitted


def check_shape(array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise a GeometryError unless the array to write has the source's shape."""
    if array.shape != shape:
        raise GeometryError(f"labels of shape {array.shape} do not match this source file of shape {shape}")


def distinct_values(array: NDArray[Any]) -> tuple[int, ...]:
    """The sorted values in an integer array; narrow ranges are counted block by block."""
    if array.size == 0:
        return ()
    low, high = int(array.min()), int(array.max())
    if high - low > 1 << 16:
        return tuple(map(int, np.unique(array)))
    there, flat = np.zeros(high - low + 1, bool), array.ravel(order="K")
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        above = part - part.dtype.type(low) if low >= 0 else part.astype(np.int64) - low
        there |= np.bincount(above.astype(np.intp), minlength=len(there)) > 0
    return tuple(int(v) + low for v in np.flatnonzero(there))
