"""What all losses share: which shapes belong together, ignored pixels, class weights, and how to sum up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError

Reduction = Literal["mean", "sum", "none"]


@dataclass(frozen=True, eq=False)
class Checked:
    """Logits and targets whose shapes belong together, in at least single precision.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k, 0 where not valid.
        mask: `(b *space)` floats, 1 where the label counts and 0 where it is to be ignored.
        weight: `(C)` class weights, one a channel of the logits, or None.
        overlapping: True where a pixel may belong to several classes.
    """

    logits: Tensor
    target: Tensor
    mask: Tensor
    weight: Tensor | None
    overlapping: bool


def check(logits: Tensor, target: Tensor, valid: Tensor | None, weight: Tensor | None) -> Checked:
    """The arguments of a loss, checked, the classes being overlapping if target and logits are alike.

    Raises:
        GeometryError: shapes do not belong together.
    """
    logits = logits if logits.dtype == torch.double else logits.float()  # half precision cannot sum a mask
    overlapping = target.ndim == logits.ndim
    pixels = (logits.shape[0], *logits.shape[2:])
    expected = tuple(logits.shape) if overlapping else pixels
    if tuple(target.shape) != expected:
        raise GeometryError(
            f"logits {tuple(logits.shape)} expect a target {expected}, got {tuple(target.shape)}"
        )
    if valid is not None and tuple(valid.shape) != pixels:
        raise GeometryError(
            f"logits {tuple(logits.shape)} expect valid to be {pixels}, got {tuple(valid.shape)}"
        )
    if weight is not None and tuple(weight.shape) != (logits.shape[1],):
        raise GeometryError(f"one weight a channel, {logits.shape[1]}, expected, got {tuple(weight.shape)}")
    mask = torch.ones(pixels, device=logits.device) if valid is None else valid
    target = target.to(logits.dtype) if overlapping else target.long()
    if not overlapping and valid is not None:
        target = torch.where(valid.bool(), target, 0)  # an ignored label may have any value
    weight = None if weight is None else weight.to(logits)
    return Checked(logits, target, mask.to(logits.dtype), weight, overlapping)


def label_costs(checked: Checked, cost: Callable[[Tensor], Tensor]) -> Tensor:
    """`(b *space)`: what each pixel costs, where the cost of a label depends on its log-probability alone.

    Overlapping classes are binary problems each, and the mean over them counts. A share t of a pixel is t
    times the cost of the label 1 and 1 - t times that of 0.

    Args:
        checked: logits and targets.
        cost: from log-probabilities of the labels to costs, element by element.
    """
    x, target = checked.logits, checked.target
    if checked.overlapping:
        costs = target * cost(F.logsigmoid(x)) + (1 - target) * cost(F.logsigmoid(-x))
        return class_mean(costs, checked.weight)
    return cost(x.log_softmax(dim=1).gather(1, target.unsqueeze(1)).squeeze(1))


def foreground(checked: Checked) -> tuple[Tensor, Tensor]:
    """Probabilities and targets of the foreground classes, both `(b k *space)`."""
    if checked.overlapping:
        return checked.logits.sigmoid(), checked.target
    truth = F.one_hot(checked.target, checked.logits.shape[1]).movedim(-1, 1).to(checked.logits.dtype)
    return checked.logits.softmax(dim=1)[:, 1:], truth[:, 1:]


def foreground_weight(checked: Checked) -> Tensor | None:
    """`(k)` weights of the foreground classes, or None."""
    return checked.weight if checked.weight is None or checked.overlapping else checked.weight[1:]


def class_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the classes, the second axis, weighted if there are weights."""
    if weight is None:
        return values.mean(dim=1)
    weights = weight.reshape(-1, *[1] * (values.ndim - 2))
    return (values * weights).sum(dim=1) / _not_zero(weight.sum())


def reduce_pixels(costs: Tensor, checked: Checked, reduction: Reduction) -> Tensor:
    """Costs of the valid pixels, summed up.

    Args:
        costs: `(b *space)` costs.
        checked: what they were made from.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid. For
            exclusive classes a pixel has the weight of its label, and the mean is the weighted one.
    """
    weights = checked.mask
    if checked.weight is not None and not checked.overlapping:
        weights = weights * checked.weight[checked.target]
    if check_reduction(reduction) == "none":
        return costs * weights
    total = (costs * weights).sum()
    return total if reduction == "sum" else total / _not_zero(weights.sum())


def reduce_cases(costs: Tensor, reduction: Reduction) -> Tensor:
    """Costs of the cases, `(b)`, summed up: "mean" over cases, "sum", or "none"."""
    if check_reduction(reduction) == "none":
        return costs
    return costs.sum() if reduction == "sum" else costs.mean()


def check_reduction(reduction: Reduction) -> Reduction:
    """The reduction, if it is one.

    Raises:
        ConfigError: it is none of "mean", "sum" and "none".
    """
    if reduction not in ("mean", "sum", "none"):
        raise ConfigError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
    return reduction


class Loss(nn.Module):
    """A loss that holds class weights and the reduction; call it with logits, target and valid.

    Args:
        weight: `(C)` class weights, one a channel of the logits, not negative; None: all alike.
        reduction: "mean", "sum" or "none".

    Raises:
        ConfigError: a weight is negative or not finite, all are zero, or the reduction is unknown.
    """

    weight: Tensor | None

    def __init__(
        self, *, weight: Tensor | Sequence[float] | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        weights = None if weight is None else torch.as_tensor(weight, dtype=torch.float)
        if weights is not None and not (
            weights.ndim == 1 and weights.isfinite().all() and (weights >= 0).all() and weights.any()
        ):
            raise ConfigError(f"class weights must be a list of numbers >= 0, not all 0, got {weight}")
        self.register_buffer("weight", weights)
        self.reduction: Reduction = check_reduction(reduction)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """The loss of logits `(b C *space)` and a target, over pixels where `valid` is True."""
        raise NotImplementedError


def _not_zero(total: Tensor) -> Tensor:
    """The divisor of a mean; 1 where nothing counts, so that the mean is 0."""
    return torch.where(total > 0, total, torch.ones_like(total))
