"""`labelmend fit-noise`: learn how masks are wrong, from clean ones or from several annotators."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from labelmend.cli.evaluate import add_label_flags, class_values
from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, say, table
from labelmend.errors import ConfigError
from labelmend.metrics.intervals import Interval
from labelmend.workflows.noise_fitting.fit import PAGE, fit_noise, fit_rater_noise
from labelmend.workflows.noise_fitting.markov import flags
from labelmend.workflows.noise_fitting.result import ClassNoise, NoiseFit, RatersFit


def parser() -> ArgumentParser:
    """The settings of the verb."""
    new = ArgumentParser(
        prog="labelmend fit-noise",
        description="Learn how masks are wrong: given against clean ones, or several annotators of the same "
        "cases against each other.",
    )
    add = new.add_argument
    add("given", type=str | None, nargs="?", default=None, help="label folder with the errors to learn")
    add("clean", type=str | None, nargs="?", default=None, help="label folder with the truth")
    add("--raters", type=str, nargs="+", default=[], help="instead: one label folder an annotator, no truth")
    add("--config", action="config", help="YAML file with settings; later flags win over it")
    add("--out", type=str | None, default=None, help="folder for fit.json and the page fit.html")
    add("--flip", type=float, default=0.05, help="held fixed: it and the number of steps trade off")
    add(
        "--flips",
        type=list[float] | None,
        default=None,
        help="other flips to show what fits there; default: a half and the double, [] for none",
    )
    add("--speckle", type=float | None, default=None, help="take it as given instead of estimating it")
    add("--smooth", type=bool | None, default=None, help="take it as given instead of finding out")
    add_label_flags(new)
    add("--n_boot", type=int, default=500, help="how many times the cases are drawn for intervals")
    add("--level", type=float, default=0.95, help="of the intervals")
    add("--max_cases", type=int, default=200, help="simulate on at most so many cases a class")
    add(
        "--cases",
        type=list[str] | str | None,
        default=None,
        help="only these of GIVEN: a text file of case ids, or ids as [a, b]",
    )
    add("--seed", type=int, default=0, help="seed of everything random")
    return new


def run(arguments: Namespace) -> int:
    """Fit, print, and write the folder asked for."""
    shared = {
        "out": arguments.out,
        "classes": class_values(arguments.classes),
        "ignore": arguments.ignore,
        "spacing_mm": arguments.spacing_mm,
        "n_boot": arguments.n_boot,
        "level": arguments.level,
        "seed": arguments.seed,
    }
    with Bars(transient=True) as bars:
        if arguments.raters:
            if arguments.cases is not None:
                raise ConfigError("--cases goes with GIVEN and CLEAN, not with --raters")
            if arguments.given is not None:
                raise ConfigError(
                    "give either GIVEN and CLEAN, or --raters with all annotator folders, not both"
                )
            found: NoiseFit | RatersFit = fit_rater_noise(
                arguments.raters, **shared, on_case=bars.counting("comparing")
            )
        else:
            if arguments.given is None or arguments.clean is None:
                raise ConfigError("give the folders GIVEN and CLEAN, or --raters and the annotators' folders")
            counts: dict[str, Callable[[str, int], None]] = {}
            found = fit_noise(
                arguments.given,
                arguments.clean,
                **shared,
                flip=arguments.flip,
                flips=arguments.flips,
                speckle=arguments.speckle,
                smooth=arguments.smooth,
                max_cases=arguments.max_cases,
                cases=arguments.cases,
                on_case=bars.counting("measuring"),
                on_point=lambda name, text, total: counts.setdefault(
                    name, bars.counting(f"simulating {name}")
                )(text, total),
            )
    show(found)
    if arguments.out is not None:
        say(f"\npage  {Path(arguments.out) / PAGE}")
    return 0


def show(found: NoiseFit | RatersFit) -> None:
    """Print what was found and what was not."""
    for note in found.notes:
        say(note)
    if isinstance(found, RatersFit):
        return _show_raters(found)
    sure = f"{100 * found.level:g} % interval"
    for c in found.classes:
        rows = [[text, *_cells(value, digits)] for text, value, digits in _rows(c, found.unit)]
        table(f"{c.name}: {len(c.cases) - c.n_left_out} cases", ["", "estimate", sure], rows)
        if c.n_left_out:
            say(f"{c.n_left_out} more have no boundary in one of the folders and are left out.")
        if c.fit.moments:
            _tell_fit(c)
        say(f"labelmend simulate CLEAN OUT {flags(c.fit.noise)}")
    say("\nIntervals come from drawing cases with replacement. Positive bias: the masks are too large.")


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


def _tell_fit(c: ClassNoise) -> None:
    """How well the noise fits, in what it fails, and what else would fit."""
    fits = "fits" if c.fit.distance < 4 else "does not make masks quite like these"
    say(f"chi-square of bias, its variation and roughness: {c.fit.distance:.1f}: this noise {fits}.")
    off = [m for m in c.fit.moments if not m.matched and abs(m.z) > 3]
    if off:
        told = ", ".join(f"{m.name} {m.given:.3f} given, {m.simulated:.3f} simulated" for m in off)
        say(f"It misses what it was not fitted to: {told}.")
    if c.fit.profile:
        say("Flip and steps trade off; unless you know flip, these are as good as their chi-square says:")
        for p in c.fit.profile:
            say(f"  flip {p.flip:g}: steps {p.steps:.0f}, expand {p.expand:.3f}, chi-square {p.distance:.1f}")


def _show_raters(found: RatersFit) -> None:
    unit, sure = found.unit, f"{100 * found.level:g} %"
    for name, fit in found.classes.items():
        rows = [
            [rater, str(fit.n_cases[i]), *_cells(fit.bias_mm[i], signed=True), *_cells(fit.roughness_mm[i]),
             _cells(fit.spread_mm[i])[0]]
            for i, rater in enumerate(fit.raters)
        ]  # fmt: skip
        head = ["annotator", "cases", f"bias {unit}", sure, f"roughness {unit}", sure, f"bias varies {unit}"]
        table(f"{name}: mean pairwise Dice {' '.join(_cells(fit.dice, 3))}", head, rows)
        if not fit.split:
            say(
                "Two annotators: half of roughness and variation is given to each; whose it is, is not known."
            )
    say("\nIntervals come from drawing cases with replacement. Positive bias: larger than the others.")
    say("Biases add up to zero: one that all annotators share cannot be seen without clean masks.")


def _cells(found: Interval, digits: int = 2, *, signed: bool = False) -> tuple[str, str]:
    """`1.20` and `1.10 to 1.31`; empty where there is no interval."""
    sign = "+" if signed else ""
    if math.isnan(found.value):
        return "not known", ""
    ends = "" if math.isnan(found.low) else f"{found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f}"
    return f"{found.value:{sign}.{digits}f}", ends
