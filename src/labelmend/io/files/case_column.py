"""One column of a CSV file by case: who drew it, which group it is of."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io.files.reading import read_text
from labelmend.io.images.formats import case_id, suffix_of
from labelmend.runtime.text import listed

CASE = "case"


def read_case_column(path: str | Path, column: str, cases: Sequence[str]) -> dict[str, str]:
    """The values of a column for the cases that have one.

    Args:
        path: CSV file with a header; one column is called `case`, its entries are case ids or file names.
        column: the column that is asked for.
        cases: ids of the cases there are.

    Returns:
        Per case in the file its value, stripped; cases without a row are left out.

    Raises:
        DataError: a column that is not there, a case that is unknown or listed twice.
    """
    path = Path(path)
    text = read_text(path)
    try:
        return _column(path, csv.DictReader(io.StringIO(text, newline="")), column, frozenset(cases))
    except csv.Error as error:
        raise UnreadableFileError(f"{path} cannot be read as CSV ({error}): export it again") from error


def _column(path: Path, reader: csv.DictReader[str], column: str, cases: frozenset[str]) -> dict[str, str]:
    header = [name.strip() for name in reader.fieldnames or ()]
    for name in (CASE, column):
        if name not in header:
            raise DataError(f"{path} has no column {name!r}; its columns are {listed(header) or 'none'}")
    reader.fieldnames = header
    found: dict[str, str] = {}
    for row in reader:
        entry = unicodedata.normalize("NFC", (row[CASE] or "").strip())
        case = entry if entry in cases or not suffix_of(entry) else case_id(entry)
        if case not in cases:
            raise DataError(f"{path}, line {reader.line_num}: no case called {entry!r}: check the ids")
        if case in found:
            raise DataError(f"{path}, line {reader.line_num}: case {case} is listed twice: remove one line")
        found[case] = (row[column] or "").strip()
    return found
