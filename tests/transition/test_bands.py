import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.transition.bands import (
    LEAST,
    LEAST_NEIGHBOURS,
    LEAST_ROWS,
    SHRINK,
    band_counts,
    band_index,
    banded_transition,
    check_edges,
    class_distance,
    consensus_rows,
    middle_band,
)

EDGES = (-4.0, -1.0, 1.0, 4.0)
BASE = np.array([[0.9, 0.1], [0.2, 0.8]])


# ---- where the bands are


@pytest.mark.parametrize(("edges", "middle"), [((-2, 2), 1), ((-2, 0, 2), None), ((3, 5), 0), ((-3,), 1)])
def test_the_band_that_holds_zero_has_no_side(edges, middle):
    assert middle_band(edges) == middle


def test_without_a_boundary_everything_lies_in_the_outermost_band():
    for mask, band in ((np.zeros((3, 4), int), 4), (np.ones((3, 4), int), 0)):
        assert (band_index(class_distance(mask, 2), EDGES) == band).all()


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_for_one_class_the_distance_is_that_of_its_mask(rng, shape):
    mask, spacing = rng.random(shape) < 0.3, (2.0, 0.5, 1.5)[: len(shape)]
    np.testing.assert_array_equal(
        class_distance(mask.astype(int), 2, spacing), signed_distance(mask, spacing)
    )
    turned = class_distance(np.where(mask, 2, 0), 3, spacing)
    np.testing.assert_allclose(turned, signed_distance(mask, spacing))


def test_beside_another_class_a_class_is_as_near_to_its_boundary_as_beside_the_background():
    labels = np.array([[0, 0, 1, 1, 1, 2, 2]])
    expected = [[3, 1, -1, -3, -1, -1, -3]]
    np.testing.assert_array_equal(class_distance(labels, 3, (1.0, 2.0)), expected)


@pytest.mark.parametrize("edges", [(1, 1), (2, 1), (0, np.inf), (np.nan,)])
def test_edges_that_cannot_be_used_are_refused(edges):
    with pytest.raises(ConfigError, match="rising order"):
        check_edges(edges)


# ---- what is counted


def test_pixels_are_counted_by_band_predicted_and_given_class():
    predicted, given, bands = (np.array(row) for row in ([1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 2, 2]))
    counts = band_counts(predicted, given, bands, n_classes=2, n_bands=3)
    assert counts.tolist() == [[[0, 0], [1, 1]], [[0, 0], [0, 0]], [[2, 0], [0, 0]]]


def test_a_row_is_what_the_predicted_class_is_given_as_and_the_matrix_for_all_bands_counts_a_little():
    counts = np.zeros((2, 2, 2))
    counts[0, 1], counts[1, 0] = (300, 680), (980, 0)
    found = banded_transition(counts, BASE)
    np.testing.assert_allclose(found[0, 1], [(300 + SHRINK * 0.2) / 1000, (680 + SHRINK * 0.8) / 1000])
    np.testing.assert_allclose(found[1, 0], [(980 + SHRINK * 0.9) / 1000, SHRINK * 0.1 / 1000])


def test_a_row_that_no_pixel_tells_is_that_of_the_nearest_band_that_tells_it():
    counts = np.zeros((5, 2, 2))
    counts[0, 1], counts[1, 1] = (0, 1e9), (4e8, 6e8)
    counts[3, 0], counts[4, 0] = (7e8, 3e8), (1e9, 0)
    counts[2] = 5e8  # the middle: the network cannot tell there, and so it does not count
    found = banded_transition(counts, BASE, middle=2)
    np.testing.assert_allclose(found[:, 1, 1], [1, 0.6, 0.6, 0.6, 0.6], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 0], [0.7, 0.7, 0.7, 0.7, 1], atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1)


def test_in_the_middle_consensus_counts_row_by_row():
    counts = np.zeros((3, 2, 2))
    counts[0, 1], counts[2, 0] = (0, 1e9), (1e9, 0)
    found = banded_transition(counts, BASE, middle=1, consensus=np.array([[0.7, 0.3], [np.nan, np.nan]]))
    np.testing.assert_allclose(found[1], [[0.7, 0.3], [0, 1]], atol=1e-6)


