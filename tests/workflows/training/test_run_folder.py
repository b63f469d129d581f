from __future__ import annotations

import json

import pytest

from drawn_data import contents, half_files
from labelmend.errors import ConfigError, OutputError, UnreadableFileError
from labelmend.methods.plain import Plain
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.run_folder import append_metrics, check_out, open_run, trim_metrics


def config(out, **settings) -> TrainConfig:
    return TrainConfig(data="d", out=str(out), **settings)


def test_a_new_folder_is_taken_by_writing_its_settings(tmp_path):
    open_run(config(tmp_path / "deep" / "run"), Plain())
    assert list(contents(tmp_path)) == ["deep/run/config.yaml"]


def test_an_empty_folder_is_taken(tmp_path):
    open_run(config(tmp_path), Plain())
    assert list(contents(tmp_path)) == ["config.yaml"]


def test_checking_a_folder_writes_nothing(tmp_path):
    check_out(config(tmp_path / "run"), Plain())
    assert list(tmp_path.iterdir()) == []


def test_what_a_start_that_was_killed_left_does_not_stand_in_the_way(tmp_path):
    (tmp_path / ".part-config.yaml").write_text("data")
    open_run(config(tmp_path), Plain())
    assert list(contents(tmp_path)) == ["config.yaml"]
    assert half_files(tmp_path) == []


def test_the_same_run_is_taken_again_and_its_settings_stay_as_written(tmp_path):
    open_run(config(tmp_path, threads=2), Plain())
    before = contents(tmp_path)
    open_run(config(tmp_path, threads=2), Plain())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("setting", [{"workers": 1}, {"cache_gib": 0.5}])
def test_settings_that_change_no_bit_may_change_between_two_starts(tmp_path, setting):
    open_run(config(tmp_path), Plain())
    check_out(config(tmp_path, **setting), Plain())


@pytest.mark.parametrize("setting", [{"device": "cpu"}, {"threads": 3}, {"channels_last": False}])
def test_settings_that_change_single_pixels_may_not(tmp_path, setting):
    open_run(config(tmp_path), Plain())
    (name,) = setting
    with pytest.raises(OutputError, match=f"{name}: "):
        check_out(config(tmp_path, **setting), Plain())


def test_a_run_that_was_moved_goes_on_where_it_lies_now(tmp_path):
    open_run(config(tmp_path / "a"), Plain())
    (tmp_path / "a").rename(tmp_path / "b")
    check_out(config(tmp_path / "b"), Plain())


def test_a_run_with_other_settings_is_refused_and_they_are_named(tmp_path):
    open_run(config(tmp_path), SpatialCorrection())
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=r"epochs: 50 -> 3; method\.gamma: 1\.0 -> 0\.5"):
        open_run(config(tmp_path, epochs=3), SpatialCorrection(gamma=0.5))
    assert contents(tmp_path) == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(OutputError, match=r"already holds thesis\.txt"):
        open_run(config(tmp_path), Plain())
    assert list(contents(tmp_path)) == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        check_out(config(tmp_path / "run"), Plain())


def test_a_run_needs_a_folder():
    with pytest.raises(ConfigError, match="--out"):
        check_out(TrainConfig(data="d"), Plain())


def rows(folder) -> list[tuple[int, int]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [(row["round"], row["epoch"]) for row in map(json.loads, lines)]


@pytest.fixture
def logged(tmp_path):
    """Two epochs of round 1, three of round 2."""
    for round_number, epoch in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3)):
        append_metrics(tmp_path, {"round": round_number, "epoch": epoch, "loss": 0.5}, True)
    return tmp_path


@pytest.mark.parametrize(
    ("round_number", "epochs_done", "kept"),
    [
        (1, 0, []),
        (1, 1, [(1, 1)]),
        (2, 0, [(1, 1), (1, 2)]),
        (2, 2, [(1, 1), (1, 2), (2, 1), (2, 2)]),
        (3, 0, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]),
    ],
)
def test_rows_of_epochs_that_are_trained_again_are_forgotten(logged, round_number, epochs_done, kept):
    trim_metrics(logged, round_number, epochs_done, True)
    assert rows(logged) == kept


def test_a_torn_last_row_is_forgotten(logged):
    with open(logged / "metrics.jsonl", "a") as log:
        log.write('{"round": 2, "ep')
    trim_metrics(logged, 2, 9, True)
    assert rows(logged) == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]


def test_a_helper_process_writes_no_rows(logged):
    append_metrics(logged, {"round": 2, "epoch": 4, "loss": 0.1}, False)
    trim_metrics(logged, 1, 0, False)
    assert len(rows(logged)) == 5


def test_there_is_nothing_to_forget_before_the_first_epoch(tmp_path):
    trim_metrics(tmp_path, 1, 0, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["[1, 2]", "no JSON", '{"round": 1}', "[" * 100_000])
def test_a_log_that_is_damaged_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f"{line}\n")
    with pytest.raises(UnreadableFileError, match=r"metrics\.jsonl cannot be read as the log of a run"):
        trim_metrics(tmp_path, 1, 1, True)
    assert (tmp_path / "metrics.jsonl").read_text() == f"{line}\n"
