"""Masks from image-level tags: a classifier learns which images show a class, and its maps locate it.

IMAGES/<case>.<ext>                    2-D images
TAGS.csv                               the classes on each image
OUT/labels/<case>.<ext>                masks for `train`: 0 background, 1..k classes, 255 unsure
OUT/scores/<case>.npz                  `scores`, float16 `(k h w)` in [0, 1], on the grid of the image
OUT/heat/<case>.npz                    for some cases, the maps shown in the report: each layer and fused
OUT/manifest.jsonl, OUT/summary.json   origin of each mask; statistics
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from labelmend import __version__
from labelmend.errors import ConfigError
from labelmend.html.result import Result
from labelmend.io import write_json
from labelmend.io.files.atomic import plain
from labelmend.runtime.output_folder import whole_folder
from labelmend.runtime.progress import Progress, no_progress
from labelmend.workflows.image_tags.class_maps import Mode, MultiLayerCAM, TinyBackbone
from labelmend.workflows.image_tags.data import Measure, TagData, load_tagged_images
from labelmend.workflows.image_tags.growing import random_walk
from labelmend.workflows.image_tags.output_folder import LABELS, METHOD, OWN, SUMMARY, check_seed_folder
from labelmend.workflows.image_tags.page import write_pseudo_masks_page
from labelmend.workflows.image_tags.pooling import POOLED_SHARE, check_share
from labelmend.workflows.image_tags.quality import judge
from labelmend.workflows.image_tags.seeds import IGNORE, Conflict
from labelmend.workflows.image_tags.text import assumed, tag_doubts
from labelmend.workflows.image_tags.train_classifier import History, fit_tags
from labelmend.workflows.image_tags.write_masks import write_tag_masks

Refine = Literal["none", "grow", "random_walk"]

TINY_LAYERS = ("stage2", "stage3", "stage4")
"""Layers used of the small default network; its first layer detects only edges."""


@dataclass(frozen=True, eq=False, repr=False)
class PseudoMasks(Result):
    """The masks and their statistics.

    Args:
        folder: output folder.
        labels: the masks, as `train --labels` takes them.
        summary: the content of summary.json.
    """

    folder: Path
    labels: Path
    summary: dict[str, Any]

    def headline(self) -> str:
        """How many masks, and where."""
        return f"Pseudo-masks of {self.summary['n_cases']} images in {self.labels}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """What was measured of each class."""
        return [
            {name: value for name, value in row.items() if not isinstance(value, dict | list)}
            for row in self.summary["classes"]
        ]

    def remarks(self) -> Sequence[str]:
        """Why the masks may be wrong."""
        return list(self.summary["warnings"])


def pseudo_masks(
    images: str | Path,
    tags: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    mode: Mode = "propagate",
    backbone: nn.Module | None = None,
    layers: Sequence[str] | None = None,
    resize: int | Sequence[int] | None = 128,
    measure: Measure = "set",
    pooled_share: float | None = POOLED_SHARE,
    epochs: int = 16,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    flips: bool = True,
    held_out: float = 0.2,
    foreground: float = 0.5,
    background: float = 0.1,
    conflict: Conflict = "argmax",
    refine: Refine = "none",
    checkpointing: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int = 0,
    page: bool = True,
    progress: Progress = no_progress,
) -> PseudoMasks:
    """Make pseudo-masks from image-level tags, as version 0 labels for training.

    A small network learns which images show which classes. Class maps from several of its layers locate them.
    Pixels with a high map value get the class, pixels where all maps are low become background, and the rest
    are 255: unsure, and excluded from training. A class gets pixels only in images with its tag.

    Args:
        images: folder of 2-D images of any size, all with the same number of channels.
        tags: .csv or .tsv: image,lung,heart with 1 and 0, or image,tags with lung;heart.
        out: new folder, or the output of an earlier run, which is then replaced.
        classes: classes to use from the table; None uses all.
        mode: propagate: maps are spread over pixels with similar features. none: they are not.
        backbone: your own network, any module with layers `(b c h w)`; it is copied. None: a small one.
        layers: names of its layers to read maps from; None: the last three stages of the small network.
        resize: pixels per axis of the network's input; each image is resized to it. None: image size.
        measure: set: one scaling of grey values for all images. image: a scaling per image, for images
            without a common scale, such as MR; the content of an image then changes how its background
            appears, and the network may learn to use that.
        pooled_share: approximate fraction of an image that a class fills; smaller for small lesions. None:
            the mean of the map, as in CAM, which spreads beyond the object.
        epochs: passes over the images.
        batch_size: images per batch.
        learning_rate: its peak value.
        weight_decay: of AdamW.
        flips: also train on flipped images; wrong if a class is defined by its side.
        held_out: fraction of the images held out to evaluate the network, in [0, 0.5].
        foreground: a pixel belongs to a class at this fraction of the map's maximum or more, in (0, 1].
        background: a pixel is background at this fraction or less, from 0 to below `foreground`.
        conflict: if several classes reach `foreground`: argmax takes the strongest, ignore none, smaller the
            one with fewer pixels.
        refine: none; grow: seeds grow into unsure pixels where a random walk on the image is nearly certain;
            random_walk: all unsure pixels go to the class that the walk reaches first.
        checkpointing: use less memory in training, for about a third more time.
        seed: random seed.
        device: auto uses a GPU if available; cpu, cuda, cuda:1, ...
        threads: CPU threads of torch; 0 keeps its default.
        page: also write the page report.html.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        DataError: unusable images or tags. ConfigError: an invalid setting.
        OutputError: `out` holds other files, or masks that were edited.
        MissingExtraError: `refine` needs scikit-image.

    Paper: based on the idea of Yaganapu, Kang, "Multi-layered self-attention mechanism for weakly supervised
        semantic segmentation", CVIU 2024. Two thresholds: Ahn et al., IRN, CVPR 2019. Growing: Huang et al.,
        DSRG, CVPR 2018. Pooling by rank: Kolesnikov, Lampert, SEC, ECCV 2016.
    Differs: we had access only to the abstract of the first; see `class_maps`. Growing uses the probabilities
        of a random walk instead of those of a network after a CRF.
    """
    settings = {
        "classes": classes, "mode": mode, "layers": _layers(backbone, layers), "resize": resize,
        "measure": measure, "pooled_share": pooled_share,
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "weight_decay": weight_decay, "flips": flips, "held_out": held_out, "foreground": foreground,
        "background": background, "conflict": conflict, "refine": refine,
        "checkpointing": checkpointing, "seed": seed,
        "backbone": None if backbone is None else type(backbone).__name__,
    }  # fmt: skip
    _check(settings)
    where, folder = _device(device), Path(out)
    if threads:
        torch.set_num_threads(threads)
    material = load_tagged_images(
        images, tags, classes=classes, resize=resize, measure=measure, share=held_out, seed=seed,
        progress=progress,
    )  # fmt: skip
    check_seed_folder(folder, Path(images), Path(tags), material.files)
    with whole_folder(folder, OWN) as part:
        model = _model(backbone, material, settings).to(where)
        history = fit_tags(
            model,
            lambda row: material.images[int(material.training[row])],
            material.table.tags[material.training],
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            flips=flips, seed=seed, device=where,
            progress=progress,
        )  # fmt: skip
        judged = judge(model, material, batch_size, where)
        cases = write_tag_masks(
            part, model, material, settings=settings, device=where,
            progress=progress,
        )  # fmt: skip
        source = {"images": str(Path(images).resolve()), "tags": str(Path(tags).resolve())}
        summary = plain(source | _summary(material, settings, history, judged, cases))
        write_json(part / SUMMARY, summary)
        if page:
            write_pseudo_masks_page(part, labels=folder / LABELS)
    return PseudoMasks(folder, folder / LABELS, summary)


# --- settings and network -------------------------------------------------------------------------


def _layers(backbone: nn.Module | None, layers: Sequence[str] | None) -> tuple[str, ...]:
    if layers is None and backbone is not None:
        raise ConfigError(
            f"the custom backbone {type(backbone).__name__} needs `layers`: the names of the layers to read "
            "maps from, as in backbone.named_modules()"
        )
    return tuple(layers) if layers is not None else TINY_LAYERS


def _check(settings: Mapping[str, Any]) -> None:
    if not 0 <= settings["held_out"] <= 0.5:
        raise ConfigError(f"held_out must lie in [0, 0.5], got {settings['held_out']}")
    if not 0 <= settings["background"] < settings["foreground"] <= 1:
        raise ConfigError(
            "expected 0 <= background < foreground <= 1, got "
            f"background {settings['background']} and foreground {settings['foreground']}"
        )
    check_share(settings["pooled_share"])
    for name, kind in (("conflict", Conflict), ("refine", Refine), ("mode", Mode), ("measure", Measure)):
        choices = get_args(kind)
        if settings[name] not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {settings[name]!r}")
    if settings["refine"] != "none":  # check early that the extra is installed
        random_walk(np.array([[0, IGNORE, 1]], np.uint8), np.zeros((1, 1, 3), np.float32))


def _device(name: str) -> torch.device:
    try:
        found = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used ({reason}): use auto or cpu") from error
    return found


def _model(backbone: nn.Module | None, material: TagData, settings: Mapping[str, Any]) -> MultiLayerCAM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings["seed"])
        base = TinyBackbone(material.channels) if backbone is None else copy.deepcopy(backbone).cpu()
        example = torch.zeros(1, material.channels, *material.images.shape)
        return MultiLayerCAM(
            base,
            len(material.table.classes),
            layers=settings["layers"],
            mode=settings["mode"],
            pooled_share=settings["pooled_share"],
            checkpointing=settings["checkpointing"],
            example=example,
        )


# --- summary --------------------------------------------------------------------------------------


def _summary(
    material: TagData,
    settings: Mapping[str, Any],
    history: History,
    judged: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    table, shape = material.table, material.images.shape
    classes = [
        {"name": name, "value": j, **_seeded(name, cases), **known}
        for j, (name, known) in enumerate(zip(table.classes, judged, strict=True), start=1)
    ]
    n_held_out = len(material.held_out)
    doubted = tag_doubts(
        classes, everywhere=table.everywhere, inseparable=table.inseparable, n_held_out=n_held_out
    )
    return {
        "kind": METHOD,
        "version": __version__,
        "ignore": IGNORE,
        "n_cases": len(cases),
        "n_training": len(material.training),
        "n_held_out": n_held_out,
        "n_sizes": len(set(material.native)),
        "channels": material.channels,
        "grid": list(shape),
        "background": float(np.mean([case["background"] for case in cases])),
        "unsure": float(np.mean([case["unsure"] for case in cases])),
        "classes": classes,
        "loss": list(history.loss),
        "training_accuracy": list(history.accuracy[-1]),
        "layers": list(settings["layers"]),
        "warnings": list(doubted),
        "assumptions": list(assumed(settings, shape, n_held_out)),
        "notes": [*table.notes, *material.notes],
        "settings": dict(settings),
        "cases": list(cases),
    }


def _seeded(name: str, cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Statistics of a class in the masks, as means over the images with its tag."""
    tagged = [case for case in cases if name in case["tags"]]
    return {
        "n_tagged": len(tagged),
        "n_without_seed": sum(case["classes"][name] == 0 for case in tagged),
        "seeded": float(np.mean([case["classes"][name] for case in tagged])),
        "unsure": float(np.mean([case["unsure"] for case in tagged])),
    }