def test_few_pixels_or_a_class_mostly_given_as_another_tell_nothing():
    counts = np.zeros((2, 2, 2))
    counts[0, 1], counts[1, 0] = (0, LEAST - 1), (400, 600)
    np.testing.assert_array_equal(banded_transition(counts, BASE), [BASE, BASE])


# ---- consensus of other cases


def drawn_band(rng, matrix, *, n_cases=60, a_case=60, signal=3.0, look=0.0):
    """Pixels of two classes in one band, with labels by the matrix; half of their 20 features tell the class.

    Returns:
        features, given classes, cases and true classes.
    """
    n, groups = n_cases * a_case, np.repeat(np.arange(n_cases), a_case)
    truth = rng.integers(0, 2, n)
    features = rng.normal(size=(n, 20)) + look * rng.normal(size=(n_cases, 20))[groups]
    features[:, :10] += signal * truth[:, None]
    given = (rng.random(n) < np.asarray(matrix)[truth, 1]).astype(int)
    return features, given, groups, truth


def test_with_features_that_tell_the_classes_apart_consensus_finds_the_matrix_of_the_band(rng):
    matrix = np.array([[0.9, 0.1], [0.25, 0.75]])
    features, given, groups, _ = drawn_band(rng, matrix)
    np.testing.assert_allclose(consensus_rows(features, given, groups, 2, rng=rng), matrix, atol=0.05)


@pytest.mark.parametrize("matrix", [np.eye(2), BASE], ids=["right", "wrong"])
def test_with_features_that_hardly_do_it_says_nothing(rng, matrix):
    """Right labels of two kinds that look alike, and wrong labels of one kind, are the same to it."""
    features, given, groups, _ = drawn_band(rng, matrix, signal=0.5)
    assert np.isnan(consensus_rows(features, given, groups, 2, rng=rng)).all()


def test_beside_a_rare_class_it_says_nothing(rng):
    features, given, groups, truth = drawn_band(rng, [[0.9, 0.1], [0.25, 0.75]], n_cases=120)
    kept = (truth == 0) | (rng.random(len(truth)) < 0.05)
    assert np.isnan(consensus_rows(features[kept], given[kept], groups[kept], 2, rng=rng)).all()


def test_neighbours_in_the_same_case_would_hide_errors_that_all_of_a_case_shares(rng):
    """In a third of the cases class 1 was left out, and each case has a look of its own."""
    features, _, groups, truth = drawn_band(rng, np.eye(2), n_cases=100, a_case=40, signal=12.0, look=4.0)
    given = np.where(rng.random(100)[groups] < 1 / 3, 0, truth)
    anyones = consensus_rows(features, given, np.arange(len(given)), 2, rng=rng)
    others = consensus_rows(features, given, groups, 2, rng=rng)
    np.testing.assert_allclose(anyones, np.eye(2), atol=0.02)  # "no label is wrong"
    assert not others[1, 1] > 0.8


def test_too_few_pixels_or_cases_say_nothing(rng):
    features, given, groups, _ = drawn_band(rng, BASE)
    few = slice(LEAST_ROWS - 1)
    assert np.isnan(consensus_rows(features[few], given[few], groups[few], 2, rng=rng)).all()
    for n_cases, silent in ((1, True), (LEAST_NEIGHBOURS, True), (LEAST_NEIGHBOURS + 1, False)):
        of_few = np.arange(len(given)) % n_cases
        assert np.isnan(consensus_rows(features, given, of_few, 2, rng=rng)).all() == silent
    assert np.isnan(consensus_rows(features[:0], given[:0], groups[:0], 2, rng=rng)).all()


def test_the_same_seed_gives_the_same_rows_and_inputs_stay():
    drawn = drawn_band(np.random.default_rng(1), BASE)[:3]
    before = [array.copy() for array in drawn]
    one, two = (consensus_rows(*drawn, 2, rng=np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    for array, old in zip(drawn, before):
        np.testing.assert_array_equal(array, old)
