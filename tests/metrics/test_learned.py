"""Whether a network has learned a class: predictions that depend on the picture, and others."""

import numpy as np
import pytest

from drawing import disc
from labelmend.methods.base import revision, without
from labelmend.metrics.learned import LEAST_CASES, Seen, _surely, above_chance, phi, saying_nothing, seen
from labelmend.types import Grid, LabelMap, Predicted

N, SIZE = 8, 48
LEAST = 0.05


def discs(radius: float = 6.0, seed: int = 0) -> np.ndarray:
    """`(n 1 h w)`: a disc in each case, here and there."""
    centres = np.random.default_rng(seed).uniform(14, 34, (N, 2))
    return np.stack([[disc((SIZE, SIZE), centre, radius)] for centre in centres])


def labels_of(masks: np.ndarray, ignored: np.ndarray | None = None) -> LabelMap:
    shape = masks.shape[1:]
    names = tuple("abc"[: len(masks)])
    return LabelMap(masks, Grid(shape, (1.0,) * len(shape)), names, ignored_mask=ignored)


def measured(labels: np.ndarray, predicted: np.ndarray) -> float:
    cases = [seen(labels_of(given), found) for given, found in zip(labels, predicted)]
    (value,) = above_chance(cases)
    return value


NOISES = {
    "none": lambda masks, rng: masks,
    "a fifth of all pixels": lambda masks, rng: masks ^ (rng.random(masks.shape) < 0.2),
    "outlines twice as wide": lambda masks, rng: discs(12.0),
}

