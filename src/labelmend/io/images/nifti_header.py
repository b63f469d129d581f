"""NIfTI headers: parsed before voxels are unpacked, and their geometry.

Geometry comes from the affine, sform before qform, as in other software; pixdim is used only if both are
absent. Gzip is detected by its first bytes, whatever the file name.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.geometry.orientation import complete
from labelmend.io.files.limits import check_declared

GZIP = b"\x1f\x8b"
LONGEST = 544
"""Bytes of the longest header, with the four that say whether extensions follow."""

TAIL_BYTES = 16 * 2**20
"""Most bytes after the voxels of a compressed file; with more, the file does not match its header."""

SAME_SIZE = 1e-4
"""Relative difference up to which two voxel sizes count as equal: headers store rounded numbers."""

_FEED = 1 << 16
_PADDING = re.compile(rb"\0*")
_UNIT_MM = {1: 1000.0, 3: 1e-3}
_FLATTEST = 1e-4
"""Volume spanned by the unit axis vectors below which they count as coplanar."""


@dataclass(frozen=True)
class Header:
    """What a header declares.

    Args:
        fields: nibabel's header.
        size: bytes of the header itself.
        offset: byte offset of the voxels in the file.
        shape: as declared.
        dtype: dtype of the stored values.
    """

    fields: Any
    size: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def end(self) -> int:
        """Bytes of the file up to its last voxel."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)

    def scaling(self) -> tuple[float, float]:
        """Slope and intercept; 1 and 0 without scaling."""
        slope, inter = self.fields.get_slope_inter()
        return (1.0, 0.0) if slope is None else (float(slope), float(inter or 0.0))


@dataclass(frozen=True)
class Geometry:
    """The geometry of a file's voxels.

    Args:
        shape: voxels along each spatial axis.
        spacing_mm: voxel size along each of them.
        affine: `(4 4)` from voxels to mm.
        pixdim_mm: voxel size in pixdim if it differs, otherwise None.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    affine: NDArray[np.float64]
    pixdim_mm: tuple[float, ...] | None


def parsed(start: bytes) -> Header:
    """The header at the start of a file, checked.

    Args:
        start: the first bytes, LONGEST or more if the file has them.

    Raises:
        UnreadableFileError: not NIfTI, half of a pair, truncated, or nonsensical numbers.
        LabelValueError: colours or complex numbers. GeometryError: no voxels.
    """
    import nibabel

    kinds: dict[int, Callable[..., Any]] = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    if len(start) < min(kinds):
        raise UnreadableFileError(
            f"this is not a NIfTI file, or its header is truncated after {len(start)} bytes"
        )
    sizes = {order: struct.unpack(order + "i", start[:4])[0] for order in "<>"}
    order = next((order for order, size in sizes.items() if size in kinds), None)
    if order is None:
        raise UnreadableFileError("this is not a NIfTI file: its header size is neither 348 nor 540")
    size = sizes[order]
    fields = kinds[size](start[:size], endianness=order, check=False)
    if not bytes(fields["magic"]).startswith(b"n+"):
        raise UnreadableFileError(
            "only single-file NIfTI is supported, but this is half of a .hdr/.img pair: convert it to .nii"
        )
    try:
        dtype = fields.get_data_dtype()
    except (KeyError, nibabel.spatialimages.HeaderDataError) as error:
        raise UnreadableFileError(
            f"the header gives data type {int(fields['datatype'])}, which does not exist: export it again"
        ) from error
    if dtype.kind not in "iuf":
        raise LabelValueError(f"expected one number per voxel, but the file stores {dtype}")
    n_axes, offset = int(fields["dim"][0]), float(fields["vox_offset"])
    if not 1 <= n_axes <= 7:
        raise UnreadableFileError(f"the header declares {n_axes} axes: it is damaged, export the file again")
    if offset == 0:
        offset = size + 4
    if not (math.isfinite(offset) and offset >= size):
        raise UnreadableFileError(
            f"the header puts the voxels at byte {offset:g}: it is damaged, export the file again"
        )
    shape = tuple(int(n) for n in fields["dim"][1 : n_axes + 1])
    if min(shape) < 1:
        raise GeometryError(f"the header gives shape {shape}, which contains no voxels")
    return Header(fields, size, int(offset), shape, dtype)


def unpacked(data: bytes) -> tuple[bytes, Header]:
    """The uncompressed content of a file, and its header.

    Unpacks at most what the header declares plus TAIL_BYTES, and only if memory allows.

    Raises:
        UnreadableFileError: it declares more than the limit, or is truncated; see also `parsed`.
    """
    if not data.startswith(GZIP):
        header = parsed(data)
    else:
        whole, found = bytearray(), None
        for piece in _pieces(data):
            whole += piece
            if found is None and len(whole) >= LONGEST:
                found = _affordable(parsed(bytes(whole[:LONGEST])))
            if found is not None and len(whole) > found.end + TAIL_BYTES:
                raise UnreadableFileError(
                    f"the header declares {found.shape} voxels, which end at byte {found.end}, but the file "
                    f"continues for more than {TAIL_BYTES >> 20} MiB after them: export it again"
                )
        data = bytes(whole)
        header = found or parsed(data)
    if len(data) < header.end:
        raise UnreadableFileError(
            f"the file is truncated to {len(data)} of {header.end} bytes: copy or export it again"
        )
    return data, header


def read_header(path: Path) -> Header | None:
    """The header of a file, reading only its start; None if it cannot be read.

    Errors are reported when the whole file is read.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(_FEED)
        if start.startswith(GZIP):
            start = zlib.decompressobj(wbits=31).decompress(start, LONGEST)
        return parsed(start)
    except Exception:  # nibabel raises many kinds of errors
        return None


