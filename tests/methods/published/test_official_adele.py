"""ADELE by the rules of the paper and of its released programs: table 1.4 of the code, one test per row."""

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.losses.cross_entropy import cross_entropy_loss
from labelmend.losses.jensen_shannon import jensen_shannon_loss
from labelmend.methods.adele import Adele, relabel
from labelmend.methods.base import Batch, Facts
from labelmend.methods.published.official_adele import OfficialAdele, relabel_voc
from labelmend.metrics.calibration import scaled
from labelmend.types import Grid, LabelMap, Predicted

LABELS = np.array([0, 1, 2, 1, 2, 0])
FOUND = (1, 0, 1, 2, 0, 2)
VOC = OfficialAdele(program="voc")
SEGTHOR = OfficialAdele(program="segthor")
BOTH = pytest.mark.parametrize("rule", [relabel, relabel_voc])


def sure(winners, n_classes: int = 3, confidence: float = 0.9) -> np.ndarray:
    """`(C n)` probabilities: `confidence` for the winner of each pixel, the rest shared."""
    probs = np.full((n_classes, len(winners)), (1 - confidence) / (n_classes - 1))
    probs[list(winners), range(len(winners))] = confidence
    return probs


def test_voc_overwrites_classes_that_are_not_active():
    np.testing.assert_array_equal(relabel_voc(LABELS, sure(FOUND), {1}, 0.8), [1, 0, 1, 1, 0, 0])


@BOTH
def test_the_confidence_must_be_exceeded_strictly(rule):
    probs = sure(FOUND, confidence=0.75)
    np.testing.assert_array_equal(rule(LABELS, probs, {1, 2}, 0.75), LABELS)
    np.testing.assert_array_equal(rule(LABELS, probs, {1, 2}, 0.749), FOUND)


@BOTH
def test_an_image_with_foreground_never_gains_a_class(rule):
    new = rule(np.array([1, 1, 0, 0]), sure([1, 2, 2, 1]), {1, 2}, 0.8)
    np.testing.assert_array_equal(new, [1, 1, 0, 1])


def test_voc_corrects_an_image_without_foreground_freely():
    empty = np.zeros(3, int)
    np.testing.assert_array_equal(relabel_voc(empty, sure([1, 2, 0]), {1}, 0.8), [1, 0, 0])


def test_voc_brings_background_only_where_there_was_some():
    full = np.array([1, 2, 2])
    np.testing.assert_array_equal(relabel_voc(full, sure([0, 0, 1]), {1, 2}, 0.8), [1, 2, 1])


@BOTH
def test_ignored_pixels_stay_and_do_not_vouch_for_a_class(rule):
    ignored = np.array([False, False, True, True])
    new = rule(np.array([1, 0, 2, 1]), sure([1, 2, 0, 0]), {1, 2}, 0.8, ignored=ignored)
    np.testing.assert_array_equal(new, [1, 0, 2, 1])


@pytest.mark.parametrize(("left", "size", "kept"), [(4, 200, True), (5, 200, False), (4, 60, False)])
def test_the_guard_of_voc_keeps_an_image_that_would_lose_most_of_its_foreground(left, size, kept):
    """10 foreground pixels: less than half of them are left, and over 95 % are background."""
    labels, winners = np.zeros(size, int), np.zeros(size, int)
    labels[:10], winners[:left] = 1, 1
    new = relabel_voc(labels, sure(winners, 2), {1}, 0.8)
    np.testing.assert_array_equal(new, labels if kept else winners)


def test_the_temperature_of_voc_takes_logits_divided_by_three():
    logits = torch.tensor([3.0, -1.0, 0.5])
    expected = (logits / 3).softmax(0).numpy()
    np.testing.assert_allclose(scaled(logits.softmax(0).numpy(), 3), expected, rtol=1e-5)
    assert scaled(np.array([0.7, 0.3]), 3)[0] == pytest.approx(0.57, abs=0.005)  # what SegTHOR ignores


def test_settings_are_those_of_the_programs_and_fields_win_over_them():
    found = {name: OfficialAdele(program=name) for name in ("paper", "segthor", "voc")}
    assert {name: method.tau for name, method in found.items()} == {"paper": 0.8, "segthor": 0.7, "voc": 0.8}
    assert {name: method.every for name, method in found.items()} == {"paper": 1, "segthor": 10, "voc": 1}
    assert found["voc"].base == "given"
    own = OfficialAdele(program="segthor", tau=0.6, every=3)
    assert (own.tau, own.every, own.base) == (0.6, 3, "current")


