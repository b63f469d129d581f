"""The boundary walk of Markov noise, compiled: its time is that of its flips, not that of its pixels.

Two lists hold the frontiers: every background pixel beside the mask is in `outer`, every mask pixel beside
background in `inner`. A step jumps through one list with geometric gaps, so that pixels that do not flip
cost nothing. Leaving a list is lazy: an entry that is no longer on the frontier is dropped when a jump lands
on it. Each true frontier pixel is listed exactly once, so the law is that of one coin a frontier pixel and
step.

Branches that depend on the mask are written as arithmetic: a processor would guess them wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from labelmend.types import BoolArray

# One byte a pixel: which side it is on, and which lists hold it. Beyond the image lies a wall that belongs to
# neither side and counts as listed, so that no list ever takes it.
INSIDE, OUTSIDE, IN_OUTER, IN_INNER = (np.uint8(1 << bit) for bit in range(4))
WALL = IN_OUTER | IN_INNER
NOTHING = np.uint8(0)


def _compiled(function: Callable[..., Any], **how: Any) -> Callable[..., Any]:
    """A function compiled at its first call, and kept on disk where that can be written."""
    try:
        return cast(Callable[..., Any], njit(cache=True, **how)(function))
    except RuntimeError:  # neither this package nor a folder for caches can be written, as in containers
        return cast(Callable[..., Any], njit(**how)(function))


def _compiled_into(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled into those that call it."""
    return _compiled(function, inline="always")


def walk(mask: BoolArray, rng: np.random.Generator, *, steps: int, expand: float, flip: float) -> BoolArray:
    """The mask after a number of steps; see `markov_noise` for the law.

    Args:
        mask: `(*space)` booleans.
        rng: source of all random numbers.
        steps: how many steps.
        expand: probability of an expansion step.
        flip: probability of a flip of a frontier pixel in a step, in [0, 1].

    Returns:
        `(*space)` booleans, a new array. Beside it the walk holds one byte a pixel and, for each pixel that
        was ever on the frontier, about twelve bytes more.
    """
    mask = np.ascontiguousarray(mask, bool)
    image = (slice(1, -1),) * mask.ndim
    walled = np.full([n + 2 for n in mask.shape], WALL)
    np.subtract(OUTSIDE, mask.view(np.uint8), out=walled[image])
    state = walled.ravel()
    strides = [stride // walled.itemsize for stride in walled.strides]
    neighbours = tuple(offset for stride in strides for offset in (-stride, stride))
    places = _frontier_places(state, neighbours)
    if flip > 0 and places.size:
        # One spare entry: the lists are written before it is known whether the entry counts.
        index = np.int32 if state.size < 2**31 else np.int64
        lists = [np.empty(state.size + 1, index) for _ in range(3)]
        _walk(state, neighbours, places, rng, steps, expand, flip, *lists)
    return (walled[image] & INSIDE).view(bool)


def _frontier_places(state: NDArray[np.uint8], neighbours: tuple[int, ...]) -> NDArray[np.int64]:
    """Flat places of the pixels that have, with their neighbours, both sides; walls may be among them."""
    first, last = max(neighbours), state.size - max(neighbours)
    sides = state[first:last].copy()
    for offset in neighbours:
        sides |= state[first + offset : last + offset]
    return np.flatnonzero((sides & (INSIDE | OUTSIDE)) == (INSIDE | OUTSIDE)) + first


@_compiled
def _walk(state, neighbours, places, rng, steps, expand, flip, inner, outer, chosen):  # type: ignore[no-untyped-def]
    """Walk in place; returns the numbers of flips and of list entries looked at."""
    n_inner, n_outer = _listed(state, places, inner, outer)
    scale = _gap_scale(flip)
    flips, looks = 0, 0
    for _ in range(steps):
        if rng.random() < expand:
            n_outer, n_inner, flipped, looked = _step(
                state, neighbours, rng, scale, chosen, outer, n_outer, inner, n_inner,
                INSIDE, OUTSIDE, IN_OUTER, IN_INNER,
            )  # fmt: skip
        else:
            n_inner, n_outer, flipped, looked = _step(
                state, neighbours, rng, scale, chosen, inner, n_inner, outer, n_outer,
                OUTSIDE, INSIDE, IN_INNER, IN_OUTER,
            )  # fmt: skip
        flips += flipped
        looks += looked
    return flips, looks


@_compiled
def _listed(state, places, inner, outer):  # type: ignore[no-untyped-def]
    """Put the frontiers before the first step on their lists; returns the lengths of the two."""
    n_inner, n_outer = 0, 0
    for place in places:
        if state[place] == INSIDE:
            state[place] |= IN_INNER
            inner[n_inner] = place
            n_inner += 1
        elif state[place] == OUTSIDE:
            state[place] |= IN_OUTER
            outer[n_outer] = place
            n_outer += 1
    return n_inner, n_outer


@_compiled
def _gap_scale(flip):  # type: ignore[no-untyped-def]
    """An exponential variable of this scale, rounded down, is the number of coins before the next flip."""
    # The cap keeps gaps within 64 bits; no walk of a million steps would see a flip below it.
    return min(-1.0 / np.log1p(-flip), 1e15) if flip < 1 else 0.0


@_compiled_into
def _step(  # type: ignore[no-untyped-def]
    state, neighbours, rng, scale, chosen, front, n_front, back, n_back, winner, loser, in_front, in_back
):
    """One step: pixels of `front` turn from the losing to the winning side; returns the new list lengths."""
    # First choose, from the frontier as it was before the step. Downward, so that the entry that fills a
    # gap, the last one, has been passed already.
    n_chosen, looks = 0, 0
    at = n_front - 1 - int(rng.standard_exponential() * scale)
    while at >= 0:
        looks += 1
        place = front[at]
        n_front -= 1
        front[at] = front[n_front]
        near = NOTHING
        for offset in neighbours:
            near = near | state[place + offset]
        on_frontier = ((state[place] & loser) != 0) & ((near & winner) != 0)
        # Pixels to be flipped count as listed until they are, or a neighbour would list them again.
        state[place] ^= NOTHING if on_frontier else in_front
        chosen[n_chosen] = place
        n_chosen += int(on_frontier)
        at -= 1 + int(rng.standard_exponential() * scale)
    for i in range(n_chosen):
        place = chosen[i]
        back[n_back] = place
        n_back += int((state[place] & in_back) == 0)
        state[place] = winner | in_back
        for offset in neighbours:
            other = place + offset
            is_new = (state[other] & (loser | in_front)) == loser
            state[other] |= in_front if is_new else NOTHING
            front[n_front] = other
            n_front += int(is_new)
    return n_front, n_back, n_chosen, looks
