"""Which network is trained, and where it runs: settings that training and prediction share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Device = Literal["auto", "cpu"]


@dataclass(frozen=True)
class NetworkConfig:
    """Which network is trained.

    Args:
        name: network of monai.networks.nets, such as UNet, BasicUNet, DynUNet or SegResNet.
        args: its constructor arguments; spatial_dims, in_channels and out_channels are filled in.
    """

    name: str = "UNet"
    args: dict[str, Any] = field(default_factory=dict)
