import dataclasses
import json

import numpy as np
import pytest
import test_contract as contract
import torch

from labelmend.errors import ConfigError
from labelmend.losses import dice_ce_loss
from labelmend.losses.forward_ce import corrected_loss
from labelmend.methods.base import Batch, Facts
from labelmend.methods.forward_t import (
    CORRECTED,
    DONE,
    ForwardT,
    predicted_bands,
    relabelled,
    transition_from_clean,
)
from labelmend.types import Grid, LabelMap, Predicted

ONE_CLASS = Facts(("a",), overlapping=True, ndim=2, n_cases=1, class_frequency=(0.5,))


def case(given: list[int], probs: list[float], name: str = "x", **more) -> Predicted:
    labels = LabelMap(np.array([[given]], bool), Grid((1, len(given)), (1.0, 1.0)), ("a",), **more)
    return Predicted(name, labels, labels, np.array([[probs]], np.float32))


def logit_batch(probs: list[float], target: list[float], epoch: int = 0) -> Batch:
    """A batch whose image is the probability that the network will give."""
    image, labels = (torch.tensor([[[values]]]) for values in (probs, target))
    return Batch(image, labels, torch.ones(image.shape[0], *image.shape[2:], dtype=torch.bool), ("x",), epoch)


# ---- the matrix


def test_with_clean_cases_a_row_is_the_mean_prediction_over_the_pixels_of_its_class():
    ignored = np.array([[0, 0, 0, 0, 1]], bool)
    clean = [case([1, 1, 0, 0, 0], [0.9, 0.5, 0.1, 0.3, 0.9], ignored_mask=ignored), case([1], [0.7])]
    np.testing.assert_allclose(transition_from_clean(clean), [[[0.8, 0.2], [0.3, 0.7]]], atol=1e-6)
    assert transition_from_clean([]) is None


# ---- relabelling


def test_bayes_rule_overrules_a_label_where_such_errors_are_usual():
    matrix = np.array([[0.99, 0.01, 0.0], [0.3, 0.7, 0.0], [0.3, 0.0, 0.7]])
    probs = np.array([[0.25, 0.25, 0.1], [0.7, 0.7, 0.2], [0.05, 0.05, 0.7]])
    # given 0: 0.25 x 0.99 against 0.7 x 0.3; given 1: 0.25 x 0.01 against 0.7 x 0.7; given 0: 0.7 x 0.3 wins
    np.testing.assert_array_equal(relabelled(np.array([0, 1, 0]), probs, matrix), [0, 1, 2])


def test_labels_stay_in_the_first_round_follow_bayes_rule_after_the_second_and_are_left_alone_later():
    method = ForwardT()
    state = method.init(ONE_CLASS)
    cases = [case([1, 0, 0, 0], [0.9, 0.9, 0.6, 0.1])]
    state, revisions = method.revise(state | {"epochs": 1}, cases, [])
    assert list(revisions) == []
    assert state["stage"] == CORRECTED
    state = state | {"transition": np.array([[[1.0, 0.0], [0.25, 0.75]]])}
    state, revisions = method.revise(state, cases, [])
    (revised,) = revisions
    # 0.1 against 0.9 x 0.25, 0.4 against 0.6 x 0.25
    np.testing.assert_array_equal(revised.labels.array[0, 0], [1, 1, 0, 0])
    assert state["stage"] == DONE
    state, revisions = method.revise(state, cases, [])
    assert list(revisions) == []
    batch = logit_batch([0.9, 0.2], [1.0, 0.0])
    loss, logits, _ = method.step(state, batch, [torch.logit])
    assert float(loss) == float(dice_ce_loss(logits, batch.target))


def test_perfect_predictions_change_nothing_after_the_second_round():
    cases = [case([1, 0, 0, 1], [0.95, 0.05, 0.05, 0.95])]
    state = ForwardT().init(ONE_CLASS) | {"stage": CORRECTED}
    state |= {"transition": np.array([[[0.9, 0.1], [0.4, 0.6]]])}
    assert list(ForwardT().revise(state, cases, [])[1]) == []


# ---- the method


def test_the_matrix_of_the_last_epoch_of_the_first_round_stands():
    method = ForwardT(anchor_share=1.0)
    state = method.init(ONE_CLASS)
    for epoch, given in enumerate(([1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0])):
        _, _, state = method.step(state, logit_batch([0.9, 0.9, 0.9, 0.1], given, epoch), [torch.logit])
        state, _ = method.epoch_end(state, epoch)
    np.testing.assert_allclose(state["transition"], [[[1, 0], [1 / 3, 2 / 3]]])
    assert not state["anchors"].any()
    state, _ = method.revise(state, [], [])
    np.testing.assert_allclose(state["transition"], [[[1, 0], [1 / 3, 2 / 3]]])
    assert "66.7%" in method.findings(state)[0]["why"]


