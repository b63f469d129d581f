"""labelmend simulate: draw noisy masks from clean ones."""

from __future__ import annotations

from jsonargparse import Namespace

from labelmend.cli.choice import ChoiceParser, chosen
from labelmend.cli.screen import Bars, say
from labelmend.noise import NOISES, PRESETS, SEVERITIES, draw_raters
from labelmend.workflows.simulation import mean_dice_by_rater, simulate

GOES_ON = True
"""Stopped, it keeps what is done, and the same command goes on from there."""


def parser() -> ChoiceParser:
    """The arguments of the verb."""
    parser = ChoiceParser(
        prog="labelmend simulate", description="Draw noisy masks from a folder of clean ones."
    )
    parser.add_argument(
        "labels", type=str, help="folder of clean labels: <case>.<ext>, or <class>/<case>.<ext>"
    )
    parser.add_argument("out", type=str, help="folder to write to, in the same structure and format")
    parser.add_argument("--preset", type=str | None, help=f"a published noise: {', '.join(PRESETS)}")
    parser.add_choice("noise", NOISES, default=None, help="a noise with settings of your own")
    parser.add_argument(
        "--severity",
        type=str,
        default="medium",
        help=f"how strong, medium being as set: {', '.join(SEVERITIES)}",
    )
    parser.add_argument(
        "--raters",
        type=int | None,
        help="draw as many annotators' masks a case, each with a style of their own",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument(
        "--classes",
        type=dict[str, int] | None,
        help="names and values in integer maps, as {lung: 1, heart: 2}",
    )
    parser.add_argument("--ignore", type=int | None, help="value of pixels nobody annotated, in integer maps")
    parser.add_argument(
        "--spacing_mm",
        type=float | list[float] | None,
        help="pixel spacing for formats that store none, in mm",
    )
    parser.add_argument("--jobs", type=int, default=1, help="worker processes; -1 takes every core")
    parser.add_argument(
        "--backend", type=str, default="loky", help="loky: this machine; ray: the Ray cluster at RAY_ADDRESS"
    )
    parser.add_argument(
        "--shard", type=str, default="1/1", help="i/n: do the i-th of n parts; all n may run at once"
    )
    return parser


def run(arguments: Namespace) -> int:
    """Draw the masks and say in one line what was written."""
    notes: list[str] = []
    with Bars(transient=True) as bars:
        done = simulate(
            arguments.labels,
            arguments.out,
            preset=arguments.preset,
            noise=chosen(arguments.noise, NOISES),
            severity=arguments.severity,
            raters=arguments.raters,
            seed=arguments.seed,
            classes=arguments.classes,
            ignore=arguments.ignore,
            spacing_mm=arguments.spacing_mm,
            jobs=arguments.jobs,
            backend=arguments.backend,
            shard=arguments.shard,
            on_case=bars.counting("simulating"),
            on_note=notes.append,
        )
    say(*notes)
    n_cases = bars.done("simulating")
    n_raters = arguments.raters or 1
    by = "" if arguments.raters is None else f" by {n_raters} raters"
    cases = f"{n_cases // n_raters} cases{by}"
    out = done.folder
    assert out is not None
    dice = mean_dice_by_rater(out)
    say(f"{out}: noisy masks of {cases}; mean Dice to clean: {_told(dice[''])}")
    for rater in draw_raters(n_raters, arguments.seed) if by else ():
        style = f"strength {rater.strength:.2f}, bias {rater.bias:+.2f}"
        say(f"{rater.name}: {style}; mean Dice to clean: {_told(dice[rater.name])}")
    return 0


def _told(dice: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in dice.items())
