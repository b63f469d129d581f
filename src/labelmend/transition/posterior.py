"""Which labels are wrong, once it is known how labels go wrong: the true class of each row, by Bayes.

The labels of a row's neighbours tell how frequent each true class is around it, eta(x), pure or mixed; the
row's own label then speaks for the row. Where all of a neighbourhood is one class this becomes what HOC
assumes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from labelmend.errors import ConfigError
from labelmend.transition.hoc import IntArray, TransitionResult, label_counts, tuples_of
from labelmend.types import FloatArray

TINY = 1e-12
"""Least probability of a given label, so that one thought impossible is only nearly so."""

LEAST_SHARE = 1e-3
"""Least prior of a class around a row."""


def local_prior(
    y: ArrayLike,
    neighbours: ArrayLike,
    result: TransitionResult,
    *,
    strength: float = 1.0,
    max_iter: int = 50,
) -> FloatArray:
    """How frequent each true class is around a row, eta(x), from the labels of its neighbours.

    Labels are draws from eta T, with T known and a Dirichlet distribution of mean p for eta. It weighs
    `strength` rows, so few that it expects neighbourhoods to be nearly pure; those that are not show it by
    their labels.

    Args:
        y: `(n)` given labels, 0 to k - 1; a row's own is not used.
        neighbours: `(n m)` numbers of rows.
        result: the estimated matrix and prior.
        strength: rows that the prior counts for, above 0.
        max_iter: rounds of the variational approximation.

    Returns:
        `(n k)` expected eta, rows sum to 1.

    Raises:
        ConfigError: a strength that is none. GeometryError: shapes. LabelValueError: a label that is no
            class.

    >>> result = TransitionResult(np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.5, 0.5]), 0.0, True)
    >>> local_prior([0, 0, 0], [[1, 2], [0, 2], [0, 1]], result)[0].round(2)
    array([0.82, 0.18])
    """
    if not strength > 0:
        raise ConfigError(f"strength must lie above 0, got {strength}")
    k = len(result.prior)
    labels = tuples_of(y, neighbours, k, least=1)[:, 1:]
    counts = label_counts(labels, k)
    matrix = np.maximum(result.matrix, TINY)
    prior = strength * np.maximum(result.prior, LEAST_SHARE)
    weight = prior + counts.sum(axis=1, keepdims=True) * result.prior
    for _ in range(max_iter):
        chance = np.exp(digamma(weight))
        weight = prior + chance * ((counts / (chance @ matrix)) @ matrix.T)
    return weight / weight.sum(axis=1, keepdims=True)


def class_posterior(
    y: ArrayLike, neighbours: ArrayLike, result: TransitionResult, *, strength: float = 1.0
) -> FloatArray:
    """Probabilities of the true class of each row, by its label and its neighbours': eta_i(x) T_i,y, scaled.

    In simulations of classes far apart and of classes that overlap, labels were ranked better with 30
    neighbours than with 10, and with 10 than with 2.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows.
        result: the estimated matrix and prior.
        strength: of the prior, see `local_prior`.

    Returns:
        `(n k)`, rows sum to 1; in column y of a row is the probability that its given label is right.

    Raises:
        ConfigError: raised by `local_prior`.

    >>> result = TransitionResult(np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.5, 0.5]), 0.0, True)
    >>> class_posterior([0, 0, 1], [[1, 2], [0, 2], [0, 1]], result).round(2).tolist()
    [[0.8, 0.2], [0.8, 0.2], [0.53, 0.47]]
    """
    eta = local_prior(y, neighbours, result, strength=strength)
    probs = eta * np.maximum(result.matrix, TINY).T[np.asarray(y)]
    return probs / probs.sum(axis=1, keepdims=True)


def predictive_log(y: ArrayLike, neighbours: ArrayLike, result: TransitionResult) -> float:
    """Mean log-probability of each row's given label, foretold from its neighbours' labels: log (eta(x) T)_y.

    It is the higher the more neighbours say about the class of a row, and the better the matrix.

    Args:
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows.
        result: the estimated matrix and prior.

    >>> result = TransitionResult(np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.5, 0.5]), 0.0, True)
    >>> round(predictive_log([0, 0, 0], [[1, 2], [0, 2], [0, 1]], result), 2)
    -0.37
    """
    predicted = local_prior(y, neighbours, result) @ result.matrix
    return float(np.log(np.maximum(predicted[np.arange(len(predicted)), np.asarray(y)], TINY)).mean())


def drawn_classes(probs: FloatArray, rng: np.random.Generator) -> IntArray:
    """One class for each row of probabilities `(n k)`."""
    return (rng.random(len(probs))[:, None] >= np.cumsum(probs, axis=1)[:, :-1]).sum(axis=1)
