"""Generalised cross-entropy: between cross-entropy, which learns fast, and MAE, which labels cannot fool."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from labelmend.errors import ConfigError
from labelmend.losses.base import Loss, Reduction, check, label_costs, reduce_pixels


def gce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    q: float = 0.7,
) -> Tensor:
    """(1 - p^q) / q, p the probability of the label: a pixel pulls p^q times as much as in cross-entropy.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid.
        q: in [0, 1]: 0 is cross-entropy, 1 the mean absolute error 1 - p.

    Raises:
        ConfigError: q is outside [0, 1].
        GeometryError: shapes do not belong together.

    >>> import torch
    >>> float(gce_loss(torch.zeros(1, 4, 2, 2), torch.ones(1, 2, 2), q=0.5))
    1.0

    Paper: Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
        Labels", NeurIPS 2018.
    Differs: overlapping classes are a binary problem each; the truncated loss is not here.
    """
    check_q(q)
    checked = check(logits, target, valid, weight)

    def cost(log_p: Tensor) -> Tensor:
        return -torch.expm1(q * log_p) / q if q > 0 else -log_p

    # The power is taken pixel by pixel: the power of a mean would be another loss, and a less robust one.
    return reduce_pixels(label_costs(checked, cost), checked, reduction)


def check_q(q: float) -> None:
    """Raise a ConfigError if q is outside [0, 1]."""
    if not (math.isfinite(q) and 0 <= q <= 1):
        raise ConfigError(f"q must lie in [0, 1] (0 is cross-entropy, 1 is MAE), got {q}")


class GCELoss(Loss):
    """`gce_loss` with its settings, see there."""

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        q: float = 0.7,
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        check_q(q)
        self.q = q

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return gce_loss(logits, target, valid=valid, weight=self.weight, reduction=self.reduction, q=self.q)
