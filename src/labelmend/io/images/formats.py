"""Read and write images and label arrays: one table of formats, and the code they share.

A format is a set of pure functions between bytes and arrays (`png.py`, `tiff.py`, `nifti.py`). Only this file
opens image and label files; it reads each file whole and adds the file name to errors.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import (
    DataError,
    LabelmendError,
    LabelValueError,
    OutputError,
    UnreadableFileError,
)
from labelmend.geometry.orientation import Turn, turn_onto
from labelmend.io.files.atomic import whole_file
from labelmend.io.files.reading import read_bytes as read_bytes
from labelmend.types import Grid

Spacing = Sequence[float] | float | None


@dataclass(frozen=True, eq=False)
class Image:
    """One image as read from disk.

    Args:
        array: float32 `(c *space)`.
        grid: grid of the pixels.
    """

    array: NDArray[np.float32]
    grid: Grid

    def turned(self, turn: Turn | None) -> Image:
        """The image and its grid, reoriented; None returns it unchanged."""
        return self if turn is None else Image(turn.apply(self.array), turn.grid(self.grid))

    def onto(self, grid: Grid) -> Image:
        """The image with the axes of another grid, if both have an orientation; otherwise unchanged."""
        return self.turned(turn_onto(self.grid, grid))


@dataclass(frozen=True)
class Format:
    """How to read and write one family of files.

    Args:
        name: for messages.
        suffixes: lower case, with the dot.
        image: (bytes, spacing_mm) -> Image.
        labels: (bytes, spacing_mm) -> integers `(*space)` and their grid; None if it cannot store labels.
        encode: (integers, bytes of the source file) -> bytes of a file like the source with other data.
        no_labels: why it cannot store labels, for the message.
    """

    name: str
    suffixes: tuple[str, ...]
    image: Callable[[bytes, Spacing], Image]
    labels: Callable[[bytes, Spacing], tuple[NDArray[Any], Grid]] | None = None
    encode: Callable[[NDArray[Any], bytes], bytes] | None = None
    no_labels: str = ""


FORMATS: dict[str, Format] = {}


def register(new: Format) -> Format:
    """Add a format to FORMATS under each of its suffixes."""
    FORMATS.update(dict.fromkeys(new.suffixes, new))
    return new


def suffix_of(path: str | Path) -> str:
    """The longest known suffix of a file name, in lower case; empty if none matches.

    >>> suffix_of("scan.v2.NII.GZ"), suffix_of("notes.txt")
    ('.nii.gz', '')
    """
    name = Path(path).name.lower()
    return max((s for s in FORMATS if name.endswith(s) and name != s), key=len, default="")


def case_id(path: str | Path) -> str:
    """The case id of a file: its name without the suffix, in composed Unicode characters (NFC).

    >>> case_id("labels/lung/case.07.nii.gz")
    'case.07'
    """
    name = unicodedata.normalize("NFC", Path(path).name)
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else Path(name).stem


def format_of(path: str | Path) -> Format:
    """The format of a file by its suffix, or an error that lists the known formats."""
    suffix = suffix_of(path)
    if not suffix:
        raise UnreadableFileError(f"{path} has an unsupported suffix: use one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def decode_image(path: str | Path, data: bytes, spacing_mm: Spacing = None) -> Image:
    """The image in the bytes of the file `path`; see `read_image`."""
    with _naming(path):
        image = format_of(path).image(data, spacing_mm)
        if not np.isfinite(image.array).all():
            bad = int((~np.isfinite(image.array)).sum())
            raise LabelValueError(f"{bad} pixels of the image are NaN or infinite: replace or crop them")
        return image


def read_image(path: str | Path, spacing_mm: Spacing = None) -> Image:
    """Read an image: float32 `(c *space)`, values as stored (scaled only by the header).

    Args:
        path: PNG, TIFF, NIfTI, JPEG or BMP.
        spacing_mm: per array axis, or one number, for formats that store none; defaults to 1.0.

    Raises:
        MissingDataError, UnreadableFileError: no such file, or it cannot be read completely.
        GeometryError: unsupported axes, or a spacing that contradicts the header.
        LabelValueError: a pixel is NaN or infinite.
    """
    format_of(path)
    return decode_image(path, read_bytes(path), spacing_mm)


def decode_labels(path: str | Path, data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """The label array in the bytes of the file `path`; see `read_label_array`."""
    form = format_of(path)
    if form.labels is None:
        raise LabelValueError(f"{path}: {form.name} cannot store labels, {form.no_labels}")
    with _naming(path):
        return form.labels(data, spacing_mm)


def read_label_array(path: str | Path, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """Read labels as they are stored: integers `(*space)` and their grid.

    Args:
        path: PNG (palette pictures give their indices), TIFF or NIfTI.
        spacing_mm: as for `read_image`.

    Raises:
        LabelValueError: non-integer values, a colour image, or a lossy format (JPEG).
        MissingDataError, UnreadableFileError, GeometryError: as for `read_image`.
    """
    format_of(path)
    return decode_labels(path, read_bytes(path), spacing_mm)


def write_label_array(path: str | Path, array: NDArray[Any], source: str | Path) -> None:
    """Write labels to a new file with the format, dtype, palette, header and geometry of `source`.

    Args:
        path: file to write, in the format of `source`; it appears whole or not at all.
        array: integers or booleans `(*space)` on the grid of `source`.
        source: the file the labels came from; never modified.

    Raises:
        OutputError: `path` is the source or has another suffix; disk full, or not writable.
        GeometryError, LabelValueError: the array does not match the shape or fit the dtype of the source.
    """
    path, source = Path(path), Path(source)
    if path.resolve() == source.resolve() or (path.exists() and source.exists() and path.samefile(source)):
        raise OutputError(
            f"{path} is the source file itself, and originals are never overwritten: choose another folder"
        )
    form = format_of(source)
    if form.encode is None:
        raise LabelValueError(f"{source}: {form.name} cannot store labels, {form.no_labels}")
    if format_of(path) is not form:
        raise OutputError(f"{path} cannot be written in the format of {source}: the suffixes differ")
    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    given = read_bytes(source)
    with _naming(source):
        data = form.encode(array, given)
    write_checked(path, data, array, decode_labels(source, given)[1])


def write_checked(path: Path, data: bytes, array: NDArray[Any], grid: Grid) -> None:
    """Write a label file, and rename it into place only after reading back the same labels.

    Args:
        path: file to write.
        data: its bytes.
        array: the labels that must read back.
        grid: their grid.

    Raises:
        OutputError: it reads back differently; disk full, or not writable.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
        try:
            found, its_grid = decode_labels(temporary, read_bytes(temporary))
        except DataError as error:
            raise OutputError(f"{path} was not written: it could not be read back ({error})") from error
        same_values = np.array_equal(found, array)
        if not (same_values and _same_place(grid, its_grid)):
            what = "geometry" if same_values else "values"
            raise OutputError(
                f"{path} was not written: it reads back with different {what}. This kind of "
                f"{format_of(path).name} file cannot be rewritten unchanged: convert the labels to another"
            )


def _same_place(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same shape and, if both store it, the same geometry, up to rounding."""
    if one.shape != other.shape or one.affine is None or other.affine is None:
        return one.shape == other.shape
    return np.allclose(one.affine, other.affine, rtol=1e-4, atol=1e-3 * min(one.spacing_mm))


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Prefix errors with the file name; any other decoder error means the file is damaged."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"{path}: {error}") from error
    except LabelmendError:
        raise
    except MemoryError as error:
        raise UnreadableFileError(f"{path} needs more memory than available ({error}): check it") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UnreadableFileError(
            f"{path} is truncated or damaged ({reason}): copy or export it again"
        ) from error
