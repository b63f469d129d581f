"""Shapes drawn into arrays, and arrays written to disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from labelmend.types import BoolArray

AFFINE = np.diag([-1.0, -1.0, 4.0, 1.0])
"""Voxel axes run to the patient's left, back and head; slices 4 mm apart."""


def disc(
    shape: Sequence[int], centre: Sequence[float], radius: float, spacing_mm: Sequence[float] | float = 1.0
) -> BoolArray:
    """Pixels nearer to a centre (pixels) than a radius (mm), along any number of axes: a ball in 3-D."""
    gaps = (np.indices(shape).T - centre) * spacing_mm
    return radius > np.linalg.norm(gaps, axis=-1).T


def box(shape: Sequence[int], *ranges: tuple[int, int]) -> BoolArray:
    """Half-open ranges along each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*ends) for ends in ranges)] = True
    return mask


def picture(path: Path, array: ArrayLike) -> None:
    """Save `(h w)` or `(h w 3)`: booleans as 0 and 255, floats of [0, 1] likewise, integers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(array)
    if array.dtype.kind in "bf":
        array = np.clip(array * 255.0, 0, 255)
    Image.fromarray(array if array.dtype == np.uint16 else array.astype(np.uint8)).save(path)


def volume(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """Save NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
