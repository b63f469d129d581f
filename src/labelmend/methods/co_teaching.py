"""Co-teaching: two networks, each trained on the pixels that the other one finds easy.

Networks learn what is regular before they learn single errors by heart, so a label with a large loss is
likelier wrong. A network that picks its own pixels confirms its own mistakes; two that start differently
filter different ones.

In a segmentation two things differ from whole pictures. Pixels of a thin structure are few and hard: among
all pixels they would be the ones of large loss, and be forgotten as errors. So each class is sorted by
itself. And background is many times larger: a share of it is several times the structure, and a network that
marks far too much would see all its false alarms forgiven. So no more pixels are forgotten of the background
than of all structures together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.methods.base import Batch, Method, Needs, Nets, State, masks_of, revision, tasks
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor


def forget_rate_at(epoch: int, forget_rate: float, ramp_epochs: int) -> float:
    """Share forgotten in an epoch: rises from 0 to `forget_rate` over the first `ramp_epochs`.

    >>> [forget_rate_at(epoch, 0.2, 4) for epoch in (0, 1, 4, 9)]
    [0.0, 0.05, 0.2, 0.2]
    """
    return forget_rate * (min(epoch / ramp_epochs, 1.0) if ramp_epochs else 1.0)


def forget_counts(sizes: list[int], rate: float) -> list[int]:
    """How many pixels of each class are forgotten: a share of it, of background no more than of the rest.

    Args:
        sizes: pixels given as each class, background first.
        rate: the share.

    >>> forget_counts([9000, 200, 800], 0.1)
    [100, 20, 80]
    """
    foreground = sum(sizes[1:])
    return [int(rate * min(size, foreground)) for size in sizes]


def kept_pixels(losses: Tensor, given: Tensor, valid: Tensor, n_classes: int, rate: float) -> Tensor:
    """The valid pixels without those of largest loss, class by class.

    Args:
        losses: `(n)` floats, larger where the label is less believed.
        given: `(n)` integers in 0..n_classes-1.
        valid: `(n)` booleans.
        n_classes: with background.
        rate: share to forget, see `forget_counts`.

    Returns:
        `(n)` booleans. Pixels that tie with the last one kept are kept too.
    """
    of_class = [valid & (given == index) for index in range(n_classes)]
    sizes = [int(chosen.sum()) for chosen in of_class]
    kept = valid.clone()
    for chosen, size, n_forget in zip(of_class, sizes, forget_counts(sizes, rate), strict=True):
        if n_forget:
            limit = losses[chosen].kthvalue(size - n_forget).values
            kept &= ~(chosen & (losses > limit))
    return kept


def pixel_losses(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every pixel above the least it can be, and the label that the pixel counts as.

    A pixel half covered has an entropy of its own; without subtracting it every boundary would look wrong.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` for exclusive ones.
        target: `(b k *space)` floats, or `(b *space)` integers.

    Returns:
        `(m b *space)` floats and integers: m = k tasks of two labels, or one of k + 1.
    """
    import torch
    import torch.nn.functional as F

    values = logits.detach().float()
    if target.ndim != logits.ndim:
        return F.cross_entropy(values, target.long(), reduction="none")[None], target.long()[None]
    share = target.float()
    least = torch.special.entr(share) + torch.special.entr(1 - share)
    losses = F.binary_cross_entropy_with_logits(values, share, reduction="none") - least
    return losses.movedim(1, 0), (share > 0.5).long().movedim(1, 0)


def selection(logits: Tensor, batch: Batch, rate: float) -> Tensor:
    """`(m b *space)` booleans: the pixels of a batch, by task, that this network hands to the other one."""
    import torch

    losses, given = pixel_losses(logits, batch.target)
    n_classes = 2 if batch.target.ndim == logits.ndim else logits.shape[1]
    flat = batch.valid.flatten()
    kept = [kept_pixels(x.flatten(), y.flatten(), flat, n_classes, rate) for x, y in zip(losses, given)]
    return torch.stack(kept).reshape(losses.shape)


