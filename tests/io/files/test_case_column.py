"""One column of a CSV file by case, as spreadsheets save it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.case_column import read_case_column

CASES = ("a", "b", "c.1", "d")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "who.csv"


def read(table: Path, content: str | bytes, column: str = "annotator") -> dict[str, str]:
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_case_column(table, column, CASES)


def test_a_column_by_case_in_any_order_with_others_beside_it(table):
    found = read(table, "site,annotator,case\nx, ann ,b\ny,bob,a\n")
    assert found == {"b": "ann", "a": "bob"}
    assert read(table, "site,annotator,case\nx,ann,b\n", "site") == {"b": "x"}


def test_file_names_are_cases_too_and_a_case_with_a_dot_stays_whole(table):
    assert read(table, "case,annotator\na.nii.gz,ann\nlabels/b.png,bob\nc.1,eve\n") == {
        "a": "ann",
        "b": "bob",
        "c.1": "eve",
    }


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfcase,annotator\na,ann\n",
        b"case,annotator\r\na,ann\r\n",
        b" case , annotator \n a , ann \n\n",
        b'"case","annotator"\n"a","ann"\n',
        b"case,annotator\na,ann,too,many\n",
    ],
    ids=["byte order mark", "line ends of Windows", "spaces", "quotes", "a row too long"],
)
def test_what_spreadsheets_write_is_read(table, content):
    assert read(table, content) == {"a": "ann"}


def test_names_in_quotes_may_hold_commas_line_ends_and_any_letter(table):
    content = 'case,annotator\na,"Dr. Ann, MD"\nb,"two\nlines"\nd,Zoë\u2028Bo\n'
    assert read(table, content) == {"a": "Dr. Ann, MD", "b": "two\nlines", "d": "Zoë\u2028Bo"}


def test_a_cell_that_is_empty_or_absent_is_an_empty_text(table):
    assert read(table, "case,annotator\na,\nb\n") == {"a": "", "b": ""}


def test_cases_without_a_row_are_left_out(table):
    assert read(table, "case,annotator\n") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,annotator\na,ann\n", "has no column 'case'; its columns are id, annotator"),
        ("case,who\na,ann\n", "has no column 'annotator'; its columns are case, who"),
        ("case;annotator\na;ann\n", "has no column 'case'; its columns are case;annotator"),
        ("\n", "has no column 'case'; its columns are none"),
        ("case,annotator\na,ann\nz,bob\n", r"who\.csv, line 3: no case called 'z': check the ids"),
        ("case,annotator\n,bob\n", r"line 2: no case called ''"),
        ("case,annotator\na,ann\na.png,bob\n", r"line 3: case a is listed twice: remove one line"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(table, content, message):
    with pytest.raises(DataError, match=message):
        read(table, content)


def test_a_file_that_is_absent_or_no_text_or_no_table(table):
    with pytest.raises(MissingDataError, match="does not exist"):
        read_case_column(table, "annotator", CASES)
    with pytest.raises(UnreadableFileError, match="is not UTF-8 text"):
        read(table, "case,annotator\na,Zoë\n".encode("latin-1"))
    with pytest.raises(UnreadableFileError, match="cannot be read as CSV"):
        read(table, "case,annotator\na," + "x" * 200_000 + "\n")


def test_ten_thousand_cases_are_looked_up_and_not_searched(table):
    cases = [f"case_{i:05d}" for i in range(10_000)]
    table.write_text("case,annotator\n" + "".join(f"{case},ann\n" for case in reversed(cases)))
    assert read_case_column(table, "annotator", cases) == dict.fromkeys(cases, "ann")
