"""ADELE's parts against results worked out by hand; its curves and triggers are in theory/learning_curve."""

import io
from typing import get_args

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.losses.cross_entropy import cross_entropy_loss
from labelmend.losses.dice_ce import dice_ce_loss
from labelmend.losses.jensen_shannon import jensen_shannon_loss
from labelmend.methods.adele import Adele, class_counts, iou_of, relabel, scaled_sizes
from labelmend.methods.base import Batch, Facts
from labelmend.methods.published.official_adele import OfficialAdele, Program
from labelmend.types import Grid, LabelMap, Predicted
from labelmend.workflows.training.checkpoint import _pack, _unpack

LABELS = np.array([0, 1, 2, 1, 2, 0])
FOUND = (1, 0, 1, 2, 0, 2)


def sure(winners, n_classes: int = 3, confidence: float = 0.9) -> np.ndarray:
    """`(C n)` probabilities: `confidence` for the winner of each pixel, the rest shared."""
    probs = np.full((n_classes, len(winners)), (1 - confidence) / (n_classes - 1))
    probs[list(winners), range(len(winners))] = confidence
    return probs


def case(labels, probs, *, current=None, ignore: int | None = None, name: str = "x") -> Predicted:
    """One row of pixels with exclusive classes."""

    def row(values) -> LabelMap:
        array = np.array([values], np.uint8)
        return LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("one", "two"), ignore=ignore)

    given = row(labels)
    return Predicted(name, given, given if current is None else row(current), probs[:, None])


def state_with(method: Adele, *since: int, due=()) -> dict:
    facts = Facts(("one", "two")[: len(since)], False, 2, 1, (0.1,) * len(since))
    return method.init(facts) | {"since": list(since), "due": list(due)}


def revised(method: Adele, state: dict, *cases: Predicted) -> list:
    return [r.labels.array.tolist()[0] for r in method.revise(state, cases, [])[1]]


# ---- which pixels change: table 1.4, one test a row, by hand ----


@pytest.mark.parametrize(
    ("active", "expected"),
    [({1}, [1, 0, 2, 1, 2, 0]), ({1, 2}, [1, 0, 1, 2, 0, 2]), ({3}, [0, 1, 2, 1, 2, 0]), (set(), LABELS)],
    ids=str,
)
def test_pixels_move_between_active_classes_and_background(active, expected):
    np.testing.assert_array_equal(relabel(LABELS, sure(FOUND), active, 0.8), expected)


def test_the_confidence_must_be_exceeded_strictly():
    probs = sure(FOUND, confidence=0.75)
    np.testing.assert_array_equal(relabel(LABELS, probs, {1, 2}, 0.75), LABELS)
    np.testing.assert_array_equal(relabel(LABELS, probs, {1, 2}, 0.749), FOUND)


def test_an_image_never_gains_a_foreground_class():
    new = relabel(np.array([1, 1, 0, 0]), sure([1, 2, 2, 1]), {1, 2}, 0.8)
    np.testing.assert_array_equal(new, [1, 1, 0, 1])
    empty = np.zeros(3, int)
    np.testing.assert_array_equal(relabel(empty, sure([1, 2, 0]), {1, 2}, 0.8), empty)


def test_ignored_pixels_stay_and_do_not_vouch_for_a_class():
    ignored = np.array([False, False, True, True])
    new = relabel(np.array([1, 0, 2, 1]), sure([1, 2, 0, 0]), {1, 2}, 0.8, ignored=ignored)
    np.testing.assert_array_equal(new, [1, 0, 2, 1])


def test_a_class_that_would_vanish_gets_its_pixels_back():
    labels = np.array([1, 1, 2, 2, 0, 0])
    gone = sure([0, 0, 2, 0, 2, 0])
    np.testing.assert_array_equal(relabel(labels, gone, {1, 2}, 0.8), [1, 1, 2, 0, 2, 0])
    np.testing.assert_array_equal(relabel(labels, gone, {1, 2}, 0.8, keep_classes=False), [0, 0, 2, 0, 2, 0])
    swapped = sure([2, 2, 0, 0, 0, 0])  # giving back 1 takes 2 its last pixels
    np.testing.assert_array_equal(relabel(labels, swapped, {1, 2}, 0.8), labels)


