"""What every noise is: parameters drawn from a generator, then applied; and one generator a case."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from labelmend.types import LabelMap

Params = Mapping[str, Any]

# Integers below this are exact in every JSON reader.
SEED_LIMIT = 2**53


class Noise(ABC):
    """A noise is a frozen dataclass; its fields are its settings.

    All chance lies in `draw`: `apply` with the same labels and parameters gives the same result, today and
    from the manifest that kept the parameters.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of the noise of one case, as numbers, strings, lists and dicts that JSON can hold."""

    @abstractmethod
    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels; pixels to be ignored stay as they are, and so do dtype, grid and class names."""


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
