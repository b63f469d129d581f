"""The worked example of CONTRIBUTING.md is a method that passes its own test and the contract."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from test_layers import methods_that_know_files_or_loops, run_python
from test_tree_mirror import untested_modules

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
METHOD = "sure_network"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the two files of the example in their places."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("src/labelmend", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, text in BLOCKS.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text, encoding="utf-8")
    return copy


def test_the_example_is_one_file_and_one_test():
    assert sorted(BLOCKS) == [f"src/labelmend/methods/{METHOD}.py", f"tests/methods/test_{METHOD}.py"]
    longest = max(len(line) for text in BLOCKS.values() for line in text.splitlines())
    assert longest <= 110


def test_the_example_passes_its_test_and_the_contract(project):
    files = [f"tests/methods/test_{METHOD}.py", "tests/methods/test_contract.py"]
    done = run_python(project, "-m", "pytest", *files, "-k", METHOD)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20


def test_the_example_keeps_to_the_layers_and_the_mirror(project):
    assert methods_that_know_files_or_loops(project) == []
    assert f"methods/{METHOD}.py" not in untested_modules(project)


def test_the_fields_of_the_example_are_flags_with_their_help(project):
    done = run_python(project, "-m", "labelmend", "train", "--method", METHOD, "--help-all")
    assert done.returncode == 0, done.stderr
    assert "--method.certainty" in done.stdout
    assert "least probability at which the prediction counts" in " ".join(done.stdout.split())


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_layers_that_are_told_are_those_of_the_contract(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    told = text.partition("## Layers")[2].partition("Imports only go down")[0]
    rows = [re.split(r" {2,}", line.strip())[0] for line in told.splitlines() if line.strip()]
    assert rows == layers
