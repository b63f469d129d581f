"""What an import that fails is turned into, and that the table and pyproject.toml agree."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from labelmend.errors import MissingExtraError
from labelmend.runtime.extras import EXTRAS, needed_by

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
DISTRIBUTION = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
"""Import name -> name on the package index, where they differ."""


def test_the_sentence_names_who_needs_what_and_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with (
        pytest.raises(
            MissingExtraError, match=r"^a walk needs scikit-image: pip install 'labelmend\[tags\]'$"
        ),
        needed_by("a walk"),
    ):
        from skimage.segmentation import random_walker  # noqa: F401


def test_the_sentence_says_what_to_do_without_the_package():
    with (
        pytest.raises(MissingExtraError, match=r"'labelmend\[ray\]', or take one machine$"),
        needed_by("a cluster", instead="take one machine"),
    ):
        raise ModuleNotFoundError("No module named 'ray.util'", name="ray.util")


def test_the_failure_of_any_other_import_stays_what_it_is():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), needed_by("a walk"):
        import no_such_package  # noqa: F401


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


def names(lines: list[str]) -> set[str]:
    """Names of distributions, without versions."""
    return {re.split(r"[^\w-]", line)[0] for line in lines}


def test_every_package_of_the_table_comes_with_its_extra_and_with_no_plain_installation(project):
    extras, plain = project["optional-dependencies"], names(project["dependencies"])
    for package, (_, extra) in EXTRAS.items():
        assert DISTRIBUTION.get(package, package) in names(extras[extra]) - plain


def test_the_extra_all_brings_all_that_people_use_but_what_has_another_licence(project):
    extras = project["optional-dependencies"]
    (line,) = extras["all"]
    assert set(line.removeprefix("labelmend[").rstrip("]").split(",")) == (
        set(extras) - {"all", "cleanlab", "dev", "docs", "test"}
    )
