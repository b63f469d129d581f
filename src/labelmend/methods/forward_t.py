"""Forward correction: how often each class is written down as each other, put between network and labels.

If class i is given as class j with probability T[i, j], whatever the picture, then a network p of the true
classes says of the given ones p T. Trained so that p T fits the given labels, p itself comes out clean.

Wrong outlines are not of that kind: errors gather at boundaries, while T is one number for all pixels of a
class. T does fit labels that are missing or confused wherever they lie. This is a baseline; know its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from labelmend.types import FloatArray, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

LOGIT_BINS = 64
LOGIT_RANGE = (-4.0, 12.0)
"""Logits of the likeliest class, in quarter steps: the histogram from which anchors are taken."""

ESTIMATING, CORRECTED, DONE = 0, 1, 2
"""What a round is for, by its number; later rounds train plainly on what was handed back."""


def anchor_counts(probs: Tensor, given: Tensor, counted: Tensor) -> FloatArray:
    """Pixels by task, predicted class, how sure the network is of it, and given class.

    A pixel of the training grid whose labels differ counts by its shares: their mean is the matrix of the
    labels as given, on their own grid, whereas a majority would outvote single wrong pixels.

    Args:
        probs: `(m C n)` probabilities.
        given: `(m C n)` shares.
        counted: `(n)` booleans.

    Returns:
        `(m C LOGIT_BINS C)` counts.
    """
    import torch

    m, n_classes, _ = probs.shape
    top, predicted = probs.max(dim=1)
    low, high = LOGIT_RANGE
    step = (top.double().logit(eps=1e-9) - low) * (LOGIT_BINS / (high - low))
    place = torch.arange(m, device=probs.device)[:, None] * n_classes + predicted
    place = place * LOGIT_BINS + step.long().clamp(0, LOGIT_BINS - 1)
    cells, size = place[:, counted].flatten(), m * n_classes * LOGIT_BINS
    shares = given[:, :, counted].double().movedim(1, 0).flatten(1)
    counts = torch.stack([torch.bincount(cells, weights, minlength=size) for weights in shares], dim=-1)
    return counts.reshape(m, n_classes, LOGIT_BINS, n_classes).cpu().numpy()


def transition_from_anchors(counts: FloatArray, share: float) -> FloatArray:
    """Transition matrix of each task: what the surest pixels of a predicted class are given as.

    Args:
        counts: `(m C bins C)` of `anchor_counts`.
        share: share of the pixels predicted as a class that are its anchors, in (0, 1].

    Returns:
        `(m C C)`, rows are true classes and sum to 1. A class that is nowhere predicted, or that its own
        anchors mostly are not given as, has the row of the identity: nothing is known of it.
    """
    from_the_top = counts[:, :, ::-1].cumsum(axis=2)
    totals = from_the_top.sum(axis=-1)
    enough = (totals >= share * totals[..., -1:]).argmax(axis=2)
    anchors = np.take_along_axis(from_the_top, enough[..., None, None], axis=2)[:, :, 0]
    return _rows(anchors)


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
    return None if total is None else _rows(total)


def updated_transition(transition: FloatArray, joint: FloatArray, share: float) -> FloatArray:
    """The matrix moved by a share towards what the corrected network now makes of the given labels.

    Args:
        transition: `(m C C)`.
        joint: `(m C C)`, expected number of pixels of each true class given as each class.
        share: in [0, 1]; 1 is a full step of expectation maximisation.
    """
    known = joint.sum(axis=-1, keepdims=True) > 0
    return np.where(known, (1 - share) * transition + share * _rows(joint), transition)


def _rows(counts: FloatArray) -> FloatArray:
    """Rows that sum to 1; the identity's where there are none or where another class outweighs it."""
    identity = np.broadcast_to(np.eye(counts.shape[-1]), counts.shape)
    total = counts.sum(axis=-1, keepdims=True)
    rows = counts / np.maximum(total, 1e-12)
    own = np.diagonal(rows, axis1=-2, axis2=-1)
    sound = (total[..., 0] > 0) & (own >= rows.max(axis=-1))
    return np.where(sound[..., None], rows, identity)


def relabelled(given: NDArray, probs: FloatArray, transition: FloatArray) -> NDArray:
    """The likeliest true class of every pixel, knowing picture and label: argmax of p_i T[i, given].

    Args:
        given: `(*space)` integers in 0..C-1.
        probs: `(C *space)` probabilities of the true classes.
        transition: `(C C)`, rows are true classes.

    >>> rare, usual = np.array([[1.0, 0.0], [0.01, 0.99]]), np.array([[1.0, 0.0], [0.3, 0.7]])
    >>> probs = np.array([[0.2], [0.8]])
    >>> relabelled(np.array([0]), probs, rare), relabelled(np.array([0]), probs, usual)
    (array([0]), array([1]))
    """
    return (probs * transition[:, given]).argmax(axis=0)


