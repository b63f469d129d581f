"""Doubts, assumptions and the summary of an audit, for numbers made up by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labelmend.workflows.auditing.findings import KINDS, Finding, Typical, calibration_of
from labelmend.workflows.auditing.text import NAMES, assumptions, audit_doubts, summary


def usual(prob: float, given: int = 0, n_right: int = 9, at_outlines: bool = False) -> Typical:
    """Ten pixels, all predicted as class 0 with the same probability; so many are given as that."""
    labels = np.array([given] * n_right + [1 - given] * (10 - n_right))
    probs = np.full((2, 10), [[prob], [1 - prob]])
    none = np.zeros(1)
    calibration = calibration_of(labels, probs, np.full(10, at_outlines))
    return Typical(none, none, none, none, none, none, 0.0, 1.0, calibration)


def test_calibrated_probabilities_of_many_cases_leave_no_doubt():
    assert audit_doubts(usual(0.9), calibrated=False, n_cases=10) == []


@pytest.mark.parametrize(
    ("prob", "words"), [(0.999, "The network is overconfident"), (0.6, "The network is underconfident")]
)
def test_a_temperature_far_from_one_is_told_unless_it_is_undone(prob, words):
    (doubt,) = audit_doubts(usual(prob), calibrated=False, n_cases=10)
    assert words in doubt
    assert "--calibrate corrects this" in doubt
    assert audit_doubts(usual(prob), calibrated=True, n_cases=10) == []


def test_the_temperature_is_named():
    (doubt,) = audit_doubts(
        usual(0.988), calibrated=False, n_cases=10
    )  # 81 to 1 where 9 to 1 is right: squared
    assert "at a temperature of 2.0" in doubt


def test_probabilities_that_know_the_labels_are_told():
    doubt, *_ = audit_doubts(usual(0.95, n_right=10, at_outlines=True), calibrated=True, n_cases=10)
    assert "trained on these very labels" in doubt
    assert "Use predictions of cases that were held out" in doubt


@pytest.mark.parametrize(("n", "words"), [(1, "1 case is too few"), (9, "9 cases are too few")])
def test_few_cases_are_told(n, words):
    (doubt,) = audit_doubts(usual(0.9), calibrated=False, n_cases=n)
    assert doubt.startswith(words)


def test_assumptions_name_images_only_where_there_are_some():
    with_images, without = assumptions(with_images=True), assumptions(with_images=False)
    assert with_images[:2] == without[:2]
    assert "grey values" in with_images[2]
    assert without[2].startswith("No images were given")


def facts(**more: Any) -> dict[str, Any]:
    return {"version": "9.9", "n_cases": 2, "classes": ["lung", "heart"], "bias": []} | more


def row(case: str, score: float, lung: float | None, heart: float | None = None) -> dict[str, Any]:
    dice = {"lung": {"dice_to_prediction": lung}, "heart": {"dice_to_prediction": heart}}
    return {"case": case, "score": score, "classes": dice}


def test_a_summary_by_hand():
    bias = [
        {"systematic": True, "reason": "lung is drawn 2.0 mm too far out."},
        {"systematic": False, "reason": "heart is drawn without a bias that shows."},
    ]
    found = {
        "a": (Finding("missing", "lung", 0.9, ""), Finding("outline", "lung", 0.9, "")),
        "b": (Finding("outline", "lung", 0.9, ""),),
    }
    text = summary(facts(bias=bias), [row("a", 0.7, 0.5), row("b", 0.2, 0.9)], found)
    assert text.splitlines() == [
        "**Label audit** (labelmend 9.9): 2 cases, 1 to look at first.",
        "",
        "| finding | number |",
        "|---|---:|",
        "| missing objects | 1 |",
        "| stretches of outline | 2 |",
        "",
        "- lung is drawn 2.0 mm too far out.",
        "- Dice of given labels with out-of-sample predictions: lung 0.700.",
    ]


def test_classes_that_no_case_has_are_left_out_of_the_summary():
    text = summary(facts(), [row("a", 0.1, None)], {"a": ()})
    assert "Dice" not in text


def test_every_kind_of_finding_has_a_name():
    assert tuple(NAMES) == KINDS
