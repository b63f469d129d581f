"""Verbs killed at random moments and started again: the same bytes as a run that was left alone.

    python benchmarks/kill_anywhere.py --kills 200

Each try starts a verb as a process of its own, kills it with SIGKILL at a moment drawn from the time that
it took undisturbed, gives the same command again, and compares every file with those of the undisturbed
run: paths, links and bytes, nothing left out. A kill counts only if the process was alive when it came. A
quarter of the moments are drawn from the whole time, the others from the time since the first file
appeared: the rest is the imports of Python.

Where the results had their name already when the kill came, the second command finds a finished folder:
`train` and `simulate` go through it once more, `seed` replaces it, the others refuse it with exit code 2,
and the files are compared all the same. Results go to benchmarks/results/kill_anywhere.jsonl, one line a
kill, and are taken up again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from labelmend.phantom import draw_phantom

RESULTS = Path(__file__).parent / "results"
LOG, TABLE = RESULTS / "kill_anywhere.jsonl", RESULTS / "kill_anywhere.md"
N_CASES, SIZE_PX = 12, 48
VERBS = ("train", "simulate --jobs 2", "audit", "correct", "review apply", "seed")
HIDDEN = (".part-", ".old-", ".lock-")
NETWORK = ["--network.name", "UNet", "--network.args", '{"channels": [4, 8], "strides": [2]}']


def save(path: Path, array: np.ndarray) -> None:
    """A grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def draw(root: Path) -> None:
    """Images, clean masks, given masks a pixel too large, probabilities, tags, and a reviewed audit."""
    tags = ["image,heart,lung"]
    for i in range(N_CASES):
        case = f"c{i:02d}"
        image, masks = draw_phantom(np.random.default_rng(i), SIZE_PX)
        heart, lung = masks[1], masks[2] & ~masks[1]
        save(root / "images" / f"{case}.png", np.clip(image[0] * 255, 0, 255))
        for folder, grown in (("clean", False), ("labels", True)):
            pair = [binary_dilation(mask) if grown else mask for mask in (heart, lung)]
            save(root / folder / f"{case}.png", np.where(pair[0], 1, np.where(pair[1], 2, 0)))
        probs = np.stack([~(heart | lung), heart, lung]) * 0.85 + 0.05
        (root / "probs").mkdir(exist_ok=True)
        np.save(root / "probs" / f"{case}.npy", probs.astype(np.float32))
        tags.append(f"{case},{i % 2},{(i // 2) % 2}")
    (root / "tags.csv").write_text("\n".join(tags) + "\n")
    (root / "trusted.txt").write_text("c00\nc01\n")
    (root / "train.txt").write_text("".join(f"c{i:02d}\n" for i in range(2, N_CASES)))
    for folder in ("clean", "labels"):
        names = {"labels": {"background": 0, "heart": 1, "lung": 2}}
        (root / folder / "dataset.json").write_text(json.dumps(names))


def review(root: Path) -> None:
    """An audit, and verdicts on it."""
    run([*audit(root), str(root / "reviewed")])
    facts = json.loads((root / "reviewed" / "audit.json").read_text())
    rows = [json.loads(line) for line in (root / "reviewed" / "cases.jsonl").read_text().splitlines()]
    verdicts = [
        {"case": row["case"], "verdict": "take" if row["proposal"] else "redraw", "at": "", "note": ""}
        | {"given": row["checksum"], "proposed": row["proposal_checksum"]}
        for row in rows
    ]
    content = {"kind": "labelmend verdicts", "version": 1, "audit": facts["id"], "reviewer": "", "saved": ""}
    (root / "verdicts.json").write_text(json.dumps(content | {"verdicts": verdicts}))


def audit(root: Path) -> list[str]:
    """The command, but for the folder."""
    return [
        "audit", str(root / "labels"), "--probabilities", str(root / "probs"),
        "--images", str(root / "images"), "--out",
    ]  # fmt: skip


def commands(root: Path) -> dict[str, Callable[[Path], list[str]]]:
    """Each verb as a command that writes to a folder."""
    clean, labels, probs, images = (str(root / name) for name in ("clean", "labels", "probs", "images"))
    training = [
        "--labels", "labels", "--cases", str(root / "train.txt"), "--clean", str(root / "trusted.txt"),
        "--clean-labels", "clean", "--rounds", "2", "--epochs", "3", "--batch-size", "4", "--device", "cpu",
        "--threads", "1", *NETWORK, "--method.min-shift-vox", "0", "--method.min-dice", "0", "--method.level",
        "0", "--method.trim", "0", "--method.upsample", "1",
    ]  # fmt: skip
    noise = ["--noise", "markov", "--noise.steps", "4000", "--jobs", "2"]
    return {
        "train": lambda out: ["train", str(root), *training, "--out", str(out)],
        "simulate --jobs 2": lambda out: ["simulate", clean, str(out), *noise],
        "audit": lambda out: [*audit(root), str(out)],
        "correct": lambda out: [
            "correct", labels, "--probabilities", probs, "--clean", str(root / "trusted.txt"),
            "--out", str(out),
        ],
        "review apply": lambda out: [
            "review", "apply", str(root / "reviewed"), str(root / "verdicts.json"), "--to", str(out),
        ],
        "seed": lambda out: [
            "pseudo-masks", images, str(root / "tags.csv"), "--out", str(out), "--epochs", "2",
            "--resize", "32",
            "--threads", "1",
        ],
    }  # fmt: skip


