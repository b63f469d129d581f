"""Which verb runs, what the outcome is worth, and that `python -m labelmend` is the same thing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

import labelmend
from labelmend import cli
from labelmend.errors import MissingDataError

VERB_FILES = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A verb `train` that keeps what it was told and does what `act` does."""

    def run(arguments: list[str], console: object) -> object:
        fake.told = arguments
        return fake.act()

    parser = types.SimpleNamespace(parse_args=lambda arguments: arguments)
    fake = types.SimpleNamespace(parser=lambda: parser, run=run, told=None, act=dict)
    monkeypatch.setitem(sys.modules, "labelmend.cli.train", fake)  # type: ignore[arg-type]
    return fake


def test_a_verb_gets_the_rest_of_the_line(verb: types.SimpleNamespace) -> None:
    assert cli.main(["train", "data", "--out", "run"]) == 0
    assert verb.told == ["data", "--out", "run"]


def test_an_error_raised_on_purpose_is_one_sentence_and_exit_code_2(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> object:
        raise MissingDataError("no folder there: give another")

    verb.act = fail
    assert cli.main(["train"]) == 2
    out, error = capsys.readouterr()
    assert (out, error) == ("", "labelmend train: no folder there: give another\n")


def test_any_other_error_is_a_defect_and_shows_whole(verb: types.SimpleNamespace) -> None:
    def fail() -> object:
        raise ZeroDivisionError

    verb.act = fail
    with pytest.raises(ZeroDivisionError):
        cli.main(["train"])


def test_a_stopped_run_is_told_how_to_go_on(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> object:
        raise KeyboardInterrupt

    verb.act = stop
    assert cli.main(["train"]) == 130
    assert "run the same command again to start over" in capsys.readouterr().err
    verb.RESUMES = True
    assert cli.main(["train"]) == 130
    assert "run the same command again to continue" in capsys.readouterr().err


def test_verbs_that_keep_what_is_done_say_so() -> None:
    assert [verb for verb in cli.VERBS if getattr(cli.cli_module(verb), "RESUMES", False)] == [
        "audit",
        "crossfit",
        "train",
        "simulate",
        "demo",
    ]


def test_the_signal_that_stopped_a_verb_is_in_its_exit_code(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    verb.act = lambda: signal.raise_signal(signal.SIGTERM)
    assert cli.main(["train"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "labelmend train: stopped; run the same command again to start over\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_misspelt_verb_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == "labelmend: there is no verb 'trian'; did you mean train?\n"


def test_an_unknown_verb_gets_the_list_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["xyz"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in cli.VERBS)


def test_common_flags_may_stand_before_and_after_the_verb(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.act = lambda: {"n": 1}
    for line in (["--json", "train", "data"], ["train", "--json", "data"], ["train", "data", "-q", "--json"]):
        assert cli.main(line) == 0
        assert json.loads(capsys.readouterr().out) == {"n": 1}
        assert verb.told == ["data"]


def test_verbose_shows_where_an_error_arose(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> object:
        raise MissingDataError("no folder there: give another")

    verb.act = fail
    assert cli.main(["train", "--verbose"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("labelmend train: no folder there: give another\n")


@pytest.mark.parametrize("line", [[], ["-h"], ["--help"]])
def test_without_a_verb_all_are_listed(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and what in out for name, what in cli.VERBS.items())


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--version", "-V"):
        assert cli.main([flag]) == 0
        assert capsys.readouterr().out == f"labelmend {labelmend.__version__}\n"


def test_every_verb_has_a_file() -> None:
    assert {verb.replace("-", "_") for verb in cli.VERBS} <= VERB_FILES


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labelmend", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"labelmend {labelmend.__version__}\n")
    failed = subprocess.run(
        [sys.executable, "-m", "labelmend", "fly"], capture_output=True, text=True, timeout=60
    )
    assert failed.returncode == 2


def test_what_an_error_quotes_does_nothing_to_the_terminal(capsys, tmp_path):
    assert cli.main(["evaluate", str(tmp_path), str(tmp_path / "\x1b[31mred")]) == 2
    told = capsys.readouterr().err
    assert "\\x1b[31mred" in told
    assert "\x1b" not in told


def test_a_verb_that_is_stopped_while_it_loads_begins_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(verb: str) -> types.ModuleType:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "cli_module", stop)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "labelmend train: stopped; run the same command again to start over\n"
