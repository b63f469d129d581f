"""Train plainly once, look at how the labels are wrong, and go on with the method that is made for it.

Three symptoms decide, and all can be measured. Labels that are wrong deep inside most structures, where the
network is surest, and right outside of them: objects that nobody annotated, confused classes; they err alike
wherever they lie, so that a transition matrix describes them. A bias of the predicted outlines on trusted
cases: all annotators draw them too wide, or too tight, and the labels alone cannot tell. The first comes
first, since objects left out pull outlines inward, too; and it asks for most classes, since a thin structure
drawn too tight is left out in parts. Labels wrong inside and outside alike: single pixels, which average out
in the network; a bias on trusted cases is undone, and without one a loss that does not follow single pixels
serves best, T-Loss. It leaves the labels as they are, which `cores` would mend. Where nothing shows, errors
gather at outlines and differ from case to case: the labels are left alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.methods.base import Batch, Facts, Method, Needs, Nets, State
from labelmend.methods.forward_t import ForwardT
from labelmend.methods.robust_loss import RobustLoss
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

BIASED, WRONG_INSIDE, SPECKS, NEITHER = "spatial_correction", "forward_t", "robust_loss", "plain"
ROBUST = RobustLoss(loss="t_loss")


@dataclass(frozen=True)
class Auto(Method):
    """Choose Spatial Correction, forward correction, T-Loss or plain training by what is measured; say why.

    The first round is plain training. Where the choice is plain, it is the only one.

    Args:
        wrong_inside: share of a class's surest pixels that must be given as another class, in the median over
            classes, for the labels to count as wrong inside, in (0, 1); the same share of the surest pixels
            beside it, given as the class, for them to count as wrong outside. Not measured after a first
            round borrowed from another run.

    Paper: none; a rule over Yao et al., ICLR 2023, Patrini et al., CVPR 2017, and Gonzalez-Jimenez et al.,
        MICCAI 2023, whose methods it runs with their defaults.
    """

    wrong_inside: float = 0.05

    needs: ClassVar[Needs] = Needs(
        clean="optional", rounds=2, counts=ForwardT.needs.counts + RobustLoss.needs.counts
    )

    def __post_init__(self) -> None:
        if not 0 < self.wrong_inside < 1:
            raise ConfigError(f"wrong_inside must be in (0, 1), got {self.wrong_inside}")

    def init(self, facts: Facts) -> State:
        return ForwardT().init(facts) | ROBUST.init(facts) | {"chosen": ""}

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        return self._method(state).step(state, batch, nets)

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        return self._method(state).epoch_end(state, epoch)

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        if not state["chosen"]:
            return self._choose(state, cases, clean)
        # Trusted cases are for the bias; the matrix comes from the anchors of the first round.
        return self._method(state).revise(state, cases, clean if state["chosen"] == BIASED else ())

    def finished(self, state: State) -> bool:
        return state["chosen"] == NEITHER

    def findings(self, state: State) -> list[dict[str, Any]]:
        rows = SpatialCorrection().findings(state)
        if state["chosen"] != BIASED:
            inside = dict(zip(state["classes"], wrong_inside(state["transition"], len(state["classes"]))))
            biases = {row["class"]: f"; {row['why']}" for row in rows}
            rows = [
                {
                    "class": name,
                    "why": f"{share:.1%} of its surest pixels are given wrong{biases.get(name, '')}",
                }
                for name, share in inside.items()
            ]
        return [{**row, "why": f"{state['chosen']}: {row['why']}"} for row in rows]

    def lead_in(self, state: State) -> int:
        return self._method(state).lead_in(state)

    def held_back(self, state: State, classes: Collection[str]) -> State:
        return self._method(state).held_back(state, classes)

    def correction(self, state: State) -> dict[str, Any] | None:
        return self._method(state).correction(state)

    def correct_prediction(
        self,
        correction: Mapping[str, Any],
        probs: FloatArray,
        *,
        overlapping: bool,
        spacing_mm: Sequence[float],
    ) -> BoolArray:
        settings: dict[str, Any] = {"overlapping": overlapping, "spacing_mm": spacing_mm}
        return SpatialCorrection().correct_prediction(correction, probs, **settings)

    def _choose(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        """The first symptom that shows, and what its method makes of the labels."""
        inside, outside = (
            np.median(wrong(state["transition"], len(state["classes"]))) > self.wrong_inside
            for wrong in (wrong_inside, wrong_outside)
        )
        if inside and not outside:
            state, revisions = ForwardT().revise(state, cases, ())
            return state | {"chosen": WRONG_INSIDE}, revisions
        trusted = iter(clean)
        first = next(trusted, None)
        if first is not None:
            state, revisions = SpatialCorrection().revise(state, cases, itertools.chain([first], trusted))
            if any(row["moved"] for row in state["bias"]):
                return state | {"chosen": BIASED}, revisions
        return state | {"chosen": SPECKS if inside else NEITHER}, iter(())

    def _method(self, state: State) -> Method:
        """Who trains: before the choice forward correction, whose first round is plain and counts anchors."""
        others = {BIASED: SpatialCorrection(), SPECKS: ROBUST, NEITHER: Method()}
        return others.get(state["chosen"], ForwardT())


def wrong_inside(transition: FloatArray, n_classes: int) -> list[float]:
    """Per foreground class, the share of its surest pixels that are given as something else.

    Args:
        transition: `(k 2 2)` for overlapping classes, `(1 k+1 k+1)` for exclusive ones, rows are true
            classes; a row of the identity where nothing is known.
        n_classes: k.

    >>> wrong_inside(np.array([[[0.9, 0.1], [0.3, 0.7]]]), 1)
    [0.3]
    """
    apart = len(transition) == n_classes and transition.shape[-1] == 2
    kept = transition[:, 1, 1] if apart else np.diagonal(transition[0])[1:]
    return (1 - kept).round(12).tolist()


def wrong_outside(transition: FloatArray, n_classes: int) -> list[float]:
    """Per foreground class, the share of the surest pixels beside it that are given as it.

    Args:
        transition: see `wrong_inside`.
        n_classes: k.

    >>> wrong_outside(np.array([[[0.9, 0.1], [0.3, 0.7]]]), 1)
    [0.1]
    """
    apart = len(transition) == n_classes and transition.shape[-1] == 2
    return (transition[:, 0, 1] if apart else transition[0, 0, 1:]).round(12).tolist()
