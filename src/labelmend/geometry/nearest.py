"""The nearest pixel of a set, for some places only: by blocks, so that large volumes need little memory.

A distance transform of a whole volume takes some 20 bytes a voxel, though only the voxels of a boundary are
asked. Here places are taken block by block, with all pixels within reach of them: what is found within reach
is the nearest. Places that have nothing within reach share one transform of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from labelmend.types import BoolArray

SMALL = 1 << 21
"""Pixels up to which an image is transformed as a whole."""

BLOCK = 32
"""Pixels along each axis of a block."""

REACH = 6
"""How far around its places a block is looked at, in pixels of the mean size."""


def nearest_offsets(
    there: BoolArray,
    places: NDArray[np.integer],
    spacing_mm: Sequence[float],
    *,
    small: int = SMALL,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """From some places the way to the nearest True pixel, by blocks of places.

    Args:
        there: `(*space)` booleans, at least one True.
        places: `(n)` positions in the flattened image.
        spacing_mm: per axis in mm.
        small: pixels up to which an image is one block.

    Yields:
        Which of the places, `(m)` indices into `places`; and `(axes m)` pixels from each to its nearest one.
    """
    if there.size <= small or not len(places):
        yield np.arange(len(places)), _within(there, (slice(None),) * there.ndim, places, spacing_mm)
        return
    spacing, reach_mm = np.array(spacing_mm, float), REACH * math.prod(spacing_mm) ** (1 / there.ndim)
    far = [np.empty(0, np.intp)]
    for which in _blocks(places, there.shape):
        box = _around(places[which], there.shape, reach_mm, spacing)
        near = np.zeros(len(which), bool)
        if there[box].any():
            offsets = _within(there, box, places[which], spacing)
            near = ((offsets.T * spacing) ** 2).sum(axis=1) <= reach_mm**2
            yield which[near], offsets[:, near]
        far.append(which[~near])
    rest = np.concatenate(far)
    if len(rest):
        yield rest, _within(there, (slice(None),) * there.ndim, places[rest], spacing)


def _blocks(places: NDArray[np.integer], shape: Sequence[int]) -> Iterator[NDArray[np.intp]]:
    """Indices of the places in each block that has some."""
    counts = [-(-n // BLOCK) for n in shape]
    blocks = np.zeros(len(places), np.int32)
    for axis, n in enumerate(counts):
        blocks = blocks * n + (places // math.prod(shape[axis + 1 :]) % shape[axis] // BLOCK).astype(np.int32)
    order = np.argsort(blocks, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1)


def _around(
    at: NDArray[np.integer], shape: Sequence[int], reach_mm: float, spacing: NDArray[np.float64]
) -> tuple[slice, ...]:
    """The box of some places and all pixels of the image within reach of them."""
    indices = np.unravel_index(at, tuple(shape))
    return tuple(
        slice(max(int(index.min()) - more, 0), min(int(index.max()) + more + 1, n))
        for index, n, more in zip(indices, shape, np.ceil(reach_mm / spacing).astype(int), strict=True)
    )


def _within(
    there: BoolArray,
    box: tuple[slice, ...],
    at: NDArray[np.integer],
    spacing_mm: Sequence[float] | NDArray[np.float64],
) -> NDArray[np.intp]:
    """Ways from places in a box to the nearest True pixel of the box."""
    inner = there[box]
    nearest = distance_transform_edt(
        ~inner, sampling=tuple(spacing_mm), return_distances=False, return_indices=True
    )
    starts = [part.indices(n)[0] for part, n in zip(box, there.shape, strict=True)]
    index = tuple(i - start for i, start in zip(np.unravel_index(at, there.shape), starts, strict=True))
    return np.stack([found[index] - i for found, i in zip(nearest, index, strict=True)]).astype(np.intp)
