"""Choose the settings of the fold networks from the data: grid, patch, batch, depth of the network, epochs.

After nnU-Net (Isensee et al. 2021), which derives them from a fingerprint of the data set; here within the
minutes that the user grants, on the processor or a GPU.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labelmend.io import DatasetFacts
from labelmend.model.config import NetworkConfig
from labelmend.workflows.training.config import AugmentConfig

PAD = 16
"""Grids are padded to a multiple of this."""

SIDE_PX = {"cpu": 128, "cuda": 256}
"""Longest side of 2-D training images, pixels."""

VOXELS = {"cpu": 64**3, "cuda": 128**3}
"""Most voxels of a 3-D training image or patch."""

AUTO = "auto"
CHANNELS = (16, 32, 64, 128, 256)
FEWEST_EPOCHS, MOST_EPOCHS = 10, 150
TIMED_STEPS = 3
OVERHEAD = 1.25
"""Time of a training step with loading and augmentation, relative to the step alone."""


@dataclass(frozen=True)
class FoldTraining:
    """Settings of the network of each fold; what is not given is chosen from the data.

    Args:
        resize: train on a grid of this many pixels per axis.
        patch: train on random patches of this many pixels per axis.
        epochs: passes over the training cases. Default: as many as the minutes allow.
        batch_size: cases per batch.
        learning_rate: peak of the schedule, AdamW.
        network: the network; "auto": a U-Net as deep as the grid allows.
        augment: augmentation.
        average_shift: predictions are averaged over shifts of the image by this many pixels of the training
            grid, nine in all; 0 predicts once.
        mixed_precision: "no", "fp16" or "bf16".
        threads: CPU threads; 0 leaves PyTorch's own choice.
        workers: processes that load data; 0 loads in the training process.
        cache_gib: memory for decoded cases, GiB.
    """

    resize: int | list[int] | None = None
    patch: int | list[int] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-2
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(AUTO))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    average_shift: int = 0
    mixed_precision: str = "no"
    threads: int = 0
    workers: int = 0
    cache_gib: float = 2.0


def chosen_settings(
    facts: DatasetFacts, wanted: FoldTraining, *, out_channels: int, folds: int, minutes: float, device: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Settings of `TrainConfig` for every fold, and a sentence on each that was chosen here.

    Args:
        facts: the data.
        wanted: settings that the user gave; they win.
        out_channels: channels of the logits.
        folds: number of trainings.
        minutes: time for all of them.
        device: "cpu" or "cuda".
    """
    given = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted)}
    grid, notes = _grid(facts, given["resize"], given["patch"], device)
    settings = given | {name: None if size is None else list(size) for name, size in grid.items()}
    shape = tuple(settings["patch"] or settings["resize"] or next(iter(facts.shapes)))
    settings["batch_size"] = given["batch_size"] or (8 if facts.ndim == 2 else 2 if settings["patch"] else 4)
    settings["batch_size"] = min(settings["batch_size"], max(2, facts.n_cases // 2))
    if given["network"].name == AUTO:
        settings["network"] = unet_for(shape)
    if given["epochs"] is None:
        step_s = _step_seconds(settings, facts, shape, out_channels, device)
        steps = math.ceil(facts.n_cases * (folds - 1) / folds / settings["batch_size"])
        affordable = int(60 * minutes / (step_s * OVERHEAD * steps * folds))
        settings["epochs"] = max(FEWEST_EPOCHS, min(MOST_EPOCHS, affordable))
        needed = settings["epochs"] * step_s * OVERHEAD * steps * folds / 60
        notes += (f"{settings['epochs']} epochs of {steps} batches per fold, about {needed:.0f} min in all.",)
    return settings, notes


def _grid(
    facts: DatasetFacts, resize: Any, patch: Any, device: str
) -> tuple[dict[str, Sequence[int] | None], tuple[str, ...]]:
    """Grid of the training: the native one if it is small enough, else resized images or patches."""
    if resize is not None or patch is not None:
        sizes = {"resize": resize, "patch": patch}
        return {k: [v] * facts.ndim if isinstance(v, int) else v for k, v in sizes.items()}, ()
    shapes = np.array(list(facts.case_shapes.values()))
    median = np.median(shapes, axis=0)
    shown = " x ".join(f"{size:.0f}" for size in median)
    if facts.ndim == 3 and math.prod(median) > VOXELS[device]:
        patch = _halved(median, VOXELS[device])
        note = f"Trained on patches of {_times(patch)} voxels: the median volume has {shown}."
        return {"resize": None, "patch": patch}, (note,)
    longest = SIDE_PX[device] if facts.ndim == 2 else max(median)
    if len(facts.shapes) == 1 and max(median) <= longest:
        return {"resize": None, "patch": None}, ()
    scale = min(1.0, longest / max(median))
    size = [max(PAD, round(float(side) * scale)) for side in median]
    return {"resize": size, "patch": None}, (
        f"Trained on a grid of {_times(size)} pixels: the median image has {shown}.",
    )


def _halved(shape: Sequence[float], most: int) -> list[int]:
    """A patch of at most so many voxels: the longest axis is halved until it is small enough."""
    size = [float(side) for side in shape]
    while math.prod(_padded(size)) > most:
        size[size.index(max(size))] /= 2
    return _padded(size)


def _padded(size: Sequence[float]) -> list[int]:
    return [max(PAD, math.floor(side / PAD) * PAD) for side in size]


def _times(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def unet_for(shape: Sequence[int]) -> NetworkConfig:
    """A MONAI U-Net whose coarsest grid has at least four pixels per axis.

    A first layer at full resolution was tried on small volumes (hippocampus, 60 cases, two folds, 20 epochs):
    five times as slow, and no better (mean Dice 0.81 against 0.82).

    >>> unet_for((36, 48, 40)).args["strides"]
    (2, 2, 2)
    """
    shortest = min(math.ceil(side / PAD) * PAD for side in shape)
    strides = (2,) * max(1, min(4, int(math.log2(shortest / 4))))
    channels = CHANNELS[: len(strides) + 1]
    return NetworkConfig(
        "UNet", {"channels": channels, "strides": strides, "num_res_units": 2, "norm": "BATCH"}
    )


def _step_seconds(
    settings: dict[str, Any], facts: DatasetFacts, shape: Sequence[int], out_channels: int, device: str
) -> float:
    """Seconds of one training step on random numbers of the right size, the fastest of a few."""
    import torch

    from labelmend.model.network import build_network, padded_size

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    network = build_network(
        settings["network"], ndim=facts.ndim, in_channels=facts.n_channels, out_channels=out_channels,
        shape=shape,
    ).to(device)  # fmt: skip
    images = torch.randn(settings["batch_size"], facts.n_channels, *padded_size(shape), device=device)
    times = []
    for _ in range(1 + TIMED_STEPS):
        start = time.perf_counter()
        network(images).square().mean().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])
