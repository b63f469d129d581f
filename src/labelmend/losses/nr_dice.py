"""Noise-robust Dice: between soft Dice, which counts far-off pixels most, and MAE, which counts all alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from labelmend.errors import ConfigError
from labelmend.losses.base import (
    Loss,
    Reduction,
    check,
    class_mean,
    foreground,
    foreground_weight,
    reduce_cases,
)
from labelmend.losses.dice_ce import SMOOTH_VOX


def nr_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    gamma: float = 1.5,
) -> Tensor:
    """sum |p - g|^gamma / (sum p^2 + sum g^2 + 1), per case and foreground class, over valid pixels only.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats g in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits; that of the background is not used.
        reduction: "mean" over cases, "sum", or "none": `(b)`, one value a case.
        gamma: in [1, 2]: 2 is one minus soft Dice with squares below, 1 the absolute error by the same size.

    Raises:
        ConfigError: gamma is outside [1, 2].
        GeometryError: shapes do not belong together.

    >>> import torch
    >>> float(nr_dice_loss(torch.full((1, 1, 9), -60.0), torch.ones(1, 1, 9)))
    0.8999999761581421

    Paper: Wang, Liu, Li, Xu, Ruan, Zhu, Meng, Li, Huang, Zhang, "A Noise-Robust Framework for Automatic
        Segmentation of COVID-19 Pneumonia Lesions from CT Images", IEEE TMI 2020 (COPLE-Net).
    Differs: one pixel instead of 1e-5 below: where a class is absent, p^gamma / p^2 would grow without bound
        as p goes to 0. Released code writes p + g below, not the squares of the paper.
    """
    check_gamma(gamma)
    checked = check(logits, target, valid, weight)
    probs, truth = foreground(checked)
    inside, space = checked.mask.unsqueeze(1), tuple(range(2, probs.ndim))
    missed = ((probs - truth).abs().pow(gamma) * inside).sum(space)
    size = ((probs.square() + truth.square()) * inside).sum(space)
    return reduce_cases(class_mean(missed / (size + SMOOTH_VOX), foreground_weight(checked)), reduction)


def check_gamma(gamma: float) -> None:
    """Raise a ConfigError if gamma is outside [1, 2]."""
    if not (math.isfinite(gamma) and 1 <= gamma <= 2):
        raise ConfigError(f"gamma must lie in [1, 2] (1 is MAE, 2 is Dice), got {gamma}")


class NRDiceLoss(Loss):
    """`nr_dice_loss` with its settings, see there."""

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        gamma: float = 1.5,
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        check_gamma(gamma)
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return nr_dice_loss(
            logits, target, valid=valid, weight=self.weight, reduction=self.reduction, gamma=self.gamma
        )
