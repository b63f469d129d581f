"""`labelmend predict RUN IMAGES --out OUT`."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.workflows.prediction import segment

SKIP = ("run", "images", "network", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser("predict", "Segment images with a trained model.", essential=("correct", "device"))
    made.add_input("run", "folder of a finished run")
    made.add_input("images", "folder of images")
    made.add_settings(segment, SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Segment and say how many files were written."""
    with console.progress() as progress:
        written = segment(
            arguments.run, arguments.images, **settings(arguments, segment, SKIP),
            progress=progress,
        )  # fmt: skip
    console.say(f"{len(written)} masks written to {arguments.out}")
    return {"folder": arguments.out, "masks": written}
