"""Class maps of several layers from image-level tags, and how much each layer contributes.

Based on the idea of Yaganapu and Kang: attention on several layers of a network, whose maps are stacked. We
had access only to the abstract; the details are ours, and we do not claim to reproduce its numbers.

Attention inside the network, the literal reading, was removed after it was measured: on small networks
trained from scratch it left the accuracy on tags about the same, was no better on two sets of three, and on
the third made maps worse than chance (`benchmarks/results/weak_maps.md`). Here attention works on the
features of a network that was trained without it.

Paper: Yaganapu, Kang, "Multi-layered self-attention mechanism for weakly supervised semantic segmentation",
    CVIU 2024, doi 10.1016/j.cviu.2023.103886.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmend.errors import ConfigError, GeometryError
from labelmend.workflows.image_tags.attention import propagate, resized
from labelmend.workflows.image_tags.checkpointing import recomputed, segments
from labelmend.workflows.image_tags.layer_outputs import LayerTap, check_layers, kind_of
from labelmend.workflows.image_tags.pooling import POOLED_SHARE, check_share, weights_by_rank

Mode = Literal["propagate", "none"]
Grid = Literal["finest", "coarsest"]

PROBE_SIZE = 64
"""Side of the zero image used to probe a backbone."""


class TinyBackbone(nn.Module):
    """Four stages of two 3x3 convolutions, with strides 1, 2, 4 and 8: 0.1 million weights, for a CPU.

    The layers are "stage1" to "stage4". Any image size will do; halves are rounded up.

    Args:
        in_channels: image channels.
        widths: channels of the stages.
    """

    def __init__(self, in_channels: int, *, widths: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        self.stage1 = _stage(in_channels, widths[0], halve=False)
        self.stage2 = _stage(widths[0], widths[1], halve=True)
        self.stage3 = _stage(widths[1], widths[2], halve=True)
        self.stage4 = _stage(widths[2], widths[3], halve=True)

    def forward(self, images: Tensor) -> Tensor:
        """`(b c h w)` -> `(b widths[3] h/8 w/8)`."""
        return self.stage4(self.stage3(self.stage2(self.stage1(images))))


def _stage(before: int, after: int, *, halve: bool) -> nn.Sequential:
    parts: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if halve else []
    for channels in (before, after):
        parts += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*parts)


@dataclass(frozen=True, eq=False)
class Output:
    """Output of a `MultiLayerCAM`.

    Args:
        logits: `(b k)`, the weighted mean of the maps over their cells.
        maps: `(b k h w)` class maps, the sum of the layers' maps.
        shares: for each layer `(b k)`, its contribution to the logits; they sum to the logits.
        layer_maps: for each layer `(b k h w)`, its contribution to the maps.
        features: for each layer `(b c_l h_l w_l)`, its output.
    """

    logits: Tensor
    maps: Tensor
    shares: dict[str, Tensor]
    layer_maps: dict[str, Tensor]
    features: dict[str, Tensor]


class MultiLayerCAM(nn.Module):
    """A classifier of tags whose logits are means of class maps, made from several layers of a backbone.

        maps = W [resize(P_1(F_1)), ..., resize(P_l(F_l))],   logits = weighted mean over cells of maps

    P are 1x1 convolutions, batch normalisation and ReLU; W is a 1x1 convolution without bias. The weights of
    the cells are `weights_by_rank`: a class is recognised where its map is highest. So maps and logits are
    sums of one contribution per layer. W is applied before resizing, which is equivalent and needs less
    memory.

    Args:
        backbone: any module that takes images `(b c h w)`; its own output is not used.
        n_classes: k, tags that may co-occur.
        layers: names of layers that give `(b c h w)`, as in `backbone.named_modules()`.
        mode: "propagate": `class_maps` spreads the maps over the features; "none": it does not.
        proj: channels of each P.
        grid: grid of the maps; "finest" or "coarsest" of the layers.
        pooled_share: for `weights_by_rank`: approximate fraction of an image that a class fills; None: equal
            weights, as in the global average pooling of CAM.
        checkpointing: in training, compute parts of the backbone and P a second time instead of remembering
            what the gradient needs: a fifth to two fifths less memory, about a third more time.
        example: `(b c h w)` images that the backbone can take, tried out once to learn the channels of the
            layers; None: zeros of 64 by 64 with the channels of the first convolution.

    Raises:
        ConfigError: a setting or layer cannot be used, or the backbone does not take the example.

    Paper: Yaganapu, Kang, CVIU 2024, see the module.
    Differs: only attention on several layers and the stacking are from the paper.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_classes: int,
        *,
        layers: Sequence[str],
        mode: Mode = "propagate",
        proj: int = 64,
        grid: Grid = "finest",
        pooled_share: float | None = POOLED_SHARE,
        checkpointing: bool = False,
        example: Tensor | None = None,
    ) -> None:
        super().__init__()
        _check_settings(n_classes, proj, mode, grid)
        check_share(pooled_share)
        self.layers = check_layers(backbone, layers)
        self.mode, self.grid, self.checkpointing = mode, grid, checkpointing
        self.pooled_share = pooled_share
        channels = _channels(backbone, self.layers, example)
        self.backbone = backbone
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, proj, 1, bias=False), nn.BatchNorm2d(proj), nn.ReLU())
            for c in channels
        )
        self.head = nn.Conv2d(proj * len(channels), n_classes, 1, bias=False)
        first = next(backbone.parameters(), self.head.weight)
        self.to(first.device, first.dtype)

    def forward(self, images: Tensor) -> Output:
        """Images `(b c h w)`, of any size that the backbone takes."""
        _check_images(images)
        again = self.checkpointing and torch.is_grad_enabled()
        parts = [*segments(self.backbone, self.layers), *self.projections] if again else []
        with recomputed(parts), LayerTap(self.backbone, self.layers) as tap:
            self.backbone(images)
            features = {name: tap[name] for name in self.layers}
            projected = [project(f) for project, f in zip(self.projections, features.values())]
        pick = max if self.grid == "finest" else min
        size = pick(((f.shape[-2], f.shape[-1]) for f in projected), key=math.prod)
        heads = self.head.weight.chunk(len(projected), dim=1)
        parts_of_maps = [resized(F.conv2d(p, head), size) for p, head in zip(projected, heads)]
        layer_maps = dict(zip(self.layers, parts_of_maps))
        maps = torch.stack(parts_of_maps).sum(dim=0)
        weights = weights_by_rank(maps, self.pooled_share)
        shares = {name: (part * weights).sum(dim=(2, 3)) for name, part in layer_maps.items()}
        return Output((maps * weights).sum(dim=(2, 3)), maps, shares, layer_maps, features)


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Class maps at the size of the images, 0 to 1.

    Args:
        fused: `(b k h w)`, of all layers.
        per_layer: for each layer `(b k h w)`, its evidence for the class; without propagation.
        logits: `(b k)`.
        shares: for each layer `(b k)`, its contribution to the logits.
    """

    fused: Tensor
    per_layer: dict[str, Tensor]
    logits: Tensor
    shares: dict[str, Tensor]


@torch.no_grad()
def class_maps(
    model: MultiLayerCAM,
    images: Tensor,
    tags: Tensor | None = None,
    *,
    flip: bool = True,
    scales: Sequence[float] = (1.0,),
    steps: int = 1,
    power: float = 4,
    max_tokens: int = 1024,
) -> ClassMaps:
    """Locate the classes of images: mean maps over views, clipped at 0, normalised by their maximum, gated.

    In mode "propagate" the maps of each view are spread by `propagate` before they are averaged. A class
    without tag is 0 everywhere. If tags are unknown, each map is multiplied by the probability of its class,
    so that absent classes are not scaled up to 1.

    Args:
        model: a trained network. It runs in evaluation mode; the mode of each part is restored afterwards.
        images: `(b c h w)`.
        tags: `(b k)` booleans, or None where they are not known.
        flip: average over the image and its mirror image, left to right.
        scales: factors of the image size to average over, above 0.
        steps, power, max_tokens: of `propagate`.

    Raises:
        GeometryError: images or tags have the wrong shape. ConfigError: a scale cannot be used.
    """
    _check_images(images)
    if not (len(scales) and all(math.isfinite(s) and s > 0 for s in scales)):
        raise ConfigError(f"scales must be numbers above 0, one or more, got {scales}")
    spread = partial(propagate, power=power, steps=steps, max_tokens=max_tokens)
    with _evaluating(model):
        views = [
            _view(model, images, spread, scale, mirrored)
            for scale in scales
            for mirrored in ((False, True) if flip else (False,))
        ]
    logits = _mean([view.logits for view in views])
    gate = logits.sigmoid() if tags is None else _check_tags(tags, logits)
    return ClassMaps(
        _gated(_mean([view.fused for view in views]), gate),
        {name: _gated(_mean([view.per_layer[name] for view in views]), gate) for name in model.layers},
        logits,
        {name: _mean([view.shares[name] for view in views]) for name in model.layers},
    )


def _view(
    model: MultiLayerCAM, images: Tensor, spread: Callable[..., Tensor], scale: float, mirrored: bool
) -> ClassMaps:
    """Maps at image size, neither cut nor gated, as one view of the images gives them."""
    h, w = images.shape[-2:]
    seen = resized(images, (max(1, round(h * scale)), max(1, round(w * scale))))
    output: Output = model(seen.flip(-1) if mirrored else seen)
    maps = output.maps
    if model.mode == "propagate":
        stages = list(output.features.values())
        finest = max(((s.shape[-2], s.shape[-1]) for s in [maps, *stages]), key=math.prod)
        maps = spread(resized(maps, finest), stages)

    def back(part: Tensor) -> Tensor:
        whole = resized(part, (h, w))
        return whole.flip(-1) if mirrored else whole

    layer_maps = {name: back(part) for name, part in output.layer_maps.items()}
    return ClassMaps(back(maps), layer_maps, output.logits, output.shares)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(dim=0)


def _gated(maps: Tensor, gate: Tensor) -> Tensor:
    """`(b k h w)`: the positive part over its maximum in the image, times the gate `(b k)`."""
    positive = maps.clamp_min(0)
    top = positive.amax(dim=(2, 3), keepdim=True)
    return positive / torch.where(top > 0, top, torch.ones_like(top)) * gate[:, :, None, None]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; restores the mode of each part on exit."""
    before = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in before:
            part.training = training


