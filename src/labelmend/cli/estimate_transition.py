"""`labelmend estimate-transition`: how often class labels are wrong, and which to look at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.html.text import percent, span
from labelmend.workflows.class_labels.estimate import COUNTED, PAGE, TransitionEstimate, estimate_transition

MOST_FEATURES, MOST_SUSPECTS, MOST_CLASSES = 5, 10, 8
SKIP = ("table",)


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "estimate-transition",
        "Estimate how often class labels are wrong, from the labels and features alone: the transition "
        "matrix with intervals, wrong labels per class, and the rows to look at first.",
        essential=("target", "features", "labels", "out", "drop", "groups", "method"),
    )
    made.add_input("table", ".csv, .tsv (both also .gz) or .parquet", optional=True)
    made.add_settings(estimate_transition, SKIP)
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Estimate, print, and write the folder asked for."""
    found = estimate_transition(arguments.table, **settings(arguments, estimate_transition, SKIP))
    show(found, console)
    if arguments.out is not None and arguments.page:
        console.say(f"\nreport  {Path(arguments.out) / PAGE}")
    return found.as_dict()


def show(found: TransitionEstimate, console: Console) -> None:
    """Print what was found, why it may be wrong, and what it rests on."""
    sure = f"{100 * found.level:g} % interval"
    ends = span(found.rate.low, found.rate.high)
    inside = f" ({sure} {ends})" if ends else ""
    console.say(f"About {percent(found.rate.value)} of the labels look wrong{inside}.")
    console.sentences("Use these numbers with caution:", found.warnings)
    _matrix(found, console)
    _classes(found, sure, console)
    heavy = found.heaviest(MOST_FEATURES)
    console.table(
        f"What says most about the labels: {len(heavy)} of {len(found.features)} features",
        ["feature", "weight"],
        [[feature.name, f"{feature.weight:.2f}"] for feature in heavy],
    )
    _suspects(found, console)
    console.sentences("Assumptions:", found.assumptions)
    console.sentences("About the data:", found.notes)


def _classes(found: TransitionEstimate, sure: str, console: Console) -> None:
    """How many labels of each class are wrong, seen from the truth and from the label."""
    drawn = found.low is not None
    rows = [
        [name, f"{n}", percent(prior), percent(rate.value)]
        + [span(rate.low, rate.high)] * drawn
        + [percent(right)]
        for name, n, prior, rate, right in zip(
            found.classes, found.n_given, found.prior, found.rates, found.given_right, strict=True
        )
    ]
    head = ["class", "labels", "true share", "wrong labels", *[sure] * drawn, "label is right"]
    console.table("Wrong labels among the rows that truly are of a class", head, rows)


def _matrix(found: TransitionEstimate, console: Console) -> None:
    """The matrix with its intervals; of many classes, what each is most often taken for."""
    k = len(found.classes)
    low, high = found.low, found.high
    if k <= MOST_CLASSES:
        cells = [
            [
                percent(found.matrix[i, j])
                + ("" if low is None or high is None else f"\n{span(low[i, j], high[i, j])}")
                for j in range(k)
            ]
            for i in range(k)
        ]
        rows = [[name, *row] for name, row in zip(found.classes, cells, strict=True)]
        return console.table(
            "How rows that truly are ... (left) are labelled (top)", ["", *found.classes], rows
        )
    others = found.matrix - np.diag(np.diag(found.matrix))
    rows = [
        [name, percent(found.matrix[i, i]), found.classes[j], percent(others[i, j])]
        for i, (name, j) in enumerate(zip(found.classes, others.argmax(axis=1), strict=True))
    ]
    return console.table(
        "How rows of a class are labelled", ["class", "rightly", "most often else as", ""], rows
    )


def _suspects(found: TransitionEstimate, console: Console) -> None:
    """The labels to look at first."""
    first = found.suspects[:MOST_SUSPECTS]
    if not first:
        console.say("\nNo label is less likely than another class.")
        return
    console.table(
        f"Look at first: {len(first)} of {len(found.suspects)} labels less likely than another class",
        ["row", "given", "likeliest", "chance that it is right"],
        [[str(s.row), s.given, s.likeliest, percent(s.given_right)] for s in first],
    )
    console.say(COUNTED)
