"""Check the palettes of the label files in a folder: each index must have one colour throughout.

Tools that convert colour images to palettes number the colours of each image independently, so an index may
mean different classes in different files. labelmend reads indices, so it refuses such folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from labelmend.errors import LabelValueError
from labelmend.io.files.reading import check_regular
from labelmend.io.images.formats import read_label_array, suffix_of
from labelmend.io.images.label_values import distinct_values

Colour = tuple[int, int, int]
Palette = tuple[Colour, ...]

_BLACK = (0, 0, 0)
_PALETTE_KIND = 3
"""PNG colour type and TIFF photometric interpretation of palette images."""


def check_palettes(paths: Iterable[Path], *, only_zero: bool = False) -> None:
    """Raise an error if two files use the same index with different colours.

    Reads only headers, unless palettes differ; then also the files with a palette.

    Args:
        paths: label files that share their values; those without a palette are skipped.
        only_zero: whether all nonzero indices mean the same, as in single-class files.

    Raises:
        LabelValueError: names the two files, the index and its colours.
    """
    palettes = {path: palette for path in paths if (palette := stored_palette(path))}
    unlike = _unlike(palettes)
    unlike &= {0} if only_zero else unlike
    seen: dict[int, tuple[Colour, Path]] = {}
    for path, palette in palettes.items() if unlike else ():
        used = unlike & set(distinct_values(read_label_array(path)[0]))
        for index in sorted(index for index in used if index < len(palette)):
            colour, other = seen.setdefault(index, (palette[index], path))
            if colour != palette[index]:
                raise LabelValueError(
                    f"{other} and {path} have different palettes: value {index} is {_hex(colour)} in one and "
                    f"{_hex(palette[index])} in the other, so it may mean two classes. Save all label files "
                    "with one palette, or as greyscale images of their class values"
                )


def check_background(paths: Iterable[Path], ignore: int | None) -> None:
    """Raise an error if unnamed value 0, by default background, has a colour while another value is black.

    Args:
        paths: label files with unnamed values.
        ignore: ignore value, of any colour.

    Raises:
        LabelValueError: names the file and both values.
    """
    for path in paths:
        palette = stored_palette(path)
        if _BLACK not in palette[1:] or palette[0] == _BLACK:
            continue
        used = [value for value in distinct_values(read_label_array(path)[0]) if value < len(palette)]
        black = [value for value in used if palette[value] == _BLACK and value != ignore]
        if 0 in used and black:
            raise LabelValueError(
                f"{path} is a palette image in which value 0 is {_hex(palette[0])} and value {black[0]} is "
                "black, so either may be the background: name the classes with their values, or save the "
                "labels as greyscale images with background 0"
            )


def stored_palette(path: Path) -> Palette:
    """The palette of a PNG or TIFF, from its header; empty if there is none or the file is damaged."""
    suffix = suffix_of(path)
    reader = {".png": _png_palette, ".tif": _tiff_palette, ".tiff": _tiff_palette}.get(suffix)
    with suppress(Exception):  # errors are reported when the pixels are read
        if reader is not None and check_regular(path):
            return reader(path)
    return ()


def _unlike(palettes: Mapping[Path, Palette]) -> set[int]:
    """Indices with more than one colour."""
    colours: dict[int, Colour] = {}
    return {
        index
        for palette in set(palettes.values())
        for index, colour in enumerate(palette)
        if colours.setdefault(index, colour) != colour
    }


def _png_palette(path: Path) -> Palette:
    with path.open("rb") as file:
        start = file.read(33)
        if start[:8] != b"\x89PNG\r\n\x1a\n" or start[25] != _PALETTE_KIND:
            return ()
        while True:
            head = file.read(8)
            size = int.from_bytes(head[:4], "big")
            if head[4:] == b"PLTE" and size <= 768:
                return _colours(np.frombuffer(file.read(size), np.uint8).reshape(-1, 3))
            if head[4:] in (b"IDAT", b"IEND", b""):
                return ()
            file.seek(size + 4, 1)


def _tiff_palette(path: Path) -> Palette:
    import tifffile

    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        if page.photometric != _PALETTE_KIND or page.colormap is None:
            return ()
        return _colours(np.asarray(page.colormap).T >> 8)


def _colours(table: np.ndarray) -> Palette:
    return tuple((int(red), int(green), int(blue)) for red, green, blue in table)


def _hex(colour: Colour) -> str:
    return f"#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}"
