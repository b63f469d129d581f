"""Class labels that go wrong by a matrix: the matrices by hand, and flips that follow them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import chisquare

from labelmend.errors import ConfigError, LabelValueError
from labelmend.noise.class_flip import (
    ClassFlipNoise,
    asymmetric_matrix,
    draw_classes,
    pair_matrix,
)
from labelmend.transition import symmetric_matrix


def test_the_symmetric_matrix_is_that_written_by_hand() -> None:
    by_hand = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7]]
    assert np.allclose(symmetric_matrix(4, 0.3), by_hand)


def test_the_pair_matrix_is_that_written_by_hand_and_wraps_around() -> None:
    by_hand = [[0.6, 0.4, 0, 0], [0, 0.6, 0.4, 0], [0, 0, 0.6, 0.4], [0.4, 0, 0, 0.6]]
    assert np.allclose(pair_matrix(4, 0.4), by_hand)


def test_two_classes_have_one_way_to_be_wrong() -> None:
    assert np.allclose(symmetric_matrix(2, 0.2), [[0.8, 0.2], [0.2, 0.8]])
    assert np.allclose(pair_matrix(2, 0.2), symmetric_matrix(2, 0.2))


def test_the_asymmetric_matrix_is_that_written_by_hand_and_shares_between_targets() -> None:
    by_hand = [[1, 0, 0, 0], [0, 0.4, 0.3, 0.3], [0, 0, 1, 0], [0.6, 0, 0, 0.4]]
    assert np.allclose(asymmetric_matrix(4, 0.6, [(1, 2), (1, 3), (3, 0)]), by_hand)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_of_zero_keeps_all_and_of_one_keeps_none(rate: float, rng: np.random.Generator) -> None:
    labels = rng.integers(0, 5, 1000)
    for matrix in (symmetric_matrix(5, rate), pair_matrix(5, rate)):
        noise = ClassFlipNoise(matrix)
        given = noise.apply(labels, noise.draw(rng, labels))
        assert (given != labels).all() if rate else np.array_equal(given, labels)


@pytest.mark.parametrize(
    "matrix",
    [symmetric_matrix(4, 0.3), pair_matrix(4, 0.45), np.array([[0, 0.2, 0, 0.8], *np.eye(4)[1:].tolist()])],
)
def test_flips_follow_the_matrix(matrix: np.ndarray, rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(4), 5000)
    noise = ClassFlipNoise(matrix)
    given = noise.apply(labels, noise.draw(rng, labels))
    for k in range(4):
        counts, possible = np.bincount(given[labels == k], minlength=4), matrix[k] > 0
        assert counts[~possible].sum() == 0
        if possible.sum() > 1:
            assert chisquare(counts[possible], 5000 * matrix[k][possible]).pvalue > 1e-3


def test_cases_go_wrong_independently(rng: np.random.Generator) -> None:
    labels = np.zeros(20_000, int)
    noise = ClassFlipNoise(symmetric_matrix(2, 0.3))
    wrong = noise.apply(labels, noise.draw(rng, labels)) != labels
    assert abs(np.corrcoef(wrong[:-1], wrong[1:])[0, 1]) < 4 / 20_000**0.5


class AlmostOne:
    """A generator whose numbers are the largest below one, where rounded sums of a row can be passed."""

    def random(self, n: int) -> np.ndarray:
        return np.full(n, np.nextafter(1, 0))


def test_a_class_of_probability_zero_is_never_drawn_whatever_rounding_does() -> None:
    row = np.array([0.0, *[0.1] * 9, 0.1 - 1e-7, 0.0])
    assert np.cumsum(row)[-1] < np.nextafter(1, 0)
    assert draw_classes(AlmostOne(), row[None]).tolist() == [10]  # type: ignore[arg-type]


def test_the_parameters_alone_fix_the_result_and_go_through_json(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, 200).astype(np.uint8)
    noise = ClassFlipNoise(symmetric_matrix(3, 0.5))
    params = noise.draw(np.random.default_rng(0), labels)
    assert params == noise.draw(np.random.default_rng(0), labels)
    again = ClassFlipNoise(np.eye(3)).apply(labels, json.loads(json.dumps(params)))
    given = noise.apply(labels, params)
    assert np.array_equal(given, again)
    assert given.dtype == np.uint8
    other = noise.apply(labels, noise.draw(np.random.default_rng(1), labels))
    assert not np.array_equal(given, other)


def test_the_labels_given_are_left_alone_and_no_labels_are_fine(rng: np.random.Generator) -> None:
    labels = np.zeros(50, int)
    noise = ClassFlipNoise(symmetric_matrix(2, 1.0))
    noise.apply(labels, noise.draw(rng, labels))
    assert not labels.any()
    empty = np.zeros(0, int)
    assert noise.apply(empty, noise.draw(rng, empty)).shape == (0,)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.5, 0.4], [0, 1]], "must sum to 1, row 0 sums to 0.9"),
        ([[1.5, -0.5], [0, 1]], r"probabilities in \[0, 1\]"),
        ([[float("nan"), 1], [0, 1]], r"\[0, 1\], got nan"),
        ([[1, 0, 0], [0, 1, 0]], r"square with 2 classes or more, got shape \(2, 3\)"),
        ([[1.0]], "square with 2 classes"),
        ([[1, 0], [1]], "rows of one length"),
    ],
)
def test_a_matrix_that_is_none_is_refused(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClassFlipNoise(matrix)


def test_settings_of_matrices_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="whole number of classes from 2 up, got 1"):
        pair_matrix(1, 0.1)
    with pytest.raises(ConfigError, match=r"got 2\.5"):
        pair_matrix(2.5, 0.1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rate must lie in \[0, 1\], got -0.1"):
        pair_matrix(3, -0.1)
    for pair in [(0, 0), (0, 3), (-1, 0)]:
        with pytest.raises(ConfigError, match="two different numbers from 0 to 2"):
            asymmetric_matrix(3, 0.1, [pair])
    with pytest.raises(ConfigError, match="one pair twice"):
        asymmetric_matrix(3, 0.1, [(0, 1), (0, 1)])


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(label: int, rng: np.random.Generator) -> None:
    noise = ClassFlipNoise(symmetric_matrix(3, 0.1))
    with pytest.raises(LabelValueError, match=f"classes 0 to 2, but a label is {label}"):
        noise.draw(rng, np.array([0, label]))
    with pytest.raises(LabelValueError):
        noise.apply(np.array([0, label]), noise.draw(rng, np.array([0])))


def test_masks_and_fractions_are_no_class_labels(rng: np.random.Generator) -> None:
    noise = ClassFlipNoise(symmetric_matrix(3, 0.1))
    for labels in (np.zeros((4, 4), int), np.array([0.0, 1.0]), np.array([True, False])):
        with pytest.raises(ConfigError, match="one integer a case"):
            noise.draw(rng, labels)
