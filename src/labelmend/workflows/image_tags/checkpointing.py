"""Gradient checkpointing: recompute parts of a network instead of storing them; less memory, more time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Context manager in which the parts store only their inputs, and run again for the gradient.

    Gradients are the same. Running statistics of batch normalisation are updated only the first time, and
    forward hooks of the parts run once, so no part should contain a module whose hooks matter. If the input
    of a part was modified in place in the meantime, torch refuses to compute the gradient.
    """
    with ExitStack() as stack:
        for part in dict.fromkeys(parts):
            stack.callback(_restore_forward, part, vars(part).get("forward"))
            part.forward = partial(_twice, part, part.forward)
        yield


def segments(module: nn.Module, layers: Sequence[str], prefix: str = "") -> Iterator[nn.Module]:
    """The largest parts of a module with weights that contain none of the layers; a part may be a layer.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()))
    >>> list(segments(net, ["2"])) == [net[0], net[2]], list(segments(net, ["2.1"])) == [net[0], net[2][0]]
    (True, True)
    """
    for name, child in module.named_children():
        if any(layer.startswith(f"{prefix}{name}.") for layer in layers):
            yield from segments(child, layers, f"{prefix}{name}.")
        elif next(child.parameters(), None) is not None:
            yield child


def _restore_forward(part: nn.Module, before: Callable[..., Any] | None) -> None:
    del part.forward
    if before is not None:
        part.forward = before


def _twice(part: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    contexts = lambda: (nullcontext(), _StillStatistics(part))  # noqa: E731
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


class _StillStatistics:
    """Reusable context manager in which batch normalisation does not update its running statistics."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def __enter__(self) -> None:
        self.before = [
            (norm, norm.momentum, norm.num_batches_tracked) for norm in self.norms if norm.training
        ]
        for norm, _, batches in self.before:
            norm.momentum = 0.0
            norm.num_batches_tracked = None if batches is None else batches.clone()

    def __exit__(self, *error: object) -> None:
        for norm, momentum, batches in self.before:
            norm.momentum, norm.num_batches_tracked = momentum, batches
