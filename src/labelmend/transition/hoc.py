"""HOC: how often labels are wrong, from the labels of a row and of its nearest neighbours alone.

If a row and its two nearest neighbours share their true class i (clusterability), and their given labels are
three independent draws from row i of the transition matrix T, then the frequencies of one, two and three
given labels are

    c1_j   = sum_i p_i T_ij
    c2_jk  = sum_i p_i T_ij T_ik
    c3_jkl = sum_i p_i T_ij T_ik T_il

and T and the prior p follow from them, but for the order of the true classes; the diagonal, taken for the
largest of its row, gives that. Rows of T are true classes.

All hangs on clusterability: where classes overlap, T comes out wrong by several points, and the fit is as
good as ever. `labelmend.transition.clusterability` looks for it; `labelmend.transition.anchor` does without
it.

Paper: Zhu, Song, Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy Labels",
    ICML 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment, minimize

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]
Counts = tuple[FloatArray, FloatArray, FloatArray]

EXACT = 1e-16
"""Sum of squared residuals, relative to the squared frequencies, of a fit that no other start need better."""


@dataclass(frozen=True, eq=False)
class TransitionResult:
    """An estimate of how labels go wrong.

    Args:
        matrix: `(k k)` row i holds the probabilities of the labels given to a case of class i.
        prior: `(k)` probabilities of the true classes.
        loss: what was made small: the sum of squared residuals of the three frequencies (HOC), or the mean
            negative log-likelihood of a row (anchors).
        converged: False where the search stopped early.
    """

    matrix: FloatArray
    prior: FloatArray
    loss: float
    converged: bool


def tuples_of(y: ArrayLike, neighbours: ArrayLike, n_classes: int, *, least: int) -> IntArray:
    """Given labels of each row and of its neighbours, own first: `(n m + 1)`, checked.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows, nearest first.
        n_classes: k.
        least: number of neighbours that are needed.
    """
    labels, rows = np.asarray(y), np.asarray(neighbours)
    if labels.ndim != 1 or rows.ndim != 2 or len(rows) != len(labels) or rows.shape[1] < least:
        raise GeometryError(
            f"labels (n) and {least} neighbours or more of each (n m) expected, "
            f"got shapes {labels.shape} and {rows.shape}"
        )
    if not len(labels):
        raise GeometryError("no rows: at least one label is needed")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= n_classes:
        raise LabelValueError(f"labels must be class numbers from 0 to {n_classes - 1}")
    return np.concatenate([labels[:, None], labels[rows]], axis=1)


def label_counts(labels: IntArray, n_classes: int) -> IntArray:
    """How many labels of each class each row of labels holds: `(n m)` to `(n k)`.

    >>> label_counts(np.array([[0, 1, 1], [2, 2, 2]]), 3).tolist()
    [[1, 2, 0], [0, 0, 3]]
    """
    flat = labels + n_classes * np.arange(len(labels))[:, None]
    return np.bincount(flat.ravel(), minlength=n_classes * len(labels)).reshape(-1, n_classes)


def consensus_counts(
    y: ArrayLike,
    neighbours: ArrayLike,
    n_classes: int,
    *,
    symmetric: bool = True,
    weights: ArrayLike | None = None,
) -> Counts:
    """Frequencies of the given labels of a row, of it and its nearest neighbour, and of these and the second.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows, nearest first; two are looked at.
        n_classes: k.
        symmetric: take the mean over the six orders of a row and its two neighbours, as the model has it:
            less noise. False: as they come.
        weights: `(n)` how often each row counts; None: once.

    Returns:
        c1 `(k)`, c2 `(k k)` and c3 `(k k k)`; c3 sums to c2, c2 to c1 and c1 to one.

    >>> c1, c2, c3 = consensus_counts([0, 0, 1], [[1, 2], [0, 2], [1, 0]], 2, symmetric=False)
    >>> c1.round(2), c2.round(2).tolist()
    (array([0.67, 0.33]), [[0.67, 0.0], [0.33, 0.0]])

    Paper: Zhu, Song, Liu, ICML 2021.
    Differs: every row is used once, with its neighbours among all rows. The paper's program takes the mean
        over 50 rounds, each with neighbours within a random part of the rows: in a part they are further
        away.
    """
    labels = tuples_of(y, neighbours, n_classes, least=2)[:, :3]
    k = n_classes
    flat = np.ravel_multi_index(tuple(labels.T), (k, k, k))
    shares = None if weights is None else np.asarray(weights, float)
    c3 = np.bincount(flat, shares, minlength=k**3).reshape(k, k, k).clip(min=0)
    c3 = c3 / c3.sum()
    if symmetric:
        c3 = _symmetrised(c3)
    c2 = c3.sum(axis=2)
    return c2.sum(axis=1), c2, c3


def consensus_model(matrix: ArrayLike, prior: ArrayLike) -> Counts:
    """What the three frequencies are under clusterability; see the module.

    >>> c1, c2, c3 = consensus_model([[0.9, 0.1], [0.2, 0.8]], [0.5, 0.5])
    >>> c1.round(3), float(c3[1, 1, 1].round(4))
    (array([0.55, 0.45]), 0.2565)
    """
    T, p = np.asarray(matrix, float), np.asarray(prior, float)
    return (
        p @ T,
        np.einsum("i,ij,ik->jk", p, T, T),
        np.einsum("i,ij,ik,il->jkl", p, T, T, T, optimize=True),
    )


def solve_consensus(
    c1: ArrayLike,
    c2: ArrayLike,
    c3: ArrayLike,
    *,
    rng: np.random.Generator,
    n_init: int = 5,
    diag_penalty: float = 1.0,
    max_iter: int = 2000,
    start: TransitionResult | None = None,
) -> TransitionResult:
    """The matrix and prior whose frequencies are closest to those counted.

    Rows of T and p are softmaxes of free numbers; of all points that the search (L-BFGS, from several starts)
    comes across, the best is kept. The first start is 3 on the diagonal and 0 beside it; the others take up
    to 2 off each entry at random.

    Args:
        c1: `(k)` frequencies of labels.
        c2: `(k k)` of pairs.
        c3: `(k k k)` of triples.
        rng: draws the starts.
        n_init: number of starts, 1 or more.
        diag_penalty: weight of the squares by which entries of a row exceed its diagonal.
        max_iter: steps of a search.
        start: the first start instead.

    Returns:
        The estimate. A class that is never given has prior 0 and a row that keeps it as it is.

    Raises:
        ConfigError: a setting. GeometryError: shapes do not belong together.

    >>> truth = np.array([[0.7, 0.3], [0.2, 0.8]])
    >>> found = solve_consensus(*consensus_model(truth, [0.4, 0.6]), rng=np.random.default_rng(0))
    >>> found.matrix.round(3), found.prior.round(3)
    (array([[0.7, 0.3],
           [0.2, 0.8]]), array([0.4, 0.6]))

    Paper: Zhu, Song, Liu, ICML 2021; the penalty is from the program of Zhu, Wang, Liu, "Beyond Images: Label
        Noise Transition Matrix Estimation for Tasks with Lower-Quality Features", ICML 2022.
    Differs: squared residuals with their gradient instead of norms; several starts; the best point is kept
        (the programs mean to, but return the last); true classes are put in the order with the largest trace.
    """
    counts = _checked_counts(c1, c2, c3)
    _check_search(n_init, max_iter, diag_penalty)
    there = np.flatnonzero(counts[0] > 0)
    matrix, prior, converged = np.eye(len(counts[0])), (counts[0] > 0).astype(float), True
    if len(there) > 1:
        few = _part(counts, there)
        problem = _Consensus(few, diag_penalty)
        for i in range(n_init):
            if problem.value < EXACT:
                break
            problem.search(_start(few[0], rng if i else None, start, there), max_iter)
        matrix[np.ix_(there, there)], prior[there] = _in_order(*problem.best())
        converged = problem.converged
    return TransitionResult(matrix, prior, residual(counts, matrix, prior), converged)


def _check_search(n_init: int, max_iter: int, diag_penalty: float) -> None:
    if n_init < 1 or max_iter < 1 or not diag_penalty >= 0:
        raise ConfigError(
            "n_init and max_iter of 1 or more and diag_penalty of 0 or more expected, "
            f"got {n_init}, {max_iter} and {diag_penalty}"
        )


def _part(counts: Counts, there: IntArray) -> Counts:
    """The frequencies of some classes."""
    c1, c2, c3 = counts
    return c1[there], c2[np.ix_(there, there)], c3[np.ix_(there, there, there)]


def residual(counts: Counts, matrix: ArrayLike, prior: ArrayLike) -> float:
    """Sum of the squared differences between frequencies counted and those of the model."""
    return float(sum(((m - c) ** 2).sum() for m, c in zip(consensus_model(matrix, prior), counts)))


class _Consensus:
    """The function that is made small, and the best point that was seen."""

    def __init__(self, counts: Counts, penalty: float) -> None:
        self.c1, self.c2, self.c3 = counts[0], (counts[1] + counts[1].T) / 2, _symmetrised(counts[2])
        self.penalty = penalty
        # Squares of frequencies are tiny for many classes: put in their own measure.
        self.scale = 1 / sum(float((c**2).sum()) for c in (self.c1, self.c2, self.c3))
        self.value = np.inf
        self.point: FloatArray = np.zeros(0)
        self.converged = False

    def search(self, start: FloatArray, max_iter: int) -> None:
        """Go down from here; the best point that is seen stays."""
        before = self.value
        options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
        done = minimize(self, start, jac=True, method="L-BFGS-B", options=options)
        if self.value < before:
            self.converged = bool(done.success)

    def best(self) -> tuple[FloatArray, FloatArray]:
        return self._unpacked(self.point)

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient."""
        T, p = self._unpacked(x)
        k = len(p)
        pairs = (T[:, :, None] * T[:, None, :]).reshape(k, -1)
        weighted = p[:, None] * T
        r1 = p @ T - self.c1
        r2 = weighted.T @ T - self.c2
        r3 = weighted.T @ pairs - self.c3.reshape(k, -1)
        over = T.max(axis=1) - np.diag(T)
        value = self.scale * ((r1**2).sum() + (r2**2).sum() + (r3**2).sum()) + self.penalty * (over**2).sum()
        # The frequencies do not change when views are swapped, so each view has the same share in a slope.
        first, second, third = np.tile(r1, (k, 1)), T @ r2, pairs @ r3.T
        slope_T = self.scale * 2 * p[:, None] * (first + 2 * second + 3 * third)
        slope_p = self.scale * 2 * (T * (first + second + third)).sum(axis=1)
        rows = np.arange(k)
        slope_T[rows, T.argmax(axis=1)] += 2 * self.penalty * over
        slope_T[rows, rows] -= 2 * self.penalty * over
        if value < self.value:
            self.value, self.point = float(value), x.copy()
        slope_T = T * (slope_T - (T * slope_T).sum(axis=1, keepdims=True))
        slope_p = p * (slope_p - p @ slope_p)
        return float(value), np.concatenate([slope_T.ravel(), slope_p])

    def _unpacked(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        k = len(self.c1)
        rows = np.vstack([x[: k * k].reshape(k, k), x[k * k :]])
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        return rows[:k], rows[k]


def _start(
    c1: FloatArray, rng: np.random.Generator | None, start: TransitionResult | None, there: IntArray
) -> FloatArray:
    """Logits of T and p to start from."""
    k = len(c1)
    if rng is not None:
        rows = 3 * np.eye(k) - 2 * rng.random((k, k))
        return np.concatenate([rows.ravel(), np.log(c1) + rng.normal(scale=0.3, size=k)])
    if start is None:
        return np.concatenate([(3 * np.eye(k)).ravel(), np.log(c1)])
    rows = np.log(np.maximum(start.matrix[np.ix_(there, there)], 1e-6))
    return np.concatenate([rows.ravel(), np.log(np.maximum(start.prior[there], 1e-6))])


def _in_order(matrix: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
    """True classes in the order that has the largest trace."""
    rows, columns = linear_sum_assignment(-matrix)
    order = rows[np.argsort(columns)]
    return matrix[order], prior[order]


def _symmetrised(c3: FloatArray) -> FloatArray:
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return np.mean([c3.transpose(order) for order in orders], axis=0)


def _checked_counts(c1: ArrayLike, c2: ArrayLike, c3: ArrayLike) -> Counts:
    counts = np.asarray(c1, float), np.asarray(c2, float), np.asarray(c3, float)
    k = len(np.atleast_1d(counts[0]))
    shapes = tuple(c.shape for c in counts)
    if shapes != ((k,), (k, k), (k, k, k)):
        raise GeometryError(f"c1 (k), c2 (k k) and c3 (k k k) expected, got shapes {shapes}")
    if not all(np.isfinite(c).all() and (c >= 0).all() for c in counts) or not counts[0].sum() > 0:
        raise LabelValueError("frequencies must be finite, 0 or more, and not all 0")
    return counts


def bootstrap_weights(neighbours: ArrayLike, rng: np.random.Generator) -> FloatArray:
    """Weights of rows for one bootstrap of the three frequencies: alike where neighbourhoods share rows.

    Each row draws a number of mean 0 and variance 1; the weight of a neighbourhood is 1 plus the sum of those
    of its rows over the root of how many they are, but 0 or more.

    Args:
        neighbours: `(n m)` numbers of rows; two are looked at.
        rng: draws the numbers.

    Paper: Shao, "The Dependent Wild Bootstrap", JASA 2010.
    Differs: for neighbourhoods instead of times. Rows drawn as if they were independent gave 60 % to 105 % of
        the true spread in three simulations, this 75 % to 115 %.
    """
    rows = np.asarray(neighbours)[:, :2]
    drawn = rng.exponential(size=len(rows)) - 1
    return np.maximum(1 + (drawn + drawn[rows].sum(axis=1)) / np.sqrt(1 + rows.shape[1]), 0)
