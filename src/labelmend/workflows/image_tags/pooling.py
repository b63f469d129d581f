"""From a class map to one number that says whether the class is there at all.

Paper: Kolesnikov, Lampert, "Seed, Expand and Constrain: Three Principles for Weakly-Supervised Image
    Segmentation", ECCV 2016: global weighted rank pooling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelmend.errors import ConfigError

POOLED_SHARE = 1.0
"""Default of `weights_by_rank`."""


def weights_by_rank(maps: Tensor, share: float | None) -> Tensor:
    """Weights of the cells of class maps, falling from the highest cell to the lowest.

        w_i = d ** rank_i / sum_j d ** rank_j,   d = exp(-1 / (share n)),   rank 0 for the highest of n cells

    Mean pooling lets a network detect a small object by evidence spread over the whole image; max pooling
    lets it look at a single spot of a large one. This is in between. At a share of 1 the highest cell weighs
    2.7 times as much as the lowest; at a small share, the top `share` of the cells has 63 % of the weight.

    Args:
        maps: `(b k h w)`.
        share: above 0, in shares of an image; None: all cells weigh the same.

    Returns:
        `(b k h w)`, not negative; sums to 1 over the cells of a map. It carries no gradient.

    Raises:
        ConfigError: a share that is not above 0.

    >>> import torch
    >>> weights_by_rank(torch.tensor([[[[5.0, 7.0], [1.0, 3.0]]]]), 0.25 / 0.6931)  # d = 1 / 2
    tensor([[[[0.2667, 0.5333],
              [0.0667, 0.1333]]]])

    Differs: d is given as a share of the image instead of for one size of map (0.996 of 41 x 41 cells there
    is a share of 0.15).
    """
    check_share(share)
    if share is None:
        return torch.full_like(maps, 1 / math.prod(maps.shape[-2:]))
    cells = maps.detach().flatten(2)
    ranks = torch.arange(cells.shape[2], dtype=maps.dtype, device=maps.device)
    falling = torch.softmax(-ranks / (share * len(ranks)), dim=0).expand_as(cells)
    order = cells.argsort(dim=2, descending=True, stable=True)
    return torch.empty_like(cells).scatter_(2, order, falling).view_as(maps)


def check_share(share: float | None) -> None:
    """Raises ConfigError for a share that is not above 0."""
    if share is not None and not (math.isfinite(share) and share > 0):
        raise ConfigError(f"pooled_share must be None or a number above 0, got {share}")
