"""`labelmend correct LABELS --probabilities PROBS --out OUT --method METHOD --clean CLEAN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.choice import chosen
from labelmend.cli.console import Console, nnunet_command
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.methods.registry import METHODS
from labelmend.workflows.correction.correct import correct
from labelmend.workflows.correction.result import CorrectResult

SKIP = ("labels", "method", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "correct",
        "Correct masks with out-of-sample predictions that you already have, such as those that nnU-Net "
        "saves in cross-validation. Nothing is trained. From nnU-Net data, a new raw data set is made.",
        essential=("clean", "classes"),
    )
    made.add_input("labels", "label folder, raw data set of nnU-Net (DatasetXXX_Name), or COCO file")
    made.add_choice(
        "method", METHODS, default="spatial_correction",
        help="the method; spatial_correction, adele and confident need no training",
    )  # fmt: skip
    made.add_settings(correct, SKIP, required=("out",))
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Correct the labels and say what was done."""
    with console.progress() as progress:
        done = correct(
            arguments.labels,
            method=chosen(arguments.method, METHODS),
            **settings(arguments, correct, SKIP),
            progress=progress,
        )
    show(done, console)
    return {"folder": done.folder, "labels": done.labels, "warnings": done.warnings, **done.summary}


def show(done: CorrectResult, console: Console) -> None:
    """Print what was measured and decided, and where the labels are."""
    console.say(*(f"{row['class']:12} {row['why']}" for row in done.summary["findings"]))
    console.say(*(f"warning: {sentence}" for sentence in done.warnings))
    console.say(*(f"note: {sentence}" for sentence in done.summary["notes"]))
    trusted = f", {done.n_trusted} trusted" if done.n_trusted else ""
    console.say(f"{done.n_corrected} of {done.n_cases} cases corrected{trusted}")
    console.say(f"corrected labels  {done.labels}")
    if done.summary["layout"] == "nnunet" and isinstance(done.labels, Path):
        console.say(f"next              {nnunet_command(done.labels)}")
