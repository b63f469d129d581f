"""How well a network predicts tags, and how much of its evidence falls on images without the class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.image_tags.class_maps import MultiLayerCAM
from labelmend.workflows.image_tags.data import TagData
from labelmend.workflows.image_tags.text import FEW


@torch.no_grad()
def judge(
    model: MultiLayerCAM, material: TagData, batch_size: int, device: torch.device
) -> list[dict[str, Any]]:
    """How well each class is predicted on held-out images, and how much evidence falls on images without it.

    `on_background` is e0 / (e0 + e1), with e0 and e1 the mean of the positive part of the class map, neither
    gated nor propagated, over held-out images without and with the tag: 0 is perfect, 0.5 is chance. With
    fewer than `FEW` held-out images of either kind, numbers are None.

    Args:
        model: the trained network.
        material: images and tags, and which are held out.
        batch_size: images per batch.
        device: device of the model.

    Returns:
        For each class `accuracy`, `commoner` (accuracy of always guessing the majority), `auc`,
        `on_background`, and `shares`: mean contribution of each layer to the logit, over held-out images with
        the tag.
    """
    rows, k = material.held_out, len(material.table.classes)
    logits, mass = np.zeros((len(rows), k)), np.zeros((len(rows), k))
    shares = {name: np.zeros((len(rows), k)) for name in model.layers}
    model.eval()
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        output = model(material.batch(rows[part]).to(device))
        logits[part] = output.logits.cpu()
        mass[part] = output.maps.clamp_min(0).mean(dim=(2, 3)).cpu()
        for name in model.layers:
            shares[name][part] = output.shares[name].cpu()
    tags = material.table.tags[rows]
    return [
        _known(logits[:, j], mass[:, j], {n: v[:, j] for n, v in shares.items()}, tags[:, j])
        for j in range(k)
    ]


def _known(
    logits: FloatArray, mass: FloatArray, shares: Mapping[str, FloatArray], tags: BoolArray
) -> dict[str, Any]:
    n, n_with = len(tags), int(tags.sum())
    found: dict[str, Any] = {"n_held_out": n, "n_held_out_tagged": n_with}
    if min(n_with, n - n_with) < FEW:
        return found | dict.fromkeys(("accuracy", "commoner", "auc", "on_background", "shares"))
    on, off = float(mass[tags].mean()), float(mass[~tags].mean())
    ranks = rankdata(logits)[tags].sum() - n_with * (n_with + 1) / 2
    return found | {
        "accuracy": float(((logits > 0) == tags).mean()),
        "commoner": max(n_with, n - n_with) / n,
        "auc": float(ranks / (n_with * (n - n_with))),
        "on_background": off / (on + off) if on + off > 0 else None,
        "shares": {name: float(values[tags].mean()) for name, values in shares.items()},
    }
