"""What README, CONTRIBUTING and docs print is true: commands run, names, settings, files and links exist."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import os
import re
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

import labelmend
from drawn_placeholders import TRAIN_RUN, draw_placeholders, quickly, suit
from labelmend.cli import VERBS, cli_module, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])
LAUNCHERS = ("accelerate launch", "torchrun")


def name(value: object) -> str:
    """A readable test id."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def lines_of_code(text: str) -> Iterator[str]:
    """Lines of indented and fenced blocks that hold no Python."""
    fence = ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else line.strip()
        elif (fence and fence != "```python") or (not fence and line.startswith("    ")):
            yield line.strip().removeprefix("$ ")


def commands(text: str) -> Iterator[list[str]]:
    """The words after `labelmend` of every command, whatever launches it."""
    for line in lines_of_code(text):
        if line.startswith("labelmend ") or line.startswith(LAUNCHERS):
            words = shlex.split(line, comments=True)
            yield words[words.index("labelmend") + 1 :]


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def all_commands() -> list[tuple[Path, list[str]]]:
    return [(page, words) for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]


def distinct_commands() -> list[pytest.param]:
    """Every command once, named by the page that prints it first."""
    first = {}
    for page, words in all_commands():
        first.setdefault(tuple(words), page)
    return [pytest.param(words, id=f"{page.stem}: {' '.join(words)}") for words, page in first.items()]


def pages_with(find: Callable[[str], Collection[str]]) -> list[pytest.param]:
    """Pages in whose text something is found, with what it is."""
    found = {page: find(page.read_text(encoding="utf-8")) for page in PAGES}
    return [pytest.param(page, sorted(set(told)), id=name(page)) for page, told in found.items() if told]


@cache
def settings(verb: str) -> frozenset[str]:
    """The flags of a verb without dashes, as it helps: epochs, n_boot, method.level."""
    with redirect_stdout(StringIO()) as printed, pytest.raises(SystemExit):
        cli_module(verb).parser().parse_args(["--help-all"])
    shown = printed.getvalue().replace("[no-]", "")
    return frozenset(flag.replace("-", "_") for flag in re.findall(r"--([\w.-]+)", shown))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where every placeholder is there, RUN too."""
    root = draw_placeholders(tmp_path_factory.mktemp("placeholders"))
    with contextlib.chdir(root):
        assert main(quickly(TRAIN_RUN, settings("train"))) == 0
    return root


@pytest.mark.parametrize("words", distinct_commands())
def test_a_printed_command_runs(words, drawn, tmp_path, monkeypatch):
    if "ray" in words:
        pytest.importorskip("ray")
    work = Path(shutil.copytree(drawn, tmp_path / "work"))
    monkeypatch.chdir(work)
    monkeypatch.setenv("PWD", str(work))
    suit(work, words)
    argv = quickly([os.path.expandvars(word) for word in words], settings(words[0]))
    if {"--help", "--help-all"} & {*words}:
        with pytest.raises(SystemExit, match=r"^0$"):
            main(argv)
    else:
        assert main(argv) == 0


def test_a_printed_command_with_an_unknown_placeholder_fails(drawn, monkeypatch, capsys):
    monkeypatch.chdir(drawn)
    assert main(["evaluate", "RUN/labels", "NOBODY"]) == 2
    assert "NOBODY" in capsys.readouterr().err


def test_there_are_commands_to_look_at():
    verbs = {words[0] for _, words in all_commands()}
    assert verbs >= {"train", "predict", "evaluate", "simulate"}


@pytest.mark.parametrize(("page", "blocks"), pages_with(python_blocks))
def test_printed_python_compiles_and_uses_names_and_settings_that_exist(page, blocks):
    from labelmend.workflows.training.config import TrainConfig

    settings = {f.name for f in dataclasses.fields(TrainConfig)} | {
        *inspect.signature(labelmend.train).parameters
    }
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "labelmend":
            assert node.attr in dir(labelmend)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "labelmend.train":
            assert {k.arg for k in node.keywords if k.arg} <= settings
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labelmend."):
            if node.module == "labelmend.methods.sure_network":  # the example of CONTRIBUTING.md
                continue
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


def flags_in_prose(text: str) -> list[str]:
    return [flag.replace("-", "_") for flag in re.findall(r"`--([\w.-]+)", text)]


@pytest.mark.parametrize(("page", "flags"), pages_with(flags_in_prose))
def test_flags_told_in_the_text_exist(page, flags):
    known = frozenset().union(*(settings(verb) for verb in VERBS))
    known |= {"version", *(f"no_{flag}" for flag in known)}
    assert [flag for flag in flags if flag not in known] == []


def links_to_files(text: str) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target]


@pytest.mark.parametrize(("page", "targets"), pages_with(links_to_files))
def test_links_to_files_lead_somewhere(page, targets):
    assert [target for target in targets if not (page.parent / target).exists()] == []


def files_in_prose(text: str) -> list[str]:
    paths = re.findall(r"`((?:src|tests|docs|examples|benchmarks)/[\w./]+)`", text)
    return [path for path in paths if "sure_network" not in path]


@pytest.mark.parametrize(("page", "paths"), pages_with(files_in_prose))
def test_files_of_the_project_told_in_the_text_are_there(page, paths):
    assert [path for path in paths if not (ROOT / path).exists()] == []


def targets_of_make(text: str) -> list[str]:
    lines = [line.split()[1] for line in lines_of_code(text) if line.startswith("make ")]
    return [*re.findall(r"`make (\w+)", text), *lines]


@pytest.mark.parametrize(("page", "targets"), pages_with(targets_of_make))
def test_targets_of_make_exist(page, targets):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {*targets} <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
