"""Whatever the how-tos call `labelmend.something` is there after `import labelmend` alone."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest

import labelmend

ROOT = Path(__file__).resolve().parents[1]
HOW_TO = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
NAME = re.compile(r"(?<![\w/.-])labelmend((?:\.[A-Za-z_]\w*)+)")
NOT_PYTHON = {"labelmend.git"}
INNER_IMPORT = re.compile(r"^\s*(?:from|import) labelmend\.(\w+(?:\.\w+)*)", re.MULTILINE)


def names(text: str) -> set[str]:
    """Dotted names in text and code; modules on API pages are checked where the site is built."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("::: "))
    return {f"labelmend{found}" for found in NAME.findall(text)} - NOT_PYTHON


def all_names() -> list[str]:
    return sorted(set().union(*(names(page.read_text(encoding="utf-8")) for page in HOW_TO)))


def is_there(name: str) -> bool:
    try:
        reduce(getattr, name.split(".")[1:], labelmend)
    except AttributeError:
        return False
    return True


def test_a_name_is_found_in_text_and_code_and_a_wrong_one_is_seen():
    text = "`labelmend.metrics.dice` of github/labelmend.git, then\nlabelmend.nothing(1)"
    assert names(text) == {"labelmend.metrics.dice", "labelmend.nothing"}
    assert [is_there(name) for name in sorted(names(text))] == [True, False]


def test_the_how_tos_name_something():
    assert {"labelmend.audit", "labelmend.correct", "labelmend.findings.pixel_scores"} <= set(all_names())


def test_every_name_is_there_in_a_fresh_process():
    """Nothing that another test imported makes a name work that would fail for a user."""
    code = (
        "import sys, labelmend\n"
        "from functools import reduce\n"
        "for name in sys.argv[1:]:\n"
        "    reduce(getattr, name.split('.')[1:], labelmend)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *all_names()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_code_imports_packages_with_public_names_and_no_module_within(page):
    inner = INNER_IMPORT.findall(page.read_text(encoding="utf-8"))
    assert [name for name in inner if name not in labelmend._PACKAGES] == []
