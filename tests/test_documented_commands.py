"""Whatever README, CONTRIBUTING and docs print can be typed: commands, settings, names and links exist."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import labelmend
from labelmend.cli import VERBS, cli_module

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


@pytest.fixture
def beside_a_run(tmp_path, monkeypatch):
    """A working folder with a RUN whose settings can be read."""
    from labelmend.methods.spatial_correction import SpatialCorrection
    from labelmend.workflows.training.config import TrainConfig, to_yaml

    (tmp_path / "RUN").mkdir()
    settings = to_yaml(TrainConfig(data="DATA", out="RUN", clean="CHECKED"), SpatialCorrection())
    (tmp_path / "RUN/config.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("page", "words"), all_commands(), ids=name)
def test_a_printed_command_can_be_typed(page, words, beside_a_run):
    verb, *rest = words
    assert verb in VERBS
    if "--help" in rest:
        return
    arguments = cli_module(verb).parser().parse_args(rest)
    if verb == "train":
        from labelmend.cli.train import config_of

        assert config_of(arguments).out == rest[rest.index("--out") + 1] if "--out" in rest else "RUN"


def test_there_are_commands_to_look_at():
    verbs = {words[0] for _, words in all_commands()}
    assert verbs >= {"train", "predict", "evaluate", "simulate"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_printed_python_compiles_and_uses_names_and_settings_that_exist(page):
    from labelmend.workflows.training.config import TrainConfig

    settings = {f.name for f in dataclasses.fields(TrainConfig)} | {
        *inspect.signature(labelmend.train).parameters
    }
    for block in python_blocks(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "labelmend":
                assert node.attr in dir(labelmend)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "labelmend.train":
                assert {k.arg for k in node.keywords if k.arg} <= settings
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labelmend."):
                if node.module == "labelmend.methods.sure_network":  # the example of CONTRIBUTING.md
                    continue
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_flags_told_in_the_text_exist(page, capsys):
    known = set()
    for verb in VERBS:
        parser = cli_module(verb).parser()
        with pytest.raises(SystemExit):
            parser.parse_args(["--help"])
        known |= set(re.findall(r"--[\w.]+", capsys.readouterr().out))
    told = re.findall(r"`(--[\w.]+)", page.read_text(encoding="utf-8"))
    assert [flag for flag in told if flag not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_the_project_told_in_the_text_are_there(page):
    pattern = r"`((?:src|tests|docs|examples|benchmarks)/[\w./]+)`"
    told = re.findall(pattern, page.read_text(encoding="utf-8"))
    absent = [path for path in told if not (ROOT / path).exists()]
    assert [path for path in absent if "sure_network" not in path] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    told = set(re.findall(r"`make (\w+)", text)) | {
        line.split()[1] for line in lines_of_code(text) if line.startswith("make ")
    }
    assert told <= targets
