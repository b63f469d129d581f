"""Wrong class labels of whole cases: a flip that depends on the class alone, by a transition matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, LabelValueError
from labelmend.noise.base import SEED_LIMIT, Params, check_probability
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]

# Rows that were written with a few decimals still count as summing to one.
SUM_TOLERANCE = 1e-6


def pair_matrix(n_classes: int, rate: float) -> FloatArray:
    """Transition matrix of labels that go wrong with probability `rate`, to the next class; the last to 0.

    Args:
        n_classes: 2 or more.
        rate: in [0, 1].

    Returns:
        `(k k)`; row i holds the probabilities of the labels given to a case of class i.

    >>> pair_matrix(3, 0.25)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])

    Paper: Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels",
        NeurIPS 2018.
    """
    _check(n_classes, rate)
    return asymmetric_matrix(n_classes, rate, [(k, (k + 1) % n_classes) for k in range(n_classes)])


def asymmetric_matrix(n_classes: int, rate: float, pairs: Iterable[tuple[int, int]]) -> FloatArray:
    """Transition matrix where some classes go wrong with probability `rate`, and the others never do.

    Args:
        n_classes: 2 or more.
        rate: in [0, 1].
        pairs: (from, to); a class that is named several times goes to each of its targets alike.

    Returns:
        `(k k)`; row i holds the probabilities of the labels given to a case of class i.

    >>> asymmetric_matrix(3, 0.5, [(2, 0), (2, 1)])
    array([[1.  , 0.  , 0.  ],
           [0.  , 1.  , 0.  ],
           [0.25, 0.25, 0.5 ]])

    Paper: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach",
        CVPR 2017.
    """
    _check(n_classes, rate)
    listed = [tuple(pair) for pair in pairs]
    for pair in listed:
        known = len(pair) == 2 and all(_is_whole(k) and 0 <= k < n_classes for k in pair)
        if not known or pair[0] == pair[1]:
            raise ConfigError(
                f"pairs of classes must be two different numbers from 0 to {n_classes - 1}, got {pair}"
            )
    if len(set(listed)) < len(listed):
        raise ConfigError(f"pairs of classes name one pair twice: {listed}")
    matrix = np.eye(n_classes)
    for source in {source for source, _ in listed}:
        targets = [target for start, target in listed if start == source]
        matrix[source, source] = 1 - rate
        matrix[source, targets] = rate / len(targets)
    return matrix


@dataclass(frozen=True)
class ClassFlipNoise:
    """Class labels of whole cases that go wrong by a transition matrix, each case by itself.

    Args:
        matrix: `(k k)` rows of probabilities; row i is the law of the label given to a case of class i.

    >>> noise = ClassFlipNoise(pair_matrix(3, 1.0))
    >>> labels = np.array([0, 1, 2, 2])
    >>> noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    array([1, 2, 0, 0])
    """

    name: ClassVar[str] = "class_flip"

    matrix: Sequence[Sequence[float]] | FloatArray

    def __post_init__(self) -> None:
        # Kept as plain numbers: they compare, hash and go into a manifest as they are.
        object.__setattr__(self, "matrix", tuple(map(tuple, checked_matrix(self.matrix).tolist())))

    def draw(self, rng: np.random.Generator, labels: IntArray) -> dict[str, Any]:
        """A seed, with the matrix beside it."""
        check_labels(self.name, labels, len(self.matrix))
        return {
            "noise": self.name,
            "seed": int(rng.integers(SEED_LIMIT)),
            "matrix": [list(row) for row in self.matrix],
        }

    def apply(self, labels: IntArray, params: Params) -> IntArray:
        """The labels given, `(n,)` of the dtype of the true ones, by the matrix in the parameters."""
        matrix = checked_matrix(params["matrix"])
        labels = check_labels(self.name, labels, len(matrix))
        return draw_classes(np.random.default_rng(params["seed"]), matrix[labels]).astype(labels.dtype)


def draw_classes(rng: np.random.Generator, rows: FloatArray) -> IntArray:
    """One class for each row of probabilities; never one of probability zero.

    Args:
        rng: source of all random numbers.
        rows: `(n k)`, each row summing to one.

    Returns:
        `(n,)` integers from 0 to k - 1.
    """
    bounds = np.cumsum(rows, axis=1)
    # Sums fall short of one by rounding: from the last possible class on, nothing lies above the bound.
    possible_later: IntArray = np.cumsum(rows[:, ::-1] > 0, axis=1)[:, ::-1] - (rows > 0)
    bounds[possible_later == 0] = np.inf
    return (rng.random(len(rows))[:, None] >= bounds).sum(axis=1)


def checked_matrix(matrix: ArrayLike) -> FloatArray:
    """A transition matrix `(k k)` as float64, or a ConfigError that says what is wrong with it."""
    try:
        values = np.asarray(matrix, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a transition matrix must hold numbers in rows of one length: {error}") from None
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise ConfigError(
            f"a transition matrix must be square with 2 classes or more, got shape {values.shape}"
        )
    if not ((values >= 0) & (values <= 1)).all():
        bad = values[~((values >= 0) & (values <= 1))][0]
        raise ConfigError(f"a transition matrix must hold probabilities in [0, 1], got {bad}")
    sums = values.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > SUM_TOLERANCE:
        raise ConfigError(
            f"each row of a transition matrix must sum to 1, row {worst} sums to {sums[worst]:g}"
        )
    return values


def check_labels(noise: str, labels: IntArray, n_classes: int) -> IntArray:
    """Class labels `(n,)` as an array, or an error that says what is wrong with them."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or (labels.size and not np.issubdtype(labels.dtype, np.integer)):
        raise ConfigError(
            f"{noise} noise is for class labels, one integer a case: "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    outside = labels[(labels < 0) | (labels >= n_classes)]
    if outside.size:
        raise LabelValueError(
            f"{noise} noise knows the classes 0 to {n_classes - 1}, but a label is {outside[0]}"
        )
    return labels


def check_class_count(noise: str, n_classes: int) -> None:
    """Raise a ConfigError for a number of classes that leaves nothing to flip to."""
    if not _is_whole(n_classes) or n_classes < 2:
        raise ConfigError(f"{noise} noise needs a whole number of classes from 2 up, got {n_classes}")


def _check(n_classes: int, rate: float) -> None:
    check_class_count("class_flip", n_classes)
    check_probability("class_flip", rate=rate)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