# ---- settings ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"tau": 0.4},
        {"slope_drop": 1.0},
        {"every": -1},
        {"base": "old"},
        {"loss": "mse"},
        {"scales": (0.7, 1.5)},
        {"scales": (1.0, 9.0)},
        {"consistency": float("nan")},
        {"rho": 2.0},
        {"min_iou": -0.1},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Adele(**wrong)


# ---- step: scales, loss, counts ----


class Shrinker(torch.nn.Module):
    """Two channels, whatever the size; remembers the sizes that it saw."""

    def __init__(self, only: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.conv, self.seen, self.only = torch.nn.Conv2d(1, 2, 3, padding=1), [], only

    def forward(self, image):
        if self.only not in (None, tuple(image.shape[2:])):
            raise ValueError("position embedding does not fit\nmore lines")
        self.seen.append(tuple(image.shape[2:]))
        return self.conv(image)


def batch(n: int = 2, size: int = 32, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 2, (n, size, size), generator=rng)
    valid = torch.rand(n, size, size, generator=rng) > 0.2
    return Batch(torch.randn(n, 1, size, size, generator=rng), target, valid, tuple("abcdef"[:n]))


def test_scaled_sizes_are_multiples_of_what_the_network_halves():
    assert scaled_sizes((96, 96), (0.7, 1.0, 1.5)) == [(64, 64), (144, 144)]
    assert scaled_sizes((16, 32, 40), (0.7, 1.0, 1.5)) == [(16, 32, 24), (16, 48, 56)]
    assert scaled_sizes((101, 10), (0.7, 1.0, 1.5)) == [(71, 6), (151, 14)]
    assert scaled_sizes((16, 16), (0.9, 1.0)) == []


def test_the_network_sees_three_sizes_and_hands_out_the_logits_of_the_first():
    torch.manual_seed(0)
    net, one = Shrinker(), batch(size=64)
    _, logits, _ = Adele().step(state_with(Adele(), 0), one, [net])
    assert net.seen == [(64, 64), (48, 48), (96, 96)]
    assert torch.equal(logits, net(one.image))


def at_scales(net, image) -> list[torch.Tensor]:
    def resized(x, size):
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

    sizes = [(64, 64), (48, 48), (96, 96)]
    return [resized(net(resized(image, size)), (64, 64)) for size in sizes]


def test_the_loss_is_the_mean_over_scales_plus_their_divergence():
    torch.manual_seed(0)
    net, one, method = Shrinker(), batch(size=64), Adele(consistency=2.0, rho=0.5)
    loss, _, _ = method.step(state_with(method, 0), one, [net])
    logits = at_scales(net, one.image)
    base = sum(dice_ce_loss(z, one.target, valid=one.valid) for z in logits) / 3
    apart = jensen_shannon_loss(logits, valid=one.valid, rho=0.5)
    assert float(loss.detach()) == pytest.approx(float((base + 2 * apart).detach()), rel=1e-5)


def test_one_scale_without_dice_is_plain_cross_entropy():
    net, one, method = Shrinker(), batch(), Adele(loss="ce", scales=(1.0,))
    loss, logits, _ = method.step(state_with(method, 0), one, [net])
    expected = cross_entropy_loss(logits, one.target, valid=one.valid)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    assert net.seen == [(32, 32)]


def test_a_network_of_one_size_is_told_what_to_do():
    with pytest.raises(ConfigError, match=r"\(64, 64\) but not of \(48, 48\).*embedding.*--method.scales"):
        Adele().step(state_with(Adele(), 0), batch(size=64), [Shrinker(only=(64, 64))])


def test_counts_of_batches_add_up_to_the_iou_of_the_data_set():
    torch.manual_seed(0)
    net, method = Shrinker(), Adele(scales=(1.0,))
    state = state_with(method, 0)
    both = truth = found = 0
    for seed, n in enumerate((2, 1, 3)):
        one = batch(n, seed=seed)
        _, logits, state = method.step(state, one, [net])
        says, is_ = logits.argmax(1) == 1, one.target == 1
        both += int((says & is_ & one.valid).sum())
        truth, found = truth + int((is_ & one.valid).sum()), found + int((says & one.valid).sum())
    assert state["counts"].tolist() == [[both], [truth], [found]]
    state, _ = method.epoch_end(state, 0)
    assert "counts" not in state
    assert state["curves"] == [[both / (truth + found - both)]]


def test_counts_of_overlapping_classes_take_half_a_pixel_as_the_boundary():
    logits = torch.tensor([[[2.0, -1.0, 3.0, 1.0]], [[-1.0, -1.0, -1.0, 5.0]]]).reshape(1, 2, 4)
    target = torch.tensor([[[0.6, 0.6, 0.4, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    valid = torch.tensor([[True, True, True, False]])
    counts = class_counts(logits, target, valid)
    assert counts.tolist() == [[1, 0], [2, 0], [2, 0]]
    first, second = iou_of(counts)
    assert first == pytest.approx(1 / 3)
    assert np.isnan(second)


# ---- epoch_end: triggers, latch, schedule ----

EARLY = Adele(slope_drop=0.8, tau=0.8, every=10)


def run_epochs(method: Adele, curves: np.ndarray, first: int = 0, state=None, last: int | None = None):
    """Feed IoU curves `(epochs k)` as counts; the state, and what is due after which epochs from 1."""
    k = curves.shape[1]
    names = tuple("abcd"[:k])
    state = method.init(Facts(names, False, 2, 1, (0.1,) * k)) if state is None else state
    asked = {}
    for epoch in range(first, len(curves) if last is None else last):
        part = np.round(curves[epoch] * 10**6).astype(np.int64)
        counts = np.stack([part, np.full(k, 10**6), part])
        state, wanted = method.epoch_end(state | {"counts": counts}, epoch)
        if wanted:
            asked[epoch + 1] = list(state["due"])
        state, _ = method.revise(state, [], [])
    return state, asked


def learnt(rate: float, n: int = 40, start: float = 0.0) -> np.ndarray:
    return -0.8 * np.expm1(-rate * np.maximum(np.arange(n) + 0.5 - start, 0))


def test_classes_join_in_their_own_time_and_never_leave():
    curves = np.stack([learnt(1.0), learnt(0.15), np.zeros(40)], 1)
    state, asked = run_epochs(EARLY, curves)
    fast, slow, never = state["since"]
    assert 5 <= fast <= 8 < 17 <= slow <= 24
    assert never == 0
    assert asked == {fast: [0], slow: [1]} | {n: [0] if n < slow else [0, 1] for n in (10, 20, 30, 40)}
    collapsed = np.concatenate([curves, np.zeros((10, 3))])
    assert run_epochs(EARLY, collapsed)[0]["since"] == [fast, slow, 0]


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been():
    curves = np.stack([learnt(0.6), learnt(0.15)], 1)
    for method in (Adele(), *(OfficialAdele(program=name) for name in get_args(Program))):
        whole, asked = run_epochs(method, curves)
        half, before = run_epochs(method, curves, last=15)
        buffer = io.BytesIO()
        torch.save(_pack(half), buffer)
        buffer.seek(0)
        saved = _unpack(torch.load(buffer, weights_only=True))
        again, after = run_epochs(method, curves, first=15, state=saved)
        assert repr(again) == repr(whole)
        assert before | after == asked


def test_the_state_holds_a_number_a_class_and_epoch_and_no_more():
    state, _ = run_epochs(Adele(), np.stack([learnt(0.6), learnt(0.15)], 1))
    assert np.shape(state["curves"]) == (40, 2)
    assert {key: len(value) for key, value in state.items() if key != "curves"} == {
        "classes": 2,
        "since": 2,
        "why": 2,
        "due": 0,
    }


def test_a_new_round_begins_its_curves_again():
    state, _ = run_epochs(Adele(), learnt(1.0)[:, None])
    assert state["since"] != [0]
    state, asked = run_epochs(Adele(), learnt(1.0, n=3)[:, None], state=state)
    assert (len(state["curves"]), state["since"], asked) == (3, [0], {})


def test_an_epoch_without_the_class_has_no_point():
    curves = learnt(0.6)[:, None].copy()
    state = Adele().init(Facts(("a",), False, 2, 1, (0.1,)))
    for epoch in range(4):
        counts = np.zeros((3, 1), np.int64)
        state, wanted = Adele().epoch_end(state | {"counts": counts}, epoch)
        assert not wanted
    assert np.isnan(state["curves"]).all()
    assert run_epochs(Adele(), curves, first=4, state=state)[0]["since"][0] > 0


# ---- revise ----


def test_only_active_classes_are_corrected_and_no_case_is_revised_without_need():
    method = EARLY
    assert revised(method, state_with(method, 0, 0), case(LABELS, sure(FOUND))) == []
    new = revised(method, state_with(method, 4, 0), case(LABELS, sure(FOUND)), case(LABELS, sure(LABELS)))
    assert new == [[1, 0, 2, 1, 2, 0]]


def test_from_the_given_labels_a_revision_twice_is_a_revision_once():
    method = EARLY
    state, probs = state_with(method, 4, 4), sure(FOUND)
    once = revised(method, state, case(LABELS, probs))[0]
    assert revised(method, state, case(LABELS, probs, current=once)) == []
    unsure = sure(FOUND, confidence=0.7)  # the network changed its mind: back to what was given
    assert revised(method, state, case(LABELS, unsure, current=once)) == [list(LABELS)]


def test_from_the_current_labels_revisions_add_up():
    method = Adele(tau=0.7, base="current")
    probs = sure([0, 1, 2, 1, 2, 2])
    new = revised(method, state_with(method, 4, 4), case(LABELS, probs, current=[0, 1, 2, 1, 0, 0]))
    assert new == [[0, 1, 2, 1, 2, 2]]
    kept = revised(method, state_with(method, 4, 4, due=[0]), case(LABELS, probs, current=[1, 1, 2, 1, 2, 0]))
    assert kept == [[0, 1, 2, 1, 2, 0]]


def test_overlapping_classes_are_binary_problems_each():
    masks = np.array([[[1, 1, 0, 0, 0]], [[1, 1, 0, 0, 0]], [[0, 0, 0, 0, 0]]], bool)
    given = LabelMap(masks, Grid((1, 5), (1.0, 1.0)), ("a", "b", "c"))
    probs = np.array([[[0.95, 0.1, 0.9, 0.7, 0.75]]] * 3)
    method = EARLY
    state = method.init(Facts(("a", "b", "c"), True, 2, 1, (0.1,) * 3)) | {"since": [3, 0, 3]}
    (found,) = method.revise(state, [Predicted("x", given, given, probs)], [])[1]
    np.testing.assert_array_equal(found.labels.masks()[0], [[1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(found.labels.masks()[1:], masks[1:])  # not active; not in this image
    assert (found.added_vox, found.removed_vox) == ((1, 0, 0), (1, 0, 0))
    assert found.confidence == pytest.approx(0.9)
    assert found.reason == "a: the network is over 80% sure"


def test_ignored_pixels_of_a_case_stay():
    method = Adele()
    one = case([1, 255, 0, 0], sure([1, 1, 1, 0], confidence=0.999), ignore=255)
    assert revised(method, state_with(method, 3, 3), one) == [[1, 255, 1, 0]]


def test_findings_tell_why_a_class_was_corrected_or_not():
    method = Adele()
    state, _ = run_epochs(method, np.stack([learnt(1.0, 12), learnt(0.05, 12), np.zeros(12)], 1))
    fast, slow, never = method.findings(state)
    assert fast["why"].startswith(f"corrected since epoch {fast['since']} (settled: IoU 0.8")
    assert slow["why"].startswith("not corrected: still rising")
    assert never["why"] == "not corrected: not learnt yet"
    assert (slow["since"], never["iou"]) == (None, 0.0)
    assert method.findings(method.init(Facts(("a",), True, 2, 1, (0.1,))))[0]["why"].endswith("was trained")
