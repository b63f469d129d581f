"""Probabilities made with a known temperature, counts by hand, and whether probabilities know too much."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.metrics.calibration import LEAST_PROB, MOST_PIXELS, N_BINS, TEMPERATURES
from labelmend.workflows.auditing.findings import Calibration, calibration_of, scaled

NOWHERE = np.zeros(4, bool)


def of_pairs(given, first, at=None) -> Calibration:
    """Two classes, `first` the probability of the background."""
    probs = np.array([first, 1 - np.array(first)])
    return calibration_of(np.array(given), probs, np.zeros(len(given), bool) if at is None else np.array(at))


def drawn(rng: np.random.Generator, n: int, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that were drawn from them."""
    probs = rng.dirichlet(np.ones(k), size=n).T
    given = (rng.random(n) > np.cumsum(probs, axis=0)[:-1]).sum(axis=0)
    return given, probs


def test_counts_of_four_pixels_by_hand():
    found = of_pairs([0, 0, 1, 1], [0.9, 0.9, 0.9, 0.2], [True, False, False, True])
    numbers = (np.array([0.9, 0.8]) * N_BINS).astype(int)
    assert found.n[numbers].tolist() == [3, 1]
    assert found.confidence[numbers] == pytest.approx([2.7, 0.8])
    assert found.right[numbers].tolist() == [2, 1]
    assert found.n.sum() == 4
    assert (found.at_outlines, found.n_at_outlines) == (pytest.approx(0.9 + 0.8), 2)
    assert found.error == pytest.approx((0.7 + 0.2) / 4)
    assert found.losses[8] == pytest.approx(-np.log([0.9, 0.9, 0.1, 0.8]).sum(), rel=1e-5)  # at 1


def test_cases_add_up(rng):
    given, probs = drawn(rng, 2000)
    at = rng.random(2000) < 0.3
    whole = calibration_of(given, probs, at)
    parts = [calibration_of(given[i::2], probs[:, i::2], at[i::2]) for i in range(2)]
    total = parts[0] + parts[1]
    for name in ("n", "confidence", "right", "losses", "at_outlines", "n_at_outlines"):
        np.testing.assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-5)


def test_probabilities_that_labels_were_drawn_from_are_calibrated(rng):
    given, probs = drawn(rng, MOST_PIXELS)
    found = calibration_of(given, probs, np.zeros(len(given), bool))
    assert found.temperature == pytest.approx(1, rel=0.2)
    assert found.error < 0.04


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_the_power_that_probabilities_were_sharpened_by_is_the_temperature(rng, power):
    cases = [drawn(rng, MOST_PIXELS) for _ in range(5)]

    def total(temperature: float) -> Calibration:
        sharp = [(y, scaled(scaled(p, 1 / power), temperature)) for y, p in cases]
        first, *others = [calibration_of(y, p, np.zeros(len(y), bool)) for y, p in sharp]
        return sum(others, first)

    assert total(1.0).temperature == pytest.approx(power)
    assert total(1.0).error > 0.05
    assert total(power).error < 0.02


def test_temperatures_run_from_a_quarter_to_four_with_one_among_them():
    assert (TEMPERATURES[0], TEMPERATURES[8], TEMPERATURES[-1]) == pytest.approx((0.25, 1, 4))


def test_of_large_cases_some_pixels_are_taken_and_all_at_outlines(rng):
    n = 10 * MOST_PIXELS
    given, probs = drawn(rng, n)
    found = calibration_of(given, probs, np.ones(n, bool))
    assert found.n.sum() == MOST_PIXELS
    assert found.n_at_outlines == n


@pytest.mark.parametrize(("prob", "flagged"), [(0.97, True), (0.91, True), (0.88, False), (0.5, False)])
def test_a_network_that_is_sure_of_labels_at_their_outlines_has_seen_them(prob, flagged):
    assert of_pairs([0] * 9, [prob] * 9, [True] * 9).looks_in_sample == flagged


def test_where_there_is_no_outline_nothing_looks_in_sample():
    assert not of_pairs([0] * 9, [1.0] * 9).looks_in_sample


def test_no_pixel_known_says_nothing():
    found = calibration_of(np.zeros(0, int), np.zeros((3, 0)), np.zeros(0, bool))
    assert (found.n.sum(), found.error, found.temperature, found.looks_in_sample) == (0, 0, 1, False)


def test_probabilities_of_0_and_1_and_in_16_bits_are_counted():
    given, first = [0, 1, 0, 1], np.array([1, 0, 0, 1], np.float16)
    found = calibration_of(np.array(given, np.uint8), np.array([first, 1 - first]), NOWHERE)
    assert found.right.tolist() == [0] * (N_BINS - 1) + [2]
    assert found.losses[8] == pytest.approx(-2 * np.log(LEAST_PROB), rel=1e-3)


def test_another_temperature_by_hand():
    probs = np.array([[0.9], [0.1]])
    assert scaled(probs, 0.5).ravel() == pytest.approx([0.81 / 0.82, 0.01 / 0.82])
    assert scaled(probs, 1.0).ravel() == pytest.approx([0.9, 0.1])
    assert scaled(scaled(probs, 0.5), 2.0).ravel() == pytest.approx([0.9, 0.1])


def test_small_powers_need_more_than_16_bits():
    probs = np.array([[0.03], [0.02], *[[0.025]] * 38], np.float16)
    first, second = scaled(probs, 0.25)[:2, 0]
    assert first / second == pytest.approx((float(probs[0, 0]) / float(probs[1, 0])) ** 4, rel=1e-4)
