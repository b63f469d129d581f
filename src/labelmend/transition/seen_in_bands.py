"""What single cases add to the matrices of the bands, so that one case at a time is in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelmend.transition.bands import (
    band_counts,
    band_index,
    banded_transition,
    class_distance,
    consensus_rows,
    middle_band,
)
from labelmend.types import BoolArray, FloatArray

IntArray = NDArray[np.integer]
Tasks = Sequence[tuple[IntArray, FloatArray]]

PIXELS_OF_A_CASE = 200
"""Pixels whose features are asked for, of each task: more of one case say the same again."""


@dataclass(frozen=True, eq=False)
class SeenInBands:
    """What one case adds to the matrices of the bands of each of m tasks.

    Args:
        counts: `(m n_bands C C)` pixels by band, predicted class and given class.
        features: a task `(n f)`, of some pixels of the band that holds the boundary; None where there is no
            such band, or no features.
        given: a task `(n)`, the given classes of these pixels.
    """

    counts: FloatArray
    features: list[FloatArray] | None
    given: list[IntArray]


def bands_of_probs(
    probs: FloatArray, edges_mm: Sequence[float], spacing_mm: Sequence[float] | float | None = None
) -> IntArray:
    """The band of each pixel, `(*space)` integers, by its distance from the boundary of what is likeliest.

    Args:
        probs: `(C *space)`, background first.
        edges_mm: of the bands.
        spacing_mm: per axis in mm; None: 1 mm.
    """
    return band_index(class_distance(probs.argmax(axis=0), len(probs), spacing_mm), edges_mm)


def seen_in_bands(
    tasks: Tasks,
    counted: BoolArray,
    *,
    edges_mm: Sequence[float],
    spacing_mm: Sequence[float],
    features: Callable[[IntArray], FloatArray] | None,
    rng: np.random.Generator,
) -> SeenInBands:
    """Count the pixels of a case by band, and look closer at some of the band that holds the boundary.

    Args:
        tasks: m pairs of `(*space)` given classes and `(C *space)` probabilities.
        counted: `(*space)` booleans, False where labels are to be ignored.
        edges_mm: of the bands.
        spacing_mm: per axis in mm.
        features: from `(n)` numbers of pixels to `(n f)`; called at most once; None: there are none.
        rng: draws up to `PIXELS_OF_A_CASE` pixels of each task.
    """
    middle, counts, given_there, places = middle_band(edges_mm), [], [], []
    for given, probs in tasks:
        bands, predicted = bands_of_probs(probs, edges_mm, spacing_mm), probs.argmax(axis=0)
        cells = (predicted[counted], given[counted], bands[counted])
        counts.append(band_counts(*cells, n_classes=len(probs), n_bands=len(edges_mm) + 1))
        if middle is not None:
            there = np.flatnonzero(counted & (bands == middle))
            places.append(rng.choice(there, min(len(there), PIXELS_OF_A_CASE), replace=False))
            given_there.append(given.reshape(-1)[places[-1]])
    looked_at = None
    if middle is not None and features is not None:
        ends = np.cumsum([len(chosen) for chosen in places])[:-1]
        looked_at = np.split(features(np.concatenate(places)), ends)
    return SeenInBands(np.stack(counts), looked_at, given_there)


def transition_of_bands(
    cases: Sequence[SeenInBands], base: FloatArray, edges_mm: Sequence[float], rng: np.random.Generator
) -> FloatArray:
    """The matrices of all tasks and bands from what all cases add, see `banded_transition`.

    Args:
        cases: what each adds.
        base: `(m C C)` one matrix for all bands.
        edges_mm: of the bands.
        rng: for what HOC leaves to chance.

    Returns:
        `(m n_bands C C)`.
    """
    n_classes, middle = base.shape[-1], middle_band(edges_mm)
    counts: FloatArray = np.zeros((len(base), len(edges_mm) + 1, n_classes, n_classes))
    for case in cases:
        counts = counts + case.counts
    found = []
    for task, matrix in enumerate(base):
        drawn = [(case.features[task], case.given[task]) for case in cases if case.features is not None]
        consensus = None
        if drawn:
            features, given = (np.concatenate(parts) for parts in zip(*drawn))
            groups = np.repeat(np.arange(len(drawn)), [len(labels) for _, labels in drawn])
            consensus = consensus_rows(features, given, groups, n_classes, rng=rng)
        found.append(banded_transition(counts[task], matrix, middle=middle, consensus=consensus))
    return np.stack(found)
