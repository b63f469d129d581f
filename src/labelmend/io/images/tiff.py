"""Read and write TIFF with tifffile: single pages are 2-D, stacks 3-D; Pillow decodes the rest."""

from __future__ import annotations

import logging
import math
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, TiffImagePlugin

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io.files.limits import check_declared
from labelmend.io.images.formats import Format, Image, Spacing, register
from labelmend.io.images.label_values import as_integers, check_shape, fit_dtype
from labelmend.io.images.orientation_tag import TAG, as_shown, checked_orientation, stored
from labelmend.io.images.png import plain_grid
from labelmend.types import Grid

_INTEGERS = {1: "B", 3: "H", 4: "I"}
"""Types of a tag that holds one small number."""

_DEFLATE = (8, 32946)
_MOST_DEFLATED = 1032
"""Largest expansion of one byte of Deflate."""

_SMALL = 2**26
_LEAST_BYTES = 4
"""Pixels are held as 32-bit numbers, whatever the file stores."""

_LOSSY = ("JPEG", "JP2000", "WEBP", "LERC")


logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its warnings are errors here


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF with any number of pixels: the declared size has already been checked."""

    def load_prepare(self) -> None:
        if getattr(self, "_im", self) is None:
            self.im = Pillow.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)


def decode_tiff_image(data: bytes, spacing_mm: Spacing = None) -> Image:
    """Colour samples or channels first, pages as depth; oriented as displayed, by the orientation tag."""
    array, axes, orientation = _decoded(data)
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
    array = np.ascontiguousarray(as_shown(array, orientation), dtype=np.float32)
    return Image(array, plain_grid(array.shape[1:], spacing_mm, orientation))


def decode_tiff_labels(data: bytes, spacing_mm: Spacing = None) -> tuple[NDArray[Any], Grid]:
    """Stored integers (palette pictures: indices), one page `(h w)` or a stack `(d h w)`."""
    array, axes, orientation = _decoded(data, lossless=True)
    if "S" in axes or "C" in axes:
        raise LabelValueError(
            f"a label image needs one value per pixel, but this one has channels (axes {axes}, shape "
            f"{array.shape}): save it as greyscale or palette, with slices as depth (axis Z), not channels"
        )
    if len(axes) not in (2, 3) or not axes.endswith("YX"):
        raise GeometryError(
            f"labels must be 2-D or 3-D, but the TIFF has axes {axes} and shape {array.shape}"
        )
    array = np.ascontiguousarray(as_shown(as_integers(array), orientation))
    return array, plain_grid(array.shape, spacing_mm, orientation)


def encode_tiff_labels(array: NDArray[Any], source: bytes) -> bytes:
    """A TIFF with the source's dtype, palette, byte order, description, resolution and orientation tag.

    Values that do not fit 1 bit are stored in 8 bits.

    Differs: a compression that tifffile cannot write without extra packages (LZW, PackBits) becomes Deflate.
    """
    import tifffile

    old, _, orientation = _decoded(source)
    check_shape(array, as_shown(old, orientation).shape)
    array = stored(array, orientation)
    dtype = np.dtype(np.uint8) if old.dtype == bool and array.max(initial=0) > 1 else old.dtype
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
            "extratags": [(TAG, 3, 1, orientation, False)] if orientation != 1 else (),
        }
    out = BytesIO()
    tifffile.imwrite(out, fit_dtype(array, dtype), metadata=None, **options)
    return out.getvalue()


def _decoded(data: bytes, lossless: bool = False) -> tuple[NDArray[Any], str, int]:
    """Array, axis letters and orientation tag; axes of length one other than height and width are dropped.

    Pixels are in stored order.
    """
    import tifffile

    tags = _orientation_tags(data)
    orientation = tags[0] or 1
    if set(tags) - {0, orientation}:
        raise GeometryError("the pages of the TIFF have different orientation tags: save them as displayed")
    with tifffile.TiffFile(BytesIO(data)) as tif:
        if len(tif.series) != 1:
            raise GeometryError(f"the TIFF holds {len(tif.series)} series of different images, expected one")
        series, page = tif.series[0], tif.pages.first
        axes, shape = series.axes, series.shape
        if page.bitspersample not in (1, 8, 16, 32, 64):
            raise UnreadableFileError(
                f"{page.bitspersample} bits per pixel are not supported: save the TIFF with 8 or 16"
            )
        compression = tifffile.COMPRESSION(page.compression).name
        if lossless and any(name in compression for name in _LOSSY):
            raise LabelValueError(
                f"the TIFF is compressed as {compression}, which alters label values: export the "
                "labels with Deflate, LZW or no compression"
            )
        _check_size(series, page)
        try:
            array = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            array = _through_pillow(data, len(tags), orientation, page, series.dtype).reshape(shape)
    long = [i for i, name in enumerate(axes) if array.shape[i] > 1 or name in "YX"]
    array = array.reshape([array.shape[i] for i in long])
    return array, "".join(axes[i] for i in long), orientation


def _check_size(series: Any, page: Any) -> None:
    """Raise an error if the declared size exceeds the limit, or a strip or tile is missing."""
    size = max(_LEAST_BYTES, series.dtype.itemsize)
    declared = {"pixels": series.shape, "pixels in each strip or tile": page.chunks}
    for what, shape in declared.items():
        check_declared(math.prod(shape) * size, "the file", f"{' x '.join(map(str, shape))} {what}")
    piece = math.prod(page.chunks) * series.dtype.itemsize
    for each in series.pages:
        if each is None or each.is_contiguous:
            continue
        if len(each.dataoffsets) < math.prod(page.chunked):
            raise UnreadableFileError(
                f"the TIFF lists only {len(each.dataoffsets)} of {math.prod(page.chunked)} strips or tiles: "
                "it is damaged, export it again"
            )
        if page.compression in _DEFLATE:
            _check_unpacked(each, max(2 * piece, _SMALL))


def _check_unpacked(page: Any, allowed: int) -> None:
    """Raise an error if a strip or tile unpacks to far more than its header declares."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count * _MOST_DEFLATED > allowed:
            page.parent.filehandle.seek(offset)
            packed = page.parent.filehandle.read(count)
            if len(zlib.decompressobj().decompress(packed, allowed + 1)) > allowed:
                raise UnreadableFileError(
                    "a strip or tile of the TIFF unpacks to far more than its header says: export it again"
                )


