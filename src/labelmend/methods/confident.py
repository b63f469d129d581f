"""Confident learning: pixels whose label a confident network contradicts are left out of the next training.

The network need not be right to be useful here. It must be more confident of another class than it typically
is of pixels that carry that class; "usually" is the mean over the data set, one number a class, so that a
class of which the network is never sure (a thin one) is not pruned away for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.methods.base import (
    Batch,
    Facts,
    Known,
    Method,
    Needs,
    Nets,
    Rows,
    State,
    flat_tasks,
    masks_of,
    revision,
    tasks,
)
from labelmend.runtime.extras import needed_by
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["own", "cleanlab"]

ROUNDING = 1e-6
"""Below a threshold by less than this counts as reaching it: all pixels alike have exactly their mean."""


def mean_self_confidence(
    given: NDArray[Any], probs: FloatArray, counted: BoolArray | None = None
) -> FloatArray:
    """Per class, the mean probability of that class over the pixels given as it; NaN where none is.

    Args:
        given: `(*space)` integers in 0..C-1.
        probs: `(C *space)` probabilities.
        counted: `(*space)` booleans, pixels that count; None means all.

    >>> probs = np.array([[0.9, 0.7, 0.6], [0.1, 0.3, 0.4]])
    >>> mean_self_confidence(np.array([0, 0, 1]), probs)
    array([0.8, 0.4])
    """
    of_class = [given == index for index in range(len(probs))]
    if counted is not None:
        of_class = [chosen & counted for chosen in of_class]
    return np.array([p[chosen].mean() if chosen.any() else np.nan for p, chosen in zip(probs, of_class)])


def label_errors(given: NDArray[Any], probs: FloatArray, thresholds: FloatArray) -> BoolArray:
    """Pixels off the diagonal of the confident joint: the likeliest class is another, and likely enough.

    Args:
        given: `(*space)` integers in 0..C-1.
        probs: `(C *space)` probabilities.
        thresholds: per class, the probability from which the network counts as confident; NaN: nothing is
            flagged.

    >>> probs = np.array([[0.9, 0.3, 0.45], [0.1, 0.7, 0.55]])
    >>> label_errors(np.array([0, 0, 0]), probs, np.array([0.8, 0.6]))
    array([False,  True, False])
    """
    guess = probs.argmax(axis=0)
    return (guess != given) & (probs.max(axis=0) >= thresholds[guess] - ROUNDING)


def cleanlab_errors(given: NDArray[Any], probs: FloatArray, counted: BoolArray) -> BoolArray:
    """What `cleanlab.segmentation` flags among the counted pixels of one case, shapes as in `label_errors`.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    _require_cleanlab()
    from cleanlab.segmentation.filter import find_label_issues

    found = np.zeros(given.shape, bool)
    if counted.any():
        # A picture one pixel high: cleanlab knows no ignored pixels, and looks at each pixel by itself.
        labels, likely = given[counted][None, None], probs[:, counted][None, :, None].astype(float)
        issues = find_label_issues(labels, likely / likely.sum(axis=1), n_jobs=1, verbose=False)
        found[counted] = np.asarray(issues).ravel()
    return found


def _require_cleanlab() -> None:
    with needed_by('backend "cleanlab"', instead='take backend "own"'):
        importlib.import_module("cleanlab")