@torch.no_grad()
def _channels(backbone: nn.Module, layers: Sequence[str], example: Tensor | None) -> list[int]:
    """Channels of the layers, determined by running the backbone once."""
    if example is None:
        first = next((m for m in backbone.modules() if isinstance(m, nn.Conv2d)), None)
        if first is None:
            raise ConfigError(f"{kind_of(backbone)} has no convolution: pass suitable images as `example`")
        example = first.weight.new_zeros(1, first.in_channels, PROBE_SIZE, PROBE_SIZE)
    with _evaluating(backbone), LayerTap(backbone, layers) as tap:
        try:
            backbone(example)
        except ConfigError:
            raise
        except Exception as error:  # each network has its own way to refuse images
            raise ConfigError(
                f"{kind_of(backbone)} does not accept images {tuple(example.shape)}: pass suitable ones "
                f"as `example` ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
            ) from error
    return [tap[name].shape[1] for name in layers]


def _check_settings(n_classes: int, proj: int, mode: str, grid: str) -> None:
    for name, value in (("n_classes", n_classes), ("proj", proj)):
        if not (isinstance(value, int) and value >= 1):
            raise ConfigError(f"{name} must be a whole number, 1 or more, got {value}")
    if mode not in get_args(Mode):
        raise ConfigError(f'mode must be "propagate" or "none", got {mode!r}')
    if grid not in ("finest", "coarsest"):
        raise ConfigError(f'grid must be "finest" or "coarsest", got {grid!r}')


def _check_images(images: Tensor) -> None:
    if images.ndim != 4:
        raise GeometryError(f"images must be (b c h w), got {tuple(images.shape)}")


def _check_tags(tags: Tensor, logits: Tensor) -> Tensor:
    if tuple(tags.shape) != tuple(logits.shape):
        raise GeometryError(f"tags must be (images classes) {tuple(logits.shape)}, got {tuple(tags.shape)}")
    return tags.to(logits.device).bool().to(logits.dtype)
