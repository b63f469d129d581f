"""CSV files as they are written: whole, and no formulas in them."""

import csv
import io

import numpy as np
import pytest

from labelmend.errors import OutputError
from labelmend.io.files.csv_table import as_written, csv_text, no_formula, write_csv


def test_a_csv_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    rows = [[np.int64(3), np.float32(0.1), "a,b"], [None, np.nan, 'say "ä"'], (1, np.inf, True)]
    write_csv(path, ("row", "p", "class"), iter(rows))
    assert path.read_text(encoding="utf-8") == 'row,p,class\n3,0.1,"a,b"\n,,"say ""ä"""\n1,inf,True\n'
    with pytest.raises(ValueError, match=r"rows\.csv has 3 columns, but a row of 2"):
        write_csv(path, ("row", "p", "class"), [[1, 2]])
    assert path.read_text(encoding="utf-8").startswith("row,p,class\n3,")


def test_a_csv_file_where_none_can_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_csv(tmp_path / "file" / "rows.csv", ("a",), [])


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "-cmd|' /C calc'!A0"]
)
def test_text_that_a_spreadsheet_would_run_has_an_apostrophe_in_front(text):
    assert no_formula(text) == f"'{text}"
    assert as_written(no_formula(text)) == text
    written = csv_text([text], [[text]])
    assert list(csv.reader(io.StringIO(written, newline=""))) == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("text", ["-1", "+2.5", "-1e-3", "lung", "a=b", "", "'quoted'", " -x"])
def test_numbers_and_other_text_stay_as_they_are(text):
    assert no_formula(text) == text
    assert as_written(text) == text


def test_negative_numbers_are_written_as_numbers():
    assert csv_text(["x"], [[-1], [-0.5], [np.float32(-2)], [-np.inf]]) == "x\n-1\n-0.5\n-2.0\n-inf\n"
