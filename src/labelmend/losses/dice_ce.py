"""Soft Dice, alone and with cross-entropy, for exclusive and for overlapping classes, with ignored pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from labelmend.losses.base import (
    Loss,
    Reduction,
    check,
    class_mean,
    foreground,
    foreground_weight,
    reduce_cases,
)
from labelmend.losses.cross_entropy import cross_entropy_loss

SMOOTH_VOX = 1.0
"""Added to numerator and denominator of soft Dice: one pixel, so that an absent class costs nothing."""


def dice_ce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean cross-entropy plus one minus mean soft Dice, over valid pixels only.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1] (overlapping: sigmoid and binary cross-entropy), or
            `(b *space)` integers in 0..k (exclusive: softmax and cross-entropy).
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits.
        reduction: "mean": cross-entropy over all valid pixels, Dice over cases; "none": `(b)`, each case by
            itself; "sum" of those.

    Returns:
        By default a scalar; zero, with zero gradient, when no pixel is valid.

    Raises:
        GeometryError: shapes do not belong together.

    >>> round(float(dice_ce_loss(torch.full((1, 1, 2), 50.0), torch.ones(1, 1, 2))), 6)
    0.0

    Paper: Milletari et al., "V-Net", 3DV 2016 (soft Dice). Soft Dice is taken per case and class, foreground
        classes only; cross-entropy weighs every valid pixel alike.
    """
    dice = dice_loss(logits, target, valid=valid, weight=weight, reduction=reduction)
    if reduction == "mean":
        return cross_entropy_loss(logits, target, valid=valid, weight=weight) + dice
    entropies = [
        cross_entropy_loss(
            logits[i : i + 1],
            target[i : i + 1],
            valid=None if valid is None else valid[i : i + 1],
            weight=weight,
        )
        for i in range(len(logits))
    ]
    return reduce_cases(torch.stack(entropies), reduction) + dice


def dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """One minus soft Dice of the foreground classes, over valid pixels only.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits; that of the background is not used.
        reduction: "mean" over cases, "sum", or "none": `(b)`, one value a case.

    Raises:
        GeometryError: shapes do not belong together.

    Paper: Milletari et al., "V-Net", 3DV 2016.
    Differs: the denominator is not squared, and one pixel is added above and below.
    """
    checked = check(logits, target, valid, weight)
    probs, truth = foreground(checked)
    return soft_dice_loss(probs, truth, checked.mask, weight=foreground_weight(checked), reduction=reduction)


def soft_dice_loss(
    probs: Tensor,
    truth: Tensor,
    mask: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """One minus soft Dice, mean over cases and classes.

    Args:
        probs: `(b k *space)` probabilities.
        truth: `(b k *space)` floats in [0, 1].
        mask: `(b *space)` floats, 0 where pixels are to be ignored.
        weight: `(k)` class weights.
        reduction: "mean" over cases, "sum", or "none": `(b)`, one value a case.
    """
    space = tuple(range(2, probs.ndim))
    inside = mask.unsqueeze(1)
    overlap = (probs * truth * inside).sum(space)
    total = ((probs + truth) * inside).sum(space)
    dice = (2 * overlap + SMOOTH_VOX) / (total + SMOOTH_VOX)
    return reduce_cases(1 - class_mean(dice, weight), reduction)


class DiceLoss(Loss):
    """`dice_loss` with its settings, see there."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return dice_loss(logits, target, valid=valid, weight=self.weight, reduction=self.reduction)


class DiceCELoss(Loss):
    """`dice_ce_loss` with its settings, see there."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return dice_ce_loss(logits, target, valid=valid, weight=self.weight, reduction=self.reduction)
