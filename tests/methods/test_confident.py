import importlib.util

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError, MissingExtraError
from labelmend.methods import confident
from labelmend.methods.base import Batch, Facts, Known, flat_tasks, masks_of, tasks
from labelmend.methods.confident import (
    Confident,
    cleanlab_errors,
    label_errors,
    mean_self_confidence,
)
from labelmend.types import Grid, LabelMap, Predicted

GRID = Grid((1, 6), (1.0, 1.0))
ONE_CLASS = Facts(("a",), overlapping=True, ndim=2, n_cases=1, class_frequency=(0.5,))
needs_cleanlab = pytest.mark.skipif(
    importlib.util.find_spec("cleanlab") is None, reason="cleanlab is not installed"
)


def overlapping_case(mask: list[int], probs: list[float], name: str = "x", **more) -> Predicted:
    labels = LabelMap(np.array([[mask]], bool), GRID, ("a",), **more)
    return Predicted(name, labels, labels, np.array([[probs]], np.float32))


# ---- thresholds and the confident joint


def test_the_threshold_of_a_class_is_its_mean_self_confidence():
    given = np.array([0, 0, 1, 1, 1])
    probs = np.array([[0.9, 0.5, 0.2, 0.4, 0.9], [0.1, 0.5, 0.8, 0.6, 0.1]])
    np.testing.assert_allclose(mean_self_confidence(given, probs), [0.7, 0.5])
    counted = np.array([1, 0, 1, 1, 0], bool)
    np.testing.assert_allclose(mean_self_confidence(given, probs, counted), [0.9, 0.7])
    assert np.isnan(mean_self_confidence(given * 0, probs)[1])


def test_only_a_class_that_is_likeliest_and_over_its_threshold_makes_an_error():
    probs = np.array([[0.9, 0.4, 0.3, 0.1], [0.1, 0.6, 0.7, 0.9]])
    thresholds = np.array([0.8, 0.65])
    np.testing.assert_array_equal(label_errors(np.zeros(4, int), probs, thresholds), [0, 0, 1, 1])
    np.testing.assert_array_equal(label_errors(np.ones(4, int), probs, thresholds), [1, 0, 0, 0])
    np.testing.assert_array_equal(
        label_errors(np.zeros(4, int), probs, np.array([0.8, np.nan])), [0, 0, 0, 0]
    )


def test_a_rare_class_of_which_the_network_is_never_sure_keeps_its_pixels():
    """Background is at 0.97 where it is given; pixels of the rare class show it at 0.7 only: no error."""
    given = np.array([0] * 8 + [1, 1])
    rest = np.array([0.97] * 8 + [0.7, 0.3])
    probs = np.stack([rest, 1 - rest])
    assert not label_errors(given, probs, mean_self_confidence(given, probs)).any()
    assert (probs.argmax(0) != given).any()


def test_tasks_and_masks_are_each_others_inverse(rng):
    array = rng.integers(0, 3, (4, 5)).astype(np.uint8)
    grid = Grid((4, 5), (1.0, 1.0))
    exclusive = LabelMap(array, grid, ("a", "b"))
    ((given, _),) = tasks(exclusive, np.zeros((3, 4, 5)))
    np.testing.assert_array_equal(given, array)
    np.testing.assert_array_equal(masks_of([given], 2, overlapping=False), exclusive.masks())
    masks = rng.random((2, 4, 5)) < 0.5
    pairs = tasks(LabelMap(masks, grid, ("a", "b")), np.full((2, 4, 5), 0.25))
    np.testing.assert_array_equal(masks_of([g for g, _ in pairs], 2, overlapping=True), masks)
    np.testing.assert_array_equal(pairs[1][1][:, 0, 0], [0.75, 0.25])


def test_a_batch_by_task_has_probabilities_that_sum_to_one():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    target = torch.arange(40).reshape(2, 4, 5) % 3
    probs, truth = flat_tasks(logits, target)
    assert probs.shape == truth.shape == (1, 3, 40)
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 40))
    assert torch.equal(truth[0].argmax(0), target.flatten())
    torch.testing.assert_close(probs[0, 1].reshape(2, 4, 5), logits.softmax(1)[:, 1])
    probs, truth = flat_tasks(logits, torch.full((2, 3, 4, 5), 0.25))
    assert probs.shape == truth.shape == (3, 2, 40)
    torch.testing.assert_close(probs[2, 1].reshape(2, 4, 5), logits[:, 2].sigmoid())
    assert truth[0, :, 0].tolist() == [0.75, 0.25]


# ---- the method


