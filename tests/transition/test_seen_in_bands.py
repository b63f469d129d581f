import dataclasses

import numpy as np
import pytest

from labelmend.geometry import signed_distance
from labelmend.transition.bands import band_index
from labelmend.transition.matrix import realised_matrix
from labelmend.transition.seen_in_bands import (
    PIXELS_OF_A_CASE,
    bands_of_probs,
    seen_in_bands,
    transition_of_bands,
)

EDGES = (-6.0, -3.0, -1.0, 1.0, 3.0, 6.0)
SIZE = 48


def disc(radius: float, spacing=(1.0, 1.0)) -> np.ndarray:
    rows, columns = ((np.arange(SIZE) - SIZE / 2) * mm for mm in spacing)
    return np.hypot(rows[:, None], columns) <= radius


def seen(given, probs, rng, **more):
    return seen_in_bands(
        [(given, probs)],
        more.get("counted", np.ones(given.shape, bool)),
        edges_mm=more.get("edges_mm", EDGES),
        spacing_mm=more.get("spacing_mm", (1.0,) * given.ndim),
        features=more.get("features"),
        rng=rng,
    )


def as_probs(mask) -> np.ndarray:
    return np.stack([~mask, mask]).astype(float)


def test_what_a_case_adds_by_hand(rng):
    """A row of pixels 2 mm wide, predicted from the third on: distances 3, 1, -1, -3 and one ignored."""
    mask, given = np.array([[0, 0, 1, 1, 1]], bool), np.array([[0, 1, 1, 0, 1]])
    counted = np.array([[1, 1, 1, 1, 0]], bool)
    asked = []

    def features(pixels):
        asked.extend(pixels.tolist())
        return pixels[:, None].astype(float)

    found = seen(
        given,
        as_probs(mask),
        rng,
        counted=counted,
        edges_mm=(-2, 2),
        spacing_mm=(1.0, 2.0),
        features=features,
    )
    # below -2 mm: one pixel, given 0; the middle: one predicted 0 and one predicted 1, both given 1
    assert found.counts.tolist() == [[[[0, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 0], [0, 0]]]]
    assert sorted(asked) == [1, 2]
    assert found.given[0].tolist() == [1, 1]
    assert found.features[0].tolist() == [[float(pixel)] for pixel in asked]


@pytest.mark.parametrize("shape", [(40, 60), (10, 12, 14)])
def test_features_are_asked_for_once_for_all_tasks_and_only_for_so_many_pixels(rng, shape):
    calls = []

    def features(pixels):
        calls.append(pixels)
        return np.repeat(pixels[:, None].astype(float), 3, axis=1)

    probs = rng.random((2, *shape))
    pairs = [((p > 0.5).astype(int), np.stack([1 - p, p])) for p in probs]
    found = seen_in_bands(
        pairs,
        np.ones(shape, bool),
        edges_mm=(-1, 1),
        spacing_mm=(1.0,) * len(shape),
        features=features,
        rng=rng,
    )
    assert len(calls) == 1
    assert [len(f) for f in found.features] == [PIXELS_OF_A_CASE] * 2
    for (given, _), some, labels in zip(pairs, found.features, found.given):
        np.testing.assert_array_equal(given.reshape(-1)[some[:, 0].astype(int)], labels)


def test_nobody_asks_for_features_where_an_edge_lies_on_the_boundary(rng):
    def features(pixels):
        raise AssertionError("not to be called")

    mask = disc(10)
    found = seen(mask.astype(int), as_probs(mask), rng, edges_mm=(-2, 0, 2), features=features)
    assert found.features is None
    assert found.counts.sum() == SIZE**2


def test_without_a_boundary_there_is_nothing_to_look_at_closer(rng):
    none = np.zeros((6, 6), bool)
    found = seen(none.astype(int), as_probs(none), rng, features=lambda pixels: np.zeros((len(pixels), 2)))
    assert found.features[0].shape == (0, 2)
    matrices = transition_of_bands([found], np.eye(2)[None], EDGES, rng)
    np.testing.assert_array_equal(matrices, np.tile(np.eye(2), (1, len(EDGES) + 1, 1, 1)))


