"""Time of preparing a batch against what it was: targets of exclusive classes, and patches cut from volumes.

    python benchmarks/data_speed.py > benchmarks/results/data_speed.md

Old and new ways run alternately in one process on one thread, and must give the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labelmend.workflows.training.batches import Sample, crop, exclusive_target

REPEATS = 15


def old_target(masks: Tensor) -> Tensor:
    """Class numbers by argmax."""
    return torch.cat([1 - masks.sum(1, keepdim=True), masks], dim=1).argmax(1)


def old_crop(
    sample: Sample, size: tuple[int, ...], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A patch, with the whole case padded by nothing and searched for its classes every time."""
    image, masks, valid = (F.pad(t, [0, 0] * len(size)) for t in (sample.image, sample.masks, sample.valid))
    room = np.array(valid.shape, int) - np.array(size, int)
    start = rng.integers(0, room + 1)
    present = (masks.flatten(1) > 0.5).any(1).nonzero().flatten()
    if rng.random() < 2 / 3 and len(present):
        mask = masks[int(present[rng.integers(len(present))])]
        voxels = (mask > 0.5).nonzero()
        centre = voxels[int(rng.integers(len(voxels)))].numpy()
        start = np.clip(centre - np.array(size) // 2, 0, room)
    window = tuple(slice(int(a), int(a) + n) for a, n in zip(start, size, strict=True))
    return image[(slice(None), *window)], masks[(slice(None), *window)], valid[window]


def new_crop(
    sample: Sample, size: tuple[int, ...], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A patch as training cuts it."""
    cut = crop(sample, size, rng)
    return cut.image, cut.masks, cut.valid


def milliseconds(*ways: Callable[[int], object]) -> list[float]:
    """The median time of each, taken in turns."""
    found = np.zeros((REPEATS, len(ways)))
    for repeat in range(-1, REPEATS):
        for index, way in enumerate(ways):
            begun = time.perf_counter()
            way(repeat + 1)
            found[repeat, index] = time.perf_counter() - begun
    return (np.median(found, axis=0) * 1e3).tolist()


def main() -> None:
    """Print a table in Markdown."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for what, shape in (
        ("2-D, 8 x 256 x 256", (8, 3, 256, 256)),
        ("3-D, 2 x 64 x 64 x 64", (2, 3, 64, 64, 64)),
    ):
        masks = (torch.rand(shape, generator=generator) * 4).round() / 12  # with many ties
        assert torch.equal(old_target(masks), exclusive_target(masks))
        times = milliseconds(lambda _, m=masks: old_target(m), lambda _, m=masks: exclusive_target(m))
        rows.append((f"targets of 3 exclusive classes, {what}", *times))
    shape, size = (160, 160, 120), (64, 64, 64)
    masks = (torch.rand((3, *shape), generator=generator) > 0.9).float()
    image, valid = torch.randn((1, *shape), generator=generator), torch.ones(shape, dtype=torch.bool)
    sample = Sample("x", image, masks, valid, (1.0, 1.0, 1.0))
    for seed in range(REPEATS):
        both = (way(sample, size, np.random.default_rng(seed)) for way in (old_crop, new_crop))
        assert all(torch.equal(one, two) for one, two in zip(*both, strict=True))
    ways = (old_crop, new_crop)
    times = milliseconds(
        *(lambda seed, way=way: way(sample, size, np.random.default_rng(seed)) for way in ways)
    )
    rows.append((f"a patch of {' x '.join(map(str, size))} from {' x '.join(map(str, shape))}", *times))
    print("| what | before, ms | now, ms | times as fast |\n|---|---:|---:|---:|")
    for what, before, now in rows:
        print(f"| {what} | {before:.1f} | {now:.1f} | {before / now:.1f} |")


if __name__ == "__main__":
    main()
