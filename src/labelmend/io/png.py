"""Pictures through Pillow: PNG for images and labels; JPEG and BMP for images only."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from labelmend.errors import LabelValueError, UnreadableFileError
from labelmend.geometry import check_spacing
from labelmend.io.base import Format, Image, Spacing, register
from labelmend.io.values import as_integers, check_shape, fit_dtype
from labelmend.types import Grid

_PNG_END = b"IEND\xaeB`\x82"
_GREY = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "F")


def plain_grid(shape: tuple[int, ...], spacing_mm: Spacing) -> Grid:
    """Grid of a file that stores no spacing."""
    unit: Literal["mm", "px"] = "px" if spacing_mm is None else "mm"
    return Grid(shape, check_spacing(spacing_mm, len(shape)), unit=unit)


def decode_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """Grey pictures as one channel, everything else as red, green, blue; transparency is dropped.

    16-bit grey keeps its values; 16-bit colour is read at 8 bits, which is all that Pillow offers.
    """
    picture = _opened(data)
    if picture.mode == "LA":
        picture = picture.convert("L")
    elif picture.mode not in _GREY or picture.mode == "P":
        picture = picture.convert("RGB")
    array = np.asarray(picture).astype(np.float32)
    array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    array = np.ascontiguousarray(array)
    return Image(array, plain_grid(array.shape[1:], spacing_mm))


def decode_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray, Grid]:
    """Stored integers of a grey or palette PNG (indices, not colours) of 1, 2, 4, 8 or 16 bits."""
    picture = _opened(data)
    if picture.mode not in _GREY:
        raise LabelValueError(
            f"a label picture needs one value a pixel, but this one is in colour (mode {picture.mode}): "
            "save it as grey or palette"
        )
    array = as_integers(np.array(picture))
    if picture.mode == "L":
        array //= _grey_scale(data)
    return array, plain_grid(array.shape, spacing_mm)


def encode_labels(array: NDArray, source: bytes) -> bytes:
    """A PNG of the source's kind: 1-bit, 8-bit, 16-bit or palette with the same colours, and its resolution.

    Differs: grey of 2 and 4 bits comes back as 8 bits with the same values.
    """
    old = _opened(source)
    check_shape(array, (old.height, old.width))
    kept: dict[str, Any] = {key: old.info[key] for key in ("dpi", "transparency") if key in old.info}
    if old.mode == "1":
        new = Pillow.fromarray(fit_dtype(array, np.uint8) > 0)
        fit_dtype(array, bool)
    elif old.mode == "P":
        new = Pillow.frombytes("P", old.size, fit_dtype(array, np.uint8).tobytes())
        new.putpalette(old.getpalette() or [])
    elif old.mode == "L":
        new = Pillow.fromarray(fit_dtype(array, np.uint8))
    else:
        new = Pillow.fromarray(fit_dtype(array, np.uint16))
    out = BytesIO()
    new.save(out, "PNG", **kept)
    return out.getvalue()


def _opened(data: bytes) -> Pillow.Image:
    """A picture loaded whole; PNG checksums are verified, since Pillow alone lets a missing end pass."""
    if data.startswith(b"\x89PNG"):
        if _PNG_END not in data[-65536:]:
            raise UnreadableFileError("the PNG is truncated, its end is missing: copy or export it again")
        Pillow.open(BytesIO(data)).verify()
    picture = Pillow.open(BytesIO(data))
    picture.load()
    return picture


def _grey_scale(data: bytes) -> int:
    """The factor by which Pillow stretches grey of 2 and 4 bits to 0..255."""
    return {2: 85, 4: 17}.get(data[24], 1) if data.startswith(b"\x89PNG") else 1


PNG = register(Format("PNG", (".png",), decode_image, decode_labels, encode_labels))
JPEG = register(
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        decode_image,
        no_labels="whose compression alters label values: export the labels as PNG, TIFF or NIfTI",
    )
)
BMP = register(Format("BMP", (".bmp",), decode_image, no_labels="export the labels as PNG, TIFF or NIfTI"))
