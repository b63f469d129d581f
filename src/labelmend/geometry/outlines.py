"""Outlines of 2-D masks: closed polygons along pixel faces, and polygons filled at pixel centres.

Points are `(x, y)`: pixel (row, column) covers the square from (column, row) to (column + 1, row + 1), so its
centre lies at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from labelmend.types import BoolArray

Corner = tuple[int, int]


def outlines(mask: BoolArray) -> list[list[Corner]]:
    """Closed polygons that run exactly along the pixel faces of a mask; holes run the other way round.

    Pixel (row, column) covers the square from (column, row) to (column + 1, row + 1); pixels that touch only
    at a corner are outlined apart. The image border closes a mask that reaches it.

    Args:
        mask: `(h w)` booleans.

    Returns:
        one list of corners `(x, y)` per polygon, only where the direction changes.

    >>> outlines(np.array([[0, 1, 1]], bool))
    [[(1, 0), (3, 0), (3, 1), (1, 1)]]
    """
    width = mask.shape[1] + 1
    faces = _faces(mask)
    steps = (1, width, -1, -width)
    left = [int(start) for start in np.flatnonzero(np.frombuffer(bytes(faces), np.uint8) & 1)]
    done: set[int] = set()
    polygons = []
    for start in left:
        if start in done:
            continue
        at, direction, previous, corners = start, 0, 3, []
        while True:
            if direction == 0:
                done.add(at)
            if direction != previous:
                corners.append((at % width, at // width))
            at, previous = at + steps[direction], direction
            right = (direction + 1) % 4
            if faces[at] >> right & 1:
                direction = right
            elif not faces[at] >> direction & 1:
                direction = (direction + 3) % 4
            if at == start and direction == 0:
                break
        polygons.append(corners)
    return polygons


def rasterise(polygons: Iterable[ArrayLike], shape: Sequence[int]) -> BoolArray:
    """The mask of the pixels whose centre lies inside closed polygons, by the even-odd rule.

    A centre on an edge belongs to the polygon at its right or below it, so that polygons that share an edge
    share no pixel. Parts outside the image are cut off. `rasterise(outlines(mask), mask.shape)` is the mask.

    Args:
        polygons: each `(n 2)` points `(x, y)`, the last joined to the first; fewer than 3 enclose nothing.
        shape: `(h w)` of the mask.

    Returns:
        `(h w)` booleans.

    >>> rasterise([[(0.6, 0), (3, 0), (3, 1), (0.6, 1)]], (1, 4)).astype(int)
    array([[0, 1, 1, 0]])
    """
    height, width = shape
    rings = [points for points in (np.asarray(p, float).reshape(-1, 2) for p in polygons) if len(points)]
    if not rings:
        return np.zeros((height, width), bool)
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(points, -1, axis=0) for points in rings])
    # An edge crosses the line through the centres of a row if its ends lie on different sides; an end on the
    # line counts as above it. `first` is the first such row of each edge, `stop` the one after the last.
    rows = np.clip(np.ceil(np.stack([start[:, 1], end[:, 1]]) - 0.5), 0, height).astype(np.int64)
    first, stop = rows.min(axis=0), rows.max(axis=0)
    count = stop - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (x1 - x0) * ((row + 0.5 - y0) / (y1 - y0))
    # Every crossing turns the pixels whose centre lies at its right or on it.
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    turns = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    return (turns.reshape(height, width + 1).cumsum(axis=1)[:, :width] & 1).astype(bool)


def paging_axis(spacing_mm: Sequence[float], shape: Sequence[int] = ()) -> int:
    """The array axis that annotators page through: the one of the thickest slices, the first on ties.

    Args:
        spacing_mm: per axis.
        shape: voxels per axis; the one of length one is that of a single slice, whatever its spacing.

    >>> paging_axis((1.0, 1.0, 5.0)), paging_axis((1.4, 1.4, 1.4)), paging_axis((1.0, 1.0, 5.0), (64, 1, 64))
    (2, 0, 1)
    """
    single = [axis for axis, size in enumerate(shape) if size == 1]
    return single[0] if len(single) == 1 else int(np.argmax(spacing_mm))


def _faces(mask: BoolArray) -> bytearray:
    """Per lattice point four bits: a face leaves it east, south, west or north, with the mask at right."""
    mask = np.asarray(mask, bool)
    wide = np.pad(mask, 1)
    bits = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.uint8)
    bits[:-1, :-1] |= mask & ~wide[:-2, 1:-1]
    bits[:-1, 1:] |= (mask & ~wide[1:-1, 2:]).astype(np.uint8) << 1
    bits[1:, 1:] |= (mask & ~wide[2:, 1:-1]).astype(np.uint8) << 2
    bits[1:, :-1] |= (mask & ~wide[1:-1, :-2]).astype(np.uint8) << 3
    return bytearray(bits.tobytes())
