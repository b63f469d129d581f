"""How results show themselves: in text, in a notebook, as a data frame."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from labelmend.errors import MissingExtraError
from labelmend.html.result import MOST_ROWS, Result


@dataclass(frozen=True, repr=False)
class Drawn(Result):
    """A result of a few rows."""

    n: int

    def headline(self) -> str:
        return f"{self.n} <cases>"

    def rows(self) -> Sequence[dict[str, Any]]:
        return [{"case": f"c{i}", "dice": i / 7, "why": "x" * 100 if i else None} for i in range(self.n)]

    def remarks(self) -> Sequence[str]:
        return ("Be careful & look.",)


class Pictured(Drawn):
    def pictures(self, count: int) -> Sequence[str]:
        return ["data:image/png;base64,AAAA", *[""] * (count - 1)]


def test_the_text_is_a_headline_and_a_table_in_columns():
    assert repr(Drawn(2)).splitlines() == [
        "2 <cases>",
        "case  dice   why",
        "c0    0      -",
        f"c1    0.143  {'x' * 77}...",
        "Be careful & look.",
    ]


def test_the_text_fits_a_screen_whatever_is_found():
    lines = repr(Drawn(1000)).splitlines()
    assert len(lines) == MOST_ROWS + 4
    assert f"... and {1000 - MOST_ROWS} more rows: to_frame() has all" in lines
    assert repr(Drawn(0)).splitlines() == ["0 <cases>", "Be careful & look."]


def test_a_notebook_shows_a_table_with_everything_escaped():
    html = Drawn(MOST_ROWS + 1)._repr_html_()
    assert "<b>11 &lt;cases&gt;</b>" in html
    assert html.count("<tr>") == MOST_ROWS + 1
    assert "Be careful &amp; look." in html
    assert "<img" not in html


def test_pictures_stand_in_front_of_their_rows():
    html = Pictured(2)._repr_html_()
    assert html.index("data:image/png;base64,AAAA") < html.index("c0")
    assert html.count("<img") == 1
    assert html.count("<th></th>") == 1


def test_a_data_frame_has_all_rows():
    frame = Drawn(30).to_frame()
    assert (len(frame), list(frame.columns)) == (30, ["case", "dice", "why"])


def test_one_sentence_names_the_extra_where_pandas_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"needs pandas.*pip install 'labelmend\[tabular\]'"):
        Drawn(1).to_frame()
