"""`labelmend train` as a person runs it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import drawn_data
from drawn_data import ALWAYS_FLAGS, TRAINING, contents
from labelmend.cli import main
from labelmend.cli.console import Console
from labelmend.cli.train import config_of, parser, show_run
from labelmend.model.config import NetworkConfig
from labelmend.workflows.training.config import AugmentConfig, TrainConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return drawn_data.overlapping(tmp_path_factory.mktemp("data"))


def argv(data: Path, out: Path, *more: str) -> list[str]:
    network = json.dumps(drawn_data.TINY.args)
    return [
        "train", str(data), "--labels", "given", "--out", str(out), "--clean", str(data / "trusted.txt"),
        "--clean-labels", "clean", *ALWAYS_FLAGS, "--network.args", network, "--epochs", "2",
        "--batch-size", "4", "--device", "cpu", "--threads", "1", *more,
    ]  # fmt: skip


def test_the_command_tells_one_fact_a_line_when_piped(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(argv(data, tmp_path / "run", "--rounds", "1")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.split()[:4] for line in lines[:2]] == [
        ["round", "1", "heart", "bias"],
        ["round", "1", "lung", "bias"],
    ]
    assert lines[2:] == [
        "5 of 5 cases corrected",
        f"corrected labels  {tmp_path / 'run' / 'labels'}",
        f"report            {tmp_path / 'run' / 'report.html'}",
    ]


def test_progress_is_shown_on_a_terminal(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(argv(data, tmp_path / "run", "--rounds", "1", "--epochs", "1")) == 0
    shown = capsys.readouterr().err
    for stage in ("checking data", "round 1", "revising, round 1", "writing labels"):
        assert stage in shown


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(argv(data, run)) == 0
    return run


def lasting(run: Path) -> dict[str, str]:
    """Everything that must be the same in two runs of the same settings."""
    return {
        name: digest for name, digest in contents(run).items() if name not in ("config.yaml", "report.html")
    }


@pytest.mark.parametrize("with_data", [False, True], ids=["settings alone", "data said again"])
def test_saved_settings_reproduce_every_file_byte_for_byte(data, finished, tmp_path, with_data):
    more = [str(data)] if with_data else []
    config = str(finished / "config.yaml")
    assert main(["train", *more, "--config", config, "--out", str(tmp_path / "run")]) == 0
    assert lasting(tmp_path / "run") == lasting(finished)
    assert json.loads((finished / "summary.json").read_text())["rounds"][1]["n_revised"] == len(TRAINING)


def test_a_flag_wins_over_saved_settings(finished, tmp_path):
    more = ["--epochs", "1", "--method.min-shift-vox", "9"]
    config = str(finished / "config.yaml")
    assert main(["train", "--config", config, "--out", str(tmp_path / "run"), *more]) == 0
    old, new = (yaml.safe_load((run / "config.yaml").read_text()) for run in (finished, tmp_path / "run"))
    assert (old["epochs"], new["epochs"]) == (2, 1)
    assert (old["method"]["min_shift_vox"], new["method"]["min_shift_vox"]) == (0.0, 9.0)
    assert {k for k in old if old[k] != new[k]} == {"out", "epochs", "method"}


def test_the_same_command_again_changes_nothing(data, finished, capsys):
    before = contents(finished)
    assert main(argv(data, finished)) == 0
    assert contents(finished) == before


def test_the_whole_help_shows_every_setting(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help-all"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name in (
        "--labels",
        "--clean",
        "--resize",
        "--network.name",
        "--augment.rotate-deg",
        "--method.gamma",
    ):
        assert name in shown


def test_flags_become_settings():
    flags = [
        "d",
        "--out",
        "o",
        "--resize",
        "[64, 48]",
        "--network.name",
        "SegResNet",
        "--network.args",
        '{"a": 1}',
    ]
    flags += ["--augment.flip-axes", "[0, 1]", "--classes", "{heart: 1, lung: 2}", "--spacing-mm", "0.7"]
    assert config_of(parser().parse_args(flags)) == TrainConfig(
        data="d",
        out="o",
        resize=[64, 48],
        network=NetworkConfig("SegResNet", {"a": 1}),
        augment=AugmentConfig(flip_axes=(0, 1)),
        classes={"heart": 1, "lung": 2},
        spacing_mm=0.7,
    )


def test_without_flags_the_settings_are_those_of_the_python_call():
    assert config_of(parser().parse_args(["d", "--out", "o"])) == TrainConfig(data="d", out="o")


def test_a_keyboard_interrupt_says_how_to_go_on(data, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("labelmend.workflows.training.loop.fit", interrupted)
    assert main(argv(data, tmp_path / "run")) == 130
    assert capsys.readouterr().err == "labelmend train: stopped; run the same command again to continue\n"


def result(**more):
    heart = {"class": "heart", "mean_mm": -1.234, "low_mm": -1.5, "high_mm": -0.9, "why": "moved inward"}
    summary = {
        "unit": "mm",
        "rounds": [{"round": 1, "bias": [heart | more]}],
        "cases": [{"version": 1}, {"version": 0}],
        "notes": ["two cases were [small]"],
    }
    return SimpleNamespace(folder=Path("run"), labels=Path("run/labels"), summary=summary)


def test_a_run_is_shown_one_fact_per_line_however_narrow_the_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    show_run(result(), Console())
    assert capsys.readouterr().out.splitlines() == [
        "round 1  heart        bias -1.23 mm [-1.50, -0.90]: moved inward",
        "note: two cases were [small]",
        "1 of 2 cases corrected",
        "corrected labels  run/labels",
        "report            run/report.html",
    ]


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"low_mm": None, "high_mm": None}, "bias -1.23 mm: moved inward"),
        ({"mean_mm": None, "low_mm": None}, "bias none: moved inward"),
    ],
)
def test_what_was_not_measured_is_not_made_up(capsys, found, shown):
    show_run(result(**found), Console())
    assert capsys.readouterr().out.splitlines()[0] == f"round 1  heart        {shown}"


def test_a_method_that_measures_no_bias_says_what_it_found(capsys):
    bare = result()
    bare.summary["rounds"] = [{"round": 1, "bias": [{"class": "heart", "why": "three pixels dropped"}]}]
    show_run(bare, Console())
    assert capsys.readouterr().out.splitlines()[0] == "round 1  heart        three pixels dropped"
