"""Networks by name from MONAI, or the user's own module."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from labelmend.errors import ConfigError
from labelmend.model.config import NetworkConfig

PAD_MULTIPLE = 16
"""Grids are padded to a multiple of this: four halvings, as in the networks below."""

DEFAULT_ARGS: dict[str, dict[str, Any]] = {
    "UNet": {
        "channels": (16, 32, 64, 128, 256),
        "strides": (2, 2, 2, 2),
        "num_res_units": 2,
        "norm": "BATCH",
    },
    "AttentionUnet": {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2)},
    "BasicUNet": {"features": (16, 16, 32, 64, 128, 16)},
    "DynUNet": {
        "kernel_size": (3, 3, 3, 3, 3),
        "strides": (1, 2, 2, 2, 2),
        "upsample_kernel_size": (2, 2, 2, 2),
        "filters": (16, 32, 64, 128, 128),
    },
    "SegResNet": {"init_filters": 16},
}


def build_network(
    spec: NetworkConfig, *, ndim: int, in_channels: int, out_channels: int, shape: Sequence[int] | None = None
) -> nn.Module:
    """A network of monai.networks.nets with the sizes of this data filled in.

    Args:
        spec: name and constructor arguments; arguments given here win over the defaults of the name.
        ndim: 2 or 3.
        in_channels: image channels.
        out_channels: k for overlapping classes, k + 1 for exclusive ones.
        shape: training grid, for networks that must know it (img_size).

    Raises:
        ConfigError: unknown name, or arguments that the network refuses.
    """
    from monai.networks import nets

    maker = getattr(nets, spec.name, None)
    if not (inspect.isclass(maker) and issubclass(maker, nn.Module)):
        classes = filter(inspect.isclass, vars(nets).values())
        plain = {item.__name__.lower(): item.__name__ for item in classes if issubclass(item, nn.Module)}
        near = [plain[name] for name in difflib.get_close_matches(spec.name.lower(), list(plain), n=3)]
        raise ConfigError(
            f"monai.networks.nets has no network called {spec.name!r}; near: {', '.join(near) or 'none'}"
        )
    sizes = {
        "spatial_dims": ndim,
        "in_channels": in_channels,
        "out_channels": out_channels,
        "img_size": shape,
    }
    accepted = inspect.signature(maker).parameters
    filled = {key: value for key, value in sizes.items() if key in accepted and value is not None}
    try:
        return maker(**filled | DEFAULT_ARGS.get(maker.__name__, {}) | spec.args)
    except Exception as error:  # each network has its own way to refuse arguments
        raise ConfigError(
            f"network {spec.name} cannot be built with {filled | spec.args}: {_first_line(error)}"
        ) from error


def padded_size(shape: Sequence[int]) -> tuple[int, ...]:
    """The size of a grid once it is padded as networks with strides need.

    >>> padded_size((100, 128))
    (112, 128)
    """
    return tuple(-(-size // PAD_MULTIPLE) * PAD_MULTIPLE for size in shape)


@torch.no_grad()
def try_out(network: nn.Module, *, shape: Sequence[int], out_channels: int) -> None:
    """Send zeros through a network as training will, to know before training whether it fits the data.

    Args:
        network: a network that may be thrown away: its running statistics change.
        shape: `(b c *space)` of a batch.
        out_channels: channels that the logits must have.

    Raises:
        ConfigError: the network refuses such a batch, or gives anything but `(b out_channels *space)`.
    """
    expected = (shape[0], out_channels, *shape[2:])
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        logits = network.train()(torch.zeros(*shape, device=device))
    except Exception as error:  # whatever a module that we did not write raises
        raise ConfigError(
            f"the network {type(network).__name__} cannot take a batch of shape {tuple(shape)} "
            f"({_first_line(error)}): change its arguments, or --resize or --patch"
        ) from error
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != expected:
        fits = found[:2] == expected[:2]
        advice = "its strides need another --resize or --patch" if fits else "it needs one channel a class"
        raise ConfigError(
            f"the network {type(network).__name__} turns a batch of shape {tuple(shape)} into {found}, "
            f"expected logits of shape {expected}: {advice}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
