"""A self-contained page on masks made from tags: their content, their reliability, and examples."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jinja2 import UndefinedError
from numpy.typing import NDArray
from PIL import Image

from labelmend.errors import DataError, UnreadableFileError
from labelmend.html import text
from labelmend.html.figures import CLEAN, CORRECTED, GIVEN, data_uri, grey
from labelmend.html.page import templates
from labelmend.html.text import percent
from labelmend.io import read_label_array, write_text
from labelmend.io.files.reading import read_json

SUMMARY, PAGE = "summary.json", "report.html"

COLOURS = (GIVEN, CORRECTED, CLEAN, "#f27ad0", "#ffe066", "#9d8cff", "#ff6b6b", "#4f9dff")
"""Colours of the classes, repeated from the ninth on."""

UNSURE = "#c3ccd6"

SIDE = 148
"""Longer side of a picture, in screen pixels."""

HATCH = 6
"""Distance of hatching lines on unsure pixels, in screen pixels."""

HEAT = ((0.0, "#1d1147"), (0.25, "#7a1c6d"), (0.5, "#d6404e"), (0.75, "#fb9b3c"), (1.0, "#fcf6b8"))
"""Colour map of the class maps, from 0 to the maximum."""

LEVELS = 64
"""Number of steps of that colour map."""


@dataclass(frozen=True)
class Row:
    """The maps of one class in one image: name, colour, and a picture for each layer and the fused map."""

    name: str
    colour: str
    uris: tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """One image with its mask and, for each of its tags, a row of maps.

    Args:
        case: case id.
        image: grey picture, shown through the overlays.
        seeds: classes in their colours, unsure pixels hatched.
        width, height: size of each picture, in screen pixels.
        rows: one per tag.
        content: description of the mask.
    """

    case: str
    image: str
    seeds: str
    width: int
    height: int
    rows: tuple[Row, ...]
    content: str


def write_pseudo_masks_page(folder: str | Path, labels: str | Path | None = None) -> Path:
    """Write FOLDER/report.html from the files that `labelmend.pseudo_masks` wrote there.

    Args:
        folder: output of `labelmend.pseudo_masks`.
        labels: final path of the masks, for the training command; None: their current path.

    Raises:
        UnreadableFileError: summary.json or the maps of a case are missing or damaged.
        DataError: a mask cannot be read.
    """
    folder = Path(folder)
    try:
        found = read_json(folder / SUMMARY)
        names = [c["name"] for c in found["classes"]]
        examples = [
            example(folder, case, names, found["ignore"])
            for case in found["cases"]
            if case["heat"] is not None
        ]
        page = render_seeds(found, examples, Path(labels or folder / "labels").resolve())
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        ArithmeticError,
        DataError,
        UndefinedError,
        BadZipFile,
    ) as error:
        raise UnreadableFileError(
            f"{folder} holds no finished masks from tags ({error}): run labelmend pseudo-masks again"
        ) from error
    target = folder / PAGE
    write_text(target, page)
    return target


def render_seeds(found: Mapping[str, Any], examples: Sequence[Example], labels: Path) -> str:
    """The page as text; names are escaped by the template.

    Args:
        found: content of summary.json.
        examples: images to show.
        labels: folder of the masks, for the training command.
    """
    environment = templates(
        "labelmend.workflows.image_tags",
        count=text.count,
        percent=_percent,
        number=text.number,
        signed=text.signed,
        listing=text.listing,
    )
    images = Path(found["images"])
    data = shlex.quote(str(images.parent)) if images.name == "images" else "DATA"
    return environment.get_template("seed.html.jinja").render(
        found=found,
        examples=examples,
        names=[c["name"] for c in found["classes"]],
        colours=[colour(j) for j in range(len(found["classes"]))],
        accent=CORRECTED,
        unsure=UNSURE,
        ramp=", ".join(f"{value} {100 * place:g}%" for place, value in HEAT),
        judged=any(c["auc"] is not None for c in found["classes"]),
        learned=_learned(found),
        command=f"labelmend train {data} --labels {shlex.quote(str(labels))} --method adele --out RUN",
    )


def example(folder: Path, case: Mapping[str, Any], classes: Sequence[str], ignore: int) -> Example:
    """The pictures of one case.

    Args:
        folder: the folder of the masks.
        case: its entry in summary.json.
        classes: names of all classes, in the order of their values 1, 2, ...
        ignore: value of unsure pixels.
    """
    with np.load(io.BytesIO((folder / case["heat"]).read_bytes()), allow_pickle=False) as file:
        image, fused, layers = file["image"], file["fused"], file["layers"]
    labels, _ = read_label_array(folder / case["labels"])
    h, w = labels.shape
    height, width = (max(24, round(SIDE * size / max(h, w))) for size in (h, w))
    rows = tuple(
        Row(name, colour(j), tuple(heat_uri(maps) for maps in [*layers[:, j], fused[j]]))
        for j, name in enumerate(classes)
        if name in case["tags"]
    )
    marked = [f"{name} {_percent(case['classes'][name])}" for name in case["tags"]]
    content = text.listing([*marked, f"unsure {_percent(case['unsure'])}"])
    seeds = seeds_uri(_sampled(labels, (2 * height, 2 * width)), len(classes), ignore)
    return Example(case["case"], data_uri(grey(image)), seeds, width, height, rows, content)


def heat_uri(maps: NDArray[np.uint8]) -> str:
    """A map `(h w)` of 0..255 as a picture, transparent at 0."""
    places = np.linspace(0, 1, LEVELS)
    stops = [place for place, _ in HEAT]
    channels = np.array([_rgb(value) for _, value in HEAT], float).T
    palette = np.stack([np.interp(places, stops, channel) for channel in channels], axis=1)
    alpha = np.minimum(1, 1.6 * places**0.7) * 235
    return _palette_uri(maps // (256 // LEVELS), palette, alpha)


def seeds_uri(labels: NDArray[np.integer], k: int, ignore: int) -> str:
    """A mask `(h w)` as a picture: background transparent, classes in colour, unsure pixels hatched.

    Args:
        labels: 0, 1..k and `ignore`.
        k: number of classes.
        ignore: value of unsure pixels.
    """
    down, across = np.indices(labels.shape)
    on_line = (down + across) % (2 * HATCH) < 4
    places = np.where(labels == ignore, np.where(on_line, k + 1, k + 2), labels)
    palette = [(0, 0, 0), *(_rgb(colour(j)) for j in range(k)), _rgb(UNSURE), _rgb(UNSURE)]
    return _palette_uri(places.astype(np.uint8), np.array(palette), np.array([0, *[175] * k, 190, 50]))


def colour(index: int) -> str:
    """The colour of the class at a position."""
    return COLOURS[index % len(COLOURS)]


def _palette_uri(places: NDArray[np.uint8], palette: NDArray[Any], alpha: NDArray[Any]) -> str:
    """A picture with a palette of colours `(m 3)` and opacities `(m)`, as PNG in a data URI."""
    picture = Image.fromarray(places).convert("L")
    made = Image.frombytes("P", picture.size, picture.tobytes())
    made.putpalette(np.rint(palette).astype(np.uint8).tobytes())
    data = io.BytesIO()
    made.save(data, "PNG", optimize=True, transparency=np.rint(alpha).astype(np.uint8).tobytes())
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _sampled(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Nearest-neighbour resampling of `(h w)` to another size."""
    places = [
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, array.shape, strict=True)
    ]
    return array[np.ix_(*places)]


def _percent(share: float | None) -> str:
    """A fraction in percent; a dash if unknown."""
    return text.number(None) if share is None else percent(share)


def _learned(found: Mapping[str, Any]) -> str:
    """How the training went, in one sentence."""
    loss, n = found["loss"], len(found["loss"])
    pairs = zip(found["classes"], found["training_accuracy"], strict=True)
    right = text.listing([f"{c['name']} {_percent(share)}" for c, share in pairs])
    moved = f"went from {loss[0]:.2f} to {loss[-1]:.2f} in {n} epochs" if n > 1 else f"was {loss[0]:.2f}"
    images = text.count(found["n_training"], "image")
    return f"On the {images} used for training, the loss {moved}; tags predicted correctly: {right}."
