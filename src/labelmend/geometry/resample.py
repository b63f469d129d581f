"""From the native grid to the training grid and back: how pixels correspond. Alone here, it needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from labelmend.errors import ConfigError

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def per_axis(value: int | Sequence[int] | None, ndim: int, name: str) -> tuple[int, ...] | None:
    """One size per axis from a number or a list; None stays None."""
    if value is None:
        return None
    sizes = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(sizes) != ndim or any(size < 1 for size in sizes):
        raise ConfigError(f"{name} needs {ndim} positive sizes for these images, got {value}")
    return sizes


def resample(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """Values on another grid over the same field of view: area mean along axes that shrink, else linear.

    Args:
        volume: `(c *space)` floats.
        shape: pixels per axis of the new grid.
    """
    small = tuple(min(old, new) for old, new in zip(volume.shape[1:], shape, strict=True))
    if small != tuple(volume.shape[1:]):
        volume = F.interpolate(volume[None], size=small, mode="area")[0]
    if small != tuple(shape):
        volume = F.interpolate(
            volume[None], size=tuple(shape), mode=_LINEAR[len(small)], align_corners=False
        )[0]
    return volume


def pad_to_multiple(volume: Tensor, multiple: int) -> Tensor:
    """`(c *space)` with zeros behind each axis up to the next multiple, as networks with strides need."""
    missing = [-size % multiple for size in volume.shape[1:]]
    return F.pad(volume, [n for m in reversed(missing) for n in (0, m)]) if any(missing) else volume


def crop_to(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """Undo `pad_to_multiple`: the first `shape` pixels of `(c *space)`."""
    return volume[(slice(None), *(slice(size) for size in shape))]


def normalise(image: Tensor) -> Tensor:
    """Each channel of `(c *space)` to mean 0 and standard deviation 1; a constant channel becomes zero."""
    space = tuple(range(1, image.ndim))
    centred = image - image.mean(space, keepdim=True)
    return centred / centred.std(space, correction=0, keepdim=True).clamp(min=1e-6)
