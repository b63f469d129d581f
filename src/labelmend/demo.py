"""The main job on drawn radiographs: simulate generous annotators, train, correct, compare with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.io import open_dataset, open_labels, write_new_labels, write_picture
from labelmend.methods.base import Method
from labelmend.methods.plain import Plain
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.metrics import dice
from labelmend.model.predictor import load_predictor
from labelmend.noise import MarkovNoise, Preset
from labelmend.phantom import PHANTOM_CLASSES, draw_phantom
from labelmend.runtime.output_folder import about_to_write, kept_folder
from labelmend.runtime.progress import Progress, Tick, no_progress
from labelmend.workflows.simulation import simulate
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.loop import run_training
from labelmend.workflows.training.results import RunResult

SIZE_PX = 96
N_TRAIN, N_TRUSTED, N_TEST = 48, 5, 24

GENEROUS = Preset(
    label="generous",
    data="drawn radiographs",
    per_class={
        "clavicle": MarkovNoise(steps=60, expand=0.8, flip=0.03, speckle=0.2, smooth=True),
        "heart": MarkovNoise(steps=70, expand=0.8, flip=0.05, speckle=0.2, smooth=True),
        "lung": MarkovNoise(steps=70, expand=0.8, flip=0.05, speckle=0.2, smooth=True),
    },
)
"""After the paper's setting J1, with fewer steps for the smaller picture."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Args:
        run: the Spatial Correction run, with its report.
        label_dice: per class, (given, corrected) Dice of the training masks to the truth.
        test_dice: per class, Dice on unseen pictures of a network trained on (given, corrected, clean) masks.
    """

    run: RunResult
    label_dice: dict[str, tuple[float, ...]]
    test_dice: dict[str, tuple[float, ...]]


def demo(out: Path, *, epochs: int = 40, seed: int = 0, progress: Progress = no_progress) -> DemoResult:
    """Draw data below `out`, run the main job on them, and score it against what was drawn.

    Args:
        out: folder for data and runs; the same call goes on after an interruption.
        epochs: epochs of each of the three trainings.
        seed: of pictures, noise and training.
        progress: called with a `Tick` after each step.
    """
    about_to_write(out)
    with kept_folder(out):
        return _demo(out, epochs, seed, progress)


def _demo(out: Path, epochs: int, seed: int, progress: Progress) -> DemoResult:
    """What `demo` does in its folder."""
    data = draw_data(out / "data", seed)
    common: dict[str, Any] = {"data": str(data), "epochs": epochs, "seed": seed, "average_shift": 2}
    common |= {"cases": str(data / "train.txt"), "device": "cpu", "threads": 1}
    trusted = {"clean": str(data / "trusted.txt"), "clean_labels": "clean", "reference": str(data / "clean")}

    def run(name: str, method: Method, **settings: Any) -> RunResult:
        def named(tick: Tick) -> None:
            progress(Tick(f"{name}: {tick.stage}", tick.done, tick.total, tick.text))

        return run_training(TrainConfig(**common, out=str(out / name), **settings), method, progress=named)

    on_given = run("plain_on_given", Plain(), labels="given")
    on_clean = run("plain_on_clean", Plain(), labels="clean")
    corrected = run(
        "spatial_correction", SpatialCorrection(), labels="given", first_round=str(on_given.folder), **trusted
    )
    tested = _test_dice(data, on_given, corrected, on_clean)
    return DemoResult(corrected, _label_dice(data, corrected), tested)


def draw_data(folder: Path, seed: int) -> Path:
    """Pictures with clean and given masks, and the lists train.txt, trusted.txt and test.txt."""
    names = [f"case{index:03d}" for index in range(N_TRAIN + N_TRUSTED + N_TEST)]
    lists = {"train.txt": names[:N_TRAIN], "trusted.txt": names[N_TRAIN:-N_TEST], "test.txt": names[-N_TEST:]}
    for index, name in enumerate(names):
        image, masks = draw_phantom(np.random.default_rng([seed, index]), SIZE_PX)
        path = folder / "images" / f"{name}.png"
        write_picture(path, image[0])
        for class_name, mask in zip(PHANTOM_CLASSES, masks, strict=True):
            write_new_labels(folder / "clean" / class_name / f"{name}.png", mask * np.uint8(255), path)
    for file, cases in lists.items():
        (folder / file).write_text("\n".join(cases) + "\n")
    simulate(folder / "clean", folder / "given", noise=GENEROUS, seed=seed)
    return folder


def _label_dice(data: Path, run: RunResult) -> dict[str, tuple[float, ...]]:
    corrected, given, clean = (open_labels(p) for p in (run.labels, data / "given", data / "clean"))
    pairs = [[labels.read(case).masks() for labels in (given, corrected, clean)] for case in corrected.cases]
    return {
        name: tuple(float(np.mean([dice(case[i][k], case[2][k]) for case in pairs])) for i in (0, 1))
        for k, name in enumerate(clean.classes)
    }


def _test_dice(data: Path, *runs: RunResult) -> dict[str, tuple[float, ...]]:
    test = open_dataset(data, "clean", cases=(data / "test.txt").read_text().split())
    images = [test.read_image(case) for case in test.cases]
    truth = [test.read_labels(case).masks() for case in test.cases]
    scores = []
    for run in runs:
        predictor = load_predictor(run.folder)
        masks = [predictor.masks(image) for image in images]
        scores.append([[dice(m[k], t[k]) for k in range(len(t))] for m, t in zip(masks, truth, strict=True)])
    means = np.mean(scores, axis=1)
    return {name: tuple(means[:, k].tolist()) for k, name in enumerate(test.labels.classes)}
