"""Cross-entropy with a confidence regulariser, and the sieve that tells surely wrong labels (CORES2).

    loss     CE(y) - beta * sum_k prior_k CE(k)              CE(k) = -log p_k, y the given label
    sieve    keep y  where  CE(y) <= mean_k CE(k),           which is: logit of y >= mean of the logits

The second term rewards being sure, of whatever class; a label is then worth less than what the network has
made up its mind about. In the sieve beta, prior and the normaliser of the softmax all cancel. With two
classes it keeps a label where the prediction agrees with it, no more and no less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.base import Checked, Loss, Reduction, check, class_mean, label_costs, reduce_pixels
from labelmend.types import FloatArray

EPS = 1e-8
"""Added to the probabilities in the regulariser, as in the released code: its terms end at 18.4 each."""

Rule = Literal["mean_logit", "argmax", "margin"]
Prior = Literal["uniform"] | Tensor


def confidence_regularised_loss(
    logits: Tensor,
    target: Tensor,
    *,
    beta: float,
    prior: Prior = "uniform",
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    eps: float = EPS,
) -> Tensor:
    """Cross-entropy of the given label less `beta` times the mean cross-entropy of all labels.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones; `(n K)` for class labels.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers.
        beta: weight of the regulariser, 0 or more; 0 is plain cross-entropy.
        prior: weights of the classes in it: "uniform", or `(C)` or `(b C)` shares that sum to 1, one a
            channel; for overlapping classes the share of pixels in each class. See `largest_beta` before you
            pass frequencies.
        valid: `(b *space)` booleans, False where the label is to be ignored or has been sieved out.
        weight: `(C)` class weights.
        reduction: "mean" over valid pixels, "sum", or "none": `(b *space)`, zero where not valid.
        eps: keeps the loss from falling for ever; 0 takes the exact logarithm, and the loss has no minimum.

    Raises:
        GeometryError: shapes do not belong together. ConfigError: unknown reduction or prior.

    Paper: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021.
    Differs: the prior is uniform; the paper's is the frequency of the given labels. Overlapping classes are a
        problem of two classes each.
    """
    checked = check(logits, target, valid, weight)
    costs = label_costs(checked, torch.neg)
    if beta != 0:
        costs = costs - beta * _mean_cost(checked, prior, eps)
    return reduce_pixels(costs, checked, reduction)


class ConfidenceRegularisedLoss(Loss):
    """`confidence_regularised_loss` as a module. Set `beta` anew each epoch, by a `PiecewiseLinear` schedule.

    Args:
        beta: weight of the regulariser, 0 or more.
        prior: "uniform", or shares of the classes that sum to 1, one a channel.
        eps: see `confidence_regularised_loss`.
        weight: `(C)` class weights.
        reduction: "mean", "sum" or "none".

    Raises:
        ConfigError: a setting cannot be used; in `forward`, if `beta` is more than the prior allows, see
            `largest_beta`.
    """

    prior: Tensor | None

    def __init__(
        self,
        *,
        beta: float = 2.0,
        prior: Literal["uniform"] | Sequence[float] | Tensor = "uniform",
        eps: float = EPS,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        if not 0 <= eps < 1:
            raise ConfigError(f"eps must be in [0, 1), got {eps}")
        shares = None if isinstance(prior, str) else torch.as_tensor(prior, dtype=torch.float)
        if isinstance(prior, str) and prior != "uniform":
            raise ConfigError(f'prior must be "uniform" or shares of the classes, got {prior!r}')
        self.register_buffer("prior", shares)
        self.beta, self.eps = beta, eps
        # Known beforehand, so that no step has to wait for a device.
        self._limits = {
            overlapping: math.inf if shares is None else largest_beta(shares.numpy(), overlapping=overlapping)
            for overlapping in (False, True)
        }

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """The loss of logits `(b C *space)` and a target, over pixels where `valid` is True."""
        check_beta(self.beta, self._limits[target.ndim == logits.ndim])
        return confidence_regularised_loss(
            logits,
            target,
            beta=self.beta,
            prior="uniform" if self.prior is None else self.prior,
            valid=valid,
            weight=self.weight,
            reduction=self.reduction,
            eps=self.eps,
        )


def sieve_metric(
    logits: Tensor,
    target: Tensor,
    *,
    among: Tensor | None = None,
    valid: Tensor | None = None,
    eps: float = 0.0,
) -> Tensor:
    """CE(y) less the mean CE of all labels: a label is kept where this is at most 0.

    Args:
        logits: `(b C *space)`, or `(n K)`; any shift of all classes alike changes nothing.
        target: `(b C *space)` floats in [0, 1] (overlapping) or `(b *space)` integers (exclusive).
        among: `(C)` or `(b C)` booleans, the classes over which the mean is taken; None: all. Exclusive only.
        valid: `(b *space)` booleans; labels that are not valid may have any value.
        eps: added to the probabilities of the mean alone, as in the released code (1e-8): stricter than the
            rule where logits lie 15 or more apart. Exclusive only.

    Returns:
        values of the shape of `target`, 0 where not valid. For overlapping classes it is (1/2 - y) times the
        logit, so that a share of one half always stays.

    >>> sieve_metric(torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([2]))
    tensor([2.])
    """
    checked = check(logits, target, valid, None)
    x, target = checked.logits, checked.target
    if checked.overlapping:
        return (0.5 - target) * x * checked.mask.unsqueeze(1)
    own = x.gather(1, target.unsqueeze(1)).squeeze(1)
    if eps > 0:
        x = _clipped(x.log_softmax(dim=1), eps)
        own = checked.logits.log_softmax(dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
    if among is None:
        return (x.mean(dim=1) - own) * checked.mask
    share = _per_class(among, x)
    return ((x * share).sum(dim=1) / share.sum(dim=1).clamp(min=1) - own) * checked.mask


def sieve_mask(
    logits: Tensor,
    target: Tensor,
    *,
    rule: Rule = "mean_logit",
    margin: float = 0.0,
    among: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Which labels are kept; a label of a class that is more likely than a draw always is.

    Args:
        logits: `(b C *space)`, or `(n K)`.
        target: `(b C *space)` floats in [0, 1] (overlapping) or `(b *space)` integers (exclusive).
        rule: "mean_logit": the logit of the label is at least the mean, the paper's rule. "argmax": the label
            is the prediction; finds more wrong labels, and more that are right. "margin": the logit of the
            label is at most `margin` under the largest.
        margin: in units of the logits, 0 or more.
        among: `(C)` or `(b C)` booleans, the classes over which the mean is taken.
        valid: `(b *space)` booleans.

    Returns:
        booleans of the shape of `target`, False where not valid.

    Raises:
        ConfigError: unknown rule, or margin negative.

    >>> sieve_mask(torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([1]))
    tensor([True])
    >>> sieve_mask(torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([1]), rule="argmax")
    tensor([False])
    """
    if rule not in ("mean_logit", "argmax", "margin") or not margin >= 0:
        raise ConfigError(
            f'the rule of a sieve is "mean_logit", "argmax" or "margin", with a margin >= 0; got {rule!r}, '
            f"{margin}"
        )
    checked = check(logits, target, valid, None)
    allowed = checked.mask.bool()
    if rule == "mean_logit":
        kept = sieve_metric(logits, target, among=among, valid=valid) <= 0
    elif checked.overlapping:
        kept = torch.sign(0.5 - checked.target) * checked.logits <= (margin if rule == "margin" else 0.0)
    else:
        own = checked.logits.gather(1, checked.target.unsqueeze(1)).squeeze(1)
        kept = checked.logits.amax(dim=1) - own <= (margin if rule == "margin" else 0.0)
    return kept & (allowed.unsqueeze(1) if checked.overlapping else allowed)


