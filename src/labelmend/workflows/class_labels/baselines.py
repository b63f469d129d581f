"""Classifiers of class labels, all in one training loop: plain cross-entropy, GCE and co-teaching.

They share network, batches, learning rate and interface with `SampleSieve`, so that a comparison compares
what is done about wrong labels and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from labelmend.errors import ConfigError, LabelmendError
from labelmend.losses.gce import gce_loss
from labelmend.runtime.extras import needed_by
from labelmend.types import BoolArray, FloatArray

with needed_by("a classifier of class labels"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data

Factory = Callable[[tuple[int, ...], int], nn.Module]
Strategy = Literal["ce", "gce", "co_teaching"]

DROP_AT = 0.5
"""Share of the epochs after which the learning rate is a tenth."""


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """Base of the classifiers here: data in, networks trained, probabilities out; subclasses learn.

    Args:
        hidden: widths of the hidden layers.
        network: (shape of a case, number of classes) -> module, image or vector -> logits; None: a perceptron
            for vectors, two convolutions before it for images.
        epochs: passes over the training data.
        batch_size: cases in a batch.
        learning_rate: of SGD; a tenth of it in the second half.
        momentum: of SGD.
        weight_decay: of SGD.
        random_state: seed random seed.
    """

    # What `fit` finds.
    classes_: NDArray[Any]
    networks_: list[nn.Module]
    noisy_mask_: BoolArray
    n_features_in_: int

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (128,),
        network: Factory | None = None,
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> NetworkClassifier:
        """Train.

        Args:
            X: `(n f)` features or `(n c h w)` images.
            y: `(n)` class labels, some of them wrong.
        """
        checked, y = validate_data(self, X, y, dtype=np.float32, allow_nd=True)
        check_classification_targets(y)
        self.check_settings()
        self.classes_, labels = np.unique(y, return_inverse=True)
        axes = (0, *range(2, checked.ndim))
        self.shape_ = checked.shape[1:]
        self.mean_ = checked.mean(axis=axes, keepdims=True)
        spread = checked.std(axis=axes, keepdims=True)
        self.scale_ = np.where(spread > 1e-12 * np.abs(checked).max(initial=0), spread, 1)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x, given = self._tensor(checked), torch.from_numpy(labels.reshape(-1))
            self.networks_ = [net.eval() for net in self._learn(x, given)]
        with torch.no_grad():
            self.noisy_mask_ = self._noisy(self._logits(x), given).numpy()
        return self

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """`(n k)` probabilities of the classes, in the order of `classes_`."""
        check_is_fitted(self)
        checked = validate_data(self, X, reset=False, dtype=np.float32, allow_nd=True)
        if checked.shape[1:] != self.shape_:
            raise ValueError(f"X has cases of shape {checked.shape[1:]}, trained on {self.shape_}")
        with torch.no_grad():
            return self._logits(self._tensor(checked)).double().softmax(dim=1).numpy()

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """`(n)` likeliest classes."""
        probs = self.predict_proba(X)  # first, so that an unfitted classifier says so
        return self.classes_[probs.argmax(axis=1)]

    def check_settings(self) -> None:
        """Raise a ConfigError for settings that cannot be used."""
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must lie above 0, got {getattr(self, name)}")

    def new_network(self, n_classes: int) -> nn.Module:
        """An untrained network."""
        if self.network is not None:
            return self.network(self.shape_, n_classes)
        return default_network(self.shape_, n_classes, tuple(self.hidden))

    def run_epochs(
        self,
        step: Callable[[int, Tensor], Tensor],
        networks: Sequence[nn.Module],
        n: int,
        *,
        epochs: int,
        rate: Callable[[int], float] = lambda epoch: 1.0,
    ) -> None:
        """Shuffled batches of every epoch; `step(epoch, rows)` gives the loss of a batch.

        Args:
            step: loss of the cases of these numbers.
            networks: trained in place.
            n: number of cases.
            epochs: passes.
            rate: factor of the learning rate of an epoch.
        """
        parameters = [p for net in networks for p in net.parameters()]
        optimizer = torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        for epoch in range(epochs):
            drop = 0.1 if epoch >= DROP_AT * self.epochs else 1.0
            optimizer.param_groups[0]["lr"] = self.learning_rate * drop * rate(epoch)
            total = torch.zeros(())
            for rows in torch.randperm(n).split(self.batch_size):
                loss = step(epoch, rows)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
            if not math.isfinite(total):
                raise LabelmendError(f"the loss became {float(total)}: lower learning_rate")

    def _learn(self, x: Tensor, given: Tensor) -> list[nn.Module]:
        """Trained networks, the first of which predicts."""
        raise NotImplementedError

    def _noisy(self, logits: Tensor, given: Tensor) -> Tensor:
        """`(n)` booleans: labels thought wrong, from the training cases' logits. Default: not predicted."""
        return logits.argmax(dim=1) != given

    def _tensor(self, X: FloatArray) -> Tensor:
        return torch.from_numpy(((X - self.mean_) / self.scale_).astype(np.float32))

    def _logits(self, x: Tensor) -> Tensor:
        return torch.cat([self.networks_[0](part) for part in x.split(4096)])


