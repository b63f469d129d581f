"""A finding has a kind and a score; measures are in words that people can use."""

from __future__ import annotations

import math

import pytest

from labelmend.errors import ConfigError
from labelmend.workflows.auditing.findings import KINDS, Finding, measured
from labelmend.workflows.auditing.findings.finding import ordered


def test_there_are_six_kinds():
    assert KINDS == ("case", "missing", "spurious", "wrong_class", "outline", "fault")


def test_another_kind_is_refused():
    with pytest.raises(ConfigError, match="no kind of finding called 'odd': there are case, missing"):
        Finding("odd", "a", 0.5, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan])
def test_a_score_outside_0_to_1_is_refused(score):
    with pytest.raises(ConfigError, match=r"a score lies in \[0, 1\], got"):
        Finding("case", "a", score, "")


def test_both_ends_are_scores():
    assert [Finding("case", "a", score, "").score for score in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("value", "ndim", "unit", "words"),
    [
        (0.04, 1, "mm", "0.0 mm"),
        (9.94, 1, "mm", "9.9 mm"),
        (12.4, 1, "mm", "12 mm"),
        (1234.4, 1, "mm", "1,234 mm"),
        (99.6, 2, "mm", "100 mm2"),
        (100, 2, "mm", "1.0 cm2"),
        (2345, 2, "mm", "23 cm2"),
        (999, 3, "mm", "999 mm3"),
        (1000, 3, "mm", "1.0 ml"),
        (3.25, 1, "px", "3.2 px"),
        (12345, 2, "px", "12,345 px"),
        (12345, 3, "px", "12,345 px"),
    ],
)
def test_measures_have_units_and_two_digits_or_more(value, ndim, unit, words):
    assert measured(value, ndim, unit) == words


def test_the_surest_comes_first_and_equal_ones_stay_in_order():
    found = [Finding("outline", name, score, "") for name, score in zip("abcd", (0.2, 0.9, 0.2, 0.5))]
    assert [finding.class_name for finding in ordered(found)] == ["b", "d", "a", "c"]
