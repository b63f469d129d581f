"""The wheel, installed into a clean environment without any extra: what it serves, and what it asks for."""

from __future__ import annotations

import email
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import drawn_correct
from drawn_data import picture
from labelmend.runtime.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src")

WITHOUT_EXTRAS = {
    "simulate": "labels --out SIMULATED --noise polygon --classes '{disc: 1}'",
    "fit-noise": "labels true --out FITTED --classes '{disc: 1}'",
    "evaluate": "labels true --classes '{disc: 1}'",
    "audit": "labels --probabilities probs --images images --out AUDIT --classes '{disc: 1}'",
    "review": "apply AUDIT verdicts.json --out FINAL",
    "correct": "labels --probabilities probs --clean clean --out CORRECTED --classes '{disc: 1}'",
}
"""Verb -> arguments, in the order in which a person would type them: `review` needs what `audit` wrote."""

WITH_EXTRAS = {
    "train data --labels given --out RUN": "training needs PyTorch: pip install 'labelmend[train]'",
    "predict RUN images --out OUT": "labelmend predict needs PyTorch: pip install 'labelmend[train]'",
    "pseudo-masks images tags.csv --out OUT": (
        "labelmend pseudo-masks needs PyTorch: pip install 'labelmend[train]'"
    ),
    "demo": "labelmend demo needs PyTorch: pip install 'labelmend[train]'",
    "estimate-transition table.csv --target y": (
        "reading a table needs pandas: pip install 'labelmend[tabular]'"
    ),
    "audit cats.json --probabilities probs --out OUT": (
        "reading COCO labels needs pycocotools: pip install 'labelmend[coco]'"
    ),
    "simulate labels --out OUT --noise polygon --classes '{disc: 1}' --backend ray": (
        "backend \"ray\" needs Ray: pip install 'labelmend[ray]'"
    ),
    "audit labels --probabilities probs --out OUT --classes '{disc: 1}' --parquet": (
        "writing Parquet needs pyarrow: pip install 'labelmend[tabular]'"
    ),
}
"""Command -> what it says where its extra is missing."""


@dataclass(frozen=True)
class Clean:
    """An environment of its own, and a folder of drawn data to work in."""

    python: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Python there; nothing of this checkout is on its path."""
        return run(self.python, "-I", *arguments, folder=self.folder)

    def labelmend(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "labelmend", *shlex.split(command))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy: setuptools leaves its traces where it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", out, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """The wheel beside what it requires, linked from this environment: no network, and no extra."""
    home, data = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("data")
    venv.create(home, with_pip=False)
    python = home / "bin/python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    for name in required(*metadata(wheel).get_all("Requires-Dist", [])):
        link(distribution(name), packages)
    return Clean(python, drawn(data))


def run(*command: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command that does not see this checkout through PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


def pip(*arguments: str | Path) -> None:
    done = run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def metadata(wheel: Path) -> Message:
    """METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def required(*requirements: str) -> set[str]:
    """Names of the distributions that requirements bring, and of those that these bring, and so on."""
    found: set[str] = set()
    waiting = [(Requirement(line), frozenset({""})) for line in requirements]
    seen = set()
    while waiting:
        requirement, active = waiting.pop()
        marker = requirement.marker
        if str(requirement) in seen or (marker and not any(marker.evaluate({"extra": e}) for e in active)):
            continue
        seen.add(str(requirement))
        found.add(canonicalize_name(requirement.name))
        further = distribution(requirement.name).requires or []
        waiting += [(Requirement(line), frozenset({"", *requirement.extras})) for line in further]
    return found


def link(installed: Distribution, packages: Path) -> None:
    """Make a distribution importable in another environment."""
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))).resolve())


