"""`labelmend predict RUN IMAGES OUT`."""

from __future__ import annotations

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, say
from labelmend.model.config import Device


def parser() -> ArgumentParser:
    """Arguments of the verb."""
    made = ArgumentParser(prog="labelmend predict", description="Segment images with a finished run.")
    made.add_argument("run", type=str, help="folder of a finished run")
    made.add_argument("images", type=str, help="folder of images")
    made.add_argument("out", type=str, help="new folder for the masks")
    made.add_argument(
        "--correct",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="undo the boundary bias that the run measured on its trusted cases",
    )
    made.add_argument(
        "--device", type=Device, default="auto", help="auto takes a GPU where there is one, cpu the processor"
    )
    return made


def run(arguments: Namespace) -> int:
    """Segment and say how many files were written."""
    from labelmend.workflows.prediction import segment

    with Bars() as bars:
        written = segment(
            arguments.run,
            arguments.images,
            arguments.out,
            correct=arguments.correct,
            device=arguments.device,
            on_case=bars.counting("segmenting"),
        )
    say(f"{len(written)} masks of {bars.done('segmenting')} images written to {arguments.out}")
    return 0
