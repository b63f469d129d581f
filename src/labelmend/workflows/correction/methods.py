"""How methods correct labels from probabilities alone: what training would have told them is put in place.

Spatial Correction needs nothing of training: the bias of predicted outlines is measured on trusted cases as
ever. What is different with saved probabilities is in `labelmend.workflows.correction.spatial`.

ADELE waits for the epoch from which on a network begins to learn the errors of a class by heart. Nothing is
learned here: out-of-sample predictions of a case do not know its errors, so every class is corrected where
the prediction is confident, once.

Confident learning compares each pixel with the mean self-confidence of classes over the data set. These means
are taken over the probabilities given, once over all cases, as the paper does with its out-of-sample ones.

All other methods change how a network is trained, and are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import CleanCasesError, ConfigError
from labelmend.methods.adele import Adele
from labelmend.methods.base import Facts, Method, tasks
from labelmend.methods.confident import Confident
from labelmend.methods.registry import method_name
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.types import FloatArray, LabelMap, Predicted, Revision
from labelmend.workflows.correction.spatial import decisions
from labelmend.workflows.correction.trusted_cases import Trusted

Rows = list[dict[str, Any]]
Cases = Callable[[], Iterator[Predicted]]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before labels are corrected.

    Args:
        facts: what methods may know.
        confidence: `(2 m C)` sums of self-confidence and numbers of pixels, see `self_confidence`.
        trusted: trusted cases, or None.
        on_trusted: called after each trusted case with its id and their number.
    """

    facts: Facts
    confidence: FloatArray
    trusted: Trusted | None
    on_trusted: Callable[[str, int], None] = lambda case, n_cases: None


def check_able(method: Method, *, trusted: bool) -> None:
    """Refuse a method that needs training, or that needs trusted cases where there are none.

    Raises:
        ConfigError, CleanCasesError: as said.
    """
    name = method_name(method)
    if name not in ABLE:
        raise ConfigError(
            f"method {name} works while a network is trained, so it cannot correct labels from probabilities "
            f"alone: choose one of {', '.join(ABLE)}, or run labelmend train"
        )
    if method.needs.clean == "required" and not trusted:
        raise CleanCasesError(
            f"{type(method).__name__} needs trusted cases: give --clean a label folder with trusted masks of "
            "some of the cases, or a text file of the ids of cases whose given labels are right (one is "
            "enough to begin with)"
        )


def proposals(method: Method, known: Known, cases: Cases) -> tuple[Rows, Iterator[Revision]]:
    """What a method makes of the cases.

    Args:
        method: one that `check_able` lets pass.
        known: what was found beforehand.
        cases: streams the cases to correct, given labels as current ones.

    Returns:
        Per class what was measured and decided (at least "class" and "why"), and the revisions, which are
        made as they are asked for.
    """
    return ABLE[method_name(method)](method, known, cases)


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


def _adele(method: Adele, known: Known, cases: Cases) -> tuple[Rows, Iterator[Revision]]:
    state = method.init(known.facts)
    state |= {"since": [1] * len(known.facts.classes)}
    _, revisions = method.revise(state, cases(), ())
    why = f"corrected where the prediction is over {method.rules.tau:.0%} sure, in cases that hold the class"
    return [{"class": name, "why": why} for name in known.facts.classes], revisions


def _confident(method: Confident, known: Known, cases: Cases) -> tuple[Rows, Iterator[Revision]]:
    state = method.init(known.facts)
    if method.backend == "own":
        total, n = known.confidence
        state |= {"thresholds": np.where(n > 0, total / np.maximum(n, 1), np.nan)}
    state, revisions = method.revise(state, cases(), ())
    return method.findings(state), revisions


def _spatial(method: SpatialCorrection, known: Known, cases: Cases) -> tuple[Rows, Iterator[Revision]]:
    trusted = known.trusted
    if trusted is None:
        raise CleanCasesError("Spatial Correction measures its bias on trusted cases, and there are none")
    state, revisions = method.revise(method.init(known.facts), cases(), trusted.predicted(known.on_trusted))
    rows = method.findings(state)
    decided = rows if method.variant == "official" else decisions(method, rows, trusted.beside_given())
    if [row["moved"] for row in decided] == [row["moved"] for row in rows]:
        return decided, revisions
    acting = {row["class"]: row for row in decided if row["moved"]}
    proposals = (method.revised(predicted, acting) for predicted in (cases() if acting else ()))
    return decided, (revised for revised in proposals if revised is not None)


def with_left_out(proposal: Revision, value: int) -> LabelMap:
    """The revised labels with the pixels that training is to leave out as the value to ignore."""
    array: NDArray = proposal.labels.array.copy()
    array[proposal.left_out] = value
    return dataclasses.replace(proposal.labels, array=array)


ABLE: Mapping[str, Callable[[Any, Known, Cases], tuple[Rows, Iterator[Revision]]]] = {
    "adele": _adele,
    "confident": _confident,
    "spatial_correction": _spatial,
}
"""Methods that correct labels from probabilities alone, and how."""
