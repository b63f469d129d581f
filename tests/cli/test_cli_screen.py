"""What is shown on a terminal and what is piped."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from labelmend.cli import screen
from labelmend.cli.screen import Bars, nnunet_command, print_run, table


def tick(stage: str, done: int, total: int, text: str = "") -> SimpleNamespace:
    return SimpleNamespace(stage=stage, done=done, total=total, text=text)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def test_progress_is_silent_when_piped(capsys):
    with Bars() as bars:
        bars.on_tick(tick("round 1", 1, 2))
    assert capsys.readouterr() == ("", "")


def test_each_stage_has_a_bar_with_what_is_done_and_what_there_is(terminal, capsys):
    with Bars() as bars:
        bars.on_tick(tick("round 1", 3, 7, "loss 0.5"))
        bars.on_tick(tick("revising", 1, 9))
    out, err = capsys.readouterr()
    assert out == ""
    for word in ("round 1", "loss 0.5", "revising"):
        assert word in err
    plain = "".join(c for c in err if c.isalnum() or c in "/ ")
    assert "3/7" in plain
    assert "1/9" in plain


def test_a_stage_of_unknown_length_is_shown_too(terminal, capsys):
    with Bars() as bars:
        bars.on_tick(tick("checking data", 5, 0, "c5"))
    assert "checking data" in capsys.readouterr().err


def test_a_case_id_with_brackets_is_shown_as_it_is(terminal, capsys):
    with Bars() as bars:
        bars.on_tick(tick("checking data", 1, 2, "scan[bold]7"))
    assert "scan[bold]7" in capsys.readouterr().err


def result(**more):
    heart = {"class": "heart", "mean_mm": -1.234, "low_mm": -1.5, "high_mm": -0.9, "why": "moved inward"}
    summary = {
        "unit": "mm",
        "rounds": [{"round": 1, "bias": [heart | more]}],
        "cases": [{"version": 1}, {"version": 0}],
        "notes": ["two cases were [small]"],
    }
    return SimpleNamespace(folder=Path("run"), labels=Path("run/labels"), summary=summary)


def test_a_run_is_told_one_fact_a_line_however_narrow_the_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    print_run(result())
    assert capsys.readouterr().out.splitlines() == [
        "round 1  heart        bias -1.23 mm [-1.50, -0.90]: moved inward",
        "note: two cases were [small]",
        "1 of 2 cases corrected",
        "corrected labels  run/labels",
        "report            run/report.html",
    ]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"low_mm": None, "high_mm": None}, "bias -1.23 mm: moved inward"),
        ({"mean_mm": None, "low_mm": None}, "bias none: moved inward"),
    ],
)
def test_what_was_not_measured_is_not_made_up(capsys, found, told):
    print_run(result(**found))
    assert capsys.readouterr().out.splitlines()[0] == f"round 1  heart        {told}"


def test_a_method_that_measures_no_bias_says_what_it_found(capsys):
    bare = result()
    bare.summary["rounds"] = [{"round": 1, "bias": [{"class": "heart", "why": "three pixels dropped"}]}]
    print_run(bare)
    assert capsys.readouterr().out.splitlines()[0] == "round 1  heart        three pixels dropped"


def test_a_table_has_its_title_names_and_numbers(capsys):
    table("Dice", ["class", "given"], [["heart", "0.77"], ["lung", "0.78"]])
    words = capsys.readouterr().out.split()
    assert words[0] == "Dice"
    for word in ("class", "given", "heart", "0.77", "lung", "0.78"):
        assert word in words


def test_a_counting_bar_knows_how_far_it_came():
    with Bars() as bars:
        on_case = bars.counting("comparing")
        for case in ("a", "b"):
            on_case(case, 3)
    assert bars.done("comparing") == 2
    assert bars.done("never begun") == 0


def test_the_next_command_names_the_folder_above_the_data_set_and_its_number():
    assert nnunet_command(Path("my data/Dataset007_Old_mended")) == (
        "nnUNet_raw='my data' nnUNetv2_plan_and_preprocess -d 7 --verify_dataset_integrity"
    )


@pytest.mark.parametrize("name", ["[/b]x", "[red]", ":smile:", "[link=http://x]y[/link]", "a[b"])
def test_brackets_in_names_are_shown_as_they_are(name, capsys):
    screen.table(name, ["", name], [[name, "1"]])
    screen.say(name)
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
    screen.say(name)
    screen.table("t", [""], [[name]])
    assert capsys.readouterr().out.count(shown) == 2
