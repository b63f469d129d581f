"""NIfTI-1 and NIfTI-2 single files, read whole; labels go back under the source's own header."""

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
"""Rounding of slope, intercept and their product as numbers of 32 bits, as a share of them."""


@dataclass(frozen=True)
class _File:
    """A file taken apart: its bytes without compression, and its header."""

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
    """2-D or 3-D integers; scaled or floating values must come out as whole numbers, see `_whole`."""
    file = _File(*unpacked(data))
    axes, channels = _axes(file.header.shape)
    if channels > 1:
        raise GeometryError(
            f"labels must be 2-D or 3-D, but the file has shape {file.header.shape}: "
            "store one integer map a case, or one file a class in a sub-folder each"
        )
    array = _whole(file.stored(), file.header).reshape(_space(file.header.shape), order="F")
    return np.array(array, order="C"), _grid(file.header, axes, spacing_mm)


def encode_nifti_labels(array: NDArray[Any], source: bytes) -> bytes:
    """The source file with other data: header, extensions and whatever follows the data stay bit for bit.

    Values go through the header's scaling backwards, so that they read as given. Gzip is written without name
    and time, so the same labels give the same bytes.
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
    """The dtype of the values of a file; float64 where its header scales them, None if it has no header."""
    header = read_header(Path(path))
    if header is None:
        return None
    return header.dtype if header.scaling() == (1.0, 0.0) else np.dtype(np.float64)


def stored_grid(path: str | Path) -> Grid | None:
    """The grid of a file, of which only the header is read; None if there is none to be had."""
    found = stored_geometry(path)
    return None if found is None else Grid(found.shape, found.spacing_mm, found.affine)


def stored_geometry(path: str | Path) -> Geometry | None:
    """Where the voxels of a file lie, of which only the header is read; None if there is none to be had."""
    header = read_header(Path(path))
    try:
        return None if header is None else geometry(header, _axes(header.shape)[0])
    except GeometryError:
        return None


def _whole(raw: NDArray[Any], header: Header) -> NDArray[Any]:
    """Labels as integers; where the header scales, what its rounding has moved is moved back.

    Whoever stores whole numbers under a slope rounds them to multiples of it, which moves them by up to half
    of it. They are told where that is less than 1/2, every value lies as near to a whole number as that, and
    no two stored numbers come to the same one.
    """
    slope, inter = header.scaling()
    if (slope, inter) == (1.0, 0.0):
        return as_integers(raw)
    try:
        labels = as_integers(raw.astype(np.float64) * slope + inter)
        n_stored = len(distinct_values(raw)) if header.dtype.kind in "iu" else 1
        if n_stored > 1 and labels.min() == labels.max():
            raise LabelValueError(f"{n_stored} different stored values come to only 1 label, {labels.min()}")
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
    """Stored numbers that read as these labels under the scaling of a header."""
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
    """Which axes lie in space, and the number of channels (x y z [1] c).

    An axis of length one is that of a single slice and is dropped, wherever it stands.

    >>> _axes((64, 64, 1)), _axes((64, 1, 64)), _axes((64, 64, 20, 3)), _axes((64, 64, 1, 1, 2))
    (((0, 1), 1), ((0, 2), 1), ((0, 1, 2), 3), ((0, 1), 2))
    """
    space, extra = list(range(min(len(shape), 3))), [n for n in shape[3:] if n > 1]
    for axis in reversed(range(len(space))):
        if len(space) > 2 and shape[axis] == 1:
            space.remove(axis)
    if len(space) < 2 or len(extra) > 1:
        raise GeometryError(
            f"expected 2 or 3 axes in space and at most one of channels, but the shape is {shape}"
        )
    return tuple(space), extra[0] if extra else 1


def _space(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels along the axes in space."""
    return tuple(shape[axis] for axis in _axes(shape)[0])


def _grid(header: Header, axes: tuple[int, ...], spacing_mm: Spacing) -> Grid:
    """Grid from the header; a spacing given by hand replaces that of the header, and leaves its affine."""
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