def test_no_case_leaves_the_matrix_for_all_bands(rng):
    base = np.array([[[0.9, 0.1], [0.3, 0.7]]])
    np.testing.assert_array_equal(transition_of_bands([], base, (-2, 2), rng), np.repeat(base[:, None], 3, 1))


def test_where_flips_depend_on_distance_bands_come_closer_to_their_rates_than_the_best_single_matrix(rng):
    """Labels within 3 px of a boundary are flipped at 0.4, up to 6 px at 0.2; the network errs by a pixel."""
    rates, cases, pixels = [0, 0.2, 0.4, 0.4, 0.4, 0.2, 0], [], []
    for _ in range(12):
        radius = rng.uniform(12, 16)
        truth = disc(radius)
        rate = np.array(rates)[band_index(signed_distance(truth), EDGES)]
        given = (truth ^ (rng.random(truth.shape) < rate)).astype(int)
        probs = as_probs(disc(radius + rng.normal(scale=0.7)))
        cases.append(seen(given, probs, rng))
        pixels.append((truth.astype(int), given, bands_of_probs(probs, EDGES)))
    truth, given, bands = (np.stack(part) for part in zip(*pixels))
    single = realised_matrix(truth, given, 2)  # no other matrix for all pixels can be nearer
    banded = transition_of_bands(cases, single[None], EDGES, rng)[0]
    true = np.array([realised_matrix(truth[bands == i], given[bands == i], 2) for i in range(7)])
    mass = np.array([np.bincount(truth[bands == i], minlength=2) for i in range(7)])
    off_banded, off_single = (np.sum(mass * abs(found - true)[..., 0]) for found in (banded, single))
    assert off_banded < 0.25 * off_single
    np.testing.assert_allclose(banded[:, 1, 0], [0, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4], atol=0.06)
    np.testing.assert_allclose(banded[:, 0, 1], [0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0], atol=0.06)


def test_in_the_middle_features_that_know_better_than_the_network_are_believed(rng):
    """There labels err at 0.3 and the network by a pixel; elsewhere labels are right."""
    cases = []
    for _ in range(30):
        radius = rng.uniform(12, 16)
        truth = disc(radius)
        given = (truth ^ ((abs(signed_distance(truth)) < 3) & (rng.random(truth.shape) < 0.3))).astype(int)
        known = truth.reshape(-1, 1) + rng.normal(scale=0.1, size=(truth.size, 8))
        predicted = as_probs(disc(radius + rng.choice([-1, 1])))
        cases.append(
            seen(given, predicted, rng, edges_mm=(-2, 2), features=lambda at, known=known: known[at])
        )
    blind = [dataclasses.replace(case, features=None) for case in cases]
    with_features, without = (
        transition_of_bands(some, np.eye(2)[None], (-2, 2), np.random.default_rng(0))[0, 1]
        for some in (cases, blind)
    )
    np.testing.assert_allclose(with_features, [[0.7, 0.3], [0.3, 0.7]], atol=0.06)
    assert without[1, 1] > 0.9


def test_exclusive_classes_have_a_row_each_from_their_own_inside(rng):
    """Class 1 on the left, class 2 on the right, and every tenth row of 2 given as background."""
    labels = np.zeros((30, 60), int)
    labels[5:25, 5:30], labels[5:25, 30:55] = 1, 2
    given = labels.copy()
    given[10::10, 30:] = 0
    probs = (labels == np.arange(3)[:, None, None]).astype(float)
    edges = (-3, 0, 3)
    matrices = transition_of_bands(
        [seen(given, probs, rng, edges_mm=edges)] * 20, np.eye(3)[None], edges, rng
    )
    # 14 rows and 19 columns lie deeper than 3; of these rows 2 are left out, as of the 20 in all
    np.testing.assert_allclose(matrices[0, 0, 2], [1 / 7, 0, 6 / 7], atol=0.01)
    np.testing.assert_allclose(matrices[0, 1, 2], [12 / 234, 0, 222 / 234], atol=0.01)
    np.testing.assert_allclose(matrices[0, 2:, 2], matrices[0, [1, 1], 2])
    np.testing.assert_allclose(matrices[0, :, 1], [[0, 1, 0]] * 4, atol=1e-9)
