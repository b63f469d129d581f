"""Radiographs with drawn label errors and out-of-sample probabilities, to judge what finds the errors.

    python benchmarks/audit_data.py OUT [--part report] [--only bias] [--share 0/2 --threads 1] [--minutes 9]

JSRT at 128 x 128 px with exclusive classes (lung, heart over it, clavicle over both). Two parts without a
common
case: `develop`, on which detectors may be tuned, and `report`. Of each, a share of the cases is corrupted
with one kind of error, five networks of the project are trained on four fifths of these labels each, and each
predicts the fifth that it has not seen. Written as a user has it:

    OUT/PART/images/*.png   OUT/PART/clean/*.png   OUT/PART/KIND-SHARE/labels/*.png   .../probabilities/*.npz

Repeat the command until it says that nothing is left.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import labelmend
from labelmend.engine.config import NetworkConfig
from labelmend.io import open_dataset, read_image
from labelmend.noise import DeformationNoise, Noise, case_generator
from labelmend.types import BoolArray, Grid, LabelMap
from run_suite import data_root

CLASSES = ("lung", "heart", "clavicle")  # painted in this order
SIDE, N_FOLDS = 128, 5
PARTS = {"develop": slice(0, 74), "report": slice(74, 148)}
SHARES = (0.05, 0.2, 0.5)
BIAS = DeformationNoise(sd_mm=0.5, length_mm=15, offset_mm=2.5)
ROUGH = DeformationNoise(sd_mm=3.0, length_mm=12)
SETTINGS = {"epochs": 20, "batch_size": 8, "device": "cpu"}
NETWORK = NetworkConfig(args={"channels": (12, 24, 48, 96, 128)})


def grown(masks: BoolArray, rng: np.random.Generator, noise: Noise = BIAS) -> BoolArray:
    """Every outline too generous by 2.5 px."""
    labels = LabelMap(masks, Grid((SIDE, SIDE), (1.0, 1.0), unit="px"), CLASSES)
    return noise.apply(labels, noise.draw(rng, labels)).masks()


def rough(masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Outlines off by turns, by 3 px along each axis."""
    return grown(masks, rng, ROUGH)


