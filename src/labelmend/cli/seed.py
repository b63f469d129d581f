"""`labelmend seed IMAGES TAGS OUT`: masks from tags that say which classes an image shows, and not where."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, say, sentences, table
from labelmend.html.text import percent

POSITIONAL = ("images", "tags", "out")


def parser() -> ArgumentParser:
    """The settings of the verb; but for the backbone, those of `labelmend.seed`."""
    new = ArgumentParser(
        prog="labelmend seed",
        description="Make masks from image-level tags: a small network learns which images show which "
        "classes, and where it sees them becomes a mask, with 255 where it is unsure. `labelmend train` "
        "takes OUT/labels.",
    )
    add = new.add_argument
    add("images", type=str, help="folder of images in two dimensions")
    add("tags", type=str, help=".csv or .tsv: image,lung,heart with 1 and 0; or image,tags with lung;heart")
    add("out", type=str, help="new folder for masks, scores, manifest and report")
    add("--config", action="config", help="YAML file with settings; later flags win over it")
    add("--classes", type=str, nargs="+", default=None, help="classes to take, in this order; default all")
    add(
        "--mode",
        type=Literal["propagate", "trunk", "none"],
        default="propagate",
        help="propagate: maps are spread over pixels that look alike; trunk: self-attention within the "
        "network, look at the warnings; none: no attention",
    )
    add(
        "--layers",
        type=str,
        nargs="+",
        default=None,
        help="stage1 ... stage4, whose maps are added; default the last three",
    )
    add(
        "--resize",
        type=int | list[int] | None,
        default=128,
        help="pixels per axis that the network sees; null: as the images are",
    )
    add(
        "--measure",
        type=Literal["set", "image"],
        default="set",
        help="grey values are scaled alike in all images, or in each image by itself (MR)",
    )
    _add_training(add)
    _add_masks(add)
    add("--checkpointing", type=bool, default=False, help="less memory, about a third more time")
    add("--seed", type=int, default=0, help="seed of everything random")
    add(
        "--device", type=str, default="auto", help="auto takes a GPU where there is one; or cpu, cuda, cuda:1"
    )
    add("--threads", type=int, default=0, help="of torch on the processor; 0 leaves its own choice")
    return new


def _add_masks(add: Callable[..., Any]) -> None:
    """How maps become masks."""
    add(
        "--foreground", type=float, default=0.5, help="share of a map's maximum from which on it is the class"
    )
    add("--background", type=float, default=0.1, help="share of a map's maximum up to which it is background")
    add(
        "--conflict",
        type=Literal["argmax", "ignore", "smaller"],
        default="argmax",
        help="where several classes reach the threshold: the strongest, none, or the one with fewer pixels",
    )
    add(
        "--refine",
        type=Literal["none", "grow", "random_walk"],
        default="none",
        help="what is unsure, by a random walk on the image: grow where it is nearly certain, or decide all",
    )


def _add_training(add: Callable[..., Any]) -> None:
    """How the small network learns."""
    add(
        "--pooled_share",
        type=float | None,
        default=1.0,
        help="about the share of an image that a class fills where it is; null: the plain mean of the map",
    )
    add("--epochs", type=int, default=16, help="passes over the images")
    add("--batch_size", type=int, default=16, help="images in a batch")
    add("--learning_rate", type=float, default=3e-3, help="its highest value")
    add("--weight_decay", type=float, default=1e-4, help="of AdamW")
    add("--flips", type=bool, default=True, help="train on mirrored images too: not where a side matters")
    add("--held_out", type=float, default=0.2, help="share of the images that the network is judged on")


def run(arguments: Namespace) -> int:
    """Make the masks, write the report, and say what to know and where everything lies."""
    from labelmend.workflows.image_tags.make_masks import seed
    from labelmend.workflows.image_tags.output_folder import LABELS, PAGE
    from labelmend.workflows.image_tags.page import write_seed_page

    settings = {
        key: value for key, value in arguments.as_dict().items() if key not in ("config", *POSITIONAL)
    }
    with Bars() as bars:
        result = seed(
            *(arguments[name] for name in POSITIONAL),
            **settings,
            page=partial(write_seed_page, labels=Path(arguments.out) / LABELS),
            on_tick=bars.on_tick,
        )
    show(result.summary)
    say(f"\nmasks   {result.labels}\nreport  {result.folder / PAGE}")
    labels = shlex.quote(str(result.labels.resolve()))
    say(f"\nTrain on them with: labelmend train DATA --labels {labels} --method adele --out RUN")
    return 0


def show(found: dict[str, Any]) -> None:
    """Print what the masks hold and what speaks against them."""
    classes, n = found["classes"], found["n_cases"]
    background, unsure = found["background"], found["unsure"]
    say(
        f"{n} images: {percent(1 - background - unsure)} of the pixels are marked as a class, "
        f"{percent(background)} as background, {percent(unsure)} are unsure."
    )
    table(
        "Class by class: on images with the tag, and on held-out images",
        ["class", "images", "marked", "unsure", "tags right", "commoner answer", "evidence on background"],
        [
            [
                c["name"], f"{c['n_tagged']}", percent(c["seeded"]), percent(c["unsure"]),
                *(_known(c[name]) for name in ("accuracy", "commoner", "on_background")),
            ]
            for c in classes
        ],
    )  # fmt: skip
    sentences("Be careful with these masks:", found["warnings"])
    sentences("About the data:", found["notes"])


def _known(share: float | None) -> str:
    return "-" if share is None else percent(share)
