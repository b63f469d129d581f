"""Probabilities of one class in a PNG, TIFF or NIfTI file; integers are fractions of full scale."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError, GeometryError, LabelValueError
from labelmend.io.images.formats import format_of, read_bytes, read_image
from labelmend.io.images.nifti import stored_dtype
from labelmend.io.labels.label_folder import grid_difference
from labelmend.types import Grid

MOST_LOOKED_AT = 8
"""Number of cases read to distinguish masks from probabilities."""


def integer_step(dtype: np.dtype) -> float:
    """Difference in probability of neighbouring values of a dtype; 0 for floats.

    >>> integer_step(np.dtype("float16")), integer_step(np.dtype("uint8")) == 1 / 255
    (0.0, True)
    """
    if dtype.kind == "f":
        return 0.0
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return 1.0 / np.iinfo(dtype).max
    kind = "masks, not probabilities" if dtype.kind == "b" else f"{dtype} numbers"
    raise LabelValueError(
        f"it holds {kind}: expected probabilities as float16, float32, float64, or as unsigned 8- or 16-bit "
        "integers from 0 (never) to full scale (certain)"
    )


def read_picture(path: str | Path, grid: Grid) -> tuple[NDArray[np.float32], float]:
    """One class from a file, as stored, and the probability step of its integers (0: floats).

    Args:
        path: PNG or TIFF in grey, or NIfTI.
        grid: grid of the labels.

    Returns:
        float32 `(*space)`, still to be multiplied by the step if nonzero; and the step.

    Raises:
        GeometryError: it is on another grid. LabelValueError: colour, or an unsupported dtype.
    """
    path = Path(path)
    if format_of(path).labels is None:
        raise LabelValueError(
            f"{path}: {format_of(path).name} alters values, so it cannot store probabilities"
        )
    try:
        step = integer_step(_stored_dtype(path))
    except LabelValueError as error:
        raise LabelValueError(f"{path}: {error}") from error
    image = read_image(path)
    if len(image.array) != 1:
        raise GeometryError(f"{path} has {len(image.array)} channels: expected one greyscale file per class")
    image = image.onto(grid)
    problem = grid_difference(image.grid, grid)
    if problem:
        raise GeometryError(f"{path} and the labels differ in {problem}: predict on the grid of the labels")
    return image.array[0], step


def refuse_masks(files: Sequence[Sequence[Path]]) -> None:
    """Raise a DataError if integers never exceed 1 in the first cases: masks, not probabilities.

    Args:
        files: the files of each case.
    """
    for path in (path for case in files[:MOST_LOOKED_AT] for path in case):
        if format_of(path).labels is None or _stored_dtype(path).kind not in "bu":
            return  # reported by read_picture, or floats
        if read_image(path).array.max() > 1:
            return
    if files:
        raise DataError(
            f"{files[0][0]} and others hold only the integers 0 and 1, so they are masks: expected "
            "probabilities as floats, or as 8- or 16-bit integers up to full scale"
        )


def _stored_dtype(path: Path) -> np.dtype:
    """The dtype of the values in a file; float if a NIfTI header scales them."""
    name = format_of(path).name
    if name == "TIFF":
        return _of_tiff(path)
    if name == "NIfTI":
        return stored_dtype(path) or np.dtype(np.float32)  # read_image reports what is wrong
    return _of_png(path)


def _of_png(path: Path) -> np.dtype:
    header = read_bytes(path)[:26]
    depth = header[24] if len(header) == 26 else 0
    if depth in (8, 16):
        return np.dtype(np.uint8 if depth == 8 else np.uint16)
    return np.dtype(bool)


def _of_tiff(path: Path) -> np.dtype:
    import tifffile

    data = read_bytes(path)
    with suppress(Exception), tifffile.TiffFile(BytesIO(data)) as tif:
        stored: np.dtype = np.dtype(tif.series[0].dtype)
        return stored
    return np.dtype(np.float32)  # read_image reports what is wrong
