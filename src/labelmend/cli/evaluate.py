"""`labelmend evaluate`: compare a label folder with a reference, as a table, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jsonargparse import Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, cell, inert
from labelmend.errors import ConfigError, OutputError
from labelmend.io import write_json, write_text
from labelmend.io.files.csv_table import csv_text
from labelmend.io.files.reading import as_count
from labelmend.metrics import MEASURES, ClassSummary, Score
from labelmend.workflows.evaluation import Evaluation, evaluate

NOT_MEASURED = "-"


def parser() -> ArgumentParser:
    """The settings of the verb."""
    new = ArgumentParser(
        prog="labelmend evaluate",
        description="Compare label folders: Dice, IoU, NSD, HD95 and signed boundary bias.",
    )
    add = new.add_argument
    add("labels", type=str, help="label folder to evaluate")
    add("reference", type=str, help="label folder to compare with; it may hold more cases")
    add("--config", action="config", help="YAML file with settings; later flags win over it")
    add("--json", type=str | None, default=None, help="write summary and scores to this JSON file")
    add("--csv", type=str | None, default=None, help="write one row a case and class to this CSV file")
    add("--tolerance_mm", type=float, default=2.0, help="NSD counts boundaries this close as right")
    add_label_flags(new)
    add(
        "--cases",
        type=list[str] | str | None,
        default=None,
        help="only these: a text file of case ids, or ids as [a, b]",
    )
    add("--per_case", type=bool, nargs="?", const=True, default=False, help="also print every case and class")
    add("--worst", type=int, default=5, help="how many of the lowest Dice scores to list")
    return new


def add_label_flags(parser: ArgumentParser) -> None:
    """How label folders are read: class values, the value to ignore, and spacing."""
    add = parser.add_argument
    add(
        "--classes",
        type=dict[str, int] | str | None,
        default=None,
        help="class values in integer maps: lung=1,heart=2 or a mapping",
    )
    add("--ignore", type=int | None, default=None, help="value that marks ignored pixels in integer maps")
    add(
        "--spacing_mm",
        type=float | list[float] | None,
        default=None,
        help="for pictures, which store none: 1.4 or [1.4, 0.7]; without it lengths are in pixels",
    )


def run(arguments: Namespace) -> int:
    """Evaluate, print, and write the files asked for."""
    for path in filter(None, (arguments.json, arguments.csv)):
        if Path(path).is_dir():
            raise OutputError(f"{path} is a folder: give the name of a file to write")
    with Bars(transient=True) as bars:
        evaluation = evaluate(
            arguments.labels,
            arguments.reference,
            classes=class_values(arguments.classes),
            ignore=arguments.ignore,
            spacing_mm=arguments.spacing_mm,
            tolerance_mm=arguments.tolerance_mm,
            cases=arguments.cases,
            on_case=bars.counting("comparing"),
        )
    console = Console(markup=False, highlight=False, emoji=False)
    show(evaluation, console, per_case=arguments.per_case, worst=arguments.worst)
    if arguments.json:
        write_json(arguments.json, evaluation.as_dict())
    if arguments.csv:
        write_text(arguments.csv, scores_csv(evaluation))
    return 0


def class_values(given: Mapping[str, int] | str | None) -> dict[str, int] | None:
    """Class values as a mapping, or written `lung=1,heart=2`.

    >>> class_values("lung=1, heart=2")
    {'lung': 1, 'heart': 2}
    """
    if not isinstance(given, str):
        return None if given is None else dict(given)
    pairs = [pair.rpartition("=") for pair in given.split(",")]
    if not all(name.strip() and as_count(value.strip()) is not None for name, _, value in pairs):
        raise ConfigError(f"--classes takes names with their values, as lung=1,heart=2, but got {given!r}")
    return {name.strip(): int(value) for name, _, value in pairs}


def scores_csv(evaluation: Evaluation) -> str:
    """One row a case and class; a score that does not exist is left empty, an infinite distance is `inf`."""
    names = ("case", "class_name", *MEASURES, "labels_vox", "reference_vox")
    header = [*("class" if name == "class_name" else name for name in names), "unit", "tolerance_mm"]
    about = (evaluation.unit, evaluation.tolerance_mm)
    return csv_text(header, ([*(getattr(s, name) for name in names), *about] for s in evaluation.scores))


def show(evaluation: Evaluation, console: Console, *, per_case: bool = False, worst: int = 5) -> None:
    """Print the table of classes, what it leaves out, what its columns mean, and the worst cases."""
    n = evaluation.n_cases
    console.print(inert(f"labels:     {evaluation.labels}"))
    console.print(inert(f"reference:  {evaluation.reference}"))
    console.print(_plain(_cases(n) + (", mean ± sd over cases" if n > 1 else ""), console) + "\n")
    console.print(_class_table(evaluation, console))
    console.print()
    for note in _notes(evaluation):
        console.print(inert(note))
    if per_case:
        console.print("\nEvery case and class\n")
        console.print(_score_table(evaluation, evaluation.scores))
    lowest = evaluation.worst(max(worst, 0))
    if lowest and n > 1:
        console.print("\nLowest Dice\n")
        console.print(_score_table(evaluation, lowest))


def _class_table(evaluation: Evaluation, console: Console) -> Table:
    summary = evaluation.summary()
    table = _table(evaluation, "class")
    for c in summary.classes:
        spreads = [c.spreads[m] for m in MEASURES]
        numbers = [_number(m, s.mean, s.sd) for m, s in zip(MEASURES, spreads, strict=True)]
        table.add_row(cell(c.class_name), *(_plain(number, console) for number in numbers))
    if len(summary.classes) > 1:
        table.add_section()
        table.add_row("mean", *(_number(m, summary.mean[m]) for m in MEASURES))
    return table


def _score_table(evaluation: Evaluation, scores: Sequence[Score]) -> Table:
    table = _table(evaluation, "case", "class")
    for score in scores:
        table.add_row(
            cell(score.case), cell(score.class_name), *(_number(m, getattr(score, m)) for m in MEASURES)
        )
    return table


def _table(evaluation: Evaluation, *keys: str) -> Table:
    """An empty table with the key columns and one column a measure."""
    unit, tolerance = evaluation.unit, f"{evaluation.tolerance_mm:g}"
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for key in keys:
        table.add_column(key, overflow="fold")
    for name in ("Dice", "IoU", f"NSD {tolerance} {unit}", f"HD95 {unit}", f"bias {unit}"):
        table.add_column(name, no_wrap=True)
    return table


def _number(measure: str, mean: float, sd: float = math.nan) -> str:
    """`0.784±0.023`, lengths with fewer decimals, widths equal so that columns line up."""
    if math.isnan(mean):
        return NOT_MEASURED.rjust(5)
    decimals = {"hd95_mm": 1, "boundary_bias_mm": 2}.get(measure, 3)
    text = f"{mean:.{decimals}f}".rjust(6 if measure.endswith("_mm") else 5)
    return text if math.isnan(sd) else f"{text}±{sd:.{decimals}f}"


def _notes(evaluation: Evaluation) -> Iterator[str]:
    unit, tolerance = evaluation.unit, f"{evaluation.tolerance_mm:g}"
    yield f"NSD: share of both boundaries that lies within {tolerance} {unit} of the other one."
    yield f"HD95: 95th percentile of the distances between the boundaries, in {unit}."
    yield (
        "bias: mean signed distance from the reference boundary to the evaluated one; "
        "negative: the labels are too large, positive: too small."
    )
    if unit == "px":
        yield "No spacing is known, so lengths are in pixels (px): give --spacing_mm for millimetres."
    yield from evaluation.notes
    for c in evaluation.summary().classes:
        yield from _absences(c)
    if evaluation.not_scored:
        shown = ", ".join(evaluation.not_scored[:5]) + (" ..." if len(evaluation.not_scored) > 5 else "")
        yield f"Not scored: {_cases(len(evaluation.not_scored))} only in the reference ({shown})."


def _absences(c: ClassSummary) -> Iterator[str]:
    """What the means of a class leave out."""
    if c.n_empty:
        yield f"{c.class_name}: {_cases(c.n_empty)} with nothing in either folder, in no mean."
    if c.n_missing or c.n_spurious:
        yield (
            f"{c.class_name}: absent from the labels in {_cases(c.n_missing)}, from the reference in "
            f"{_cases(c.n_spurious)}: Dice, IoU and NSD are 0 there."
        )
    if c.n_infinite:
        yield f"{c.class_name}: HD95 is infinite in {_cases(c.n_infinite)}, in no mean."


def _cases(n: int) -> str:
    return f"{n} case" if n == 1 else f"{n} cases"


def _plain(text: str, console: Console) -> str:
    """The text, with +- for ± where the output cannot show it."""
    return text if console.encoding.lower().startswith("utf") else text.replace("±", "+-")
