"""Train a network to predict image-level tags: a plain loop over whole images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError, LabelmendError
from labelmend.runtime.progress import Progress, Tick, no_progress
from labelmend.types import BoolArray

Images = Sequence[Tensor] | Callable[[int], Tensor]

SOONEST, LATEST = 1e-6, 1.0
"""Range of sensible learning rates."""


@dataclass(frozen=True)
class History:
    """Training history, one entry per epoch.

    Args:
        loss: mean over the images.
        accuracy: per class, fraction of training images whose tag the logit predicted correctly, before the
            step on their batch.
    """

    loss: tuple[float, ...]
    accuracy: tuple[tuple[float, ...], ...]


def fit_tags(
    model: nn.Module,
    images: Images,
    tags: BoolArray,
    *,
    epochs: int = 8,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    flips: bool = True,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Progress = no_progress,
) -> History:
    """Train an image classifier in place: multilabel soft margin loss, AdamW, one-cycle learning rate.

    With logits z and tags y, the loss of an image is the mean over classes of
    -y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)).

    The same seed gives the same weights on the same machine; torch's global generator is not changed.

    Args:
        model: maps `(b c h w)` to logits `(b k)` or to an object with `.logits`.
        images: `n` tensors `(c h w)` of one shape, or a function from index to tensor.
        tags: `(n k)` booleans.
        epochs: passes over the images.
        batch_size: most images per batch; batch sizes within an epoch differ by at most one.
        learning_rate: its peak value.
        weight_decay: of AdamW.
        flips: flip each image at random, horizontally and vertically.
        seed: for the order, the flips and randomness inside the model.
        device: where to train; the model stays there.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        ConfigError: invalid settings, or a model whose logits are not `(b k)`.
        GeometryError: images of several shapes, or not as many as tags.
        LabelmendError: the loss is no longer finite.

    Differs: the papers that this follows use SGD on pretrained networks; a small network without
    pretraining learns faster with AdamW.
    """
    _check(images, tags, epochs, batch_size, learning_rate)
    read = images if callable(images) else images.__getitem__
    targets = torch.from_numpy(np.asarray(tags, np.float32))
    order = torch.Generator().manual_seed(seed)
    n_batches = math.ceil(len(targets) / batch_size)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * n_batches)
    losses, accuracies = [], []
    with torch.random.fork_rng(devices=_forked(torch.device(device))):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            total, right = 0.0, torch.zeros(targets.shape[1])
            for rows in torch.randperm(len(targets), generator=order).tensor_split(n_batches):
                batch = _stacked([read(int(row)) for row in rows])
                batch = mirrored(batch, order) if flips else batch
                loss, hits = _step(model, optimizer, batch.to(device), targets[rows].to(device))
                schedule.step()
                total += loss * len(rows)
                right += hits.cpu()
            losses.append(total / len(targets))
            accuracies.append(tuple((right / len(targets)).tolist()))
            if not math.isfinite(losses[-1]):
                raise LabelmendError(
                    f"the loss became {losses[-1]} in epoch {epoch + 1}: lower learning_rate"
                )
            progress(Tick("learning tags", epoch + 1, epochs, f"loss {losses[-1]:.3f}"))
    return History(tuple(losses), tuple(accuracies))


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image of `(b c h w)` at random along each axis."""
    for axis in (-2, -1):
        chosen = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
        images = torch.where(chosen, images.flip(axis), images)
    return images


def _check(images: Images, tags: BoolArray, epochs: int, batch_size: int, learning_rate: float) -> None:
    if epochs < 1 or batch_size < 1:
        raise ConfigError(f"epochs and batch_size must be 1 or more, got {epochs} and {batch_size}")
    if not SOONEST <= learning_rate <= LATEST:
        raise ConfigError(f"learning_rate must lie in [{SOONEST:g}, {LATEST:g}], got {learning_rate}")
    if tags.ndim != 2 or not tags.size:
        raise GeometryError(f"tags have shape {tags.shape}: expected (n k), one row per image")
    if not callable(images) and len(images) != len(tags):
        raise GeometryError(f"got {len(images)} images but {len(tags)} rows of tags")


def _stacked(images: Sequence[Tensor]) -> Tensor:
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise GeometryError(f"training images must share one shape, got {shapes[0]} and {shapes[1]}")
    return torch.stack(list(images))


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor, wanted: Tensor
) -> tuple[float, Tensor]:
    """One step on a batch: its loss, and per class the number of tags predicted correctly before it."""
    out = model(batch)
    logits: Tensor = out if isinstance(out, Tensor) else out.logits
    if logits.shape != wanted.shape:
        raise ConfigError(
            f"{type(model).__name__} maps {len(batch)} images to logits of shape {tuple(logits.shape)}, "
            f"expected {tuple(wanted.shape)}: one per image and class"
        )
    loss = F.multilabel_soft_margin_loss(logits, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach()), ((logits.detach() > 0) == (wanted > 0)).sum(0)


def _forked(device: torch.device) -> list[torch.device]:
    """Devices other than the CPU whose generators must be preserved."""
    return [device] if device.type == "cuda" else []
