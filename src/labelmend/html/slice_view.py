"""Outlines as SVG paths, and the plane of a volume that is worth looking at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.geometry import outlines
from labelmend.types import BoolArray, Grid

WORLD_ENDS = ("RL", "AP", "SI")
PLANES = ("sagittal", "coronal", "axial")
CLEARLY_THICKER = 1.2
"""A volume counts as a stack of slices if the spacing of its thickest axis is this many times the next."""


def svg_path(mask: BoolArray) -> str:
    """The outlines of a mask as the `d` attribute of one SVG path, in pixels; empty for an empty mask.

    >>> svg_path(np.array([[0, 1, 1]], bool))
    'M1 0h2v1h-2z'
    """
    parts = []
    for corners in outlines(mask):
        parts.append(f"M{corners[0][0]} {corners[0][1]}")
        for (x0, y0), (x1, y1) in pairwise(corners):
            parts.append(f"h{x1 - x0}" if y0 == y1 else f"v{y1 - y0}")
        parts.append("z")
    return "".join(parts)


@dataclass(frozen=True)
class Plane:
    """How to show a case on a flat screen.

    Args:
        rows: array axis that runs down the screen.
        columns: array axis that runs to the right.
        flip_rows: whether the row axis is reversed.
        flip_columns: whether the column axis is reversed.
        axis: array axis of the slice, None in 2-D.
        index: position along it, from 0.
        name: the plane in words, empty in 2-D.
        ends: letters at the left, right, top and bottom edge; empty where the orientation is not known.
        height_to_width: of the picture in mm.
    """

    rows: int
    columns: int
    flip_rows: bool
    flip_columns: bool
    axis: int | None
    index: int
    name: str
    ends: str
    height_to_width: float

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        """The picture `(h w)` of an array `(*space)`."""
        flat = array if self.axis is None else np.take(array, self.index, axis=self.axis)
        flat = flat if self.rows < self.columns else flat.T
        return flat[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def choose_plane(grid: Grid, weight: NDArray[Any]) -> Plane:
    """The plane to show: the whole picture in 2-D; in 3-D the slice with the largest sum of `weight`.

    A stack of thick slices is shown as it was taken, across its thickest axis; otherwise the plane is axial
    where the affine tells which one that is, else across the first axis. With an affine the picture is turned
    as radiologists look at it: the patient's right, anterior or superior side is at the left or top edge.

    Args:
        grid: grid of the case.
        weight: `(*space)` numbers or booleans, for instance where the labels changed.
    """
    world = _world(grid)
    axis = None if grid.ndim == 2 else _slice_axis(grid, world)
    shown = [a for a in range(grid.ndim) if a != axis]
    if world is not None:
        shown.sort(key=lambda a: -world[a][0])
    rows, columns = shown
    flips = [world is not None and world[a][1] > 0 for a in shown]
    ends = "" if world is None else WORLD_ENDS[world[columns][0]] + WORLD_ENDS[world[rows][0]]
    sizes = [grid.shape[a] * grid.spacing_mm[a] for a in shown]
    index, name = 0, ""
    if axis is not None:
        index = int(np.argmax(weight.sum(axis=tuple(shown))))
        kind = f"slice across axis {axis}" if world is None else f"{PLANES[world[axis][0]]} slice"
        name = f"{kind}, {index + 1} of {grid.shape[axis]}"
    return Plane(rows, columns, flips[0], flips[1], axis, index, name, ends, sizes[0] / sizes[1])


def _world(grid: Grid) -> tuple[tuple[int, int], ...] | None:
    """Per array axis the nearest world axis (0 right, 1 anterior, 2 superior) and its sign, if known."""
    if grid.affine is None:
        return None
    directions = np.asarray(grid.affine, float)[:3, : grid.ndim]
    nearest = np.abs(directions).argmax(axis=0)
    if len(set(nearest.tolist())) < grid.ndim:
        return None
    return tuple((int(w), 1 if directions[w, a] > 0 else -1) for a, w in enumerate(nearest))


def _slice_axis(grid: Grid, world: tuple[tuple[int, int], ...] | None) -> int:
    if 1 in grid.shape:
        return grid.shape.index(1)
    order = sorted(range(3), key=lambda a: grid.spacing_mm[a])
    if grid.spacing_mm[order[2]] > CLEARLY_THICKER * grid.spacing_mm[order[1]]:
        return order[2]
    return 0 if world is None else [w for w, _ in world].index(2)
