"""Images and label arrays on disk: one table of formats, and what holds for all of them.

A format is a set of pure functions between bytes and arrays (`png.py`, `tiff.py`, `nifti.py`). Only this file
opens image and label files; it reads each one whole, and adds its name to whatever a format complains about.
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
        """The image turned, with its grid; None leaves it as it is."""
        return self if turn is None else Image(turn.apply(self.array), turn.grid(self.grid))

    def onto(self, grid: Grid) -> Image:
        """The image with the axes of another grid, where both say how they lie in space; else as it is."""
        return self.turned(turn_onto(self.grid, grid))


@dataclass(frozen=True)
class Format:
    """How one family of files is read and written.

    Args:
        name: for messages.
        suffixes: lower case, with the dot.
        image: (bytes, spacing_mm) -> Image.
        labels: (bytes, spacing_mm) -> integers `(*space)` and their grid; None where labels cannot be stored.
        encode: (integers, bytes of the source file) -> bytes of a file like the source but for its data.
        no_labels: why labels cannot be stored, for the message.
    """

    name: str
    suffixes: tuple[str, ...]
    image: Callable[[bytes, Spacing], Image]
    labels: Callable[[bytes, Spacing], tuple[NDArray[Any], Grid]] | None = None
    encode: Callable[[NDArray[Any], bytes], bytes] | None = None
    no_labels: str = ""


FORMATS: dict[str, Format] = {}


def register(new: Format) -> Format:
    """Enter a format into FORMATS under each of its suffixes."""
    FORMATS.update(dict.fromkeys(new.suffixes, new))
    return new


def suffix_of(path: str | Path) -> str:
    """The known suffix a file name ends in, lower case, the longest that fits; empty if none does.

    >>> suffix_of("scan.v2.NII.GZ"), suffix_of("notes.txt")
    ('.nii.gz', '')
    """
    name = Path(path).name.lower()
    return max((s for s in FORMATS if name.endswith(s) and name != s), key=len, default="")


def case_id(path: str | Path) -> str:
    """The case a file belongs to: its name without the suffix, in composed characters (NFC).

    >>> case_id("labels/lung/case.07.nii.gz")
    'case.07'
    """
    name = unicodedata.normalize("NFC", Path(path).name)
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else Path(name).stem


def format_of(path: str | Path) -> Format:
    """The format of a file by its suffix, or an error that lists the formats there are."""
    suffix = suffix_of(path)
    if not suffix:
        raise UnreadableFileError(
            f"{path} has a suffix that labelmend does not read: use one of {', '.join(FORMATS)}"
        )
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
    """Read an image: float32 `(c *space)`, values as stored (no scaling but the header's own).

    Args:
        path: PNG, TIFF, NIfTI, JPEG or BMP.
        spacing_mm: per array axis, or one number, for formats that store none; 1.0 if not given.

    Raises:
        MissingDataError, UnreadableFileError: no such file, or it cannot be read whole.
        GeometryError: axes that do not fit, or a spacing that contradicts the header.
        LabelValueError: a pixel is NaN or infinite.
    """
    format_of(path)
    return decode_image(path, read_bytes(path), spacing_mm)


def decode_labels(path: str | Path, data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """The label array in the bytes of the file `path`; see `read_label_array`."""
    form = format_of(path)
    if form.labels is None:
        raise LabelValueError(f"{path}: labels cannot be kept in {form.name}, {form.no_labels}")
    with _naming(path):
        return form.labels(data, spacing_mm)


def read_label_array(path: str | Path, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """Read labels as they are stored: integers `(*space)` and their grid.

    Args:
        path: PNG (palette pictures give their indices), TIFF or NIfTI.
        spacing_mm: as for `read_image`.

    Raises:
        LabelValueError: values that are no integers, a colour picture, or a format that alters values (JPEG).
        MissingDataError, UnreadableFileError, GeometryError: as for `read_image`.
    """
    format_of(path)
    return decode_labels(path, read_bytes(path), spacing_mm)


def write_label_array(path: str | Path, array: NDArray[Any], source: str | Path) -> None:
    """Write labels into a new file like `source`: its format, dtype, palette, header and geometry.

    Args:
        path: file to write, of the same format as `source`; it appears whole or not at all.
        array: integers or booleans `(*space)` on the grid of `source`.
        source: the file the labels came from; it is never written to.

    Raises:
        OutputError: `path` is the source itself or has another suffix; disk full, or not writable.
        GeometryError, LabelValueError: the array does not fit the shape or the dtype of the source.
    """
    path, source = Path(path), Path(source)
    if path.resolve() == source.resolve() or (path.exists() and source.exists() and path.samefile(source)):
        raise OutputError(
            f"{path} is the source file itself, and originals are never overwritten: choose another folder"
        )
    form = format_of(source)
    if form.encode is None:
        raise LabelValueError(f"{source}: labels cannot be kept in {form.name}, {form.no_labels}")
    if format_of(path) is not form:
        raise OutputError(f"{path} was to be written like {source}, but the suffixes differ")
    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    given = read_bytes(source)
    with _naming(source):
        data = form.encode(array, given)
    write_checked(path, data, array, decode_labels(source, given)[1])


def write_checked(path: Path, data: bytes, array: NDArray[Any], grid: Grid) -> None:
    """Write a label file that takes its name only once it has been read back as what it should hold.

    Args:
        path: file to write.
        data: its bytes.
        array: the labels that a reader must find.
        grid: and where they lie.

    Raises:
        OutputError: it reads otherwise; disk full, or not writable.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
        try:
            found, its_grid = decode_labels(temporary, read_bytes(temporary))
        except DataError as error:
            raise OutputError(f"{path} was not written, it could not be read again ({error})") from error
        same_values = np.array_equal(found, array)
        if not (same_values and _same_place(grid, its_grid)):
            what = "place in space" if same_values else "values"
            raise OutputError(
                f"{path} was not written, it reads back with other {what}: such {format_of(path).name} files "
                "cannot be written unchanged, convert the given labels to another"
            )


def _same_place(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same shape and, if both say it, the same place, up to rounding."""
    if one.shape != other.shape or one.affine is None or other.affine is None:
        return one.shape == other.shape
    return np.allclose(one.affine, other.affine, rtol=1e-4, atol=1e-3 * min(one.spacing_mm))


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Put the file's name in front of errors; whatever a decoder trips over means the file is damaged."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"{path}: {error}") from error
    except LabelmendError:
        raise
    except MemoryError as error:
        raise UnreadableFileError(f"{path} needs more memory than there is ({error}): check it") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UnreadableFileError(
            f"{path} cannot be read whole, it is truncated or damaged ({reason}): copy or export it again"
        ) from error
