"""Whole cases through a trained network, back on their own grid, one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labelmend.engine.checkpoint import read_model
from labelmend.engine.config import NetworkConfig
from labelmend.engine.grid import crop_to, normalise, pad_to_multiple, resample
from labelmend.engine.network import PAD_MULTIPLE, build_network
from labelmend.errors import ConfigError, GeometryError
from labelmend.io import Image
from labelmend.methods.spatial_correction import class_levels, resolve, spatial_correction
from labelmend.types import BoolArray, FloatArray


@dataclass(frozen=True)
class ModelCard:
    """All that prediction needs to know of a trained network; saved as RUN/model.json.

    Args:
        network: its name and arguments, or None for a module that the user handed in.
        ndim: 2 or 3.
        in_channels: image channels.
        classes: names of the k foreground classes.
        values: their integers in exclusive maps, or None.
        overlapping: whether a pixel may belong to several classes.
        resize: training grid, or None for the native one.
        patch: patch size, or None for whole cases.
        spacing_mm: spacing that was set for formats without one, or None.
        bias_mm: per class, the bias of this network on the trusted cases, or None where it was not measured.
        labelmend_version: version that wrote the model.
    """

    network: NetworkConfig | None
    ndim: int
    in_channels: int
    classes: tuple[str, ...]
    values: tuple[int, ...] | None
    overlapping: bool
    resize: tuple[int, ...] | None
    patch: tuple[int, ...] | None
    spacing_mm: float | tuple[float, ...] | None = None
    bias_mm: tuple[float | None, ...] | None = None
    labelmend_version: str = ""

    @property
    def out_channels(self) -> int:
        return len(self.classes) + (0 if self.overlapping else 1)

    def build(self) -> nn.Module:
        """The untrained network."""
        if self.network is None:
            raise ConfigError("this run trained a module of your own: pass it as `network=` from Python")
        return build_network(
            self.network,
            ndim=self.ndim,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            shape=self.patch or self.resize,
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelCard:
        fixed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        network = values.get("network")
        fixed["network"] = None if network is None else NetworkConfig(**network)
        return cls(**fixed)


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network as a function from images to probabilities on the image's own grid.

    Args:
        card: what the network expects.
        network: image `(b c *space)` -> logits `(b k *space)`.
        device: where it runs.
    """

    card: ModelCard
    network: nn.Module
    device: torch.device

    @torch.inference_mode()
    def logits(self, image: Image) -> Tensor:
        """`(k *space)` float32 logits on the grid of the image, `(k+1 *space)` for exclusive classes."""
        if image.array.ndim - 1 != self.card.ndim or image.array.shape[0] != self.card.in_channels:
            raise GeometryError(
                f"the network was trained on {self.card.ndim}-D images of {self.card.in_channels} "
                f"channel(s), this one has shape {image.array.shape} (channels first)"
            )
        native = image.grid.shape
        shape = self.card.resize or native
        pixels = normalise(resample(torch.from_numpy(image.array).float(), shape))
        padded = pad_to_multiple(pixels, PAD_MULTIPLE)[None].to(self.device)
        self.network.eval()
        if self.card.patch is None:
            out = self.network(padded)
        else:
            from monai.inferers import sliding_window_inference

            out = sliding_window_inference(
                padded, self.card.patch, 4, self.network, overlap=0.25, mode="gaussian"
            )
        return resample(crop_to(out[0].float(), shape), native).cpu()

    def probs(self, image: Image) -> FloatArray:
        """`(k *space)` sigmoid, or `(k+1 *space)` softmax probabilities with background first, float32."""
        logits = self.logits(image)
        return (logits.sigmoid() if self.card.overlapping else logits.softmax(0)).numpy()

    def masks(self, image: Image, *, correct: bool = False) -> BoolArray:
        """`(k *space)` foreground masks.

        Args:
            image: the image.
            correct: undo the boundary bias that was measured on the trusted cases of the run.
        """
        levels = class_levels(self.probs(image), overlapping=self.card.overlapping)
        if correct:
            if self.card.bias_mm is None:
                raise ConfigError("this run measured no bias: it was given no clean cases")
            spacing = image.grid.spacing_mm
            levels = np.stack(
                [
                    spatial_correction(f, bias or 0.0, spacing)
                    for f, bias in zip(levels, self.card.bias_mm, strict=True)
                ]
            )
        return resolve(levels, overlapping=self.card.overlapping)


def load_predictor(
    run: str | Path, *, network: nn.Module | None = None, device: str | torch.device = "cpu"
) -> Predictor:
    """The network of a finished run, ready to segment.

    Args:
        run: folder of the run.
        network: the module that was trained, where the run was started from Python with one of your own.
        device: where to run it.

    Raises:
        UnreadableFileError: no finished model there. ConfigError: weights do not fit the network.
    """
    weights, values = read_model(Path(run))
    card = ModelCard.from_json(values)
    module = card.build() if network is None else network
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"the weights in {run} do not fit the network: {error}") from error
    return Predictor(card, module.to(device), torch.device(device))


def card_to_json(card: ModelCard, bias_mm: Sequence[float | None] | None) -> dict[str, Any]:
    """The card with the bias of the finished network, as JSON values."""
    return dataclasses.asdict(dataclasses.replace(card, bias_mm=None if bias_mm is None else tuple(bias_mm)))