def begin(argv: list[str]) -> subprocess.Popen[str]:
    """Start a verb."""
    return subprocess.Popen(
        [sys.executable, "-m", "labelmend", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(argv: list[str], refusable: bool = False) -> str:
    """Run a verb to its end: "done", or "refused" where it may find its results there already."""
    process = begin(argv)
    _, error = process.communicate()
    if process.returncode == 0:
        return "done"
    if refusable and process.returncode == 2 and "already holds" in error:
        return "refused"
    raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}: {error}")


def contents(folder: Path) -> dict[str, str]:
    """Every file and link below a folder by its place: what it holds."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def undisturbed(argv: list[str], home: Path) -> tuple[float, float]:
    """Run a verb alone: seconds until it ended, and until its first file."""
    start, first = time.monotonic(), None
    process = begin(argv)
    while process.poll() is None:
        if first is None and any(home.iterdir()):
            first = time.monotonic() - start
        time.sleep(0.002)
    took = time.monotonic() - start
    if process.returncode != 0:
        assert process.stderr is not None
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}: {process.stderr.read()}")
    return took, took if first is None else first


def one_kill(
    verb: str, argv: list[str], home: Path, *, moment: float, at_work: bool, expected: dict[str, str]
) -> dict | None:
    """Kill a verb at a moment and give the command again; None if it had ended before.

    Args:
        verb, argv: the verb, and its command.
        home: the folder around the one that it writes to.
        moment: seconds since the start, or since the first file.
        at_work: count from the first file.
        expected: files of the undisturbed run.
    """
    process = begin(argv)
    while at_work and process.poll() is None and not any(home.iterdir()):
        time.sleep(0.002)
    time.sleep(moment)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    if not alive or process.returncode != -signal.SIGKILL:
        return None
    left = sorted(path.name for path in home.rglob("*") if path.name.startswith(HIDDEN))
    whole = contents(home / "out") == expected if (home / "out").is_dir() else False
    after = run(argv, refusable=whole)
    found = contents(home / "out")
    differing = sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )
    leftovers = sorted(path.name for path in home.rglob("*") if path.name.startswith(HIDDEN))
    return {
        "verb": verb, "moment_s": round(moment, 3), "at_work": at_work, "left": left[:5], "whole": whole,
        "after": after, "identical": not differing, "differing": differing[:5], "leftovers": leftovers[:5],
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """The results as Markdown."""
    lines = [
        "# Killed at random moments, and started again",
        "",
        "`python benchmarks/kill_anywhere.py` kills each verb with SIGKILL at a random moment, gives the",
        "same command again and compares every byte with an undisturbed run. Counted are kills that met a",
        "living process.",
        "",
        "| verb | kills | half-written after it | whole after it | identical bytes in the end | left-overs |",
        "|---|---|---|---|---|---|",
    ]
    for verb in (*VERBS, "all"):
        own = [row for row in rows if verb in ("all", row["verb"])]
        cells = [
            len(own), sum(bool(r["left"]) for r in own), sum(r["whole"] for r in own),
            sum(r["identical"] for r in own), sum(bool(r["leftovers"]) for r in own),
        ]  # fmt: skip
        lines.append("| " + " | ".join([verb, *map(str, cells)]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Kill until as many have landed as were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--fresh", action="store_true", help="forget earlier kills")
    asked = parser.parse_args()
    if asked.fresh:
        LOG.unlink(missing_ok=True)
    rows = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    rng = random.Random(len(rows))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        draw(root)
        review(root)
        known: dict[str, tuple[float, float, dict[str, str]]] = {}
        while len(rows) < asked.kills:
            verb = VERBS[len(rows) % len(VERBS)]
            home = root / "runs" / verb.split()[0]
            argv = commands(root)[verb](home / "out")
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            if verb not in known:
                took, first = undisturbed(argv, home)
                known[verb] = (took, first, contents(home / "out"))
                continue
            took, first, expected = known[verb]
            at_work = rng.random() > 0.25
            moment = rng.uniform(0, took - first if at_work else took)
            row = one_kill(verb, argv, home, moment=moment, at_work=at_work, expected=expected)
            if row is None:
                continue
            rows.append(row)
            with open(LOG, "a") as log:
                log.write(json.dumps(row) + "\n")
            print(len(rows), json.dumps(row), flush=True)
            TABLE.write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
