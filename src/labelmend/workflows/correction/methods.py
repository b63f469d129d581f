"""What correcting from probabilities alone asks of a method; how it is done, each method knows itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import CleanCasesError, ConfigError
from labelmend.methods.base import Method, tasks
from labelmend.methods.registry import METHODS, method_name
from labelmend.types import FloatArray, LabelMap, Revision


def known_method(method: Method | str) -> Method:
    """A method by its name with the settings it comes with, or the method as it is.

    >>> type(known_method("confident")).__name__
    'Confident'

    Raises:
        ConfigError: no method has that name.
    """
    if not isinstance(method, str):
        return method
    if method not in METHODS:
        raise ConfigError(f"no method called {method!r}: choose from {', '.join(METHODS)}")
    return METHODS[method]()


def is_able(method: type[Method]) -> bool:
    """Whether a method revises labels from probabilities alone."""
    return method.revise_from_probs is not Method.revise_from_probs


def check_able(method: Method, *, trusted: bool) -> None:
    """Refuse a method that needs training, or that needs trusted cases where there are none.

    Raises:
        ConfigError, CleanCasesError: as said.
    """
    if not is_able(type(method)):
        able = ", ".join(name for name, known in METHODS.items() if is_able(known))
        raise ConfigError(
            f"method {method_name(method)} works while a network is trained, so it cannot correct labels "
            f"from probabilities alone: choose one of {able}, or run labelmend train"
        )
    if method.needs.clean == "required" and not trusted:
        raise CleanCasesError(
            f"{type(method).__name__} needs trusted cases: give --clean a label folder with trusted masks of "
            "some of the cases, or a text file of the ids of cases whose given labels are right (one is "
            "enough to begin with)"
        )


def self_confidence(given: LabelMap, probs: FloatArray) -> FloatArray:
    """`(2 m C)`: per task and label the sum of its probability over the pixels given as it, and their number.

    Args:
        given: the labels of a case; ignored pixels do not count.
        probs: see `Predicted`.
    """
    counted, found = ~given.ignored(), []
    for labels, likely in tasks(given, probs):
        own = np.take_along_axis(likely, labels[None], axis=0)[0][counted]
        index, n = labels[counted], len(likely)
        found.append((np.bincount(index, own, n), np.bincount(index, minlength=n)))
    return np.asarray(found, float).swapaxes(0, 1)


def with_left_out(proposal: Revision, value: int) -> LabelMap:
    """The revised labels with the pixels that training is to leave out as the value to ignore."""
    array: NDArray[Any] = proposal.labels.array.copy()
    array[proposal.left_out] = value
    return dataclasses.replace(proposal.labels, array=array)