def missing(masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One object overlooked."""
    index, hit = any_object(masks, rng)
    return changed(masks, index, masks[index] & ~hit)


def spurious(masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One ellipse of any class, apart from the class and from what is painted over it."""
    index = int(rng.integers(len(CLASSES)))
    free = np.argwhere(ndimage.distance_transform_cdt(~masks[index:].any(0), "chessboard") > 8)
    centre = free[rng.integers(len(free))]
    radii = rng.uniform(4, 9, 2)
    gaps = (np.indices((SIDE, SIDE)) - centre[:, None, None]) / radii[:, None, None]
    return changed(masks, index, masks[index] | ((gaps**2).sum(0) < 1))


def swapped(masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One object annotated as another class."""
    index, hit = any_object(masks, rng)
    other = int((index + rng.integers(1, len(CLASSES))) % len(CLASSES))
    out = changed(masks, index, masks[index] & ~hit)
    above = np.arange(len(CLASSES))[:, None, None] > other  # what would be painted over the object
    return changed(np.where(above, out & ~hit, out), other, out[other] | hit)


def shifted(masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The whole mask moved by 5 px in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    steps = np.rint(5 * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    return np.stack([ndimage.shift(m, steps, order=0) for m in masks.astype(np.uint8)]) > 0


KINDS = {
    "bias": grown,
    "rough": rough,
    "missing": missing,
    "spurious": spurious,
    "swap": swapped,
    "shift": shifted,
}


def any_object(masks: BoolArray, rng: np.random.Generator) -> tuple[int, BoolArray]:
    """A class and one of its objects of 20 px or more, drawn among all objects."""
    found = []
    for index, mask in enumerate(masks):
        parts, n = ndimage.label(mask)
        found += [(index, parts == i) for i in range(1, n + 1) if (parts == i).sum() >= 20]
    return found[rng.integers(len(found))]


def changed(masks: BoolArray, index: int, mask: BoolArray) -> BoolArray:
    return np.stack([mask if i == index else m for i, m in enumerate(masks)])


def painted(masks: BoolArray) -> NDArray[np.uint8]:
    """Overlapping masks as one integer map, later classes over earlier ones."""
    array = np.zeros(masks.shape[1:], np.uint8)
    for value, mask in enumerate(masks, start=1):
        array[mask] = value
    return array


def halved(array: NDArray) -> NDArray[np.floating]:
    """Mean over 2 x 2 pixels."""
    return array.reshape(*array.shape[:-2], SIDE, 2, SIDE, 2).mean((-3, -1))


def prepare(out: Path, part: str) -> None:
    """Images and clean labels of a part at 128 px, and the corrupted copies; done once."""
    home = out / part
    if (home / "ready").exists():
        return
    source = open_dataset(data_root("jsrt") / "train", "clean")
    order = np.random.default_rng(0).permutation(len(source.cases))[PARTS[part]]
    cases = sorted(source.cases[i] for i in order)
    names = {"labels": {"background": 0, **{name: i for i, name in enumerate(CLASSES, start=1)}}}
    clean = {}
    for case in cases:
        labels = source.read_labels(case)
        masks = np.stack([labels.masks()[labels.classes.index(name)] for name in CLASSES])
        clean[case] = halved(masks.astype(float)) >= 0.5
        save(
            home / "images" / f"{case}.png", halved(source.read_image(case).array[0]).round().astype(np.uint8)
        )
        save(home / "clean" / f"{case}.png", painted(clean[case]))
    (home / "clean" / "dataset.json").write_text(json.dumps(names))
    for kind, corrupt in KINDS.items():
        for share in SHARES:
            folder = home / f"{kind}-{round(100 * share)}"
            hit = set(case_generator(1, kind).permutation(cases)[: max(1, round(share * len(cases)))])
            for case in cases:
                masks = corrupt(clean[case], case_generator(2, kind, case)) if case in hit else clean[case]
                save(folder / "labels" / f"{case}.png", painted(masks))
            (folder / "labels" / "dataset.json").write_text(json.dumps(names))
            (folder / "corrupted.json").write_text(json.dumps(sorted(hit)))
    (home / "ready").touch()


def save(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def predict_fold(out: Path, part: str, setting: str, fold: int, threads: int) -> None:
    """Train on four fifths, write the probabilities of the last one as float16."""
    home = out / part
    folder, target = home / setting, home / setting / "probabilities"
    cases = np.array(sorted(path.stem for path in (home / "images").glob("*.png")))
    held = np.random.default_rng(3).permutation(len(cases)) % N_FOLDS == fold
    work = folder / f"fold-{fold}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "train.txt").write_text("\n".join(cases[~held]))
    run = labelmend.train(
        home,
        out=work / "run",
        labels=f"{setting}/labels",
        cases=str(work / "train.txt"),
        method="plain",
        network=NETWORK,
        seed=fold,
        threads=threads,
        **SETTINGS,
    )
    predictor = labelmend.load_predictor(run.folder)
    target.mkdir(exist_ok=True)
    for case in cases[held]:
        probs = predictor.probs(read_image(home / "images" / f"{case}.png"))
        np.savez_compressed(target / f"{case}.npz", probabilities=probs.astype(np.float16))
    shutil.rmtree(work)
    (folder / f"done-{fold}").touch()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("--part", choices=tuple(PARTS), default="report")
    parser.add_argument("--only", default="", help="regular expression for KIND-SHARE")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th piece, for n processes side by side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    options = parser.parse_args()
    began, (first, step) = time.monotonic(), map(int, options.share.split("/"))
    prepare(options.out, options.part)
    settings = [f"{kind}-{round(100 * share)}" for share in (0.2, 0.5, 0.05) for kind in KINDS]
    pieces = [(s, fold) for s in settings if re.search(options.only, s) for fold in range(N_FOLDS)]
    pieces = pieces[first::step]
    left = [(s, f) for s, f in pieces if not (options.out / options.part / s / f"done-{f}").exists()]
    while left and time.monotonic() - began < 60 * options.minutes:
        predict_fold(options.out, options.part, *left.pop(0), options.threads)
    print(f"{len(left)} pieces left" if left else "nothing left")


if __name__ == "__main__":
    main()
