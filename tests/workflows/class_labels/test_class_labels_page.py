"""The page of an estimate of label noise: what it says first, where its cells lie, that it loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labelmend.errors import UnreadableFileError
from labelmend.html.text import percent, span
from labelmend.workflows.class_labels.page import bars, heat_map, matrix_sentence, render_transition
from labelmend.workflows.class_labels.page import write_transition_page as write_page

MATRIX = [[0.62, 0.38], [0.18, 0.82]]
SUSPECT = {"row": "7", "given": "well", "likeliest": "ill", "given_right": "0.031"}


def interval(value: float, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def estimate(classes: tuple[str, ...] = ("ill", "well"), *, boot: bool = True) -> dict[str, Any]:
    """What transition.json holds, for two classes."""
    low, high = [[0.5, 0.3], [0.1, 0.78]], [[0.7, 0.5], [0.22, 0.9]]
    rates = [interval(0.38, 0.3, 0.5), interval(0.18, 0.1, 0.22)]
    return {
        "kind": "transition", "version": "0.1.0", "level": 0.95, "n_rows": 1000, "n_suspects": 3,
        "source": {"files": ["t.csv"], "target": "y", "groups": None}, "rows_counted": "Counted from 0.",
        "classes": list(classes), "n_given": [480, 520], "prior": [0.6, 0.4], "given_right": [0.85, 0.6],
        "matrix": MATRIX, "low": low if boot else None, "high": high if boot else None,
        "noise_rates": rates if boot else [interval(0.38), interval(0.18)],
        "noise_rate": interval(0.27, 0.22, 0.314) if boot else interval(0.27),
        "features": [{"name": "age", "weight": 0.25}, {"name": "dose", "weight": 1.0}],
        "warnings": ["Classes overlap."], "assumptions": ["Labels are wrong by class only."],
        "notes": ["Text was one-hot encoded."], "settings": {"method": "anchors", "seed": 0},
    }  # fmt: skip


def test_the_page_begins_with_how_many_labels_are_wrong_and_how_sure_that_is():
    page = render_transition(estimate(), [SUSPECT])
    assert "<h1>About 27 % of the labels look wrong</h1>\n<p>The 95 % interval is 22 to 31 %." in page
    assert page.index("Classes overlap.") < page.index("How labels go wrong") < page.index("Assumptions<")
    assert "Labels are wrong by class only." in page
    assert "Text was one-hot encoded." in page


def test_without_draws_there_are_no_intervals():
    page = render_transition({**estimate(boot=False), "warnings": []}, [])
    assert "95 %" not in page
    assert "with caution" not in page
    assert "No label is less likely than another class." in page


def test_rows_of_the_picture_are_true_classes():
    heat = heat_map(["ill", "well"], MATRIX, [[0.5, 0.3], [0.1, 0.78]], [[0.7, 0.5], [0.22, 0.9]])
    assert heat.size == 2 * heat.side
    assert [(c.x, c.y) for c in heat.cells] == [
        (0, 0), (heat.side, 0), (0, heat.side), (heat.side, heat.side)
    ]  # fmt: skip
    assert [c.right for c in heat.cells] == [True, False, False, True]
    assert [c.number for c in heat.cells] == ["62 %", "38 %", "18 %", "82 %"]
    assert heat.cells[1].tooltip == "true ill, labelled well: 38 % (30 to 50 %)"
    assert heat.cells[1].strength == 0.38


def test_many_classes_are_colour_without_numbers_and_long_names_are_cut():
    k = 40
    matrix = [[float(i == j) for j in range(k)] for i in range(k)]
    heat = heat_map([f"a class with the number {i}" for i in range(k)], matrix, None, None)
    assert not heat.numbered
    assert heat.size <= 700
    assert heat.names[0] == "a clas…ber 0"
    assert len(set(heat.names)) == k
    assert heat_map(["a", "b"], MATRIX, None, None).cells[0].interval == ""


def test_the_picture_is_read_by_its_worst_row():
    assert matrix_sentence(["ill", "well"], MATRIX).endswith(
        "about 62 are labelled so and 38 are labelled “well”."
    )
    matrix = [[0.9, 0.1, 0.0], [0.1, 0.6, 0.3], [0, 0, 1]]
    assert matrix_sentence(["a", "b", "c"], matrix) == (
        "Of 100 rows that are truly “b”, about 60 are labelled so and the others most often “c” (30)."
    )


def test_the_heaviest_features_come_first_and_the_rest_is_left_out():
    drawn = bars([{"name": f"x{i}", "weight": i / 29} for i in range(30)])
    assert len(drawn) == 20
    assert (drawn[0].name, drawn[0].length, drawn[0].text) == ("x29", 400.0, "1.00")


def test_shares_read_as_percent():
    assert [percent(v) for v in (0.0004, 0.099, 0.0996, 0.5)] == ["0 %", "9.9 %", "10 %", "50 %"]
    assert span(0.001, 0.2) == "0.1 to 20 %"


def test_the_page_loads_nothing_and_runs_nothing():
    page = render_transition(estimate(), [SUSPECT])
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<img|<link|https?://|@import|url\(", page)
    assert page.count("<svg") == page.count("</svg>") == 3


def test_names_are_escaped():
    page = render_transition(estimate(("<b>", "&")), [{**SUSPECT, "given": "<i>"}])
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;" in page


def write(folder: Path, found: Any) -> None:
    (folder / "transition.json").write_text(json.dumps(found))
    (folder / "suspects.csv").write_text("row,given,likeliest,given_right\n" + "7,well,ill,0.03\n" * 60)


def test_the_page_is_made_of_the_two_files_and_lists_fifty_suspects(tmp_path):
    write(tmp_path, {**estimate(), "n_suspects": 60})
    page = write_page(tmp_path)
    assert page == tmp_path / "report.html"
    text = page.read_text(encoding="utf-8")
    assert text.count('<td class="word">well</td>') == 50
    assert "of 60 for which another class is more likely" in text


WITHOUT_ASSUMPTIONS = {name: value for name, value in estimate().items() if name != "assumptions"}


@pytest.mark.parametrize("found", [{}, [1], WITHOUT_ASSUMPTIONS, {**estimate(), "matrix": [[1]]}])
def test_something_else_in_place_of_an_estimate_is_told(tmp_path, found):
    write(tmp_path, found)
    with pytest.raises(UnreadableFileError, match="no finished estimate"):
        write_page(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_missing_file_is_told(tmp_path):
    write(tmp_path, estimate())
    (tmp_path / "suspects.csv").unlink()
    with pytest.raises(UnreadableFileError, match=r"suspects\.csv"):
        write_page(tmp_path)
