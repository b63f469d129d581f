"""Annotators keep their style: from case to case, and whoever else annotates."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise import MarkovNoise, Rater, draw_raters


def test_a_rater_depends_on_the_seed_and_the_own_number_alone() -> None:
    assert draw_raters(5, seed=3)[:2] == draw_raters(2, seed=3)
    assert draw_raters(2, seed=3) != draw_raters(2, seed=4)


def test_raters_differ_from_each_other() -> None:
    one, other = draw_raters(2)
    assert one.strength != other.strength
    assert one.bias != other.bias


def test_styles_spread_as_told() -> None:
    raters = draw_raters(4000, strength_spread=0.2, bias_spread=0.7)
    assert np.std([r.bias for r in raters]) == pytest.approx(0.7, rel=0.05)
    assert np.mean([r.bias for r in raters]) == pytest.approx(0, abs=0.05)
    assert np.std(np.log([r.strength for r in raters])) == pytest.approx(0.2, rel=0.05)
    assert np.median([r.strength for r in raters]) == pytest.approx(1, rel=0.02)


def test_without_spread_all_draw_as_the_noise_says() -> None:
    noise = MarkovNoise(steps=20, expand=0.6, flip=0.1)
    assert all(r.styled(noise) == noise for r in draw_raters(3, strength_spread=0, bias_spread=0))


def test_a_careless_generous_rater_walks_further_and_outward() -> None:
    noise = Rater("r", strength=2.0, bias=np.log(4)).styled(MarkovNoise(steps=20, expand=0.5, flip=0.1))
    assert (noise.steps, noise.expand) == (40, pytest.approx(0.8))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"count": 0}, "1 or more, got 0"),
        ({"count": 2, "bias_spread": -1}, "bias_spread must be a number from 0"),
    ],
)
def test_impossible_raters_are_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        draw_raters(**settings)  # type: ignore[arg-type]
