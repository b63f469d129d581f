"""Assumptions and limitations of an estimate of label noise, as sentences."""

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
"""Fewest labels of a class for a reliable row of the matrix."""

HARDLY_THERE = 0.005
"""Smallest true frequency of a class that counts as present."""

ALIKE = 0.2
"""Total variation between two rows of the matrix below which noise and weak features look the same."""

BY_CHANCE = 2.5
"""Chance agreement of labels, in standard errors of independent rows; neighbourhoods share rows, and in
simulations random agreement varied by 0.8 to 1.4 of them."""

MANY_REPEATS = 0.05
"""Fraction of duplicate rows above which a note mentions them."""

ASSUMED = {
    "anchors": (
        "Each class has some rows surrounded almost only by rows of the same class (anchors). Elsewhere "
        "classes may overlap. A class that overlaps others everywhere appears to have more wrong labels "
        "than it has.",
    ),
    "hoc": (
        "A row and its two nearest neighbours belong to the same true class. If one neighbour in twenty does "
        "not, the numbers are off by 1 to 3 points; if one in five does not, by 5 to 11. This was tested, "
        "but the test has limited power, especially with few rows.",
    ),
}
"""Assumptions of each method, as sentences."""

ASSUMED_BY_BOTH = (
    "Whether a label is wrong depends only on the true class: within a class, difficult rows are mislabelled "
    "no more often than others.",
    "Labels are independent. Rows whose labels share a source, such as copies of one case, appear more "
    "reliably labelled than they are; name the source with groups.",
    "For every class, the correct label is more frequent than any wrong one.",
    "Intervals cover sampling error only, not violated assumptions.",
)


def estimate_doubts(data: Table, model: Any, method: str) -> Iterator[str]:
    """Reasons why the numbers may be wrong, as far as the data show.

    Args:
        data: the data.
        model: the fitted estimator.
        method: "anchors" or "hoc".
    """
    matrix, classes = model.transition_matrix_, data.classes
    if model.clusterability_.agreement < _agreement_by_chance(data.labels):
        yield (
            "Similar rows agree in their labels no more often than by chance: the features carry no "
            "information on these labels, so wrong ones cannot be identified."
        )
    if method == "hoc" and model.clusterability_.doubtful:
        yield (
            "Rows and their nearest neighbours often belong to different classes, so hoc overestimates the "
            "number of wrong labels: use the method anchors, or features that separate the classes."
        )
    alike, i, j = min((_tv(matrix[i], matrix[j]), i, j) for i, j in combinations(range(len(classes)), 2))
    if alike < ALIKE:
        yield (
            f"Rows of “{classes[i]}” and “{classes[j]}” have nearly the same labels. Either these labels are "
            "mostly random, or the features do not separate the two classes; this table cannot tell which."
        )
    for name, row, own in zip(classes, matrix, np.diag(matrix), strict=True):
        if own < row.max():
            yield (
                f"Rows of “{name}” seem to be labelled “{classes[row.argmax()]}” more often than correctly, "
                "which violates an assumption."
            )
    absent = [name for name, share in zip(classes, model.prior_, strict=True) if share < HARDLY_THERE]
    if absent:
        yield f"Almost no row seems to be “{'”, “'.join(absent)}” in truth: its numbers are meaningless."
    few = [name for name, n in zip(classes, np.bincount(data.labels), strict=True) if n < FEW_ROWS]
    if few:
        yield f"Fewer than {FEW_ROWS} rows are labelled “{'”, “'.join(few)}”: too few to be reliable."
    if method == "hoc" and not model.converged_:  # for anchors the optimum is flat, and stopping is harmless
        yield "The search stopped before it converged."


def done_to(data: Table, groups: str | None) -> Iterator[str]:
    """How the rows were processed."""
    yield "Columns were standardised to mean 0 and standard deviation 1, then weighted."
    if data.groups is not None:
        n_groups = len(np.unique(data.groups))
        yield f"Rows with the same {groups} were not compared with each other ({n_groups} groups)."
    n = len(data.features)
    repeats = n - len(np.unique(data.features, axis=0))
    if repeats > MANY_REPEATS * n:
        yield (
            f"{repeats} of {n} rows have the same features as another row. Among rows at equal distance, "
            "the compared ones are drawn at random. Copies of one case should share a group."
        )


def _agreement_by_chance(labels: NDArray[np.int64]) -> float:
    """Upper bound on the fraction of rows that agree with both nearest neighbours if labels are random."""
    shares = np.bincount(labels) / len(labels)
    chance = float((shares**3).sum())
    return chance + BY_CHANCE * math.sqrt(chance * (1 - chance) / len(labels))


def _tv(one: FloatArray, other: FloatArray) -> float:
    return float(np.abs(one - other).sum() / 2)
