"""Masks from image-level tags: class maps of a network in, seeds and grown regions out.

The network and its maps need torch and load on first use; a random walk needs scikit-image.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labelmend.workflows.image_tags.growing import grow, random_walk
from labelmend.workflows.image_tags.seeds import IGNORE, gated, min_variance_threshold, seeds

if TYPE_CHECKING:
    from labelmend.workflows.image_tags.attention import affinity, propagate
    from labelmend.workflows.image_tags.class_maps import ClassMaps, MultiLayerCAM, TinyBackbone, class_maps
    from labelmend.workflows.image_tags.layer_outputs import LayerTap
    from labelmend.workflows.image_tags.pooling import weights_by_rank

__all__ = [
    "IGNORE",
    "ClassMaps",
    "LayerTap",
    "MultiLayerCAM",
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
    "ClassMaps": "class_maps",
    "LayerTap": "layer_outputs",
    "MultiLayerCAM": "class_maps",
    "TinyBackbone": "class_maps",
    "affinity": "attention",
    "class_maps": "class_maps",
    "propagate": "attention",
    "weights_by_rank": "pooling",
}
"""Public names that need torch, and their modules."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelmend.workflows.image_tags' has no attribute {name!r}")
    from labelmend.runtime.extras import needed_by

    with needed_by(name):
        return getattr(importlib.import_module(f"labelmend.workflows.image_tags.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