def test_thresholds_come_from_the_valid_pixels_of_the_last_epoch():
    method = Confident()
    state = method.init(ONE_CLASS)
    probs = torch.tensor([[[[0.8, 0.6, 0.3, 0.1]]]])
    target = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
    valid = torch.tensor([[[True, True, True, False]]])
    batch = Batch(probs, target, valid, ("x",))
    for epoch in range(2):  # counts of one epoch do not leak into the next
        for _ in range(3):
            _, _, state = method.step(state, batch, [torch.logit])
        state, wanted = method.epoch_end(state, epoch)
        assert not wanted
    np.testing.assert_allclose(state["thresholds"], [[0.7, 0.7]], atol=1e-6)
    assert not state["confidence"].any()


def test_half_covered_pixels_count_half_for_both_labels():
    method = Confident()
    batch = Batch(
        torch.tensor([[[[0.8, 0.2]]]]),
        torch.tensor([[[[1.0, 0.5]]]]),
        torch.ones(1, 1, 2, dtype=torch.bool),
        ("x",),
    )
    _, _, state = method.step(method.init(ONE_CLASS), batch, [torch.logit])
    state, _ = method.epoch_end(state, 0)
    np.testing.assert_allclose(state["thresholds"], [[0.8, (0.8 + 0.5 * 0.2) / 1.5]], atol=1e-6)


