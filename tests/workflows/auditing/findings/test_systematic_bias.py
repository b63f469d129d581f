"""Means and intervals of offsets by hand; one annotator who draws too generously, and all who do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drawing import disc
from drawn_findings import exclusive, sure
from labelmend.workflows.auditing.findings import (
    CaseStatistics,
    SystematicBias,
    biases,
    calibration_of,
    find_disagreements,
    statistics_of,
    typical,
)

NOTHING = calibration_of(np.zeros(4, int), np.full((2, 4), 0.5), np.zeros(4, bool))


def case(offset: float = np.nan, edge: float = np.nan) -> CaseStatistics:
    one, gap = np.ones(1), np.array([offset])
    return CaseStatistics(one, one, one, one, one, gap, np.array([edge]), 0.0, np.nan, 0.0, NOTHING)


def rows(
    cases: list[CaseStatistics], who: list[str] | None = None, **more: Any
) -> tuple[SystematicBias, ...]:
    settings = {"annotators": who or [""] * len(cases), "spacing_mm": 1.0, "unit": "mm"} | more
    return biases(cases, typical(cases, settings["spacing_mm"]), ["a"], **settings)


def test_mean_and_interval_by_hand():
    (row,) = rows([case(1.0), case(2.0), case(3.0)])
    half = 4.30265 / np.sqrt(3)  # Student's t with two degrees of freedom, spread 1
    assert (row.offset_mm, row.n_cases, row.against) == (2.0, 3, "prediction")
    assert (row.low_mm, row.high_mm) == (pytest.approx(2 - half, abs=1e-4), pytest.approx(2 + half, abs=1e-4))
    assert not row.systematic  # zero lies within
    assert row.reason == "a is drawn without a visible bias, compared with the predictions."


@pytest.mark.parametrize(("side", "word"), [(1, "wide"), (-1, "tight")])
def test_a_bias_says_its_side_and_its_unit(side, word):
    (row,) = rows([case(side * value) for value in (1.9, 2.0, 2.1)], unit="px")
    assert row.systematic
    assert (
        row.reason == f"a is drawn 2.0 px too {word} on average over 3 cases, compared with the predictions."
    )


@pytest.mark.parametrize(("spacing_mm", "systematic"), [(1.0, False), (0.5, True)])
def test_less_than_half_a_pixel_is_no_bias(spacing_mm, systematic):
    (row,) = rows([case(value) for value in (0.39, 0.4, 0.41)], spacing_mm=spacing_mm)
    assert row.systematic == systematic


def test_equal_offsets_have_an_interval_of_no_width():
    (row,) = rows([case(2.0)] * 3)
    assert (row.low_mm, row.high_mm, row.systematic) == (2, 2, True)


def test_two_cases_are_too_few():
    assert rows([case(2.0), case(2.0), case()]) == ()
    assert rows([case()]) == ()


def test_edges_are_asked_where_they_tell_something():
    near = [case(0.0, edge) for edge in (-2.9, -3.0, -3.1)]
    prediction, edges = rows(near)
    assert (prediction.systematic, edges.systematic, edges.against) == (False, True, "image edges")
    assert edges.offset_mm == pytest.approx(3)
    assert (
        edges.reason
        == "a is drawn 3.0 mm too wide on average over 3 cases, compared with edges in the images."
    )
    anywhere = [case(0.0, edge) for edge in (0, 0, 0, 8, -8, 7, -6, 6)]
    assert [row.against for row in rows(anywhere)] == ["prediction"]


def test_each_annotator_has_rows_beside_those_of_all():
    cases = [case(0.0), case(0.1), case(-0.1), case(3.0), case(3.1), case(2.9), case(-6.0)]
    found = rows(cases, ["ann", "ann", "ann", "bob", "bob", "bob", ""])
    assert [(row.annotator, row.n_cases, row.systematic) for row in found] == [
        ("", 7, False),
        ("ann", 3, False),
        ("bob", 3, True),
    ]
    assert found[2].reason.startswith("bob draws a 3.0 mm too wide")


def test_a_single_annotator_is_all():
    assert [row.annotator for row in rows([case(2.0)] * 3, ["ann"] * 3)] == [""]


def test_of_drawn_discs_the_annotator_who_draws_3_px_too_far_out_is_seen(rng):
    cases, who = [], []
    for index in range(12):
        centre, radius = rng.uniform(28, 36, 2), rng.uniform(12, 16)
        out_vox = 3 if index % 3 == 0 else 0
        image = disc((64, 64), centre, radius)[None] * 40 + rng.normal(0, 2, (1, 64, 64))
        given = exclusive(disc((64, 64), centre, radius + out_vox), spacing_mm=(0.5, 0.5))
        cases.append(
            statistics_of(given, find_disagreements(given, sure(given.array, 1)), image)
        )  # the network agrees
        who.append("generous" if out_vox else "careful")
    found = {(row.annotator, row.against): row for row in rows(cases, who, spacing_mm=0.5)}
    generous, careful = found["generous", "image edges"], found["careful", "image edges"]
    assert generous.systematic
    assert generous.offset_mm == pytest.approx(1.5, abs=0.1)
    assert not careful.systematic
    assert not found["generous", "prediction"].systematic
