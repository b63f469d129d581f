"""Memory and time of `labelmend evaluate` on one volume of 104 classes, against all masks at once.

    python benchmarks/evaluate_memory.py [--sizes 128 160 256] [--classes 104]

Drawn cubes, each a fifth of the volume wide and of a class of its own, and the same one voxel away, as
compressed NIfTI. Each measurement runs in a process of its own with one thread, after an evaluation of a tiny
volume, so that what is imported is not counted; memory is the peak of the process beyond that. "All masks at
once" builds one boolean mask a class of either label map and then scores them one by one on the whole grid;
it runs up to 160^3, and both ways must give the same numbers to the last bit. The table is
results/evaluate_memory.md.
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

import nibabel
import numpy as np

RESULTS = Path(__file__).parent / "results" / "evaluate_memory.md"
LARGEST_AT_ONCE = 160


def draw(folder: Path, size: int, k: int) -> None:
    """labels/ and reference/ of one case with their names."""
    rng, side = np.random.default_rng(0), max(2, size // 5)
    truth = np.zeros((size,) * 3, np.uint8)
    for value in range(1, k + 1):
        start = rng.integers(1, size - side - 1, 3)
        truth[tuple(slice(s, s + side) for s in start)] = value
    names = {"background": 0} | {f"class {value}": value for value in range(1, k + 1)}
    for name, array in (("labels", np.roll(truth, 1, axis=0)), ("reference", truth)):
        (folder / name).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / name / "case.nii.gz")
        (folder / name / "dataset.json").write_text(json.dumps({"labels": names}))


def in_boxes(folder: Path) -> list[tuple[float, ...]]:
    from labelmend.workflows.evaluation import evaluate

    scores = evaluate(folder / "labels", folder / "reference").scores
    return [(s.dice, s.iou, s.nsd, s.hd95_mm, s.boundary_bias_mm) for s in scores]


def all_at_once(folder: Path) -> list[tuple[float, ...]]:
    from labelmend.io import open_labels
    from labelmend.metrics import dice, iou
    from labelmend.metrics.surface import known_boundary_bias, surface_distances

    labels, reference = (open_labels(folder / name).read("case") for name in ("labels", "reference"))
    spacing, ignore, found = reference.grid.spacing_mm, reference.ignored(), []
    for mask, truth in zip(labels.masks(), reference.masks(), strict=True):
        surfaces = surface_distances(mask, truth, spacing_mm=spacing, ignore=ignore)
        bias = known_boundary_bias(mask, truth, spacing_mm=spacing, ignore=ignore)
        overlap = dice(mask, truth, ignore), iou(mask, truth, ignore)
        found.append((*overlap, surfaces.nsd(2.0), surfaces.hausdorff(95), bias))
    return found


WAYS = {"one class at a time": in_boxes, "all masks at once": all_at_once}


def measure(way: str, folder: Path, tiny: Path) -> dict[str, object]:
    WAYS[way](tiny)
    before, began = peak_bytes(), time.perf_counter()
    scores = WAYS[way](folder)
    return {"seconds": time.perf_counter() - began, "bytes": peak_bytes() - before, "scores": repr(scores)}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 256])
    parser.add_argument("--classes", type=int, default=104)
    parser.add_argument("--piece", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.piece:
        way, folder, tiny = options.piece
        return print(json.dumps(measure(way, Path(folder), Path(tiny))))
    lines = [
        "# Memory of an evaluation",
        "",
        f"Made by `python benchmarks/evaluate_memory.py`: one volume of {options.classes} classes, zipped",
        "NIfTI of one byte a voxel. Bytes a voxel are the peak of the process beyond what it holds before",
        "the files are read and beyond the two label maps themselves (two bytes). Times are ratios: all",
        "masks at once take so many times as long, reading included. Scores are the same to the last bit.",
        "",
        "| voxels | one class at a time | all masks at once |",
        "|---:|---|---|",
    ]
    with tempfile.TemporaryDirectory() as home:
        tiny = Path(home) / "tiny"
        draw(tiny, 16, 3)
        for size in options.sizes:
            folder = Path(home) / str(size)
            draw(folder, size, options.classes)
            new = piece("one class at a time", folder, tiny)
            row = [f"{beyond(new, size):.1f} bytes a voxel", f"not run above {LARGEST_AT_ONCE}^3"]
            if size <= LARGEST_AT_ONCE:
                old = piece("all masks at once", folder, tiny)
                if old["scores"] != new["scores"]:
                    raise SystemExit(f"{size}^3: the two ways differ")
                row[1] = (
                    f"{beyond(old, size):.0f} bytes a voxel, {old['seconds'] / new['seconds']:.1f} x the time"
                )
            lines.append(f"| {size}^3 | {' | '.join(row)} |")
            print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")


def beyond(found: dict[str, float], size: int) -> float:
    """Bytes a voxel beyond the two label maps."""
    return found["bytes"] / size**3 - 2


def piece(way: str, folder: Path, tiny: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--piece", way, str(folder), str(tiny)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
