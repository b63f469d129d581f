"""What is shown on a terminal, what is piped, and what goes to the log of a job."""

from pathlib import Path

import pytest

from labelmend.cli import console
from labelmend.cli.console import Console, log_line, nnunet_command
from labelmend.runtime.progress import Tick


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def shown(capsys, *ticks: Tick, **settings: bool) -> tuple[str, str]:
    with Console(**settings).progress() as progress:
        for tick in ticks:
            progress(tick)
    return capsys.readouterr()


def test_progress_of_less_than_half_a_minute_is_silent_when_piped(capsys):
    assert shown(capsys, Tick("round 1", 1, 2), Tick("round 1", 2, 2)) == ("", "")


def test_a_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch, capsys):
    times = iter([0.0, 0.0, 20.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    ticks = [Tick("round 1", done, 10, f"epoch {done}") for done in (1, 2, 3, 4, 5)]
    assert shown(capsys, *ticks).err.splitlines() == [
        "round 1 3/10 epoch 3, about 2 min left",  # two steps in 40 s, seven to go
        "round 1 5/10 epoch 5, about 2 min left",  # four steps in 80 s, five to go
    ]


def test_verbose_logs_every_step(capsys):
    _, err = shown(capsys, Tick("round 1", 1, 2), Tick("round 1", 2, 2), verbose=True)
    assert [line.split(",")[0] for line in err.splitlines()] == ["round 1 1/2", "round 1 2/2"]


def test_quiet_prints_neither_text_nor_tables_nor_progress(terminal, capsys):
    quiet = Console(quiet=True)
    quiet.say("a line")
    quiet.sentences("Notes", ["one"])
    quiet.table("Dice", ["class"], [["heart"]])
    assert shown(capsys, Tick("round 1", 1, 2), quiet=True) == ("", "")


@pytest.mark.parametrize(
    ("tick", "seconds", "steps", "line"),
    [
        (Tick("reading", 7, 0, "a"), 60.0, 6, "reading 7 a"),  # no total: no time left
        (Tick("reading", 1, 9), 0.0, 0, "reading 1/9"),  # nothing measured yet
        (Tick("reading", 9, 9), 60.0, 8, "reading 9/9"),
        (Tick("reading", 3, 9), 20.0, 2, "reading 3/9, about 60 s left"),
    ],
)
def test_time_left_is_said_only_where_it_is_known(tick, seconds, steps, line):
    assert log_line(tick, seconds, steps) == line


def test_each_stage_has_a_bar_with_what_is_done_and_what_there_is(terminal, capsys):
    out, err = shown(capsys, Tick("round 1", 3, 7, "loss 0.5"), Tick("revising", 1, 9))
    assert out == ""
    for word in ("round 1", "loss 0.5", "revising"):
        assert word in err
    plain = "".join(c for c in err if c.isalnum() or c in "/ ")
    assert "3/7" in plain
    assert "1/9" in plain


def test_a_stage_of_unknown_length_is_shown_too(terminal, capsys):
    assert "checking data" in shown(capsys, Tick("checking data", 5, 0, "c5")).err


def test_a_case_id_with_brackets_is_shown_as_it_is(terminal, capsys):
    assert "scan[bold]7" in shown(capsys, Tick("checking data", 1, 2, "scan[bold]7")).err


def test_no_colour_where_the_user_asks_for_none(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    Console().table("Dice", ["class"], [["heart"]])
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Console().table("Dice", ["class"], [["heart"]])
    assert "\x1b[3" not in capsys.readouterr().out


def test_a_table_has_its_title_names_and_numbers(capsys):
    Console().table("Dice", ["class", "given"], [["heart", "0.77"], ["lung", "0.78"]])
    words = capsys.readouterr().out.split()
    assert words[0] == "Dice"
    for word in ("class", "given", "heart", "0.77", "lung", "0.78"):
        assert word in words


def test_the_next_command_names_the_folder_above_the_data_set_and_its_number():
    assert nnunet_command(Path("my data/Dataset007_Old_mended")) == (
        "nnUNet_raw='my data' nnUNetv2_plan_and_preprocess -d 7 --verify_dataset_integrity"
    )


@pytest.mark.parametrize("name", ["[/b]x", "[red]", ":smile:", "[link=http://x]y[/link]", "a[b"])
def test_brackets_in_names_are_shown_as_they_are(name, capsys):
    Console().table(name, ["", name], [[name, "1"]])
    Console().say(name)
    assert capsys.readouterr().out.count(name) == 4


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\rb", r"a\rb"),
        ("a\x9bb", r"a\x9bb"),
        ("a\ud800b", r"a\ud800b"),
        ("a\u202eb", r"a\u202eb"),
        ("Müller (ж)", "Müller (ж)"),
    ],
)
def test_what_a_terminal_obeys_is_spelled_out(name, shown, capsys):
    Console().say(name)
    Console().table("t", [""], [[name]])
    assert capsys.readouterr().out.count(shown) == 2
