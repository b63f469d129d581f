"""Soft Dice plus cross-entropy, for exclusive and for overlapping classes, with ignored pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmend.errors import GeometryError

_SMOOTH_VOX = 1.0
"""Added to numerator and denominator of soft Dice: one pixel, so that an absent class costs nothing."""


def dice_ce_loss(logits: Tensor, target: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Mean cross-entropy plus one minus mean soft Dice, over valid pixels only.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1] (overlapping: sigmoid and binary cross-entropy), or
            `(b *space)` integers in 0..k (exclusive: softmax and cross-entropy).
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.

    Returns:
        A scalar; zero, with zero gradient, when no pixel is valid.

    Raises:
        GeometryError: shapes of logits and target do not belong together.

    >>> round(float(dice_ce_loss(torch.full((1, 1, 2), 50.0), torch.ones(1, 1, 2))), 6)
    0.0

    Paper: Milletari et al., "V-Net", 3DV 2016 (soft Dice). Soft Dice is taken per case and class, foreground
        classes only; cross-entropy weighs every valid pixel alike.
    """
    overlapping = target.ndim == logits.ndim
    space = logits.shape[2:]
    expected = logits.shape if overlapping else (logits.shape[0], *space)
    if tuple(target.shape) != tuple(expected):
        raise GeometryError(
            f"logits {tuple(logits.shape)} expect a target {tuple(expected)}, got {tuple(target.shape)}"
        )
    mask = (
        torch.ones((logits.shape[0], *space), device=logits.device)
        if valid is None
        else valid.to(logits.dtype)
    )
    if overlapping:
        truth = target.to(logits.dtype)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=1)
        probs = logits.sigmoid()
    else:
        truth = F.one_hot(target.long(), logits.shape[1]).movedim(-1, 1).to(logits.dtype)[:, 1:]
        entropy = F.cross_entropy(logits, target.long(), reduction="none")
        probs = logits.softmax(dim=1)[:, 1:]
    cross_entropy = (entropy * mask).sum() / mask.sum().clamp(min=1)
    return cross_entropy + soft_dice_loss(probs, truth, mask)


def soft_dice_loss(probs: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """One minus soft Dice, mean over cases and classes.

    Args:
        probs: `(b k *space)` probabilities.
        truth: `(b k *space)` floats in {0, 1}.
        mask: `(b *space)` floats, 0 where pixels are to be ignored.
    """
    space = tuple(range(2, probs.ndim))
    weight = mask.unsqueeze(1)
    overlap = (probs * truth * weight).sum(space)
    total = ((probs + truth) * weight).sum(space)
    return 1 - ((2 * overlap + _SMOOTH_VOX) / (total + _SMOOTH_VOX)).mean()
