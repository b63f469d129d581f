"""Noise of known rates is drawn and found, wrong labels come first, and files are whole and never mixed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labelmend
from drawn_data import contents
from labelmend.errors import ConfigError, DataError, OutputError
from labelmend.workflows.class_labels.estimate import Share, estimate_transition

QUICK: dict[str, Any] = {"n_boot": 4}
FILES = ["report.html", "suspects.csv", "transition.csv", "transition.json"]


class Drawn:
    """Two classes that touch, 30 % of `ill` labelled `well` and 10 % the other way, and a column of noise."""

    def __init__(self, folder: Path, n: int = 900) -> None:
        rng = np.random.default_rng(3)
        self.true = rng.integers(0, 2, n)
        self.wrong = rng.random(n) < np.where(self.true == 0, 0.3, 0.1)
        self.given = np.where(self.wrong, 1 - self.true, self.true)
        self.features = np.column_stack([4 * self.true + rng.normal(size=n), 100 * rng.normal(size=n)])
        self.table = folder / "t.csv"
        rows = zip(self.features.tolist(), np.array(["ill", "well"])[self.given])
        lines = [f"{a},{b},{y}" for (a, b), y in rows]
        self.table.write_text("\n".join(["marker,noise,y", *lines, ""]))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize("method", ["anchors", "hoc"])
def test_drawn_noise_is_found(drawn, method):
    found = estimate_transition(drawn.table, target="y", method=method, **QUICK)
    np.testing.assert_allclose(found.matrix, [[0.7, 0.3], [0.1, 0.9]], atol=0.06)
    np.testing.assert_allclose(found.prior, [0.5, 0.5], atol=0.06)
    assert found.rate.value == pytest.approx(drawn.wrong.mean(), abs=0.04)
    assert found.classes == ("ill", "well")
    assert found.n_given == tuple(np.bincount(drawn.given))
    # where "ill" is given: 0.35 of all rows rightly, 0.05 wrongly
    assert found.given_right[0] == pytest.approx(0.35 / 0.40, abs=0.06)


def test_wrong_labels_come_first(drawn):
    found = estimate_transition(drawn.table, target="y", n_boot=0)
    first = [suspect.row for suspect in found.suspects[:100]]
    assert drawn.wrong[first].mean() > 0.9
    chances = [suspect.given_right for suspect in found.suspects]
    assert chances == sorted(chances)
    suspect = found.suspects[0]
    assert suspect.given == ("ill", "well")[drawn.given[suspect.row]] != suspect.likeliest
    assert suspect.given_right == found.right[suspect.row] == found.right.min()


def test_the_column_that_tells_the_classes_apart_is_heaviest(drawn):
    found = estimate_transition(drawn.table, target="y", n_boot=0)
    assert [feature.name for feature in found.features] == ["marker", "noise"]
    (heaviest,) = found.heaviest(1)
    assert (heaviest.name, heaviest.weight) == ("marker", 1.0)
    assert found.features[1].weight < 0.3


def test_intervals_hold_the_estimate_and_widen_with_the_level(drawn):
    narrow, wide = (
        estimate_transition(drawn.table, target="y", n_boot=30, level=level) for level in (0.5, 0.99)
    )
    for found in (narrow, wide):
        assert (found.low <= found.matrix).all()
        assert (found.matrix <= found.high).all()
        assert found.rate.low < found.rate.value < found.rate.high
        assert found.rates[0] == Share(1 - found.matrix[0, 0], 1 - found.high[0, 0], 1 - found.low[0, 0])
    assert (wide.high - wide.low > narrow.high - narrow.low).all()


def test_without_draws_there_are_no_intervals(drawn):
    found = estimate_transition(drawn.table, target="y", n_boot=0)
    assert found.low is found.high is None
    assert np.isnan([found.rate.low, found.rates[0].high]).all()


def test_the_same_seed_gives_the_same_numbers(drawn):
    first, second, other = (
        estimate_transition(drawn.table, target="y", seed=seed, **QUICK) for seed in (1, 1, 2)
    )
    assert str(first.as_dict()) == str(second.as_dict())
    assert first.suspects == second.suspects
    assert (first.low != other.low).any()


def test_arrays_give_what_the_table_gives(drawn, tmp_path):
    np.save(tmp_path / "X.npy", drawn.features)
    np.save(tmp_path / "y.npy", np.array(["ill", "well"])[drawn.given])
    found = estimate_transition(features=tmp_path / "X.npy", labels=tmp_path / "y.npy", **QUICK)
    np.testing.assert_allclose(
        found.matrix, estimate_transition(drawn.table, target="y", **QUICK).matrix, atol=1e-9
    )
    assert found.heaviest(1)[0].name == "x0"


def test_rows_of_one_group_are_not_compared(tmp_path):
    """Each row thrice, its label copied: copies agree on errors, which then do not look like errors.

    Named as groups they change nothing: the estimate is that from each row once.
    """
    one = Drawn(tmp_path, 400)
    for name, values in (("X", one.features), ("y", one.given), ("g", np.arange(400))):
        np.save(tmp_path / f"{name}.npy", np.repeat(values, 3, axis=0))
    paths = {"features": tmp_path / "X.npy", "labels": tmp_path / "y.npy"}
    alone = estimate_transition(**paths, method="hoc", n_boot=0)
    apart = estimate_transition(**paths, method="hoc", n_boot=0, groups=tmp_path / "g.npy")
    once = estimate_transition(one.table, target="y", method="hoc", n_boot=0)
    assert alone.rate.value < 0.05
    assert apart.rate.value == pytest.approx(one.wrong.mean(), abs=0.05)
    np.testing.assert_allclose(apart.matrix, once.matrix, atol=1e-3)
    assert any("were not compared with each other (400 groups)" in note for note in apart.notes)
    assert any("800 of 1200 rows have the same features" in note for note in alone.notes)


def test_rows_keep_the_number_they_have_in_the_file(drawn, tmp_path):
    lines = drawn.table.read_text().splitlines()
    gap = tmp_path / "gap.csv"
    gap.write_text("\n".join([lines[0], "1,2,", "3,4,", *lines[1:]]))
    found = estimate_transition(gap, target="y", n_boot=0)
    whole = estimate_transition(drawn.table, target="y", n_boot=0)
    assert [s.row - 2 for s in found.suspects] == [s.row for s in whole.suspects]
    assert found.row_numbers[0] == 2
    assert "Rows without a label were left out: 2 of 902." in found.notes


def test_all_files_are_written_and_agree(drawn, tmp_path):
    found = estimate_transition(drawn.table, target="y", out=tmp_path / "new" / "out", **QUICK)
    out = tmp_path / "new" / "out"
    assert sorted(path.name for path in out.iterdir()) == FILES
    written = json.loads((out / "transition.json").read_text())
    assert written["matrix"] == found.matrix.tolist()
    assert written["noise_rate"]["value"] == found.rate.value
    assert written["n_suspects"] == len(found.suspects)
    assert {"low", "high", "prior", "clusterability", "settings", "notes", "version"} <= written.keys()
    with open(out / "suspects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.suspects)
    assert (int(rows[0]["row"]), rows[0]["given"]) == (found.suspects[0].row, found.suspects[0].given)
    (header, *body) = csv.reader((out / "transition.csv").read_text().splitlines())
    assert header == ["true", "ill", "well"]
    np.testing.assert_array_equal([[float(v) for v in row[1:]] for row in body], found.matrix)


def test_files_of_two_estimates_are_never_taken_for_one(drawn, tmp_path, monkeypatch):
    estimate_transition(drawn.table, target="y", out=tmp_path, n_boot=0)
    (tmp_path / "report.html").write_text("an earlier page")
    before = contents(tmp_path)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labelmend.workflows.class_labels.estimate.write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        estimate_transition(drawn.table, target="y", out=tmp_path, n_boot=0)
    assert contents(tmp_path) == before
    monkeypatch.undo()
    estimate_transition(drawn.table, target="y", out=tmp_path, n_boot=0)
    assert sorted(contents(tmp_path)) == FILES


def test_a_folder_with_something_else_is_refused_and_the_table_is_never_replaced(drawn, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(OutputError, match=r"already holds thesis\.txt"):
        estimate_transition(drawn.table, target="y", out=tmp_path)
    table = tmp_path / "out" / "suspects.csv"
    table.parent.mkdir()
    table.write_bytes(drawn.table.read_bytes())
    with pytest.raises(OutputError, match=r"suspects\.csv is read and would be replaced"):
        estimate_transition(table, target="y", out=table.parent)
    assert table.read_bytes() == drawn.table.read_bytes()


def test_a_warning_of_the_estimator_becomes_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 2500)
    np.save(tmp_path / "X.npy", (2 * true - 1)[:, None] * 0.7 + rng.normal(size=(2500, 2)))
    np.save(tmp_path / "y.npy", np.where(rng.random(2500) < 0.2, 1 - true, true))
    found = estimate_transition(
        features=tmp_path / "X.npy", labels=tmp_path / "y.npy", method="hoc", n_boot=0
    )
    assert any("neighbours often belong to different classes" in text for text in found.warnings)
    assert any("two nearest neighbours belong to the same true class" in text for text in found.assumptions)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "either a table with --target, or --features and --labels"),
        ({"table": "t.csv", "features": "X.npy", "target": "y"}, "either a table"),
        ({"table": "t.csv"}, "a table needs --target"),
        ({"table": "t.csv", "target": "y", "labels": "y.npy"}, "no --labels"),
        ({"features": "X.npy"}, "--features need --labels"),
        ({"features": "X.npy", "labels": "y.npy", "target": "y"}, "neither --target nor --drop"),
        ({"table": "t.csv", "target": "y", "n_boot": 1}, "n_boot must be 0"),
        ({"table": "t.csv", "target": "y", "n_boot": -2}, "n_boot must be 0"),
        ({"table": "t.csv", "target": "y", "level": 1.0}, "level must be between 0 and 1"),
    ],
)
def test_settings_that_do_not_belong_together_are_told(settings, expected):
    with pytest.raises(ConfigError, match=expected):
        estimate_transition(**settings)


def test_an_unknown_method_or_divergence_is_told(drawn):
    with pytest.raises(ConfigError, match="no method 'magic': choose from anchors, hoc"):
        estimate_transition(drawn.table, target="y", method="magic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="f must be one of tv"):
        estimate_transition(drawn.table, target="y", f="l2", n_boot=0)  # type: ignore[arg-type]


def test_fewer_rows_than_neighbours_are_told_and_fewer_neighbours_help(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    with pytest.raises((ConfigError, DataError), match="30 neighbours asked for, but 20 rows leave 19"):
        estimate_transition(path, target="y", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert estimate_transition(path, target="y", n_boot=0, n_neighbors=5).n_rows == 20


def test_it_is_there_under_its_public_name():
    assert labelmend.estimate_transition is estimate_transition


def test_the_result_shows_the_rate_and_the_suspects(drawn):
    found = estimate_transition(drawn.table, target="y", n_boot=0)
    assert repr(found).startswith(f"{found.rate.value:.1%} of {found.n_rows} labels are wrong")
    frame = found.to_frame()
    assert list(frame.columns) == ["row", "given", "likeliest", "given_right"]
    assert len(frame) == len(found.suspects)
