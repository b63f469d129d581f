"""What every noise is: parameters drawn from a generator, then applied; and one generator a case."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.types import BoolArray, LabelMap

Params = Mapping[str, Any]

# Integers below this are exact in every JSON reader.
SEED_LIMIT = 2**53


class Noise(ABC):
    """A noise is a frozen dataclass; its fields are its settings.

    All chance lies in `draw`: `apply` with the same labels and parameters gives the same result, today and
    from the manifest that kept the parameters.
    """

    name: ClassVar[str]

    @abstractmethod
    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of the noise of one case, as numbers, strings, lists and dicts that JSON can hold.

        Raises:
            ConfigError: this noise can do nothing with labels of this kind (one class, 2-D, and so on).
        """

    @abstractmethod
    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels; pixels to be ignored stay as they are, and so do dtype, grid and class names."""

    @abstractmethod
    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> Self:
        """The same kind of error in another hand.

        Args:
            strength: how many times as large, or as frequent, the errors are; 0 or more.
            bias: how generous the hand is: the odds of outward to inward errors (of additions to omissions)
                are multiplied by exp(bias). Kinds of error without direction pay no heed to it.
        """


class MaskNoise(Noise):
    """A noise that treats the mask of each class by itself.

    For exclusive classes a pixel that several noisy classes claim goes to the one whose clean region is
    nearest; a pixel that none claims becomes background. What one class draws does not depend on the others.
    """

    @abstractmethod
    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """Parameters of the noise of one mask, as JSON can hold them."""

    @abstractmethod
    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The noisy mask `(*space)`, a new array; a mask that cannot be drawn wrong (empty) comes back."""

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of each class, by name."""
        return draw_by_class(rng, labels, dict.fromkeys(labels.classes, self))

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        return apply_by_class(labels, params, dict.fromkeys(labels.classes, self))


def draw_by_class(
    rng: np.random.Generator, labels: LabelMap, noises: Mapping[str, MaskNoise]
) -> dict[str, Any]:
    """Parameters of a noise a class; each class has a generator of its own, whatever the others are."""
    base = int(rng.integers(SEED_LIMIT))
    names = sorted({noise.name for noise in noises.values()})
    drawn = {}
    for name, mask in zip(labels.classes, labels.masks(), strict=True):
        noise, own = noises[name], case_generator(base, name)
        drawn[name] = noise.draw_mask(own, mask, labels.grid.spacing_mm)
    return {"noise": "+".join(names), "classes": drawn}


def apply_by_class(labels: LabelMap, params: Params, noises: Mapping[str, MaskNoise]) -> LabelMap:
    """Labels after a noise a class, from what `draw_by_class` returned."""
    clean = labels.masks()
    noisy = np.empty_like(clean)
    for j, name in enumerate(labels.classes):
        if name not in params["classes"]:
            raise ConfigError(
                f"the noise parameters hold no class {name!r}, only {', '.join(params['classes'])}"
            )
        noisy[j] = noises[name].apply_mask(clean[j], params["classes"][name], labels.grid.spacing_mm)
    return merge(labels, noisy)


def merge(labels: LabelMap, noisy: BoolArray) -> LabelMap:
    """Labels with noisy masks; for exclusive classes each pixel goes to one of the classes that claim it.

    Args:
        labels: the clean labels.
        noisy: `(k *space)` booleans. Where exclusive classes overlap, the nearest clean region wins (signed
            distance in mm, negative inside; the first class on a tie).
    """
    if labels.overlapping or not (noisy.sum(axis=0) > 1).any():
        return labels.with_masks(noisy)
    distance_mm = np.stack([signed_distance(mask, labels.grid.spacing_mm) for mask in labels.masks()])
    winner = np.where(noisy, distance_mm, np.inf).argmin(axis=0)
    order = np.arange(len(noisy)).reshape(-1, *[1] * (noisy.ndim - 1))
    return labels.with_masks(noisy & (winner == order))


def shift_odds(probability: float, bias: float) -> float:
    """A probability whose odds are multiplied by exp(bias); 0 and 1 stay.

    >>> round(shift_odds(0.5, 1.0), 3)
    0.731
    """
    if probability in (0, 1) or bias == 0:
        return probability
    return 1 / (1 + (1 - probability) / probability * math.exp(-bias))


def check_probability(noise: str, **values: float) -> None:
    """Raise a ConfigError for the first value outside [0, 1].

    >>> check_probability("missing", probability=1.5)
    Traceback (most recent call last):
    labelmend.errors.ConfigError: missing noise: probability must lie in [0, 1], got 1.5
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{noise} noise: {name} must lie in [0, 1], got {value}")


def check_size(noise: str, **values: float) -> None:
    """Raise a ConfigError for the first value that is negative, infinite or no number.

    >>> check_size("affine", shift_mm=-2)
    Traceback (most recent call last):
    labelmend.errors.ConfigError: affine noise: shift_mm must be a number from 0 up, got -2
    """
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{noise} noise: {name} must be a number from 0 up, got {value}")


def case_generator(seed: int, *ids: str) -> np.random.Generator:
    """A generator that depends on a seed and on names alone: not on order, machine or number of jobs.

    Args:
        seed: the run's seed.
        ids: what the generator is for, such as a case id.

    >>> case_generator(0, "JPCLN001").integers(1000) == case_generator(0, "JPCLN001").integers(1000)
    np.True_
    """
    digest = hashlib.sha256(json.dumps([int(seed), *ids]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
