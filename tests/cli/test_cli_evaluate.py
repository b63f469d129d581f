"""`labelmend evaluate` as a person runs it: table, files, and one sentence when something is wrong."""

import csv
import io
import json
import math

import numpy as np
import pytest

from drawing import picture
from labelmend.cli import main
from labelmend.cli.console import Console
from labelmend.cli.evaluate import show
from labelmend.workflows.evaluation import Evaluation, evaluate


def save(path, text) -> None:
    picture(path, np.array([[int(c) for c in text]], np.uint8))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """a: class 1 too large by a pixel on both sides; b: equal, without class 2; c: class 1 missing."""
    monkeypatch.setenv("COLUMNS", "80")
    for case, drawn, truth in (
        ("a", "001111002200", "000110002200"),
        ("b", "000110000000", "000110000000"),
        ("c", "000000002200", "000110002200"),
    ):
        save(tmp_path / "drawn" / f"{case}.png", drawn)
        save(tmp_path / "truth" / f"{case}.png", truth)
    return [str(tmp_path / "drawn"), str(tmp_path / "truth")]


def cells(output: str, *start: str) -> list[str]:
    """The words of the first line that starts with the given words."""
    return next(line.split() for line in output.splitlines() if line.split()[: len(start)] == list(start))


def test_the_table_has_a_row_a_class_and_the_mean_over_classes(folders, capsys):
    assert main(["evaluate", *folders, "--spacing-mm", "2", "--classes", "heart=1,lung=2"]) == 0
    output = capsys.readouterr().out
    # heart: Dice 2/3, 1, 0; NSD at 2 mm 1, 1, 0; HD95 2, 0 and one infinite; bias -2, 0
    heart = "heart 0.556±0.509 0.500±0.500 0.667±0.577 1.0±1.4 -1.00±1.41"
    lung = "lung 1.000±0.000 1.000±0.000 1.000±0.000 0.0±0.0 0.00±0.00"
    assert cells(output, "heart") == heart.split()
    assert cells(output, "lung") == lung.split()
    assert cells(output, "mean") == ["mean", "0.778", "0.750", "0.833", "0.5", "-0.50"]
    assert cells(output, "class") == ["class", "Dice", "IoU", "NSD", "2", "mm", "HD95", "mm", "bias", "mm"]


def test_what_the_means_leave_out_is_said_below_the_table(folders, capsys):
    main(["evaluate", *folders, "--classes", "heart=1,lung=2"])
    output = " ".join(capsys.readouterr().out.split())
    assert "lung: 1 case with nothing in either folder, in no mean." in output
    assert "heart: absent from the labels in 1 case, from the reference in 0 cases" in output
    assert "heart: HD95 is infinite in 1 case, in no mean." in output
    assert "negative: the labels are too large" in output


def test_without_spacing_the_unit_is_the_pixel(folders, capsys):
    main(["evaluate", *folders])
    output = capsys.readouterr().out
    assert cells(output, "class") == ["class", "Dice", "IoU", "NSD", "2", "px", "HD95", "px", "bias", "px"]
    assert "give --spacing-mm" in output
    main(["evaluate", *folders, "--spacing-mm", "[1, 0.5]", "--tolerance-mm", "0.25"])
    output = capsys.readouterr().out
    assert cells(output, "class") == ["class", "Dice", "IoU", "NSD", "0.25", "mm", "HD95", "mm", "bias", "mm"]
    assert "--spacing-mm" not in output


def test_the_lowest_dice_come_first(folders, capsys):
    main(["evaluate", *folders, "--worst", "2"])
    output = capsys.readouterr().out.split("Lowest Dice")[1]
    rows = [line.split()[:3] for line in output.splitlines() if line.startswith(("a ", "b ", "c "))]
    assert rows == [["c", "1", "0.000"], ["a", "1", "0.667"]]


def test_no_worst_cases_are_listed_when_none_are_asked_for(folders, capsys):
    main(["evaluate", *folders, "--worst", "0"])
    assert "Lowest" not in capsys.readouterr().out


def test_per_case_prints_every_case_and_class(folders, capsys):
    main(["evaluate", *folders, "--per-case", "--worst", "0"])
    output = capsys.readouterr().out.split("Every case and class")[1]
    assert cells(output, "a", "1")[2:] == ["0.667", "0.500", "1.000", "1.0", "-1.00"]
    assert cells(output, "b", "2")[2:] == ["-"] * 5
    assert cells(output, "c", "1")[2:] == ["0.000", "0.000", "0.000", "inf", "-"]


