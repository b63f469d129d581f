"""Time and memory an image of maps from tags, at 128, 256 and 512 px, on one thread of a processor.

    python benchmarks/weak_cost.py

Every cell is measured in a process of its own: CPU seconds (wall time means little on a busy machine), the
best of three, and the peak of memory beyond the model. Linux only. Writes results/weak_cost.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from labelmend.workflows.image_tags import MultiLayerCAM, TinyBackbone, class_maps

RESULTS = Path(__file__).parent / "results" / "weak_cost.md"
SIZES = (128, 256, 512)
CELLS = {
    "class maps with a mirrored pass, no attention": ("none", "maps"),
    "class maps with a mirrored pass, propagate": ("propagate", "maps"),
    "training step, no attention and propagate": ("none", "train"),
    "the same, checkpointing": ("none", "train-checkpointing"),
}


def measure(mode: str, what: str, size: int) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = ("stage2", "stage3", "stage4")
    model = MultiLayerCAM(TinyBackbone(1), 3, layers=layers, mode=mode, checkpointing="check" in what)
    n = 4 if what.startswith("train") else 1

    def work(images: torch.Tensor) -> None:
        if what == "maps":
            class_maps(model, images)
        else:
            model.train()(images).logits.square().sum().backward()

    work(torch.rand(2, 1, 32, 32))
    images, seconds = torch.rand(n, 1, size, size), []
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory_mb("VmRSS")
    work(images)
    peak = memory_mb("VmHWM") - before
    for _ in range(3):
        began = time.process_time()
        work(images)
        seconds.append(time.process_time() - began)
    return {"seconds": min(seconds) / n, "mb": peak / n}


def memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        mode, what, size = options.cell
        return print(json.dumps(measure(mode, what, int(size))))
    lines = [
        "# Cost of maps from image-level tags",
        "",
        "Made by `python benchmarks/weak_cost.py`: CPU seconds and peak memory an image, one thread, the",
        "small backbone, three stages, three classes; training in batches of four.",
        "",
        f"| | {' | '.join(f'{size} px' for size in SIZES)} |",
        f"|---|{'---|' * len(SIZES)}",
    ]
    for name, (mode, what) in CELLS.items():
        cells = [in_a_process(mode, what, size) for size in SIZES]
        lines.append(f"| {name.strip()} | {' | '.join(cells)} |")
    RESULTS.write_text("\n".join(lines) + "\n")
    return print("\n".join(lines))


def in_a_process(mode: str, what: str, size: int) -> str:
    found = subprocess.run(
        [sys.executable, __file__, "--cell", mode, what, str(size)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    values = json.loads(found.stdout)
    return f"{values['seconds']:.3f} s, {values['mb']:.0f} MB"


if __name__ == "__main__":
    main()
