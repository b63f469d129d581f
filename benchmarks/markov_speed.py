"""How fast Markov noise is drawn, beside the published way of drawing it, in one run on one core.

    python benchmarks/markov_speed.py        # three minutes; writes results/markov_speed.{json,md,png}

The reference computes a distance transform of the whole image in every step and goes through the frontier
pixel by pixel, as the paper's code does. Ratios are what counts: both sides run in turns in one process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

import labelmend.noise.walk as compiled
from labelmend.noise import markov_noise
from labelmend.phantom import draw_phantom

RESULTS = Path(__file__).parent / "results" / "markov_speed"
LUNG = {"steps": 180, "expand": 0.8, "flip": 0.05}
BRAIN = {"steps": 80, "expand": 0.7, "flip": 0.05}
ASKED = {"256 x 256, J1 lung": 1000, "512 x 512, J1 lung": 2000, "128 x 128 x 128, B1": 1000}


def reference(
    mask: np.ndarray, rng: np.random.Generator, *, steps: int, expand: float, flip: float
) -> np.ndarray:
    """The process step by step as published: a distance transform, a list of places, a coin for each."""
    noisy = mask.astype(float)
    for growing in rng.random(steps) < expand:
        side = 1 - noisy if growing else noisy
        places = list(zip(*(distance_transform_edt(side) == 1).nonzero()))
        for place, coin in zip(places, rng.random(len(places))):
            if coin < flip:
                noisy[place] = 1 - noisy[place]
    return noisy > 0.5


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def work_of(mask: np.ndarray, settings: dict[str, Any], rng: np.random.Generator) -> tuple[int, int]:
    """Flips and list entries looked at in one walk."""
    seen: list[tuple[int, int]] = []
    original = compiled._walk
    compiled._walk = lambda *arguments: seen.append(original(*arguments))
    try:
        markov_noise(mask, rng, **settings)
    finally:
        compiled._walk = original
    return seen[0] if seen else (0, 0)


def lung(size: int) -> np.ndarray:
    """Two drawn lungs, of the size that they have in a chest radiograph."""
    return draw_phantom(np.random.default_rng(0), size)[1][-1]


def ball(size: int) -> np.ndarray:
    return sum((axis - size / 2) ** 2 for axis in np.indices((size,) * 3)) < (size * 0.3) ** 2


def compare(mask: np.ndarray, settings: dict[str, Any], repeats: int) -> dict[str, float]:
    """Ours and the reference in turns: medians of seconds, their ratio, and what a flip costs."""
    rng = np.random.default_rng(0)
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(seconds(lambda: reference(mask, rng, **settings)))
        ours += [seconds(lambda: markov_noise(mask, rng, **settings)) for _ in range(20)]
    flips = statistics.mean(work_of(mask, settings, rng)[0] for _ in range(20))
    mine = statistics.median(ours)
    return {
        "reference_s": statistics.median(theirs),
        "ours_s": mine,
        "ratio": statistics.median(theirs) / mine,
        "flips": flips,
        "ns_per_flip": mine / flips * 1e9,
    }


@njit
def _update(state: np.ndarray, places: np.ndarray) -> None:
    for place in places:
        state[place] ^= 1


def memory_update_ns(n_bytes: int) -> float:
    """What one read and write of a random byte costs, with the places known beforehand."""
    state = np.zeros(n_bytes, np.uint8)
    places = np.random.default_rng(0).integers(n_bytes, size=10**6)
    _update(state, places)
    return min(seconds(lambda: _update(state, places)) for _ in range(9)) * 1e3


def line() -> dict[str, Any]:
    """Time against flips over sizes and steps, setting up taken off (a walk of no steps)."""
    rng, rows = np.random.default_rng(1), []

    def median_s(mask: np.ndarray, settings: dict[str, Any]) -> float:
        return statistics.median(seconds(lambda: markov_noise(mask, rng, **settings)) for _ in range(25))

    for size in (64, 128, 256, 512, 1024):
        mask = lung(size)
        setup_s = median_s(mask, {**LUNG, "steps": 0})
        for steps in (25, 50, 100, 200, 400):
            settings = {**LUNG, "steps": steps}
            flips = statistics.mean(work_of(mask, settings, rng)[0] for _ in range(9))
            walk_s = median_s(mask, settings) - setup_s
            rows.append({"size": size, "steps": steps, "flips": flips, "seconds": walk_s, "setup_s": setup_s})
    x, y = (np.array([row[key] for row in rows]) for key in ("flips", "seconds"))
    slope, intercept = np.polyfit(x, y, 1)
    return {
        "rows": rows,
        "ns_per_flip": float(slope * 1e9),
        "r2": float(1 - np.var(y - slope * x - intercept) / np.var(y)),
        "ns_per_flip_range": [float((y / x).min() * 1e9), float((y / x).max() * 1e9)],
    }


def memory(size: int) -> dict[str, float]:
    """Peak bytes of a walk through a cube of voxels, reserved and really touched, per byte of the mask."""
    code = f"""
