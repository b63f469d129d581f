"""Masks of COCO annotations: polygons, run lengths, and compressed run lengths.

Run lengths count pixels column by column, first those of background. Compressed ones hold, per run, five bits
a character (from "0" on, a sixth bit says that more follow), and from the fourth run on the difference to the
run two before. They are unpacked here, since pycocotools.decode reads past runs that are too short.

Source: cocodataset.org, "Data format" and "Mask API"; pycocotools/mask.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelmend.errors import DataError, GeometryError
from labelmend.runtime.extras import needed_by
from labelmend.types import BoolArray

MOST_OUTSIDE = 4
"""So many times the size of the image a corner may lie outside of it, before it counts as damaged."""


def pycocotools() -> Any:
    """The mask functions of pycocotools, or an error that says how to install it."""
    with needed_by("reading COCO labels"):
        from pycocotools import mask
    return mask


def mask_of(annotation: Mapping[str, Any], shape: tuple[int, int]) -> BoolArray | None:
    """The mask of an annotation, `(h w)` booleans; None if it has a box or key points only.

    Args:
        annotation: as in the JSON file.
        shape: height and width of its image.

    Raises:
        DataError, GeometryError: a segmentation that cannot be read, or that belongs to another image size.
    """
    drawn = annotation.get("segmentation")
    if not drawn:
        return None
    try:
        if isinstance(drawn, list):
            return _filled(drawn, shape)
        if isinstance(drawn, dict):
            return _unpacked(drawn, shape)
        raise DataError(f"its segmentation is {type(drawn).__name__}, expected polygons or run lengths")
    except DataError as error:
        raise type(error)(f"annotation {annotation.get('id')}: {error}") from error


def drawn_as(mask: BoolArray) -> dict[str, Any]:
    """The fields segmentation (compressed run lengths), area and bbox of a mask.

    Args:
        mask: `(h w)` booleans, not empty.
    """
    api = pycocotools()
    packed = api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {
            "size": [int(n) for n in packed["size"]],
            "counts": packed["counts"].decode("ascii"),
        },
        "area": int(api.area(packed)),
        "bbox": [float(value) for value in api.toBbox(packed)],
    }


def _filled(polygons: Sequence[Any], shape: tuple[int, int]) -> BoolArray | None:
    """Polygons as pycocotools fills them; those of fewer than three corners enclose nothing."""
    height, width = shape
    kept = []
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise DataError("a polygon is no list of x y x y ...: export it again")
        if not all(type(v) is int or (type(v) is float and math.isfinite(v)) for v in polygon):
            raise DataError("a polygon holds something else than numbers: export it again")
        if not all(abs(value) <= (MOST_OUTSIDE + 1) * max(shape) for value in polygon):
            raise DataError(f"a polygon lies far outside of its image of {height} x {width}: export it again")
        if len(polygon) >= 6:
            kept.append(polygon)
    if not kept:
        return None
    api = pycocotools()
    packed = api.merge(api.frPyObjects(kept, height, width))
    return _unpacked({"size": list(shape), "counts": packed["counts"].decode("ascii")}, shape)


def _unpacked(drawn: Mapping[str, Any], shape: tuple[int, int]) -> BoolArray:
    """The mask of run lengths."""
    size, counts = drawn.get("size"), drawn.get("counts")
    if size != list(shape):
        raise GeometryError(f"its run lengths are of the size {size}, its image has {list(shape)}")
    runs = run_lengths(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(n) is int and n >= 0 for n in runs):
        raise DataError("its run lengths are no whole numbers from 0 up: export it again")
    if sum(runs) != shape[0] * shape[1]:
        raise DataError(f"its run lengths sum up to {sum(runs)}, its image has {shape[0] * shape[1]} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(shape, order="F"))


def run_lengths(text: str) -> list[int]:
    """Compressed run lengths as numbers.

    Raises:
        DataError: another character, or an end in the middle of a number.

    >>> run_lengths("11110")
    [1, 1, 1, 2, 1]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError(f"its compressed run lengths hold {character!r}: export it again")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError("its compressed run lengths end in the middle of a number: export it again")
    return counts
