"""Spatial Correction on real radiographs, against training on given and on clean masks and its honest rivals.

    python benchmarks/run_jsrt.py [--minutes 9] [--out runs/jsrt]

Every run is one call of `labelmend.train` that resumes; a finished run leaves one line in
results/jsrt_spatial.jsonl.
Repeat the command until it says that nothing is left, then `python benchmarks/table_jsrt.py`.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import labelmend
from labelmend.io import open_dataset, open_labels
from labelmend.methods.published.official_spatial_correction import OfficialSpatialCorrection
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.metrics import dice
from labelmend.model.predictor import load_predictor
from labelmend.workflows.simulation import simulate
from run_suite import data_root

HERE = Path(__file__).parent
SUITE = tomllib.loads((HERE / "suites" / "jsrt_spatial.toml").read_text())
RESULTS = HERE / "results" / "jsrt_spatial.jsonl"
N_TRAIN, N_TEST = 108, 40


@dataclass(frozen=True)
class Piece:
    """One training: its name, what it needs first, and how it is called."""

    name: str
    seed: int
    n_clean: int
    settings: dict
    method: labelmend.Method | str = "plain"
    after: str | None = None
    fine_tunes: str | None = None
    corrected_prediction: bool = False


def pieces(jsrt: Path, out: Path) -> Iterator[Piece]:
    """All runs of the suite, those that others start from first."""
    trusted = {"clean": str(jsrt / "val"), "clean_labels": "clean"}
    steps = -(-N_TRAIN // SUITE["settings"]["batch_size"])
    for seed in SUITE["seeds"]:
        given = {"data": str(jsrt / "train"), "labels": "given_J1", "cases": str(out / "train.txt")}
        hard = {"data": str(out / "hard"), "labels": "given_J1-hard", "cases": str(out / "train.txt")}
        yield Piece("plain on given", seed, 0, given)
        yield Piece("plain on clean", seed, 0, {**given, "labels": "clean"})
        yield from _corrections(given, trusted, seed, out)
        yield Piece("hard: plain on given", seed, 0, hard)
        few = {
            **trusted,
            "clean_cases": str(out / "clean20.txt"),
            "first_round": str(out / f"hard_plain_on_given_m0_s{seed}"),
        }
        yield Piece("hard: spatial correction", seed, 20, {**hard, **few}, SpatialCorrection())
        for m in SUITE["clean_cases"]:
            alone = {"data": str(jsrt / "val"), "labels": "clean", "cases": str(out / f"clean{m}.txt")}
            yield Piece("clean cases alone", seed, m, {**alone, "steps_per_epoch": steps})
            tune = {**alone, **SUITE["fine_tune"], "steps_per_epoch": steps}
            yield Piece(
                "plain, fine-tuned on clean",
                seed,
                m,
                tune,
                fine_tunes=str(out / f"plain_on_given_m0_s{seed}"),
            )


def _corrections(given: dict, trusted: dict, seed: int, out: Path) -> Iterator[Piece]:
    first = {"first_round": str(out / f"plain_on_given_m0_s{seed}")}
    for m in reversed(SUITE["clean_cases"]):
        few = {**given, **trusted, **first, "clean_cases": str(out / f"clean{m}.txt")}
        yield Piece("spatial correction", seed, m, few, SpatialCorrection())
        shortcut = {**few, "rounds": 1, "average_shift": 0}
        name = "plain, prediction corrected"
        yield Piece(name, seed, m, shortcut, SpatialCorrection(), corrected_prediction=True)
        repeat = max(1, round(SUITE["with_clean"]["share"] * N_TRAIN / m))
        yield Piece(
            "spatial correction + clean", seed, m, {**few, "clean_repeat": repeat}, SpatialCorrection()
        )
        if m == 20:
            logit = SpatialCorrection(move="logit", level=0, trim=0)
            yield Piece("logit form, repaired", seed, m, few, logit)
            official = OfficialSpatialCorrection(gamma=0.8)
            yield Piece("official algorithm", seed, m, few, official)


def prepare(jsrt: Path, out: Path) -> None:
    """Lists of cases, and the hardest published noise drawn once with a fixed seed."""
    out.mkdir(parents=True, exist_ok=True)
    train = sorted(p.stem for p in (jsrt / "train" / "images").iterdir())
    val = sorted(p.stem for p in (jsrt / "val" / "images").iterdir())
    assert len(train) == N_TRAIN + N_TEST
    (out / "train.txt").write_text("\n".join(train[:N_TRAIN]))
    (out / "test.txt").write_text("\n".join(train[N_TRAIN:]))
    for m in SUITE["clean_cases"]:
        (out / f"clean{m}.txt").write_text("\n".join(val[:m]))
    (out / "hard").mkdir(exist_ok=True)
    if not (out / "hard" / "images").exists():
        (out / "hard" / "images").symlink_to((jsrt / "train" / "images").resolve())
    simulate(jsrt / "train" / "clean", out / "hard" / "given_J1-hard", preset="J1-hard", seed=1)


def run(piece: Piece, folder: Path, threads: int) -> float:
    """Train (or go on with) one piece; returns the seconds of this call."""
    began = time.monotonic()
    network = load_predictor(piece.fine_tunes).network if piece.fine_tunes else None
    labelmend.train(
        **{**SUITE["settings"], **piece.settings},
        out=folder,
        method=piece.method,
        seed=piece.seed,
        network=network,
        threads=threads,
    )
    return time.monotonic() - began


def score(piece: Piece, folder: Path, jsrt: Path, out: Path) -> dict:
    """Test Dice per class, and Dice of the training labels to the clean ones, all on the native grid."""
    test = open_dataset(jsrt / "train", "clean", cases=(out / "test.txt").read_text().split())
    network = load_predictor(piece.fine_tunes).network if piece.fine_tunes else None
    predictor = load_predictor(folder, network=network)
    classes = test.labels.classes

    def test_dice(correct: bool) -> dict[str, float]:
        return _mean(
            classes,
            (
                (predictor.masks(test.read_image(c), correct=correct), test.read_labels(c).masks())
                for c in test.cases
            ),
        )

    row: dict = {"name": piece.name, "seed": piece.seed, "n_clean": piece.n_clean}
    row["test_dice"] = test_dice(piece.corrected_prediction)
    if piece.settings["data"] != str(jsrt / "val"):
        labels, clean = open_labels(folder / "labels"), open_labels(jsrt / "train" / "clean")
        row["label_dice"] = _mean(
            classes, ((labels.read(c).masks(), clean.read(c).masks()) for c in labels.cases)
        )
        summary = json.loads((folder / "summary.json").read_text())
        row["bias_px"] = [
            {r["class"]: [r["mean_mm"], r["low_mm"], r["high_mm"], r["shift_mm"]] for r in rnd["bias"]}
            for rnd in summary["rounds"]
        ]
    return row


def _mean(classes: tuple[str, ...], pairs: Iterator) -> dict[str, float]:
    scores = np.array([[dice(a, b) for a, b in zip(masks, truth, strict=True)] for masks, truth in pairs])
    return dict(zip(classes, np.nanmean(scores, axis=0).round(5).tolist(), strict=True))


def main(clock: Callable[[], float] = time.monotonic) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "jsrt")
    parser.add_argument("--only", default="", help="run only pieces whose `name mM sS` contains this text")
    parser.add_argument(
        "--share", default="0/1", help="i/n: every n-th of the pieces left, for n processes side by side"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    began, jsrt, out = clock(), data_root("jsrt"), options.out.resolve()
    prepare(jsrt, out)
    RESULTS.parent.mkdir(exist_ok=True)
    rows = map(json.loads, RESULTS.read_text().splitlines()) if RESULTS.exists() else ()
    done = {(row["name"], row["seed"], row["n_clean"]) for row in rows}
    left = [
        p
        for p in pieces(jsrt, out)
        if (p.name, p.seed, p.n_clean) not in done and options.only in f"{p.name} m{p.n_clean} s{p.seed}"
    ]
    index, shares = map(int, options.share.split("/"))
    left = left[index::shares]
    for piece in left:
        if clock() - began > 60 * options.minutes:
            break
        name = piece.name.replace(":", "").replace(" ", "_").replace(",", "")
        folder = out / f"{name}_m{piece.n_clean}_s{piece.seed}"
        seconds = run(piece, folder, options.threads)
        row = score(piece, folder, jsrt, out)
        with RESULTS.open("a") as results:
            results.write(json.dumps(row) + "\n")
        means = {k: round(float(np.mean(list(v.values()))), 4) for k, v in row.items() if "dice" in k}
        print(
            f"{piece.name}, {piece.n_clean} clean, seed {piece.seed}: {means} ({seconds:.0f} s)", flush=True
        )
        left = [p for p in left if p is not piece]
    print(f"{len(left)} pieces left" if left else "nothing left: python benchmarks/table_jsrt.py")


if __name__ == "__main__":
    main()
