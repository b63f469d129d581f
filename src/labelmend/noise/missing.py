"""Missing noise: objects that were overlooked."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from labelmend.errors import ConfigError
from labelmend.noise.base import MaskNoise, Params, check_probability, check_size, check_style, shift_odds
from labelmend.types import BoolArray, FloatArray


@dataclass(frozen=True)
class MissingNoise(MaskNoise):
    """Each object is, with some probability, left out whole.

    An object is a part of the mask that hangs together across pixel faces.

    Args:
        probability: that an object is left out; with `halving_mm`, that of an object of no size.
        halving_mm: small objects are overlooked more often: the probability halves with every so many mm of
            diameter, that of the disc or ball of the object's size. None: as often whatever the size.
    """

    name: ClassVar[str] = "missing"

    probability: float = 0.1
    halving_mm: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability(self.name, probability=self.probability)
        if self.halving_mm is not None:
            check_size(self.name, halving_mm=self.halving_mm)
            if self.halving_mm == 0:
                raise ConfigError("missing noise: halving_mm must be a positive number or None, got 0")

    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """The numbers of the objects that are left out, counted from 1 in array order."""
        objects, count = label(mask)
        probability = np.full(count, self.probability)
        if self.halving_mm is not None:
            sizes = np.bincount(objects.ravel(), minlength=count + 1)[1:]
            with np.errstate(over="ignore"):  # infinitely often halved is never
                probability *= 0.5 ** (diameters(sizes, spacing_mm) / self.halving_mm)
        return {"objects": (1 + np.flatnonzero(rng.random(count) < probability)).tolist()}

    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The mask without these objects."""
        objects, count = label(mask)
        kept = np.arange(count + 1) > 0
        kept[params["objects"]] = False
        return kept[objects]

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> MissingNoise:
        """So many times the probability, at most 1; a generous hand overlooks less."""
        check_style(self.name, strength=strength, bias=bias)
        probability = shift_odds(min(1.0, self.probability * strength), -bias)
        return dataclasses.replace(self, probability=probability)


def diameters(sizes: NDArray[np.number], spacing_mm: tuple[float, ...]) -> FloatArray:
    """Diameters of the discs or balls of given sizes.

    Args:
        sizes: `(m,)` pixel counts.
        spacing_mm: per axis in mm.

    Returns:
        `(m,)` in mm.

    >>> diameters(np.array([100.0]), (2.0, 2.0)).round(2)
    array([22.57])
    """
    ndim = len(spacing_mm)
    unit_ball = math.pi ** (ndim / 2) / math.gamma(ndim / 2 + 1)
    return 2 * (sizes * math.prod(spacing_mm) / unit_ball) ** (1 / ndim)
