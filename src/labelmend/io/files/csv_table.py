"""Write CSV files atomically, in UTF-8, without text that a spreadsheet would run as a formula."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.io.files.atomic import write_text

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make a spreadsheet treat text as a formula."""


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file in UTF-8 with Unix line ends; see `csv_text`.

    Args:
        path: the file; it appears whole or not at all.
        header: names of the columns.
        rows: one value per column; numbers are written in full precision.

    Raises:
        OutputError: the disk is full or the location is not writable.
    """
    write_text(path, csv_text(header, rows, path))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]], path: str | Path = "the table") -> str:
    """The text of a CSV file: None and NaN become empty, formulas get a leading apostrophe.

    Args:
        header: names of the columns.
        rows: one value per column; numbers are written in full precision.
        path: for messages.
    """
    lines = []
    for row in (header, *rows):
        if len(row) != len(header):
            raise ValueError(f"{path} has {len(header)} columns, but a row of {len(row)} was to be written")
        lines.append(",".join(map(_cell, row)) or '""')
    return "".join(f"{line}\n" for line in lines)


def no_formula(text: str) -> str:
    """Text that no spreadsheet runs as a formula; numbers stay numbers.

    >>> no_formula("=1+1"), no_formula("-1.5"), no_formula("lung")
    ("'=1+1", '-1.5', 'lung')
    """
    return f"'{text}" if text.startswith(FORMULA) and as_number(text) is None else text


def as_written(cell: str) -> str:
    """Invert `no_formula`."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell


def _cell(value: Any) -> str:
    """A value as text, quoted if it contains separators or line ends; the csv module misses a lone \\r."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    text = no_formula(value) if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[,"\r\n]', text) else text


def as_number(text: str) -> float | None:
    """The finite number written in a text, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
