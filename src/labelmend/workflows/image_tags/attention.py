"""Attention over feature maps at a bounded cost: a block to train, and propagation of class maps.

A map of `h w` cells has `h w` tokens, and the cost of attention is quadratic in them. Here the map is first
averaged onto a grid of at most `max_tokens` cells, so no image needs more than `max_tokens ** 2` scores.

Paper: Yaganapu, Kang, "Multi-layered self-attention mechanism for weakly supervised semantic segmentation",
    CVIU 2024, doi 10.1016/j.cviu.2023.103886, for the idea of attention on several layers. Block:
    Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019. Propagation: Wang et al.,
    "Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic Segmentation", CVPR 2020.
Differs: we had access only to the abstract of the first; the details are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from labelmend.errors import ConfigError, GeometryError

Similarity = Literal["softmax", "relu_cosine"]
Gate = Literal["free", "nonnegative"]

LEAST_WIDTH = 8
"""Fewest channels of queries and keys."""

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


class SelfAttention2d(nn.Module):
    """Each cell adds a mean over the image, weighted by similarity.

        y = x + g A V(x),   A = softmax(Q(x) K(x)^T / sqrt d)

    g is a scalar that starts at 0, where the block is the identity.

    A map of more than `max_tokens` cells is averaged onto a grid of at most that many. Queries, keys and
    values live there, and the result is brought back by linear interpolation. So the cost of A is bounded,
    whatever the size of the image: `max_tokens ** 2` products. "softmax" never holds A where torch has a
    fused kernel, as it has for the CPU. "relu_cosine" holds a few matrices of that many numbers for one image
    at a time, 67 MB each with the default, in training too: they are made again for the gradient.

    Args:
        channels: of the map.
        reduction: queries and keys have `channels / reduction` channels, at least 8.
        similarity: "softmax"; or "relu_cosine": A_ij = max(0, cos(q_i, k_j)), divided by its sum over j;
            where all are 0, nothing is added.
        gate: "free"; or "nonnegative": max(0, g), with the gradient of g, so that it can come back to life.
        locality: None; or the standard deviation, in cells of the map, of a Gaussian of the distance that
            multiplies the weights before they are made to sum to 1.
        max_tokens: most cells that attend to each other.

    Raises:
        ConfigError: a setting cannot be used.

    Paper: Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019.
    Differs: values keep all channels and no convolution follows; scores are scaled by sqrt d; the bound, the
        cosine and the locality.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 8,
        similarity: Similarity = "softmax",
        gate: Gate = "free",
        locality: float | None = None,
        max_tokens: int = 4096,
    ) -> None:
        super().__init__()
        _check_at_least("channels", channels, 1)
        _check_at_least("reduction", reduction, 1)
        _check_at_least("max_tokens", max_tokens, 1)
        if similarity not in ("softmax", "relu_cosine"):
            raise ConfigError(f'similarity must be "softmax" or "relu_cosine", got {similarity!r}')
        if gate not in ("free", "nonnegative"):
            raise ConfigError(f'gate must be "free" or "nonnegative", got {gate!r}')
        if locality is not None and not (math.isfinite(locality) and locality > 0):
            raise ConfigError(f"locality is None or a distance above 0, in cells, got {locality}")
        width = max(channels // reduction, LEAST_WIDTH)
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(()))
        self.channels, self.max_tokens = channels, max_tokens
        self.similarity, self.nonnegative, self.locality = similarity, gate == "nonnegative", locality

    def forward(self, features: Tensor) -> Tensor:
        """`(b c h w)` -> `(b c h w)`."""
        pooled = self._pooled(features)
        query, key = self._query_and_key(pooled, features.shape[-2:])
        value = self.value(pooled).flatten(2).mT
        if self.similarity == "softmax":
            attended = _attend(query, key, value)
        else:
            place = self._places(pooled, features.shape[-2:])
            attended = torch.stack([_attend_by_cosine(*qkv, place) for qkv in zip(query, key, value)])
        attended = attended.mT.unflatten(2, tuple(pooled.shape[-2:]))
        return features + self.strength() * resized(attended, (features.shape[-2], features.shape[-1]))

    def strength(self) -> Tensor:
        """The gate g as it is used."""
        if not self.nonnegative:
            return self.gate
        return self.gate + (self.gate.clamp_min(0) - self.gate).detach()

    def weights(self, features: Tensor) -> Tensor:
        """The matrix A of a map `(b c h w)`: `(b n n)`, each row sums to 1, n is at most `max_tokens`."""
        pooled = self._pooled(features)
        query, key = self._query_and_key(pooled, features.shape[-2:])
        if self.similarity == "softmax":
            return (query @ key.mT).softmax(dim=2)
        place = self._places(pooled, features.shape[-2:])
        alike = torch.stack([_cosines(q, k, place) for q, k in zip(query, key)])
        return alike / _not_zero(alike.sum(dim=2, keepdim=True))

    def _pooled(self, features: Tensor) -> Tensor:
        _check_map(features, "features")
        if features.shape[1] != self.channels:
            raise GeometryError(f"attention over {self.channels} channels got {tuple(features.shape)}")
        h, w = features.shape[-2:]
        return resized(features, bounded_grid(h, w, self.max_tokens))

    def _query_and_key(self, pooled: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """`(b n d)` each. For softmax, scores are their plain products."""
        query, key = self.query(pooled).flatten(2).mT, self.key(pooled).flatten(2).mT
        if self.similarity == "relu_cosine":
            return F.normalize(query, dim=2), F.normalize(key, dim=2)
        query = query / math.sqrt(query.shape[2])
        place = self._places(pooled, size)
        if place is None:
            return query, key
        # -|p - p'|^2 / 2 is p p' - |p'|^2 / 2, but for a number that a row shares: it needs no matrix.
        bias = place.square().sum(dim=1, keepdim=True) / -2
        beside = torch.cat([place, torch.ones_like(bias)], 1), torch.cat([place, bias], 1)
        to_query, to_key = (part.expand(len(pooled), -1, -1) for part in beside)
        return torch.cat([query, to_query], 2), torch.cat([key, to_key], 2)

    def _places(self, pooled: Tensor, size: Sequence[int]) -> Tensor | None:
        """`(n 2)`: where the cells of the grid lie, from the middle of the map, in units of the locality."""
        if self.locality is None:
            return None
        axes = []
        for cells, length in zip(pooled.shape[-2:], size):
            steps = torch.arange(cells, dtype=pooled.dtype, device=pooled.device) - (cells - 1) / 2
            axes.append(steps * (length / cells / self.locality))
        return torch.cartesian_prod(*axes)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q K^T) V of `(b n d)` queries and keys and `(b n c)` values.

    Fused kernels want one width for all three: the narrower ones get channels of zeros, which change nothing.
    """
    width = max(query.shape[2], value.shape[2])
    padded = (F.pad(part, (0, width - part.shape[2])) for part in (query, key, value))
    q, k, v = (part.contiguous().unsqueeze(1) for part in padded)
    attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    return attended.squeeze(1)[..., : value.shape[2]]


def _attend_by_cosine(query: Tensor, key: Tensor, value: Tensor, place: Tensor | None) -> Tensor:
    """The same for one image and weights from `_cosines`; made again for the gradient, for they are large."""

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        alike = _cosines(query, key, place)
        return alike @ value / _not_zero(alike.sum(dim=1, keepdim=True))

    if not torch.is_grad_enabled():
        return attend(query, key, value)
    return checkpoint(attend, query, key, value, use_reentrant=False, preserve_rng_state=False)


def _cosines(query: Tensor, key: Tensor, place: Tensor | None) -> Tensor:
    """`(n n)`: max(0, cosine) of unit vectors `(n d)`, times exp(-distance^2 / 2) of the places `(n 2)`."""
    alike = (query @ key.mT).clamp_min(0)
    return alike if place is None else alike * torch.cdist(place, place).square().div(-2).exp()


def _not_zero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, torch.ones_like(total))


def _check_map(maps: Tensor, what: str) -> None:
    if maps.ndim != 4:
        raise GeometryError(f"{what} must be (b c h w), got {tuple(maps.shape)}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if not (isinstance(value, int) and value >= least):
        raise ConfigError(f"{name} must be a whole number, {least} or more, got {value}")
