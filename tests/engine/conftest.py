"""Drawn data sets, written once a session; tests read them and write elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import drawn_data


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overlapping classes, 32 x 32 PNG."""
    return drawn_data.overlapping(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def integer_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exclusive classes with a value to ignore, 32 x 32 PNG."""
    return drawn_data.exclusive(tmp_path_factory.mktemp("integer_maps"))


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exclusive classes, 16 x 20 x 12 NIfTI of 0.8 x 0.8 x 2.5 mm."""
    return drawn_data.volumes(tmp_path_factory.mktemp("scans"))
