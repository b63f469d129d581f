"""Time and peak memory of an audit against cleanlab.segmentation, on 256 x 256 masks of four classes.

    python benchmarks/audit_speed.py [--sizes 100 1000 10000]

Drawn discs with wrong outlines and blurred probabilities, on disk as people have them (PNG, float16 .npz).
Each piece runs in a process of its own with one thread; what starts more processes may use both cores, as
cleanlab does when it comes, and labelmend with `--jobs 2`. `labelmend audit` reads, ranks, tells findings and
writes proposals; of cleanlab the issues (without downsampling; as it comes, and all pixels in one batch,
which is its fastest here and takes most memory) and the softmin scores are timed on arrays in memory as
float32, which is how it takes them; and, beside, reading the files into these arrays. It may use 14 GiB and
240 seconds. Writes results/audit_speed.md; a size that is there already is measured anew.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

RESULTS = Path(__file__).parent / "results" / "audit_speed.md"
SIDE, K, LIMIT_S, LIMIT_GIB = 256, 3, 240, 14
TOOLS = (
    "labelmend audit",
    "labelmend audit, two processes",
    "cleanlab as it comes",
    "cleanlab, one batch and process",
)


def draw(folder: Path, n: int) -> None:
    """Label maps, probabilities and names of n cases; a tenth have an outline that is 6 px too wide."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    (folder / "labels").mkdir(parents=True)
    (folder / "probs").mkdir()
    for number in range(n):
        rng = np.random.default_rng(number)
        given, clean = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        for value in range(1, K + 1):
            y, x, radius = *rng.uniform(50, 206, 2), rng.uniform(18, 40)
            distance = np.hypot(rows - y, columns - x)
            clean[distance < radius] = value
            given[distance < radius + (6 if number % 10 == 0 else 0)] = value
        sharp = (clean == np.arange(K + 1)[:, None, None]).astype(np.float32)
        probs = ndimage.gaussian_filter(sharp, (0, 3, 3)) + 0.02 * rng.random((K + 1, 1, 1), np.float32)
        probs /= probs.sum(axis=0)
        Image.fromarray(given).save(folder / "labels" / f"{number:05d}.png")
        np.savez_compressed(folder / "probs" / f"{number:05d}.npz", probabilities=probs.astype(np.float16))
    names = {"background": 0} | {f"disc {value}": value for value in range(1, K + 1)}
    (folder / "labels" / "dataset.json").write_text(json.dumps({"labels": names}))


def measure(tool: str, folder: Path) -> dict[str, float]:
    if tool.startswith("labelmend"):
        from labelmend.workflows.auditing.audit import audit

        jobs = 2 if tool.endswith("processes") else 1
        before, began = peak_mb(), time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            audit(folder / "labels", probabilities=folder / "probs", out=out, jobs=jobs)
        found = {"seconds": time.perf_counter() - began, "mb": peak_mb() - before}
        if jobs > 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown()  # their memory is known once they have ended
            found["mb"] += jobs * peak_mb(resource.RUSAGE_CHILDREN)
        return found
    from cleanlab.segmentation.filter import find_label_issues
    from cleanlab.segmentation.rank import get_label_quality_scores

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_GIB << 30,) * 2)
    before, began = peak_mb(), time.perf_counter()
    paths = sorted((folder / "labels").glob("*.png"))
    labels = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(int)
    probs = np.empty((len(paths), K + 1, SIDE, SIDE), np.float32)
    for row, path in zip(probs, sorted((folder / "probs").glob("*.npz"))):
        row[...] = np.load(path)["probabilities"]
    reading, began = time.perf_counter() - began, time.perf_counter()
    settings = {"n_jobs": 1, "batch_size": labels.size} if tool.endswith("process") else {}
    find_label_issues(labels, probs, downsample=1, verbose=False, **settings)
    get_label_quality_scores(labels, probs, verbose=False)
    return {"seconds": time.perf_counter() - began, "reading": reading, "mb": peak_mb() - before}


def peak_mb(whose: int = resource.RUSAGE_SELF) -> float:
    """Of this process, or of the largest one that it has started and that has ended."""
    return resource.getrusage(whose).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--piece", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.piece:
        return print(json.dumps(measure(options.piece[0], Path(options.piece[1]))))
    lines = [
        "# Cost of an audit",
        "",
        "Made by `python benchmarks/audit_speed.py` on two cores: masks of 256 x 256 pixels, four classes.",
        "Seconds, in brackets how many times as long as labelmend in one process, and peak memory beyond the",
        "start of the process, of two worker processes with their start. labelmend reads the files itself;",
        "cleanlab is timed once on arrays in memory, and once with reading the files into them, which is",
        "what a user waits for; as it comes it uses all cores, and one process is faster. Seconds tell only",
        "ratios: they are of one busy machine.",
        "",
        f"| masks | {' | '.join(TOOLS)} |",
        f"|---:|{'---|' * len(TOOLS)}",
    ]
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder) / "data", n)
            found = {tool: in_a_process(tool, Path(folder) / "data") for tool in TOOLS}
        ours = found[TOOLS[0]]["seconds"]
        lines.append(f"| {n:,} | {' | '.join(cell(found[tool], ours) for tool in TOOLS)} |")
        print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")
    return None


def in_a_process(tool: str, folder: Path) -> dict[str, float]:
    """What `measure` finds; nothing where it ran out of memory or time."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--piece", tool, str(folder)],
            env=os.environ | one,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return {}
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


def cell(found: dict[str, float], ours: float) -> str:
    if not found:
        return f"more than {LIMIT_GIB} GiB or {LIMIT_S} s"
    alone, memory = found["seconds"], f"{found['mb']:,.0f} MB"
    if "reading" not in found:
        return f"{alone:.1f} s ({alone / ours:.1f} x), {memory}"
    both = alone + found["reading"]
    return f"{alone:.1f} s ({alone / ours:.1f} x), with reading {both:.1f} s ({both / ours:.1f} x), {memory}"


if __name__ == "__main__":
    main()
