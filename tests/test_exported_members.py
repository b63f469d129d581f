"""The public names: those that a package lists are there, documented, and all of them are listed."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import labelmend

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "geometry",
    "io",
    "losses",
    "metrics",
    "noise",
    "theory",
    "transition",
    "workflows.auditing.findings",
    "workflows.class_labels",
    "workflows.image_tags",
    "workflows.noise_fitting",
)
"""Packages that list public names; the other packages are imported module by module and list none."""

MOST_PARAMETERS_WITHOUT_ARGS = 2


def listed(init: Path) -> list[str]:
    """`__all__` of a package, as written."""
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def bound(path: Path) -> set[str]:
    """Public names that a module defines or imports at its top level, or loads lazily as typed."""
    names: set[str] = set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in body):
        blocks = [n for n in body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
        body = [*body, *(node for block in blocks for node in block.body)]
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labelmend"):
            names.update(alias.asname or alias.name for alias in node.names)
    return {name for name in names if not name.startswith("_")}


def in_order(names: list[str]) -> list[str]:
    """CONSTANTS, then Classes, then functions, each by alphabet."""
    return sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))


def lazy_names(root: Path) -> dict[str, str]:
    """The `_HOME` of the root package: public name -> module."""
    for node in ast.parse((root / "src/labelmend/__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":
            return dict(ast.literal_eval(node.value))
    raise AssertionError("labelmend/__init__.py holds no _HOME")


def typed_names(root: Path) -> dict[str, str]:
    """What the root package imports for type checkers: public name -> module."""
    tree = ast.parse((root / "src/labelmend/__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {
        alias.asname or alias.name: str(node.module).removeprefix("labelmend.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def wrong_lists(root: Path) -> list[str]:
    """What is wrong with the lists of public names below `root`, one sentence each."""
    return [*_wrong_in_packages(root), *_wrong_in_root(root)]


def _wrong_in_packages(root: Path) -> Iterator[str]:
    for package in PACKAGES:
        init = root / "src/labelmend" / package.replace(".", "/") / "__init__.py"
        names, there = listed(init), bound(init)
        yield from (f"{package} lists {name}, which is not there" for name in sorted(set(names) - there))
        yield from (f"{package} does not list {name}" for name in sorted(there - set(names)))
        if names != in_order(names):
            yield f"{package} lists its names out of order or twice"


def _wrong_in_root(root: Path) -> Iterator[str]:
    home, lazy = root / "src/labelmend", lazy_names(root)
    for name, module in lazy.items():
        path = home / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not file.is_file() or name not in bound(file):
            yield f"labelmend lists {name}, which is not in labelmend.{module}"
    if list(lazy) != in_order(list(lazy)):
        yield "labelmend lists its names out of order"
    if lazy != typed_names(root):
        yield "labelmend tells type checkers other names or modules than it loads"


def public(fits: Callable[[Any], bool]) -> list[pytest.param]:
    """Every listed object that fits, once, by the name under which it is listed first."""
    members = {}
    for package in ("labelmend", *(f"labelmend.{package}" for package in PACKAGES)):
        module = importlib.import_module(package)
        for name in module.__all__:
            if fits(member := getattr(module, name)):
                members.setdefault(member, f"{package}.{name}")
    return [pytest.param(member, id=name) for member, name in members.items()]


def is_dataclass(member: object) -> bool:
    return inspect.isclass(member) and dataclasses.is_dataclass(member)


def undocumented(function: Any) -> str:
    """What the docstring of a function lacks, empty if nothing.

    One sentence (with a doctest or Raises) will do for up to two parameters, else Args or Returns; Args names
    all parameters.
    """
    text = inspect.getdoc(function) or ""
    if not text:
        return "has no docstring"
    parameters = list(inspect.signature(function).parameters)
    prose = re.split(r"\n\s*(?:>>>|Raises:|Paper:|Differs:)", text)[0].strip()
    sections = "Args:" in text or "Returns:" in text
    if "\n\n" in prose and not sections:
        return "has more than one sentence but neither Args nor Returns"
    if len(parameters) > MOST_PARAMETERS_WITHOUT_ARGS and "Args:" not in text:
        return f"has {len(parameters)} parameters but no Args"
    if "Args:" in text:
        unnamed = [p for p in parameters if not re.search(rf"\b{p}\b", text.partition("Args:")[2])]
        return f"does not say what {', '.join(unnamed)} is" if unnamed else ""
    return ""


def test_the_lists_of_public_names_are_right():
    assert wrong_lists(ROOT) == []


def test_constants_come_before_classes_and_classes_before_functions():
    assert in_order(["dice", "Score", "MEASURES", "hd95"]) == ["MEASURES", "Score", "dice", "hd95"]


def test_every_package_with_public_names_is_looked_at():
    home = ROOT / "src/labelmend"
    assert sorted(
        _dotted(home, p) for p in home.rglob("__init__.py") if p.parent != home and listed(p)
    ) == list(PACKAGES)


def _dotted(home: Path, init: Path) -> str:
    return init.parent.relative_to(home).as_posix().replace("/", ".")


def test_there_are_public_names_at_all():
    assert {"train", "evaluate", "simulate", "spatial_correction"} <= set(labelmend.__all__)


def assert_public_home(member: Any) -> None:
    assert member.__module__.startswith("labelmend.")
    assert not any(part.startswith("_") for part in member.__module__.split("."))


@pytest.mark.parametrize("function", public(inspect.isfunction))
def test_a_public_function_is_documented(function):
    assert undocumented(function) == ""
    assert_public_home(function)


@pytest.mark.parametrize("kind", public(inspect.isclass))
def test_a_public_class_is_documented(kind):
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")  # dataclass would write that itself
    assert_public_home(kind)


@pytest.mark.parametrize("kind", public(is_dataclass))
def test_a_public_dataclass_says_what_its_fields_are(kind):
    assert [f.name for f in dataclasses.fields(kind) if f.name not in kind.__doc__] == []


def test_a_public_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        labelmend.no_such_name  # noqa: B018
    assert "train" in dir(labelmend)


def test_packages_load_when_they_are_first_used():
    code = "import labelmend, sys; assert 'numpy' not in sys.modules; print(labelmend.metrics.dice.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "dice\n"
    assert {"losses", "metrics", "noise", "methods"} <= set(dir(labelmend))


def test_a_function_with_a_gap_in_its_docstring_is_told():
    def three(a, b, c):
        """One sentence."""

    def silent(a):
        pass

    def forgets(a, b):
        """One sentence.

        Args:
            a: a number.
        """

    assert undocumented(three) == "has 3 parameters but no Args"
    assert undocumented(silent) == "has no docstring"
    assert undocumented(forgets) == "does not say what b is"
