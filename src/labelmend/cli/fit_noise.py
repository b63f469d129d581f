"""`labelmend fit-noise`: learn how masks are wrong, from clean ones or from several annotators."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.errors import ConfigError
from labelmend.metrics.intervals import Interval
from labelmend.runtime.progress import Progress
from labelmend.workflows.noise_fitting.fit import PAGE, fit_noise, fit_rater_noise
from labelmend.workflows.noise_fitting.markov import flags
from labelmend.workflows.noise_fitting.result import ClassNoise, NoiseFit, RatersFit

SKIP = ("given", "clean", "progress")
SHARED = ("out", "classes", "ignore", "spacing_mm", "n_boot", "level", "seed", "page")
"""Settings that make sense for several annotators too."""


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "fit-noise",
        "Measure how masks are wrong, by comparing given masks with clean ones, or several annotators of the "
        "same cases with each other, and fit the noise that would make them so.",
        essential=("raters", "out", "classes", "spacing_mm"),
    )
    made.add_input("given", "label folder with the errors to learn", optional=True)
    made.add_input("clean", "label folder with the truth", optional=True)
    made.add_argument(
        "--raters", type=str, nargs="+", default=[], metavar="FOLDER",
        help="instead of GIVEN and CLEAN: one label folder per annotator",
    )  # fmt: skip
    made.add_settings(fit_noise, SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Fit, print, and write the folder asked for."""
    with console.progress() as progress:
        found = _of_raters(arguments, progress) if arguments.raters else _of_pair(arguments, progress)
    show(found, console)
    if arguments.out is not None and arguments.page:
        console.say(f"\npage  {Path(arguments.out) / PAGE}")
    return found.as_dict()


def _of_raters(arguments: Namespace, progress: Progress) -> RatersFit:
    if arguments.cases is not None:
        raise ConfigError("--cases goes with GIVEN and CLEAN, not with --raters")
    if arguments.given is not None:
        raise ConfigError("give either GIVEN and CLEAN, or --raters with the folders of all annotators")
    shared = {name: arguments[name] for name in SHARED}
    return fit_rater_noise(arguments.raters, **shared, progress=progress)


def _of_pair(arguments: Namespace, progress: Progress) -> NoiseFit:
    if arguments.given is None or arguments.clean is None:
        raise ConfigError("give the folders GIVEN and CLEAN, or --raters and the folders of the annotators")
    return fit_noise(
        arguments.given,
        arguments.clean,
        **settings(arguments, fit_noise, SKIP),
        progress=progress,
    )


def show(found: NoiseFit | RatersFit, console: Console) -> None:
    """Print what was measured and what could not be."""
    console.say(*found.notes)
    if isinstance(found, RatersFit):
        return _show_raters(found, console)
    sure = f"{100 * found.level:g} % interval"
    for c in found.classes:
        rows = [[text, *_cells(value, digits)] for text, value, digits in _rows(c, found.unit)]
        console.table(f"{c.name}: {len(c.cases) - c.n_left_out} cases", ["", "estimate", sure], rows)
        if c.n_left_out:
            console.say(f"{c.n_left_out} more have no boundary in one of the folders and are left out.")
        if c.fit.moments:
            _show_fit(c, console)
        console.say(f"labelmend simulate CLEAN --out OUT {flags(c.fit.noise)}")
    console.say(
        "\nIntervals come from drawing cases with replacement. Positive bias: the masks are too large."
    )


def _rows(c: ClassNoise, unit: str) -> list[tuple[str, Interval, int]]:
    """Name, estimate and decimals of each line about a class."""
    s, f = c.summary, c.fit
    return [
        (f"bias, {unit}", s["bias_mm"], 2),
        (f"bias varies from case to case by, {unit}", s["spread_mm"], 2),
        (f"roughness along the outline, {unit}", s["roughness_mm"], 2),
        ("Dice to clean", s["dice"], 3),
        ("area ratio to clean", s["area_ratio"], 3),
        (f"steps, at flip {f.noise.flip:g}", f.steps, 0),
        ("expand", f.expand, 3),
        ("speckle, before smoothing" if f.noise.smooth else "speckle, not smoothed", f.speckle, 3),
    ]


def _show_fit(c: ClassNoise, console: Console) -> None:
    """How well the noise fits, in what it fails, and what else would fit."""
    fits = "fits" if c.fit.distance < 4 else "does not make masks quite like these"
    console.say(f"chi-square of bias, its variation and roughness: {c.fit.distance:.1f}: this noise {fits}.")
    off = [m for m in c.fit.moments if not m.matched and abs(m.z) > 3]
    if off:
        misses = ", ".join(f"{m.name} {m.given:.3f} given, {m.simulated:.3f} simulated" for m in off)
        console.say(f"It does not reproduce what it was not fitted to: {misses}.")
    if c.fit.profile:
        console.say(
            "Flip and steps trade off; unless you know flip, these are as good as their chi-square says:"
        )
        for p in c.fit.profile:
            console.say(
                f"  flip {p.flip:g}: steps {p.steps:.0f}, expand {p.expand:.3f}, chi-square {p.distance:.1f}"
            )


def _show_raters(found: RatersFit, console: Console) -> None:
    unit, sure = found.unit, f"{100 * found.level:g} %"
    for name, fit in found.classes.items():
        rows = [
            [rater, str(fit.n_cases[i]), *_cells(fit.bias_mm[i], signed=True), *_cells(fit.roughness_mm[i]),
             _cells(fit.spread_mm[i])[0]]
            for i, rater in enumerate(fit.raters)
        ]  # fmt: skip
        head = ["annotator", "cases", f"bias {unit}", sure, f"roughness {unit}", sure, f"bias varies {unit}"]
        console.table(f"{name}: mean pairwise Dice {' '.join(_cells(fit.dice, 3))}", head, rows)
        if not fit.split:
            console.say(
                "Two annotators: half of roughness and variation is given to each; whose it is, is not known."
            )
    console.say(
        "\nIntervals come from drawing cases with replacement. Positive bias: larger than the others."
    )
    console.say("Biases add up to zero: one that all annotators share cannot be seen without clean masks.")


def _cells(found: Interval, digits: int = 2, *, signed: bool = False) -> tuple[str, str]:
    """`1.20` and `1.10 to 1.31`; empty where there is no interval."""
    sign = "+" if signed else ""
    if math.isnan(found.value):
        return "not known", ""
    ends = "" if math.isnan(found.low) else f"{found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f}"
    return f"{found.value:{sign}.{digits}f}", ends
