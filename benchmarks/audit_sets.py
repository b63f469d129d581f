"""The two sets of audit_data.py and audit_compare.py: what is drawn on them, on which grid, how wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import audit_phantoms
from labelmend.io import open_dataset
from labelmend.model.config import NetworkConfig
from labelmend.noise import DeformationNoise, case_generator
from labelmend.types import BoolArray, Grid
from run_suite import data_root

SHARES = (0.05, 0.2, 0.5)
Drawn = Iterator[tuple[str, NDArray[np.uint8], BoolArray]]


@dataclass(frozen=True)
class DataSet:
    """Cases, and how large errors are made on them; lengths in mm, or in pixels where `unit` says so.

    Args:
        name: as on the command line.
        classes: in the order in which they are painted over each other.
        grid: of every case.
        suffix: of images and labels.
        parts: names of its parts.
        cases: from the name of a part to ids, images and overlapping masks `(k *space)`.
        bias: every outline too generous.
        rough: outlines off by turns.
        shift: how far a whole mask is moved.
        radii: smallest and largest half axis of a spurious object.
        apart: pixels along each axis that a spurious object's middle keeps from its class.
        network: that is trained.
        settings: of its training.
        results: stem of the files in results/.
    """

    name: str
    classes: tuple[str, ...]
    grid: Grid
    suffix: Literal[".png", ".nii.gz"]
    parts: tuple[str, ...]
    cases: Callable[[str], Drawn]
    bias: DeformationNoise
    rough: DeformationNoise
    shift: float
    radii: tuple[float, float]
    apart: tuple[int, ...]
    network: NetworkConfig
    settings: dict[str, Any]
    results: str

    def ids(self, home: Path) -> list[str]:
        """The cases of a part that was prepared."""
        return sorted(path.name.removesuffix(self.suffix) for path in (home / "images").iterdir())

    def save(self, folder: Path, case: str, array: NDArray[np.uint8]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{case}{self.suffix}"
        if self.suffix == ".png":
            Image.fromarray(array).save(path)
        else:
            nibabel.save(nibabel.Nifti1Image(array, np.diag([*self.grid.spacing_mm, 1.0])), path)

    def load(self, folder: Path, case: str) -> NDArray[np.uint8]:
        path = folder / f"{case}{self.suffix}"
        return np.asarray(Image.open(path) if self.suffix == ".png" else nibabel.load(path).dataobj)


SIDE, JSRT_CLASSES = 128, ("lung", "heart", "clavicle")
JSRT_PARTS = {"develop": slice(0, 74), "report": slice(74, 148)}
PHANTOM_PARTS = {"develop": ("develop", 60), "seen": ("report", 60), "report": ("unseen", 100)}


def radiographs(part: str) -> Drawn:
    source = open_dataset(data_root("jsrt") / "train", "clean")
    order = np.random.default_rng(0).permutation(len(source.cases))[JSRT_PARTS[part]]
    for case in sorted(source.cases[i] for i in order):
        labels = source.read_labels(case)
        masks = np.stack([labels.masks()[labels.classes.index(name)] for name in JSRT_CLASSES])
        image = halved(source.read_image(case).array[0]).round().astype(np.uint8)
        yield case, image, halved(masks.astype(float)) >= 0.5


def halved(array: NDArray) -> NDArray[np.floating]:
    """Mean over 2 x 2 pixels."""
    return array.reshape(*array.shape[:-2], SIDE, 2, SIDE, 2).mean((-3, -1))


def phantoms(part: str) -> Drawn:
    name, n = PHANTOM_PARTS[part]
    for number in range(n):
        case = f"{name}-{number:02d}"
        image, masks = audit_phantoms.draw(case_generator(4, case))
        yield case, (200 * image).round().clip(0, 255).astype(np.uint8), masks


JSRT = DataSet(
    name="jsrt",
    classes=JSRT_CLASSES,
    grid=Grid((SIDE, SIDE), (1.0, 1.0), unit="px"),
    suffix=".png",
    parts=tuple(JSRT_PARTS),
    cases=radiographs,
    bias=DeformationNoise(sd_mm=0.5, length_mm=15, offset_mm=2.5),
    rough=DeformationNoise(sd_mm=3.0, length_mm=12),
    shift=5.0,
    radii=(4.0, 9.0),
    apart=(8, 8),
    network=NetworkConfig(args={"channels": (12, 24, 48, 96, 128)}),
    settings={"epochs": 20, "batch_size": 8},
    results="audit_compare",
)
PHANTOMS = DataSet(
    name="phantoms",
    classes=audit_phantoms.CLASSES,
    grid=Grid(audit_phantoms.SHAPE, audit_phantoms.SPACING_MM),
    suffix=".nii.gz",
    parts=tuple(PHANTOM_PARTS),
    cases=phantoms,
    bias=DeformationNoise(sd_mm=0.4, length_mm=12, offset_mm=1.5),
    rough=DeformationNoise(sd_mm=1.5, length_mm=10),
    shift=3.0,
    radii=(3.0, 6.0),
    apart=(2, 6, 6),
    network=NetworkConfig(args={"channels": (16, 32, 64), "strides": ((1, 2, 2), 2), "num_res_units": 0}),
    settings={"epochs": 14, "batch_size": 2, "average_shift": 0},
    results="audit_compare_3d",
)
SETS = {one.name: one for one in (JSRT, PHANTOMS)}


def add_set_options(parser: argparse.ArgumentParser) -> None:
    """`--set` and `--part`; see `chosen_set`."""
    parser.add_argument("--set", choices=tuple(SETS), default="jsrt")
    parser.add_argument(
        "--part", choices=sorted({part for one in SETS.values() for part in one.parts}), default="report"
    )


def chosen_set(parser: argparse.ArgumentParser, options: argparse.Namespace) -> DataSet:
    """The data set of `--set`, which must have the part of `--part`."""
    data = SETS[options.set]
    if options.part not in data.parts:
        parser.error(f"{data.name} has no part {options.part}, only {', '.join(data.parts)}")
    return data
