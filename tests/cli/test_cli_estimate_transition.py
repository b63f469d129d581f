"""`labelmend estimate` as a person runs it: what it prints, what it writes, and bad input in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from drawn_data import contents, half_files
from labelmend.cli import main

QUICK = ["--n-boot", "4"]


def columns(n: int = 200, k: int = 2) -> dict[str, np.ndarray]:
    """Two features, a ward, a patient and labels, a fifth of them wrong; as many classes as asked for."""
    rng = np.random.default_rng(0)
    true = np.arange(n) % k
    given = np.where(rng.random(n) < 0.2, (true + 1) % k, true)
    return {
        "marker": 5.0 * true + rng.normal(size=n),
        "height": rng.normal(size=n),
        "ward": np.array(["north", "south"])[rng.integers(0, 2, n)],
        "patient": np.arange(n) // 2,
        "y": np.array([f"class {i}" for i in range(k)])[given],
    }


def write(path: Path, values: dict[str, np.ndarray]) -> str:
    if path.suffix == ".parquet":
        pd.DataFrame(values).to_parquet(path, engine="pyarrow")
    else:
        pd.DataFrame(values).to_csv(path, index=False)
    return str(path)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_matrix_rates_features_suspects_and_assumptions_are_printed_and_written(tmp_path, capsys, name):
    table, out = write(tmp_path / name, columns()), tmp_path / "out"
    argv = ["estimate-transition", table, "--target", "y", "--groups", "patient", "--out", str(out), *QUICK]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("About ")
    assert " of the labels look wrong (95 % interval " in printed
    for words in (
        "How rows that truly are", "Wrong labels among", "4 of 4 features", "marker", "Look at first: 10 of",
        "Assumptions:", "(anchors)", "Text was one-hot encoded", "(100 groups)",
        f"report  {out / 'report.html'}",
    ):  # fmt: skip
        assert words in printed
    assert "patient=" not in printed
    assert max(map(len, printed.splitlines())) <= 100
    assert sorted(path.name for path in out.iterdir()) == [
        "report.html", "suspects.csv", "transition.csv", "transition.json"
    ]  # fmt: skip
    assert "of the labels look wrong</h1>" in (out / "report.html").read_text(encoding="utf-8")


def test_arrays_with_string_labels_or_sparse_features_are_read(tmp_path, capsys):
    values = columns()
    dense = np.column_stack([values["marker"], values["height"]])
    np.save(tmp_path / "X.npy", dense)
    sparse.save_npz(tmp_path / "X.npz", sparse.csr_matrix(dense))
    np.save(tmp_path / "y.npy", values["y"])
    told = []
    for name in ("X.npy", "X.npz"):
        assert main(["estimate-transition", "--features", name, "--labels", "y.npy", *QUICK]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "class 0" in told[0]
    assert "report" not in told[0]


def test_many_classes_are_listed_and_not_laid_out(tmp_path, capsys):
    table = write(tmp_path / "t.csv", columns(600, 12))
    assert main(["estimate-transition", table, "--target", "y", "--drop", "patient", "--n-boot", "0"]) == 0
    printed = capsys.readouterr().out
    assert "most often else as" in printed
    assert "interval" not in printed.partition("Assumptions:")[0]
    assert max(map(len, printed.splitlines())) <= 100


def test_a_doubtful_estimate_says_so_before_its_numbers(tmp_path, capsys):
    values = columns()
    table = write(tmp_path / "t.csv", {"height": values["height"], "y": values["y"]})
    assert main(["estimate-transition", table, "--target", "y", *QUICK]) == 0
    printed = capsys.readouterr().out
    assert printed.index("Use these numbers with caution:") < printed.index("How rows that truly are")
    assert "the features carry no" in " ".join(printed.split())


def test_constant_columns_are_left_out_by_name(tmp_path, capsys):
    table = write(tmp_path / "t.csv", columns() | {"hospital": np.full(200, "one"), "year": np.full(200, 7)})
    assert main(["estimate-transition", table, "--target", "y", "--drop", "patient", *QUICK]) == 0
    assert "Left out, since they hold one value only: hospital, year." in capsys.readouterr().out


def test_rows_that_repeat_are_kept_and_told(tmp_path, capsys):
    values = {name: np.concatenate([column, column]) for name, column in columns().items()}
    table = write(tmp_path / "t.csv", values)
    assert main(["estimate-transition", table, "--target", "y", "--drop", "patient", *QUICK]) == 0
    assert "200 of 400 rows have the same features as another row" in capsys.readouterr().out


def test_rows_that_are_all_alike_but_for_a_few_values_do_not_crash(tmp_path, capsys):
    values = columns()
    table = write(tmp_path / "t.csv", {"ward": values["ward"], "y": values["y"]})
    for method in ("anchors", "hoc"):
        assert main(["estimate-transition", table, "--target", "y", "--method", method, *QUICK]) == 0
    assert "198 of 200 rows have the same features" in capsys.readouterr().out


# ---- bad input: one sentence, exit code 2, nothing written

Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    def check(argv: list[str], *words: str) -> None:
        before = contents(tmp_path)
        assert main(["estimate-transition", *argv, "--out", str(tmp_path / "out")]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("labelmend estimate-transition: ")
        assert captured.err.count("\n") == 1
        for word in words:
            assert word in captured.err
        assert contents(tmp_path) == before
        assert half_files(tmp_path) == []
        assert not (tmp_path / "out").exists()

    return check


def spoilt(tmp_path: Path, **changes: object) -> list[str]:
    """Arguments for a table with some columns changed; None takes a column out."""
    values = {name: column for name, column in {**columns(), **changes}.items() if column is not None}
    return [write(tmp_path / "t.csv", values), "--target", "y"]


def with_gap(column: np.ndarray, value: float) -> np.ndarray:
    return np.concatenate([[value], column[1:]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"marker": np.array([np.nan, 1.0] * 100)},
            ("missing values in 100 of 200 rows", "marker", "--drop"),
        ),
        ({"marker": np.array([np.inf, 1.0] * 100)}, ("infinite values", "column marker")),
        ({"y": np.full(200, "ill")}, ("the target 'y'", "one class only (ill)")),
        ({"y": np.full(200, np.nan)}, ("empty in every row",)),
        ({"y": np.linspace(0, 1, 200)}, ("200 distinct numbers", "a quantity")),
        (
            dict.fromkeys(("marker", "height", "patient"), np.ones(200)) | {"ward": None},
            ("no features: each column holds one value only",),
        ),
        (dict.fromkeys(("marker", "height", "patient", "ward")), ("no column besides the target",)),
        (
            {"ward": np.array([f"p{i}" for i in range(200)])},
            ("'ward'", "200 distinct values", "--drop ward"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple | dict) else "",
)
def test_a_table_that_cannot_be_used(refused, tmp_path, changes, words):
    refused(spoilt(tmp_path, **changes), "t.csv", *words)


@pytest.mark.parametrize("method", ["anchors", "hoc"])
@pytest.mark.parametrize("n", [2, 3, 20])
def test_fewer_rows_than_neighbours(refused, tmp_path, method, n):
    values = {name: column[:n] for name, column in columns().items()}
    argv = [write(tmp_path / "t.csv", values | {"y": np.arange(n) % 2}), "--target", "y", "--method", method]
    if method == "anchors":
        refused([*argv, "--drop", "patient,ward"], f"30 neighbours asked for, but {n} rows leave {n - 1}")
    elif n == 2:
        refused([*argv, "--drop", "patient,ward"], "2 neighbours asked for, but 2 rows leave 1 other rows")
    else:
        assert main(["estimate-transition", *argv, "--drop", "patient,ward", *QUICK]) == 0


def test_too_few_groups(refused, tmp_path):
    argv = spoilt(tmp_path, patient=np.array([0] * 190 + list(range(1, 11))))
    refused([*argv, "--groups", "patient"], "30 neighbours asked for", "30 other groups, there are 10")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "either a table with --target, or --features and --labels"),
        (["t.csv"], "a table needs --target"),
        (["t.csv", "--target", "Y"], "--target Y: t.csv has no such column"),
        (["t.csv", "--target", "y", "--groups", "patients"], "did you mean patient?"),
        (["t.csv", "--target", "y", "--drop", "wrad"], "did you mean ward?"),
        (["nowhere.csv", "--target", "y"], "nowhere.csv does not exist"),
        (["t.xlsx", "--target", "y"], "not a supported table"),
        (["--features", "X.npy"], "--features need --labels"),
        (["--features", "X.npy", "--labels", "nowhere.npy"], "nowhere.npy does not exist"),
        (["t.csv", "--target", "y", "--level", "2"], "level must be between 0 and 1"),
        (["t.csv", "--target", "y", "--n-boot", "-1"], "n_boot must be 0"),
        (
            ["t.csv", "--target", "y", "--n-neighbors", "0", "--drop", "patient"],
            "neighbours must be 1 or more",
        ),
    ],
)
def test_settings_that_cannot_be_used(refused, tmp_path, argv, words):
    write(tmp_path / "t.csv", columns())
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    refused(argv, words)


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (np.array([[1.0, np.nan], [2, 3]]), [0, 1], "NaN in 1 of 2 rows, column x1"),
        (np.eye(3), [0, 1], "3 rows, but y.npy has 2 labels"),
        (np.eye(3), ["a", "a", "a"], "one class only (a)"),
        (np.ones((3, 2)), [0, 1, 0], "no features: each column holds one value only"),
    ],
)
def test_arrays_that_cannot_be_used(refused, tmp_path, features, labels, words):
    np.save(tmp_path / "X.npy", features)
    np.save(tmp_path / "y.npy", labels)
    refused(["--features", "X.npy", "--labels", "y.npy"], words)


def test_a_folder_that_holds_something_else_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("do not lose")
    before = contents(tmp_path)
    assert main(["estimate-transition", "t.csv", "--target", "y", "--out", "out"]) == 2
    assert "out already holds thesis.txt" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_without_scikit_learn_the_extra_is_named(refused, tmp_path, monkeypatch):
    for module in ("estimators", "estimator_base", "weighter"):
        monkeypatch.delitem(sys.modules, f"labelmend.workflows.class_labels.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    refused(spoilt(tmp_path), "pip install 'labelmend[tabular]'")


def test_unknown_flags_and_methods_end_with_2(capsys):
    for argv in (["--method", "magic"], ["--f", "l2"], ["--taget", "y"]):
        with pytest.raises(SystemExit) as ended:
            main(["estimate-transition", "t.csv", *argv])
        assert ended.value.code == 2
    assert "taget" in capsys.readouterr().err
