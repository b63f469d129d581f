"""Imports go down only, nothing loads torch without need, and methods know neither files nor loops."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH_FREE = (
    "labelmend",
    "labelmend.types",
    "labelmend.geometry",
    "labelmend.phantom",
    "labelmend.metrics",
    "labelmend.noise",
    "labelmend.theory",
    "labelmend.transition",
    "labelmend.workflows.auditing.findings",
    "labelmend.workflows.image_tags",
    "labelmend.workflows.noise_fitting",
    "labelmend.io",
    "labelmend.methods.registry",
    "labelmend.html",
    "labelmend.workflows.simulation",
    "labelmend.workflows.class_labels.page",
    "labelmend.workflows.image_tags.page",
    "labelmend.workflows.correction.correct",
    "labelmend.workflows.noise_fitting.fit",
    "labelmend.workflows.evaluation",
    "labelmend.workflows.auditing.audit",
    "labelmend.workflows.reviewing.apply",
    "labelmend.workflows.class_labels.estimate",
    "labelmend.cli",
    "labelmend.cli.simulate",
    "labelmend.cli.evaluate",
    "labelmend.cli.audit",
    "labelmend.cli.pseudo_masks",
    "labelmend.cli.review",
    "labelmend.cli.estimate_transition",
    "labelmend.cli.correct",
    "labelmend.cli.fit_noise",
    "labelmend.cli.predict",
    "labelmend.cli.train",
)
MAY_USE_THE_PUBLIC_FACE = ("__main__.py", "cli/", "demo.py", "workflows/training/train.py")


def run_python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python on the package below `root`/src, whichever one is installed."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def broken_contracts(root: Path) -> str:
    """What import-linter says against the package below `root`; empty if the contract is kept."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = run_python(root, "-c", code)
    assert "Contracts:" in done.stdout, done.stdout + done.stderr  # it did look at them
    return "" if done.returncode == 0 else done.stdout


def loads_torch(root: Path, modules: tuple[str, ...]) -> str:
    """The first of the modules, imported one after the other, after which torch is loaded; empty if none."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(name)\n"
    )
    done = run_python(root, "-c", code, *modules)
    assert done.returncode in (0, 1), done.stderr
    return done.stderr.strip()


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it: `a.b.c` also for `from a.b import c`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def methods_that_know_files_or_loops(root: Path) -> list[str]:
    """Imports of io, html, model, a job or cli in methods/, as `file: import`."""
    above = tuple(f"labelmend.{layer}" for layer in ("io", "workflows", "html", "model", "cli"))
    return [
        f"{path.name}: {name}"
        for path in sorted((root / "src/labelmend/methods").glob("*.py"))
        for name in imports(path)
        if name in above or name.startswith(tuple(f"{layer}." for layer in above))
    ]


def uses_of_the_public_face(root: Path) -> list[str]:
    """Modules that take more than the version or a package from `labelmend` itself, the face of all layers.

    import-linter does not follow what the root package imports, since it imports lazily; this closes the gap.
    """
    home = root / "src/labelmend"
    found = []
    for path in sorted(home.rglob("*.py")):
        place = path.relative_to(home).as_posix()
        for name in imports(path):
            parent, _, last = name.rpartition(".")
            is_module = (home / last).is_dir() or (home / f"{last}.py").is_file()
            takes_public = name == "labelmend" or (parent == "labelmend" and not is_module)
            if takes_public and last != "__version__" and not place.startswith(MAY_USE_THE_PUBLIC_FACE):
                found.append(f"{place}: {name}")
    return found


MOST_MODULES = 20
"""In one folder: more, and nobody finds the one that is looked for."""


def crowded_folders(root: Path) -> list[str]:
    """Folders with more modules than `MOST_MODULES`."""
    home = root / "src/labelmend"
    counts = Counter(path.parent.relative_to(home).as_posix() for path in home.rglob("*.py"))
    return sorted(folder for folder, count in counts.items() if count > MOST_MODULES)


def names_twice(root: Path) -> dict[str, list[str]]:
    """Public classes and functions of one name in several modules; verbs of the command line aside."""
    found: dict[str, list[str]] = {}
    home = root / "src/labelmend"
    for path in sorted(home.rglob("*.py")):
        place = path.relative_to(home).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(place)
    return {
        name: places
        for name, places in found.items()
        if len(places) > 1 and not all(place.startswith("cli/") for place in places)
    }


def test_imports_go_down_only():
    assert broken_contracts(ROOT) == ""


def test_simulate_audit_and_everything_below_start_without_torch():
    assert loads_torch(ROOT, TORCH_FREE) == ""


def test_no_folder_is_crowded():
    assert crowded_folders(ROOT) == []


def test_no_two_public_classes_or_functions_have_one_name():
    assert names_twice(ROOT) == {}


def test_methods_know_neither_files_nor_loops():
    assert methods_that_know_files_or_loops(ROOT) == []


def test_no_module_reaches_other_layers_through_the_root_package():
    assert uses_of_the_public_face(ROOT) == []


def test_the_imports_of_a_file_are_found_wherever_they_are(tmp_path):
    text = "import a.b as c\ndef f():\n    from d.e import g, h\n    if g:\n        import i\n"
    (tmp_path / "x.py").write_text(text)
    assert list(imports(tmp_path / "x.py")) == ["a.b", "d.e.g", "d.e.h", "i"]
