"""Which way the axes of a volume run in space, and volumes turned by quarter turns and mirrored axes.

Nothing is interpolated: axes change places or run backwards, and the affine says where the voxels lie after
that, which is where they lay before.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.types import FloatArray, Grid, LabelMap

_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Of the axes x, y, z of the world: the letter of an axis that runs along it, and of one against it."""

_CLEARLY = 1e-6
"""How much better another order of axes must fit before it is taken: ties keep the order."""


@dataclass(frozen=True)
class Turn:
    """Axes in another order, some of them backwards.

    Args:
        axes: new axis i is the old axis `axes[i]`.
        back: whether new axis i runs backwards.
    """

    axes: tuple[int, ...]
    back: tuple[bool, ...]

    @property
    def is_none(self) -> bool:
        """Whether nothing changes."""
        return self.axes == tuple(range(len(self.axes))) and not any(self.back)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array `(... *space)` turned; the very array where nothing changes."""
        if self.is_none:
            return array
        lead = array.ndim - len(self.axes)
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        flipped = tuple(lead + i for i, back in enumerate(self.back) if back)
        return np.ascontiguousarray(np.flip(turned, flipped))

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array `(... *space)` that `apply` gets this one from."""
        return self.inverse().apply(array)

    def grid(self, grid: Grid) -> Grid:
        """Where the voxels of a turned array lie."""
        if self.is_none:
            return grid
        affine = grid.affine
        if affine is not None:
            affine = np.array(affine, np.float64)
            for new, (old, back) in enumerate(zip(self.axes, self.back, strict=True)):
                step = grid.affine[:3, old]  # type: ignore[index]
                affine[:3, new] = -step if back else step
                affine[:3, 3] += step * (grid.shape[old] - 1) * back
        shape = tuple(grid.shape[axis] for axis in self.axes)
        spacing = tuple(grid.spacing_mm[axis] for axis in self.axes)
        return dataclasses.replace(grid, shape=shape, spacing_mm=spacing, affine=affine)

    def labels(self, labels: LabelMap) -> LabelMap:
        """Labels turned, with their grid."""
        if self.is_none:
            return labels
        ignored = labels.ignored_mask
        return dataclasses.replace(
            labels,
            array=self.apply(labels.array),
            grid=self.grid(labels.grid),
            ignored_mask=None if ignored is None else self.apply(ignored),
        )

    def inverse(self) -> Turn:
        """The turn back."""
        places = tuple(self.axes.index(axis) for axis in range(len(self.axes)))
        return Turn(places, tuple(self.back[place] for place in places))


def axis_codes(grid: Grid) -> str | None:
    """Where the axes of a volume point to, as three letters; None without affine.

    Axes are called after the direction that they come closest to: to the right (R) or left, to the front (A)
    or posterior, upwards (S) or inferior. The third letter of a slice only says in which plane it lies.

    >>> axis_codes(Grid((4, 3, 2), (1.0, 1.0, 2.0), np.diag([-1.0, 1.0, 2.0, 1.0])))
    'LAS'
    """
    if grid.affine is None:
        return None
    found = [""] * 3
    axes, back = _closest(_directions(grid.affine))
    for world, (axis, flipped) in enumerate(zip(axes, back, strict=True)):
        found[axis] = _LETTERS[world][flipped and axis < grid.ndim]
    return "".join(found)


def turn_to(grid: Grid, codes: str) -> Turn | None:
    """The turn that brings a volume into an orientation; None without affine, or for a slice across it."""
    steps = np.zeros((3, 3))
    for axis, letter in enumerate(codes):
        world = next(i for i, letters in enumerate(_LETTERS) if letter in letters)
        steps[world, axis] = 1 if letter == _LETTERS[world][0] else -1
    return _turn(grid, steps)


def turn_onto(grid: Grid, other: Grid) -> Turn | None:
    """The turn after which the axes of one volume run like those of another; None if that is unknown."""
    if other.affine is None or grid.ndim != other.ndim:
        return None
    return _turn(grid, _directions(other.affine))


def labels_onto(labels: LabelMap, grid: Grid) -> LabelMap:
    """Labels with the axes of another grid, where both say how they lie in space; else as they are."""
    turn = turn_onto(labels.grid, grid)
    return labels if turn is None else turn.labels(labels)


def corner_gap_vox(one: Grid, other: Grid) -> float:
    """How far apart the corner voxels of two grids of one shape lie, the largest distance in voxels.

    Args:
        one: a grid with affine, whose voxels count.
        other: another with affine.
    """
    ends = [(0, n - 1) for n in (*one.shape, 1)[:3]]
    corners = np.array(list(product(*ends)), np.float64).T
    ours, theirs = (np.asarray(grid.affine, np.float64)[:3] for grid in (one, other))
    apart = (theirs[:, :3] - ours[:, :3]) @ corners + (theirs[:, 3] - ours[:, 3])[:, None]
    steps = _directions(ours) * _lengths(ours)
    return float(np.linalg.norm(np.linalg.pinv(steps) @ apart, axis=0).max())


def complete(affine: FloatArray) -> NDArray[np.float64]:
    """An affine whose third axis, if it has no length, stands upright on the other two with length one."""
    steps = np.array(affine, np.float64)
    if not steps[:3, 2].any():
        normal = np.cross(steps[:3, 0], steps[:3, 1])
        steps[:3, 2] = normal / (np.linalg.norm(normal) or 1)
    return steps


def _lengths(affine: FloatArray) -> FloatArray:
    lengths: FloatArray = np.linalg.norm(complete(affine)[:3, :3], axis=0)
    return lengths


def _directions(affine: FloatArray) -> FloatArray:
    """`(3 3)` unit columns: where each axis points to."""
    lengths = _lengths(affine)
    directions: FloatArray = complete(affine)[:3, :3] / np.where(lengths > 0, lengths, 1)
    return directions


def _turn(grid: Grid, directions: FloatArray) -> Turn | None:
    """The turn after which the axes of a grid run along given directions `(3 3)`, as closely as can be."""
    if grid.affine is None:
        return None
    axes, back = _closest(np.linalg.pinv(directions) @ _directions(grid.affine))
    if axes[grid.ndim :] != tuple(range(grid.ndim, 3)):
        return None
    return Turn(axes[: grid.ndim], back[: grid.ndim])


def _closest(cosines: FloatArray) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Per row the column that fits it best, each taken once, and whether it fits backwards."""

    def fit(order: tuple[int, ...]) -> float:
        return float(sum(abs(cosines[row, column]) for row, column in enumerate(order)))

    best: tuple[int, ...] = (0, 1, 2)
    for order in permutations(range(3)):
        if fit(order) > fit(best) + _CLEARLY:
            best = order
    return best, tuple(bool(cosines[row, column] < 0) for row, column in enumerate(best))