def test_flagged_pixels_get_the_predicted_class_and_are_left_out():
    case = overlapping_case([1, 1, 0, 0, 0, 1], [0.9, 0.1, 0.95, 0.6, 0.1, 0.4])
    state = Confident().init(ONE_CLASS) | {"thresholds": np.array([[0.85, 0.8]])}
    ((revised,), (trained,)) = (list(m.revise(state, [case], [])[1]) for m in (Confident(), Confident(True)))
    np.testing.assert_array_equal(revised.labels.array[0, 0], [1, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(revised.left_out[0], [0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(trained.labels.array, revised.labels.array)
    assert trained.left_out is None
    assert (revised.added_vox, revised.removed_vox) == ((1,), (1,))
    assert revised.reason.startswith("2 pixels")


def test_a_pixel_flagged_for_one_overlapping_class_is_left_out_for_all_and_relabelled_for_one():
    labels = LabelMap(np.array([[[1, 0]], [[1, 0]]], bool), Grid((1, 2), (1.0, 1.0)), ("a", "b"))
    probs = np.array([[[0.05, 0.05]], [[0.95, 0.05]]], np.float32)
    state = {"thresholds": np.full((2, 2), 0.9)}
    (revised,) = Confident().revise(state, [Predicted("x", labels, labels, probs)], [])[1]
    np.testing.assert_array_equal(revised.left_out, [[1, 0]])
    np.testing.assert_array_equal(revised.labels.array[:, 0, 0], [0, 1])


def test_ignored_pixels_are_never_flagged():
    ignored = np.array([[1, 0, 0, 0, 0, 0]], bool)
    case = overlapping_case([1, 1, 0, 0, 0, 0], [0.01, 0.01, 0, 0, 0, 0], ignored_mask=ignored)
    (revised,) = Confident().revise({"thresholds": np.array([[0.9, 0.9]])}, [case], [])[1]
    np.testing.assert_array_equal(revised.left_out[0], [0, 1, 0, 0, 0, 0])


def test_without_thresholds_of_the_data_set_those_of_the_case_are_used():
    case = overlapping_case([1, 1, 1, 0, 0, 0], [0.9, 0.9, 0.05, 0.1, 0.1, 0.1])
    state = Confident().init(ONE_CLASS)
    (revised,) = Confident().revise(state, [case], [])[1]
    np.testing.assert_array_equal(revised.left_out[0], [0, 0, 1, 0, 0, 0])
    assert Confident().findings(state)[0]["threshold"] is None


def test_a_case_revised_before_goes_back_to_what_was_given_if_nothing_is_flagged_any_more():
    given = LabelMap(np.array([[[1, 1, 0, 0, 0, 0]]], bool), GRID, ("a",))
    changed = given.with_masks(~given.masks())
    probs = np.array([[[0.9, 0.9, 0.1, 0.1, 0.1, 0.1]]], np.float32)
    state = {"thresholds": np.array([[0.9, 0.9]])}
    (revised,) = Confident().revise(state, [Predicted("x", given, changed, probs)], [])[1]
    np.testing.assert_array_equal(revised.labels.array, given.array)
    assert list(Confident().revise(state, [Predicted("x", given, given, probs)], [])[1]) == []


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(ConfigError, match="backend"):
        Confident(backend="other")


# ---- against the real thing


def drawn(
    rng: np.random.Generator, n_classes: int, wrong: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands of classes, labels of which a share is drawn anew, and blurred probabilities of the truth."""
    truth = np.repeat(np.arange(48) * n_classes // 48, 40).reshape(48, 40)
    errors = rng.random(truth.shape) < wrong
    given = np.where(errors, rng.integers(0, n_classes, truth.shape), truth)
    logits = 2.5 * (truth == np.arange(n_classes)[:, None, None]) + rng.normal(size=(n_classes, 48, 40))
    probs = np.exp(logits) / np.exp(logits).sum(0)
    return truth, given, probs


@needs_cleanlab
@pytest.mark.parametrize("n_classes", [2, 4])
def test_own_backend_flags_what_cleanlabs_confident_learning_filter_flags(rng, n_classes):
    from cleanlab.filter import find_label_issues

    _, given, probs = drawn(rng, n_classes, 0.15)
    own = label_errors(given, probs, mean_self_confidence(given, probs))
    flat = probs.reshape(n_classes, -1).T
    theirs = find_label_issues(given.ravel(), flat, filter_by="confident_learning", n_jobs=1)
    assert own.sum() > 50
    np.testing.assert_array_equal(own.ravel(), theirs)


@needs_cleanlab
@pytest.mark.parametrize(("n_classes", "shared"), [(2, 0.9), (4, 0.5)])
def test_cleanlabs_segmentation_flags_as_many_pixels_and_mostly_the_same(rng, n_classes, shared):
    """It takes those of lowest self-confidence, whichever class they look like; with two labels that differs
    little."""
    _, given, probs = drawn(rng, n_classes, 0.15)
    own = label_errors(given, probs, mean_self_confidence(given, probs))
    theirs = cleanlab_errors(given, probs, np.ones(given.shape, bool))
    assert abs(int(own.sum()) - int(theirs.sum())) <= 1
    assert (own & theirs).sum() / (own | theirs).sum() > shared


@needs_cleanlab
def test_with_cleanlab_a_case_without_the_class_ignored_pixels_and_volumes_are_survived():
    method = Confident(backend="cleanlab")
    method.init(ONE_CLASS)
    ignored = np.array([[1, 0, 0, 0, 0, 0]], bool)
    empty = overlapping_case([0] * 6, [0.9, 0.1, 0.1, 0.2, 0.1, 0.1], ignored_mask=ignored)
    full = overlapping_case([1, 1, 1, 1, 0, 0], [0.01, 0.9, 0.9, 0.05, 0.1, 0.1], ignored_mask=ignored)
    revisions = list(method.revise({}, [empty, full], [])[1])
    assert len(revisions) == 1
    np.testing.assert_array_equal(revisions[0].left_out[0], [0, 0, 0, 1, 0, 0])
    volume = np.zeros((3, 4, 5), bool)
    volume[:2] = True
    labels = LabelMap(volume[None], Grid((3, 4, 5), (1.0, 1.0, 1.0)), ("a",))
    probs = np.where(volume, 0.9, 0.1)[None].astype(np.float32)
    probs[0, 0, 0, 0] = 0.02
    (revised,) = method.revise({}, [Predicted("v", labels, labels, probs)], [])[1]
    assert np.argwhere(revised.left_out).tolist() == [[0, 0, 0]]


def test_a_missing_cleanlab_is_told_before_training(monkeypatch):
    monkeypatch.setattr(confident.importlib.util, "find_spec", lambda name: None)
    method = Confident(backend="cleanlab")
    with pytest.raises(MissingExtraError, match="cleanlab"):
        method.init(ONE_CLASS)
    Confident().init(ONE_CLASS)


def test_flagged_pixels_are_errors_more_often_than_not(rng):
    truth, given, probs = drawn(rng, 3, 0.15)
    flagged = label_errors(given, probs, mean_self_confidence(given, probs))
    wrong = given != truth
    assert wrong[flagged].mean() > 0.9
    assert flagged[wrong].mean() > 0.4


def test_thresholds_of_saved_probabilities_are_means_over_all_cases():
    case = overlapping_case([0, 0, 0, 1, 1, 1], [0.1, 0.55, 0.7, 0.9, 0.3, 0.5])
    known = Known(ONE_CLASS, np.array([[[8.0, 3.0]], [[10.0, 5.0]]]))
    rows, revisions = Confident().revise_from_probs(known, lambda: iter([case]))
    assert rows[0]["threshold"] == 0.6
    (revised,) = revisions  # 0.7 is over 0.6, but 1 - 0.3 not over 0.8
    np.testing.assert_array_equal(revised.labels.array, [[[0, 0, 1, 1, 1, 1]]])
    nowhere = Known(ONE_CLASS, np.array([[[8.0, 0.0]], [[10.0, 0.0]]]))
    assert Confident().revise_from_probs(nowhere, lambda: iter([case]))[0][0]["threshold"] is None
