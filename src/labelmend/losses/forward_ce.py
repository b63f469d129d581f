"""Forward-corrected cross-entropy: the network says what is true, the loss what would be annotated then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.base import Checked, Loss, Reduction, check, class_mean, foreground, reduce_pixels
from labelmend.losses.dice_ce import soft_dice_loss


def forward_ce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    transition: Tensor,
    bands: Tensor | None = None,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-log sum_i p_i T_ij for a label j: cross-entropy of the annotation that p would lead to.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        transition: T, `(k+1 k+1)` for exclusive classes, `(k 2 2)` for overlapping ones (absent, present):
            probability that i, the row, is annotated as j, the column. Rows sum to 1. With bands there is
            one more axis in front, one matrix or k matrices a band.
        bands: which of them holds for each pixel, integers of the shape of the target; None: one for all.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid.

    Raises:
        GeometryError: shapes do not belong together.

    >>> swapped = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> sure = torch.tensor([50.0, -50.0]).reshape(1, 2, 1)  # background, in a world where all is swapped
    >>> float(forward_ce_loss(sure, torch.ones(1, 1), transition=swapped))
    0.0

    Paper: Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: A Loss
        Correction Approach", CVPR 2017.
    Differs: overlapping classes are a binary problem each. A label that no class can lead to costs 87,
        whatever is predicted, and not infinity.
    """
    checked = check(logits, target, valid, weight)
    c = checked.logits.shape[1]
    expected = (c, 2, 2) if checked.overlapping else (c, c)
    if tuple(transition.shape[0 if bands is None else 1 :]) != expected:
        front = "" if bands is None else " and bands in front of it"
        raise GeometryError(f"a transition matrix {expected}{front} expected, got {tuple(transition.shape)}")
    if bands is not None and bands.shape != target.shape:
        raise GeometryError(f"bands of shape {tuple(target.shape)} expected, got {tuple(bands.shape)}")
    log_t = _log_transition(transition.to(checked.logits))
    costs = _binary(checked, log_t, bands) if checked.overlapping else _exclusive(checked, log_t, bands)
    return reduce_pixels(costs, checked, reduction)


def corrected_loss(
    logits: Tensor, target: Tensor, valid: Tensor, transition: ArrayLike, bands: Tensor | None = None
) -> Tensor:
    """Forward-corrected cross-entropy, plus soft Dice of what the network says of the given labels, p T.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` for exclusive ones.
        target: `(b k *space)` floats, or `(b *space)` integers.
        valid: `(b *space)` booleans.
        transition: `(m C C)`, m = k tasks of two labels, or one of k + 1; `(m n_bands C C)` with bands.
        bands: numbers of bands in the shape of the target; None: one matrix for all.
    """
    checked = check(logits, target, valid, None)
    matrix = torch.as_tensor(transition).to(checked.logits)
    probs, truth = foreground(checked)
    if checked.overlapping:
        matrix = matrix if bands is None else matrix.movedim(0, 1)
        by_pixel = pair_transition(matrix, logits.ndim - 2, bands)
        given = probs * by_pixel[1, 1] + (1 - probs) * by_pixel[0, 1]
    else:
        matrix = matrix[0]
        softmax = checked.logits.softmax(dim=1)
        if bands is None:
            given = torch.einsum("bi...,ij->bj...", softmax, matrix)[:, 1:]
        else:
            given = (softmax.unsqueeze(2) * matrix[bands].movedim((-2, -1), (1, 2))).sum(dim=1)[:, 1:]
    entropy = forward_ce_loss(checked.logits, target, transition=matrix, bands=bands, valid=valid)
    return entropy + soft_dice_loss(given, truth, checked.mask)


def _exclusive(checked: Checked, log_t: Tensor, bands: Tensor | None) -> Tensor:
    """`(b *space)` costs of integer labels: the row of the label in T transposed, added in logarithms."""
    rows = log_t.mT[checked.target] if bands is None else log_t.mT[bands, checked.target]
    to_label = rows.movedim(-1, 1)
    return -torch.logsumexp(checked.logits.log_softmax(dim=1) + to_label, dim=1)


def _binary(checked: Checked, log_t: Tensor, bands: Tensor | None) -> Tensor:
    """`(b *space)` costs of k binary problems, mean over classes."""
    log_p = torch.stack([F.logsigmoid(-checked.logits), F.logsigmoid(checked.logits)])
    by_pixel = pair_transition(log_t, checked.logits.ndim - 2, bands)
    absent, present = (torch.logsumexp(log_p + by_pixel[:, j], dim=0) for j in (0, 1))
    costs = -checked.target * present - (1 - checked.target) * absent
    return class_mean(costs, checked.weight)


def pair_transition(transition: Tensor, ndim: int, bands: Tensor | None = None) -> Tensor:
    """The matrices of overlapping classes beside their pixels: `(2 2 b k *space)`, true before given.

    Args:
        transition: `(k 2 2)`, or `(n_bands k 2 2)` with bands.
        ndim: dimensions of space.
        bands: `(b k *space)` integers; None: b and space are 1.
    """
    if bands is None:
        return transition.permute(1, 2, 0).reshape(2, 2, 1, -1, *[1] * ndim)
    classes = torch.arange(bands.shape[1], device=bands.device).reshape(-1, *[1] * ndim)
    return transition[bands, classes].movedim((-2, -1), (0, 1))


def _log_transition(transition: Tensor) -> Tensor:
    """Logarithms of T; a column of zeros, a label that never comes, is tiny instead, to stay finite."""
    never = ~(transition > 0).any(dim=-2, keepdim=True)
    return torch.where(never, torch.finfo(torch.float).tiny, transition).log()


def check_transition(transition: ArrayLike) -> Tensor:
    """A transition matrix, or one a class, as a tensor.

    Raises:
        ConfigError: it is not square, holds something other than probabilities, or a row does not sum to 1.

    >>> check_transition([[0.9, 0.1], [0.2, 0.9]])
    Traceback (most recent call last):
    labelmend.errors.ConfigError: rows of a transition matrix must sum to 1, got [1.0, 1.1]
    """
    given = np.asarray(transition, float)
    if given.ndim < 2 or given.shape[-1] != given.shape[-2]:
        raise ConfigError(f"a transition matrix must be square, got shape {given.shape}")
    if not ((given >= 0) & (given <= 1)).all():
        raise ConfigError(f"a transition matrix holds probabilities, got {given.tolist()}")
    sums = given.sum(axis=-1)
    if not np.allclose(sums, 1, atol=1e-4):
        raise ConfigError(f"rows of a transition matrix must sum to 1, got {sums.round(6).tolist()}")
    return torch.as_tensor(given, dtype=torch.float)


class ForwardCELoss(Loss):
    """`forward_ce_loss` with its settings, see there; the matrix is checked once."""

    transition: Tensor

    def __init__(
        self,
        transition: ArrayLike,
        *,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        self.register_buffer("transition", check_transition(transition))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return forward_ce_loss(
            logits,
            target,
            transition=self.transition,
            valid=valid,
            weight=self.weight,
            reduction=self.reduction,
        )
