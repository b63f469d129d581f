"""`labelmend simulate LABELS --out OUT --noise NAME`."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from labelmend.cli.choice import chosen
from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.noise import NOISES, PRESETS, SEVERITIES, draw_raters
from labelmend.runtime.progress import counter
from labelmend.workflows.simulation import mean_dice_by_rater, simulate

RESUMES = True
"""The same command continues where it stopped."""

SKIP = ("labels", "noise", "preset", "severity", "on_case", "on_note")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "simulate", "Draw noisy masks from clean ones.", essential=("preset", "severity", "raters", "classes")
    )
    made.add_input("labels", "folder of clean labels: <case>.<ext>, or <class>/<case>.<ext>")
    made.add_flag("preset", str | None, None, f"a published noise: {', '.join(PRESETS)}")
    made.add_choice("noise", NOISES, default=None, help="a kind of noise with your own settings")
    made.add_flag("severity", str, "medium", f"{', '.join(SEVERITIES)}; medium is the noise as set")
    made.add_settings(simulate, SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Draw the masks and say how much they changed."""
    notes: list[str] = []
    with console.progress() as progress:
        out = simulate(
            arguments.labels,
            preset=arguments.preset,
            noise=chosen(arguments.noise, NOISES),
            severity=arguments.severity,
            **settings(arguments, simulate, SKIP),
            on_case=counter(progress, "simulating"),
            on_note=notes.append,
        )
    console.say(*notes)
    dice = mean_dice_by_rater(out)
    raters = [] if arguments.raters is None else draw_raters(arguments.raters, arguments.seed)
    console.say(f"{out}: mean Dice to the clean masks: {_listed(dice[''])}")
    for rater in raters:
        style = f"strength {rater.strength:.2f}, bias {rater.bias:+.2f}"
        console.say(f"{rater.name}: {style}; mean Dice to the clean masks: {_listed(dice[rater.name])}")
    return {"folder": out, "dice": dice.pop(""), "dice_by_rater": dice, "notes": notes}


def _listed(dice: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in dice.items())
