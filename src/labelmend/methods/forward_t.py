"""Forward correction: how often each class is written down as each other, put between network and labels.

If class i is given as class j with probability T[i, j], whatever the picture, then a network p of the true
classes says of the given ones p T. Trained so that p T fits the given labels, p itself comes out clean.

Wrong outlines are not of that kind: errors gather at boundaries, while T is one number for all pixels of a
class. T does fit labels that are missing or confused wherever they lie. With `bands_mm` there is a T for each
band of distance from the boundary instead. This is a baseline; know its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.methods.base import (
    Batch,
    Facts,
    Method,
    Needs,
    Nets,
    State,
    flat_tasks,
    masks_of,
    revision,
    tasks,
)
from labelmend.transition.bands import band_index, check_edges, class_distance
from labelmend.transition.counts import (
    LOGIT_BINS,
    anchor_counts,
    expected_joint,
    sound_rows,
    transition_from_anchors,
    updated_transition,
)
from labelmend.transition.seen_in_bands import (
    SeenInBands,
    bands_of_probs,
    seen_in_bands,
    transition_of_bands,
)
from labelmend.types import FloatArray, Grid, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

ESTIMATING, CORRECTED, DONE = 0, 1, 2
"""What a round is for, by its number; later rounds train plainly on what was handed back."""


def transition_from_clean(cases: Iterable[Predicted]) -> FloatArray | None:
    """Transition matrix of each task: mean predictions over the clean pixels of a class; None without any.

    Paper: Hendrycks et al., "Using Trusted Data to Train Deep Networks on Labels Corrupted by Severe Noise",
        NeurIPS 2018. What the network blurs of itself is counted as an error of the labels, too.
    """
    total: Any = None
    for case in cases:
        counted = ~case.given.ignored()
        of_case = [
            np.stack([probs[:, counted & (given == index)].sum(axis=1) for index in range(len(probs))])
            for given, probs in tasks(case.given, case.probs)
        ]
        total = np.stack(of_case).astype(float) + (0 if total is None else total)
    return None if total is None else sound_rows(total)


def relabelled(
    given: NDArray[Any], probs: FloatArray, transition: FloatArray, bands: NDArray[Any] | None = None
) -> NDArray[Any]:
    """The likeliest true class of every pixel, knowing picture and label: argmax of p_i T[i, given].

    Args:
        given: `(*space)` integers in 0..C-1.
        probs: `(C *space)` probabilities of the true classes.
        transition: `(C C)`, rows are true classes; `(n_bands C C)` with bands.
        bands: `(*space)` numbers of bands; None: one matrix for all.

    >>> rare, usual = np.array([[1.0, 0.0], [0.01, 0.99]]), np.array([[1.0, 0.0], [0.3, 0.7]])
    >>> probs = np.array([[0.2], [0.8]])
    >>> relabelled(np.array([0]), probs, rare), relabelled(np.array([0]), probs, usual)
    (array([0]), array([1]))
    """
    likely = transition[:, given] if bands is None else np.moveaxis(transition[bands, :, given], -1, 0)
    return (probs * likely).argmax(axis=0)


def predicted_bands(
    logits: Tensor, edges_mm: Sequence[float], spacing_mm: Sequence[Sequence[float]], *, overlapping: bool
) -> Tensor:
    """The band of each pixel of a batch, by its distance from the boundary that its own logits predict.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` for exclusive ones.
        edges_mm: of the bands.
        spacing_mm: of each case; empty: 1 mm.
        overlapping: whether each class has a boundary of its own.

    Returns:
        `(b k *space)` or `(b *space)` integers, as the target of a loss.
    """
    import torch

    answers = logits > 0 if overlapping else logits.argmax(dim=1, keepdim=True)
    n_classes = 2 if overlapping else logits.shape[1]
    spacings: Sequence[Any] = spacing_mm or [None] * len(logits)
    found = [
        [band_index(class_distance(labels, n_classes, spacing), edges_mm) for labels in case]
        for case, spacing in zip(answers.int().cpu().numpy(), spacings, strict=True)
    ]
    bands = torch.as_tensor(np.array(found), device=logits.device)
    return bands if overlapping else bands[:, 0]


@dataclass(frozen=True)
class ForwardT(Method):
    """Train, estimate the transition matrix, train anew with the forward correction, relabel by Bayes' rule.

    The first round hands back the labels as they are. After the second, each pixel gets its likeliest true
    class, knowing both the picture and the given label. Later rounds, if asked for, train plainly on that.

    Args:
        anchor_share: share of the pixels predicted as a class, the surest first, that are taken to be of that
            class for certain when the matrix is estimated, in (0, 1]. Not used with clean cases: the mean
            prediction over the clean pixels of a class is its row then.
        revision: share by which the matrix moves, after every epoch in the second half of the corrected
            round, towards the one that explains the given labels best; 0 keeps it as estimated. The first
            round's epochs are counted for that, so after one borrowed from another run it stays, too. Not
            used with bands.
        bands_mm: edges of bands of distance from the predicted boundary in mm, rising, negative inside: each
            band has a matrix of its own, see `labelmend.transition.bands`. Without edges there is one matrix.
            Edges with a zero, as (-12, -4, -2, 0, 2, 4, 12), suit wrong outlines. Where several processes
            train, each takes its matrices from its share of the cases.

    Paper: Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: a Loss
        Correction Approach", CVPR 2017; revision: Xia et al., "Are Anchor Points Really Indispensable in
        Label-Noise Learning?", NeurIPS 2019; clean cases: Hendrycks et al., NeurIPS 2018.
    Differs: anchors are counted by their given labels, not read off the probabilities, which Dice makes too
        sure; and there are many of them (the paper takes the surest few per cent): the surest pixels lie
        deep inside, where nobody errs. T-revision learns a slack by gradient; ours is a damped step of
        expectation maximisation on the same likelihood. It comes late and slowly, since an untrained network
        would explain a rare class as errors of the background, and one that has learned the labels by heart
        explains them without any error: set it to 0 for long trainings. Dice is added, between p T and the
        given labels. Relabelling and bands are ours.
    """

    anchor_share: float = 0.5
    revision: float = 0.1
    bands_mm: tuple[float, ...] = ()

    needs: ClassVar[Needs] = Needs(clean="optional", rounds=2, counts=("anchors", "joint"))

    def __post_init__(self) -> None:
        if not 0 < self.anchor_share <= 1:
            raise ConfigError(f"anchor_share must be in (0, 1], got {self.anchor_share}")
        if not 0 <= self.revision <= 1:
            raise ConfigError(f"revision must be in [0, 1], got {self.revision}")
        check_edges(self.bands_mm)

    def init(self, facts: Facts) -> State:
        k = len(facts.classes)
        m, c = (k, 2) if facts.overlapping else (1, k + 1)
        state = {
            "classes": list(facts.classes),
            "stage": ESTIMATING,
            "epochs": 0,
            "transition": np.tile(np.eye(c), (m, 1, 1)),
            "anchors": np.zeros((m, c, LOGIT_BINS, c)),
            "joint": np.zeros((m, c, c)),
        }
        if self.bands_mm:
            state |= {"seed": facts.seed, "banded": np.zeros((m, len(self.bands_mm) + 1, c, c)) + np.eye(c)}
        return state

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        if state["stage"] == CORRECTED:
            logits = nets[0](batch.image)
            loss = self._corrected_loss(state, batch, logits)
            if self.revision and not self.bands_mm and 0 < state["epochs"] < 2 * (batch.epoch + 1):
                found = expected_joint(
                    *flat_tasks(logits, batch.target), batch.valid.flatten(), state["transition"]
                )
                state = state | {"joint": state["joint"] + found}
            return loss, logits, state
        loss, logits, state = super().step(state, batch, nets)
        if state["stage"] == ESTIMATING:
            found = anchor_counts(*flat_tasks(logits, batch.target), batch.valid.flatten())
            state = state | {"anchors": state["anchors"] + found}
        return loss, logits, state

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        if state["stage"] == ESTIMATING:
            matrix = transition_from_anchors(state["anchors"], self.anchor_share)
            emptied = {"anchors": np.zeros_like(state["anchors"]), "epochs": epoch + 1}
        elif state["stage"] == CORRECTED:
            matrix = updated_transition(state["transition"], state["joint"], self.revision)
            emptied = {"joint": np.zeros_like(state["joint"])}
        else:
            return state, False
        return state | {"transition": matrix} | emptied, False

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        if state["stage"] == ESTIMATING:
            return self._estimated(state, cases, clean), iter(())
        if state["stage"] == DONE:
            return state, iter(())
        proposals = (self._revised(predicted, state) for predicted in cases)
        return state | {"stage": DONE}, (revised for revised in proposals if revised is not None)

    def findings(self, state: State) -> list[dict[str, Any]]:
        names, matrix = state["classes"], state["transition"]
        rows = []
        for index, name in enumerate(names):
            apart = len(matrix) == len(names)
            task, own = (matrix[index], 1) if apart else (matrix[0], index + 1)
            rows.append(
                {
                    "class": name,
                    "transition": task[own].tolist(),
                    "why": f"{task[own, own]:.1%} of its pixels are given as such",
                }
            )
            if self.bands_mm:
                banded = state["banded"][index if apart else 0]
                rows[-1] |= {"bands_mm": list(self.bands_mm), "banded": banded[:, own].tolist()}
                rows[-1]["why"] += "; by distance from the boundary " + _in_words(
                    self.bands_mm, banded[:, own, own]
                )
        return rows

    def _estimated(self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]) -> State:
        """The state with the matrix that the corrected round begins with, and with one for each band."""
        matrix = transition_from_clean(clean)
        borrowed = matrix is None and not state["epochs"]  # the round was another run's
        anchors, seen = state["anchors"], []
        for index, case in enumerate(cases if borrowed or self.bands_mm else ()):
            anchors = anchors + anchors_of(case) if borrowed else anchors
            if self.bands_mm:
                seen.append(self._seen(case, np.random.default_rng([state["seed"], index])))
        if borrowed:
            matrix = transition_from_anchors(anchors, self.anchor_share)
        state = state | {"stage": CORRECTED, "transition": state["transition"] if matrix is None else matrix}
        if self.bands_mm:
            rng = np.random.default_rng(state["seed"])
            state["banded"] = transition_of_bands(seen, state["transition"], self.bands_mm, rng)
        return state

    def _corrected_loss(self, state: State, batch: Batch, logits: Tensor) -> Tensor:
        """The corrected loss of a batch; with bands, each pixel has the matrix of its own."""
        from labelmend.losses.forward_ce import corrected_loss

        if not self.bands_mm:
            return corrected_loss(logits, batch.target, batch.valid, state["transition"])
        overlapping = batch.target.ndim == logits.ndim
        bands = predicted_bands(logits, self.bands_mm, batch.spacing_mm, overlapping=overlapping)
        return corrected_loss(logits, batch.target, batch.valid, state["banded"], bands)

    def _seen(self, case: Predicted, rng: np.random.Generator) -> SeenInBands:
        return seen_in_bands(
            tasks(case.given, case.probs),
            ~case.given.ignored(),
            edges_mm=self.bands_mm,
            spacing_mm=case.given.grid.spacing_mm,
            features=case.features,
            rng=rng,
        )

    def _bands(self, probs: FloatArray, grid: Grid) -> NDArray[Any] | None:
        return bands_of_probs(probs, self.bands_mm, grid.spacing_mm) if self.bands_mm else None

    def _revised(self, predicted: Predicted, state: State) -> Revision | None:
        """The given labels by Bayes' rule; None where nothing changes."""
        labels = predicted.given
        pairs = tasks(labels, predicted.probs)
        matrices = state["banded"] if self.bands_mm else state["transition"]
        bands = [self._bands(probs, labels.grid) for _, probs in pairs]
        answers = [relabelled(*pair, matrix, band) for pair, matrix, band in zip(pairs, matrices, bands)]
        masks = masks_of(answers, len(labels.classes), overlapping=labels.overlapping)
        masks = np.where(labels.ignored(), labels.masks(), masks)
        if np.array_equal(masks, labels.masks()):
            return None
        return revision(predicted, masks, "likeliest true class, knowing picture, label and how labels err")


def anchors_of(case: Predicted) -> FloatArray:
    """`anchor_counts` of a whole case."""
    import torch

    counted = torch.as_tensor(~case.given.ignored()).flatten()
    found = []
    for given, probs in tasks(case.given, case.probs):
        shares = np.arange(len(probs))[:, None] == given.reshape(1, -1)
        pair = (
            torch.as_tensor(probs.reshape(len(probs), -1)),
            torch.as_tensor(shares.astype(np.float32)),
        )
        found.append(anchor_counts(pair[0][None], pair[1][None], counted)[0])
    return np.stack(found)


def _in_words(edges_mm: Sequence[float], shares: FloatArray) -> str:
    """A share for each band, as "99% below -2 mm, 60% to 2 mm, 3% beyond"."""
    places = [f"to {edge:g} mm" for edge in edges_mm[1:]]
    return ", ".join(
        f"{share:.0%} {place}"
        for share, place in zip(shares, [f"below {edges_mm[0]:g} mm", *places, "beyond"])
    )
