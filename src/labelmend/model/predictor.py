"""Whole cases through a trained network, back on their own grid, one at a time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError
from labelmend.geometry import class_levels, resolve
from labelmend.geometry.orientation import Turn, turn_to
from labelmend.geometry.resample import crop_to, normalise, pad_to_multiple, resample
from labelmend.io import Image
from labelmend.io.files.reading import reading
from labelmend.methods.base import Method
from labelmend.methods.registry import METHODS
from labelmend.model.config import NetworkConfig
from labelmend.model.files import read_model
from labelmend.model.network import PAD_MULTIPLE, build_network
from labelmend.types import BoolArray, FloatArray, Grid


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
        orientation: where the axes of the training volumes ran, such as "RAS": others are turned by their
            affine, and what is predicted is turned back; None turns nothing.
        correction: what undoes the bias of the network: the "method" that measured it, its "parameters", and
            its "settings", see `Method.correction`; None if nothing was measured.
        labelmend_version: version that wrote the model.
        background: name of the class that channel 0 and value 0 stand for, None where they are background.
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
    orientation: str | None = None
    correction: dict[str, Any] | None = None
    labelmend_version: str = ""
    background: str | None = None

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
        """The card that `card_to_json` wrote; what another version wrote besides is passed over."""
        known = {f.name for f in dataclasses.fields(cls)}
        fixed = {key: _fixed(value) for key, value in values.items() if key in known}
        network = values.get("network")
        return cls(**fixed | {"network": None if network is None else NetworkConfig(**network)})


def _fixed(value: Any) -> Any:
    return tuple(map(_fixed, value)) if isinstance(value, list) else value


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network as a function from images to probabilities on the image's own grid.

    Args:
        card: what the network expects.
        network: image `(b c *space)` -> logits `(b k *space)`.
        device: where it runs.
        shift_vox: average the logits over shifts of the image by this many pixels of the training grid, nine
            in all; 0 predicts once.
    """

    card: ModelCard
    network: nn.Module
    device: torch.device
    shift_vox: int = 0

    @torch.inference_mode()
    def logits(self, image: Image) -> Tensor:
        """`(k *space)` float32 logits on the grid of the image, `(k+1 *space)` for exclusive classes."""
        turn = self.turn(image.grid)
        image = image.turned(turn)
        padded, shape = self._prepared(image)
        out = resample(crop_to(self._averaged(padded), shape), image.grid.shape).cpu()
        return out if turn.is_none else torch.from_numpy(turn.undo(out.numpy()))

    @torch.inference_mode()
    def features(self, image: Image, pixels: NDArray[np.integer]) -> FloatArray:
        """What the network makes of single pixels, before it decides: its last layer wider than its answer.

        Of all that its submodules give out in one pass, the last with more than twice as many channels as the
        logits, brought to the grid of the image like these; the logits themselves if there is none. Windows
        of patch-wise prediction are averaged, and the features of a whole case then held in memory.

        Args:
            image: the image.
            pixels: `(n)` numbers of pixels, in array order.

        Returns:
            `(n f)` float32.
        """
        turn = self.turn(image.grid)
        image = image.turned(turn)
        padded, shape = self._prepared(image)
        found = crop_to(self._passed(padded, self._last_features), shape)
        if not turn.is_none:
            pixels = turn.undo(np.arange(math.prod(image.grid.shape)).reshape(image.grid.shape)).ravel()[
                pixels
            ]
        at = torch.as_tensor(np.ascontiguousarray(pixels), device=found.device)
        columns = [resample(channel[None], image.grid.shape).flatten()[at] for channel in found]
        return torch.stack(columns, dim=1).cpu().numpy()

    def turn(self, grid: Grid) -> Turn:
        """The turn that brings an image into the orientation of the training volumes."""
        codes = self.card.orientation
        found = None if codes is None else turn_to(grid, codes)
        return found or Turn(tuple(range(grid.ndim)), (False,) * grid.ndim)

    def _prepared(self, image: Image) -> tuple[Tensor, tuple[int, ...]]:
        """The image as the network sees it, padded, and its size before that."""
        self.check(image)
        shape = self.card.resize or image.grid.shape
        pixels = normalise(resample(torch.from_numpy(image.array).float(), shape))
        self.network.eval()
        return pad_to_multiple(pixels, PAD_MULTIPLE), shape

    def _averaged(self, pixels: Tensor) -> Tensor:
        """Logits on the training grid: mean over nine shifts along the last two axes, or one pass."""
        s, (height, width) = self.shift_vox, pixels.shape[-2:]
        if s == 0:
            return self._passed(pixels)
        wide = F.pad(pixels, (s, s, s, s), mode="replicate")
        total: Tensor | float = 0.0
        for top, left in itertools.product((0, s, 2 * s), repeat=2):
            out = self._passed(wide[..., top : top + height, left : left + width])
            total = total + F.pad(out, (left, 2 * s - left, top, 2 * s - top), mode="replicate")
        return (total / 9)[..., s : s + height, s : s + width]  # type: ignore[index]

    def _passed(self, pixels: Tensor, network: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """`(k *space)` logits of `(c *space)` pixels, or what another function makes of them."""
        network, batch = network or self.network, pixels[None].to(self.device)
        if self.card.patch is None:
            return network(batch)[0].float()
        from monai.inferers.utils import sliding_window_inference

        return sliding_window_inference(batch, self.card.patch, 4, network, overlap=0.25, mode="gaussian")[
            0
        ].float()

    def _last_features(self, batch: Tensor) -> Tensor:
        """`(b f *space)` features of a batch `(b c *space)`, see `features`."""
        last: list[Tensor] = []

        def watch(module: nn.Module, given: Any, out: Any) -> None:
            alike = isinstance(out, Tensor) and out.ndim == batch.ndim and len(out) == len(batch)
            if alike and out.shape[1] > 2 * self.card.out_channels:
                last[:] = [out]

        hooks = [module.register_forward_hook(watch) for module in self.network.modules()]
        try:
            logits = self.network(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([resample(one, batch.shape[2:]) for one in (last or [logits])[0].float()])

    def check(self, image: Image) -> None:
        """Refuse an image of another kind than the network was trained on."""
        if image.array.ndim - 1 != self.card.ndim or image.array.shape[0] != self.card.in_channels:
            raise GeometryError(
                f"the network was trained on {self.card.ndim}-D images of {self.card.in_channels} "
                f"channel(s), this one has shape {image.array.shape} (channels first)"
            )

    def correction(self) -> tuple[Method, dict[str, Any]]:
        """The method that measured the bias of the network, and what undoes it; else a ConfigError."""
        found = self.card.correction
        if found is None:
            raise ConfigError(
                "this run knows no bias to correct: it measured none on trusted cases new to its network"
            )
        if not isinstance(found, dict):
            raise ConfigError(
                f"this run was finished by labelmend {self.card.labelmend_version or 'of another version'}, "
                "which did not save how its method corrects predictions: delete its summary.json and start "
                "its labelmend train command again, which trains nothing anew; or predict without --correct"
            )
        return METHODS[found["method"]](**found["parameters"]), found["settings"]

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
        probs, overlapping = self.probs(image), self.card.overlapping
        if not correct:
            return resolve(class_levels(probs, overlapping=overlapping), overlapping=overlapping)
        method, settings = self.correction()
        return method.correct_prediction(
            settings, probs, overlapping=overlapping, spacing_mm=image.grid.spacing_mm
        )


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
    with reading(Path(run) / "model.json", "the card of a model"):
        card = ModelCard.from_json(values)
    module = card.build() if network is None else network
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"the weights in {run} do not fit the network: {error}") from error
    return Predictor(card, module.to(device), torch.device(device))


def card_to_json(card: ModelCard, correction: dict[str, Any] | None) -> dict[str, Any]:
    """The card with what the finished network's bias asks for, as JSON values."""
    return dataclasses.asdict(dataclasses.replace(card, correction=correction))
