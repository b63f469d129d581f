"""Annotators without truth: differences of bias, roughness and variation, known by hand or by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from labelmend.errors import ConfigError, DataError
from labelmend.workflows.noise_fitting.raters import Comparisons, compare_raters, fit_raters, pool_comparisons

SIZE, CENTRE = 96, 48
NAMES = ("plain", "large", "rough", "small")


def half(edge: int) -> np.ndarray:
    mask = np.zeros((1, 30), bool)
    mask[:, :edge] = True
    return mask


def wavy(rng: np.random.Generator, bias: float, spread: float, roughness: float, radius: float) -> np.ndarray:
    """A disc whose radius is off by a bias, by a draw a case, and by a smooth wave along the outline."""
    y, x = np.mgrid[:SIZE, :SIZE] - CENTRE
    wave = gaussian_filter(rng.normal(size=360), 12, mode="wrap")
    wave *= roughness / wave.std()
    angle = np.rint(np.degrees(np.arctan2(y, x))).astype(int) % 360
    return np.hypot(y, x) < radius + bias + spread * rng.normal() + wave[angle]


def four_hands(n: int, rng: np.random.Generator) -> Comparisons:
    hands = ((0.0, 0.3, 0.5), (2.0, 0.3, 0.5), (0.0, 0.3, 1.5), (-1.0, 1.0, 0.5))
    return pool_comparisons(
        [compare_raters([wavy(rng, *hand, radius=25 + i % 5) for hand in hands]) for i in range(n)]
    )


def test_a_pair_is_compared_both_ways() -> None:
    found = compare_raters([half(10), half(13), None], (1.0, 0.5))
    assert found.larger_mm[0, 0, 1] == 1.5
    assert found.larger_mm[0, 1, 0] == -1.5
    assert found.variance_mm2[0, 0, 1] == 0.0
    assert np.isnan(found.larger_mm[0, 2]).all()
    assert found.dice[0, 0, 1] == pytest.approx(20 / 23)


def test_the_biases_roughness_and_variation_of_four_hands_are_found(rng: np.random.Generator) -> None:
    found = fit_raters(four_hands(40, rng), NAMES, n_boot=300)
    for interval, truth in zip(found.bias_mm, np.array([0, 2, 0, -1]) - 0.25):
        assert interval.low - 0.15 <= truth <= interval.high + 0.15
    assert sum(i.value for i in found.bias_mm) == pytest.approx(0, abs=1e-9)
    # Rounding to pixels adds its share to every roughness: about 0.3 px of each mask.
    roughness = [i.value for i in found.roughness_mm]
    assert 1.2 < roughness[2] < 1.7
    assert all(0.4 < value < 0.75 for value in (roughness[0], roughness[1], roughness[3]))
    spread = [i.value for i in found.spread_mm]
    assert 0.7 < spread[3] < 1.3
    assert max(spread[:3]) < 0.7


def test_a_bias_that_all_share_cannot_be_seen(rng: np.random.Generator) -> None:
    found = [
        pool_comparisons(
            [compare_raters([half(10 + shared), half(12 + shared), half(11 + shared)]) for _ in range(3)]
        )
        for shared in (0, 5)
    ]
    fits = [fit_raters(f, "abc") for f in found]
    assert [i.value for i in fits[0].bias_mm] == pytest.approx([-1, 1, 0])
    assert [i.value for i in fits[1].bias_mm] == pytest.approx([-1, 1, 0])


def test_of_two_annotators_each_gets_half_of_the_variance() -> None:
    larger = np.array([[[0, 1], [-1, 0]], [[0, 3], [-3, 0]]], float)
    variance = np.array([[[0, 8], [8, 0]]] * 2, float)
    found = fit_raters(Comparisons(larger, variance, np.ones((2, 2, 2))), "ab")
    assert [i.value for i in found.bias_mm] == pytest.approx([-1, 1])
    assert [i.value for i in found.roughness_mm] == pytest.approx([2, 2])
    assert [i.value for i in found.spread_mm] == pytest.approx([0.5**0.5] * 2)  # 1 and 3 about 2: variance 1
    assert not found.split


def test_annotators_who_saw_other_cases_are_linked_by_a_third() -> None:
    cases = [compare_raters([half(10), half(12), None]), compare_raters([None, half(12), half(15)])]
    found = fit_raters(pool_comparisons(cases), "abc")
    assert [i.value for i in found.bias_mm] == pytest.approx([-7 / 3, -1 / 3, 8 / 3])
    assert found.n_cases == (1, 2, 1)


def test_annotators_without_a_link_are_refused() -> None:
    cases = [
        compare_raters([half(10), half(12), None, None]),
        compare_raters([None, None, half(12), half(15)]),
    ]
    with pytest.raises(DataError, match="c and a cannot be compared"):
        fit_raters(pool_comparisons(cases), "abcd")


def test_one_case_has_estimates_without_intervals() -> None:
    found = fit_raters(compare_raters([half(10), half(12), half(13)]), "abc")
    assert found.bias_mm[0].value == pytest.approx(-5 / 3)
    assert math.isnan(found.bias_mm[0].low)
    assert math.isnan(found.spread_mm[0].value)


def test_specks_of_one_annotator_do_not_look_rough() -> None:
    clean = np.zeros((60, 60), bool)
    clean[20:40, 20:40] = True
    dusty = clean.copy()
    dusty[3, 3], dusty[50, 8], dusty[30, 30] = True, True, False
    assert compare_raters([clean, dusty]).variance_mm2[0, 0, 1] == 0.0


def test_one_annotator_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least two"):
        fit_raters(compare_raters([half(3)]), "a")
    with pytest.raises(ConfigError, match="2 annotators and 3 names"):
        fit_raters(compare_raters([half(3), half(4)]), "abc")
