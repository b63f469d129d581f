import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.losses import dice_ce_loss
from labelmend.methods.base import Batch, Facts, flat_tasks
from labelmend.methods.forward_t import (
    CORRECTED,
    DONE,
    LOGIT_BINS,
    ForwardT,
    anchor_counts,
    corrected_loss,
    expected_joint,
    relabelled,
    transition_from_anchors,
    transition_from_clean,
    updated_transition,
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


def given_by_chance(rng, truth: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Labels drawn with the row of the truth."""
    return (rng.random(truth.shape) > np.cumsum(matrix, axis=1)[truth].T).sum(axis=0)


# ---- the matrix


def test_the_anchors_of_a_class_are_counted_by_what_they_are_given_as():
    # predicted as 1, the surest first: given 1, 0, 1, 0; predicted as 0: two, both given 0
    foreground = torch.tensor([0.95, 0.9, 0.8, 0.6, 0.1, 0.2])
    given = torch.tensor([1.0, 0, 1, 0, 0, 0])
    probs, shares = torch.stack([1 - foreground, foreground])[None], torch.stack([1 - given, given])[None]
    counts = anchor_counts(probs, shares, torch.ones(6, dtype=torch.bool))
    assert counts.shape == (1, 2, LOGIT_BINS, 2)
    assert counts.sum(axis=2).tolist() == [[[2, 0], [2, 2]]]
    np.testing.assert_allclose(transition_from_anchors(counts, 0.75), [[[1, 0], [1 / 3, 2 / 3]]])
    np.testing.assert_allclose(transition_from_anchors(counts, 0.25), [[[1, 0], [0, 1]]])
    ignored = anchor_counts(probs, shares, torch.tensor([1, 0, 1, 1, 1, 1], dtype=torch.bool))
    assert ignored.sum() == 5


def test_speckle_averaged_away_on_a_coarser_grid_is_found_all_the_same(rng):
    """A fifth of the pixels is flipped; the network sees means over two by two of them."""
    flipped = torch.tensor(rng.random((4, 20_000)) < 0.2).double().mean(dim=0)
    truth = torch.arange(20_000) % 2
    shares = torch.where(truth == 1, 1 - flipped, flipped)
    probs = torch.where(truth == 1, 0.99, 0.01)
    counts = anchor_counts(
        *(torch.stack([1 - x, x])[None] for x in (probs, shares)), torch.ones(20_000, dtype=torch.bool)
    )
    np.testing.assert_allclose(transition_from_anchors(counts, 0.5)[0], [[0.8, 0.2], [0.2, 0.8]], atol=0.01)


def test_a_known_matrix_is_found_from_anchors_of_a_network_that_knows_the_truth(rng):
    matrix = np.array([[0.95, 0.03, 0.02], [0.2, 0.8, 0.0], [0.1, 0.2, 0.7]])
    truth = rng.integers(0, 3, 30_000)
    given = given_by_chance(rng, truth, matrix)
    logits = torch.tensor(8.0 * (truth[:, None] == np.arange(3)) + rng.normal(size=(30_000, 3))).T[None]
    counts = anchor_counts(
        *flat_tasks(logits, torch.tensor(given)[None]), torch.ones(30_000, dtype=torch.bool)
    )
    np.testing.assert_allclose(transition_from_anchors(counts, 0.3)[0], matrix, atol=0.03)


def test_a_class_nowhere_predicted_or_mostly_given_as_another_is_not_corrected():
    counts = np.zeros((1, 3, LOGIT_BINS, 3))
    counts[0, 0, 30] = (9, 1, 0)
    counts[0, 2, 30] = (6, 0, 4)
    np.testing.assert_allclose(transition_from_anchors(counts, 0.5)[0], [[0.9, 0.1, 0], [0, 1, 0], [0, 0, 1]])


def test_with_clean_cases_a_row_is_the_mean_prediction_over_the_pixels_of_its_class():
    ignored = np.array([[0, 0, 0, 0, 1]], bool)
    clean = [case([1, 1, 0, 0, 0], [0.9, 0.5, 0.1, 0.3, 0.9], ignored_mask=ignored), case([1], [0.7])]
    np.testing.assert_allclose(transition_from_clean(clean), [[[0.8, 0.2], [0.3, 0.7]]], atol=1e-6)
    assert transition_from_clean([]) is None


def test_the_update_finds_the_matrix_that_explains_the_labels(rng):
    """A network that knows the truth, labels of another matrix: full steps end at that matrix."""
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    truth = rng.integers(0, 2, 40_000)
    probs = torch.tensor(np.where(truth == np.arange(2)[:, None], 0.999, 0.001))[None].float()
    given = torch.tensor(given_by_chance(rng, truth, matrix) == np.arange(2)[:, None])[None].float()
    found = np.array([[[0.98, 0.02], [0.05, 0.95]]])
    for _ in range(20):
        joint = expected_joint(probs, given, torch.ones(40_000, dtype=torch.bool), found)
        assert joint.sum() == pytest.approx(40_000, rel=1e-4)
        found = updated_transition(found, joint, 0.5)
    np.testing.assert_allclose(found[0], matrix, atol=0.02)
    np.testing.assert_array_equal(updated_transition(found, np.zeros((1, 2, 2)), 0.5), found)


# ---- the loss


@pytest.mark.parametrize("overlapping", [True, False])
def test_without_errors_the_corrected_loss_is_dice_ce(overlapping):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.double)
    target = (
        torch.rand(2, 3, 5, 6, generator=generator) if overlapping else torch.arange(60).reshape(2, 5, 6) % 3
    )
    valid = torch.rand(2, 5, 6, generator=generator) < 0.8
    identity = np.tile(np.eye(2), (3, 1, 1)) if overlapping else np.eye(3)[None]
    loss = corrected_loss(logits, target, valid, identity)
    torch.testing.assert_close(
        loss, dice_ce_loss(logits, target.to(target.dtype), valid=valid), check_dtype=False
    )


def test_the_corrected_loss_by_hand():
    """p = (0.8, 0.2) of presence, T01 = 0.1, T11 = 0.6: given as present with 0.5 and 0.2."""
    logits = torch.tensor([[[[0.8, 0.2]]]]).logit()
    target, matrix = torch.tensor([[[[1.0, 0.0]]]]), np.array([[[0.9, 0.1], [0.4, 0.6]]])
    entropy = -(np.log(0.5) + np.log(0.8)) / 2
    soft_dice = 1 - (2 * 0.5 + 1) / (0.5 + 0.2 + 1 + 1)
    loss = corrected_loss(logits, target, torch.ones(1, 1, 2, dtype=torch.bool), matrix)
    assert float(loss) == pytest.approx(entropy + soft_dice, rel=1e-5)


@pytest.mark.parametrize("loss", ["corrected", "plain"])
def test_trained_on_missing_labels_the_corrected_network_is_clean_and_the_plain_one_is_not(rng, loss):
    """Two kinds of pixels; of one, 40 % are not marked. The best plain answer is 0.6, the corrected one 1."""
    truth = np.repeat([0, 1], 500)
    matrix = np.array([[1.0, 0.0], [0.4, 0.6]])
    target = torch.tensor(given_by_chance(rng, truth, matrix)).float().reshape(1, 1, 1, -1)
    kind, valid = torch.tensor(truth), torch.ones(1, 1, 1000, dtype=torch.bool)
    levels = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([levels], lr=0.1)
    for _ in range(150):
        logits = levels[kind].reshape(1, 1, 1, -1)
        value = (
            corrected_loss(logits, target, valid, matrix[None])
            if loss == "corrected"
            else torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    absent, present = levels.sigmoid().tolist()
    assert absent < 0.02
    assert present > 0.97 if loss == "corrected" else abs(present - 0.6) < 0.05


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


@pytest.mark.parametrize("wrong", [{"anchor_share": 0}, {"anchor_share": 1.5}, {"revision": -0.1}])
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ConfigError):
        ForwardT(**wrong)