BLIND = {
    "nothing": lambda given: np.zeros_like(given),
    "everything": lambda given: np.ones_like(given),
    "a square": lambda given: np.broadcast_to(np.pad(np.ones((20, 20), bool), 14), given.shape),
    "the mean shape": lambda given: np.broadcast_to(given.mean(axis=0) > 0.25, given.shape),
    "the shape of another case": lambda given: np.roll(given, 1, axis=0),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("blind", BLIND.values(), ids=BLIND)
def test_predictions_that_do_not_depend_on_the_picture_are_worth_nothing(noise, blind):
    given = noise(discs(), np.random.default_rng(1))
    assert measured(given, blind(given)) < 1e-9


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_truth_is_known_as_learned_under_heavy_noise(noise):
    assert measured(noise(discs(), np.random.default_rng(1)), discs()) > 3 * LEAST


def test_a_prediction_that_is_the_label_reaches_one():
    assert measured(discs(), discs()) == pytest.approx(1.0)


def test_phi_by_hand():
    """Two of four pixels labelled, one of them predicted: (4*1 - 1*2) / sqrt(1*3*2*2)."""
    labels = np.array([True, True, False, False])
    assert phi(np.array([[1.0, 0, 0, 0]]), labels) == pytest.approx([2 / np.sqrt(12)])


def test_a_class_that_no_case_holds_is_not_measured():
    assert np.isnan(measured(np.zeros_like(discs()), discs()))


def test_ignored_pixels_do_not_count():
    masks = discs()
    wrong = masks.copy()
    wrong[:, :, :10] ^= True
    ignored = np.zeros((SIZE, SIZE), bool)
    ignored[:10] = True
    cases = [seen(labels_of(given, ignored), found) for given, found in zip(masks, wrong)]
    clipped = [seen(labels_of(given[:, 10:]), given[:, 10:]) for given in masks]
    assert above_chance(cases) == pytest.approx(above_chance(clipped), abs=0.02)


def test_cases_of_other_sizes_are_compared_at_the_same_places():
    small, large = discs(), np.kron(discs(), np.ones((1, 1, 3, 3), bool))
    cases = [seen(labels_of(masks), masks) for masks in (*small[:4], *large[4:])]
    assert above_chance(cases) == pytest.approx([1.0])


def test_volumes_are_looked_at_too():
    masks = np.zeros((LEAST_CASES, 1, 90, 8, 50), bool)
    for index in range(LEAST_CASES):
        masks[index, 0, 20 * index : 20 * index + 20] = True
    assert above_chance([seen(labels_of(m), m) for m in masks]) == pytest.approx([1.0])


def proposal(old: str, new: str, overlapping: bool) -> tuple:
    def line(text: str) -> LabelMap:
        array = np.array([[".abc".index(letter) for letter in text]], np.uint8)
        masks = np.stack([array == index for index in (1, 2)])
        return LabelMap(masks if overlapping else array, Grid(array.shape, (1.0, 1.0)), ("a", "b"))

    given, revised = line(old), line(new)
    probs = np.full((2 + (not overlapping), *given.grid.shape), 0.5, np.float32)
    return revision(Predicted("x", given, given, probs), revised.masks(), "so"), given, line


@pytest.mark.parametrize("overlapping", [True, False])
def test_a_held_class_neither_gains_nor_loses_a_pixel(overlapping):
    """b would gain a pixel from the background and lose one to a, which gains another at the left."""
    made, given, line = proposal("..abb..", ".aaabb.", overlapping)
    kept = without(made, given, given, ["b"])
    np.testing.assert_array_equal(kept.labels.masks()[1], given.masks()[1])
    gained = line(".aaa..." if overlapping else ".aa....").masks()[0]
    np.testing.assert_array_equal(kept.labels.masks()[0], gained)
    assert kept.added_vox == ((2, 0) if overlapping else (1, 0))
    assert kept.reason == "so; b kept, not learned"


def test_a_revision_of_held_classes_alone_is_none():
    made, given, _ = proposal("..bb.", ".bbb.", False)
    assert without(made, given, given, ["b"]) is None
    assert without(made, given, given, ["a"]) is made


def test_few_cases_count_by_themselves_only_where_probabilities_were_saved():
    """Three cases with the same prediction, half right in each."""
    labels = np.array([[1, 1, 0, 0, 0, 0, 0, 0]], bool)
    same = np.array([[1, 0, 0, 0, 0, 0, 0, 0]], bool)
    three = [Seen(labels, same, np.ones(8, bool))] * 3
    trained = saying_nothing(("a",), three, "training cases", [], 0.05)
    assert trained == {"a": "agreement 0.00 above chance on 3 training cases; 0.05 needed"}
    assert saying_nothing(("a",), three, "cases", [], 0.05, alike=0.8) == {}
    assert saying_nothing(("a",), [*three, three[0]], "cases", [], 0.05, alike=0.8).keys() == {"a"}
    assert saying_nothing(("a",), [*three, three[0]], "cases", [], 0.05, alike=0.6) == {}


@pytest.mark.parametrize(
    ("gained", "sure"), [([-1.0, -1.0], True), ([1.0, 2.0, 3.0], True), ([0.0, 1.0, 2.0], False)]
)
def test_three_cases_or_more_must_gain_by_two_standard_errors(gained, sure):
    """1 2 3: mean 2, error 1 / sqrt(3); 0 1 2: mean 1, under 1.15."""
    assert _surely(gained) == sure


def striped(*right: float) -> list[Seen]:
    """Cases of 8 pixels, each with another half labelled, of which so much is predicted, and nothing else."""
    labels = [np.roll(np.arange(8) < 4, 2 * index) for index in range(len(right))]
    shown = [mask & (np.cumsum(mask) <= 4 * share) for mask, share in zip(labels, right, strict=True)]
    return [Seen(mask[None], part[None], np.ones(8, bool)) for mask, part in zip(labels, shown, strict=True)]


@pytest.mark.parametrize(
    ("trusted", "enough"), [([1.0], True), ([0.5], True), ([0.25], False), ([0.25] * 4, True)]
)
def test_few_trusted_cases_must_agree_very_well(trusted, enough):
    none = [Seen(case.labels, case.predicted & False, case.counted) for case in striped(1, 1, 1, 1)]
    found = saying_nothing(("a",), none, "training cases", striped(*trusted), 0.3)
    assert (found == {}) == enough
    if not enough:
        assert "on 1 trusted case;" in found["a"]
