"""Wrong class labels of whole cases: a flip that depends on what the case looks like."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, ndtr, ndtri

from labelmend.errors import ConfigError, GeometryError
from labelmend.noise.base import SEED_LIMIT, Params, check_probability, check_size
from labelmend.noise.class_flip import check_class_count, check_labels, draw_classes
from labelmend.types import FloatArray

IntArray = NDArray[np.integer]


@dataclass(frozen=True)
class InstanceFlipNoise:
    """Class labels that go wrong more often for some cases than for others, and to classes that fit the case.

    Each case has a flip probability q of its own, from a normal law around `rate` cut to (0, 1). Where its
    wrong labels go is decided by its features x: class j has the score x·w_j, with w_j drawn once, and the
    scores of the wrong classes, through a softmax, share q among them.

    Args:
        n_classes: 2 or more.
        rate: middle of the law of q, in [0, 1]; 0 flips nothing. The cut moves the mean of q, see
            `mean_flip_probability`.
        spread: standard deviation of that law before it is cut, 0 or more.
        normalize: shift and scale each feature to mean 0 and spread 1 over the cases given, and divide by the
            root of their number, so that scores have unit spread. Without it features of the size of grey
            values saturate the softmax: nearly all of q goes to one class.
        per_class_projection: vectors w_j of their own for each true class, instead of the same for all.
        temperature: by which scores are divided; above 0. Large: all wrong classes alike.

    Paper: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021;
        with `per_class_projection`, Xia et al., "Part-dependent Label Noise", NeurIPS 2020.
    Differs: features are normalised by default; the official code of the first takes raw pixels.
        q is drawn by inversion, one number a case, in place of rejection.
    """

    name: ClassVar[str] = "instance"

    n_classes: int
    rate: float = 0.2
    spread: float = 0.1
    normalize: bool = True
    per_class_projection: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_class_count(self.name, self.n_classes)
        check_probability(self.name, rate=self.rate)
        check_size(self.name, spread=self.spread, temperature=self.temperature)
        if self.temperature == 0:
            raise ConfigError(f"{self.name} noise: temperature must lie above 0, got {self.temperature}")

    def draw(self, rng: np.random.Generator, features: FloatArray, labels: IntArray) -> dict[str, Any]:
        """A seed, with the settings beside it."""
        _checked(features, labels, self.n_classes)
        return {"noise": self.name, "seed": int(rng.integers(SEED_LIMIT)), **dataclasses.asdict(self)}

    def apply(self, features: FloatArray, labels: IntArray, params: Params) -> IntArray:
        """The labels given, `(n,)` of the dtype of the true ones.

        Args:
            features: `(n, ...)` numbers, one row of any shape a case; normalised over the cases given, so the
                same cases are needed for the same labels.
            labels: `(n,)` integers from 0 to `n_classes` - 1, the true classes.
            params: from `draw`.
        """
        rows = self.transition_rows(features, labels, params)
        return draw_classes(_generator(params, "label"), rows).astype(np.asarray(labels).dtype)

    def flip_probabilities(self, labels: IntArray, params: Params) -> FloatArray:
        """Probability q of each case that its label goes wrong, `(n,)`."""
        rate, spread = params["rate"], params["spread"]
        if rate == 0 or spread == 0:
            return np.full(len(labels), float(rate))
        low, high = ndtr(-rate / spread), ndtr((1 - rate) / spread)
        share = _generator(params, "q").random(len(labels))
        drawn = rate + spread * ndtri(low + (high - low) * share)
        return np.clip(drawn, np.nextafter(0, 1), np.nextafter(1, 0))

    def transition_rows(self, features: FloatArray, labels: IntArray, params: Params) -> FloatArray:
        """Law of the label given to each case, `(n k)`: 1 - q for its true class, q shared by the others.

        Args:
            features: `(n, ...)` numbers.
            labels: `(n,)` true classes.
            params: from `draw`.
        """
        k = params["n_classes"]
        x, labels = _checked(features, labels, k)
        if params["normalize"]:
            x = _normalised(x)
        scores = np.empty((len(labels), k))
        for group in range(k) if params["per_class_projection"] else [None]:
            cases = slice(None) if group is None else labels == group
            vectors = _generator(params, "w", group).standard_normal((x.shape[1], k))
            scores[cases] = x[cases] @ vectors
        every = np.arange(len(labels))
        scores[every, labels] = -np.inf
        q = self.flip_probabilities(labels, params)
        rows = q[:, None] * np.exp(log_softmax(scores / params["temperature"], axis=1))
        rows[every, labels] = 1 - q
        return rows


def mean_flip_probability(rate: float, spread: float) -> float:
    """Mean of a normal law around `rate` cut to (0, 1): the share of labels that `InstanceFlipNoise` flips.

    >>> round(mean_flip_probability(0.2, 0.1), 4)
    0.2055
    """
    if rate == 0 or spread == 0:
        return float(rate)
    low, high = -rate / spread, (1 - rate) / spread
    density = (math.exp(-(low**2) / 2) - math.exp(-(high**2) / 2)) / math.sqrt(2 * math.pi)
    return float(rate + spread * density / (ndtr(high) - ndtr(low)))


def _generator(params: Params, use: str, group: int | None = None) -> np.random.Generator:
    """A generator for one use of the seed, so that q does not depend on the features or the projection."""
    uses = {"q": 0, "label": 1, "w": 2}
    return np.random.default_rng([params["seed"], uses[use], 0 if group is None else group + 1])


def _checked(features: FloatArray, labels: IntArray, n_classes: int) -> tuple[FloatArray, IntArray]:
    labels = check_labels(InstanceFlipNoise.name, labels, n_classes)
    x = np.asarray(features, np.float64)
    if x.ndim < 2 or len(x) != len(labels):
        raise GeometryError(
            f"instance noise needs one row of features a label: got features of shape {x.shape} "
            f"for {len(labels)} labels"
        )
    if not np.isfinite(x).all():
        raise ConfigError("instance noise needs finite features, but some are NaN or infinite")
    return x.reshape(len(x), -1 if x.size else int(np.prod(x.shape[1:]))), labels


def _normalised(x: FloatArray) -> FloatArray:
    """Features of mean 0 and spread 1, over the root of their number; a constant feature becomes 0."""
    if not x.size:
        return x
    spread = x.std(axis=0)
    scale = np.where(spread > 1e-12 * np.abs(x).max(axis=0), spread, np.inf)
    return (x - x.mean(axis=0)) / scale / math.sqrt(x.shape[1])
