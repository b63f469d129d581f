"""Generators that depend on a seed and on names, and on nothing else."""

from __future__ import annotations

import hashlib
import json

import numpy as np


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
