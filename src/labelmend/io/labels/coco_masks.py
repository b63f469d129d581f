"""Masks of COCO annotations: polygons, run lengths, and compressed run lengths.

Run lengths count pixels column by column, starting with background. Compressed run lengths hold five bits per
character (offset "0"; a sixth bit marks continuation), and from the fourth run on the difference to the run
two before. They are decoded here because pycocotools.decode reads beyond runs that are too short.

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
"""Largest distance of a vertex outside the image, in image sizes, before the polygon counts as damaged."""


def pycocotools() -> Any:
    """The mask functions of pycocotools, or an error with install instructions."""
    with needed_by("reading COCO labels"):
        from pycocotools import mask
    return mask


def mask_of(annotation: Mapping[str, Any], shape: tuple[int, int]) -> BoolArray | None:
    """The mask of an annotation, `(h w)` booleans; None if it has only a box or keypoints.

    Args:
        annotation: as in the JSON file.
        shape: height and width of its image.

    Raises:
        DataError, GeometryError: an unreadable segmentation, or one for another image size.
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
    """Polygons filled by pycocotools; fewer than three vertices enclose nothing."""
    height, width = shape
    kept = []
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise DataError("a polygon is not a list of x y x y ...: export it again")
        if not all(type(v) is int or (type(v) is float and math.isfinite(v)) for v in polygon):
            raise DataError("a polygon holds values that are not numbers: export it again")
        if not all(abs(value) <= (MOST_OUTSIDE + 1) * max(shape) for value in polygon):
            raise DataError(f"a polygon is far outside its {height} x {width} image: export it again")
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
        raise GeometryError(f"its run lengths have size {size}, its image has {list(shape)}")
    runs = run_lengths(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(n) is int and n >= 0 for n in runs):
        raise DataError("its run lengths are not non-negative integers: export it again")
    if sum(runs) != shape[0] * shape[1]:
        raise DataError(f"its run lengths sum to {sum(runs)}, its image has {shape[0] * shape[1]} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(shape, order="F"))


def run_lengths(text: str) -> list[int]:
    """Decode compressed run lengths.

    Raises:
        DataError: an invalid character, or an end in the middle of a number.

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