def test_another_program_is_refused():
    with pytest.raises(ConfigError, match="program must be one of paper, segthor, voc, got 'best'"):
        OfficialAdele(program="best")


class Two(torch.nn.Module):
    """Two channels, whatever the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, image):
        return self.conv(image)


@pytest.mark.parametrize(("program", "floor"), [("paper", 0.0), ("segthor", 1e-3), ("voc", 1e-3)])
def test_the_loss_is_cross_entropy_at_a_temperature_of_three_and_the_divergence(program, floor):
    rng = torch.Generator().manual_seed(0)
    target = torch.randint(0, 2, (2, 64, 64), generator=rng)
    image, valid = torch.randn(2, 1, 64, 64, generator=rng), torch.rand(2, 64, 64, generator=rng) > 0.2
    method, net = OfficialAdele(program=program, consistency=2.0, rho=0.5), Two()
    state = method.init(Facts(("one",), False, 2, 1, (0.1,)))
    loss, _, _ = method.step(state, Batch(image, target, valid, ("a", "b")), [net])

    def resized(x, size):
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

    sizes = [(64, 64), (48, 48), (96, 96)]
    logits = [resized(net(resized(image, size)), (64, 64)) for size in sizes]
    base = sum(cross_entropy_loss(z / 3, target, valid=valid) for z in logits) / 3
    apart = jensen_shannon_loss(logits, valid=valid, rho=0.5, floor=floor)
    assert float(loss.detach()) == pytest.approx(float((base + 2 * apart).detach()), rel=1e-5)


def run_epochs(method: Adele, curves: np.ndarray):
    """Feed IoU curves `(epochs k)` as counts; the state, and what is due after which epochs from 1."""
    k = curves.shape[1]
    state, asked = method.init(Facts(tuple("abcd"[:k]), False, 2, 1, (0.1,) * k)), {}
    for epoch, row in enumerate(curves):
        part = np.round(row * 10**6).astype(np.int64)
        counts = np.stack([part, np.full(k, 10**6), part])
        state, wanted = method.epoch_end(state | {"counts": counts}, epoch)
        if wanted:
            asked[epoch + 1] = list(state["due"])
        state, _ = method.revise(state, [], [])
    return state, asked


def test_segthor_corrects_at_the_trigger_and_then_every_tenth_epoch():
    curve = 0.8 * -np.expm1(-0.6 * np.arange(1, 35))
    state, asked = run_epochs(SEGTHOR, curve[:, None])
    assert state["since"] == [7]
    assert list(asked) == [7, 10, 20, 30]


@pytest.mark.parametrize(("every", "expected"), [(0, [7]), (1, list(range(7, 15))), (4, [7, 8, 12])])
def test_labels_are_revised_at_the_trigger_and_whenever_so_many_epochs_are_full(every, expected):
    curve = 0.8 * -np.expm1(-0.6 * np.arange(1, 15))
    assert list(run_epochs(OfficialAdele(program="segthor", every=every), curve[:, None])[1]) == expected


def test_voc_forces_all_classes_after_16_epochs_and_revises_after_each_one():
    state, asked = run_epochs(VOC, np.stack([np.zeros(19), np.full(19, 0.3)], 1))
    assert state["since"] == [17, 12]  # epochs 16 and 11 where the first one is 0
    assert asked == {n: [1] if n < 17 else [0, 1] for n in range(12, 20)}


def revised(method: Adele, labels, probs) -> list:
    array = np.array([labels], np.uint8)
    given = LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("one", "two"), ignore=255)
    state = method.init(Facts(("one", "two"), False, 2, 1, (0.1, 0.1))) | {"since": [3, 3]}
    case = Predicted("x", given, given, probs[:, None])
    return [r.labels.array.tolist()[0] for r in method.revise(state, [case], [])[1]]


def test_voc_divides_logits_before_it_asks_for_confidence():
    """0.9 against 0.05 twice at temperature three: 0.57 of the whole."""
    for confidence, moved in ((0.9, False), (0.999, True)):
        probs = sure([1, 1, 2], confidence=confidence)
        assert revised(VOC, [1, 0, 2], probs) == [[1, 1, 2]] * moved
        assert revised(SEGTHOR, [1, 0, 2], probs) == [[1, 1, 2]]


def test_ignored_pixels_of_a_case_stay():
    assert revised(VOC, [1, 255, 0, 0], sure([1, 1, 1, 0], confidence=0.999)) == [[1, 255, 1, 0]]
