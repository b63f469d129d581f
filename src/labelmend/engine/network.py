"""Networks by name from MONAI, or the user's own module."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

from labelmend.engine.config import NetworkConfig
from labelmend.errors import ConfigError

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
        names = [n for n, item in vars(nets).items() if inspect.isclass(item) and issubclass(item, nn.Module)]
        plain = {name.lower(): name for name in names}
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
        return maker(**filled | DEFAULT_ARGS.get(spec.name, {}) | spec.args)
    except Exception as error:  # each network has its own way to refuse arguments
        reason = str(error) or type(error).__name__
        raise ConfigError(
            f"network {spec.name} cannot be built with {filled | spec.args}: {reason}"
        ) from error
