"""Attention over feature maps at a bounded cost: class maps propagate to cells with similar features.

A map of `h w` cells has `h w` tokens, and the cost of attention is quadratic in them. Here the map is first
averaged onto a grid of at most `max_tokens` cells, so no image needs more than `max_tokens ** 2` scores.

Paper: Yaganapu, Kang, "Multi-layered self-attention mechanism for weakly supervised semantic segmentation",
    CVIU 2024, doi 10.1016/j.cviu.2023.103886, for the idea of attention on several layers. Propagation: Wang
    et al., "Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic Segmentation",
    CVPR 2020.
Differs: we had access only to the abstract of the first; the details are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmend.errors import ConfigError, GeometryError

NO_FEATURE = 1e-5
"""Differences from the mean below this fraction of an image's longest feature vector are rounding error."""


def bounded_grid(h: int, w: int, max_tokens: int) -> tuple[int, int]:
    """Size of a grid of about the same shape that has at most `max_tokens` cells; the same if it has no more.

    >>> bounded_grid(30, 20, 1024), bounded_grid(256, 128, 2048)
    ((30, 20), (64, 32))
    """
    if h * w <= max_tokens:
        return h, w
    short, long = min(h, w), max(h, w)
    few = max(1, math.isqrt(max_tokens * short // long))
    many = min(long, max_tokens // few)
    return (few, many) if h <= w else (many, few)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """`(b c h w)` at another size: axes that shrink are averaged, axes that grow interpolated linearly."""
    h, w = maps.shape[-2:]
    small = min(h, size[0]), min(w, size[1])
    if small != (h, w):
        maps = F.adaptive_avg_pool2d(maps, small)
    if small != tuple(size):
        maps = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
    return maps


def affinity(features: Tensor, *, power: float = 4, max_tokens: int = 1024) -> Tensor:
    """Similarity of the cells of a map, by the cosine of their features.

        A_ij = s_ij / sum_i s_ij,   s_ij = max(0, cos(f_i - m, f_j - m)) ** power

    m is the mean feature of the image. A cell equal to it has no direction, and is similar only to itself.

    Args:
        features: `(b c h w)`; averaged onto a grid of at most `max_tokens` cells.
        power: above 0; the higher, the fewer cells are similar.
        max_tokens: 1 or more; n is at most that, and the matrix has `b n n` numbers.

    Returns:
        `(b n n)`, not negative; each column sums to 1. Cells are in row-major order.

    Raises:
        GeometryError: features are not `(b c h w)`.
        ConfigError: a setting cannot be used.

    >>> import torch
    >>> affinity(torch.tensor([[[[1.0, 1.0, -2.0]]]]))
    tensor([[[0.5000, 0.5000, 0.0000],
             [0.5000, 0.5000, 0.0000],
             [0.0000, 0.0000, 1.0000]]])
    """
    _check_map(features, "features")
    _check_at_least("max_tokens", max_tokens, 1)
    if not (math.isfinite(power) and power > 0):
        raise ConfigError(f"power must be a number above 0, got {power}")
    grid = bounded_grid(features.shape[-2], features.shape[-1], max_tokens)
    tokens = resized(features, grid).flatten(2)
    longest = tokens.norm(dim=1).amax(dim=1)[:, None, None]
    tokens = tokens - tokens.mean(dim=2, keepdim=True)
    length = tokens.norm(dim=1, keepdim=True)
    directions = tokens / length.clamp_min(torch.finfo(tokens.dtype).tiny) * (length > NO_FEATURE * longest)
    alike = (directions.mT @ directions).clamp_min(0)
    alike = alike.square().square() if power == 4 else alike**power  # much faster than a power
    alike.diagonal(dim1=1, dim2=2).fill_(1)
    return alike / alike.sum(dim=1, keepdim=True)


def propagate(
    maps: Tensor, stages: Sequence[Tensor], *, power: float = 4, steps: int = 1, max_tokens: int = 1024
) -> Tensor:
    """Spread class maps to similar cells: max(0, maps) A ** steps, A the mean affinity of the stages.

    Each cell becomes a weighted mean over the image, so no value leaves the range of max(0, maps).

    Args:
        maps: `(b k h w)` class maps; negative values count as 0.
        stages: features, each `(b c_l h_l w_l)`. They and the maps are brought to one grid, as fine as the
            finest of them but of at most `max_tokens` cells.
        power: as in `affinity`.
        steps: 0 or more.
        max_tokens: 1 or more; needs a few matrices of `max_tokens ** 2` numbers, for one image at a time.

    Returns:
        `(b k h w)`, 0 or more.

    Raises:
        GeometryError: a shape is wrong, or batches differ.
        ConfigError: a setting cannot be used, or there is no stage.

    >>> import torch
    >>> propagate(torch.tensor([[[[2.0, 0.0, -9.0]]]]), [torch.tensor([[[[1.0, 1.0, -2.0]]]])])
    tensor([[[[1., 1., 0.]]]])

    Paper: Wang et al., SEAM, CVPR 2020 (the pixel correlation module).
    Differs: features of several stages, minus their mean and to a power; no projection is learned; the image
        itself is no stage.
    """
    _check_map(maps, "maps")
    _check_at_least("steps", steps, 0)
    _check_at_least("max_tokens", max_tokens, 1)
    if not stages:
        raise ConfigError("propagation needs the features of one stage or more, got none")
    for stage in stages:
        _check_map(stage, "the features of a stage")
        if stage.shape[0] != maps.shape[0]:
            raise GeometryError(f"maps of {maps.shape[0]} images but features of {stage.shape[0]}")
    h, w = maps.shape[-2:]
    finest = max([(h, w), *((s.shape[-2], s.shape[-1]) for s in stages)], key=math.prod)
    grid = bounded_grid(*finest, max_tokens)
    features = [resized(stage, grid) for stage in stages]
    spread = []
    for i, cells in enumerate(resized(maps.clamp_min(0), grid).flatten(2)):
        mean = torch.zeros((), device=maps.device)
        for stage in features:
            mean = mean + affinity(stage[i : i + 1], power=power, max_tokens=max_tokens)[0] / len(features)
        for _ in range(steps):
            cells = cells @ mean.to(cells)
        spread.append(cells)
    return resized(torch.stack(spread).unflatten(2, grid), (h, w))


def _check_map(maps: Tensor, what: str) -> None:
    if maps.ndim != 4:
        raise GeometryError(f"{what} must be (b c h w), got {tuple(maps.shape)}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if not (isinstance(value, int) and value >= least):
        raise ConfigError(f"{name} must be a whole number, {least} or more, got {value}")
