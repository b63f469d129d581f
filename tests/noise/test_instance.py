"""Class labels that go wrong by what the case looks like: how often, where to, and by which settings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.noise.instance import InstanceFlipNoise, mean_flip_probability

K = 10


def pictures(rng: np.random.Generator, n: int = 4000, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures from 0 to 255, and classes."""
    return rng.integers(0, 256, (n, side, side)).astype(np.uint8), rng.integers(0, K, n)


def rows_of(rng: np.random.Generator, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Transition rows, and where wrong labels go: the rows over q, without the true class."""
    x, y = pictures(rng)
    noise = InstanceFlipNoise(K, **settings)
    params = noise.draw(rng, x, y)
    rows = noise.transition_rows(x, y, params)
    targets = rows / noise.flip_probabilities(y, params)[:, None]
    targets[np.arange(len(y)), y] = 0
    return rows, targets


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("per_class", [False, True])
def test_as_many_labels_go_wrong_as_the_flip_probabilities_say(
    rate: float, per_class: bool, rng: np.random.Generator
) -> None:
    x, y = pictures(rng, 8000, side=4)
    noise = InstanceFlipNoise(K, rate=rate, per_class_projection=per_class)
    params = noise.draw(rng, x, y)
    q = noise.flip_probabilities(y, params)
    wrong = noise.apply(x, y, params) != y
    assert abs(wrong.mean() - q.mean()) < 3 * ((q * (1 - q)).sum() ** 0.5) / len(y)
    # Cases with a larger q are wrong more often.
    assert wrong[q > np.median(q)].mean() > wrong[q < np.median(q)].mean() + 0.03


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.9])
def test_flip_probabilities_follow_the_normal_law_cut_to_the_unit_interval(
    rate: float, rng: np.random.Generator
) -> None:
    y = np.zeros(50_000, int)
    noise = InstanceFlipNoise(2, rate=rate, spread=0.1)
    q = noise.flip_probabilities(y, noise.draw(rng, np.zeros((len(y), 1)), y))
    assert q.min() > 0
    assert q.max() < 1
    kept = rng.normal(rate, 0.1, 200_000)
    kept = kept[(kept > 0) & (kept < 1)]
    assert np.allclose(np.quantile(q, [0.1, 0.5, 0.9]), np.quantile(kept, [0.1, 0.5, 0.9]), atol=0.004)
    assert abs(q.mean() - mean_flip_probability(rate, 0.1)) < 4 * 0.1 / 50_000**0.5


def test_the_cut_at_zero_raises_the_mean_rate() -> None:
    assert mean_flip_probability(0.2, 0.1) == pytest.approx(0.2055, abs=1e-4)
    assert mean_flip_probability(0.5, 0.3) == pytest.approx(0.5)
    assert mean_flip_probability(0.3, 0) == 0.3


def test_rows_are_laws_with_one_minus_q_on_the_true_class(rng: np.random.Generator) -> None:
    x, y = pictures(rng, 500)
    noise = InstanceFlipNoise(K, rate=0.3)
    params = noise.draw(rng, x, y)
    rows = noise.transition_rows(x, y, params)
    assert rows.min() >= 0
    assert np.allclose(rows.sum(axis=1), 1)
    assert np.allclose(rows[np.arange(500), y], 1 - noise.flip_probabilities(y, params))


def test_raw_grey_values_saturate_the_softmax_and_normalised_ones_do_not(rng: np.random.Generator) -> None:
    _, raw = rows_of(rng, normalize=False)
    _, soft = rows_of(rng, normalize=True)
    assert raw.max(axis=1).mean() > 0.98
    assert 0.2 < soft.max(axis=1).mean() < 0.5
    # Raw, all cases lean to the same few classes: the mean grey decides.
    assert raw.mean(axis=0).max() > 0.5
    assert soft.mean(axis=0).max() < 0.2


def test_a_high_temperature_makes_all_wrong_classes_alike_and_a_low_one_picks_one(
    rng: np.random.Generator,
) -> None:
    _, flat = rows_of(rng, temperature=1e6)
    _, sharp = rows_of(rng, temperature=1e-3)
    assert flat.max() == pytest.approx(1 / (K - 1), rel=1e-3)
    assert sharp.max(axis=1).mean() > 0.99


def test_wrong_labels_depend_on_the_picture_alone_or_on_its_class_too(rng: np.random.Generator) -> None:
    x = np.repeat(rng.normal(size=(1, 6)), 2, axis=0)
    x = np.concatenate([x, rng.normal(size=(40, 6))])
    y = np.array([0, 1, *[2] * 40])
    ratios = []
    for per_class in (False, True):
        noise = InstanceFlipNoise(4, spread=0, per_class_projection=per_class)
        rows = noise.transition_rows(x, y, noise.draw(np.random.default_rng(0), x, y))
        ratios.append(rows[:2, 2] / rows[:2, 3])  # how two twins of classes 0 and 1 share between 2 and 3
    shared, own = ratios
    assert shared[0] == pytest.approx(shared[1])
    assert own[0] != pytest.approx(own[1], rel=1e-3)


def test_labels_stay_within_the_classes_and_follow_their_rows(rng: np.random.Generator) -> None:
    x, y = pictures(rng, 6000, side=4)
    noise = InstanceFlipNoise(K, rate=0.5)
    params = noise.draw(rng, x, y)
    given = noise.apply(x, y, params)
    rows = noise.transition_rows(x, y, params)
    assert set(given) <= set(range(K))
    expected, variance = rows.sum(axis=0), (rows * (1 - rows)).sum(axis=0)
    assert (np.abs(np.bincount(given, minlength=K) - expected) < 4 * variance**0.5).all()


def test_the_parameters_alone_fix_the_result_and_go_through_json(rng: np.random.Generator) -> None:
    x, y = pictures(rng, 300)
    noise = InstanceFlipNoise(K, rate=0.4, per_class_projection=True)
    params = noise.draw(np.random.default_rng(0), x, y.astype(np.int8))
    given = noise.apply(x, y.astype(np.int8), params)
    again = InstanceFlipNoise(2, rate=0).apply(x, y, json.loads(json.dumps(params)))
    assert np.array_equal(given, again)
    assert given.dtype == np.int8
    assert not np.array_equal(given, noise.apply(x, y, noise.draw(np.random.default_rng(1), x, y)))


def test_a_rate_of_zero_keeps_all_labels_and_two_classes_have_one_way_to_be_wrong(
    rng: np.random.Generator,
) -> None:
    x, y = pictures(rng, 300)
    still = InstanceFlipNoise(K, rate=0)
    assert np.array_equal(still.apply(x, y, still.draw(rng, x, y)), y)
    certain = InstanceFlipNoise(2, rate=1, spread=0)
    assert np.array_equal(certain.apply(x, y % 2, certain.draw(rng, x, y % 2)), 1 - y % 2)


def test_constant_features_say_nothing_and_no_cases_are_fine(rng: np.random.Generator) -> None:
    y = np.arange(K)
    noise = InstanceFlipNoise(K, spread=0)
    rows = noise.transition_rows(np.full((K, 3), 7.1), y, noise.draw(rng, np.full((K, 3), 7.1), y))
    assert np.allclose(rows, 0.2 / (K - 1) + np.eye(K) * (0.8 - 0.2 / (K - 1)))
    x, none = np.zeros((0, 3)), np.zeros(0, int)
    assert noise.apply(x, none, noise.draw(rng, x, none)).shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 1.2}, r"rate must lie in \[0, 1\], got 1.2"),
        ({"rate": float("nan")}, "rate"),
        ({"spread": -0.1}, "spread must be a number from 0 up"),
        ({"temperature": 0}, "temperature must lie above 0"),
        ({"temperature": float("inf")}, "temperature"),
        ({"n_classes": 1}, "classes from 2 up, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InstanceFlipNoise(**{"n_classes": K, **settings})


def test_features_and_labels_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    noise = InstanceFlipNoise(3)
    with pytest.raises(GeometryError, match=r"shape \(4, 2\) for 3 labels"):
        noise.draw(rng, np.zeros((4, 2)), np.zeros(3, int))
    with pytest.raises(GeometryError, match="one row of features a label"):
        noise.draw(rng, np.zeros(3), np.zeros(3, int))
    with pytest.raises(ConfigError, match="finite features"):
        noise.draw(rng, np.array([[np.nan]]), np.zeros(1, int))
    with pytest.raises(LabelValueError, match="classes 0 to 2, but a label is 3"):
        noise.draw(rng, np.zeros((1, 2)), np.array([3]))
