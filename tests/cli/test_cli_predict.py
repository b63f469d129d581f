"""`labelmend predict` as a person runs it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import drawn_data
from drawn_data import CASES, QUICK, contents
from labelmend.cli import main
from labelmend.io import read_label_array
from labelmend.workflows.training.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return drawn_data.exclusive(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    more = {"classes": {"heart": 1, "lung": 2}, "ignore": 9, "labels": "given", "epochs": 4}
    return train(data, out=out, method="plain", **{**QUICK, **more}).folder


def test_every_image_gets_its_labels_and_the_command_counts_them(data, run, tmp_path, capsys):
    assert (
        main(["predict", str(run), str(data / "images"), "--out", str(tmp_path / "out"), "--device", "cpu"])
        == 0
    )
    out, err = capsys.readouterr()
    assert (out, err) == (f"6 masks written to {tmp_path / 'out'}\n", "")
    assert sorted(contents(tmp_path / "out")) == [f"{case}.png" for case in CASES]
    for case in CASES:
        array, _ = read_label_array(tmp_path / "out" / f"{case}.png")
        assert array.shape == (32, 32)
        assert set(np.unique(array)) <= {0, 1, 2}


def test_a_run_folder_may_be_moved(data, run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "elsewhere")
    for source in (run, tmp_path / "elsewhere"):
        argv = ["predict", str(source), str(data / "images"), "--out", str(tmp_path / f"{source.name}_out")]
        assert main([*argv, "--device", "cpu"]) == 0
    assert contents(tmp_path / "run_out") == contents(tmp_path / "elsewhere_out")


def test_progress_is_shown_on_a_terminal(data, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["predict", str(run), str(data / "images"), "--out", str(tmp_path / "out")]) == 0
    assert "segmenting" in capsys.readouterr().err


def test_a_correction_that_no_run_measured_is_refused_in_one_sentence(data, run, tmp_path, capsys):
    assert main(["predict", str(run), str(data / "images"), "--out", str(tmp_path / "out"), "--correct"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no bias to correct" in err
    assert not (tmp_path / "out").exists()


def test_an_unknown_device_ends_in_exit_code_2(data, run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(
            ["predict", str(run), str(data / "images"), "--out", str(tmp_path / "out"), "--device", "toaster"]
        )
    assert ended.value.code == 2
    assert "toaster" in capsys.readouterr().err


def test_cases_may_be_named_and_unknown_ones_are_refused(run, data, tmp_path, capsys):
    argv = ["predict", str(run), str(data / "images"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*argv, "--cases", "c1,c3"]) == 0
    assert sorted({path.stem for path in (tmp_path / "out").rglob("*.png")}) == ["c1", "c3"]
    assert main([*argv[:-3], str(tmp_path / "other"), "--cases", "nobody"]) == 2
    assert "has no image of the case 'nobody'" in capsys.readouterr().err