def selected_loss(logits: Tensor, target: Tensor, kept: Tensor) -> Tensor:
    """Dice-CE on the kept pixels, `(m b *space)` booleans; for overlapping classes the mean over them."""
    from labelmend.losses import dice_ce_loss

    if target.ndim != logits.ndim:
        return dice_ce_loss(logits, target, valid=kept[0])
    terms = [
        dice_ce_loss(logits[:, index : index + 1], target[:, index : index + 1], valid=mask)
        for index, mask in enumerate(kept)
    ]
    return sum(terms[1:], terms[0]) / len(terms)


def least_believed(given: NDArray[Any], probs: FloatArray, counted: BoolArray, rate: float) -> BoolArray:
    """Pixels predicted as another class, of those that `forget_counts` would forget in this one case.

    Args:
        given: `(*space)` integers in 0..C-1.
        probs: `(C *space)` probabilities.
        counted: `(*space)` booleans, pixels that count.
        rate: the share.
    """
    belief = np.take_along_axis(probs, given[None], axis=0)[0]
    of_class = [counted & (given == index) for index in range(len(probs))]
    sizes = [int(chosen.sum()) for chosen in of_class]
    found = np.zeros(given.shape, bool)
    for chosen, n_forget in zip(of_class, forget_counts(sizes, rate), strict=True):
        where = np.flatnonzero(chosen)
        found.flat[where[np.argsort(belief.flat[where], kind="stable")[:n_forget]]] = True
    return found & (probs.argmax(axis=0) != given)


@dataclass(frozen=True)
class CoTeaching(Method):
    """Train two networks on each other's small-loss pixels; relabel the least believed as predicted.

    The labels are revised by the first network alone, with the same share in every case: at most
    `forget_rate` of a structure is taken away from it, and no more than that is added.

    Args:
        forget_rate: share of each class whose labels are taken to be wrong, in [0, 1).
        ramp_epochs: epochs over which that share rises from 0; errors cannot be distinguished before.

    Paper: Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, "Co-teaching: Robust Training of Deep Neural Networks
        with Extremely Noisy Labels", NeurIPS 2018.
    Differs: pixels instead of pictures, picked class by class over the batch, and of background no more than
        of all structures together (the paper sorts a batch as a whole). Dice-CE on the kept pixels instead of
        cross-entropy, which misses thin structures. The paper ends with two networks; revising labels is
        ours.
    """

    forget_rate: float = 0.1
    ramp_epochs: int = 10

    needs: ClassVar[Needs] = Needs(networks=2, lead_in="ramp_epochs")

    def __post_init__(self) -> None:
        if not 0 <= self.forget_rate < 1:
            raise ConfigError(f"forget_rate must be in [0, 1), got {self.forget_rate}")
        if self.ramp_epochs < 0:
            raise ConfigError(f"ramp_epochs must not be negative, got {self.ramp_epochs}")

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        rate = forget_rate_at(batch.epoch, self.forget_rate, self.ramp_epochs)
        first, second = nets[0](batch.image), nets[1](batch.image)
        loss = selected_loss(first, batch.target, selection(second, batch, rate))
        loss = loss + selected_loss(second, batch.target, selection(first, batch, rate))
        return loss, first, state

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        proposals = (self._revised(predicted) for predicted in cases)
        return state, (revised for revised in proposals if revised is not None)

    def _revised(self, predicted: Predicted) -> Revision | None:
        """The current labels with the predicted class where least believed; None if that is nowhere."""
        labels, answers, n_changed = predicted.current, [], 0
        for given, probs in tasks(labels, predicted.probs):
            wrong = least_believed(given, probs, ~labels.ignored(), self.forget_rate)
            answers.append(np.where(wrong, probs.argmax(axis=0), given))
            n_changed += int(wrong.sum())
        if not n_changed:
            return None
        masks = masks_of(answers, len(labels.classes), overlapping=labels.overlapping)
        return revision(predicted, masks, f"{n_changed} labels of largest loss, predicted otherwise")
