"""Masks from image-level labels: class maps of a network in, seeds and grown regions out.

The network and its maps need torch and load on first use; a random walk needs scikit-image.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labelmend.weak.growing import grow, random_walk
from labelmend.weak.seeds import IGNORE, gated, min_variance_threshold, seeds

if TYPE_CHECKING:
    from labelmend.weak.attention import SelfAttention2d, affinity, propagate
    from labelmend.weak.attention_cam import ClassMaps, MultiLayerCAM, TinyBackbone, class_maps
    from labelmend.weak.layer_tap import LayerTap
    from labelmend.weak.pooling import weights_by_rank

__all__ = [
    "IGNORE",
    "ClassMaps",
    "LayerTap",
    "MultiLayerCAM",
    "SelfAttention2d",
    "TinyBackbone",
    "affinity",
    "class_maps",
    "gated",
    "grow",
    "min_variance_threshold",
    "propagate",
    "random_walk",
    "seeds",
    "weights_by_rank",
]

_HOME = {
    "ClassMaps": "attention_cam",
    "LayerTap": "layer_tap",
    "MultiLayerCAM": "attention_cam",
    "SelfAttention2d": "attention",
    "TinyBackbone": "attention_cam",
    "affinity": "attention",
    "class_maps": "attention_cam",
    "propagate": "attention",
    "weights_by_rank": "pooling",
}
"""Public names that need torch, and their modules."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelmend.weak' has no attribute {name!r}")
    return getattr(importlib.import_module(f"labelmend.weak.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
