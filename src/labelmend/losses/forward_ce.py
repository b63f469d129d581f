"""Forward-corrected cross-entropy: the network says what is true, the loss what would be annotated then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.base import Checked, Loss, Reduction, check, class_mean, reduce_pixels


def forward_ce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    transition: Tensor,
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
            probability that i, the row, is annotated as j, the column. Rows sum to 1.
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
    if tuple(transition.shape) != expected:
        raise GeometryError(f"a transition matrix {expected} expected, got {tuple(transition.shape)}")
    log_t = _log_transition(transition.to(checked.logits))
    costs = _binary(checked, log_t) if checked.overlapping else _exclusive(checked, log_t)
    return reduce_pixels(costs, checked, reduction)


def _exclusive(checked: Checked, log_t: Tensor) -> Tensor:
    """`(b *space)` costs of integer labels: the row of the label in T transposed, added in logarithms."""
    to_label = log_t.T[checked.target].movedim(-1, 1)
    return -torch.logsumexp(checked.logits.log_softmax(dim=1) + to_label, dim=1)


def _binary(checked: Checked, log_t: Tensor) -> Tensor:
    """`(b *space)` costs of k binary problems, mean over classes."""
    log_p = torch.stack([F.logsigmoid(-checked.logits), F.logsigmoid(checked.logits)])
    space = [1] * (checked.logits.ndim - 2)
    absent, present = (
        torch.logsumexp(log_p + log_t[:, :, j].T.reshape(2, 1, -1, *space), dim=0) for j in (0, 1)
    )
    costs = -checked.target * present - (1 - checked.target) * absent
    return class_mean(costs, checked.weight)


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
