"""Train on outlines that are too large, and get corrected ones: the main job, on drawn radiographs.

Run it: python examples/02_train_and_correct.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import labelmend
from labelmend.io import read_image, write_picture
from labelmend.phantom import PHANTOM_CLASSES, draw_phantom


def draw_data(folder: Path, n_cases: int, size: int) -> list[str]:
    """Write `folder/images/<case>.png` and `folder/clean/<class>/<case>.png`; returns the case ids."""
    cases = [f"case{number:02}" for number in range(n_cases)]
    for number, case in enumerate(cases):
        image, masks = draw_phantom(np.random.default_rng(number), size)
        write_picture(folder / "images" / f"{case}.png", image[0])
        for name, mask in zip(PHANTOM_CLASSES, masks, strict=True):
            write_picture(folder / "clean" / name / f"{case}.png", mask)
    return cases


def main(n_cases: int = 36, size: int = 48, epochs: int = 25, n_trusted: int = 4) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        data, run = Path(temporary, "data"), Path(temporary, "run")
        cases = draw_data(data, n_cases, size)
        noise = labelmend.MarkovNoise(steps=30, expand=0.8, flip=0.05)
        labelmend.simulate(data / "clean", data / "given", noise=noise)

        # A few cases are trusted: their clean outlines say how far off the others are.
        (data / "trusted.txt").write_text("\n".join(cases[-n_trusted:]))
        method = labelmend.SpatialCorrection()
        settings = {"clean": data / "trusted.txt", "clean_labels": "clean", "epochs": epochs, "batch_size": 4}
        result = labelmend.train(data, out=run, labels="given", method=method, device="cpu", **settings)
        for row in result.summary["rounds"][0]["bias"]:
            bias = "not measured" if row["mean_mm"] is None else f"{row['mean_mm']:+.1f} px"
            print(f"{row['class']:10} bias {bias}: {row['why']}")

        for name, labels in {"given": data / "given", "corrected": result.labels}.items():
            dice = labelmend.evaluate(labels, data / "clean").summary().mean["dice"]
            print(f"{name:10} Dice to clean {dice:.3f}")

        image = read_image(data / "images" / f"{cases[-1]}.png")
        masks = labelmend.load_predictor(run).masks(image)
        print(f"the network finds {int(masks[-1].sum())} lung pixels in {cases[-1]}")


if __name__ == "__main__":
    main()