def test_clean_cases_win_over_anchors_and_a_borrowed_round_counts_the_cases():
    method, state = ForwardT(anchor_share=1.0), ForwardT().init(ONE_CLASS)
    cases = [case([1, 0, 1, 0], [0.9, 0.8, 0.9, 0.1]), case([1], [0.9])]
    borrowed, _ = method.revise(state, iter(cases), iter([]))
    np.testing.assert_allclose(borrowed["transition"], [[[1, 0], [0.25, 0.75]]])
    measured, _ = method.revise(state, iter(cases), iter([case([1, 0], [0.6, 0.2])]))
    np.testing.assert_allclose(measured["transition"], [[[0.8, 0.2], [0.4, 0.6]]], atol=1e-6)


def test_the_matrix_is_revised_in_the_second_half_of_the_corrected_round_only():
    method = ForwardT(revision=0.5)
    start = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    state = method.init(ONE_CLASS) | {"stage": CORRECTED, "epochs": 4, "transition": start}
    moved = []
    for epoch in range(4):
        batch = logit_batch([0.99, 0.99, 0.01, 0.01], [1.0, 0.0, 0.0, 0.0], epoch)
        _, _, state = method.step(state, batch, [torch.logit])
        state, _ = method.epoch_end(state, epoch)
        assert not state["joint"].any()
        moved.append(not np.array_equal(state["transition"], start))
    assert moved == [False, False, True, True]
    np.testing.assert_allclose(state["transition"].sum(-1), 1)
    borrowed = state | {"epochs": 0}
    np.testing.assert_array_equal(method.step(borrowed, batch, [torch.logit])[2]["joint"], 0)
    fixed = method.init(ONE_CLASS) | {"stage": CORRECTED, "epochs": 1, "transition": start}
    _, _, fixed = ForwardT(revision=0).step(fixed, batch, [torch.logit])
    np.testing.assert_array_equal(ForwardT(revision=0).epoch_end(fixed, 3)[0]["transition"], start)


def test_exclusive_classes_name_their_own_row_in_the_findings():
    facts = Facts(("a", "b"), overlapping=False, ndim=2, n_cases=1, class_frequency=(0.1, 0.1))
    matrix = np.array([[[1, 0, 0], [0.2, 0.8, 0], [0, 0.1, 0.9]]])
    rows = ForwardT().findings(ForwardT().init(facts) | {"transition": matrix})
    assert [row["transition"] for row in rows] == [[0.2, 0.8, 0], [0, 0.1, 0.9]]
    assert rows[1]["why"].startswith("90.0%")


# ---- bands of distance

EDGES = (-2.0, 2.0)


HALVES = [0.95] * 400 + [0.05] * 400
"""Present up to the middle of a row of 800: distances -399.5 to -0.5 and 0.5 to 399.5."""


def test_bands_of_a_batch_are_measured_on_its_own_grid_from_its_own_logits():
    logits = torch.tensor([[-1.0, -1, 1, 1, 1], [-1, -1, -1, -1, -1]]).reshape(2, 1, 1, 5)
    mm = ((1.0, 1.0), (1.0, 1.0))
    bands = predicted_bands(logits, EDGES, mm, overlapping=True)
    assert bands.tolist() == [[[[1, 1, 1, 1, 0]]], [[[2, 2, 2, 2, 2]]]]  # 1.5, 0.5, -0.5, -1.5, -2.5
    assert predicted_bands(logits, EDGES, (), overlapping=True).equal(bands)
    wide = predicted_bands(logits, EDGES, ((1.0, 2.0), (1.0, 1.0)), overlapping=True)
    assert wide[0].tolist() == [[[2, 1, 1, 0, 0]]]  # 3, 1, -1, -3, -5
    exclusive = predicted_bands(torch.cat([-logits, logits], 1), EDGES, mm, overlapping=False)
    assert exclusive.equal(bands[:, 0])


def estimated(*cases: Predicted, bands_mm=EDGES, **state) -> tuple[ForwardT, dict]:
    """The method after its first round, whose matrix for all bands is still that of the identity."""
    method = ForwardT(bands_mm=bands_mm)
    state, revisions = method.revise(method.init(ONE_CLASS) | {"epochs": 1} | state, iter(cases), [])
    assert list(revisions) == []
    return method, state