import tracemalloc, numpy as np
from pathlib import Path
from labelmend.noise import markov_noise
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
settings = {BRAIN}
markov_noise(np.eye(9, dtype=bool)[None], np.random.default_rng(0), **settings)
mask = np.zeros(({size},) * 3, bool)
mask[tuple(slice(n // 4, -n // 4) for n in mask.shape)] = True
Path("/proc/self/clear_refs").write_text("5")
before = peak()
markov_noise(mask, np.random.default_rng(0), **settings)
touched = peak() - before
tracemalloc.start()
markov_noise(mask, np.random.default_rng(0), **settings)
print(touched / mask.size, tracemalloc.get_traced_memory()[1] / mask.size)
"""
    touched, reserved = map(float, printed(code).split())
    return {"size": size, "touched_per_voxel": touched, "reserved_per_voxel": reserved}


def printed(code: str, **environment: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def first_call() -> dict[str, float]:
    """Seconds of the first walk of a process: compiled anew, and from the cache."""
    code = """
import time, numpy as np
from labelmend.noise import markov_noise
start = time.perf_counter()
markov_noise(np.eye(9, dtype=bool), np.random.default_rng(0), steps=3, expand=0.5, flip=0.5)
print(time.perf_counter() - start)
"""
    with tempfile.TemporaryDirectory() as cache:
        runs = [float(printed(code, NUMBA_CACHE_DIR=cache)) for _ in range(2)]
    return {"compiling_s": runs[0], "cached_s": runs[1]}


def picture(found: dict[str, Any]) -> None:
    rows = found["line"]["rows"]
    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for size in sorted({row["size"] for row in rows}):
        own = [row for row in rows if row["size"] == size]
        axes.loglog(
            [r["flips"] for r in own], [r["seconds"] * 1e3 for r in own], "o", ms=5, label=f"{size} x {size}"
        )
    ends = np.array([min(r["flips"] for r in rows), max(r["flips"] for r in rows)])
    cost = found["line"]["ns_per_flip"]
    axes.loglog(ends, ends * cost / 1e6, "-", color="0.6", lw=1, label=f"{cost:.0f} ns a flip", zorder=0)
    axes.set(
        xlabel="flips", ylabel="time of the walk, ms", title="The cost of Markov noise is that of its flips"
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS.with_suffix(".png"), dpi=130)


def text(found: dict[str, Any]) -> str:
    lines = [
        "# Speed of Markov boundary noise",
        "",
        "Made by `python benchmarks/markov_speed.py`: one core, both sides in turns in one process, medians.",
        "The reference is the published way: SciPy's distance transform of the whole image in every step.",
        "",
        "| mask | reference, s | labelmend, ms | **ratio** | asked | flips | ns a flip |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found["compare"].items():
        lines.append(
            f"| {name} | {row['reference_s']:.3f} | {row['ours_s'] * 1e3:.3f} | **{row['ratio']:,.0f}** | "
            f"{ASKED[name]:,} | {row['flips']:,.0f} | {row['ns_per_flip']:.1f} |"
        )
    floor, memo, call, line = (found[k] for k in ("memory_update_ns", "memory", "first_call", "line"))
    whole_ms = found["with_speckle_and_smooth"]["ours_s"] * 1e3
    walk_ms = found["compare"]["256 x 256, J1 lung"]["ours_s"] * 1e3
    low, high = line["ns_per_flip_range"]
    remarks = [
        "The floor: one read and write of a random byte, its place known beforehand, costs "
        f"{floor['2-D']:.1f} ns in an array of the size of a 256 x 256 mask, {floor['3-D']:.1f} ns in one "
        "of 128 x 128 x 128. A flip is five such updates in 2-D (itself and four neighbours), seven in 3-D, "
        "one exponential variable, and entries in two lists.",
        "Time is linear in the flips over five sizes (64 to 1024) times five numbers of steps (25 to "
        f"400): {line['ns_per_flip']:.1f} ns each, R2 {line['r2']:.4f}; single settings from "
        f"{low:.0f} to {high:.0f} ns (a long frontier lies outside the fastest cache).",
        f"Memory of a walk through {memo['size']}^3 voxels: {memo['touched_per_voxel']:.1f} bytes a voxel "
        f"touched ({memo['reserved_per_voxel']:.1f} reserved); the mask itself is 1.",
        f"First call of a process: {call['compiling_s']:.1f} s with compiling, {call['cached_s']:.2f} s from "
        "the cache on disk ever after.",
        f"All of J1 at 256 x 256, with speckle and smoothing: {whole_ms:.2f} ms, of which the walk is "
        f"{walk_ms:.2f}.",
    ]
    lines += ["", *(textwrap.fill(f"- {remark}", 110, subsequent_indent="  ") for remark in remarks)]
    lines += ["", "![time against flips](markov_speed.png)", ""]
    return "\n".join(lines)


def main() -> None:
    masks = {
        "256 x 256, J1 lung": (lung(256), LUNG),
        "512 x 512, J1 lung": (lung(512), LUNG),
        "128 x 128 x 128, B1": (ball(128), BRAIN),
    }
    rng = np.random.default_rng(0)
    for mask, settings in masks.values():
        markov_noise(mask, rng, **settings)
    whole, drawn = {**LUNG, "speckle": 0.2, "smooth": True}, lung(256)
    found = {
        "compare": {
            name: compare(mask, settings, 3 if mask.ndim == 3 else 9)
            for name, (mask, settings) in masks.items()
        },
        "memory_update_ns": {"2-D": memory_update_ns(258**2), "3-D": memory_update_ns(130**3)},
        "line": line(),
        "memory": memory(320),
        "first_call": first_call(),
        "with_speckle_and_smooth": {
            "ours_s": statistics.median(seconds(lambda: markov_noise(drawn, rng, **whole)) for _ in range(50))
        },
    }
    RESULTS.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(text(found))
    picture(found)
    print(text(found))


if __name__ == "__main__":
    main()
