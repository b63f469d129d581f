"""Read single-file NIfTI-1 and NIfTI-2, and write labels with the source's own header."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError
from labelmend.geometry import check_spacing
from labelmend.io.images.formats import Format, Image, Spacing, register
from labelmend.io.images.label_values import as_integers, check_shape, distinct_values, fit_dtype
from labelmend.io.images.nifti_header import GZIP, Geometry, Header, geometry, read_header, unpacked
from labelmend.types import Grid

_ROUNDED = 1e-6
"""Relative rounding error of slope, intercept and their product in 32 bits."""


@dataclass(frozen=True)
class _File:
    """A parsed file: its uncompressed bytes, and its header."""

    data: bytes
    header: Header

    def stored(self) -> NDArray[Any]:
        """Raw values in nibabel's axis order."""
        header = self.header
        raw = np.frombuffer(self.data, header.dtype, count=math.prod(header.shape), offset=header.offset)
        return raw.reshape(header.shape, order="F")

    def values(self) -> NDArray[Any]:
        """Raw values scaled as the header says; unscaled data keep their dtype."""
        slope, inter = self.header.scaling()
        raw = self.stored()
        return raw if (slope, inter) == (1.0, 0.0) else raw.astype(np.float64) * slope + inter


def decode_nifti_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """2-D or 3-D image; a fourth (or fifth) axis holds channels and comes first.

    Axes of length one are dropped. Spacing and affine are the header's, in mm.
    """
    file = _File(*unpacked(data))
    axes, channels = _axes(file.header.shape)
    space = _space(file.header.shape)
    array = file.values().reshape((*space, channels), order="F").astype(np.float32)
    return Image(np.ascontiguousarray(np.moveaxis(array, -1, 0)), _grid(file.header, axes, spacing_mm))


def decode_nifti_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """2-D or 3-D integers; scaled or floating-point values must be whole numbers, see `_whole`."""
    file = _File(*unpacked(data))
    axes, channels = _axes(file.header.shape)
    if channels > 1:
        raise GeometryError(
            f"labels must be 2-D or 3-D, but the file has shape {file.header.shape}: "
            "store one integer map per case, or one sub-folder per class"
        )
    array = _whole(file.stored(), file.header).reshape(_space(file.header.shape), order="F")
    return np.array(array, order="C"), _grid(file.header, axes, spacing_mm)


def encode_nifti_labels(array: NDArray[Any], source: bytes) -> bytes:
    """The source file with other data: header, extensions and trailing bytes stay bit for bit.

    The header's scaling is inverted, so that the values read back unchanged. Gzip is written without name and
    time stamp, so that equal labels give equal bytes.
    """
    file = _File(*unpacked(source))
    header = file.header
    check_shape(array, _space(header.shape))
    slope, inter = header.scaling()
    raw = fit_dtype(array, header.dtype) if (slope, inter) == (1.0, 0.0) else _scaled_back(array, header)
    whole = file.data[: header.offset] + raw.tobytes(order="F") + file.data[header.end :]
    return _zipped(whole) if source.startswith(GZIP) else whole


def encode_new_labels(array: NDArray[Any], image: bytes) -> bytes:
    """An uncompressed file of unscaled integers with the geometry, units and extensions of an image."""
    data, header = unpacked(image)
    shape = (*header.shape, 1, 1)[: min(len(header.shape), 3)]
    fields = header.fields.copy()
    fields.set_data_dtype(array.dtype)
    fields.set_data_shape(shape)
    fields["scl_slope"], fields["scl_inter"] = 1, 0
    fields["cal_min"] = fields["cal_max"] = 0
    fields["vox_offset"] = header.offset
    stored = array.reshape(shape).astype(fields.get_data_dtype())
    return bytes(fields.binaryblock) + data[header.size : header.offset] + stored.tobytes(order="F")


def stored_dtype(path: str | Path) -> np.dtype | None:
    """The dtype of the values in a file; float64 if its header scales them, None without a header."""
    header = read_header(Path(path))
    if header is None:
        return None
    return header.dtype if header.scaling() == (1.0, 0.0) else np.dtype(np.float64)


def stored_grid(path: str | Path) -> Grid | None:
    """The grid of a file, from its header alone; None if the header cannot be read."""
    found = stored_geometry(path)
    return None if found is None else Grid(found.shape, found.spacing_mm, found.affine)