def geometry(header: Header, axes: tuple[int, ...], *, given: bool = False) -> Geometry:
    """Voxel geometry from the sform, else the qform, else pixdim.

    Args:
        header: the header.
        axes: the 2 or 3 spatial axes to keep; with two, the third column of the affine belongs to the dropped
            axis, whose size may be zero.
        given: the user sets the spacing, so pixdim need not be valid.

    Raises:
        GeometryError: the voxel size is unknown.
    """
    fields, n_axes = header.fields, len(axes)
    columns = [*axes, *(axis for axis in range(4) if axis not in axes)]
    space = tuple(header.shape[axis] for axis in axes)
    to_mm = _UNIT_MM.get(int(fields["xyzt_units"]) & 7, 1.0)
    pixdim = tuple(float(fields["pixdim"][1 + axis]) * to_mm for axis in axes)
    has_pixdim = all(math.isfinite(size) and size > 0 for size in pixdim)
    for stored in _affines(fields):
        affine = complete(stored[:, columns]) if n_axes == 2 else stored
        if not _is_usable(affine):
            continue
        affine[:3] *= to_mm
        lengths = tuple(map(float, np.linalg.norm(affine[:3, :n_axes], axis=0)))
        if has_pixdim and np.allclose(pixdim, lengths, rtol=SAME_SIZE, atol=0):
            return Geometry(space, pixdim, affine, None)
        return Geometry(space, lengths, affine, pixdim)
    if fields["sform_code"] > 0 or fields["qform_code"] > 0:
        raise GeometryError(
            "the affine in the header is degenerate (all voxels in one plane, or invalid numbers): correct "
            "sform and qform, or set the codes of both to 0 to use pixdim"
        )
    if not has_pixdim and not given:
        raise GeometryError(
            f"the header has no affine, and its pixdim gives a voxel size of {size_text(pixdim)} mm: correct "
            "the header, or set the spacing yourself"
        )
    sizes = [float(size) * to_mm for size in fields["pixdim"][1:4]]
    sizes = [size if math.isfinite(size) and size > 0 else 1.0 for size in sizes]
    affine = _by_sizes(header.shape, sizes)[:, columns]
    return Geometry(space, tuple(sizes[axis] for axis in axes), affine, None)


def _affines(fields: Any) -> Iterator[NDArray[np.float64]]:
    """The affines that the header declares."""
    from nibabel.spatialimages import HeaderDataError

    if fields["sform_code"] > 0:
        yield np.array(fields.get_sform(), np.float64)
    if fields["qform_code"] > 0:
        if fields["pixdim"][0] not in (-1, 1):
            fields["pixdim"][0] = 1  # as the standard requires
        with suppress(HeaderDataError, ValueError):
            yield np.array(fields.get_qform(), np.float64)


def _is_usable(affine: NDArray[np.float64]) -> bool:
    """Whether the axes of an affine span space."""
    if not np.isfinite(affine).all():
        return False
    steps = affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    return bool((lengths > 0).all() and abs(np.linalg.det(steps / lengths)) > _FLATTEST)


def _by_sizes(shape: tuple[int, ...], sizes: list[float]) -> NDArray[np.float64]:
    """The affine that nibabel uses for a header without one."""
    from nibabel.volumeutils import shape_zoom_affine

    return np.array(shape_zoom_affine((*shape, 1, 1)[:3], sizes, x_flip=True), np.float64)


def _affordable(header: Header) -> Header:
    """The header, after checking that memory suffices for what it declares."""
    size = " x ".join(map(str, header.shape))
    check_declared(header.end, "the header", f"{size} voxels of {header.dtype.name}")
    return header


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield the content of all gzip members in pieces; trailing bytes that are no member are skipped."""
    member, at = zlib.decompressobj(wbits=31), 0
    while at < len(data):
        fed = data[at : at + _FEED]
        yield member.decompress(fed)
        at += len(fed) - len(member.unused_data)
        if member.eof:
            at = _PADDING.match(data, at).end()  # type: ignore[union-attr]
            if data[at : at + 2] != GZIP:
                return
            member = zlib.decompressobj(wbits=31)
    if not member.eof:
        raise EOFError("the compressed data end early")


def size_text(sizes: tuple[float, ...]) -> str:
    """A voxel size as text.

    >>> size_text((0.5, 0.5, 3.0))
    '0.5 x 0.5 x 3'
    """
    return " x ".join(f"{size:.6g}" for size in sizes)