def drawn(folder: Path) -> Path:
    """Masks drawn too large, with probabilities, and the little that the other commands look at first."""
    drawn_correct.generous(folder)
    for case, radius in drawn_correct.RADII.items():
        picture(folder / "images" / f"{case}.png", drawn_correct.disc(radius) * 0.5 + 0.2)
    shutil.copytree(folder / "images", folder / "data/images")
    shutil.copytree(folder / "labels", folder / "data/given")
    (folder / "tags.csv").write_text("case,disc\n" + "".join(f"{case},1\n" for case in drawn_correct.CASES))
    (folder / "table.csv").write_text("a,y\n1,0\n2,1\n")
    (folder / "cats.json").write_text('{"images": [], "annotations": [], "categories": []}')
    return folder


def test_a_plain_installation_brings_no_package_of_an_extra(wheel, clean):
    names = required(*metadata(wheel).get_all("Requires-Dist", []))
    assert {"numpy", "scipy", "joblib", "jsonargparse"} <= names
    assert not {"torch", "monai", "accelerate", "safetensors"} & names
    done = clean.run("-c", f"import importlib.util as u; print([u.find_spec(n) for n in {sorted(EXTRAS)}])")
    assert done.stdout == f"{[None] * len(EXTRAS)}\n", done.stderr


def test_the_package_under_test_is_the_one_in_the_wheel(clean):
    done = clean.run("-c", "import labelmend; print(labelmend.__file__)")
    assert Path(done.stdout).is_relative_to(clean.python.parents[1]), done.stderr


def test_templates_and_scripts_are_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("labelmend/") for name in archive.namelist()}
    home = ROOT / "src/labelmend"
    there = {path for path in home.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    wanted = {path.relative_to(home).as_posix() for path in there}
    assert any(name.endswith(".jinja") for name in wanted)
    assert wanted <= inside


def test_verbs_without_extras_run_in_a_clean_environment(clean):
    for verb, arguments in WITHOUT_EXTRAS.items():
        if verb == "review":
            write_verdicts(clean.folder)
        done = clean.labelmend(f"{verb} {arguments}")
        assert done.returncode == 0, f"{verb}: {done.stderr}"
    written = ("SIMULATED/manifest.jsonl", "FITTED", "AUDIT/report.html", "FINAL/labels", "CORRECTED/labels")
    assert [name for name in written if not (clean.folder / name).exists()] == []


def write_verdicts(folder: Path) -> None:
    """What a person who takes the first proposal would save from the page."""
    audit = json.loads((folder / "AUDIT/audit.json").read_text())["id"]
    verdict = {"case": "a", "verdict": "keep", "at": "", "note": ""}
    kind = {"kind": "labelmend verdicts", "version": 1, "audit": audit, "verdicts": [verdict]}
    (folder / "verdicts.json").write_text(json.dumps(kind))


@pytest.mark.parametrize("command", WITH_EXTRAS)
def test_where_an_extra_is_missing_one_sentence_names_it(clean, command):
    done = clean.labelmend(command)
    assert (done.returncode, done.stdout) == (2, "")
    (sentence,) = done.stderr.splitlines()
    assert sentence.endswith(WITH_EXTRAS[command])
    assert not (clean.folder / "OUT").exists()


@pytest.mark.parametrize("verb", ["train", "predict", "audit"])
def test_the_settings_of_a_verb_can_be_read_without_its_extra(clean, verb):
    done = clean.labelmend(f"{verb} --help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"labelmend {verb}" in done.stdout


@pytest.mark.parametrize("name", ["load_predictor", "losses"])
def test_a_name_of_the_package_that_needs_an_extra_says_so(clean, name):
    done = clean.run("-c", f"import labelmend; labelmend.{name}")
    assert done.stderr.splitlines()[-1] == (
        f"labelmend.errors.MissingExtraError: labelmend.{name} needs PyTorch: pip install 'labelmend[train]'"
    )


def test_pictures_and_links_of_the_readme_lead_somewhere_from_the_package_index_too(wheel):
    """Where the README is shown elsewhere, a path of this repository leads nowhere."""
    text = metadata(wheel).get_payload()
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    assert targets
    assert [path or link for path, link in targets if not (path or link).startswith(("https://", "#"))] == []