class BaselineClassifier(NetworkClassifier):
    """Baselines for wrong labels: cross-entropy, a bounded loss, co-teaching.

    Args:
        strategy: "ce": cross-entropy on all labels. "gce": (1 - p^q) / q, between cross-entropy and absolute
            error. "co_teaching": of each batch every one of two networks learns from the cases that the other
            finds easiest; it needs the fraction of wrong labels.
        q: of "gce", in (0, 1].
        noise_rate: of "co_teaching": share of wrong labels, in [0, 1).
        ramp_to: of "co_teaching": share of the epochs after which all of `noise_rate` is left out.
        hidden: widths of the hidden layers.
        network: (shape of a case, number of classes) -> module.
        epochs: passes over the training data.
        batch_size: cases in a batch.
        learning_rate: of SGD.
        momentum: of SGD.
        weight_decay: of SGD.
        random_state: seed random seed.

    After `fit`, `noisy_mask_` marks training labels thought wrong: those that are not predicted; for
    "co_teaching" the share `noise_rate` with the largest loss.

    Paper: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
        Labels", NeurIPS 2018; Han et al., "Co-teaching", NeurIPS 2018.
    Differs: GCE without its truncated form. The first of the two networks of co-teaching predicts alone.
    """

    def __init__(
        self,
        *,
        strategy: Strategy = "ce",
        q: float = 0.7,
        noise_rate: float = 0.2,
        ramp_to: float = 0.1,
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
        self.strategy = strategy
        self.q = q
        self.noise_rate = noise_rate
        self.ramp_to = ramp_to

    def check_settings(self) -> None:
        """Raise a ConfigError for settings that cannot be used."""
        super().check_settings()
        if self.strategy not in ("ce", "gce", "co_teaching"):
            raise ConfigError(f'strategy must be "ce", "gce" or "co_teaching", got {self.strategy!r}')
        if not 0 < self.q <= 1 or not 0 <= self.noise_rate < 1 or not 0 < self.ramp_to <= 1:
            raise ConfigError(
                f"q and ramp_to must be in (0, 1] and noise_rate in [0, 1), got {self.q}, {self.ramp_to} and "
                f"{self.noise_rate}"
            )

    def _learn(self, x: Tensor, given: Tensor) -> list[nn.Module]:
        two = self.strategy == "co_teaching"
        nets = [self.new_network(len(self.classes_)) for _ in range(2 if two else 1)]

        def step(epoch: int, rows: Tensor) -> Tensor:
            logits = [net(x[rows]) for net in nets]
            if two:
                left_out = self.noise_rate * min(1.0, epoch / (self.ramp_to * self.epochs))
                return co_teaching_loss(logits[0], logits[1], given[rows], left_out)
            return gce_loss(logits[0], given[rows], q=self.q if self.strategy == "gce" else 0.0)

        self.run_epochs(step, nets, len(x), epochs=self.epochs)
        return nets

    def _noisy(self, logits: Tensor, given: Tensor) -> Tensor:
        if self.strategy != "co_teaching":
            return super()._noisy(logits, given)
        costs = F.cross_entropy(logits, given, reduction="none")
        noisy = torch.zeros(len(costs), dtype=torch.bool)
        noisy[costs.argsort(descending=True, stable=True)[: round(self.noise_rate * len(costs))]] = True
        return noisy


def co_teaching_loss(one: Tensor, other: Tensor, given: Tensor, left_out: float) -> Tensor:
    """Cross-entropy of two networks, each on the cases of the batch that the other finds easiest.

    Args:
        one: `(n k)` logits.
        other: `(n k)` logits of the other network.
        given: `(n)` class numbers.
        left_out: share of the batch that neither learns from.
    """
    first, second = (F.cross_entropy(logits, given, reduction="none") for logits in (one, other))
    n_kept = max(1, round((1 - left_out) * len(given)))
    easy_for_one, easy_for_other = (costs.detach().argsort()[:n_kept] for costs in (first, second))
    return first[easy_for_other].mean() + second[easy_for_one].mean()


def default_network(shape: tuple[int, ...], n_classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """A perceptron; two convolutions before it if a case is an image `(c h w)`.

    Args:
        shape: of a case.
        n_classes: number of outputs.
        hidden: widths of the hidden layers.
    """
    layers: list[Any] = []
    width = math.prod(shape)
    if len(shape) == 3:
        layers += [nn.Conv2d(shape[0], 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4)]
        width = 32 * 16
    layers.append(nn.Flatten())
    for n in hidden:
        layers += [nn.Linear(width, n), nn.ReLU()]
        width = n
    return nn.Sequential(*layers, nn.Linear(width, n_classes))
