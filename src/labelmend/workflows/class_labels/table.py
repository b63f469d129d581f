"""What all readers of tables share: the table, labels as codes, and errors that name file and column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError
from labelmend.io.files.csv_table import as_number
from labelmend.runtime.text import listed
from labelmend.types import BoolArray


@dataclass(frozen=True, eq=False)
class Table:
    """Features and given labels of `n` rows; nothing is missing, infinite or constant.

    Args:
        features: float64 `(n f)`.
        feature_names: `f` names; that of a one-hot feature is `column=value`.
        labels: `(n)` class codes 0..k-1.
        classes: the `k` label values as text, sorted, as numbers where all are numbers.
        source: the column that each feature came from.
        rows: `(n)` which row of the file each row is, from 0 and without the header.
        notes: sentences on what was assumed or left out.
        groups: `(n)` codes of what rows come from, such as patients; None where nobody said.
    """

    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: tuple[str, ...]
    rows: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None


def check_classes(where: str, classes: tuple[str, ...]) -> None:
    """A DataError unless there are two classes; `where` says where they were looked for."""
    if len(classes) < 2:
        raise DataError(f"{where} holds one class only ({classes[0]}): expected two or more")


def without_constants(path: Path, table: Table) -> Table:
    """The same table without features that tell nothing."""
    varies: list[bool] = (table.features.max(axis=0) > table.features.min(axis=0)).tolist()
    if not any(varies):
        raise DataError(f"{path} has no features: each column holds one value only")
    if all(varies):
        return table
    constant = [name for name, kept in zip(table.source, varies) if not kept]
    return replace(
        table,
        features=np.ascontiguousarray(table.features[:, varies]),
        feature_names=tuple(compress(table.feature_names, varies)),
        source=tuple(compress(table.source, varies)),
        notes=(*table.notes, f"Left out, since they hold one value only: {listed(constant, 20)}."),
    )


def refuse(path: Path, bad: BoolArray, names: Sequence[str], what: str) -> None:
    """A DataError if anything is bad; `what` says what it is and, behind a semicolon, what to do."""
    if not bad.any():
        return
    kind, _, remedy = what.partition("; ")
    columns = [names[i] for i in np.flatnonzero(bad.any(axis=0)).tolist()]
    raise DataError(
        f"{path} holds {kind} in {int(bad.any(axis=1).sum())} of {len(bad)} rows, "
        f"{'column' if len(columns) == 1 else 'columns'} {listed(columns)}: {remedy}"
    )


def coded(codes: NDArray[Any], values: Iterable[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes of sorted texts from codes of any values."""
    texts = [label_text(value) for value in values]
    classes = sorted(set(texts))
    if all(as_number(text) is not None for text in classes):
        classes.sort(key=lambda text: as_number(text) or 0.0)
    place = {text: i for i, text in enumerate(classes)}
    return np.array([place[text] for text in texts], np.int64)[codes], tuple(classes)


def label_text(value: Any) -> str:
    """A label as text: whole numbers without a point.

    >>> [label_text(value) for value in (1.0, -0.0, 0.5, True, "1.0")]
    ['1', '0', '0.5', 'True', '1.0']
    """
    if isinstance(value, float | np.floating | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)
