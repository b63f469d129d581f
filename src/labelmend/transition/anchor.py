"""How often labels are wrong where classes overlap: the purest neighbourhoods of each class are its anchors.

Around row x the given labels of x and of its m nearest rows are draws from eta(x) T, where eta(x) holds the
probabilities of the true classes there. HOC wants eta(x) to be certain everywhere; here it has to be nearly
certain somewhere, once for each class. Of the M = m + 1 labels around a row,

    s_k ~ Binomial(M, q),   q = (eta(x) T)_k,

are k, and q has some distribution G_k over the rows. G_k is estimated by maximum likelihood without any
assumption on its shape, which takes the spread of the draws off. Where only class k is, q is T_kk; everywhere
else it is less, as long as T_kk is the largest of its column. So an upper quantile of G_k estimates T_kk, and
the other labels given around such rows estimate the rest of row k.

Paper: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach", CVPR
    2017 (anchors); Kiefer and Wolfowitz, "Consistency of the Maximum Likelihood Estimator in the Presence of
    Infinitely Many Incidental Parameters", 1956, and Laird, "Nonparametric Maximum Likelihood Estimation of a
    Mixing Distribution", JASA 1978 (the distribution of q).
Differs: anchors are neighbourhoods instead of the outputs of a network, which has learned the wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.special import gammaln, xlog1py, xlogy

from labelmend.errors import ConfigError
from labelmend.transition.hoc import TransitionResult, label_counts, tuples_of
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Mixing:
    """Distributions of a probability q, one for each of any number of problems.

    Args:
        grid: `(g)` values of q from 0 to 1.
        probs: `(*k g)` their probabilities.
        mean_log: `(*k)` mean log-likelihood of a count.
        converged: False where the rounds were used up.
    """

    grid: FloatArray
    probs: FloatArray
    mean_log: FloatArray
    converged: bool


def mixing_distribution(
    histogram: ArrayLike, *, n_grid: int = 200, max_iter: int = 500, tol: float = 2e-6
) -> Mixing:
    """The distribution of q that makes binomial counts likeliest, on a grid, by expectation-maximisation.

    Args:
        histogram: `(*k M+1)` how many rows have 0 to M successes, for each problem.
        n_grid: steps between 0 and 1.
        max_iter: rounds.
        tol: a mean log-likelihood that rises by less in a round ends the search.

    >>> mixing = mixing_distribution(np.bincount([0] * 50 + [10] * 50))
    >>> mixing.probs[[0, -1]].round(2)
    array([0.5, 0.5])

    Paper: Laird, "Nonparametric Maximum Likelihood Estimation of a Mixing Distribution", JASA 1978.
    """
    counts = np.asarray(histogram, float)
    grid = np.linspace(0, 1, n_grid + 1)
    likelihood = binomial(counts.shape[-1] - 1, grid)
    shares = counts / counts.sum(axis=-1, keepdims=True)
    probs = np.full((*counts.shape[:-1], n_grid + 1), 1 / (n_grid + 1))
    before, converged = np.full(counts.shape[:-1], -np.inf), False
    for _ in range(max_iter):
        expected = np.maximum(probs @ likelihood.T, 1e-300)
        now = (shares * np.log(expected)).sum(axis=-1)
        if (now - before < tol).all():
            converged = True
            break
        probs = probs * ((shares / expected) @ likelihood)
        before = now
    return Mixing(grid, probs, now, converged)


def anchor_matrix(
    y: ArrayLike,
    neighbours: ArrayLike,
    n_classes: int,
    *,
    alpha: float = 0.03,
    n_grid: int = 200,
    max_iter: int = 500,
    weights: ArrayLike | None = None,
) -> TransitionResult:
    """Transition matrix and prior from the purest neighbourhoods of each class.

    T_kk is the quantile of G_k with `alpha` of the rows above; the rest of row k is shared out as the other
    labels are around rows at or above it. p is the prior for which the given labels come out as they are,
    c1 = p T, by least squares.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows; more neighbours mean less chance and less pure neighbourhoods.
        n_classes: k.
        alpha: share of rows, for two classes given equally often, that are anchors of one of them; for a
            class that is given to a share c of the rows it is 2 c alpha. In (0, 0.5).
        n_grid: steps of the grid for q.
        max_iter: rounds of expectation-maximisation.
        weights: `(n)` how often each row counts; None: once.

    Returns:
        The estimate; its loss is the mean negative log-likelihood of a row's counts. A class that is never
        given has prior 0 and a row that keeps it as it is.

    Raises:
        ConfigError: a setting. GeometryError: shapes. LabelValueError: a label that is no class.

    >>> y = np.array(24 * [0] + 8 * [1] + 24 * [1] + 8 * [0])  # a fourth of each half is wrong
    >>> halves = np.arange(64).reshape(2, 32).repeat(32, axis=0)
    >>> anchor_matrix(y, halves, 2).matrix.round(2)
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    if not 0 < alpha < 0.5 or n_grid < 2 or max_iter < 1:
        wrong = f"{alpha}, {n_grid} and {max_iter}"
        raise ConfigError(f"alpha in (0, 0.5), n_grid > 1 and max_iter > 0 expected, got {wrong}")
    labels = tuples_of(y, neighbours, n_classes, least=1)
    shares = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
    shares = shares / shares.sum()
    counts = label_counts(labels, n_classes)
    given: FloatArray = np.bincount(labels[:, 0], shares, minlength=n_classes).astype(float)
    there = np.flatnonzero(given > 0)
    matrix, prior, loss, converged = np.eye(n_classes), given, 0.0, True
    if len(there) > 1:
        counts = counts[:, there]
        histograms = np.stack([np.bincount(c, shares, minlength=labels.shape[1] + 1) for c in counts.T])
        mixing = mixing_distribution(histograms, n_grid=n_grid, max_iter=max_iter)
        rows = _rows(counts, shares, mixing, 2 * alpha * given[there])
        matrix[np.ix_(there, there)] = rows
        prior = np.zeros(n_classes)
        prior[there] = prior_of(rows, given[there])
        loss, converged = -float(mixing.mean_log.sum()), mixing.converged
    return TransitionResult(matrix, prior, loss, converged)


