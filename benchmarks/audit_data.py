"""Images with drawn label errors and out-of-sample probabilities, to judge what finds the errors.

    python benchmarks/audit_data.py OUT [--set jsrt|phantoms] [--part report|develop|seen] [--only bias]
                                        [--share 0/2 --threads 1] [--minutes 9]

Radiographs or drawn volumes with exclusive classes, as audit_sets.py says. Parts without a common case:
`develop`, on which detectors may be tuned, and `report`; of the volumes also `seen`, an earlier report, on
which they may be tuned since. Of each, a share of the cases is corrupted with one
kind of error, five networks of the project are trained on four fifths of these labels each, and each predicts
the fifth that it has not seen. Written as a user has it, pictures as PNG, volumes as NIfTI:

    OUT/PART/images   OUT/PART/clean   OUT/PART/KIND-SHARE/labels   OUT/PART/KIND-SHARE/probabilities/*.npz

Repeat the command until it says that nothing is left.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import labelmend
from audit_sets import SHARES, DataSet, add_set_options, chosen_set
from labelmend.io import read_image
from labelmend.model.predictor import load_predictor
from labelmend.noise import DeformationNoise, case_generator
from labelmend.types import BoolArray, FloatArray, LabelMap

N_FOLDS, LEAST_OBJECT = 5, 20
Corrupt = Callable[[DataSet, BoolArray, np.random.Generator], BoolArray]


def grown(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Every outline too generous."""
    return deformed(data, masks, rng, data.bias)


def rough(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Outlines off by turns."""
    return deformed(data, masks, rng, data.rough)


def deformed(data: DataSet, masks: BoolArray, rng: np.random.Generator, noise: DeformationNoise) -> BoolArray:
    labels = LabelMap(masks, data.grid, data.classes)
    return noise.apply(labels, noise.draw(rng, labels)).masks()


def missing(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One object overlooked."""
    index, hit = any_object(masks, rng)
    return changed(masks, index, masks[index] & ~hit)


def spurious(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One ellipse of any class, apart from the class and from what is painted over it."""
    box, free = [2 * n + 1 for n in data.apart], np.zeros((0, masks.ndim - 1), int)
    while not len(free):
        index = int(rng.integers(len(masks)))
        near = ndimage.maximum_filter(masks[index:].any(0), box, mode="constant")
        free = np.argwhere(~near)
    centre = free[rng.integers(len(free))]
    radii = rng.uniform(*data.radii, masks.ndim - 1)
    gaps = (np.indices(masks.shape[1:]) - along_axes(centre)) * along_axes(data.grid.spacing_mm)
    return changed(masks, index, masks[index] | (((gaps / along_axes(radii)) ** 2).sum(0) < 1))


def swapped(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """One object annotated as another class."""
    index, hit = any_object(masks, rng)
    other = int((index + rng.integers(1, len(masks))) % len(masks))
    out = changed(masks, index, masks[index] & ~hit)
    for above in range(other + 1, len(masks)):  # what would be painted over the object
        out[above] &= ~hit
    return changed(out, other, out[other] | hit)


def shifted(data: DataSet, masks: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The whole mask moved in any direction."""
    if masks.ndim == 3:
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.sin(angle), np.cos(angle)])
    else:
        direction = rng.normal(size=masks.ndim - 1)
        direction /= np.linalg.norm(direction)
    steps = np.rint(data.shift * direction / data.grid.spacing_mm).astype(int)
    return np.stack([ndimage.shift(m, steps, order=0) for m in masks.astype(np.uint8)]) > 0


KINDS: dict[str, Corrupt] = {
    "bias": grown,
    "rough": rough,
    "missing": missing,
    "spurious": spurious,
    "swap": swapped,
    "shift": shifted,
}


def any_object(masks: BoolArray, rng: np.random.Generator) -> tuple[int, BoolArray]:
    """A class and one of its objects of 20 pixels or more, drawn among all objects."""
    found = []
    for index, mask in enumerate(masks):
        parts, n = ndimage.label(mask)
        found += [(index, parts == i) for i in range(1, n + 1) if (parts == i).sum() >= LEAST_OBJECT]
    return found[rng.integers(len(found))]


def changed(masks: BoolArray, index: int, mask: BoolArray) -> BoolArray:
    return np.stack([mask if i == index else m for i, m in enumerate(masks)])


def along_axes(values: NDArray | tuple[float, ...]) -> FloatArray:
    """One number an axis, to go with `(axes *space)`."""
    return np.reshape(values, (-1, *[1] * len(values)))


def painted(masks: BoolArray) -> NDArray[np.uint8]:
    """Overlapping masks as one integer map, later classes over earlier ones."""
    array = np.zeros(masks.shape[1:], np.uint8)
    for value, mask in enumerate(masks, start=1):
        array[mask] = value
    return array


def prepare(data: DataSet, home: Path, part: str) -> None:
    """Images and clean labels of a part, and the corrupted copies; done once."""
    if (home / "ready").exists():
        return
    names = {"labels": {"background": 0, **{name: i for i, name in enumerate(data.classes, start=1)}}}
    clean = {}
    for case, image, masks in data.cases(part):
        clean[case] = masks
        data.save(home / "images", case, image)
        data.save(home / "clean", case, painted(masks))
    (home / "clean" / "dataset.json").write_text(json.dumps(names))
    for kind, corrupt in KINDS.items():
        for share in SHARES:
            folder = home / f"{kind}-{round(100 * share)}"
            order = case_generator(1, kind).permutation(list(clean))
            hit = set(map(str, order[: max(1, round(share * len(clean)))]))
            for case, masks in clean.items():
                if case in hit:
                    masks = corrupt(data, masks, case_generator(2, kind, case))
                data.save(folder / "labels", case, painted(masks))
            (folder / "labels" / "dataset.json").write_text(json.dumps(names))
            (folder / "corrupted.json").write_text(json.dumps(sorted(hit)))
    (home / "ready").touch()


def predict_fold(data: DataSet, home: Path, setting: str, fold: int, threads: int) -> None:
    """Train on four fifths, write the probabilities of the last one as float16."""
    folder, target = home / setting, home / setting / "probabilities"
    cases = np.array(data.ids(home))
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
        network=data.network,
        seed=fold,
        threads=threads,
        device="cpu",
        **data.settings,
    )
    predictor = load_predictor(run.folder)
    target.mkdir(exist_ok=True)
    for case in cases[held]:
        probs = predictor.probs(read_image(home / "images" / f"{case}{data.suffix}"))
        np.savez_compressed(target / f"{case}.npz", probabilities=probs.astype(np.float16))
    shutil.rmtree(work)
    (folder / f"done-{fold}").touch()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for everything; of each set one of its own")
    add_set_options(parser)
    parser.add_argument("--only", default="", help="regular expression for KIND-SHARE")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th piece, for n processes side by side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    options = parser.parse_args()
    began, (first, step) = time.monotonic(), map(int, options.share.split("/"))
    data, home = chosen_set(parser, options), options.out / options.part
    prepare(data, home, options.part)
    settings = [f"{kind}-{round(100 * share)}" for share in (0.2, 0.5, 0.05) for kind in KINDS]
    pieces = [(s, fold) for s in settings if re.search(options.only, s) for fold in range(N_FOLDS)]
    pieces = pieces[first::step]
    left = [(s, f) for s, f in pieces if not (home / s / f"done-{f}").exists()]
    while left and time.monotonic() - began < 60 * options.minutes:
        predict_fold(data, home, *left.pop(0), options.threads)
    print(f"{len(left)} pieces left" if left else "nothing left")


if __name__ == "__main__":
    main()
