"""Pictures and vector outlines of one case for the review page; vectors stay crisp when zoomed.

Coordinates are full-resolution pixels of the displayed plane, x to the right and y down.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from labelmend.html.slice_view import Plane, choose_plane, svg_path
from labelmend.io import Image
from labelmend.types import BoolArray, LabelMap

Box = tuple[tuple[int, int], ...]

LONGEST_OUTLINE = 1024
"""Pixels; masks with a longer side are outlined on every second, third, ... pixel."""
LOSSLESS_SIDE = 128
"""Pictures up to this side are PNG, larger ones JPEG."""
JPEG_QUALITY = 82
MARGIN = 0.25
"""Margin around the labels of the region that sets the grey window, as a fraction of their size."""


@dataclass(frozen=True)
class Limits:
    """How much of a case to show.

    Args:
        max_side_px: longest side of a picture.
        max_slices: most slices of a volume.
        max_bytes: largest size of a case; at least one slice is kept.
    """

    max_side_px: int = 512
    max_slices: int = 40
    max_bytes: float = float("inf")


@dataclass(frozen=True, eq=False)
class Shown:
    """The arrays of a case.

    Args:
        given: its labels.
        proposed: the proposed labels on the same grid, or None.
        image: the image on the same grid, or None.
    """

    given: LabelMap
    proposed: LabelMap | None
    image: Image | None


def case_block(shown: Shown, boxes: Sequence[Box | None], limits: Limits) -> dict[str, Any]:
    """Pictures, outlines and locations of findings of one case, ready for JSON.

    Args:
        shown: the arrays of the case.
        boxes: bounding box of each finding, None for the whole case.
        limits: how much to keep.

    Returns:
        `w h` of the plane in pixels, `ratio` of its height to its width in mm, `step` of the outlines,
        `plane` and `ends` as text, `of` the number of slices in the volume, `start` the slice shown first,
        `places` of the findings, and `slices`: each `at` (counted from 1), `img`, `given`, `prop` (classes
        that differ) and `ignored`.
    """
    weight = _weight(shown)
    plane = choose_plane(shown.given.grid, weight)
    drawer = _Drawer(shown, plane, _window(shown), limits.max_side_px)
    centres = [_centre(box, plane) for box in boxes if box is not None]
    first = centres[0] if centres else plane.index
    head = drawer.slice(first)
    room = max(1, int(min(limits.max_slices, limits.max_bytes // len(json.dumps(head)))))
    chosen = [0]
    if plane.axis is not None:
        chosen = chosen_slices(_along(weight, plane.axis), [first, *centres], room)
    height, width = plane.take(weight).shape
    return {
        "w": width,
        "h": height,
        "ratio": round(plane.height_to_width, 6),
        "step": _step((height, width)),
        "plane": plane.name.split(",")[0],
        "ends": plane.ends,
        "of": 1 if plane.axis is None else shown.given.grid.shape[plane.axis],
        "start": chosen.index(first),
        "places": [_place(box, plane, chosen, (height, width)) for box in boxes],
        "slices": [head if index == first else drawer.slice(index) for index in chosen],
    }


def chosen_slices(filled: NDArray[np.bool_], wanted: Sequence[int], room: int) -> list[int]:
    """Slices to keep: the wanted ones, then evenly from the filled part, then evenly from all.

    Args:
        filled: per slice, whether it shows anything.
        wanted: slices to keep first.
        room: largest number to keep.

    >>> chosen_slices(np.arange(9) % 9 > 4, [2], 4)
    [2, 5, 7, 8]
    """
    kept = list(dict.fromkeys(wanted))[:room]
    ends = np.flatnonzero(filled)
    parts = [range(ends[0], ends[-1] + 1)] if len(ends) else []
    for part in (*parts, range(len(filled))):
        rest = [int(index) for index in part if index not in kept]
        count = min(room - len(kept), len(rest))
        kept += [rest[round(at)] for at in np.linspace(0, len(rest) - 1, count)] if count else []
    return sorted(kept)


def _weight(shown: Shown) -> NDArray[Any]:
    """`(*space)` booleans: where the proposal differs; if it differs nowhere or is absent, all labels."""
    if shown.proposed is not None:
        changed = _anywhere(shown.given.array != shown.proposed.array, shown.given)
        if changed.any():
            return changed
    return _anywhere(shown.given.array != 0, shown.given)


def _anywhere(marked: NDArray[Any], labels: LabelMap) -> NDArray[Any]:
    """`(*space)` booleans: pixels marked in any class."""
    return np.asarray(marked.any(axis=0) if labels.overlapping else marked)


def _along(marked: NDArray[Any], axis: int) -> NDArray[Any]:
    """Per position along an axis, whether anything is marked."""
    return np.asarray(marked.any(axis=tuple(other for other in range(marked.ndim) if other != axis)))


def _centre(box: Box, plane: Plane) -> int:
    """The slice through the middle of a box."""
    return 0 if plane.axis is None else sum(box[plane.axis]) // 2


@dataclass(frozen=True, eq=False)
class _Drawer:
    """Draws the slices of one case.

    Args:
        shown: the case.
        plane: orientation of the slices.
        window: grey values shown as black and white.
        max_side_px: longest side of a picture.
    """

    shown: Shown
    plane: Plane
    window: tuple[float, float]
    max_side_px: int

    @cached_property
    def ignored(self) -> BoolArray | None:
        """Unannotated pixels; None if there are none."""
        ignored = self.shown.given.ignored()
        return ignored if ignored.any() else None

    def slice(self, index: int) -> dict[str, Any]:
        """Picture and outlines of one slice."""
        here = dataclasses.replace(self.plane, index=index)
        given = _masks(self.shown.given, here)
        step = _step(given.shape[1:])
        paths = {str(k): svg_path(mask[::step, ::step]) for k, mask in enumerate(given)}
        picture: dict[str, Any] = {
            "at": index + 1,
            "img": self._picture(here),
            "given": {k: path for k, path in paths.items() if path},
        }
        if self.shown.proposed is not None:
            picture["prop"] = {
                str(k): svg_path(mask[::step, ::step])
                for k, (mask, old) in enumerate(zip(_masks(self.shown.proposed, here), given, strict=True))
                if not np.array_equal(mask, old)
            }
        if self.ignored is not None:
            picture["ignored"] = svg_path(here.take(self.ignored)[::step, ::step])
        return picture

    def _picture(self, plane: Plane) -> str | None:
        """A data URI: grey, or colour for a 2-D image with three channels; None without an image."""
        if self.shown.image is None:
            return None
        array = self.shown.image.array
        colour = len(array) == 3 and plane.axis is None
        channels = np.stack([plane.take(channel) for channel in array[: 3 if colour else 1]], axis=-1)
        pixels = _eight_bits(channels, *self.window)
        picture = Pillow.fromarray(pixels if colour else pixels[..., 0])
        longest = max(picture.size)
        if longest > self.max_side_px:
            width, height = (max(1, round(side * self.max_side_px / longest)) for side in picture.size)
            picture = picture.resize((width, height), Pillow.Resampling.BOX)
        buffer = io.BytesIO()
        kind = "png" if max(picture.size) <= LOSSLESS_SIDE else "jpeg"
        picture.save(buffer, kind, **({} if kind == "png" else {"quality": JPEG_QUALITY}))
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _eight_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values from black to white as bytes; mid-grey if the range is empty."""
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _masks(labels: LabelMap, plane: Plane) -> BoolArray:
    """The masks `(k h w)` of one plane."""
    if labels.overlapping:
        return np.stack([plane.take(mask) for mask in labels.array])
    flat = plane.take(labels.array)
    return np.stack([flat == value for value in labels.class_values])


