"""The page of a noise fit: where its bars lie, that it loads nothing, and that names are escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labelmend.errors import UnreadableFileError
from labelmend.html.charts import dots, interval_text
from labelmend.workflows.noise_fitting.page import histogram, render_noise, write_noise_page


def interval(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def clean_fit(name: str = "lung") -> dict[str, Any]:
    keys = ("bias_mm", "spread_mm", "roughness_mm", "correlation_mm", "dice", "area_ratio", "speck_share")
    case = {"bias_mm": 1.0, "roughness_mm": 0.5, "dice": 0.9, "area_ratio": 1.2}
    nothing = dict.fromkeys(case)
    return {
        "kind": "clean", "given": "given", "clean": "clean", "unit": "mm", "level": 0.95,
        "classes": [{
            "class": name, "n_cases": 3, "n_left_out": 1, "flags": "--noise markov --noise.steps 9",
            "summary": {key: interval(1.25, 1.0, 1.5) for key in keys},
            "fit": {
                "noise": {"steps": 9, "expand": 0.8, "flip": 0.05, "speckle": 0.0, "smooth": True},
                "steps": interval(9.4, 8, 11), "expand": interval(0.8, 0.7, 0.9), "speckle": interval(0.0),
                "distance": 7.25, "n_cases": 2, "n_profile": 2,
                "moments": [
                    {"name": "bias", "given": 1.0, "simulated": 1.1, "z": 0.4, "matched": True},
                    {"name": "perimeter", "given": 1.0, "simulated": 2.0, "z": 9.0, "matched": False},
                ],
                "profile": [{"flip": 0.1, "steps": 5.0, "expand": 0.79, "distance": 3.0}],
            },
            "histogram": {"edges_mm": [-1, 0, 1, 2], "given": [0, 0.5, 0.5], "simulated": [0.2, 0.4, 0.4]},
            "given": [case, {**case, "bias_mm": 1.4}, nothing], "simulated": [case, case],
        }],
    }  # fmt: skip


def rater_fit() -> dict[str, Any]:
    rows = [interval(-1.0, -1.2, -0.8), interval(1.0, 0.8, 1.2)]
    plain = [interval(0.5, 0.4, 0.6), interval(0.5)]
    return {
        "kind": "raters", "folders": ["one", "two"], "unit": "px", "level": 0.9, "n_cases": 4,
        "classes": [{
            "class": "nodule", "raters": ["one", "<two>"], "bias_mm": rows, "spread_mm": plain,
            "roughness_mm": plain, "n_cases": [4, 4], "dice": interval(0.8, 0.7, 0.9), "split": False,
        }],
    }  # fmt: skip


def test_bars_and_line_lie_where_their_numbers_are() -> None:
    chart = histogram("shift", [-1, 0, 1, 3], [0, 0.25, 0.5], [0.5, 0, 0])
    assert chart.zero == 100  # a quarter of 400
    assert chart.bars == ((100, 75, 100, 75), (200, 0, 100, 150))
    assert chart.line.startswith("M0.0 0.0H100.0L100.0 150.0H200.0")
    assert (0.0, "-1") in chart.ticks


def test_estimates_lie_on_an_axis_with_zero() -> None:
    chart = dots(
        [("a", interval(-1.0, -2.0, 0.0)), ("b", interval(None)), ("c", interval(2.0))], "mm", signed=True
    )
    assert [row[0] for row in chart.rows] == ["a", "c"]
    low, middle, high = chart.rows[0][2], chart.rows[0][1], chart.rows[0][3]
    assert low < middle < high == chart.zero
    assert chart.rows[1][2] is None
    assert chart.rows[1][4] == "+2.00 mm"


def test_intervals_read_as_text() -> None:
    assert interval_text(interval(1.2, 1.1, 1.3), 1, signed=True) == "+1.2 (+1.1 to +1.3)"
    assert interval_text(interval(1.2)) == "1.20"
    assert interval_text(interval(None)) == "not known"


@pytest.mark.parametrize("found", [clean_fit(), rater_fit()], ids=["clean", "raters"])
def test_the_page_loads_nothing_and_runs_nothing(found: dict[str, Any]) -> None:
    page = render_noise(found)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<img|<link|https?://|@import|url\(", page)
    assert page.count("<svg") == page.count("</svg>") > 2


def test_the_page_of_a_fit_tells_settings_misfit_and_what_is_not_known() -> None:
    page = render_noise(clean_fit())
    assert "labelmend simulate CLEAN --out OUT --noise markov --noise.steps 9" in page
    assert "steps 9 (8 to 11)" in page
    assert "of which 1 left out" in page
    assert '<td class="off">+9.0</td>' in page
    assert '<td class="">+0.4</td>' in page
    assert "What the data cannot identify" in page


def test_the_page_of_annotators_says_what_cannot_be_seen() -> None:
    page = render_noise(rater_fit())
    assert "sum to zero" in page
    assert "are split equally" in page
    assert "90 %" in page


def test_names_are_escaped() -> None:
    assert "<two>" not in render_noise(rater_fit())
    assert "&lt;b&gt;" in render_noise(clean_fit("<b>"))


def test_the_page_is_written_beside_the_fit(tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(json.dumps(clean_fit()))
    page = write_noise_page(tmp_path)
    assert page == tmp_path / "fit.html"
    assert page.read_text().startswith("<!doctype html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.html", "fit.json"]


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "clean"}', "[1]"])
def test_something_else_in_place_of_a_fit_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(UnreadableFileError, match="not a finished noise fit"):
        write_noise_page(tmp_path)


def test_a_missing_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=re.escape("fit.json")):
        write_noise_page(tmp_path)
