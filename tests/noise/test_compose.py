"""Errors one after the other and errors by choice: what is drawn, what is applied, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise import Compose, MarkovNoise, OneOf, make_noise
from labelmend.types import Grid, LabelMap

GROW = MarkovNoise(steps=1, expand=1.0, flip=1.0)
SHRINK = MarkovNoise(steps=1, expand=0.0, flip=1.0)


def square() -> LabelMap:
    array = np.zeros((12, 12), np.uint8)
    array[4:8, 4:8] = 1
    return LabelMap(array, Grid((12, 12), (1.0, 1.0)), ("a",))


def area(noise: object, seed: int = 0) -> int:
    labels = square()
    params = json.loads(json.dumps(noise.draw(np.random.default_rng(seed), labels)))  # type: ignore[attr-defined]
    return int(noise.apply(labels, params).array.sum())  # type: ignore[attr-defined]


def test_parts_are_applied_one_after_the_other() -> None:
    # A square of 16 grown by its 16 outer neighbours, twice: 4x4, the plus of 32, the diamond of 52.
    assert [area(Compose(parts=[GROW] * n)) for n in (1, 2)] == [32, 52]
    assert area(Compose(parts=[SHRINK, SHRINK])) == 0
    assert area(Compose(parts=[SHRINK, GROW])) == 12


def test_each_part_happens_as_often_as_its_probability_says() -> None:
    areas = [area(Compose(parts=[GROW, SHRINK], probability=[0.25, 0.0]), seed) for seed in range(400)]
    assert set(areas) == {16, 32}
    assert np.mean(np.array(areas) == 32) == pytest.approx(0.25, abs=0.08)


def test_one_of_draws_each_part_as_often_as_its_weight_says() -> None:
    areas = [area(OneOf(parts=[GROW, SHRINK], weights=[3, 1]), seed) for seed in range(400)]
    assert set(areas) == {32, 4}
    assert np.mean(np.array(areas) == 32) == pytest.approx(0.75, abs=0.08)


def test_adding_a_part_at_the_end_changes_nothing_before_it() -> None:
    noise = MarkovNoise(steps=20, expand=0.5, flip=0.3)
    first = Compose(parts=[noise, noise]).draw(np.random.default_rng(1), square())
    more = Compose(parts=[noise, noise, noise]).draw(np.random.default_rng(1), square())
    assert more["parts"][:2] == first["parts"]


def test_parts_may_be_nested_and_named() -> None:
    noise = make_noise(
        {
            "name": "compose",
            "parts": [{"name": "one_of", "parts": ["markov", {"name": "markov", "steps": 3}]}, GROW],
        }
    )
    assert isinstance(noise, Compose)
    assert noise.noises[0].noises[1] == MarkovNoise(steps=3)
    assert noise.noises[1] is GROW


def test_a_style_reaches_every_part() -> None:
    noise = Compose(parts=[OneOf(parts=[MarkovNoise(steps=10)])]).styled(strength=2)
    assert noise.noises[0].noises[0].steps == 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "markow"}, r"no noise called 'markow': choose from"),
        ({"name": "markov", "step": 3}, r"markov noise cannot be made from .*step"),
        ({"name": "markov", "steps": -1}, "got -1"),
        ({"name": "compose"}, "compose noise needs a list of parts"),
        ({"name": "compose", "parts": "markov"}, "compose noise needs a list of parts"),
        ({"name": "compose", "parts": ["markov"], "probability": 1.2}, r"in \[0, 1\], got 1.2"),
        ({"name": "compose", "parts": ["markov"], "probability": [0.5, 0.5]}, "1 parts but 2 probabilities"),
        ({"name": "one_of", "parts": ["markov"], "weights": [1, 2]}, "1 parts but 2 weights"),
        ({"name": "one_of", "parts": ["markov"], "weights": [0]}, "not all 0"),
        ({"name": "one_of", "parts": ["markov"], "weights": [-1]}, "from 0 up"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_noise(settings)


def test_labels_that_no_part_changes_come_back_in_an_array_of_their_own() -> None:
    labels, noise = square(), Compose(parts=[GROW], probability=0.0)
    noisy = noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    assert np.array_equal(noisy.array, labels.array)
    assert not np.shares_memory(noisy.array, labels.array)
