"""What cases have in common, and the score of one that differs, with numbers made up by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from drawn_findings import exclusive, overlapping, sure
from labelmend.types import LabelMap
from labelmend.workflows.auditing.findings import (
    CaseScore,
    CaseStatistics,
    Disagreements,
    calibration_of,
    case_score,
    find_disagreements,
    pixel_scores,
    typical,
)
from labelmend.workflows.auditing.findings.case_score import (
    DOUBT_WEIGHT,
    FAR_WEIGHT,
    FEW,
    FULL,
    LEAST_DOUBT,
    LEAST_EDGE_VOX,
    LEAST_FAR,
    MOST_DOUBT,
    MOST_EDGES,
    MOST_FAR,
    OBJECT_WEIGHT,
    _edges,
)

NOTHING = calibration_of(np.zeros(4, int), np.full((2, 4), 0.5), np.zeros(4, bool))


def case(
    far: Any = 0.1,
    edge: Any = np.nan,
    offset: Any = 0.0,
    wrong: float = 0.0,
    doubt: float = 0.9,
    n_doubted: float = 1e9,
    outline: Any = 100.0,
) -> CaseStatistics:
    """A case of one class or several, by its numbers."""
    far, edge, offset = (np.atleast_1d(np.array(values, float)) for values in (far, edge, offset))
    ones, outline = np.ones(len(far)), np.resize(outline, len(far)) * np.isfinite(far)
    return CaseStatistics(
        ones, ones, ones, far, outline, offset, np.resize(edge, len(far)), wrong, doubt, n_doubted, NOTHING
    )


def test_middle_and_spread_by_hand():
    usual = typical([case(far, offset=off) for far, off in [(0.1, 1), (0.2, 2), (0.4, 6), (0.2, 3)]], 1.0)
    assert usual.far == pytest.approx([0.175])  # the lower quartile of 0.1, 0.2, 0.2, 0.4
    assert usual.far_spread == pytest.approx([(0.175 - 0.13) / 0.607])  # from the tenth
    assert usual.offset_mm == pytest.approx([2.5])
    assert usual.offset_spread == pytest.approx([1.4826 * 1.0])
    assert usual.calibration.n.sum() == 16


def test_the_spread_is_that_of_a_normal_law_and_half_of_the_cases_may_be_off():
    right = [case(far) for far in norm.ppf(np.linspace(0, 1, 402)[1:-1])]
    assert typical(right, 1.0).far_spread == pytest.approx([1], rel=0.02)
    assert typical(right + [case(99)] * 400, 1.0).far_spread == pytest.approx([1.39], rel=0.02)


def test_half_of_the_cases_may_be_off_without_being_the_rule():
    good, bad = [case(far) for far in (0.08, 0.1, 0.12, 0.1)], [case(far) for far in (0.5, 0.6, 0.55, 0.6)]
    usual = typical([*good, *bad], 1.0)
    assert all(case_score(one, usual).score > 0.5 for one in bad)
    assert all(case_score(one, usual).score < 0.2 for one in good)


def test_spreads_have_a_least_in_pixels():
    usual = typical([case(0.1, edge=0.3)] * 5, 2.0)
    assert (usual.far_spread, usual.offset_spread) == (LEAST_FAR, 0.5)
    assert usual.edge_spread == pytest.approx([LEAST_EDGE_VOX * 2.0])


def test_cases_without_a_number_are_left_out_and_a_class_without_any_has_none():
    usual = typical([case([0.1, np.nan]), case([np.nan, np.nan]), case([0.3, np.nan])], 1.0)
    assert usual.far == pytest.approx([0.15, 0])
    assert case_score(case([np.nan, np.nan]), usual).score == 0


def test_a_single_case_is_judged_by_its_objects_alone():
    alone = case([0.7, 0.2], edge=[-5, 2], offset=[3, 0], wrong=0.6)
    score = case_score(alone, typical([alone], 1.0))
    assert (score.far, score.edges, score.main) == (0, 0, "wrong_object")
    assert score.score == pytest.approx(1 - np.exp(-OBJECT_WEIGHT * 0.6**3 / FULL))


def test_the_score_of_an_outline_that_runs_apart():
    usual = typical([case(0.1)] * 9, 1.0)
    score = case_score(case(0.1 + 3 * LEAST_FAR), usual)
    assert (score.far, score.main) == (pytest.approx(3 * FAR_WEIGHT), "far")
    assert score.score == pytest.approx(1 - np.exp(-3 * FAR_WEIGHT / FULL))
    assert case_score(case(0.0), usual).score == 0  # nearer than usual is not wrong


def test_one_class_says_only_so_much_and_classes_add_up_like_sides_of_a_box():
    usual = typical([case([0.1, 0.1])] * 9, 1.0)
    assert case_score(case([0.9, 0.1]), usual).far == pytest.approx(FAR_WEIGHT * MOST_FAR)
    assert case_score(case([0.9, 0.9]), usual).far == pytest.approx(FAR_WEIGHT * MOST_FAR * np.sqrt(2))


def test_classes_count_by_the_length_of_their_outlines():
    usual = typical([case([0.1, 0.1])] * 9, 1.0)
    long, short = case([0.9, 0.1], outline=[300, 100]), case([0.1, 0.9], outline=[300, 100])
    assert case_score(long, usual).far == pytest.approx(FAR_WEIGHT * MOST_FAR * np.sqrt(2 * 0.75))
    assert case_score(short, usual).far == pytest.approx(FAR_WEIGHT * MOST_FAR * np.sqrt(2 * 0.25))
    absent = case([0.9, np.nan], outline=[300, 100])
    assert case_score(absent, usual).far == pytest.approx(FAR_WEIGHT * MOST_FAR * np.sqrt(2))


def odds(doubt: float) -> float:
    return doubt / (1 - doubt)


def test_four_things_that_speak_against_a_case_add_up_like_sides_of_a_box():
    usual = typical([case(0.1, edge=0)] * 9, 1.0)
    doubt = odds(0.9) * np.exp(LEAST_DOUBT)
    wrong = case(
        0.1 + 4 * LEAST_FAR,
        edge=4 * LEAST_EDGE_VOX,
        wrong=(8 / OBJECT_WEIGHT) ** (1 / 3),
        doubt=doubt / (1 + doubt),
    )
    score = case_score(wrong, usual)
    assert (score.far, score.edges, score.wrong_object, score.doubt) == pytest.approx((5, 8, 8, 3))
    assert score.score == pytest.approx(1 - np.exp(-np.sqrt(25 + 64 + 64 + 9) / FULL))


def test_a_prediction_that_is_surer_than_usual_where_it_contradicts_counts_up_to_a_limit():
    usual = typical([case(doubt=0.8)] * 9, 1.0)
    assert (usual.doubt, usual.doubt_spread) == (pytest.approx(np.log(odds(0.8))), LEAST_DOUBT)
    score = case_score(case(doubt=0.9), usual)
    assert score.doubt == pytest.approx(DOUBT_WEIGHT * np.log(odds(0.9) / odds(0.8)) / LEAST_DOUBT)
    assert score.main == "doubt"
    assert case_score(case(doubt=1.0), usual).doubt == pytest.approx(DOUBT_WEIGHT * MOST_DOUBT)
    assert case_score(case(doubt=1.0, n_doubted=FEW), usual).doubt == DOUBT_WEIGHT * MOST_DOUBT / 2
    assert case_score(case(doubt=np.nan, n_doubted=0), usual).doubt == 0  # nothing contradicts


def test_cases_that_nothing_contradicts_do_not_make_the_others_stand_out():
    empty, lesion = case(np.nan, doubt=np.nan, n_doubted=0), case(doubt=0.8)
    usual = typical([empty] * 7 + [lesion] * 3, 1.0)
    assert case_score(lesion, usual).score == pytest.approx(0)
    assert case_score(empty, typical([empty] * 3, 1.0)).score == 0


def test_doubt_has_its_spread_from_the_lowest():
    doubts = (0.5, 0.6, 0.8, 0.95, 0.99)
    usual = typical([case(doubt=doubt) for doubt in doubts], 1.0)
    low, quartile = np.log(odds(0.5)), np.log(odds(0.6))
    assert usual.doubt == pytest.approx(quartile)
    assert usual.doubt_spread == pytest.approx(0.6 * (quartile - low) / 0.607)


@pytest.mark.parametrize("side", [-1, 1])
def test_an_edge_beside_the_outline_counts_on_either_side(side):
    usual = typical([case(edge=0)] * 9, 1.0)
    score = case_score(case(edge=side * 2.1), usual)
    assert (score.edges, score.main) == (pytest.approx(2 * 3), "edges")
    assert case_score(case(edge=side * 9), usual).edges == 2 * MOST_EDGES


def test_where_most_outlines_are_too_generous_those_near_edges_are_taken_for_right():
    cases = [case(edge=edge) for edge in [-3.0] * 6 + [0.1, 0.0, -0.1, 0.0]]
    usual = typical(cases, 1.0)
    assert usual.edge_mm == pytest.approx([0], abs=0.05)
    scores = [case_score(one, usual).score for one in cases]
    assert min(scores[:6]) > 0.5 > max(scores[6:])


def test_where_no_outline_is_near_an_edge_the_usual_gap_is_the_rule():
    usual = typical([case(edge=edge) for edge in (-3.2, -3.0, -3.0, -2.8)], 1.0)
    assert usual.edge_mm == pytest.approx([-3.0])


def test_edges_that_are_anywhere_tell_nothing():
    usual = typical([case(edge=edge) for edge in (0, 0, 0, 8, -8, 7, -6, 0, 6)], 1.0)
    assert np.isinf(usual.edge_spread).all()
    assert case_score(case(edge=8), usual).edges == 0


def test_without_images_edges_tell_nothing():
    usual = typical([case()] * 3, 1.0)
    assert (usual.edge_mm, usual.edge_spread) == (0, np.inf)
    assert case_score(case(), usual).edges == 0


def seen_of(given: LabelMap, prob: float) -> Disagreements:
    """Two pixels of which the second is doubted, its class having this probability."""
    probs = sure(np.ones((1, 2), int), 1, 0.99)
    probs[:, 0, 1] = [1 - prob, prob]
    return find_disagreements(given, probs)


@pytest.mark.parametrize(("score", "expected"), [(0.5, 0.6), (0.8, 6 / 7), (0.25, 1 / 3)])
def test_a_pixel_has_the_odds_of_its_doubt_times_those_of_its_case(score, expected):
    scores = pixel_scores(seen_of(exclusive(np.ones((1, 2))), 0.4), score)  # doubt 0.6: odds of 1.5
    assert scores[0, 1] == pytest.approx(expected)
    assert scores[0, 0] < 0.05


@pytest.mark.parametrize(("score", "same"), [(0.0, 0.1), (1.0, 0.9)])
def test_a_case_says_only_so_much_of_a_pixel(score, same):
    seen = seen_of(exclusive(np.ones((1, 2))), 0.4)
    np.testing.assert_array_equal(pixel_scores(seen, score), pixel_scores(seen, same))
    assert 0.1 < pixel_scores(seen, score)[0, 1] < 0.95


def test_a_pixel_that_nobody_annotated_is_not_wrong():
    scores = pixel_scores(seen_of(exclusive(np.array([[1, 9]]), ignore=9), 0.4), 0.9)
    assert scores[0, 1] == 0 < scores[0, 0]


def test_of_overlapping_classes_the_most_doubted_counts():
    probs = np.array([[[0.9, 0.9]], [[0.2, 0.7]]])
    seen = find_disagreements(overlapping([np.ones((1, 2), bool)] * 2), probs)
    assert pixel_scores(seen, 0.5)[0] == pytest.approx([0.8, 0.3])


def test_16_bits_and_certainty_make_scores_below_one():
    seen = find_disagreements(exclusive(np.ones((1, 2))), np.array([[[1, 0]], [[0, 1]]], np.float16))
    scores = pixel_scores(seen, 1.0)
    assert 1 > scores[0, 0] > 0.99
    assert 0 < scores[0, 1] < 0.01


def test_doubt_names_no_place_and_speaks_half_as_loud():
    assert CaseScore(0.5, far=1.0, wrong_object=0.2, edges=0.3, doubt=1.9).main == "far"
    assert CaseScore(0.5, far=1.0, wrong_object=0.2, edges=0.3, doubt=2.1).main == "doubt"


@pytest.mark.parametrize(("near", "middle"), [(3, 1.0), (2, 6.0)])
def test_three_outlines_near_an_edge_make_a_rule(near, middle):
    values = np.array([1.0] * near + [6.0] * 4)
    assert _edges(values, 1.0)[0] == middle
