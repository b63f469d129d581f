"""Symmetric cross-entropy: cross-entropy learns, and its reverse, which labels cannot fool, holds it back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from labelmend.errors import ConfigError
from labelmend.losses.base import Loss, Reduction, check, label_costs, reduce_pixels

LOG_ZERO = -4.0
"""What stands for the logarithm of a label's 0 in reverse cross-entropy; the paper's A."""


def sce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    alpha: float = 1.0,
    beta: float = 1.0,
    log_zero: float = LOG_ZERO,
) -> Tensor:
    """-alpha log p - beta A (1 - p), p the probability of the label, A what stands for log 0.

    Reverse cross-entropy is -sum_c p_c log y_c. Labels y are 0 or 1: log 1 = 0 leaves A (1 - p).

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid.
        alpha: weight of cross-entropy, 0 or more.
        beta: weight of reverse cross-entropy, 0 or more.
        log_zero: A, negative.

    Raises:
        ConfigError: alpha or beta is negative, or both are 0, or A is not negative.
        GeometryError: shapes do not belong together.

    >>> import torch
    >>> float(sce_loss(torch.zeros(1, 4, 2, 2), torch.ones(1, 2, 2), alpha=0))
    3.0

    Paper: Wang, Ma, Chen, Luo, Yi, Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy Labels",
        ICCV 2019; there alpha 0.1 and beta 1 (CIFAR-10) or alpha 6 and beta 0.1 (CIFAR-100).
    Differs: overlapping classes are a binary problem each; a share t of a pixel is a label that is 1 with
        probability t, so that log t is never taken. Released code writes 1e-4 for a label's 0, which makes
        A = -9.2; here A is the paper's -4.
    """
    check_sce(alpha, beta, log_zero)
    checked = check(logits, target, valid, weight)

    def cost(log_p: Tensor) -> Tensor:
        return -alpha * log_p + beta * log_zero * log_p.expm1()

    return reduce_pixels(label_costs(checked, cost), checked, reduction)


def check_sce(alpha: float, beta: float, log_zero: float = LOG_ZERO) -> None:
    """Raise a ConfigError unless alpha and beta are numbers from 0 up, not both 0, and A is negative."""
    if not (math.isfinite(alpha) and math.isfinite(beta) and min(alpha, beta) >= 0 and alpha + beta > 0):
        raise ConfigError(f"alpha and beta must be >= 0 and not both 0, got {alpha} and {beta}")
    if not (math.isfinite(log_zero) and log_zero < 0):
        raise ConfigError(f"log_zero must be negative, got {log_zero}")


class SCELoss(Loss):
    """`sce_loss` with its settings, see there."""

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        alpha: float = 1.0,
        beta: float = 1.0,
        log_zero: float = LOG_ZERO,
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        check_sce(alpha, beta, log_zero)
        self.alpha, self.beta, self.log_zero = alpha, beta, log_zero

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return sce_loss(
            logits,
            target,
            valid=valid,
            weight=self.weight,
            reduction=self.reduction,
            alpha=self.alpha,
            beta=self.beta,
            log_zero=self.log_zero,
        )
