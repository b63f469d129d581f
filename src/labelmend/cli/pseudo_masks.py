"""`labelmend pseudo-masks IMAGES TAGS --out OUT`: masks from labels that say which classes an image shows."""

from __future__ import annotations

import shlex
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.html.text import percent

SKIP = ("images", "tags", "backbone", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    from labelmend.workflows.image_tags.make_masks import pseudo_masks

    made = VerbParser(
        "pseudo-masks",
        "Make masks from image-level labels: a small network learns which images show which classes, and "
        "where it looks becomes a mask, with 255 where it is unsure. Train on OUT/labels.",
        essential=("classes", "resize", "foreground", "background", "refine", "epochs"),
    )
    made.add_input("images", "folder of 2-D images")
    made.add_input("tags", ".csv or .tsv: image,lung,heart with 1 and 0; or image,tags with lung;heart")
    made.add_settings(pseudo_masks, SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Make the masks, write the report, and say what to know and where everything is."""
    from labelmend.workflows.image_tags.make_masks import pseudo_masks
    from labelmend.workflows.image_tags.output_folder import PAGE

    with console.progress() as progress:
        result = pseudo_masks(
            arguments.images,
            arguments.tags,
            **settings(arguments, pseudo_masks, SKIP),
            progress=progress,
        )
    show(result.summary, console)
    console.say(f"\nmasks   {result.labels}\nreport  {result.folder / PAGE}")
    labels = shlex.quote(str(result.labels.resolve()))
    console.say(f"\nTrain on them with: labelmend train DATA --labels {labels} --method adele --out RUN")
    return result.summary | {"folder": result.folder, "labels": result.labels}


def show(summary: dict[str, Any], console: Console) -> None:
    """Print what the masks hold and what speaks against them."""
    background, unsure = summary["background"], summary["unsure"]
    console.say(
        f"{summary['n_cases']} images: {percent(1 - background - unsure)} of the pixels are marked as a "
        f"class, {percent(background)} as background, {percent(unsure)} are unsure."
    )
    console.table(
        "Per class, on images with the label and on held-out images",
        ["class", "images", "marked", "unsure", "labels right", "majority vote", "evidence on background"],
        [
            [
                c["name"], f"{c['n_tagged']}", percent(c["seeded"]), percent(c["unsure"]),
                *(_known(c[name]) for name in ("accuracy", "commoner", "on_background")),
            ]
            for c in summary["classes"]
        ],
    )  # fmt: skip
    console.sentences("Use these masks with caution:", summary["warnings"])
    console.sentences("About the data:", summary["notes"])


def _known(share: float | None) -> str:
    return "-" if share is None else percent(share)