def prior_of(matrix: FloatArray, given: FloatArray) -> FloatArray:
    """The prior p of true classes with c1 = p T, by nonnegative least squares.

    >>> prior_of(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.55, 0.45])).round(3)
    array([0.5, 0.5])
    """
    prior, _ = nnls(matrix.T, given)
    return prior / prior.sum() if prior.sum() > 0 else given


def _rows(counts: IntArray, shares: FloatArray, mixing: Mixing, above: FloatArray) -> FloatArray:
    """Rows of the matrix, from counts `(n k)`, a row of `mixing` a class, and shares of rows over T_kk."""
    n_classes = counts.shape[1]
    matrix = np.zeros((n_classes, n_classes))
    for k in range(n_classes):
        pure = _upper_quantile(mixing.grid, mixing.probs[k], above[k])
        likelihood = binomial(counts[0].sum(), mixing.grid)
        joint = mixing.probs[k] * likelihood
        high = mixing.grid >= pure - 1e-9
        chance = joint[:, high].sum(axis=1) / np.maximum(joint.sum(axis=1), 1e-300)
        around = (shares * chance[counts[:, k]]) @ counts
        around[k] = 0
        if around.sum() == 0:
            around = np.where(np.arange(n_classes) == k, 0.0, 1.0)
        matrix[k] = (1 - pure) * around / around.sum()
        matrix[k, k] = pure
    return matrix


def _upper_quantile(grid: FloatArray, probs: FloatArray, above: float) -> float:
    """The point with this share of a distribution above it, between points of the grid by interpolation."""
    return float(np.interp(1 - above, np.cumsum(probs), grid))


def binomial(M: int, q: FloatArray) -> FloatArray:
    """`(*b M+1 g)` probabilities of 0 to M successes for chances `(*b g)` in [0, 1].

    >>> binomial(2, np.array([0.5, 1.0])).round(3).tolist()
    [[0.25, 0.0], [0.5, 0.0], [0.25, 1.0]]
    """
    s = np.arange(M + 1)[:, None]
    ways = gammaln(M + 1) - gammaln(s + 1) - gammaln(M - s + 1)
    q = q[..., None, :]
    return np.exp(ways + xlogy(s, q) + xlog1py(M - s, -q))