def test_json_and_csv_hold_every_score(folders, tmp_path):
    assert main(["evaluate", *folders, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["n_cases"] == 3
    assert [c["class"] for c in found["classes"]] == ["1", "2"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "scores.csv").read_text())))
    assert [(r["case"], r["class"]) for r in rows] == [(c, k) for c in "abc" for k in "12"]
    assert float(rows[0]["dice"]) == pytest.approx(2 / 3)
    assert float(rows[0]["boundary_bias_mm"]) == -1
    assert rows[3]["dice"] == ""
    assert math.isinf(float(rows[4]["hd95_mm"]))
    assert {r["unit"] for r in rows} == {"px"}
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def test_reference_cases_that_were_not_evaluated_are_told(folders, tmp_path, capsys):
    save(tmp_path / "truth" / "d.png", "000110000000")
    main(["evaluate", *folders])
    assert "Not scored: 1 case only in the reference (d)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tolerance-mm=-1"], "tolerance"),
        (["--out", __file__], "is a file"),
        (["--spacing-mm", "[1, 2, 3]"], "2 positive spacings"),
        (["--classes", "heart=1"], "value 2"),
    ],
)
def test_bad_settings_end_in_one_sentence_and_exit_code_2(folders, capsys, arguments, words):
    assert main(["evaluate", *folders, *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("labelmend evaluate: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_missing_reference_ends_in_exit_code_2(folders, tmp_path, capsys):
    save(tmp_path / "drawn" / "new.png", "000110000000")
    assert main(["evaluate", *folders]) == 2
    assert "1 of 4 cases" in (told := capsys.readouterr().err)
    assert "--cases" in told


def test_cases_without_a_reference_are_all_listed_and_can_be_left_out(folders, tmp_path, capsys):
    new = [f"new{number}" for number in range(9)]
    for case in new:
        save(tmp_path / "drawn" / f"{case}.png", "000110000000")
    assert main(["evaluate", *folders]) == 2
    assert ", ".join(new) in capsys.readouterr().err
    assert main(["evaluate", *folders, "--cases", "a, b"]) == 0
    assert "Only 2 selected cases were compared." in capsys.readouterr().out
    (tmp_path / "cases.txt").write_text("a\nc\n")
    assert main(["evaluate", *folders, "--cases", str(tmp_path / "cases.txt")]) == 0
    assert main(["evaluate", *folders, "--cases", "[a, nobody]"]) == 2
    assert "requested cases: nobody" in capsys.readouterr().err


def test_settings_come_from_a_config_file_and_flags_win(folders, tmp_path, capsys):
    config = tmp_path / "evaluate.yaml"
    config.write_text("tolerance_mm: 3.5\nspacing_mm: [1, 2]\nclasses: {heart: 1, lung: 2}\n")
    main(["evaluate", "--config", str(config), *folders, "--tolerance-mm", "1.5"])
    output = capsys.readouterr().out
    assert "NSD 1.5 mm" in output
    assert cells(output, "heart")


def printed(evaluation: Evaluation, encoding: str, monkeypatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        show(evaluation, Console(), per_case=True)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def test_an_output_without_plus_minus_and_rules_still_gets_its_table(folders, monkeypatch):
    text = printed(evaluate(*folders), "ascii", monkeypatch)
    assert "0.556+-0.509" in text


def test_the_table_of_three_organs_fits_80_columns_unbroken(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("left clavicle", "lung", "heart"):
        for case, drawn in (("JPCLN001", "001111000000"), ("JPCLN002", "000110000000")):
            save(tmp_path / "drawn" / name / f"{case}.png", drawn)
            save(tmp_path / "truth" / name / f"{case}.png", "000110000000")
    text = printed(evaluate(tmp_path / "drawn", tmp_path / "truth", spacing_mm=100), "utf-8", monkeypatch)
    table = text.split("\n\n")[1].splitlines()
    assert len(table) == 7  # title, head, rule, three classes, mean
    assert max(map(len, table)) <= 80
    # Dice 2/3 and 1, IoU 1/2 and 1, NSD 0 and 1, HD95 100 and 0, bias -100 and 0
    expected = "0.833±0.236 0.750±0.354 0.500±0.707 50.0±70.7 -50.00±70.71"
    assert cells(text, "left", "clavicle")[2:] == expected.split()
