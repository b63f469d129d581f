"""`labelmend simulate LABELS --out OUT --noise NAME`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.choice import chosen
from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.noise import NOISES, PRESETS, SEVERITIES, draw_raters
from labelmend.runtime.output_folder import check_output, names_in
from labelmend.workflows.forecast import HALF, ClassForecast, forecast
from labelmend.workflows.simulation import mean_dice_by_rater, simulate

RESUMES = True
"""The same command continues where it stopped."""

SKIP = ("labels", "noise", "preset", "severity", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "simulate",
        "Draw noisy masks from clean ones. --dry-run says how far outlines would move and writes nothing.",
        essential=("preset", "severity", "raters", "classes"),
    )
    made.add_input("labels", "folder of clean labels: <case>.<ext>, or <class>/<case>.<ext>")
    made.add_flag("preset", str | None, None, f"a published noise: {', '.join(PRESETS)}")
    made.add_choice("noise", NOISES, default=None, help="a kind of noise with your own settings")
    made.add_flag("severity", str, "medium", f"{', '.join(SEVERITIES)}; medium is the noise as set")
    made.add_settings(simulate, SKIP, required=("out",))
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Draw the masks and say how much they changed."""
    if console.dry_run:
        return _dry_run(arguments, console)
    with console.progress() as progress:
        done = simulate(
            arguments.labels,
            preset=arguments.preset,
            noise=chosen(arguments.noise, NOISES),
            severity=arguments.severity,
            **settings(arguments, simulate, SKIP),
            progress=progress,
        )
    console.say(*done.notes)
    out = Path(arguments.out)
    dice = mean_dice_by_rater(out)
    raters = [] if arguments.raters is None else draw_raters(arguments.raters, arguments.seed)
    console.say(f"{out}: mean Dice to the clean masks: {_listed(dice[''])}")
    for rater in raters:
        style = f"strength {rater.strength:.2f}, bias {rater.bias:+.2f}"
        console.say(f"{rater.name}: {style}; mean Dice to the clean masks: {_listed(dice[rater.name])}")
    return {"folder": out, "dice": dice.pop(""), "dice_by_rater": dice, "notes": done.notes}


def _dry_run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Say how far outlines would move, and warn where masks would lose their object."""
    check_output(arguments.out, names_in(Path(arguments.out)), folders=[Path(arguments.labels)])
    found = forecast(
        arguments.labels,
        preset=arguments.preset,
        noise=chosen(arguments.noise, NOISES),
        severity=arguments.severity,
        **{name: arguments[name] for name in ("seed", "classes", "ignore", "spacing_mm", "cases")},
    )
    console.table(
        f"Noise drawn on {found.n_drawn} of {found.n_cases} cases; nothing is written",
        ["class", "mean Dice", "lowest", f"outline moves, {found.unit}", "expected by theory"],
        [[c.name, *_numbers(c)] for c in found.classes],
    )
    console.say("\nPositive: outlines move outwards.")
    warnings = [
        f"{c.name}: {c.n_lost} of {len(c.dice)} masks keep a Dice under {HALF:g}; use weaker noise"
        for c in found.classes
        if c.n_lost
    ]
    console.sentences("Warnings:", warnings)
    return dataclasses.asdict(found) | {"warnings": warnings}


def _numbers(found: ClassForecast) -> list[str]:
    """Mean and lowest Dice, the mean shift, and what theory expects of it."""
    if not found.dice:
        return ["-"] * 4
    shift = f"{sum(found.shift_mm) / len(found.shift_mm):+.2f}" if found.shift_mm else "-"
    known = found.expected_mm
    expected = "-" if known is None else f"{known.value:+.2f} ± {known.error:.2f}"
    return [f"{sum(found.dice) / len(found.dice):.3f}", f"{min(found.dice):.3f}", shift, expected]


def _listed(dice: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in dice.items())
