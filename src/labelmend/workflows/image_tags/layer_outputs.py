"""Outputs of named layers of a network, while it runs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from labelmend.errors import ConfigError


class LayerTap:
    """Capture the outputs of named layers while a module runs inside the `with`; hooks are removed on exit.

    Args:
        module: any module.
        layers: names as in `module.named_modules()`.

    Raises:
        ConfigError: unknown, duplicate or no layers; on running the module: a layer whose output is not a
            tensor `(b c h w)`; on access: a layer that did not run.

    >>> import torch
    >>> from torch import nn
    >>> with LayerTap(nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), ["0"]) as tap:
    ...     _ = tap.module(torch.zeros(2, 1, 32, 20))
    >>> tap["0"].shape
    torch.Size([2, 1, 16, 10])
    """

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self.module, self.layers = module, check_layers(module, layers)
        self.outputs: dict[str, Tensor] = {}
        self._hooks = ExitStack()

    def __enter__(self) -> LayerTap:
        for name in self.layers:
            hook = self.module.get_submodule(name).register_forward_hook(partial(self._keep, name))
            self._hooks.callback(hook.remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.close()

    def __getitem__(self, name: str) -> Tensor:
        """The last output of a layer."""
        if name not in self.outputs:
            raise ConfigError(
                f"layer {name!r} of {kind_of(self.module)} did not run: name a layer that is used"
            )
        return self.outputs[name]

    def _keep(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if not (isinstance(output, Tensor) and output.ndim == 4):
            found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise ConfigError(
                f"layer {name!r} of {kind_of(self.module)} gives {found}, expected a map (b c h w): "
                "name a layer before pooling and flattening"
            )
        self.outputs[name] = output


def check_layers(module: nn.Module, layers: Sequence[str]) -> tuple[str, ...]:
    """The names of layers, if all exist and are unique.

    Raises:
        ConfigError: they are not; the message suggests similar names.
    """
    if isinstance(layers, str) or not layers or len(set(layers)) != len(layers):
        raise ConfigError(f"layers must be a list of different names, one or more, got {layers!r}")
    there = [name for name, _ in module.named_modules() if name]
    for name in layers:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3) or [n for n, _ in module.named_children()][:8]
            raise ConfigError(
                f"{kind_of(module)} has no layer {name!r}; similar: {', '.join(near) or 'none'}"
            )
    return tuple(layers)


def kind_of(module: nn.Module) -> str:
    """The name of its class, for messages."""
    return type(module).__name__
