"""CORES2 for class labels: a confidence regulariser, a sieve of wrong labels, and consistency on the rest.

`SampleSieve` is the whole method as a scikit-learn classifier; `sieve_from_probs` is its rule for the
probabilities of any other classifier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.losses.confidence_regularised import (
    EPS,
    PiecewiseLinear,
    Rule,
    check_beta,
    confidence_regularised_loss,
    largest_beta,
    refreshed_prior,
    sieve_mask,
)
from labelmend.types import BoolArray
from labelmend.workflows.class_labels.baselines import Factory, NetworkClassifier

Prior = Literal["uniform", "empirical", "refreshed"]


def sieve_from_probs(
    pred_probs: ArrayLike, labels: ArrayLike, *, rule: Rule = "mean_logit", margin: float = 0.0
) -> BoolArray:
    """Which labels are kept, from the probabilities of any classifier; the others are surely wrong.

    Probabilities predicted for cases that were not trained on say more than others.

    Args:
        pred_probs: `(n k)` probabilities of the classes.
        labels: `(n)` given labels, class numbers from 0 to k - 1.
        rule: "mean_logit": the given class is at least as likely as the geometric mean of all. "argmax": it
            is the likeliest. "margin": its logarithm is at most `margin` under that of the likeliest.
        margin: 0 or more.

    Returns:
        `(n)` booleans, True where the label is kept.

    Raises:
        GeometryError: shapes do not belong together. LabelValueError: a label that is no class, or a
            probability that is none.

    >>> sieve_from_probs([[0.8, 0.15, 0.05], [0.8, 0.15, 0.05]], [1, 2])
    array([False, False])
    >>> sieve_from_probs([[0.7, 0.29, 0.01], [0.7, 0.29, 0.01]], [1, 2])
    array([ True, False])

    Paper: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021.
    """
    probs, given = np.asarray(pred_probs, float), np.asarray(labels)
    if probs.ndim != 2 or given.shape != probs.shape[:1]:
        raise GeometryError(
            f"pred_probs (n k) and labels (n) expected, got shapes {probs.shape} and {given.shape}"
        )
    if not ((probs >= 0) & np.isfinite(probs)).all():
        raise LabelValueError("pred_probs must be finite numbers >= 0")
    if given.size and not (
        np.issubdtype(given.dtype, np.integer) and np.isin(given, range(probs.shape[1])).all()
    ):
        raise LabelValueError(f"labels must be class numbers from 0 to {probs.shape[1] - 1}")
    logs = np.log(np.maximum(probs, np.finfo(np.float32).tiny))
    return sieve_mask(
        torch.from_numpy(logs), torch.from_numpy(given.astype(np.int64)), rule=rule, margin=margin
    ).numpy()


class SampleSieve(NetworkClassifier):
    """A classifier for labels some of which are wrong: CORES2.

    Training starts with cross-entropy; the confidence regulariser comes in; then the sieve leaves out, batch
    by batch, labels that the network is sure are wrong; one left out may come back. With `consistency`, a
    second network learns from the labels kept at `split_at`, and from the other cases without their labels:
    its prediction may not change when a case is perturbed.

    What to expect: nearly all that it marks is wrong, and far from all that is wrong is marked. It helps
    where wrong labels are spread over the classes. Where one class is taken for one other (pair noise) it
    marks almost nothing, and the regulariser does harm: see `labelmend.losses.confidence_regularised`.

    Args:
        beta: weight of the regulariser at its full height.
        prior: weights of the classes in it: "uniform"; "empirical", the frequencies of the given labels (the
            paper); "refreshed", those of the labels kept in the last epoch (the released code).
        rule: see `sieve_from_probs`.
        margin: see `sieve_from_probs`.
        warm_up: share of the epochs before the regulariser comes in.
        ramp_to: share of the epochs at which it is at full height.
        sieve_from: share of the epochs after which labels are left out.
        consistency: weight of a case without label in the second training, relative to one with its label; 0:
            no second training.
        split_at: share of the epochs at which cases are split for it.
        perturb: how far cases are perturbed: spread of the noise, in units of the spread of a feature, and
            share of the features that are blanked.
        eps: of the regulariser, see `confidence_regularised_loss`.
        hidden: widths of the hidden layers.
        network: (shape of a case, number of classes) -> module.
        epochs: passes over the training data.
        batch_size: cases in a batch.
        learning_rate: of SGD; divided by 1 + beta as that rises, and a tenth in the second half.
        momentum: of SGD.
        weight_decay: of SGD.
        random_state: seed random seed.

    After `fit`, `noisy_mask_` `(n)` marks training labels that the final network sieves out, and
    `keep_history_` `(epochs of the first training, n)` what each epoch kept.

    Raises:
        ConfigError: a setting cannot be used; `beta` is too large for the frequencies of the labels.

    Paper: Cheng, Zhu, Li, Gong, Sun, Liu, "Learning with Instance-Dependent Label Noise: A Sample Sieve
        Approach", ICLR 2021.
    Differs: the prior is uniform, since frequencies with beta 2 invert unbalanced problems. The second
        training perturbs by noise and blanks, not by learned policies of pictures, and takes its batches from
        kept and other cases as they come.
    """

    keep_history_: BoolArray

    def __init__(
        self,
        *,
        beta: float = 2.0,
        prior: Prior = "uniform",
        rule: Rule = "mean_logit",
        margin: float = 0.0,
        warm_up: float = 0.10,
        ramp_to: float = 0.39,
        sieve_from: float = 0.31,
        consistency: float = 0.0,
        split_at: float = 0.40,
        perturb: float = 0.2,
        eps: float = EPS,
        hidden: Sequence[int] = (128,),
        network: Factory | None = None,
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            network=network,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            random_state=random_state,
        )
        self.beta = beta
        self.prior = prior
        self.rule = rule
        self.margin = margin
        self.warm_up = warm_up
        self.ramp_to = ramp_to
        self.sieve_from = sieve_from
        self.consistency = consistency
        self.split_at = split_at
        self.perturb = perturb
        self.eps = eps

    def check_settings(self) -> None:
        """Raise a ConfigError for settings that cannot be used."""
        super().check_settings()
        check_beta(self.beta, math.inf)
        if self.prior not in ("uniform", "empirical", "refreshed"):
            raise ConfigError(f'prior must be "uniform", "empirical" or "refreshed", got {self.prior!r}')
        if not 0 <= self.warm_up < self.ramp_to or not self.sieve_from >= 0:
            raise ConfigError(
                f"0 <= warm_up < ramp_to and sieve_from >= 0 expected, got {self.warm_up}, {self.ramp_to} "
                f"and {self.sieve_from}"
            )
        if not self.consistency >= 0 or not self.perturb >= 0 or not 0 <= self.split_at <= 1:
            raise ConfigError(
                f"consistency and perturb >= 0 and split_at in [0, 1] expected, got {self.consistency}, "
                f"{self.perturb} and {self.split_at}"
            )

    def beta_schedule(self) -> PiecewiseLinear:
        """The weight of the regulariser by epoch."""
        warm, full = self.warm_up * self.epochs, self.ramp_to * self.epochs
        return PiecewiseLinear(((warm, 0.0), (full, float(self.beta))))

    def _learn(self, x: Tensor, given: Tensor) -> list[nn.Module]:
        split = round(self.split_at * self.epochs)
        epochs = min(split + 1, self.epochs) if self.consistency else self.epochs
        net, self.keep_history_ = self._sieve(x, given, epochs)
        return [
            self._consistent(x, given, torch.from_numpy(self.keep_history_[-1])) if self.consistency else net
        ]

    def _sieve(self, x: Tensor, given: Tensor, epochs: int) -> tuple[nn.Module, BoolArray]:
        """First training: the network, and what each epoch kept."""
        net, schedule = self.new_network(len(self.classes_)), self.beta_schedule()
        counts = np.bincount(given, minlength=len(self.classes_))
        history = np.ones((epochs, len(x)), bool)
        if self.prior != "uniform":
            check_beta(self.beta, largest_beta(counts / counts.sum()))

        def step(epoch: int, rows: Tensor) -> Tensor:
            logits, labels, keep = net(x[rows]), given[rows], None
            if epoch >= self.sieve_from * self.epochs:
                keep = sieve_mask(logits.detach(), labels, rule=self.rule, margin=self.margin)
                history[epoch, rows.numpy()] = keep.numpy()
            prior = self._prior(counts, given, history[epoch - 1] if epoch else None)
            beta = schedule(epoch)
            if not isinstance(prior, str):
                beta = min(beta, 0.9 * largest_beta(prior.numpy()))
            return confidence_regularised_loss(
                logits, labels, beta=beta, prior=prior, valid=keep, eps=self.eps
            )

        self.run_epochs(step, [net], len(x), epochs=epochs, rate=lambda epoch: 1 / (1 + schedule(epoch)))
        return net, history

    def _prior(
        self, counts: NDArray[Any], given: Tensor, kept: BoolArray | None
    ) -> Literal["uniform"] | Tensor:
        if self.prior == "uniform":
            return "uniform"
        if self.prior == "empirical" or kept is None or not kept.any():
            return torch.from_numpy(counts / counts.sum())
        removed = np.bincount(given[torch.from_numpy(~kept)], minlength=len(counts))
        return torch.from_numpy(refreshed_prior(counts, removed))

    def _consistent(self, x: Tensor, given: Tensor, kept: Tensor) -> nn.Module:
        """Second training: labels of the cases that were kept, consistency on the others."""
        net = self.new_network(len(self.classes_))

        def step(epoch: int, rows: Tensor) -> Tensor:
            labelled = kept[rows]
            shown = perturbed(x[rows], self.perturb)
            logits = net(shown)
            costs = F.cross_entropy(logits, given[rows], reduction="none")
            with torch.no_grad():
                believed = net(x[rows]).log_softmax(dim=1)
            moved = F.kl_div(logits.log_softmax(dim=1), believed, reduction="none", log_target=True).sum(
                dim=1
            )
            return torch.where(labelled, costs, self.consistency * moved).mean()

        self.run_epochs(step, [net], len(x), epochs=self.epochs)
        return net

    def _noisy(self, logits: Tensor, given: Tensor) -> Tensor:
        return ~sieve_mask(logits, given, rule=self.rule, margin=self.margin)


def perturbed(x: Tensor, amount: float) -> Tensor:
    """Cases with noise of this spread, and with this share of their features blanked (set to the mean, 0)."""
    if amount == 0:
        return x
    seen = torch.rand_like(x) >= min(amount, 1.0)
    return (x + amount * torch.randn_like(x)) * seen
