"""`labelmend demo`: the main job on drawn radiographs; no data and no network needed."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, print_run, say, table

GOES_ON = True
"""Stopped, it keeps what is done, and the same command goes on from there."""


def parser() -> ArgumentParser:
    """Arguments of the verb."""
    made = ArgumentParser(
        prog="labelmend demo", description="Simulate generous annotators, train, and hand back better masks."
    )
    made.add_argument("--out", type=str, default="demo", help="folder for data and runs")
    made.add_argument("--epochs", type=int, default=40, help="epochs of each training")
    made.add_argument("--seed", type=int, default=0, help="of pictures, noise and training")
    return made


def run(arguments: Namespace) -> int:
    """Run the demo and print what it shows."""
    from labelmend.demo import N_TEST, N_TRAIN, N_TRUSTED, demo
    from labelmend.workflows.training.report import write_report

    say(
        f"{N_TRAIN} drawn radiographs whose masks somebody drew too generously; {N_TRUSTED} trusted cases to "
        "measure by how much; labelmend trains, moves the boundaries back and trains again."
    )
    with Bars() as bars:
        result = demo(Path(arguments.out), epochs=arguments.epochs, seed=arguments.seed, on_tick=bars.on_tick)
    write_report(result.run.folder)
    labels = [[name, *map(_shown, row)] for name, row in result.label_dice.items()]
    table("Training masks: Dice to the truth", ["", "given", "corrected"], [*labels, _mean(labels)])
    tests = [[name, *map(_shown, row)] for name, row in result.test_dice.items()]
    columns = ["trained on", "given", "corrected", "clean"]
    table(f"The network on {N_TEST} unseen pictures: Dice to the truth", columns, [*tests, _mean(tests)])
    print_run(result.run)
    return 0


def _shown(value: float) -> str:
    return f"{value:.3f}"


def _mean(rows: list[list[str]]) -> list[str]:
    columns = list(zip(*(map(float, row[1:]) for row in rows), strict=True))
    return ["mean", *(_shown(sum(column) / len(column)) for column in columns)]
