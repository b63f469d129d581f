"""Whether neighbours share their true class, as HOC assumes, judged by their given labels alone.

Frequencies of three labels cannot tell: two classes have three free numbers, and any frequencies fit. More
labels can. If neighbourhoods are pure, the number of labels k among M is a mixture of K binomials, one for
each true class; if classes overlap, its probabilities lie anywhere between. So the best mixture of K is
compared with the best mixture of any, by the mean log-likelihood of a row.

Neighbourhoods share labels, so that this gap has no known law. It is compared with gaps of pure data that are
as alike as can be: the same neighbours, each row of the class it most likely is, labels drawn anew from T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labelmend.transition.anchor import binomial, mixing_distribution
from labelmend.transition.hoc import IntArray, TransitionResult, label_counts, tuples_of
from labelmend.transition.posterior import class_posterior, drawn_classes
from labelmend.types import FloatArray

CLUSTERABILITY = 0.05
"""Share of pure data that look as mixed, up to which data are not thought clusterable."""

LEAST_GAP = 5e-4
"""Nats a row under which a gap does no harm, however sure it is: many rows make any gap sure."""

LABELS = (10, 50)
"""Fewest and most labels of a neighbourhood that are looked at, between them a twentieth of the rows."""

ROUNDS = 200
"""Rounds of expectation-maximisation for each of the two mixtures."""


@dataclass(frozen=True)
class Clusterability:
    """What neighbours' labels say about whether they share their true class.

    Args:
        agreement: share of rows that were given the label of both of their nearest neighbours.
        expected: the share under the estimate if neighbours share their true class.
        gap: nats a row by which neighbourhoods that may be mixed fit better than pure ones.
        gap_if_pure: the same for pure data, mean.
        p_value: (1 + how many pure data had that gap or more) / (1 + their number).
    """

    agreement: float
    expected: float
    gap: float
    gap_if_pure: float
    p_value: float

    @property
    def residual(self) -> float:
        """`agreement` - `expected`."""
        return self.agreement - self.expected

    @property
    def doubtful(self) -> bool:
        """True where neighbourhoods are mixed."""
        return self.p_value <= CLUSTERABILITY and self.gap > LEAST_GAP


def clusterability(
    y: ArrayLike,
    neighbours: ArrayLike,
    result: TransitionResult,
    *,
    rng: np.random.Generator,
    n_null: int = 19,
) -> Clusterability:
    """Compare neighbourhoods with pure ones.

    It raises few false alarms, and misses much. Of simulated pure data 4 % were doubtful (120 draws). Of data
    whose classes overlap so much that HOC was wrong by 4 to 17 points, up to 5 % were with 300 rows, 10 % to
    60 % with 1000, and 50 % to 95 % with 3000; where one of two classes was rare, 10 % to 20 % of any. A
    class of clumps smaller than the neighbourhoods looked at seems mixed, though two neighbours are pure.

    The frequency of five equal labels, which suggests itself, finds nearly nothing: on overlapping data of
    4000 rows it misses what HOC expects by 0.005, with a standard deviation of 0.006.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows, nearest first, two or more; up to 49 are looked at.
        result: the estimate of HOC for them.
        rng: draws pure data.
        n_null: how many; 0: none, and a p-value of 1.
    """
    k = len(result.prior)
    most = int(np.clip(len(np.asarray(y)) // 20, *LABELS))
    labels = tuples_of(y, neighbours, k, least=2)
    agreement = float((labels[:, :3] == labels[:, :1]).all(axis=1).mean())
    expected = float((result.prior @ result.matrix**3).sum())
    rows = np.asarray(neighbours)[:, : most - 1]
    classes = class_posterior(y, rows, result).argmax(axis=1)
    histograms = [_histograms(labels[:, :most], k)]
    for _ in range(n_null):
        drawn = drawn_classes(result.matrix[classes], rng)
        histograms.append(_histograms(tuples_of(drawn, rows, k, least=2), k))
    gap, *pure = _gaps(np.stack(histograms), result).tolist()
    as_mixed = sum(other >= gap for other in pure)
    mean = sum(pure) / n_null if n_null else 0.0
    return Clusterability(agreement, expected, gap, mean, (1 + as_mixed) / (1 + n_null))


def _histograms(labels: IntArray, n_classes: int) -> FloatArray:
    """`(k M+1)` shares of the rows that hold 0 to M labels of each class."""
    counts = label_counts(labels, n_classes)
    M = labels.shape[1]
    return np.stack([np.bincount(c, minlength=M + 1) for c in counts.T]) / len(labels)


def _gaps(shares: FloatArray, result: TransitionResult) -> FloatArray:
    """Nats a row between the best mixture and that of K, for the class where they are furthest apart.

    Args:
        shares: `(b k M+1)` of any number of data sets.
        result: where the mixture of K starts.
    """
    # With two classes, what is said of one is said of the other.
    asked = slice(1, None) if len(result.prior) == 2 else slice(None)
    mixed = mixing_distribution(shares[:, asked], n_grid=100, max_iter=ROUNDS).mean_log
    pure = _pure_log(shares[:, asked], result.prior, result.matrix.T[asked])
    return np.maximum((mixed - pure).max(axis=1), 0)


def _pure_log(shares: FloatArray, prior: FloatArray, chances: FloatArray) -> FloatArray:
    """`(b c)` mean log-likelihoods of counts `(b c M+1)` under mixtures of K binomials.

    They are improved from an estimate: the prior `(K)`, and the chances `(c K)` that true classes have.
    """
    M = shares.shape[-1] - 1
    successes = np.arange(M + 1) / M
    p = np.broadcast_to(np.maximum(prior, 1e-3), (*shares.shape[:2], len(prior)))
    q = np.broadcast_to(np.clip(chances, 1e-3, 1 - 1e-3), p.shape)
    for _ in range(ROUNDS):
        joint = p[:, :, None] * binomial(M, q)
        rows = shares[..., None] * joint / np.maximum(joint.sum(axis=-1, keepdims=True), 1e-300)
        p = rows.sum(axis=2)
        q = np.clip(successes @ rows / np.maximum(p, 1e-12), 0, 1)
    likely = (p[:, :, None] * binomial(M, q)).sum(axis=-1)
    return (shares * np.log(np.maximum(likely, 1e-300))).sum(axis=-1)
