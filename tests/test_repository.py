"""What lies beside the package: hooks and hosted CI run what `make check` runs, and versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import labelmend

ROOT = Path(__file__).resolve().parents[1]


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def commands_of_check() -> set[str]:
    """The commands of `make check`, without the folder that they look at."""
    rule = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule
    return {line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in rule[1].splitlines()}


def test_the_hooks_are_the_commands_of_make_check_and_download_nothing():
    (repo,) = parsed(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    assert {hook["language"] for hook in repo["hooks"]} == {"system"}
    entries = {hook["entry"].removeprefix(".venv/bin/") for hook in repo["hooks"]}
    assert {entry.removesuffix(" --force-exclude") for entry in entries} == commands_of_check()


def test_hosted_ci_tests_every_version_of_python_that_the_package_names(project):
    test = parsed(".github/workflows/ci.yml")["jobs"]["test"]
    named = [c.rpartition(" :: ")[2] for c in project["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert test["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"
    assert {"run": ".ci/run"} in test["steps"]


def test_coverage_is_measured_and_held():
    coverage = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert coverage["run"]["source"] == ["src/labelmend"]
    assert coverage["report"]["fail_under"] >= 98
    assert {"run": "make coverage"} in parsed(".github/workflows/ci.yml")["jobs"]["coverage"]["steps"]


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml"])
def test_an_issue_template_asks_for_something(name):
    form = parsed(f".github/ISSUE_TEMPLATE/{name}")
    assert {"name", "description", "labels", "body"} == set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_citation_and_package_have_one_version():
    assert parsed("CITATION.cff")["version"] == labelmend.__version__


def test_addresses_of_the_project_are_all_of_one_repository(project):
    assert {url.split("/")[3:5] == ["labelmend", "labelmend"] for url in project["urls"].values()} == {True}
    assert parsed("CITATION.cff")["repository-code"] == project["urls"]["Homepage"]


def test_addresses_in_the_readme_that_lead_into_this_repository_lead_to_files():
    """The package index shows the README too, so that its links cannot be relative."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    home = r"https://(?:github\.com/labelmend/labelmend/(?:blob|tree)|raw\.githubusercontent\.com/labelmend/labelmend)"
    paths = re.findall(rf"{home}/main/([^)\s\"#]+)", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
