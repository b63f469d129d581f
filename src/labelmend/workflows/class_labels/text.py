"""What an estimate of label noise rests on and why it may be wrong, in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.types import FloatArray
from labelmend.workflows.class_labels.table import Table

FEW_ROWS = 50
"""A class that is given to fewer rows has a row of the matrix that rests on little."""

HARDLY_THERE = 0.005
"""A class with a smaller true share hardly occurs."""

ALIKE = 0.2
"""Total variation between two rows of the matrix under which it cannot be told noise from weak features."""

BY_CHANCE = 2.5
"""Standard errors of independent rows up to which labels may agree by chance; neighbourhoods share rows, and
in simulations agreement at random varied by 0.8 to 1.4 of them."""

MANY_REPEATS = 0.05
"""Share of rows that repeat another one from which on a note says so."""

ASSUMED = {
    "anchors": (
        "Somewhere each class has rows around which hardly another class is found (anchors). Elsewhere "
        "classes may overlap. A class that overlaps others everywhere looks more wrongly labelled than "
        "it is.",
    ),
    "hoc": (
        "A row and its two nearest neighbours truly are of one class. Where one neighbour in twenty is not, "
        "the numbers are off by 1 to 3 points, where one in five is not, by 5 to 11. Whether it is so was "
        "tested, but the test misses much, the more so the fewer rows there are.",
    ),
}
"""What each method rests on, in words."""

ASSUMED_BY_BOTH = (
    "Whether a label is wrong depends on the true class alone: within a class, rows that are hard to tell "
    "are wrongly labelled no more often than others.",
    "Each label was given by itself. Rows that share their label's source, such as copies of one case, look "
    "more surely labelled than they are; name the source with groups.",
    "Every class is given its right label more often than any wrong one.",
    "Intervals hold what is due to chance, not what is due to an assumption that fails.",
)


def estimate_doubts(data: Table, model: Any, method: str) -> Iterator[str]:
    """Why the numbers may be wrong, as far as they show it.

    Args:
        data: what was fitted.
        model: the fitted estimator.
        method: "anchors" or "hoc".
    """
    matrix, classes = model.transition_matrix_, data.classes
    if model.clusterability_.agreement < _agreement_by_chance(data.labels):
        yield (
            "Rows that look alike are labelled alike no more often than chance would have it: the features "
            "say nothing about these labels, so nothing can be said about which are wrong."
        )
    if method == "hoc" and model.clusterability_.doubtful:
        yield (
            "Rows and their nearest neighbours often are not of one class, and then hoc finds too many wrong "
            "labels: take the method anchors, or features that tell the classes apart."
        )
    alike, i, j = min((_tv(matrix[i], matrix[j]), i, j) for i, j in combinations(range(len(classes)), 2))
    if alike < ALIKE:
        yield (
            f"Rows of “{classes[i]}” and “{classes[j]}” are labelled nearly alike. Either these labels are "
            "mostly chance, or the features do not tell the two classes apart; this table cannot say which."
        )
    for name, row, own in zip(classes, matrix, np.diag(matrix), strict=True):
        if own < row.max():
            yield (
                f"Rows of “{name}” seem to be labelled “{classes[row.argmax()]}” more often than rightly, "
                "which was assumed not to be."
            )
    absent = [name for name, share in zip(classes, model.prior_, strict=True) if share < HARDLY_THERE]
    if absent:
        yield f"Hardly any row seems truly to be “{'”, “'.join(absent)}”: its numbers rest on nothing."
    few = [name for name, n in zip(classes, np.bincount(data.labels), strict=True) if n < FEW_ROWS]
    if few:
        yield f"Fewer than {FEW_ROWS} rows are labelled “{'”, “'.join(few)}”: too few to be sure of."
    if method == "hoc" and not model.converged_:  # with anchors the top is flat, and stopping does no harm
        yield "The search was stopped before it had settled."


def done_to(data: Table, groups: str | None) -> Iterator[str]:
    """What was done with the rows."""
    yield "Columns were brought to one scale, mean 0 and standard deviation 1, and then weighted."
    if data.groups is not None:
        n_groups = len(np.unique(data.groups))
        yield f"Rows with the same {groups} were not compared with each other: {n_groups} different ones."
    n = len(data.features)
    repeats = n - len(np.unique(data.features, axis=0))
    if repeats > MANY_REPEATS * n:
        yield (
            f"{repeats} of {n} rows have the same features as another row. Of rows at the same distance, "
            "those compared are drawn by lot. Copies of one case should share a value of groups."
        )


def _agreement_by_chance(labels: NDArray[np.int64]) -> float:
    """Share of rows labelled like both nearest neighbours that labels at random hardly exceed."""
    shares = np.bincount(labels) / len(labels)
    chance = float((shares**3).sum())
    return chance + BY_CHANCE * math.sqrt(chance * (1 - chance) / len(labels))


def _tv(one: FloatArray, other: FloatArray) -> float:
    return float(np.abs(one - other).sum() / 2)
