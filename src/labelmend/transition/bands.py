"""How labels go wrong at each distance from a boundary: a transition matrix for every band of distance.

Wrong outlines flip pixels beside a boundary and none far from it: one matrix for all says too little of the
one and too much of the other. Bands are measured from the boundary that a network predicts, and on one side
of it nearly every pixel truly is what is predicted. That decides how the rows of a band are found:

* What is predicted in a band on one side: its row is what it is given as there, counted as anchors are.
* The other classes: the row of the nearest band that tells it. HOC cannot, whose three frequencies hold next
  to nothing of a class with a hundredth of the pixels: it invents that row, and spoils those of the others.
* A band around zero: it holds the boundary itself, and counting would take the network's error for one of the
  labels. HOC can tell the two apart if neighbours in feature space share their true class, and is believed if
  they seem to (`clusterability`). Else the nearest bands on both sides stand in.

An edge at zero leaves no such band. On radiographs (benchmarks/results/transition_bands.md) that comes closer
to the true rates where outlines are wrong, and a band around zero where errors lie anywhere: the network errs
at the boundary then, and labels no more than elsewhere. HOC was hardly ever believed: to the features of a
network trained on wrong labels, pixels around its boundary are all alike. Believed everywhere, it came out
not far behind the bands with an edge at zero, and a little ahead under the two biased noises. Where the
network is biased the bands are in the wrong place, and labels alone cannot tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.transition.clusterability import clusterability
from labelmend.transition.hoc import consensus_counts, solve_consensus
from labelmend.transition.neighbours import nearest
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]

LEAST = 100
"""Least pixels of a class in a band for its row to be estimated by counting."""

SHRINK = 20.0
"""Pixels that the matrix for all bands counts for in each band."""

LEAST_ROWS, MOST_ROWS = 3000, 4000
"""Pixels that HOC is asked about: with fewer, `clusterability` lets mixed neighbourhoods pass."""

RARE = 0.1
"""Least share of the pixels for a class to count as present: below, mixed neighbourhoods pass too."""

LEAST_NEIGHBOURS, NEIGHBOURS = 20, 49
"""Neighbours of a pixel, each from another case: HOC looks at two, `clusterability` at all of them."""

MARGIN = 0.02
"""By how much the diagonal of a row of HOC must exceed the rest: at the limit that the search is held to, it
says nothing."""


def check_edges(edges_mm: Sequence[float]) -> tuple[float, ...]:
    """Edges of bands, rising and finite, or an error.

    >>> check_edges([0, -2])
    Traceback (most recent call last):
    labelmend.errors.ConfigError: edges of bands must be finite numbers of mm in rising order, got (0.0, -2.0)
    """
    edges = tuple(map(float, edges_mm))
    if not np.isfinite(edges).all() or any(a >= b for a, b in itertools.pairwise(edges)):
        raise ConfigError(f"edges of bands must be finite numbers of mm in rising order, got {edges}")
    return edges


def band_index(distance_mm: ArrayLike, edges_mm: Sequence[float]) -> IntArray:
    """The band of each distance: 0 below the first edge, one more from every edge on.

    Args:
        distance_mm: `(*space)` signed distances, infinite where there is no boundary.
        edges_mm: `(n_bands - 1)` in rising order.

    >>> band_index([-np.inf, -2.5, 0.5, 2.0, np.inf], [-2, 2])
    array([0, 0, 1, 2, 2])
    """
    return np.digitize(np.asarray(distance_mm, float), edges_mm)


def middle_band(edges_mm: Sequence[float]) -> int | None:
    """The band that holds the boundary itself; None where an edge lies on it and every band has a side.

    >>> middle_band([-2, 2]), middle_band([-2, 0, 2])
    (1, None)
    """
    return None if 0 in edges_mm else int(np.digitize(0, edges_mm))


def class_distance(
    labels: IntArray, n_classes: int, spacing_mm: Sequence[float] | float | None = None
) -> FloatArray:
    """How far each pixel lies from the boundary of its own class: negative in the classes, positive in none.

    With one class it is the signed distance of its mask.

    Args:
        labels: `(*space)` integers, 0 background and 1 to n_classes - 1 the classes.
        n_classes: classes with the background.
        spacing_mm: per axis in mm; None: 1 mm.

    Returns:
        `(*space)` in mm; infinite where all pixels are of one class.

    >>> class_distance(np.array([[0, 0, 1, 2, 2]]), 3)
    array([[ 1.5,  0.5, -0.5, -0.5, -1.5]])
    """
    if n_classes == 2:
        return signed_distance(labels == 1, spacing_mm)
    distance = np.zeros(labels.shape)
    for index in np.unique(labels):
        own = labels == index
        inside = signed_distance(own, spacing_mm)[own]
        distance[own] = inside if index else -inside
    return distance


def band_counts(
    predicted: IntArray, given: IntArray, bands: IntArray, *, n_classes: int, n_bands: int
) -> FloatArray:
    """`(n_bands K K)` pixels by band, predicted class and given class.

    Args:
        predicted: `(n)` class numbers.
        given: `(n)` class numbers.
        bands: `(n)` numbers of bands.
        n_classes: K.
        n_bands: number of bands.
    """
    shape = (n_bands, n_classes, n_classes)
    cells = np.ravel_multi_index((bands, predicted, given), shape)
    return np.bincount(cells, minlength=n_bands * n_classes**2).reshape(shape).astype(float)


def banded_transition(
    counts: FloatArray, base: FloatArray, *, middle: int | None = None, consensus: FloatArray | None = None
) -> FloatArray:
    """A transition matrix for each band, from what each predicted class is given as there.

    Args:
        counts: `(n_bands K K)` of `band_counts`, over all cases.
        base: `(K K)` one matrix for all bands: counts as `SHRINK` pixels in each, and stands where no band
            tells a row.
        middle: the band that holds the boundary, which its own counts do not tell; None if there is none.
        consensus: `(K K)` rows of that band by `consensus_rows`, NaN where they are unknown; None: all.

    Returns:
        `(n_bands K K)`, rows are true classes and sum to 1.

    >>> inside, outside = [[0, 0], [500, 1500]], [[8000, 0], [0, 0]]
    >>> banded_transition(np.array([inside, outside]), np.eye(2))[1].round(2)
    array([[1.  , 0.  ],
           [0.25, 0.75]])
    """
    total = counts.sum(axis=-1, keepdims=True)
    rows = (counts + SHRINK * base) / (total + SHRINK)
    known_rows = (total[..., 0] >= LEAST) & (np.diagonal(rows, axis1=-2, axis2=-1) >= rows.max(axis=-1))
    if middle is not None:
        known_rows[middle] = False
        if consensus is not None:
            known_rows[middle] = np.isfinite(consensus).all(axis=-1)
            rows[middle] = consensus
    for index in range(len(base)):
        known = np.flatnonzero(known_rows[:, index])
        for band in range(len(counts)):
            nearest_known = known[np.abs(known - band).argmin()] if len(known) else None
            rows[band, index] = base[index] if nearest_known is None else rows[nearest_known, index]
    return rows


def consensus_rows(
    features: FloatArray, given: IntArray, groups: IntArray, n_classes: int, *, rng: np.random.Generator
) -> FloatArray:
    """Rows of the matrix of one band by HOC, each neighbour from another case; NaN where it cannot tell.

    Errors of labels are alike all over a case: pixels of the same case would agree on them, and the labels
    would seem cleaner than they are.

    Args:
        features: `(n f)` of pixels; columns are brought to the same spread, and directions are compared.
        given: `(n)` class numbers.
        groups: `(n)` the case of each pixel.
        n_classes: K.
        rng: chooses `MOST_ROWS` pixels, and what `nearest` and `solve_consensus` leave to chance.

    Returns:
        `(K K)`. All is NaN with fewer than `LEAST_ROWS` pixels or `LEAST_NEIGHBOURS` other cases, with a
        rare class, or where neighbourhoods are surely mixed; a row is of a class that is not there, or whose
        diagonal does not stand out.
    """
    unknown = np.full((n_classes, n_classes), np.nan)
    if len(given) > MOST_ROWS:
        chosen = rng.choice(len(given), MOST_ROWS, replace=False)
        features, given, groups = features[chosen], given[chosen], groups[chosen]
    k = min(NEIGHBOURS, len(np.unique(groups)) - 1)
    if len(given) < LEAST_ROWS or k < LEAST_NEIGHBOURS:
        return unknown
    spread = features.std(axis=0)
    standard = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    neighbours = nearest(standard, k, rng=rng, metric="cosine", groups=groups)
    found = solve_consensus(*consensus_counts(given, neighbours, n_classes), rng=rng)
    rare = (found.prior > 0.5 / len(given)) & (found.prior < RARE)
    if rare.any() or clusterability(given, neighbours, found, rng=rng).doubtful:
        return unknown
    rest = np.where(np.eye(n_classes, dtype=bool), 0, found.matrix).max(axis=1)
    sound = (found.prior >= RARE) & (np.diag(found.matrix) > rest + MARGIN)
    return np.where(sound[:, None], found.matrix, unknown)
