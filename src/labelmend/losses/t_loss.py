"""T-Loss: the errors of a whole mask are one draw from a Student t distribution, whose tail is learned.

With D valid pixels and r = sum (p - g)^2, the negative log-likelihood is

    log Gamma(nu/2) - log Gamma((nu+D)/2) + D/2 log(pi nu) + (nu+D)/2 log(1 + r/nu)

Its gradient is that of r/2 times (nu + D) / (nu + r): masks that fit badly pull less, all pixels of a mask
alike. For nu to infinity the factor is 1, and the loss tends to r/2 + D/2 log(2 pi), since
Gamma((nu+D)/2) / Gamma(nu/2) tends to (nu/2)^(D/2). Where all errors are small the best nu is about 2 r / D,
and the loss there nearly D/2 log r: each mask counts by the logarithm of its error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

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


def t_loss(
    logits: Tensor,
    target: Tensor,
    *,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    nu: float | Tensor = 1.0,
) -> Tensor:
    """Negative log-likelihood of a mask under a Student t of unit scale, by pixel; mean over classes.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` with background first for exclusive
            ones.
        target: `(b k *space)` floats in [0, 1], or `(b *space)` integers in 0..k.
        valid: `(b *space)` booleans, False where the label is to be ignored; None means everywhere.
        weight: `(C)` class weights, one a channel of the logits; that of the background is not used.
        reduction: "mean" over cases, "sum", or "none": `(b)`, one value a case.
        nu: degrees of freedom, above 0; a tensor gets a gradient.

    Returns:
        By default a scalar; a case without a valid pixel costs zero.

    Raises:
        ConfigError: nu is not a positive number.
        GeometryError: shapes do not belong together.

    >>> wrong = torch.full((1, 1, 1), 100.0), torch.zeros(1, 1, 1)  # one pixel: log(pi (1 + 1^2)), a Cauchy
    >>> round(float(t_loss(*wrong)), 4)
    1.8379

    Paper: Gonzalez-Jimenez, Lionetti, Gottfrois, Gröger, Pouly, Navarini, "Robust T-Loss for Medical Image
        Segmentation", MICCAI 2023.
    Differs: divided by the number of valid pixels, so that its size is that of other losses; released code
        multiplies squared errors by e, a scale other than the unit scale of the paper. Several classes are
        several masks.
    """
    checked = check(logits, target, valid, weight)
    probs, truth = foreground(checked)
    inside, space = checked.mask.unsqueeze(1), tuple(range(2, probs.ndim))
    squares = ((probs - truth).square() * inside).sum(space)
    values = student_nll(squares, inside.sum(space), _positive(nu)).to(squares.dtype)
    return reduce_cases(class_mean(values, foreground_weight(checked)), reduction)


def student_nll(squares: Tensor, n_vox: Tensor, nu: float | Tensor) -> Tensor:
    """The negative log-likelihood by pixel, from sums of squared errors; zero where there is no pixel.

    Args:
        squares: r, any shape.
        n_vox: D, of a shape that belongs to it.
        nu: degrees of freedom, above 0.
    """
    # Logarithms of the gamma function at D/2 are large and nearly cancel.
    wide = torch.float if squares.device.type == "mps" else torch.double
    r, n = squares.to(wide), n_vox.to(wide)
    nu = torch.as_tensor(nu, dtype=wide, device=squares.device)
    constant = torch.lgamma(nu / 2) - torch.lgamma((nu + n) / 2) + n / 2 * math.log(math.pi)
    nll = constant + n / 2 * torch.log(nu + r) + nu / 2 * torch.log1p(r / nu)
    return nll / n.clamp(min=1)


def _positive(nu: float | Tensor) -> float | Tensor:
    """Nu, if it is above 0; a tensor is believed, since looking would wait for the device."""
    if not isinstance(nu, Tensor) and not (math.isfinite(nu) and nu > 0):
        raise ConfigError(f"nu must be a number above 0, got {nu}")
    return nu


class TLoss(Loss):
    """`t_loss` with its settings, see there; nu is a parameter, to be given to the optimiser too.

    Args:
        weight: class weights.
        reduction: "mean", "sum" or "none".
        nu: where nu starts.

    Learned is log nu, `log_nu`, so that nu stays above 0.
    """

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        nu: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        self.log_nu = nn.Parameter(torch.tensor(math.log(float(_positive(nu)))))

    @property
    def nu(self) -> float:
        """The degrees of freedom by now."""
        return float(self.log_nu.detach().exp())

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return t_loss(
            logits,
            target,
            valid=valid,
            weight=self.weight,
            reduction=self.reduction,
            nu=self.log_nu.exp(),
        )
