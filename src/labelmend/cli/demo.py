"""`labelmend demo`: the main job on drawn radiographs; no data and no network needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parser import VerbParser
from labelmend.cli.train import show_run

RESUMES = True
"""The same command continues where it stopped."""


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "demo",
        "Simulate generous annotators, train, and hand back better masks.",
        essential=("out", "epochs", "seed"),
    )
    made.add_flag("out", str, "demo", "folder for data and runs")
    made.add_flag("epochs", int, 40, "epochs of each training run")
    made.add_flag("seed", int, 0, "seed of pictures, noise and training")
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Run the demo and print what it shows."""
    from labelmend.demo import N_TEST, N_TRAIN, N_TRUSTED, demo
    from labelmend.workflows.training.report import write_report

    console.say(
        f"{N_TRAIN} drawn radiographs whose outlines are too generous, and {N_TRUSTED} trusted cases that "
        "show by how much. labelmend trains, corrects the outlines, and trains again."
    )
    with console.progress() as progress:
        result = demo(Path(arguments.out), epochs=arguments.epochs, seed=arguments.seed, progress=progress)
    write_report(result.run.folder)
    labels = [[name, *map(_shown, row)] for name, row in result.label_dice.items()]
    console.table("Training masks: Dice to the truth", ["", "given", "corrected"], [*labels, _mean(labels)])
    tests = [[name, *map(_shown, row)] for name, row in result.test_dice.items()]
    columns = ["trained on", "given", "corrected", "clean"]
    console.table(f"Network on {N_TEST} unseen pictures: Dice to the truth", columns, [*tests, _mean(tests)])
    show_run(result.run, console)
    return {"folder": result.run.folder, "label_dice": result.label_dice, "test_dice": result.test_dice}


def _shown(value: float) -> str:
    return f"{value:.3f}"


def _mean(rows: list[list[str]]) -> list[str]:
    columns = list(zip(*(map(float, row[1:]) for row in rows), strict=True))
    return ["mean", *(_shown(sum(column) / len(column)) for column in columns)]