def test_after_the_first_round_each_band_has_the_matrix_of_its_own_pixels():
    """Of the 796 pixels deeper than 2 in two cases 199 are given as absent; 20 more stand for all bands."""
    cases = [case([1] * 400 + [0] * 400, HALVES), case([0] * 199 + [1] * 201 + [0] * 400, HALVES)]
    method, state = estimated(*cases)
    np.testing.assert_array_equal(state["transition"], [np.eye(2)])
    inside = [199 / 816, 617 / 816]
    np.testing.assert_allclose(state["banded"], [[[[1, 0], inside]] * 3])
    (row,) = method.findings(state)
    assert row["why"].endswith("by distance from the boundary 76% below -2 mm, 76% to 2 mm, 76% beyond")
    json.dumps(row)


def test_a_borrowed_round_is_gone_through_once_for_anchors_and_bands():
    cases = [case([0] * 100 + [1] * 300 + [0] * 400, HALVES)]
    _, state = estimated(*cases, epochs=0)
    np.testing.assert_allclose(state["transition"], [[[1, 0], [0.25, 0.75]]])
    np.testing.assert_allclose(state["banded"][0, 0, 1, 1], (298 + 20 * 0.75) / (398 + 20))


def test_features_are_asked_for_in_the_first_round_with_a_band_around_zero_and_never_else():
    asked = []

    def features(pixels):
        asked.append(sorted(pixels.tolist()))
        return np.zeros((len(pixels), 3), np.float32)

    one = dataclasses.replace(case([1] * 400 + [0] * 400, HALVES), features=features)
    estimated(one, bands_mm=())
    estimated(one, bands_mm=(-2.0, 0.0, 2.0))
    assert asked == []
    method, state = estimated(one)
    assert asked == [[398, 399, 400, 401]]
    list(method.revise(state, [one], [])[1])
    assert len(asked) == 1


def test_the_corrected_loss_takes_the_matrix_of_the_band_and_leaves_it_as_it_is():
    method = ForwardT(bands_mm=EDGES, revision=0.5)
    banded = np.array([[[[1, 0], [0.2, 0.8]], [[0.6, 0.4], [0.4, 0.6]], [[1, 0], [0.3, 0.7]]]])
    state = method.init(ONE_CLASS) | {"stage": CORRECTED, "epochs": 1, "banded": banded}
    batch = logit_batch([0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    loss, logits, after = method.step(state, batch, [torch.logit])
    bands = torch.tensor([[[[0, 1, 1, 1, 1, 2]]]])
    assert float(loss) == float(corrected_loss(logits, batch.target, batch.valid, banded, bands))
    assert after is state
    ended, _ = method.epoch_end(state, 0)
    np.testing.assert_array_equal(ended["banded"], banded)


def test_with_bands_bayes_rule_knows_that_labels_err_at_the_boundary_and_not_inside():
    """Of eight pixels predicted as present two are given as absent, one inside and one at the boundary."""
    method, given = ForwardT(bands_mm=EDGES), [1, 1, 0, 1, 1, 1, 1, 0, 0, 0]
    inside, beside = [[0.99, 0.01], [0.01, 0.99]], [[0.6, 0.4], [0.4, 0.6]]
    state = method.init(ONE_CLASS) | {"stage": CORRECTED, "banded": np.array([[inside, beside, inside]])}
    (revised,) = method.revise(state, [case(given, [0.9] * 8 + [0.1] * 2)], [])[1]
    np.testing.assert_array_equal(revised.labels.array[0, 0], [1, 1, 0, 1, 1, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("kind", contract.KINDS.values(), ids=contract.KINDS)
def test_with_bands_the_method_keeps_what_every_method_promises(kind):
    method = ForwardT(bands_mm=(-2, -0.5, 0.5, 2))
    ends = []
    for _ in range(2):
        state, _, _, modules = contract.trained(method, kind, 2)
        _, _, state = contract.revised(method, method.epoch_end(state, 0)[0], kind)
        state, loss, _, _ = contract.trained(method, kind, 2, state, modules)
        cases, revisions, state = contract.revised(method, state, kind)
        ends.append((float(loss.detach()), [r.labels.array for r in revisions]))
    assert np.isfinite(ends[0][0])
    assert repr(ends[0]) == repr(ends[1])
    np.testing.assert_allclose(state["banded"].sum(-1), 1)
    for one, new in zip(cases, revisions):
        np.testing.assert_array_equal(one.given.ignored(), new.labels.ignored())
    perfect = contract.revised(method, state | {"stage": CORRECTED}, kind, perfect=True)
    for one, new in zip(perfect[0], perfect[1]):
        np.testing.assert_array_equal(one.given.array, new.labels.array)


@pytest.mark.parametrize(
    "wrong", [{"anchor_share": 0}, {"anchor_share": 1.5}, {"revision": -0.1}, {"bands_mm": (2, -2)}]
)
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ConfigError):
        ForwardT(**wrong)
