"""Fixtures shared by all tests: real data where it is at hand, one thread, a clean generator."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def jsrt() -> Path:
    """The JSRT radiographs, or a skip that says how to provide them."""
    for base in (os.environ.get("LABELMEND_DATA"), ROOT.parent / "shared" / "data"):
        if base and (Path(base) / "jsrt" / "train").is_dir():
            return Path(base) / "jsrt"
    pytest.skip("real data absent: set LABELMEND_DATA to the folder that holds jsrt/")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20230501)
