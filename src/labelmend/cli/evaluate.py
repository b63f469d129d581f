"""`labelmend evaluate LABELS REFERENCE`: compare two label folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.io import write_json, write_text
from labelmend.io.files.csv_table import csv_text
from labelmend.metrics import MEASURES, ClassSummary, Score
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.workflows.evaluation import Evaluation, evaluate

NOT_MEASURED = "-"
SKIP = ("labels", "reference", "progress")
RESULT, SCORES = "evaluation.json", "scores.csv"


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "evaluate",
        "Compare two label folders: Dice, IoU, NSD, HD95 and signed boundary bias, per class and case.",
        essential=("out", "tolerance_mm", "spacing_mm", "classes", "per_case"),
    )
    made.add_input("labels", "label folder to evaluate")
    made.add_input("reference", "label folder to compare with; it may hold more cases")
    made.add_flag("out", str | None, None, f"folder for {RESULT} and {SCORES}, one row per case and class")
    made.add_settings(evaluate, SKIP)
    made.add_flag("per_case", bool, False, "also print every case and class")
    made.add_flag("worst", int, 5, "number of lowest Dice scores to list")
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Evaluate, print, and write the folder asked for."""
    read = [Path(arguments.labels), Path(arguments.reference)]
    check_output(arguments.out, (RESULT, SCORES), folders=read)
    with console.progress() as progress:
        evaluation = evaluate(*read, **settings(arguments, evaluate, SKIP), progress=progress)
    show(evaluation, console, per_case=arguments.per_case, worst=arguments.worst)
    if arguments.out is not None:
        with whole_folder(arguments.out, (RESULT, SCORES)) as folder:
            write_json(folder / RESULT, evaluation.as_dict())
            write_text(folder / SCORES, scores_csv(evaluation))
        console.say(f"scores  {Path(arguments.out) / SCORES}")
    return evaluation.as_dict()


def scores_csv(evaluation: Evaluation) -> str:
    """One row per case and class; missing scores are empty, infinite distances are `inf`."""
    names = ("case", "class_name", *MEASURES, "labels_vox", "reference_vox")
    header = [*("class" if name == "class_name" else name for name in names), "unit", "tolerance_mm"]
    about = (evaluation.unit, evaluation.tolerance_mm)
    return csv_text(header, ([*(getattr(s, name) for name in names), *about] for s in evaluation.scores))


def show(evaluation: Evaluation, console: Console, *, per_case: bool = False, worst: int = 5) -> None:
    """Print the scores of each class, what they leave out, what they mean, and the worst cases."""
    n = evaluation.n_cases
    console.say(f"labels:     {evaluation.labels}", f"reference:  {evaluation.reference}")
    measures = _measures(evaluation)
    spread = ", mean ± sd over cases" if n > 1 else ""
    console.table(f"{_cases(n)}{spread}", ["class", *measures], _class_rows(evaluation))
    console.say("", *_notes(evaluation))
    columns = ["case", "class", *measures]
    if per_case:
        console.table("Every case and class", columns, _score_rows(evaluation.scores), keys=2)
    lowest = evaluation.worst(max(worst, 0))
    if lowest and n > 1:
        console.table("Lowest Dice", columns, _score_rows(lowest), keys=2)


def _class_rows(evaluation: Evaluation) -> list[list[str]]:
    summary = evaluation.summary()
    rows = [
        [c.class_name, *(_number(m, c.spreads[m].mean, c.spreads[m].sd) for m in MEASURES)]
        for c in summary.classes
    ]
    means = [["mean", *(_number(m, summary.mean[m]) for m in MEASURES)]]
    return rows + (means if len(rows) > 1 else [])


def _score_rows(scores: Sequence[Score]) -> list[list[str]]:
    return [[s.case, s.class_name, *(_number(m, getattr(s, m)) for m in MEASURES)] for s in scores]


def _measures(evaluation: Evaluation) -> list[str]:
    """Names of the columns of scores."""
    unit, tolerance = evaluation.unit, f"{evaluation.tolerance_mm:g}"
    return ["Dice", "IoU", f"NSD {tolerance} {unit}", f"HD95 {unit}", f"bias {unit}"]


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
        yield "No spacing is known, so lengths are in pixels (px): give --spacing-mm for millimetres."
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