def beta_window(transition: ArrayLike, prior: ArrayLike) -> tuple[float, float]:
    """The betas with which the noisy loss has the minimiser of the clean one, from low to high.

    Under `low` labels that are wrong keep a share of the prediction. Over `high` the rarer class wins, even
    where the label is right. If low > high no beta will do; a uniform prior has no upper end.

    Args:
        transition: `(k k)`, or `(m k k)` one for each of m kinds of pictures; row i holds the probabilities
            of the labels given to a case of class i, and the true one is the likeliest.
        prior: `(k)` shares of the classes in the regulariser.

    >>> low, high = beta_window([[0.99, 0.01], [0.2, 0.8]], [0.9505, 0.0495])
    >>> round(low, 3), round(high, 3)
    (0.21, 1.088)

    Paper: Cheng et al., ICLR 2021.
    """
    matrices, shares = np.asarray(transition, float), np.asarray(prior, float)
    k = len(shares)
    if matrices.shape[-2:] != (k, k) or matrices.ndim not in (2, 3):
        raise GeometryError(f"{k} shares expect transitions of {k} classes, got shape {matrices.shape}")
    matrices = matrices.reshape(-1, k, k)
    wrong = ~np.eye(k, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(matrices > 0, matrices / shares, 0.0)
        low = float(needed[:, wrong].max(initial=0.0))
        lead = np.diagonal(matrices, axis1=1, axis2=2)[:, :, None] - matrices
        more = shares[:, None] - shares[None, :]
        allowed = np.where(more > 0, lead / more, np.inf)
    return low, float(allowed.min(initial=np.inf))


def largest_beta(prior: ArrayLike, *, overlapping: bool = False) -> float:
    """The least beta at which the rarer class wins even if all labels are right; infinite if none is rarer.

    It is the upper end of `beta_window` without noise; noise brings it down. Frequencies of 95 % and 5 % give
    1.1: with the usual 2, foreground is the best answer for every pixel of the background. A network that has
    been warmed up with cross-entropy does not go there at once; the pixels it is unsure of do.

    Args:
        prior: `(C)` or `(b C)` shares of the classes.
        overlapping: each share is that of a problem of two classes.

    >>> round(largest_beta([0.95, 0.05]), 2)
    1.11
    """
    shares = np.asarray(prior, float)
    if shares.size == 0 or not ((shares >= 0) & (shares <= 1)).all():
        raise ConfigError(f"a prior holds the shares of the classes, each in [0, 1], got {prior!r}")
    spread = np.abs(1 - 2 * shares).max() if overlapping else np.ptp(shares, axis=-1).max()
    return 1 / float(spread) if spread > 0 else math.inf


def check_beta(beta: float, limit: float) -> None:
    """Raise a ConfigError if `beta` is negative, or at or over `limit`, the `largest_beta` of a prior."""
    if not 0 <= beta < math.inf:
        raise ConfigError(f"beta must be a number >= 0, got {beta}")
    if beta >= limit:
        raise ConfigError(
            f"beta {beta:g} with these class frequencies makes the rarest class the best answer whatever the "
            f"label: take a uniform prior, or a beta under {limit:.3g}"
        )


def refreshed_prior(counts: ArrayLike, removed: ArrayLike) -> FloatArray:
    """Shares of the classes among the labels that were kept, as the released code has it.

    Args:
        counts: `(k)` labels of each class as given.
        removed: `(k)` labels of each class that the last epoch sieved out; not those of earlier epochs too.

    >>> refreshed_prior([6, 4], [2, 2])
    array([0.66666667, 0.33333333])
    """
    left = np.asarray(counts, float) - np.asarray(removed, float)
    if (left < 0).any() or left.sum() <= 0:
        raise ConfigError(f"more labels removed than there are, or all: {counts!r} less {removed!r}")
    return left / left.sum()


@dataclass(frozen=True)
class PiecewiseLinear:
    """A schedule: straight lines between points, level before the first and after the last.

    Args:
        points: (epoch, value), by rising epoch.

    >>> beta = PiecewiseLinear(((10, 0.0), (39, 2.0)))
    >>> beta(0), beta(39), round(beta(31), 3)
    (0.0, 2.0, 1.448)
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        epochs = [epoch for epoch, _ in self.points]
        if not epochs or any(b <= a for a, b in pairwise(epochs)):
            raise ConfigError(f"a schedule needs points of rising epoch, got {self.points}")

    def __call__(self, epoch: float) -> float:
        """The value at an epoch."""
        return float(np.interp(epoch, [x for x, _ in self.points], [y for _, y in self.points]))


def _mean_cost(checked: Checked, prior: Prior, eps: float) -> Tensor:
    """`(b *space)`: sum over the labels k of prior_k CE(k)."""
    x = checked.logits
    if isinstance(prior, str) and prior != "uniform":
        raise ConfigError(f'prior must be "uniform" or a tensor of shares, got {prior!r}')
    share = None if isinstance(prior, str) else _per_class(prior, x)
    if checked.overlapping:
        half = 0.5 if share is None else share
        log_in = _clipped(torch.nn.functional.logsigmoid(x), eps)
        log_out = _clipped(torch.nn.functional.logsigmoid(-x), eps)
        return class_mean(-half * log_in - (1 - half) * log_out, checked.weight)
    costs = -_clipped(x.log_softmax(dim=1), eps)
    return costs.mean(dim=1) if share is None else (costs * share).sum(dim=1)


def _clipped(log_probs: Tensor, eps: float) -> Tensor:
    """log(p + eps), from log p."""
    if eps == 0:
        return log_probs
    return torch.logaddexp(log_probs, log_probs.new_tensor(math.log(eps)))


def _per_class(values: Tensor, logits: Tensor) -> Tensor:
    """`(C)` or `(b C)` values as a factor of logits `(b C *space)`."""
    if values.shape not in (logits.shape[1:2], logits.shape[:2]):
        raise GeometryError(
            f"logits {tuple(logits.shape)} expect one value per class, or per case and class, "
            f"got {tuple(values.shape)}"
        )
    rows = values.to(logits).reshape(-1, logits.shape[1])
    return rows.reshape(*rows.shape, *[1] * (logits.ndim - 2))
