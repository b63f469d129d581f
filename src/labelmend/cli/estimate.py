"""`labelmend estimate`: how often the class labels of a table are wrong, and which rows to look at first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import say, sentences, table
from labelmend.html.text import percent, span
from labelmend.transition.neighbours import Backend
from labelmend.workflows.class_labels.estimate import COUNTED, PAGE, Model, TransitionEstimate, estimate
from labelmend.workflows.class_labels.fmi import Divergence

MOST_FEATURES, MOST_SUSPECTS, MOST_CLASSES = 5, 10, 8


def parser() -> ArgumentParser:
    """The settings of the verb."""
    new = ArgumentParser(
        prog="labelmend estimate",
        description="How often the class labels of a table are wrong, from the labels alone: the transition "
        "matrix with intervals, wrong labels by class, and the rows to look at first.",
    )
    add = new.add_argument
    add("table", type=str | None, nargs="?", default=None, help=".csv, .tsv (both also .gz) or .parquet")
    add("--target", type=str | None, default=None, help="column that holds the labels")
    add("--features", type=str | None, default=None, help="instead of a table: .npy, or sparse .npz")
    add("--labels", type=str | None, default=None, help="their labels, .npy")
    add("--config", action="config", help="YAML file with settings; later flags win over it")
    add("--out", type=str | None, default=None, help="new folder for all numbers, suspects and the report")
    add("--drop", type=str, nargs="+", default=[], help="columns to leave out")
    add(
        "--groups",
        type=str | None,
        default=None,
        help="column (or .npy) that says which rows have one source, such as a patient: rows of one source "
        "are not compared, a row with one of each other source at most, and the column is no feature",
    )
    add("--method", type=Model, default="anchors", help="anchors: classes may overlap; hoc: they must not")
    add("--f", type=Divergence, default="tv", help="what weighs the features")
    add(
        "--n_neighbors",
        type=int | None,
        default=None,
        help="with how many others a row is compared: 30 for anchors, at most 49 for hoc",
    )
    add("--backend", type=Backend, default="exact", help="finds neighbours; the others suit very many rows")
    add("--n_boot", type=int, default=100, help="how often the estimate is drawn anew for intervals; 0: none")
    add("--level", type=float, default=0.95, help="of the intervals")
    add("--seed", type=int, default=0, help="seed of everything random")
    return new


def run(arguments: Namespace) -> int:
    """Estimate, print, and write the folder asked for."""
    names = ("method", "f", "n_neighbors", "backend", "n_boot", "level", "seed")
    found = estimate(
        arguments.table,
        target=arguments.target,
        features=arguments.features,
        labels=arguments.labels,
        drop=arguments.drop,
        groups=arguments.groups,
        out=arguments.out,
        **{name: arguments[name] for name in names},
    )
    show(found)
    if arguments.out is not None:
        say(f"\nreport  {Path(arguments.out) / PAGE}")
    return 0


def show(found: TransitionEstimate) -> None:
    """Print what was found, why it may be wrong, and what it rests on."""
    sure = f"{100 * found.level:g} % interval"
    ends = span(found.rate.low, found.rate.high)
    inside = f" ({sure} {ends})" if ends else ""
    say(f"About {percent(found.rate.value)} of the labels look wrong{inside}.")
    sentences("Be careful with these numbers:", found.warnings)
    _matrix(found)
    _classes(found, sure)
    heavy = found.heaviest(MOST_FEATURES)
    table(
        f"What says most about the labels: {len(heavy)} of {len(found.features)} features",
        ["feature", "weight"],
        [[feature.name, f"{feature.weight:.2f}"] for feature in heavy],
    )
    _suspects(found)
    sentences("What was assumed:", found.assumptions)
    sentences("About the data:", found.notes)


def _classes(found: TransitionEstimate, sure: str) -> None:
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
    table("Wrong labels among the rows that truly are of a class", head, rows)


def _matrix(found: TransitionEstimate) -> None:
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
        return table("How rows that truly are ... (left) are labelled (top)", ["", *found.classes], rows)
    others = found.matrix - np.diag(np.diag(found.matrix))
    rows = [
        [name, percent(found.matrix[i, i]), found.classes[j], percent(others[i, j])]
        for i, (name, j) in enumerate(zip(found.classes, others.argmax(axis=1), strict=True))
    ]
    return table("How rows of a class are labelled", ["class", "rightly", "most often else as", ""], rows)


def _suspects(found: TransitionEstimate) -> None:
    """The labels to look at first."""
    first = found.suspects[:MOST_SUSPECTS]
    if not first:
        say("\nNo label is less likely than another class.")
        return
    table(
        f"Look at first: {len(first)} of {len(found.suspects)} labels less likely than another class",
        ["row", "given", "likeliest", "chance that it is right"],
        [[str(s.row), s.given, s.likeliest, percent(s.given_right)] for s in first],
    )
    say(COUNTED)
