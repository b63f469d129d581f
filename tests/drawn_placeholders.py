"""Everything that the commands in the documents name (DATA, LABELS, TAGS.csv, ...), drawn small."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

import drawn_audit
import drawn_coco
import drawn_data
from drawing import picture
from drawn_findings import CLASSES, disc_set, discs

TRUSTED = ("c00", "c02", "c03")
TRAIN_RUN = ["train", "DATA", "--labels", "given", "--clean", "DATA/clean", "--out", "RUN"]

QUICK = {
    "epochs": "1",
    "resize": "16",
    "batch_size": "4",
    "threads": "1",
    "jobs": "1",
    "n_boot": "4",
    "max_cases": "1",
    "network.args": json.dumps(drawn_data.TINY.args),
    "folds": "2",
    "train.epochs": "1",
    "train.resize": "16",
    "train.batch_size": "4",
    "train.threads": "1",
    "train.network.args": json.dumps(drawn_data.TINY.args),
}
"""Settings under which a command ends soon."""

VOLUMES = {"missing_slices", "slice_steps", "--patch"}
"""Words of commands that are about volumes."""

FOLDERS = {
    "DATA/given": "labels",
    "LABELS": "labels",
    "GIVEN": "labels",
    "SEEDS/labels": "labels",
    "BEN": "labels",
    "ANNA": "truth",
    "CARLA": "truth",
    "CLEAN": "truth",
    "REFERENCE": "truth",
    "IMAGES": "images",
    "PROBS": "probabilities",
}
"""Placeholder: the folder of `disc_set` that it stands for."""

TRUSTED_FOLDERS = ("DATA/clean", "DATA/checked", "TRUSTED", "TRUSTED_LABELS")


def quickly(words: Sequence[str], settings: Collection[str]) -> list[str]:
    """A command with the quick settings that its verb has and that fit its words."""
    unfit = {"resize"} if "--patch" in words else {"network.args"} if "--network.name" in words else set()
    fit = [name for name in QUICK if name in settings and name not in unfit]
    return [*words, *(f"--{name}={QUICK[name]}" for name in fit)]


def suit(work: Path, words: Sequence[str]) -> None:
    """Make room for what a command writes, and let the data be of the kind that it is about."""
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if word == "--out":
            shutil.rmtree(work / value, ignore_errors=True)
    if VOLUMES & {*words}:
        shutil.rmtree(work / "DATA")
        drawn_data.volumes(work / "DATA")
        (work / "DATA/checked").mkdir()
        shutil.copy(work / "DATA/clean/c0.nii.gz", work / "DATA/checked")
        shutil.rmtree(work / "LABELS")
        shutil.copytree(work / "DATA/clean", work / "LABELS")
    if "--preset" in words:
        (work / words[1] / "dataset.json").write_text(json.dumps({"labels": {"heart": 1, "lung": 2}}))
    if "--dataset" in words:
        shutil.rmtree(work / "AUDIT")
        shutil.move(drawn_audit.regions(work / "regions"), work / "AUDIT")
        drawn_audit.decide(work, ("v", "take"))


def draw_placeholders(root: Path) -> Path:
    """Draw all but RUN: twelve pictures of two discs, a COCO data set, an audit with verdicts, tables."""
    data = disc_set(root / "DATA")
    for name, source in FOLDERS.items():
        shutil.copytree(data / source, root / name)
    for case in TRUSTED:
        true = discs(int(case[1:]))[0]
        for name in TRUSTED_FOLDERS:
            picture(root / name / f"{case}.png", true)
        picture(root / "CHECKED/labels" / f"own_{case}.png", true)
        picture(root / "CHECKED/images" / f"own_{case}.png", true * 90)
    (root / "trusted.txt").write_text("\n".join(TRUSTED))
    cases = sorted(path.stem for path in (root / "LABELS").glob("*.png"))
    folds = [{"train": cases[1::2], "val": cases[::2]}, {"train": cases[::2], "val": cases[1::2]}]
    (root / "splits_final.json").write_text(json.dumps(folds))
    (root / "LABELS/dataset.json").write_text(json.dumps({"labels": {"left": 1, "right": 2}}))
    _coco(root)
    _audit(root)
    _tables(root)
    return root


def _coco(root: Path) -> None:
    """instances.json, and its photos and probabilities beside those of the discs."""
    home = drawn_coco.coco_set(root / "coco")
    shutil.move(home / "instances.json", root)
    shutil.copytree(home / "images", root / "IMAGES", dirs_exist_ok=True)
    shutil.copytree(home / "probabilities", root / "PROBS", dirs_exist_ok=True)


def _audit(root: Path) -> None:
    """AUDIT, the verdicts of its page, and FINAL/labels with what was drawn again."""
    shutil.move(drawn_audit.flat(root / "flat"), root / "AUDIT")
    drawn_audit.decide(root, ("a", "take"), ("b", "redraw"))
    picture(root / "FINAL/labels/b.png", drawn_audit.box((12, 16), (5, 9), (5, 8)) * 2)


def _tables(root: Path) -> None:
    """TAGS.csv of IMAGES; TABLE.csv and PATIENTS.csv with two classes, a fifth of them wrong."""
    rng = np.random.default_rng(0)
    cases = sorted(path.stem for path in (root / "DATA/images").iterdir())
    tags = [f"{case},{i % 2},{i % 3 // 2}" for i, case in enumerate(cases)]
    (root / "TAGS.csv").write_text("\n".join([",".join(["image", *CLASSES]), *tags, ""]))
    lines = ["patient,marker,height,COL,diagnosis"]
    for i in range(120):
        given = (i + (rng.random() < 0.2)) % 2
        marker, height = rng.normal(5 * (i % 2)), rng.normal()
        lines.append(f"{i // 2},{marker:.3f},{height:.3f},class {given},class {given}")
    for name in ("TABLE.csv", "PATIENTS.csv"):
        (root / name).write_text("\n".join([*lines, ""]))
