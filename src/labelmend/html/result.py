"""What a job hands back: one screen of text, a table in a notebook, and a data frame when asked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from labelmend.errors import MissingExtraError

MOST_ROWS, WIDEST = 10, 80
"""Rows that are shown, and the letters of a cell in plain text."""

Row = Mapping[str, Any]


class Result(ABC):
    """The result of a job. Subclasses are dataclasses with `repr=False` that say what there is to show."""

    @abstractmethod
    def headline(self) -> str:
        """What was done and where it lies, in one line."""

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """All rows of the table, most important first; they have the same columns."""

    def remarks(self) -> Sequence[str]:
        """Sentences that belong under the table, such as warnings."""
        return ()

    def pictures(self, count: int) -> Sequence[str]:
        """Data URIs that belong to the first rows; none by default."""
        return ()

    def to_frame(self) -> Any:
        """All rows as a pandas data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError(
                "a data frame needs pandas, which is not installed: pip install 'labelmend[tabular]'"
            ) from error
        return pandas.DataFrame(list(self.rows()))

    def __repr__(self) -> str:
        rows = self.rows()
        shown = [{name: _text(value) for name, value in row.items()} for row in rows[:MOST_ROWS]]
        lines = [self.headline()]
        if shown:
            cells = [list(shown[0]), *(list(row.values()) for row in shown)]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            lines += ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        return "\n".join([*lines, *_more(len(rows)), *self.remarks()])

    def _repr_html_(self) -> str:
        """The same for a notebook, with pictures."""
        rows = self.rows()
        shown = rows[:MOST_ROWS]
        pictures = list(self.pictures(len(shown)))
        head = [*([""] if pictures else []), *(shown[0] if shown else ())]
        parts = [f"<p><b>{escape(self.headline())}</b></p>"]
        if shown:
            parts.append(f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>")
            for number, row in enumerate(shown):
                cells = [f"<td>{escape(_text(value, 10 * WIDEST))}</td>" for value in row.values()]
                if pictures:
                    source = escape(pictures[number])
                    cells.insert(0, f'<td><img alt="" src="{source}"></td>' if source else "<td></td>")
                parts.append(f"<tr>{''.join(cells)}</tr>")
            parts.append("</table>")
        parts += [f"<p>{escape(text)}</p>" for text in (*_more(len(rows)), *self.remarks())]
        return "".join(parts)


def changed_cases(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of cases in the summary of a job that revises labels, those with most changed pixels first.

    >>> cases = [{"case": "a", "reason": "kept"}, {"case": "b", "reason": "", "added_vox": {"lung": 2}}]
    >>> changed_cases(cases)[0]
    {'case': 'b', 'changed_vox': 2, 'reason': ''}
    """
    rows = []
    for case in cases:
        counts = [*case.get("added_vox", {}).values(), *case.get("removed_vox", {}).values()]
        rows.append({"case": case["case"], "changed_vox": sum(counts), "reason": case["reason"]})
    return sorted(rows, key=lambda row: -row["changed_vox"])


def _more(n_rows: int) -> list[str]:
    """A line that says what is not shown."""
    return [f"... and {n_rows - MOST_ROWS} more rows: to_frame() has all"] if n_rows > MOST_ROWS else []


def _text(value: object, widest: int = WIDEST) -> str:
    """A cell in few letters.

    >>> _text(0.123456), _text(float("nan")), _text(None), _text("word")
    ('0.123', '-', '-', 'word')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= widest else f"{text[: widest - 3]}..."