def corrected_loss(logits: Tensor, target: Tensor, valid: Tensor, transition: FloatArray) -> Tensor:
    """Forward-corrected cross-entropy, plus soft Dice of what the network says of the given labels, p T.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` for exclusive ones.
        target: `(b k *space)` floats, or `(b *space)` integers.
        valid: `(b *space)` booleans.
        transition: `(m C C)`, m = k tasks of two labels, or one of k + 1.
    """
    import torch

    from labelmend.losses import soft_dice_loss
    from labelmend.losses.base import check, foreground
    from labelmend.losses.forward_ce import forward_ce_loss

    checked = check(logits, target, valid, None)
    matrix = torch.as_tensor(transition).to(checked.logits)
    probs, truth = foreground(checked)
    if checked.overlapping:
        present, extra = (matrix[:, i, 1].reshape(-1, *[1] * (logits.ndim - 2)) for i in (1, 0))
        given = probs * present + (1 - probs) * extra
    else:
        matrix = matrix[0]
        given = torch.einsum("bi...,ij->bj...", checked.logits.softmax(dim=1), matrix)[:, 1:]
    entropy = forward_ce_loss(checked.logits, target, transition=matrix, valid=valid)
    return entropy + soft_dice_loss(given, truth, checked.mask)


def expected_joint(probs: Tensor, given: Tensor, counted: Tensor, transition: FloatArray) -> FloatArray:
    """Expected number of pixels of each true class given as each class, knowing picture and label.

    Args:
        probs: `(m C n)` probabilities of the true classes.
        given: `(m C n)` shares.
        counted: `(n)` booleans.
        transition: `(m C C)`.
    """
    import torch

    matrix = torch.as_tensor(transition).to(probs)
    said = torch.einsum("min,mij->mjn", probs, matrix).clamp(min=1e-12)
    joint = matrix * torch.einsum("min,mjn->mij", probs, given * counted / said)
    return joint.double().cpu().numpy()


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
            round's epochs are counted for that, so after one borrowed from another run it stays, too.

    Paper: Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: a Loss
        Correction Approach", CVPR 2017; revision: Xia et al., "Are Anchor Points Really Indispensable in
        Label-Noise Learning?", NeurIPS 2019; clean cases: Hendrycks et al., NeurIPS 2018.
    Differs: anchors are counted by their given labels, not read off the probabilities, which Dice makes too
        sure; and there are many of them (the paper takes the surest few per cent): the surest pixels lie
        deep inside, where nobody errs. T-revision learns a slack by gradient; ours is a damped step of
        expectation maximisation on the same likelihood. It comes late and slowly, since an untrained network
        would explain a rare class as errors of the background, and one that has learned the labels by heart
        explains them without any error: set it to 0 for long trainings. Dice is added, between p T and the
        given labels. Relabelling is ours.
    """

    anchor_share: float = 0.5
    revision: float = 0.1

    needs: ClassVar[Needs] = Needs(clean="optional", rounds=2, counts=("anchors", "joint"))

    def __post_init__(self) -> None:
        if not 0 < self.anchor_share <= 1:
            raise ConfigError(f"anchor_share must be in (0, 1], got {self.anchor_share}")
        if not 0 <= self.revision <= 1:
            raise ConfigError(f"revision must be in [0, 1], got {self.revision}")

    def init(self, facts: Facts) -> State:
        k = len(facts.classes)
        m, c = (k, 2) if facts.overlapping else (1, k + 1)
        return {
            "classes": list(facts.classes),
            "stage": ESTIMATING,
            "epochs": 0,
            "transition": np.tile(np.eye(c), (m, 1, 1)),
            "anchors": np.zeros((m, c, LOGIT_BINS, c)),
            "joint": np.zeros((m, c, c)),
        }

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        if state["stage"] == CORRECTED:
            logits = nets[0](batch.image)
            loss = corrected_loss(logits, batch.target, batch.valid, state["transition"])
            if self.revision and 0 < state["epochs"] < 2 * (batch.epoch + 1):
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
            matrix = transition_from_clean(clean)
            if matrix is None and not state["epochs"]:  # the round was borrowed from another run
                matrix = transition_from_anchors(_anchors_of(cases, state["anchors"]), self.anchor_share)
            matrix = state["transition"] if matrix is None else matrix
            return state | {"stage": CORRECTED, "transition": matrix}, iter(())
        if state["stage"] == DONE:
            return state, iter(())
        proposals = (self._revised(predicted, state["transition"]) for predicted in cases)
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
        return rows

    def _revised(self, predicted: Predicted, transition: FloatArray) -> Revision | None:
        """The given labels by Bayes' rule; None where nothing changes."""
        labels = predicted.given
        pairs = tasks(labels, predicted.probs)
        answers = [relabelled(given, probs, matrix) for (given, probs), matrix in zip(pairs, transition)]
        masks = masks_of(answers, len(labels.classes), overlapping=labels.overlapping)
        masks = np.where(labels.ignored(), labels.masks(), masks)
        if np.array_equal(masks, labels.masks()):
            return None
        return revision(predicted, masks, "likeliest true class, knowing picture, label and how labels err")


def _anchors_of(cases: Iterable[Predicted], none: FloatArray) -> FloatArray:
    """`anchor_counts` over whole cases, added to none."""
    import torch

    total = none
    for case in cases:
        counted = torch.as_tensor(~case.given.ignored()).flatten()
        found = []
        for given, probs in tasks(case.given, case.probs):
            shares = np.arange(len(probs))[:, None] == given.reshape(1, -1)
            pair = (
                torch.as_tensor(probs.reshape(len(probs), -1)),
                torch.as_tensor(shares.astype(np.float32)),
            )
            found.append(anchor_counts(pair[0][None], pair[1][None], counted)[0])
        total = total + np.stack(found)
    return total
