"""TIFF through tifffile: single pages are 2-D, stacks 3-D; Pillow decodes what tifffile alone cannot."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io.base import Format, Image, Spacing, register
from labelmend.io.png import plain_grid
from labelmend.io.values import as_integers, check_shape, fit_dtype
from labelmend.types import Grid


def decode_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """Colour samples or channels first, pages as depth."""
    array, axes = _decoded(data)
    for name in "SC":
        if name in axes:
            array = np.moveaxis(array, axes.index(name), 0)
            axes = name + axes.replace(name, "")
            break
    else:
        array, axes = array[None], "C" + axes
    if len(axes) not in (3, 4) or not axes.endswith("YX"):
        raise GeometryError(
            f"a TIFF with axes {axes} and shape {array.shape} is neither a 2-D nor a 3-D image"
        )
    array = np.ascontiguousarray(array, dtype=np.float32)
    return Image(array, plain_grid(array.shape[1:], spacing_mm))


def decode_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray, Grid]:
    """Stored integers (palette pictures: indices), one page `(h w)` or a stack `(d h w)`."""
    array, axes = _decoded(data)
    if "S" in axes or "C" in axes:
        raise LabelValueError(
            f"a label picture needs one value a pixel, but this one has channels (axes {axes}, shape "
            f"{array.shape}): save it as grey or palette"
        )
    if len(axes) not in (2, 3):
        raise GeometryError(
            f"labels must be 2-D or 3-D, but the TIFF has axes {axes} and shape {array.shape}"
        )
    return as_integers(array), plain_grid(array.shape, spacing_mm)


def encode_labels(array: NDArray, source: bytes) -> bytes:
    """A TIFF with the source's dtype, palette, byte order, description and resolution.

    Differs: a compression that tifffile cannot write without extra packages (LZW, PackBits) becomes Deflate.
    """
    import tifffile

    old, _ = _decoded(source)
    check_shape(array, old.shape)
    with tifffile.TiffFile(BytesIO(source)) as tif:
        page = tif.pages.first
        options: dict[str, Any] = {
            "byteorder": tif.byteorder,
            "photometric": page.photometric,
            "compression": None if page.compression == tifffile.COMPRESSION.NONE else "adobe_deflate",
            "colormap": page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE else None,
            "description": _bytes(page.tags.get("ImageDescription")),
            "software": _bytes(page.tags.get("Software")) or False,
            "resolution": page.resolution if "XResolution" in page.tags else None,
            "resolutionunit": page.resolutionunit if "ResolutionUnit" in page.tags else None,
        }
    out = BytesIO()
    tifffile.imwrite(out, fit_dtype(array, old.dtype), metadata=None, **options)
    if not np.array_equal(decode_labels(out.getvalue())[0], array):
        raise LabelValueError(
            "this kind of TIFF cannot be written back unchanged: convert the labels to PNG or NIfTI"
        )
    return out.getvalue()


def _decoded(data: bytes) -> tuple[NDArray, str]:
    """Array and axis letters, without axes of length one other than height and width."""
    import tifffile

    n_pages = _count_pages(data)
    with tifffile.TiffFile(BytesIO(data)) as tif:
        if len(tif.series) != 1:
            raise GeometryError(f"the TIFF holds {len(tif.series)} pictures of different kinds, expected one")
        series, page = tif.series[0], tif.pages.first
        axes, shape = series.axes, series.shape
        if page.bitspersample in (8, 16, 32, 64) or page.bitspersample == 1:
            try:
                array = series.asarray()
            except ValueError as error:
                if "imagecodecs" not in str(error):
                    raise
                array = _through_pillow(data, n_pages, page).reshape(shape)
        else:
            raise UnreadableFileError(
                f"{page.bitspersample} bits a pixel are not read: save the TIFF with 8 or 16"
            )
    long = [i for i, name in enumerate(axes) if array.shape[i] > 1 or name in "YX"]
    return array.reshape([array.shape[i] for i in long]), "".join(axes[i] for i in long)


def _through_pillow(data: bytes, n_pages: int, page: Any) -> NDArray:
    """Pages decoded by Pillow, as stored: where zero means white Pillow inverts them, which is undone."""
    from PIL import Image as Pillow
    from PIL import ImageSequence

    with Pillow.open(BytesIO(data)) as picture:
        pages = [np.array(frame) for frame in ImageSequence.Iterator(picture)]
    if len(pages) != n_pages:
        raise UnreadableFileError(f"{n_pages} pages announced, {len(pages)} found: the file is truncated")
    array = np.stack(pages)
    if page.photometric == 0:
        array = ~array if array.dtype == bool else np.iinfo(array.dtype).max - array
    return array


def _count_pages(data: bytes) -> int:
    """Number of pages, after following their chain to its end: tifffile only logs a chain that is cut off."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        raise UnreadableFileError("this is no TIFF file")
    big = struct.unpack(order + "H", data[2:4])[0] == 43
    offset_code, count_code, entry_size = (
        (order + "Q", order + "Q", 20) if big else (order + "I", order + "H", 12)
    )
    (offset,) = struct.unpack_from(offset_code, data, 8 if big else 4)
    seen: set[int] = set()
    while offset:
        if offset in seen or offset >= len(data):
            raise UnreadableFileError(
                f"page {len(seen) + 1} of the TIFF lies outside the file: it is truncated"
            )
        seen.add(offset)
        (count,) = struct.unpack_from(count_code, data, offset)
        end = offset + struct.calcsize(count_code) + count * entry_size
        (offset,) = struct.unpack_from(offset_code, data, end)
    return len(seen)


def _bytes(tag: Any) -> bytes | None:
    """A text tag in a form that may hold more than ASCII."""
    return None if tag is None else tag.value.encode() if isinstance(tag.value, str) else bytes(tag.value)


TIFF = register(Format("TIFF", (".tif", ".tiff"), decode_image, decode_labels, encode_labels))
