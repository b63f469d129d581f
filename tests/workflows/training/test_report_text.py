from __future__ import annotations

from pathlib import Path

from labelmend.workflows.training import report_text
from labelmend.workflows.training.report_summary import ClassBias, read_summary


def bias(mean: float | None, low: float | None, high: float | None, n: int = 3, why: str = "") -> ClassBias:
    return ClassBias("lung", mean, low, high, n, mean is not None, why)


def test_negative_bias_is_too_large_and_positive_too_small() -> None:
    assert report_text.bias_sentence(bias(-14.6, -15.0, -14.2), "mm") == (
        "Given outlines of lung run about 14.6 mm too large (interval 14.2 to 15.0 mm, 3 trusted cases)."
    )
    assert report_text.bias_sentence(bias(2.0, 1.0, 3.0), "px", 0.9) == (
        "Given outlines of lung run about 2.0 px too small (90 % interval 1.0 to 3.0 px, 3 trusted cases)."
    )


def test_an_interval_that_holds_zero_is_no_certain_bias() -> None:
    assert report_text.bias_sentence(bias(-0.1, -0.5, 0.3), "mm", 0.95) == (
        "Given outlines of lung show no certain bias: about 0.1 mm too large, but the 95 % interval "
        "reaches from 0.5 mm too large to 0.3 mm too small (3 trusted cases)."
    )


def test_one_trusted_case_has_no_interval_and_none_no_bias() -> None:
    assert report_text.bias_sentence(bias(-2.0, None, None, 1), "mm") == (
        "Given outlines of lung run about 2.0 mm too large (1 trusted case, too few for an interval)."
    )
    assert "could not be measured" in report_text.bias_sentence(bias(None, None, None, 0), "mm")


def test_the_decision_keeps_the_methods_own_reason() -> None:
    assert report_text.decision(bias(-2.0, None, None)) == "Outlines moved back."
    assert (
        report_text.decision(bias(None, None, None, why="under one pixel"))
        == "Outlines left as given: under one pixel."
    )


def test_the_headline_says_how_many_cases_changed(flat_run: Path) -> None:
    summary = read_summary(flat_run)
    assert report_text.headline(summary, 1) == (
        "A network was trained on 2 cases with the given outlines of heart and lung. On 3 trusted cases it "
        "was measured how far such outlines are off. Corrected outlines were then written for 1 case; the "
        "given files were not touched."
    )
    assert report_text.headline(summary, 0).endswith("No outline was changed.")
    assert "for all of them" in report_text.headline(summary, 2)
