"""Random tensors that are the same in every run."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def logits_and_target(overlapping: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`(2 3 4 4)` logits that ask for a gradient, and shares `(2 3 4 4)` or classes `(2 4 4)`."""
    torch.manual_seed(seed)
    logits = torch.randn(2, 3, 4, 4, dtype=torch.double) * 3
    target = torch.rand(2, 3, 4, 4).double() if overlapping else torch.randint(0, 3, (2, 4, 4))
    return logits.requires_grad_(), target
