"""`labelmend train DATA --labels NAME --method METHOD --clean CLEAN --out RUN`."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from labelmend.cli.choice import chosen
from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.methods.registry import METHODS
from labelmend.workflows.training.config import TrainConfig

RESUMES = True
"""The same command continues where it stopped."""

SKIP = ("data", "out")


def parser() -> VerbParser:
    """The settings of the verb: the fields of TrainConfig, and a method with its own."""
    made = VerbParser(
        "train",
        "Train on noisy masks, write corrected ones and a report. The same command continues after an "
        "interruption.",
        essential=("labels", "clean", "classes", "resize", "patch", "epochs", "device"),
    )
    made.add_input("data", "folder with images/ and label folders")
    made.add_flag(
        "out", str, ..., "folder of the run: new, empty, or holding this same run, which then continues"
    )
    made.add_choice("method", METHODS, default="spatial_correction", help="the method")
    made.add_settings(TrainConfig, skip=SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any] | None:
    """Train and say where the results are."""
    from labelmend.workflows.training.train import train

    with console.progress() as progress:
        result = train(
            config=config_of(arguments), method=chosen(arguments.method, METHODS), progress=progress
        )
    from accelerate import PartialState

    PartialState().destroy_process_group()
    if not result.is_main:
        return None
    show_run(result, console)
    return result.summary | {"folder": result.folder, "labels": result.labels}


def config_of(arguments: Namespace) -> TrainConfig:
    """The TrainConfig that parsed arguments stand for."""
    return TrainConfig(data=arguments.data, out=arguments.out, **settings(arguments, TrainConfig, SKIP))


def show_run(result: Any, console: Console) -> None:
    """Print what a finished run measured and where its results are."""
    summary, unit = result.summary, result.summary["unit"]
    for row in summary["rounds"]:
        for found in row["bias"]:
            console.say(f"round {row['round']}  {found['class']:12} {_bias(found, unit)}{found['why']}")
    console.say(*(f"note: {note}" for note in summary.get("notes", [])))
    changed = sum(case["version"] > 0 for case in summary["cases"])
    console.say(
        f"{changed} of {len(summary['cases'])} cases corrected",
        f"corrected labels  {result.labels}",
        f"report            {result.folder / 'report.html'}",
    )


def _bias(found: dict[str, Any], unit: str) -> str:
    """`bias -1.20 mm [-1.50, -0.90]: `, or nothing for a method that measures no bias."""
    if "mean_mm" not in found:
        return ""
    if found["mean_mm"] is None:
        return "bias none: "
    low, high = found.get("low_mm"), found.get("high_mm")
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"bias {found['mean_mm']:.2f} {unit}{interval}: "
