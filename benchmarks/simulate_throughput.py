"""Masks per second from disk to disk, on one core and on two, and what a long list of cases costs.

python benchmarks/simulate_throughput.py      # two minutes; writes results/simulate_throughput.md
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1")

import numpy as np
from PIL import Image

from labelmend import simulate
from labelmend.noise import MarkovNoise
from labelmend.phantom import PHANTOM_CLASSES, draw_phantom

RESULT = Path(__file__).parent / "results" / "simulate_throughput.md"
CASES, SIZE, REPEATS = 1000, 256, 3
MANY = 20_000


def draw_cases(folder: Path) -> None:
    for number in range(CASES):
        _, masks = draw_phantom(np.random.default_rng(number), SIZE)
        for name, mask in zip(PHANTOM_CLASSES, masks, strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name / f"case_{number:04}.png")


def seconds(clean: Path, out: Path, jobs: int) -> float:
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    simulate(clean, out, preset="J1", jobs=jobs)
    return time.perf_counter() - start


def many(place: Path) -> tuple[float, float]:
    """Microseconds a case, and bytes of memory a case, of a folder of many small masks."""
    clean = place / "many"
    clean.mkdir()
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 1
    Image.fromarray(mask).save(clean / "case_00000.png")
    for number in range(1, MANY):
        os.link(clean / "case_00000.png", clean / f"case_{number:05}.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    simulate(clean, place / "many_noisy", noise=MarkovNoise(steps=5), classes={"a": 1})
    took = time.perf_counter() - start
    return took / MANY * 1e6, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MANY


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        clean, out = Path(place) / "clean", Path(place) / "out"
        draw_cases(clean)
        seconds(clean, out, 2)  # compiles, and starts the workers
        found = {1: [], 2: []}
        for _ in range(REPEATS):
            for jobs, took in found.items():
                took.append(seconds(clean, out, jobs))
        us, room = many(Path(place))
    rate = {jobs: CASES * len(PHANTOM_CLASSES) / statistics.median(took) for jobs, took in found.items()}
    ratios = [a / b for a, b in zip(found[1], found[2], strict=True)]
    text = (
        "# Simulating from disk to disk\n\n"
        f"Made by `python benchmarks/simulate_throughput.py`: {CASES} cases with {len(PHANTOM_CLASSES)} "
        f"masks at {SIZE} px,\nPNG to PNG, preset J1; reading, drawing, writing whole files, checksum, "
        f"manifest. Medians of {REPEATS} runs in turns.\n\n"
        "| jobs | masks a second |\n|---|---|\n"
        + "".join(f"| {jobs} | {value:.0f} |\n" for jobs, value in rate.items())
        + f"\n- two cores over one: **{statistics.median(ratios):.2f}** "
        f"(single runs {min(ratios):.2f} to {max(ratios):.2f})\n"
        f"- a folder of {MANY:,} small masks: {us:.0f} us a mask in all, {room:.0f} bytes of memory a mask\n"
    )
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
