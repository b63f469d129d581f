"""Transition matrices: T_ij is the probability that true class i, the row, is annotated as j, the column."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]
ErrorKind = Literal["row_tv", "l1"]

SUM_TOLERANCE = 1e-6
"""How far from 1 probabilities may sum."""


def check_matrix(T: ArrayLike, name: str = "T") -> FloatArray:
    """A transition matrix as float64, or an error that says what is wrong with it.

    Args:
        T: `(k k)` probabilities for 2 classes or more, rows sum to 1.
        name: what the error calls it.

    Raises:
        GeometryError: not a square of numbers. LabelValueError: not finite, negative, or a row that does not
            sum to 1 within 1e-6.

    >>> check_matrix([[0.9, 0.1], [0.2, 0.9]], "the estimate")
    Traceback (most recent call last):
    labelmend.errors.LabelValueError: each row of the estimate must sum to 1, row 1 sums to 1.1
    """
    try:
        values = np.asarray(T, np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"{name} must hold numbers in rows of one length: {error}") from None
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise GeometryError(f"{name} must be square with 2 classes or more, got shape {values.shape}")
    _check_probabilities(values, name)
    sums = values.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > SUM_TOLERANCE:
        raise LabelValueError(f"each row of {name} must sum to 1, row {worst} sums to {sums[worst]:.9g}")
    return values


def transition_error(T: ArrayLike, estimate: ArrayLike, kind: ErrorKind = "row_tv") -> float:
    """How far an estimate lies from a transition matrix: sum_ij |T_ij - E_ij| over 2k or k.

    Args:
        T: `(k k)` the true matrix.
        estimate: `(k k)`.
        kind: "row_tv": over 2k, the total variation between two rows, averaged over rows, in [0, 1]. "l1":
            over k, twice as much; the papers on HOC print either, times 100.

    Raises:
        ConfigError: no such kind. GeometryError: shapes differ. LabelValueError: one is no transition matrix.

    >>> round(transition_error([[0.9, 0.1], [0.2, 0.8]], np.eye(2)), 6)
    0.15

    Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with
        Lower-Quality Features", ICML 2022.
    """
    if kind not in ("row_tv", "l1"):
        raise ConfigError(f'kind must be "row_tv" or "l1", got {kind!r}')
    true, guess = check_matrix(T), check_matrix(estimate, "estimate")
    if true.shape != guess.shape:
        raise GeometryError(f"T has shape {true.shape}, estimate {guess.shape}; they must be equal")
    return float(np.abs(true - guess).sum() / (len(true) * (2 if kind == "row_tv" else 1)))


def inverse_matrix(T: ArrayLike, prior: ArrayLike) -> FloatArray:
    """What is true where j was annotated, by Bayes: R_ji = p_i T_ij / sum_l p_l T_lj.

    It is no inverse in the sense of algebra: it undoes the flips in expectation, `(p T) R = p`.

    Args:
        T: `(k k)`, rows true and columns annotated classes.
        prior: `(k)` shares p of the true classes, sum 1.

    Returns:
        `(k k)`, rows annotated and columns true classes, rows sum to 1. The row of a class that is never
        annotated is that of the identity: nothing is known of it, and such a label would be believed.

    Raises:
        GeometryError: shapes do not belong together. LabelValueError: T is no transition matrix, or `prior`
            no distribution.

    >>> inverse_matrix([[0.75, 0.25], [0.0, 1.0]], [0.5, 0.5])
    array([[1. , 0. ],
           [0.2, 0.8]])
    """
    matrix = check_matrix(T)
    joint = _check_prior(prior, len(matrix))[:, None] * matrix
    return _rows_as_shares(joint.T)


def realised_matrix(y_true: ArrayLike, y_noisy: ArrayLike, n_classes: int) -> FloatArray:
    """Flip frequencies that came about: share of the members of class i that are annotated as j.

    Args:
        y_true: `(*shape)` class numbers from 0 to n_classes - 1.
        y_noisy: `(*shape)` class numbers.
        n_classes: k, 2 or more.

    Returns:
        `(k k)`; the row of a class without members is that of the identity.

    Raises:
        ConfigError: too few classes. GeometryError: shapes differ. LabelValueError: a label that is no class
            number.

    >>> realised_matrix([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], 3)
    array([[0.75, 0.25, 0.  ],
           [0.  , 1.  , 0.  ],
           [0.  , 0.  , 1.  ]])
    """
    _check_class_count(n_classes)
    true = _check_labels(y_true, n_classes, "y_true")
    noisy = _check_labels(y_noisy, n_classes, "y_noisy")
    if true.shape != noisy.shape:
        raise GeometryError(f"y_true has shape {true.shape}, y_noisy {noisy.shape}; they must be equal")
    pairs = true.ravel() * n_classes + noisy.ravel()
    counts = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    return _rows_as_shares(counts.astype(float))


def symmetric_matrix(n_classes: int, rate: float) -> FloatArray:
    """The matrix of symmetric noise: 1 - rate on the diagonal, rate / (k - 1) elsewhere.

    Args:
        n_classes: k, 2 or more.
        rate: share of labels that go wrong, in [0, 1].

    Raises:
        ConfigError: too few classes, or a rate that is none.

    >>> symmetric_matrix(3, 0.5)
    array([[0.5 , 0.25, 0.25],
           [0.25, 0.5 , 0.25],
           [0.25, 0.25, 0.5 ]])

    Differs: some authors draw the wrong label from all classes, the true one among them; their rate is
        k / (k - 1) times this one.
    """
    _check_class_count(n_classes)
    if not 0 <= rate <= 1:
        raise ConfigError(f"a rate in [0, 1] expected, got {rate}")
    matrix = np.full((n_classes, n_classes), rate / (n_classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def best_symmetric(T: ArrayLike) -> FloatArray:
    """The symmetric matrix nearest to T in `transition_error`: a line of reference, for it has to know T.

    With e for the rate, the error is a sum of absolute values,

        sum_i |e - (1 - T_ii)| + sum_(i != j) |e - (k - 1) T_ij| / (k - 1),

    and least at a weighted median of its breakpoints. Of rates that do equally well the lowest is taken.

    Args:
        T: `(k k)`.

    Raises:
        GeometryError: T is not square. LabelValueError: T is no transition matrix.

    >>> best_symmetric([[0.9, 0.1], [0.3, 0.7]]).round(9)
    array([[0.9, 0.1],
           [0.1, 0.9]])
    """
    matrix = check_matrix(T)
    k = len(matrix)
    on_diagonal = np.eye(k, dtype=bool)
    breakpoints = np.where(on_diagonal, 1 - matrix, (k - 1) * matrix).ravel()
    weights = np.where(on_diagonal, k - 1, 1).ravel()  # times k - 1: whole numbers, exact sums
    order = breakpoints.argsort(kind="stable")
    middle = int((2 * weights[order].cumsum() >= weights.sum()).argmax())
    rate = breakpoints[order[middle]]  # beyond 1 lies less than half of the weight
    return symmetric_matrix(k, float(np.clip(rate, 0, 1)))


def noise_rates(T: ArrayLike, prior: ArrayLike) -> tuple[FloatArray, float]:
    """Share of wrong labels in each class, 1 - T_ii, and in all, sum_i p_i (1 - T_ii).

    Args:
        T: `(k k)`.
        prior: `(k)` shares p of the true classes, sum 1.

    Returns:
        `(k)` rates, and the overall one.

    Raises:
        GeometryError: shapes do not belong together. LabelValueError: T is no transition matrix, or `prior`
            no distribution.

    >>> rates, overall = noise_rates([[0.75, 0.25], [0.5, 0.5]], [0.25, 0.75])
    >>> rates, overall
    (array([0.25, 0.5 ]), 0.4375)
    """
    matrix = check_matrix(T)
    rates = np.clip(1 - matrix.diagonal(), 0, 1)
    return rates, float(_check_prior(prior, len(matrix)) @ rates)


def _rows_as_shares(table: FloatArray) -> FloatArray:
    """A square table, each row over its sum; empty rows become those of the identity."""
    sums = table.sum(axis=1, keepdims=True)
    return np.divide(table, sums, out=np.eye(len(table)), where=sums > 0)


def _check_probabilities(values: FloatArray, name: str) -> None:
    bad = values[~(np.isfinite(values) & (values >= 0))]
    if bad.size:
        raise LabelValueError(f"{name} must hold finite probabilities >= 0, got {bad[0]}")


def _check_prior(prior: ArrayLike, n_classes: int) -> FloatArray:
    shares = np.asarray(prior, np.float64)
    if shares.shape != (n_classes,):
        raise GeometryError(f"a prior of shape ({n_classes},) expected, got {shares.shape}")
    _check_probabilities(shares, "prior")
    if abs(shares.sum() - 1) > SUM_TOLERANCE:
        raise LabelValueError(f"prior must sum to 1, got {shares.sum():.9g}")
    return shares


def _check_class_count(n_classes: int) -> None:
    if n_classes != int(n_classes) or n_classes < 2:
        raise ConfigError(f"a whole number of classes from 2 up expected, got {n_classes}")


def _check_labels(labels: ArrayLike, n_classes: int, name: str) -> IntArray:
    """Labels as int64, or an error."""
    values = np.asarray(labels)
    if values.size and not (np.issubdtype(values.dtype, np.integer) or values.dtype == bool):
        raise LabelValueError(f"{name} must hold class numbers as integers, got {values.dtype}")
    outside = values[(values < 0) | (values >= n_classes)]
    if outside.size:
        raise LabelValueError(f"{name} must hold class numbers from 0 to {n_classes - 1}, got {outside[0]}")
    return values.astype(np.int64)
