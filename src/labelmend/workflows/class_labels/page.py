"""A self-contained page on estimated label noise: how many labels are wrong, how, and where."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from labelmend.errors import DataError, UnreadableFileError
from labelmend.html import text
from labelmend.html.charts import dots
from labelmend.html.figures import CORRECTED, GIVEN
from labelmend.html.page import templates
from labelmend.html.text import percent, span
from labelmend.io import write_text
from labelmend.io.files.csv_table import as_written
from labelmend.io.files.reading import read_json

RESULT, SUSPECTS, PAGE = "transition.json", "suspects.csv", "report.html"

MOST_SUSPECTS = 50
"""Rows listed on the page; all are in suspects.csv."""

MOST_BARS = 20
"""Features shown on the page."""

MOST_NUMBERED = 12
"""Most classes for which matrix cells show numbers and intervals; with more, only colour."""

MOST_WIDTH = 700.0
"""Size of the matrix with many classes, as long as its cells stay large enough to hover over."""

BAR_WIDTH = 400.0


@dataclass(frozen=True)
class Cell:
    """One cell of the picture of a matrix.

    Args:
        x: left edge.
        y: upper edge.
        right: whether it is on the diagonal: correct labels.
        strength: opacity of its colour, in [0, 1].
        number: its text, in percent.
        interval: its smaller text, empty without interval.
        tooltip: text on hovering and for screen readers.
    """

    x: float
    y: float
    right: bool
    strength: float
    number: str
    interval: str
    tooltip: str


@dataclass(frozen=True)
class HeatMap:
    """A matrix as a picture: true classes are rows, given labels are columns.

    Args:
        cells: `k * k` cells.
        side: side of a cell.
        names: column names, shortened if long.
        row_names: row names, which may be longer.
        numbered: whether the cells contain text.
    """

    cells: tuple[Cell, ...]
    side: float
    names: tuple[str, ...]
    row_names: tuple[str, ...]
    numbered: bool

    @property
    def size(self) -> float:
        """Of the whole square."""
        return self.side * len(self.names)


@dataclass(frozen=True)
class Bar:
    """One feature: its name, the length of its bar, and the text next to it."""

    name: str
    length: float
    text: str


def write_transition_page(folder: str | Path) -> Path:
    """Write FOLDER/report.html from FOLDER/transition.json and FOLDER/suspects.csv.

    Args:
        folder: output of `labelmend.estimate_transition`.

    Raises:
        UnreadableFileError: a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        found = read_json(folder / RESULT)
        with open(folder / SUSPECTS, encoding="utf-8", newline="") as file:
            rows = islice(csv.DictReader(file), MOST_SUSPECTS)
            suspects = [{name: as_written(cell) for name, cell in row.items()} for row in rows]
        page = render_transition(found, suspects)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        ArithmeticError,
        DataError,
        UndefinedError,
        csv.Error,
    ) as error:
        raise UnreadableFileError(
            f"{folder} holds no finished estimate ({error}): run labelmend estimate-transition again"
        ) from error
    target = folder / PAGE
    write_text(target, page)
    return target


def render_transition(found: Mapping[str, Any], suspects: Sequence[Mapping[str, str]]) -> str:
    """The page as text; names are escaped by the template.

    Args:
        found: content of transition.json.
        suspects: the first rows of suspects.csv.
    """
    environment = templates("labelmend.workflows.class_labels", count=text.count, percent=percent, span=span)
    classes = found["classes"]
    rates = [(name, _times_100(rate)) for name, rate in zip(classes, found["noise_rates"], strict=True)]
    return environment.get_template("transition.html.jinja").render(
        found=found,
        level=f"{100 * found['level']:g} %",
        reading=matrix_sentence(classes, found["matrix"]),
        heat=heat_map(classes, found["matrix"], found["low"], found["high"]),
        rates=dots(rates, "%", signed=False, digits=0) if len(classes) <= MOST_NUMBERED else None,
        bars=bars(found["features"]),
        bar_width=BAR_WIDTH,
        suspects=[{**row, "right": float(row["given_right"])} for row in suspects],
        colours={"given": GIVEN, "right": CORRECTED},
    )


def heat_map(
    classes: Sequence[str],
    matrix: Sequence[Sequence[float]],
    low: Sequence[Sequence[float]] | None,
    high: Sequence[Sequence[float]] | None,
) -> HeatMap:
    """The picture of a matrix.

    Args:
        classes: `k` names.
        matrix: `(k k)` probabilities.
        low: `(k k)` lower ends of intervals, or None.
        high: `(k k)` upper ends, or None.
    """
    k = len(classes)
    numbered = k <= MOST_NUMBERED
    side = {2: 130.0, 3: 110.0, 4: 96.0}.get(k, 84.0 if numbered else max(10.0, MOST_WIDTH / k))
    cells = []
    for i, true in enumerate(classes):
        for j, given in enumerate(classes):
            value = matrix[i][j]
            ends = "" if low is None or high is None else span(low[i][j], high[i][j])
            tooltip = f"true {true}, labelled {given}: {percent(value)}" + (f" ({ends})" if ends else "")
            # Without numbers, small fractions of wrong labels need more colour to be visible.
            strength = value if numbered or i == j else math.sqrt(value)
            cells.append(Cell(j * side, i * side, i == j, round(strength, 3), percent(value), ends, tooltip))
    most = max(6, int(side / 8)) if numbered else 12
    names = [tuple(_cut(name, length) for name in classes) for length in (most, 16 if numbered else 12)]
    return HeatMap(tuple(cells), side, names[0], names[1], numbered)


def bars(features: Sequence[Mapping[str, Any]]) -> tuple[Bar, ...]:
    """The features with the largest weights, in descending order.

    Args:
        features: name and weight of each, the largest weight 1.
    """
    ordered = sorted(features, key=lambda feature: -feature["weight"])[:MOST_BARS]
    return tuple(Bar(f["name"], round(BAR_WIDTH * f["weight"], 1), f"{f['weight']:.2f}") for f in ordered)


def matrix_sentence(classes: Sequence[str], matrix: Sequence[Sequence[float]]) -> str:
    """A sentence that explains the matrix by its worst row.

    >>> matrix_sentence(["ill", "well"], [[0.75, 0.25], [0.0, 1.0]])
    'Of 100 rows that are truly “ill”, about 75 are labelled so and 25 are labelled “well”.'
    """
    k = len(classes)
    i = min(range(k), key=lambda row: matrix[row][row])
    j = max((column for column in range(k) if column != i), key=lambda column: matrix[i][column])
    kept, taken = round(100 * matrix[i][i]), round(100 * matrix[i][j])
    tail = f"{taken} are labelled “{classes[j]}”"
    return (
        f"Of 100 rows that are truly “{classes[i]}”, about {kept} are labelled so and "
        f"{tail if k == 2 else f'the others most often “{classes[j]}” ({taken})'}."
    )


def _cut(name: str, most: int) -> str:
    """A name shortened in the middle: class names often differ at their ends."""
    end = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - end]}…{name[-end:]}"


def _times_100(interval: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else 100 * value for name, value in interval.items()}
