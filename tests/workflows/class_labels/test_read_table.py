"""Tables: features as numbers, one class a row, and a clear error for whatever cannot be either."""

import gzip
import os
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelmend.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    MissingExtraError,
    UnreadableFileError,
)
from labelmend.workflows.class_labels.read_table import read_table
from labelmend.workflows.class_labels.table import Table

SMALL = "a,b,y\n1.5,7,0\n2.5,9,1\n"


@pytest.fixture
def csv(tmp_path):
    """Writes text to a CSV file."""

    def write(text: str, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    """Writes columns to a Parquet file."""

    def write(**columns) -> Path:
        path = tmp_path / "t.parquet"
        pd.DataFrame(columns).to_parquet(path, engine="pyarrow")
        return path

    return write


@pytest.fixture
def uci() -> Path:
    """The tables of the transition-matrix papers, or a skip that says how to provide them."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    for base in (os.environ.get("LABELMEND_DATA"), beside):
        if base and (Path(base) / "uci").is_dir():
            return Path(base) / "uci"
    pytest.skip("real data absent: set LABELMEND_DATA to the folder that holds uci/")


def same(one: Table, other: Table) -> None:
    """Nothing but the notes may differ."""
    for name in ("features", "labels", "rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.feature_names, one.classes, one.source) == (other.feature_names, other.classes, other.source)


def test_numbers_stay_and_labels_become_codes(csv):
    read = read_table(csv("a,b,y\n1.5,7,2\n2.5,9,10\n3.5,8,2\n"), "y")
    np.testing.assert_array_equal(read.features, [[1.5, 7], [2.5, 9], [3.5, 8]])
    assert read.features.dtype == np.float64
    assert read.feature_names == read.source == ("a", "b")
    assert (read.labels.tolist(), read.classes) == ([0, 1, 0], ("2", "10"))
    assert read.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("column", "classes", "labels"),
    [
        (["0.0", "1.0", "0.0"], ("0", "1"), [0, 1, 0]),
        (["10", "9", "9.5"], ("9", "9.5", "10"), [2, 0, 1]),
        (["True", "False", "True"], ("False", "True"), [1, 0, 1]),
        (["ill", "well", "10"], ("10", "ill", "well"), [1, 2, 0]),
        (["None", "mild", "None"], ("None", "mild"), [0, 1, 0]),
        (["-1.0", "1.0", "-1.0"], ("-1", "1"), [0, 1, 0]),
    ],
)
def test_classes_are_text_in_the_order_of_numbers_where_all_are_numbers(csv, column, classes, labels):
    read = read_table(csv("a,y\n" + "".join(f"{i}.5,{y}\n" for i, y in enumerate(column))), "y")
    assert (read.classes, read.labels.tolist()) == (classes, labels)


def test_text_and_booleans_become_one_hot(csv):
    read = read_table(csv("city,a,old,y\nRome,1.5,True,0\nBonn,2.5,False,1\nRome,3.5,True,1\n"), "y")
    assert read.feature_names == ("city=Bonn", "city=Rome", "a", "old=False", "old=True")
    assert read.source == ("city", "city", "a", "old", "old")
    np.testing.assert_array_equal(read.features, [[0, 1, 1.5, 0, 1], [1, 0, 2.5, 1, 0], [0, 1, 3.5, 0, 1]])
    assert read.notes == ("Text was one-hot encoded, as 4 columns of 0 and 1: city, old.",)


def test_whole_numbers_of_few_values_stay_numbers_with_a_note(csv):
    path = csv("stage,sex,dose,y\n1,0,1.5,0\n2,1,2.5,1\n3,1,3.5,0\n")
    read = read_table(path, "y")
    assert read.feature_names == ("stage", "sex", "dose")
    assert read.notes == ("Integers that may be category codes were treated as numbers: stage.",)
    assert read_table(path, "y", max_categories=2).notes == ()


def test_constant_columns_are_left_out_by_name(csv):
    read = read_table(csv("a,b,c,y\n1,5,x,0\n2,5,x,1\n"), "y")
    assert read.feature_names == read.source == ("a",)
    np.testing.assert_array_equal(read.features, [[1], [2]])
    assert read.notes == ("Left out, since they hold one value only: b, c.",)


def test_a_column_counts_as_constant_where_it_varies_in_rows_without_a_label_only(csv):
    read = read_table(csv("a,b,y\n1,5,0\n2,5,1\n3,6,\n"), "y")
    assert read.feature_names == ("a",)


def test_rows_without_a_label_are_left_out_and_the_others_keep_their_number(csv):
    read = read_table(csv("a,y\n1.5,u\n,NA\n2.5,?\n3.5,v\n"), "y")
    assert (read.labels.tolist(), read.rows.tolist()) == ([0, 1], [0, 3])
    np.testing.assert_array_equal(read.features, [[1.5], [3.5]])
    assert read.notes == ("Rows without a label were left out: 2 of 4.",)


def test_booleans_with_gaps_are_classes_too(csv):
    read = read_table(csv("a,y\n1.5,True\n2.5,\n3.5,False\n"), "y")
    assert (read.labels.tolist(), read.classes, read.rows.tolist()) == ([1, 0], ("False", "True"), [0, 2])


def test_equal_rows_are_kept(csv):
    read = read_table(csv("a,y\n1.5,0\n1.5,0\n1.5,1\n2.5,1\n"), "y")
    assert (len(read.features), read.labels.tolist()) == (4, [0, 0, 1, 1])


def test_dropped_columns_may_hold_anything(csv):
    path = csv("id,a,day,y\nq,1,,0\nr,2,inf,1\n")
    assert read_table(path, "y", drop=["id", "day"]).feature_names == ("a",)
    assert read_table(csv("a,b,y\n1,,0\n2,,1\n"), "y", drop="b").feature_names == ("a",)


@pytest.mark.parametrize(("first", "kept"), [(0, ("a",)), (1, ("a",)), (7, ("Unnamed: 0", "a"))])
def test_a_nameless_column_that_numbers_the_rows_is_no_feature(csv, first, kept):
    read = read_table(csv(f",a,y\n{first},1.5,0\n{first + 1},2.5,1\n"), "y")
    assert read.feature_names == kept
    left_out = ("The unnamed column of row numbers was left out.",)
    assert read.notes == (left_out if len(kept) == 1 else ())


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz", "T.CSV"])
def test_separator_and_compression_follow_the_name(csv, tmp_path, name):
    text = SMALL.replace(",", "\t") if ".tsv" in name else SMALL
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    same(read_table(path, "y"), read_table(csv(SMALL, "plain.csv"), "y"))


def test_byte_order_marks_blank_lines_and_spaces_are_tolerated(csv):
    text = "\ufeffa, b ,y\r\n\r\n1.5, 7,0\r\n2.5, 9,1\r\n\r\n"
    same(read_table(csv(text), "y"), read_table(csv(SMALL, "plain.csv"), "y"))


def test_parquet_reads_as_csv_does(csv, parquet):
    path = parquet(a=np.array([1.5, 2.5], np.float32), b=[7, 9], y=[0.0, 1.0])
    same(read_table(path, "y"), read_table(csv(SMALL), "y"))


def test_parquet_holds_categories_nullable_numbers_and_decimals(parquet):
    path = parquet(
        grade=pd.Categorical(["10", "8", "9"], categories=["8", "9", "10", "11"]),
        n=pd.array([1, 2**40, 3], dtype="Int64"),
        price=[Decimal("1.25"), Decimal("2.50"), Decimal("1.75")],
        y=pd.Categorical(["b", None, "a"]),
    )
    read = read_table(path, "y")
    assert read.feature_names == ("grade=9", "grade=10", "n", "price")
    np.testing.assert_array_equal(read.features, [[0, 1, 1, 1.25], [1, 0, 3, 1.75]])
    assert (read.labels.tolist(), read.classes, read.rows.tolist()) == ([1, 0], ("a", "b"), [0, 2])


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), "datetime64"),
        ([b"u", b"v"], "bytes"),
        ([[1], [2]], "mixed"),
    ],
)
def test_columns_that_are_neither_numbers_nor_text_are_named(parquet, column, kind):
    path = parquet(a=[1, 2], when=column, y=[0, 1])
    with pytest.raises(DataError, match=rf"column 'when' of .*t\.parquet holds {kind}: .*--drop when"):
        read_table(path, "y")
    with pytest.raises(DataError, match=rf"the target 'when' of .*t\.parquet holds {kind}: expected numbers"):
        read_table(path, "when")


def test_text_of_too_many_values_is_named(csv):
    path = csv("id,a,y\n" + "".join(f"p{i},{i},{i % 2}\n" for i in range(4)))
    with pytest.raises(DataError, match=r"column 'id' of .* 4 distinct values, more than the 3 .*--drop id"):
        read_table(path, "y", max_categories=3)
    assert len(read_table(path, "y", max_categories=4).feature_names) == 5


def test_numbers_spoilt_by_a_word_are_told_from_text(csv):
    path = csv("age,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)) + "unknown,1\n")
    with pytest.raises(DataError, match=r"41 distinct values \(40 of them numbers, but not unknown\)"):
        read_table(path, "y")


def test_missing_features_are_counted_and_named(csv):
    path = csv("a,b,c,d,e,f,g,y\n" + "1,,,,,,,0\n" + "NaN,2,2,2,2,2,2,1\n" + "3,3,3,3,3,3,3,1\n")
    expected = r"t\.csv holds missing values in 2 of 3 rows, columns a, b, c, d, e and 2 more: .*--drop"
    with pytest.raises(DataError, match=expected):
        read_table(path, "y")
    with pytest.raises(DataError, match="missing values in 1 of 2 rows, column city: "):
        read_table(csv("city,y\nRome,0\n?,1\n"), "y")


def test_infinite_features_are_counted_and_named(csv):
    with pytest.raises(DataError, match=r"t\.csv holds infinite values in 2 of 3 rows, column b: .*--drop"):
        read_table(csv("a,b,c,y\n1,inf,u,0\n2,-inf,v,1\n3,1,v,1\n"), "y")


def test_an_unknown_target_is_answered_with_the_columns_and_near_ones(csv):
    path = csv(SMALL.replace(",y", ",Label"))
    with pytest.raises(ConfigError, match=r"--target lable: .* it has a, b, Label; did you mean Label\?"):
        read_table(path, "lable")
    with pytest.raises(ConfigError, match=r"--target zzz: .*it has a, b, Label$"):
        read_table(path, "zzz")
    with pytest.raises(ConfigError, match=r"--drop A: .* did you mean a\?"):
        read_table(path, "Label", drop=["A"])
    with pytest.raises(ConfigError, match="Label is both --target and in --drop"):
        read_table(path, "Label", drop=["Label"])


def test_semicolons_are_recognised_as_such(csv):
    with pytest.raises(ConfigError, match="separated by semicolons"):
        read_table(csv(SMALL.replace(",", ";")), "y")


def test_a_target_of_many_numbers_looks_like_a_quantity(csv):
    def lines(n):
        return "a,y\n" + "".join(f"{i}.5,{i}\n" for i in range(n))

    with pytest.raises(DataError, match="101 distinct numbers, more than 100: it looks like a quantity"):
        read_table(csv(lines(101)), "y")
    assert read_table(csv(lines(100)), "y").classes == tuple(str(i) for i in range(100))


def test_an_infinite_label_is_an_error(csv):
    with pytest.raises(DataError, match=r"the target 'y' of .* holds infinite values"):
        read_table(csv("a,y\n1,inf\n2,1\n"), "y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty: expected a header"),
        ("a,y\n", "holds no rows"),
        ("a,y\n1,\n2,\n", "the target 'y' of .* is empty in every row"),
        ("a,y\n1,u\n2,u\n", r"the target 'y' of .* holds one class only \(u\)"),
        ("a,y\n1,1.0\n2,\n", r"one class only \(1\)"),
        ("y\nu\nv\n", "no column besides the target 'y'"),
        ("a,y\n1,u\n1,v\n", "no features: each column holds one value only"),
        ("a,a,b,b,y\n1,1,1,1,u\n", "more than one column named a, b: "),
        ("a,y\n1,u,9\n2,v,9\n", "2 columns in its header, but more in its rows"),
        ("a,y\n1,u\n2,v,9\n", "cannot be read as UTF-8 text .*Expected 2 fields in line 3, saw 3"),
        ('a,y\n"1,u\n2,v\n', "cannot be read as UTF-8 text .*EOF inside string"),
    ],
)
def test_a_table_that_tells_nothing_is_an_error(csv, text, expected):
    with pytest.raises((DataError, ConfigError), match=expected) as caught:
        read_table(csv(text), "y")
    assert "t.csv" in str(caught.value)


def test_a_column_cannot_be_dropped_if_it_is_the_only_feature(csv):
    with pytest.raises(ConfigError, match="there are no features"):
        read_table(csv("a,y\n1,u\n2,v\n"), "y", drop=["a"])


def test_a_column_of_groups_is_no_feature(csv):
    path = csv("a,who,y\n1.5,Ann,0\n2.5,Bob,1\n,Bob,\n3.5,Ann,1\n")
    read = read_table(path, "y", groups="who")
    assert read.feature_names == ("a",)
    first, second, third = read.groups.tolist()
    assert first == third != second
    assert read_table(path, "y").groups is None


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({"groups": "hwo"}, ConfigError, r"--groups hwo: .*no such column.*did you mean who\?"),
        ({"groups": "y"}, ConfigError, "y is both --target and --groups"),
        ({"groups": "who", "drop": ["who"]}, ConfigError, "who is both --groups and in --drop"),
        ({"groups": "team"}, DataError, r"column 'team' of .*t\.csv, the --groups, is empty in 1 of 2 rows"),
        ({"groups": "who", "drop": ["a", "team"]}, ConfigError, "there are no features"),
    ],
)
def test_groups_that_cannot_be_used_are_named(csv, settings, error, expected):
    with pytest.raises(error, match=expected):
        read_table(csv("a,who,team,y\n1.5,Ann,,0\n2.5,Bob,x,1\n"), "y", **settings)


def test_files_that_are_no_table_are_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"none\.csv does not exist"):
        read_table(tmp_path / "none.csv", "y")
    with pytest.raises(
        UnreadableFileError, match=r"t\.xlsx is not a supported table: expected one of \.csv, .*\.parquet"
    ):
        read_table(tmp_path / "t.xlsx", "y")
    for name, data, expected in (
        ("latin.csv", "a,y\n1,é\n".encode("latin-1"), r"latin\.csv is not UTF-8 text"),
        ("t.csv.gz", gzip.compress(SMALL.encode())[:20], r"t\.csv\.gz cannot be read as .*damaged"),
        ("plain.csv.gz", SMALL.encode(), r"plain\.csv\.gz cannot be read as .*[Nn]ot a gzip"),
        ("t.parquet", b"PAR1 and no more", r"t\.parquet cannot be read as a Parquet file"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UnreadableFileError, match=expected):
            read_table(tmp_path / name, "y")


def test_without_pandas_the_extra_is_named(csv, monkeypatch):
    path = csv(SMALL)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"needs pandas: pip install 'labelmend\[tabular\]'"):
        read_table(path, "y")


def test_without_pyarrow_the_extra_is_named(parquet, monkeypatch):
    path = parquet(a=[1, 2], y=[0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow: pip install 'labelmend\[tabular\]'"):
        read_table(path, "y")


def test_the_tables_of_the_papers_are_read(uci):
    expected = {
        "banana": ((5300, 2), [2924, 2376]),
        "flare-solar": ((1066, 9), [477, 589]),
        "splice": ((3175, 60), [1648, 1527]),
        "titanic": ((2201, 3), [1490, 711]),
        "twonorm": ((7400, 20), [3697, 3703]),
    }
    for name, (shape, counts) in expected.items():
        path = uci / f"{name}.csv"
        read = read_table(path, "target")
        assert read.features.shape == shape, name
        assert np.bincount(read.labels).tolist() == counts, name
        assert read.classes == ("0", "1")
        assert read.rows.tolist() == list(range(shape[0]))
        header = path.read_text(encoding="utf-8-sig").split("\n", 1)[0].split(",")
        plain = np.loadtxt(path, delimiter=",", skiprows=1, encoding="utf-8-sig")
        order = [header.index(feature) for feature in read.feature_names]
        np.testing.assert_allclose(read.features, plain[:, order], rtol=1e-14)
    assert read_table(uci / "splice.csv", "target").notes == (
        "Integers that may be category codes were treated as numbers: 1, 2, 3, 4, 5 and 55 more.",
    )


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_table_larger_than_the_memory_for_one_file_is_refused_before_it_is_read(
    tmp_path, monkeypatch, name
):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [0.5, 1.5] * 20_000, "y": ["a", "b"] * 20_000})
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    assert len(read_table(path, target="y").labels) == 40_000
    monkeypatch.setenv("LABELMEND_MAX_GIB", "0.0001")
    monkeypatch.setattr("pandas.read_csv", None)
    monkeypatch.setattr("pandas.read_parquet", None)
    with pytest.raises(UnreadableFileError, match=r"declares .*more than the limit of 0\.0001 GiB"):
        read_table(path, target="y")
