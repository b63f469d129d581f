"""Cross-entropy, the parent of most losses here: minus the logarithm of the label's probability."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from labelmend.losses.base import Loss, Reduction, check, class_mean, reduce_pixels


def cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-log p of the label; for overlapping classes binary cross-entropy, mean over classes.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid.

    Raises:
        GeometryError: shapes do not belong together.

    >>> import torch
    >>> round(float(cross_entropy_loss(torch.zeros(1, 4, 2, 2), torch.ones(1, 2, 2))), 4)
    1.3863

    Paper: none; maximum likelihood.
    """
    checked = check(logits, target, valid, weight)
    if checked.overlapping:
        binary = F.binary_cross_entropy_with_logits(checked.logits, checked.target, reduction="none")
        costs = class_mean(binary, checked.weight)
    else:
        costs = F.cross_entropy(checked.logits, checked.target, reduction="none")
    return reduce_pixels(costs, checked, reduction)


class CrossEntropyLoss(Loss):
    """`cross_entropy_loss` with its settings, see there."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return cross_entropy_loss(logits, target, valid=valid, weight=self.weight, reduction=self.reduction)