def _through_pillow(data: bytes, n_pages: int, orientation: int, page: Any, dtype: np.dtype) -> NDArray[Any]:
    """Pages decoded by Pillow, as stored.

    Pillow applies the orientation tag, and inverts 1 and 8 bits if zero means white; both are undone.
    """
    from PIL import ImageSequence

    with _Tiff(BytesIO(data)) as picture:
        pages = [np.array(frame) for frame in ImageSequence.Iterator(picture)]
    if len(pages) != n_pages:
        raise UnreadableFileError(
            f"the header declares {n_pages} pages, the file has {len(pages)}: it is truncated"
        )
    array = np.stack(pages)
    if array.ndim == 4:
        array = np.moveaxis(array, -1, 1)
    array = stored(array, orientation)
    if array.dtype.itemsize < dtype.itemsize or array.shape[-2:] != (page.imagelength, page.imagewidth):
        raise UnreadableFileError(
            f"{page.compression.name} compression of {dtype} {page.photometric.name} is not supported: save "
            "the TIFF uncompressed or with Deflate"
        )
    if page.photometric == 0 and array.dtype in (bool, np.uint8):
        array = ~array
    return np.moveaxis(array, 1, -1) if array.ndim == 4 and page.planarconfig == 1 else array


def _orientation_tags(data: bytes) -> list[int]:
    """The tag of each page, 0 if absent; follows the page chain, since tifffile only logs a broken one."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        raise UnreadableFileError("this is not a TIFF file")
    big = struct.unpack(order + "H", data[2:4])[0] == 43
    offset_code, count_code, entry = (
        (order + "Q", order + "Q", order + "HHQ") if big else (order + "I", order + "H", order + "HHI")
    )
    entry_size = 20 if big else 12
    (offset,) = struct.unpack_from(offset_code, data, 8 if big else 4)
    seen: dict[int, int] = {}
    while offset:
        if offset in seen or offset >= len(data):
            raise UnreadableFileError(
                f"page {len(seen) + 1} of the TIFF is beyond the end of the file: it is truncated"
            )
        seen[offset] = 0
        (count,) = struct.unpack_from(count_code, data, offset)
        start = offset + struct.calcsize(count_code)
        end = start + count * entry_size
        (following,) = struct.unpack_from(offset_code, data, end)
        for place in range(start, end, entry_size):
            tag, kind, _ = struct.unpack_from(entry, data, place)
            if tag == TAG and kind in _INTEGERS:
                value = struct.unpack_from(order + _INTEGERS[kind], data, place + struct.calcsize(entry))
                seen[offset] = checked_orientation(value[0])
        offset = following
    return list(seen.values())


def _bytes(tag: Any) -> bytes | None:
    """A text tag as bytes, which may hold more than ASCII."""
    return None if tag is None else tag.value.encode() if isinstance(tag.value, str) else bytes(tag.value)


TIFF = register(Format("TIFF", (".tif", ".tiff"), decode_tiff_image, decode_tiff_labels, encode_tiff_labels))