def _window(shown: Shown) -> tuple[float, float]:
    """Grey values shown as black and white: the 1st and 99th percentile around the labels."""
    if shown.image is None:
        return 0.0, 1.0
    region: list[slice] = []
    labelled = _anywhere(shown.given.array != 0, shown.given)
    for axis in range(labelled.ndim):
        at = np.flatnonzero(_along(labelled, axis))
        low, high = (int(at[0]), int(at[-1]) + 1) if len(at) else (0, labelled.shape[axis])
        wider = int(MARGIN * (high - low)) + 1
        region.append(slice(max(0, low - wider), high + wider))
    part = shown.image.array[(slice(None), *region)]
    part = part[:, :: max(1, part.shape[1] // 256), :: max(1, part.shape[2] // 256)]
    black, white = (float(value) for value in np.percentile(part, (1, 99)))
    return (black, white) if white > black else (float(part.min()), float(part.max()))


def _place(
    box: Box | None, plane: Plane, chosen: Sequence[int], size: tuple[int, int]
) -> dict[str, Any] | None:
    """Location of a finding: `box` [x0 y0 x1 y1]; slices shown `from` and `to`, and `at` its middle."""
    if box is None:
        return None
    height, width = size
    x, y = sorted(box[plane.columns]), sorted(box[plane.rows])
    x = [width - x[1], width - x[0]] if plane.flip_columns else x
    y = [height - y[1], height - y[0]] if plane.flip_rows else y
    low, high = (0, 1) if plane.axis is None else box[plane.axis]
    middle = _centre(box, plane)
    at = min(range(len(chosen)), key=lambda i: abs(chosen[i] - middle))
    inside = [i for i, index in enumerate(chosen) if low <= index < high] or [at]
    return {"box": [x[0], y[0], x[1], y[1]], "from": inside[0], "to": inside[-1], "at": at}


def _step(size: Sequence[int]) -> int:
    return -(-max(size) // LONGEST_OUTLINE)
