"""tests/ mirrors src/labelmend one to one: a module without tests, or tests without a module, show."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TESTED_ELSEWHERE = {
    "__init__.py": "tests/test_exported_members.py",
    "__main__.py": "tests/cli/test_cli.py",
    "cli/__init__.py": "tests/cli/test_cli.py",
    "workflows/class_labels/__init__.py": "tests/test_exported_members.py",
    "workflows/image_tags/__init__.py": "tests/test_exported_members.py",
}
"""Modules whose tests have another name, and where they are."""

NO_MODULE_OF_THEIR_OWN = {
    "workflows/correction/test_correct_learned.py": "engine/correct.py and engine/learned.py together",
    "cli/test_cli.py": "the dispatch in cli/__init__.py and __main__.py",
    "cli/test_two_starts.py": "every verb that writes, twice at once",
    "runtime/test_ray.py": "work on a Ray cluster, of `each` and of the verbs that have --backend",
    "workflows/training/test_resume.py": "runs that are killed and started again",
    "workflows/training/test_two_processes.py": "every method on two processes",
    "methods/test_contract.py": "every method",
    "noise/test_noise_fuzz.py": "every kind of error in masks",
    "test_bad_input.py": "the sentence and the exit code of every kind of bad input",
    "test_contributing.py": "the worked example of CONTRIBUTING.md",
    "test_doctests.py": "the examples in docstrings",
    "test_documented_names.py": "the names in README.md and docs/",
    "test_notebooks.py": "the notebooks in docs/",
    "test_documented_commands.py": "the commands in README.md and docs/",
    "test_examples.py": "examples/",
    "test_fuzz_readers.py": "drawn garbage at every reader",
    "test_exported_members.py": "the public names of all packages",
    "test_guards_can_fail.py": "the four guards",
    "test_installation.py": "the wheel in an environment without any extra",
    "test_layers.py": "who imports whom",
    "test_repository.py": "what lies beside the package: hooks, hosted CI, templates, versions",
    "test_tree_mirror.py": "the two trees",
}
"""Test files that belong to no single module, and what they test."""


def modules(root: Path) -> list[str]:
    """Modules below src/labelmend, as paths; an `__init__.py` counts only if it defines something."""
    home = root / "src/labelmend"
    paths = sorted(home.rglob("*.py"))
    return [p.relative_to(home).as_posix() for p in paths if p.name != "__init__.py" or _does_something(p)]


def allowed_names(module: str) -> set[str]:
    """Names that the test file of a module may have, with or without its package in front."""
    folder, _, name = module.rpartition("/")
    if not folder:
        return {f"test_{name}"}
    return {f"{folder}/test_{name}", f"{folder}/test_{folder.rpartition('/')[2]}_{name}"}


def files_of_tests(root: Path) -> set[str]:
    home = root / "tests"
    return {path.relative_to(home).as_posix() for path in home.rglob("test_*.py")}


def untested_modules(root: Path) -> list[str]:
    """Modules without a test file."""
    there = files_of_tests(root)
    return [m for m in modules(root) if m not in TESTED_ELSEWHERE and not allowed_names(m) & there]


def homeless_tests(root: Path) -> list[str]:
    """Test files that belong to no module and are not named above."""
    mirrored = set().union(*(allowed_names(module) for module in modules(root)))
    return sorted(files_of_tests(root) - mirrored - NO_MODULE_OF_THEIR_OWN.keys())


def _does_something(path: Path) -> bool:
    """True if a file defines functions or classes."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, definitions) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def test_every_module_has_a_test_file():
    assert untested_modules(ROOT) == []


def test_every_test_file_has_a_module():
    assert homeless_tests(ROOT) == []


def test_a_test_file_may_have_its_package_in_front():
    assert allowed_names("io/base.py") == {"io/test_base.py", "io/test_io_base.py"}
    assert allowed_names("types.py") == {"test_types.py"}


def test_the_exceptions_are_real():
    assert TESTED_ELSEWHERE.keys() <= set(modules(ROOT))
    assert {path for path in TESTED_ELSEWHERE.values() if not (ROOT / path).is_file()} == set()
    assert NO_MODULE_OF_THEIR_OWN.keys() <= files_of_tests(ROOT)
    assert not any(allowed_names(m) & NO_MODULE_OF_THEIR_OWN.keys() for m in modules(ROOT))


def test_every_test_file_holds_a_test():
    for name in sorted(files_of_tests(ROOT)):
        text = (ROOT / "tests" / name).read_text(encoding="utf-8")
        assert any(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.walk(ast.parse(text))
        ), name


def test_test_files_have_unique_names_since_they_are_in_no_package():
    names = [Path(name).name for name in files_of_tests(ROOT)]
    assert sorted(set(names)) == sorted(names)
