"""From image-level tags to a network: masks from tags, then training on them, against training on true masks.

    python benchmarks/weak_chain.py OUT [--minutes 9] [--threads 1]      until nothing is left; then
    python benchmarks/weak_chain.py OUT --table

The set `fashion` of weak_sets.py, 300 images to train on and 200 to test. `labelmend pseudo-masks` makes the
masks in 40 epochs, since images are few, otherwise with its defaults; networks are trained with
`labelmend.train`, all alike. Thresholds of `labelmend pseudo-masks` were chosen on other training images of
the three sets.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

import labelmend
from labelmend.io import open_labels, read_image
from labelmend.metrics import dice
from labelmend.model.config import NetworkConfig
from labelmend.workflows.image_tags.make_masks import seed as make_seeds
from labelmend.workflows.training.config import AugmentConfig
from weak_sets import SETS, WeakSet

RESULTS = Path(__file__).parent / "results" / "weak_chain.jsonl"
N_TRAIN, N_TEST, SEEDS = 300, 200, (0, 1, 2)
SETTINGS = {"epochs": 15, "batch_size": 16, "device": "cpu", "augment": AugmentConfig(flip_axes=(0, 1))}
NETWORK = NetworkConfig(args={"channels": (16, 32, 64, 96), "strides": (2, 2, 2)})
ARMS = {
    "plain on true masks": ("truth", "plain"),
    "plain on masks from tags": ("seeds/labels", "plain"),
    "ADELE on masks from tags": ("seeds/labels", "adele"),
}


def prepare(home: Path, number: int) -> None:
    """Images, tags and true masks as files, and masks from the tags; done once."""
    if (home / "ready").exists():
        return
    for split, n in (("train", N_TRAIN), ("test", N_TEST)):
        data = SETS["fashion"](split, n, seed=number)
        folder = home if split == "train" else home / "test"
        for index in range(n):
            save(folder / "images" / f"{index:04d}.png", (255 * data.images[index, 0]).round().clip(0, 255))
            save(folder / "truth" / f"{index:04d}.png", painted(data, index))
        names = {"background": 0} | {name: i for i, name in enumerate(data.classes, start=1)}
        (folder / "truth" / "dataset.json").write_text(json.dumps({"labels": names}))
        if split == "train":
            lines = [f"{i:04d},{','.join(map(str, row.astype(int)))}" for i, row in enumerate(data.tags)]
            (home / "tags.csv").write_text("\n".join([f"image,{','.join(data.classes)}", *lines]))
    make_seeds(
        home / "images", home / "tags.csv", home / "seeds", resize=64, epochs=40, seed=number, threads=1
    )
    (home / "ready").touch()


def painted(data: WeakSet, index: int) -> np.ndarray:
    array = np.zeros(data.masks.shape[-2:])
    for value, mask in enumerate(data.masks[index], start=1):
        array[mask] = value
    return array


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def seeds_dice(home: Path) -> dict[str, float]:
    """Dice of the masks from tags to the truth, unsure pixels left out, and the share that is unsure."""
    given, truth = open_labels(home / "seeds" / "labels"), open_labels(home / "truth")
    scores, unsure = [], []
    for case in given.cases:
        mine, right = given.read(case), truth.read(case)
        ignored = mine.ignored()
        scores.append([dice(a, b, ignored) for a, b in zip(mine.masks(), right.masks())])
        unsure.append(ignored.mean())
    return {"dice": float(np.nanmean(scores)), "unsure": float(np.mean(unsure))}


def run_arm(home: Path, arm: str, number: int, threads: int) -> dict[str, float]:
    """Train one arm and test it: Dice pooled over all test images, mean over classes."""
    labels, method = ARMS[arm]
    folder = home / "runs" / arm.replace(" ", "_")
    labelmend.train(
        home,
        labels=labels,
        out=folder,
        method=method,
        network=NETWORK,
        seed=number,
        threads=threads,
        **SETTINGS,
    )
    predictor, truth = labelmend.load_predictor(folder), open_labels(home / "test" / "truth")
    hit, total = np.zeros(len(truth.classes)), np.zeros(len(truth.classes))
    for case in truth.cases:
        masks = predictor.masks(read_image(home / "test" / "images" / f"{case}.png"))
        right = truth.read(case).masks()
        hit += (masks & right).sum(axis=(1, 2))
        total += masks.sum(axis=(1, 2)) + right.sum(axis=(1, 2))
    return {"dice": float(np.mean(2 * hit / total))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="write the table")
    options = parser.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if options.table:
        return table(rows)
    began, done = time.monotonic(), {(row["arm"], row["seed"]) for row in rows}
    arms = ("masks from tags", *ARMS)
    left = [(arm, number) for number in SEEDS for arm in arms if (arm, number) not in done]
    while left and time.monotonic() - began < 60 * options.minutes:
        arm, number = left.pop(0)
        home = options.out / str(number)
        prepare(home, number)
        found = run_arm(home, arm, number, options.threads) if arm in ARMS else seeds_dice(home)
        row = {"arm": arm, "seed": number, **{key: round(value, 5) for key, value in found.items()}}
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    print(f"{len(left)} pieces left" if left else "nothing left: python benchmarks/weak_chain.py OUT --table")
    return None


def table(rows: list[dict]) -> None:
    lines = [
        "# From image-level tags to a network",
        "",
        "Made by `python benchmarks/weak_chain.py OUT`: real product photographs of four classes on real",
        f"textures, with distractors; {N_TRAIN} images with tags, {N_TEST} to test on. Dice, mean over",
        "classes; mean ± standard deviation over seeds. The Dice of masks from tags leaves unsure pixels",
        "out, and is on the training images.",
        "",
        "| | Dice | seeds |",
        "|---|---|---|",
    ]
    for arm in ("masks from tags", *ARMS):
        values = [row["dice"] for row in rows if row["arm"] == arm]
        if values:
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            lines.append(f"| {arm} | {np.mean(values):.3f}{spread} | {len(values)} |")
    RESULTS.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