@dataclass(frozen=True)
class Confident(Method):
    """Train, find the pixels whose label a confident network contradicts, train again without them.

    The labels handed back hold the network's class at these pixels, after every round. Training sees the data
    it is judged on: in-sample probabilities are too sure of the given labels, so errors that the network has
    learned by heart are not found. The paper predicts out of sample (K folds), which would cost K trainings;
    few epochs or early stopping help here. In the second round flagged pixels are out of sample.

    Where classes overlap, a pixel flagged for one of them is left out for all, and so is a pixel of a coarser
    training grid that holds a flagged one: where wrong pixels are many and scattered, hardly any are left to
    train on. Set `replace` for such labels.

    Args:
        replace: train the next round on the network's class at flagged pixels, instead of leaving them out.
        backend: "own" takes thresholds over the data set and flags what `cleanlab.filter` does with
            filter_by="confident_learning"; "cleanlab" asks `cleanlab.segmentation` case by case, which finds
            thresholds in the case alone and then flags as many pixels of lowest self-confidence. It needs the
            extra of that name.

    Paper: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
        2021; for pixels Lad, Mueller, "Estimating label quality and errors in semantic segmentation data via
        any model", 2023.
    Differs: thresholds are means over the last epoch's training batches, augmented and with the network as it
        was at each of them, since cases come by once and are not kept; after a first round borrowed from
        another run there are none, and each case has its own. Every pixel off the diagonal of the confident
        joint is flagged whose likeliest class also differs from the given one (as cleanlab does); no pruning
        by count. A pixel flagged for one of several overlapping classes is left out for all. Training is
        Dice-CE.
    """

    replace: bool = False
    backend: Backend = "own"

    needs: ClassVar[Needs] = Needs(rounds=2, counts=("confidence",))

    def __post_init__(self) -> None:
        if self.backend not in ("own", "cleanlab"):
            raise ConfigError(f'backend must be "own" or "cleanlab", got {self.backend!r}')

    def init(self, facts: Facts) -> State:
        if self.backend == "cleanlab":
            _require_cleanlab()
        k = len(facts.classes)
        shape = (k, 2) if facts.overlapping else (1, k + 1)
        return {
            "classes": list(facts.classes),
            "confidence": np.zeros((2, *shape)),  # sum of self-confidence and number of pixels, by task
            "thresholds": np.full(shape, np.nan),
        }

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        import torch

        loss, logits, state = super().step(state, batch, nets)
        probs, truth = flat_tasks(logits, batch.target)
        weight = truth * batch.valid.flatten()
        found = torch.stack([(probs * weight).sum(-1), weight.sum(-1)]).double().cpu().numpy()
        return loss, logits, state | {"confidence": state["confidence"] + found}

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        total, count = state["confidence"]
        thresholds = np.where(count > 0, total / np.maximum(count, 1e-9), state["thresholds"])
        return state | {"thresholds": thresholds, "confidence": np.zeros_like(state["confidence"])}, False

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        proposals = (self._revised(predicted, state.get("thresholds")) for predicted in cases)
        return state, (revised for revised in proposals if revised is not None)

    def revise_from_probs(
        self, known: Known, cases: Callable[[], Iterator[Predicted]]
    ) -> tuple[Rows, Iterator[Revision]]:
        state = self.init(known.facts)
        if self.backend == "own":  # one threshold a class over all cases, as the paper has it
            total, n = known.confidence
            state |= {"thresholds": np.where(n > 0, total / np.maximum(n, 1), np.nan)}
        state, revisions = self.revise(state, cases(), ())
        return self.findings(state), revisions

    def findings(self, state: State) -> list[dict[str, Any]]:
        names, thresholds = state["classes"], state["thresholds"]
        of_class = thresholds[:, 1] if len(thresholds) == len(names) else thresholds[0, 1:]
        return [
            {
                "class": name,
                "threshold": None if np.isnan(value) else float(value),
                "why": "the threshold of each case by itself"
                if np.isnan(value)
                else f"pixels given otherwise are flagged where it is likeliest, with {value:.2f} or more",
            }
            for name, value in zip(names, of_class, strict=True)
        ]

    def _revised(self, predicted: Predicted, thresholds: FloatArray | None) -> Revision | None:
        """The given labels with the network's class where they are flagged; None where nothing changes."""
        labels = predicted.given
        answers, flagged = [], np.zeros(labels.grid.shape, bool)
        for index, (given, probs) in enumerate(tasks(labels, predicted.probs)):
            known = None if thresholds is None else thresholds[index]
            errors = self._errors(given, probs, ~labels.ignored(), known)
            answers.append(np.where(errors, probs.argmax(axis=0), given))
            flagged |= errors
        if not flagged.any() and np.array_equal(predicted.current.array, labels.array):
            return None
        masks = masks_of(answers, len(labels.classes), overlapping=labels.overlapping)
        n = int(flagged.sum())
        reason = f"{n} pixels whose label the network contradicts with confidence" if n else "as given again"
        proposal = revision(predicted, masks, reason)
        return proposal if self.replace else replace(proposal, left_out=flagged)

    def _errors(
        self, given: NDArray[Any], probs: FloatArray, counted: BoolArray, thresholds: FloatArray | None
    ) -> BoolArray:
        if self.backend == "cleanlab":
            return cleanlab_errors(given, probs, counted)
        of_case = mean_self_confidence(given, probs, counted)
        limits = of_case if thresholds is None else np.where(np.isnan(thresholds), of_case, thresholds)
        return label_errors(given, probs, limits) & counted
