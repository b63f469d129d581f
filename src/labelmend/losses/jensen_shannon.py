"""Predictions of one image that should agree: Jensen-Shannon divergence, with the gate of ADELE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.base import Reduction, check_reduction


def jensen_shannon_loss(
    logits: Sequence[Tensor],
    *,
    overlapping: bool = False,
    valid: Tensor | None = None,
    shares: Sequence[float] | None = None,
    reduction: Reduction = "mean",
    rho: float = 0.0,
    floor: float = 0.0,
) -> Tensor:
    """How far S predictions of the same pixels lie apart: sum_s w_s KL(p_s || q) with q = sum_s w_s p_s.

    Zero where all agree, at most ln S, and bounded by the entropy of the shares w. Gradients flow through all
    predictions and through q. Overlapping classes are binary problems each, and the mean over them counts.

    Args:
        logits: S tensors `(b C *space)`, the same image predicted in S ways, already on one grid.
        overlapping: True takes sigmoid probabilities, False softmax.
        valid: `(b *space)` booleans, False where pixels are left out; None means everywhere.
        shares: w, S positive numbers that are scaled to sum 1; None: all alike.
        reduction: "mean" over valid pixels, those behind a closed gate among them as zeros; "sum"; or "none":
            `(b *space)`.
        rho: images whose most certain mean prediction stays under this cost nothing, see `confidence_gate`;
            0 lets all through.
        floor: q is kept in [floor, 1 - floor] without being scaled to sum 1 again, as the released code does
            with 0.001. The result may then be negative.

    Raises:
        GeometryError: shapes do not belong together. ConfigError: a setting cannot be used.

    >>> sure, opposite = torch.tensor([[[60.0]]]), torch.tensor([[[-60.0]]])
    >>> round(float(jensen_shannon_loss([sure, opposite], overlapping=True)), 4)  # ln 2
    0.6931

    Paper: Liu, Liu, Zhu, Shen, Fernandez-Granda, "Adaptive Early-Learning Correction for Segmentation from
        Noisy Annotations", CVPR 2022.
    Differs: the released code sums over the predictions instead of taking their mean (three times this, for
        three scales of equal weight), and averages over ignored pixels too; for VOC its weights are learnt.
    """
    if not (0 <= rho <= 1 and 0 <= floor < 0.5):
        raise ConfigError(f"rho in [0, 1] and floor in [0, 0.5) expected, got {rho} and {floor}")
    weights = _shares(len(logits), shares)
    mask = _mask(logits, valid)
    logs = torch.stack([_log_probs(z, overlapping) for z in logits])
    mean = _log_mean(logs, weights)
    if floor:
        mean = mean.clamp(math.log(floor), math.log1p(-floor))
    apart = (logs.exp() * (logs - mean)).sum(dim=3).mean(dim=2)
    costs = sum(w * d for w, d in zip(weights, apart, strict=True)) * mask
    if rho:
        gate = confidence_gate(logits, overlapping=overlapping, valid=valid, rho=rho, shares=shares)
        costs = costs * gate.reshape(-1, *[1] * (mask.ndim - 1))
    if check_reduction(reduction) == "none":
        return costs
    return costs.sum() if reduction == "sum" else costs.sum() / mask.sum().clamp(min=1)


@torch.no_grad()
def confidence_gate(
    logits: Sequence[Tensor],
    *,
    overlapping: bool = False,
    valid: Tensor | None = None,
    rho: float = 0.8,
    shares: Sequence[float] | None = None,
) -> Tensor:
    """One number an image: 1 where the mean prediction is anywhere as sure as `rho`, else 0.

    It is no mask of pixels: a single sure pixel, of background too, opens it for the whole image, so that it
    is closed at the very start of a training only.

    Args:
        logits: S tensors `(b C *space)`, as for `jensen_shannon_loss`.
        overlapping: True takes sigmoid probabilities; the background of each class counts as well.
        valid: `(b *space)` booleans, pixels that may open the gate; None means all.
        rho: smallest probability that opens it.
        shares: weights of the S predictions in their mean.

    Returns:
        `(b)` floats, 0 or 1.
    """
    weights, mask = _shares(len(logits), shares), _mask(logits, valid)
    logs = torch.stack([_log_probs(z, overlapping) for z in logits])
    surest = _log_mean(logs, weights).exp().amax(dim=(1, 2)) * mask
    return (surest.flatten(1).amax(dim=1) >= rho).to(surest.dtype)


class JensenShannonLoss(nn.Module):
    """`jensen_shannon_loss` with its settings.

    Args:
        overlapping: True takes sigmoid probabilities, False softmax.
        shares: weights of the predictions; None: all alike.
        reduction: "mean", "sum" or "none".
        rho: of the gate; 0 lets all images through.
        floor: q is kept in [floor, 1 - floor].
    """

    def __init__(
        self,
        *,
        overlapping: bool = False,
        shares: Sequence[float] | None = None,
        reduction: Reduction = "mean",
        rho: float = 0.0,
        floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.overlapping, self.shares, self.rho, self.floor = overlapping, shares, rho, floor
        self.reduction: Reduction = check_reduction(reduction)

    def forward(self, logits: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """The loss of S logits `(b C *space)`, over pixels where `valid` is True."""
        return jensen_shannon_loss(
            logits,
            overlapping=self.overlapping,
            valid=valid,
            shares=self.shares,
            reduction=self.reduction,
            rho=self.rho,
            floor=self.floor,
        )


def _log_probs(logits: Tensor, overlapping: bool) -> Tensor:
    """`(b problems outcomes *space)`: one problem of C outcomes, or C problems of two."""
    logits = logits if logits.dtype == torch.double else logits.float()
    if overlapping:
        return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=2)
    return logits.log_softmax(dim=1).unsqueeze(1)


def _log_mean(logs: Tensor, shares: Sequence[float]) -> Tensor:
    """Logarithm of the mean over the first axis of probabilities that come as logarithms."""
    weights = logs.new_tensor(shares).log().reshape(-1, *[1] * (logs.ndim - 1))
    return (logs + weights).logsumexp(dim=0)


def _shares(n: int, shares: Sequence[float] | None) -> list[float]:
    given = [1.0] * n if shares is None else [float(w) for w in shares]
    if n == 0 or len(given) != n or not all(math.isfinite(w) and w > 0 for w in given):
        raise ConfigError(f"a positive share for each of {n} predictions expected, got {shares}")
    return [w / sum(given) for w in given]


def _mask(logits: Sequence[Tensor], valid: Tensor | None) -> Tensor:
    """`(b *space)` floats, 1 where a pixel counts."""
    shapes = {tuple(z.shape) for z in logits}
    if len(shapes) > 1:
        raise GeometryError(f"predictions of the same pixels expected, got shapes {sorted(shapes)}")
    pixels = (logits[0].shape[0], *logits[0].shape[2:])
    if valid is None:
        return torch.ones(pixels, device=logits[0].device)
    if tuple(valid.shape) != pixels:
        raise GeometryError(f"logits {shapes} expect valid to be {pixels}, got {tuple(valid.shape)}")
    return valid.to(torch.double if logits[0].dtype == torch.double else torch.float)
