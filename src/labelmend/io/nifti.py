"""NIfTI-1 and NIfTI-2 single files, read whole; labels go back under the source's own header."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.geometry import check_spacing
from labelmend.io.base import Format, Image, Spacing, register
from labelmend.io.values import as_integers, check_shape, fit_dtype
from labelmend.types import Grid

_UNIT_MM = {"meter": 1000.0, "micron": 1e-3}
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class _File:
    """A file taken apart: bytes before, in and behind the data block, and what the header says of it."""

    data: bytes
    header: Any
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def end(self) -> int:
        return self.offset + self.dtype.itemsize * math.prod(self.shape)

    def scaling(self) -> tuple[float, float]:
        slope, inter = self.header.get_slope_inter()
        return (1.0, 0.0) if slope is None else (float(slope), float(inter or 0.0))

    def stored(self) -> NDArray:
        """Raw values in nibabel's axis order."""
        count = math.prod(self.shape)
        raw = np.frombuffer(self.data, self.dtype, count=count, offset=self.offset)
        return raw.reshape(self.shape, order="F")

    def values(self) -> NDArray:
        """Raw values scaled as the header says; unscaled data keep their dtype."""
        slope, inter = self.scaling()
        raw = self.stored()
        return raw if (slope, inter) == (1.0, 0.0) else raw.astype(np.float64) * slope + inter


def decode_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """2-D or 3-D image; a fourth (or fifth) axis holds channels and comes first.

    Trailing axes of length one are dropped. Spacing and affine are the header's, in mm.
    """
    file = _parsed(data)
    space, channels = _axes(file.shape)
    array = file.values().reshape((*space, channels), order="F").astype(np.float32)
    return Image(np.ascontiguousarray(np.moveaxis(array, -1, 0)), _grid(file, space, spacing_mm))


def decode_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray, Grid]:
    """2-D or 3-D integers; scaled or floating values must come out as whole numbers."""
    file = _parsed(data)
    space, channels = _axes(file.shape)
    if channels > 1:
        raise GeometryError(
            f"labels must be 2-D or 3-D, but the file has shape {file.shape}: "
            "store one integer map a case, or one file a class in a sub-folder each"
        )
    array = as_integers(file.values().reshape(space, order="F"))
    return np.array(array, order="C"), _grid(file, space, spacing_mm)


def encode_labels(array: NDArray, source: bytes) -> bytes:
    """The source file with other data: header, extensions and whatever follows the data stay bit for bit.

    Values go through the header's scaling backwards, so that they read as given. Gzip is written without name
    and time, so the same labels give the same bytes.
    """
    file = _parsed(source)
    space, _ = _axes(file.shape)
    check_shape(array, space)
    slope, inter = file.scaling()
    raw = array
    if (slope, inter) != (1.0, 0.0):
        raw = (array - inter) / slope
        raw = np.rint(raw) if file.dtype.kind in "iu" else raw
        if not np.allclose(raw * slope + inter, array, rtol=0, atol=1e-4):
            raise LabelValueError(f"the labels cannot be stored under the header's scaling (slope {slope:g})")
        raw = raw.astype(file.dtype)
    raw = fit_dtype(raw, file.dtype)
    whole = file.data[: file.offset] + raw.tobytes(order="F") + file.data[file.end :]
    return _zipped(whole) if source.startswith(_GZIP) else whole


def _parsed(data: bytes) -> _File:
    """Unzip, check the header, and check that the data block is there to its last byte."""
    import nibabel

    if data.startswith(_GZIP):
        data = gzip.decompress(data)
    sizes = {struct.unpack(order + "i", data[:4])[0] for order in "<>"}
    kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    kind = next((kinds[size] for size in sizes if size in kinds), None)
    if kind is None:
        raise UnreadableFileError("this is no NIfTI file, its header size is neither 348 nor 540")
    header = kind.from_fileobj(BytesIO(data))
    if not bytes(header["magic"]).startswith(b"n+"):
        raise UnreadableFileError(
            "only single NIfTI files are read, but this is half of a pair: convert it to .nii"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise LabelValueError(f"expected one number a voxel, but the file stores {dtype}")
    shape = tuple(int(n) for n in header.get_data_shape())
    file = _File(data, header, int(header.get_data_offset()), shape, dtype)
    if not shape or math.prod(shape) == 0:
        raise GeometryError(f"the header gives the shape {shape}, which holds no voxel")
    if len(data) < file.end:
        raise UnreadableFileError(
            f"the file is truncated, it has {len(data)} of {file.end} bytes: copy or export it again"
        )
    return file


def _axes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Axes in space, and the number of channels: trailing axes of length one dropped, then (x y z [1] c).

    >>> _axes((64, 64, 1)), _axes((64, 64, 20, 3)), _axes((64, 64, 1, 1, 2))
    (((64, 64), 1), ((64, 64, 20), 3), ((64, 64), 2))
    """
    space, extra = list(shape[:3]), [n for n in shape[3:] if n > 1]
    while len(space) > 2 and space[-1] == 1:
        space.pop()
    if len(space) < 2 or len(extra) > 1:
        raise GeometryError(
            f"expected 2 or 3 axes in space and at most one of channels, but the shape is {shape}"
        )
    return tuple(space), extra[0] if extra else 1


def _grid(file: _File, space: tuple[int, ...], spacing_mm: Spacing) -> Grid:
    """Grid from the header; a spacing given by hand may only repeat what the header says."""
    to_mm = _UNIT_MM.get(file.header.get_xyzt_units()[0], 1.0)
    spacing = tuple(float(z) * to_mm for z in file.header.get_zooms()[: len(space)])
    if spacing_mm is not None:
        given = check_spacing(spacing_mm, len(space))
        if not np.allclose(given, spacing, rtol=0, atol=1e-3):
            raise GeometryError(
                f"the header's spacing is {spacing} mm, the one given {given}: leave it to the header"
            )
    return Grid(space, spacing, np.asarray(file.header.get_best_affine(), dtype=np.float64))


def _zipped(data: bytes) -> bytes:
    out = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()


NIFTI = register(Format("NIfTI", (".nii.gz", ".nii"), decode_image, decode_labels, encode_labels))
