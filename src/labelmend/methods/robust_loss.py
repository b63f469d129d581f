"""Robust losses: train once, with a loss that wrong labels pull less than cross-entropy lets them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from labelmend.errors import ConfigError
from labelmend.methods.base import Batch, Facts, Method, Needs, Nets, State

if TYPE_CHECKING:
    from torch import Tensor

Name = Literal["gce", "sce", "nr_dice", "t_loss", "ce", "dice_ce", "mae"]
NAMES: tuple[Name, ...] = ("gce", "sce", "nr_dice", "t_loss", "ce", "dice_ce", "mae")

BY_PIXEL: tuple[Name, ...] = ("gce", "sce", "t_loss", "mae")
"""Robust losses to which a thin structure is a few pixels among many: with them alone it is forgotten."""

DICE = 3.0
"""Weight of Dice with which all of these keep clavicles; with 1, T-Loss still loses them."""

NU_AT_START = 1.0
NU_LIMITS = (1e-6, 1e6)
"""Beyond these the loss no longer changes with nu: it is the logarithm of the squared error, or the error."""


@dataclass(frozen=True)
class RobustLoss(Method):
    """One training with a noise-robust loss on the given labels; no revision.

    Args:
        loss: "gce" (generalised cross-entropy), "sce" (symmetric cross-entropy), "nr_dice" (robust Dice),
            "t_loss" (Student t), "mae" (mean absolute error); for comparison "ce" and "dice_ce".
        q: for "gce", in [0, 1].
        alpha: for "sce", weight of cross-entropy.
        beta: for "sce", weight of reverse cross-entropy.
        gamma: for "nr_dice", in [1, 2].
        nu_rate: for "t_loss", the most by which log nu moves in a batch.
        dice: weight of plain soft Dice that is added to the loss; None: 3 for the robust losses that go by
            pixels ("gce", "sce", "mae", "t_loss"), 0 for the others.
        warm_up: epochs of Dice-CE before the loss takes over.

    Paper: Zhang, Sabuncu, NeurIPS 2018 (gce, mae); Wang et al., ICCV 2019 (sce); Wang et al., IEEE TMI 2020
        (nr_dice); Gonzalez-Jimenez et al., MICCAI 2023 (t_loss).
    Differs: no paper warms up or adds Dice. In the few hundred steps of a training on small data the losses
        that go by pixels give thin structures up, as plain cross-entropy does: a label thought unlikely pulls
        the less, the more robust the loss. Warm-up alone only delays it. Dice keeps them, and brings part of
        the trust in wrong labels back: compare with loss="ce" and the same `dice` and `warm_up` to see what
        the robust loss itself does. "nr_dice" needs no Dice, only the warm-up. Nu takes gradient steps of
        bounded length here, since the optimiser knows networks only; the paper leaves it to the optimiser.
        SCE weighs both terms 1.
    """

    loss: Name = "gce"
    q: float = 0.7
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.5
    nu_rate: float = 0.05
    dice: float | None = None
    warm_up: int = 10

    needs: ClassVar[Needs] = Needs(counts=("nu_moves",), lead_in="warm_up")

    def __post_init__(self) -> None:
        from labelmend.losses.gce import check_q
        from labelmend.losses.nr_dice import check_gamma
        from labelmend.losses.sce import check_sce

        if self.loss not in NAMES:
            raise ConfigError(f"loss must be one of {', '.join(NAMES)}, got {self.loss!r}")
        for name in ("nu_rate", "dice", "warm_up"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be a number from 0 up, got {value}")
        check_q(self.q)
        check_sce(self.alpha, self.beta)
        check_gamma(self.gamma)

    @property
    def dice_weight(self) -> float:
        """The weight of plain soft Dice that `dice` stands for."""
        if self.dice is None:
            return DICE if self.loss in BY_PIXEL else 0.0
        return self.dice

    def init(self, facts: Facts) -> State:
        return {"nu": NU_AT_START, "nu_at_epoch": NU_AT_START} if self.loss == "t_loss" else {}

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        from labelmend.losses import dice_ce_loss, dice_loss

        logits = nets[0](batch.image)
        if batch.epoch < self.warm_up:
            return dice_ce_loss(logits, batch.target, valid=batch.valid), logits, state
        if self.loss == "t_loss":
            loss, state = self._t_loss(state, batch, logits)
        else:
            loss = self._loss(batch, logits)
        if self.dice_weight:
            loss = loss + self.dice_weight * dice_loss(logits, batch.target, valid=batch.valid)
        return loss, logits, state

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        if "nu_moves" not in state:
            return state, False
        state = dict(state)
        moved, processes = state.pop("nu_moves")
        nu = float(state["nu_at_epoch"] * math.exp(moved / processes))
        return state | {"nu": nu, "nu_at_epoch": nu}, False

    def _loss(self, batch: Batch, logits: Tensor) -> Tensor:
        from labelmend import losses

        given: dict[str, Any] = {"logits": logits, "target": batch.target, "valid": batch.valid}
        match self.loss:
            case "gce":
                return losses.gce_loss(**given, q=self.q)
            case "mae":
                return losses.gce_loss(**given, q=1.0)
            case "sce":
                return losses.sce_loss(**given, alpha=self.alpha, beta=self.beta)
            case "nr_dice":
                return losses.nr_dice_loss(**given, gamma=self.gamma)
            case "ce":
                return losses.cross_entropy_loss(**given)
            case _:
                return losses.dice_ce_loss(**given)

    def _t_loss(self, state: State, batch: Batch, logits: Tensor) -> tuple[Tensor, State]:
        """T-Loss, and a state whose nu went one step down its gradient."""
        import torch

        from labelmend.losses import t_loss

        log_nu = torch.tensor(math.log(state["nu"]), dtype=torch.double, requires_grad=True)
        loss = t_loss(logits, batch.target, valid=batch.valid, nu=log_nu.exp())
        (slope,) = torch.autograd.grad(loss, log_nu, retain_graph=True)
        by_mask = float(slope * batch.valid.sum()) / len(batch.cases)
        low, high = NU_LIMITS
        nu = state["nu"] * math.exp(-self.nu_rate * by_mask / (1 + abs(by_mask)))
        nu = min(max(nu, low), high)
        moves = np.array([math.log(nu / state["nu_at_epoch"]), 1.0])
        return loss, state | {"nu": nu, "nu_moves": moves}