def stored_geometry(path: str | Path) -> Geometry | None:
    """The geometry of a file, from its header alone; None if the header cannot be read."""
    header = read_header(Path(path))
    try:
        return None if header is None else geometry(header, _axes(header.shape)[0])
    except GeometryError:
        return None


def _whole(raw: NDArray[Any], header: Header) -> NDArray[Any]:
    """Labels as integers; rounding by the header's scaling is undone.

    Storing whole numbers with a slope rounds them to multiples of it, an error of up to half the slope. They
    can be recovered if that is less than 1/2, every value is that close to a whole number, and no two stored
    values map to the same one.
    """
    slope, inter = header.scaling()
    if (slope, inter) == (1.0, 0.0):
        return as_integers(raw)
    try:
        labels = as_integers(raw.astype(np.float64) * slope + inter)
        n_stored = len(distinct_values(raw)) if header.dtype.kind in "iu" else 1
        if n_stored > 1 and labels.min() == labels.max():
            raise LabelValueError(f"{n_stored} different stored values map to a single label, {labels.min()}")
        return labels
    except LabelValueError as error:
        if header.dtype.kind in "iu":
            stored = np.array(distinct_values(raw), np.float64)
            values, moved = stored * slope + inter, abs(slope) / 2 + _ROUNDED * abs(inter)
            moved += _ROUNDED * abs(slope) * np.abs(stored).max()
            whole = np.rint(values)
            near = np.abs(values - whole).max() <= moved < 0.5
            if near and len(np.unique(whole)) == len(whole) and np.abs(whole).max() < 2**31:
                return np.rint(raw.astype(np.float64) * slope + inter).astype(np.int32)
        raise LabelValueError(
            f"{error}. The header scales them (scl_slope {slope:g}, scl_inter {inter:g}): save them as "
            "integers without scaling"
        ) from error


def _scaled_back(array: NDArray[Any], header: Header) -> NDArray[Any]:
    """The stored values that read as these labels under a header's scaling."""
    slope, inter = header.scaling()
    raw = (array - inter) / slope
    try:
        raw = fit_dtype(np.rint(raw) if header.dtype.kind in "iu" else raw.astype(header.dtype), header.dtype)
        if np.array_equal(_whole(raw, header), array):
            return raw
    except LabelValueError:
        pass
    raise LabelValueError(
        f"the labels {array.min()} to {array.max()} cannot be stored under the header's scaling (scl_slope "
        f"{slope:g}, scl_inter {inter:g}): save the source as integers without scaling"
    )


def _axes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The spatial axes, and the number of channels (x y z [1] c).

    An axis of length one belongs to a single slice and is dropped, whatever its position.

    >>> _axes((64, 64, 1)), _axes((64, 1, 64)), _axes((64, 64, 20, 3)), _axes((64, 64, 1, 1, 2))
    (((0, 1), 1), ((0, 2), 1), ((0, 1, 2), 3), ((0, 1), 2))
    """
    space, extra = list(range(min(len(shape), 3))), [n for n in shape[3:] if n > 1]
    for axis in reversed(range(len(space))):
        if len(space) > 2 and shape[axis] == 1:
            space.remove(axis)
    if len(space) < 2 or len(extra) > 1:
        raise GeometryError(
            f"expected 2 or 3 spatial axes and at most one channel axis, but the shape is {shape}"
        )
    return tuple(space), extra[0] if extra else 1


def _space(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels along the spatial axes."""
    return tuple(shape[axis] for axis in _axes(shape)[0])


def _grid(header: Header, axes: tuple[int, ...], spacing_mm: Spacing) -> Grid:
    """Grid from the header; a spacing set by the user overrides that of the header but keeps its affine."""
    found = geometry(header, axes, given=spacing_mm is not None)
    spacing = found.spacing_mm if spacing_mm is None else check_spacing(spacing_mm, len(axes))
    return Grid(found.shape, spacing, found.affine)


def _zipped(data: bytes) -> bytes:
    out = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()


NIFTI = register(
    Format("NIfTI", (".nii.gz", ".nii"), decode_nifti_image, decode_nifti_labels, encode_nifti_labels)
)
