"""What readers of tables share: codes of labels, columns left out, errors that name what is wrong."""

from decimal import Decimal

import numpy as np
import pytest

from labelmend.errors import DataError
from labelmend.io.files.csv_table import as_number
from labelmend.workflows.class_labels.table import (
    Table,
    check_classes,
    coded,
    label_text,
    refuse,
    without_constants,
)


def table(features: list[list[float]], notes: tuple[str, ...] = ()) -> Table:
    values = np.array(features, float)
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    return Table(values, names, np.array([0, 1]), ("a", "b"), names, np.arange(2), notes, np.array([5, 6]))


def test_codes_follow_the_order_of_numbers_or_of_text():
    codes, classes = coded(np.array([0, 1, 2, 0]), [10, 9.5, 2.0])
    assert (codes.tolist(), classes) == ([2, 1, 0, 2], ("2", "9.5", "10"))
    codes, classes = coded(np.array([1, 0]), ["well", "10"])
    assert (codes.tolist(), classes) == ([0, 1], ("10", "well"))


def test_values_with_the_same_text_are_one_class():
    assert coded(np.array([0, 1]), [1, 1.0])[1] == ("1",)


def test_whole_numbers_of_any_type_lose_their_point():
    assert [label_text(v) for v in (np.float32(2), Decimal("3.0"), float("inf"))] == ["2", "3", "inf"]
    assert [as_number(text) for text in ("1e2", "inf", "nan", "x")] == [100.0, None, None, None]


def test_one_class_is_not_enough():
    check_classes("here", ("a", "b"))
    with pytest.raises(DataError, match=r"here holds one class only \(a\)"):
        check_classes("here", ("a",))


def test_constant_columns_go_and_everything_else_stays(tmp_path):
    kept = without_constants(tmp_path, table([[1, 5, 0], [1, 6, 0]], ("first",)))
    assert (kept.feature_names, kept.source, kept.features.tolist()) == (("x1",), ("x1",), [[5], [6]])
    assert kept.notes == ("first", "Left out, since they hold one value only: x0, x2.")
    assert kept.groups is not None
    whole = table([[1, 5], [2, 6]])
    assert without_constants(tmp_path, whole) is whole
    with pytest.raises(DataError, match="each column holds one value only"):
        without_constants(tmp_path, table([[1], [1]]))


def test_what_is_refused_is_counted_and_named(tmp_path):
    bad = np.array([[False, True, True], [False, False, False], [False, True, False]])
    refuse(tmp_path, np.zeros((2, 2), bool), ["a", "b"], "gaps; fill them in")
    with pytest.raises(DataError, match="holds gaps in 2 of 3 rows, columns b, c: fill them in"):
        refuse(tmp_path, bad, ["a", "b", "c"], "gaps; fill them in")
