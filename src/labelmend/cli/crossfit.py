"""`labelmend crossfit LABELS --images IMAGES --out OUT`: out-of-sample predictions of every case."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.workflows.crossfitting.crossfit import crossfit

RESUMES = True
"""The same command continues where it stopped."""

SKIP = ("labels", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "crossfit",
        "Train k networks, and predict each case by one that has not seen it. The same command continues "
        "after an interruption.",
        essential=("images", "folds", "groups", "fold", "minutes", "classes", "device"),
    )
    made.add_input("labels", "label folder, or raw data set of nnU-Net")
    made.add_settings(crossfit, SKIP, required=("out",))
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Cross-fit, and say how well the networks agree with the labels and where the probabilities are."""
    with console.progress() as progress:
        made = crossfit(arguments.labels, **settings(arguments, crossfit, SKIP), progress=progress)
    rows = [
        [str(row["fold"]), str(row["n_trained"]), str(row["n_predicted"]), f"{row['dice_to_given']:.3f}"]
        for row in made.folds
    ]
    console.table("Folds", ["fold", "cases trained", "cases predicted", "Dice with given labels"], rows)
    console.say(*made.remarks(), f"probabilities  {made.probabilities}")
    return {
        "folder": made.folder,
        "probabilities": made.probabilities,
        "folds": made.folds,
        "missing": made.missing,
    }
