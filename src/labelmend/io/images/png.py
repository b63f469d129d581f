"""Read and write pictures with Pillow: PNG for images and labels; JPEG and BMP for images only."""

from __future__ import annotations

import zlib
from contextlib import suppress
from io import BytesIO
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin
from PIL import Image as Pillow

from labelmend.errors import LabelValueError, UnreadableFileError
from labelmend.geometry import check_spacing
from labelmend.io.files.limits import check_declared
from labelmend.io.images.formats import Format, Image, Spacing, register
from labelmend.io.images.label_values import as_integers, check_shape, fit_dtype
from labelmend.io.images.orientation_tag import TAG, as_shown, checked_orientation, stored
from labelmend.types import Grid

_GREY = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "F")
_PNG = b"\x89PNG\r\n\x1a\n"
_READERS: dict[bytes, Any] = {
    _PNG: PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
"""Decoder by signature. `PIL.Image.open` would refuse large pictures and try every known format."""

_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"pHYs", b"eXIf")
_NEEDED_NOTES = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


def plain_grid(shape: tuple[int, ...], spacing_mm: Spacing, orientation: int = 1) -> Grid:
    """Grid of a file that stores no spacing."""
    unit: Literal["mm", "px"] = "px" if spacing_mm is None else "mm"
    return Grid(shape, check_spacing(spacing_mm, len(shape)), unit=unit, orientation_tag=orientation)


def decode_png_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """Grey pictures as one channel, all others as red, green, blue; transparency is dropped.

    Pixels are oriented as displayed, by the orientation tag. 16-bit grey keeps its values; Pillow reads
    16-bit colour at 8 bits.
    """
    picture, orientation = _opened(data)
    if picture.mode == "LA":
        picture = picture.convert("L")
    elif picture.mode not in _GREY or picture.mode == "P":
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    array = np.ascontiguousarray(as_shown(array, orientation), np.float32)
    return Image(array, plain_grid(array.shape[1:], spacing_mm, orientation))


def decode_png_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """Stored integers of a grey or palette PNG (indices, not colours) of 1, 2, 4, 8 or 16 bits."""
    if not data.startswith(_PNG):
        raise UnreadableFileError(
            "this is not a PNG despite its name, or it is truncated: export the labels as PNG"
        )
    picture, orientation = _opened(data)
    if picture.mode not in _GREY:
        what = "has transparency" if picture.mode == "LA" else "is in colour"
        raise LabelValueError(
            f"a label image needs one value per pixel, but this one {what} (mode {picture.mode}): "
            "save it as greyscale or palette"
        )
    array = as_integers(np.array(picture))
    if picture.mode == "L":
        array //= _grey_scale(data)
    array = np.ascontiguousarray(as_shown(array, orientation))
    return array, plain_grid(array.shape, spacing_mm, orientation)


def encode_png_labels(array: NDArray[Any], source: bytes) -> bytes:
    """A PNG like the source: grey, or palette with the same colours; same resolution and orientation tag.

    Values that do not fit 1 bit are stored in 8 bits, and a palette too short for them is extended.

    Differs: grey with 2 or 4 bits is written with 8 bits and the same values.
    """
    old, orientation = _opened(source)
    check_shape(array, old.size if orientation >= 5 else old.size[::-1])
    array = np.ascontiguousarray(stored(array, orientation))
    kept: dict[str, Any] = {key: old.info[key] for key in ("dpi", "transparency") if key in old.info}
    if orientation != 1:
        kept["exif"] = Pillow.Exif()
        kept["exif"][TAG] = orientation
    fitted = fit_dtype(array, np.uint8 if old.mode in ("1", "L", "P") else np.uint16)
    new = Pillow.fromarray(fitted > 0 if old.mode == "1" and fitted.max(initial=0) < 2 else fitted)
    if old.mode == "P":
        new.putpalette(_with_colours(old.getpalette() or [], int(fitted.max(initial=0)) + 1))
    out = BytesIO()
    new.save(out, "PNG", **kept)
    return out.getvalue()


def _opened(data: bytes) -> tuple[Pillow.Image, int]:
    """A fully loaded picture, and its orientation tag.

    Pillow's pixel limit is bypassed; instead, the declared size, at 32 bits per value, is checked before
    unpacking.
    """
    reader = next((reader for start, reader in _READERS.items() if data.startswith(start)), None)
    if reader is None:
        raise UnreadableFileError(
            "this is not a PNG, JPEG or BMP despite its name, or it is truncated: export it as one"
        )
    picture = reader(BytesIO(_without_notes(data) if data.startswith(_PNG) else data))
    width, height = picture.size
    channels = 3 if picture.mode == "P" else len(picture.getbands())
    check_declared(4 * width * height * channels, "the file", f"{width} x {height} pixels")
    picture.load()
    orientation = 1
    with suppress(Exception):  # unreadable EXIF is ignored, as in viewers
        orientation = checked_orientation(picture.getexif().get(TAG))
    return picture, orientation


def _without_notes(data: bytes) -> bytes:
    """A PNG without chunks that do not affect its pixels; the checksum of every chunk is verified.

    Text and colour profiles could unpack to any size, and are not used.
    """
    view, place, kind = memoryview(data), len(_PNG), b""
    kept = [view[:place]]
    while kind != b"IEND":
        end = place + 12 + int.from_bytes(view[place : place + 4], "big")
        if end > len(data):
            raise UnreadableFileError("the PNG is truncated: copy or export it again")
        kind = bytes(view[place + 4 : place + 8])
        if zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise UnreadableFileError(
                f"the PNG is damaged, its chunk {kind.decode('ascii', 'replace')} has a wrong checksum: copy "
                "or export it again"
            )
        if kind in _NEEDED or bytes(view[place + 8 : place + 40]).startswith(_NEEDED_NOTES):
            kept.append(view[place:end])
        place = end
    return b"".join(kept)


def _with_colours(palette: list[int], n: int) -> list[int]:
    """Extend a palette to at least n colours with new, distinct ones.

    Without a colour for each index, Pillow would write too few bits per pixel and lose the highest.
    """
    given = {tuple(palette[i : i + 3]) for i in range(0, len(palette), 3)}
    fresh = (colour for colour in map(_spread, range(512)) if colour not in given)
    return palette + [part for colour in islice(fresh, max(0, n - len(palette) // 3)) for part in colour]


def _spread(index: int) -> tuple[int, int, int]:
    """A distinct colour for each index below 512; its lowest bits become the highest colour bits."""
    red, green, blue = (
        (index >> c & 1) << 7 | (index >> c + 3 & 1) << 6 | (index >> c + 6 & 1) << 5 for c in (0, 1, 2)
    )
    return red, green, blue


def _grey_scale(data: bytes) -> int:
    """The factor by which Pillow scales 2- and 4-bit grey to 0..255."""
    return {2: 85, 4: 17}.get(data[24], 1)


PNG = register(Format("PNG", (".png",), decode_png_image, decode_png_labels, encode_png_labels))
JPEG = register(
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        decode_png_image,
        no_labels="whose compression alters values: export the labels as PNG, TIFF or NIfTI",
    )
)
BMP = register(
    Format("BMP", (".bmp",), decode_png_image, no_labels="export the labels as PNG, TIFF or NIfTI")
)
