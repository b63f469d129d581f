"""Methods against kinds of annotation noise, from a suite file: one resumable training a piece.

    python benchmarks/run_suite.py jsrt [--minutes 9] [--share 0/2 --threads 1] [--only ADELE] [--set k=v]

A finished piece leaves one line in results/NAME.jsonl. Repeat the command until it says that nothing is left,
then `python benchmarks/table_suite.py jsrt`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import labelmend
from labelmend.io import open_dataset, open_labels
from labelmend.methods.registry import METHODS
from labelmend.metrics import dice, nsd
from labelmend.model.config import NetworkConfig
from labelmend.model.predictor import load_predictor
from labelmend.noise import make_noise
from labelmend.types import BoolArray
from labelmend.workflows.simulation import simulate

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Piece:
    """One training: a run of the suite under one noise with one seed."""

    noise: str
    run: dict[str, Any]
    seed: int

    @property
    def name(self) -> str:
        return f"{self.noise}, {self.run['name']}, seed {self.seed}"

    @property
    def folder(self) -> str:
        return "".join(c if c.isalnum() else "_" for c in self.name)


def data_root(name: str) -> Path:
    for base in (os.environ.get("LABELMEND_DATA"), HERE.parents[1] / "shared" / "data"):
        if base and (Path(base) / name).is_dir():
            return Path(base) / name
    raise SystemExit(f"{name} is not here: set LABELMEND_DATA to the folder that holds {name}/")


def pieces(suite: dict[str, Any]) -> Iterator[Piece]:
    """Seed by seed, so that a table can be made early; training on clean masks is the same for all noises."""
    for seed in suite["seeds"]:
        for run in suite["run"]:
            for noise in ["clean"] if run.get("labels") == "clean" else suite["noise"]:
                yield Piece(noise, run, seed)


def prepare(suite: dict[str, Any], root: Path, out: Path) -> None:
    """Lists of cases, and one folder of noisy masks a noise beside a link to the images."""
    home = out / "data"
    home.mkdir(parents=True, exist_ok=True)
    names = sorted(p.stem for p in (root / "train" / "images").iterdir())
    trusted = sorted(p.stem for p in (root / "val" / "images").iterdir())[: suite["n_clean"]]
    parts = {part: names[slice(*suite[part])] for part in ("train", "test")} | {"trusted": trusted}
    assert not set(parts["train"]) & set(parts["test"])
    for part, cases in parts.items():
        (out / f"{part}.txt").write_text("\n".join(cases))
    links = {"images": root / "train" / "images", "clean": root / "train" / "clean"}
    links |= {n: root / "train" / s["folder"] for n, s in suite["noise"].items() if "folder" in s}
    for name, target in links.items():
        if not (home / name).exists():
            (home / name).symlink_to(target.resolve())
    for name, setting in suite["noise"].items():
        if "folder" not in setting:
            noise = make_noise(setting["noise"]) if "noise" in setting else None
            simulate(home / "clean", home / name, preset=setting.get("preset"), noise=noise, seed=1)


def train(piece: Piece, suite: dict[str, Any], root: Path, out: Path, threads: int) -> None:
    """Train one piece, or go on with it."""
    run = piece.run
    settings = suite["settings"] | run.get("settings", {})
    settings["network"] = NetworkConfig(**settings.get("network", {}))
    if "first_round" in run:  # the same training, if it is there already
        first = out / Piece(piece.noise, {"name": run["first_round"]}, piece.seed).folder
        settings["first_round"] = str(first) if (first / "summary.json").exists() else None
    trusted = {
        "clean": str(root / "val"),
        "clean_labels": "clean",
        "clean_cases": str(out / "trusted.txt"),
    }
    labelmend.train(
        out / "data",
        out=out / piece.folder,
        labels=run.get("labels", piece.noise),
        cases=str(out / "train.txt"),
        method=METHODS[run["method"]](**run.get("fields", {})),
        seed=piece.seed,
        threads=threads,
        **settings,
        **(trusted if run.get("clean") else {}),
    )


def score(piece: Piece, folder: Path, suite: dict[str, Any], out: Path) -> dict[str, Any]:
    """Test Dice and NSD per class; Dice of the final labels, and the share of clean pixels damaged."""
    test = open_dataset(out / "data", "clean", cases=(out / "test.txt").read_text().split())
    predictor, rows = load_predictor(folder), []
    for case in test.cases:
        masks, truth = predictor.masks(test.read_image(case)), test.read_labels(case)
        tolerance = suite["nsd_tolerance_px"]  # no spacing is stored: lengths are in pixels
        rows.append([(dice(a, b), nsd(a, b, tolerance_mm=tolerance)) for a, b in zip(masks, truth.masks())])
    means = np.nanmean(np.array(rows), axis=0)
    classes = test.labels.classes
    found = {
        "noise": piece.noise,
        "name": piece.run["name"],
        "seed": piece.seed,
        "test_dice": dict(zip(classes, means[:, 0].round(5).tolist())),
        "test_nsd": dict(zip(classes, means[:, 1].round(5).tolist())),
    }
    if piece.noise != "clean":
        found |= label_scores(folder, out, piece.noise, classes)
    return found


def label_scores(folder: Path, out: Path, noise: str, classes: tuple[str, ...]) -> dict[str, Any]:
    """Final labels beside the clean ones: Dice, and pixels that were right as given and are no more."""
    final, clean, given = (
        open_labels(p) for p in (folder / "labels", out / "data" / "clean", out / "data" / noise)
    )
    scores, damaged, repaired = [], [], []
    for case in final.cases:
        new, truth, old = (labels.read(case).masks() for labels in (final, clean, given))
        scores.append([dice(a, b) for a, b in zip(new, truth)])
        damaged.append(share((new != truth), old == truth))
        repaired.append(share((new == truth), old != truth))
    return {
        "label_dice": dict(zip(classes, np.nanmean(scores, axis=0).round(5).tolist())),
        "clean_pixels_damaged": round(float(np.mean(damaged)), 6),
        "wrong_pixels_repaired": round(float(np.nanmean(repaired)), 5),
    }


def share(hit: BoolArray, among: BoolArray) -> float:
    return float(hit[among].mean()) if among.any() else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="name of a file in suites/")
    parser.add_argument("--name", help="name of the result file; default that of the suite")
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs")
    parser.add_argument(
        "--only",
        default="",
        help="only pieces whose `noise, run, seed N` matches this regular expression",
    )
    parser.add_argument("--share", default="0/1", help="i/n: every n-th piece, for n processes side by side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", help="instead of the suite's"
    )
    options = parser.parse_args()
    began = time.monotonic()
    suite = tomllib.loads((HERE / "suites" / f"{options.suite}.toml").read_text())
    suite["settings"] |= {
        key: yaml.safe_load(value) for key, _, value in (s.partition("=") for s in options.set)
    }
    name = options.name or options.suite
    root, out, results = (
        data_root(suite["data"]),
        (options.out / name).resolve(),
        HERE / "results" / f"{name}.jsonl",
    )
    prepare(suite, root, out)
    results.parent.mkdir(exist_ok=True)
    rows = map(json.loads, results.read_text().splitlines()) if results.exists() else ()
    done = {(row["noise"], row["name"], row["seed"]) for row in rows}
    index, shares = map(int, options.share.split("/"))
    mine = [p for p in pieces(suite) if re.search(options.only, p.name)][index::shares]
    left = [p for p in mine if (p.noise, p.run["name"], p.seed) not in done]
    while left and time.monotonic() - began < 60 * options.minutes:
        piece, start = left.pop(0), time.monotonic()
        train(piece, suite, root, out, options.threads)
        row = score(piece, out / piece.folder, suite, out)
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        means = {k: round(float(np.mean(list(v.values()))), 4) for k, v in row.items() if isinstance(v, dict)}
        print(f"{piece.name}: {means} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{len(left)} pieces left" if left else f"nothing left: python benchmarks/table_suite.py {name}")


if __name__ == "__main__":
    main()
