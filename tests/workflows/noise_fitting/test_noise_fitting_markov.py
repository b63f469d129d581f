"""Known settings are learned back, in 2-D and 3-D and from published masks; what cannot be told is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmend.errors import ConfigError, DataError
from labelmend.noise import markov_noise
from labelmend.workflows.noise_fitting.displacement import Pair
from labelmend.workflows.noise_fitting.markov import MarkovFit, fit_markov, flags, summarise_displacements


def disc(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:56, :56] - 28 + rng.uniform(-2, 2, (2, 1, 1))
    return y**2 / rng.uniform(0.7, 1.4) + x**2 < rng.uniform(11, 14) ** 2


def ball(rng: np.random.Generator) -> np.ndarray:
    z, y, x = np.mgrid[:18, :28, :28] - np.array([9, 14, 14]).reshape(3, 1, 1, 1)
    return (2 * z) ** 2 + y**2 + x**2 < rng.uniform(7, 9) ** 2


def pairs(n: int, seed: int, draw=disc, spacing=None, **settings) -> list[Pair]:
    rng = np.random.default_rng(seed)
    cases = [draw(rng) for _ in range(n)]
    return [Pair(markov_noise(mask, rng, **settings), mask, spacing) for mask in cases]


def holds(fit: MarkovFit, steps: int, expand: float) -> bool:
    inside = fit.steps.low <= steps <= fit.steps.high and fit.expand.low <= expand <= fit.expand.high
    return inside and fit.steps.high < 2.5 * fit.steps.low and fit.expand.high - fit.expand.low < 0.3


@pytest.mark.parametrize(("steps", "expand", "smooth"), [(40, 0.7, True), (40, 0.3, False)])
def test_the_settings_of_drawn_masks_are_found(steps: int, expand: float, smooth: bool) -> None:
    drawn = pairs(16, 1, steps=steps, expand=expand, flip=0.1, smooth=smooth)
    fit = fit_markov(drawn, flip=0.1, n_boot=150)
    assert holds(fit, steps, expand)
    assert fit.noise.smooth == smooth
    assert fit.distance < 6
    assert max(abs(m.z) for m in fit.moments) < 4


def test_the_settings_of_drawn_volumes_are_found_whatever_their_spacing() -> None:
    drawn = pairs(12, 2, ball, (2.0, 0.5, 0.5), steps=15, expand=0.7, flip=0.1)
    assert holds(fit_markov(drawn, flip=0.1, n_boot=150), 15, 0.7)


def test_the_published_settings_of_real_clavicles_are_found(jsrt: Path) -> None:
    def read(path: Path) -> np.ndarray:
        return (np.asarray(Image.open(path)) > 0)[:144]  # clavicles lie in the upper half

    files = sorted((jsrt / "train" / "clean" / "clavicle").iterdir())[::8]
    cases = [Pair(read(jsrt / "train/given_J1/clavicle" / f.name), read(f)) for f in files]
    fit = fit_markov(cases, flip=0.02, n_boot=150)
    assert holds(fit, 100, 0.8)
    assert fit.noise.smooth
    assert abs(fit.speckle.value - 0.2) < 0.01


def test_other_flips_fit_with_other_steps_and_their_product_hardly_moves() -> None:
    drawn = pairs(8, 3, steps=40, expand=0.7, flip=0.1, smooth=True)
    fit = fit_markov(drawn, flip=0.1, flips=(0.05,), n_boot=20)
    assert [row.flip for row in fit.profile] == [0.05, 0.1]
    assert fit.n_profile == 8
    steps = [row.steps for row in fit.profile]
    assert steps[0] > 1.5 * steps[1]
    times = [row.steps * row.flip for row in fit.profile]
    assert max(times) < 1.6 * min(times)


def test_the_same_seed_gives_the_same_fit_and_no_more_cases_are_used_than_asked_for() -> None:
    drawn = pairs(4, 4, steps=10, expand=0.7, flip=0.1)
    fits = [fit_markov(drawn, flip=0.1, n_boot=20, max_cases=3, seed=seed) for seed in (0, 0, 1)]
    assert fits[0].steps == fits[1].steps
    assert fits[0].expand == fits[1].expand
    assert fits[0].steps != fits[2].steps
    assert fits[0].n_cases == 3


def test_equal_masks_have_no_noise() -> None:
    rng = np.random.default_rng(0)
    fit = fit_markov([Pair(mask, mask) for mask in (disc(rng), disc(rng))])
    assert (fit.noise.steps, fit.noise.speckle) == (0, 0)
    assert fit.distance == 0


def test_a_single_case_is_fitted_without_intervals() -> None:
    fit = fit_markov(pairs(1, 5, steps=40, expand=0.8, flip=0.1), flip=0.1)
    assert fit.n_cases == 1
    assert fit.noise.expand > 0.5
    assert math.isnan(fit.steps.low)


def test_cases_without_boundary_are_left_out_and_nothing_else_is_refused() -> None:
    empty = Pair(np.zeros((56, 56), bool), np.zeros((56, 56), bool))
    assert fit_markov([empty, *pairs(3, 6, steps=10, expand=0.7, flip=0.1)], flip=0.1, n_boot=10).n_cases == 3
    with pytest.raises(DataError, match="none of 1 cases"):
        fit_markov([empty])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flip": 0.0}, "above 0, got 0.0"),
        ({"flip": 1.5}, "flip must lie in"),
        ({"flips": (0.1, -1)}, "above 0"),
        ({"speckle": -0.1}, "speckle must lie in"),
        ({"level": 1.5}, "level must lie in"),
        ({"n_boot": -1}, "n_boot"),
        ({"max_cases": 0}, "max_cases"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_markov(pairs(2, 0, steps=5, expand=0.5, flip=0.1), **setting)


def test_the_summary_holds_bias_spread_and_roughness_worked_out_by_hand() -> None:
    def line(start: int, stop: int) -> np.ndarray:
        mask = np.zeros((1, 30), bool)
        mask[:, start:stop] = True
        return mask

    clean = line(10, 20)
    cases = [Pair(line(8, 22), clean), Pair(line(6, 20), clean), Pair(np.zeros((1, 30), bool), clean)]
    found = summarise_displacements([pair.against_clean(pair.given) for pair in cases], n_boot=50)
    assert found["bias_mm"].value == 2  # 2 and 2 pixels; 4 and 0
    assert found["spread_mm"].value == 0
    assert found["roughness_mm"].value == pytest.approx(2**0.5)  # 0 and 2
    assert found["area_ratio"].value == pytest.approx(1.4)


def test_the_flags_are_those_of_the_noise() -> None:
    fit = fit_markov(pairs(2, 7, steps=10, expand=0.7, flip=0.1), flip=0.1, speckle=0.0, smooth=True)
    assert f"--noise.steps {fit.noise.steps} " in flags(fit.noise)
    assert flags(fit.noise).endswith("--noise.speckle 0.0 --noise.smooth")
