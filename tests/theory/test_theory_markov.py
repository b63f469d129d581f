"""How far Markov noise moves a boundary: what is exact, and what is told against drawn masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from labelmend.errors import ConfigError, GeometryError
from labelmend.geometry import boundary_bias
from labelmend.noise import markov_noise
from labelmend.theory import (
    expected_bias_mm,
    front_drift_vox,
    front_level_vox,
    front_spread_vox,
    naive_drift_vox,
    steps_for_bias,
)

J1_LUNG = {"steps": 180, "expand": 0.8, "flip": 0.05}
J1_CLAVICLE = {"steps": 100, "expand": 0.8, "flip": 0.02}
J2_LUNG = {"steps": 180, "expand": 0.2, "flip": 0.05}
B1 = {"steps": 80, "expand": 0.7, "flip": 0.05}
UNBIASED = {"steps": 120, "expand": 0.5, "flip": 0.05}
FAST = {"steps": 14, "expand": 0.9, "flip": 0.4}

# Means of max |n_i| over all unit vectors n.
FIRST_GAIN = {2: 2 * math.sqrt(2) / math.pi, 3: 3 * math.sqrt(2) / math.pi * math.atan(math.sqrt(0.5))}


class Body:
    """A disc or ball in mm; displacements are read along rays from its centre."""

    def __init__(self, radius: float, room: float, spacing: tuple[float, ...]) -> None:
        halves = [int((radius + room) / s) + 2 for s in spacing]
        axes = [(np.arange(-n, n + 1) + 0.2) * s for n, s in zip(halves, spacing)]
        mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
        self.distance = np.sqrt(sum(x * x for x in mesh))
        self.mask, self.radius, self.spacing = self.distance < radius, radius, spacing
        sphere = 2 * math.pi if len(spacing) == 2 else 4 * math.pi
        self.weights = math.prod(spacing) / np.maximum(self.distance, 0.5) ** (len(spacing) - 1) / sphere

    def mean_shift(self, share: np.ndarray) -> float:
        return float((share * self.weights).sum() - (self.mask * self.weights).sum())

    def level_shift(self, share: np.ndarray) -> float:
        rings = (self.distance / 0.5).astype(int).ravel()
        profile = np.bincount(rings, share.ravel()) / np.maximum(np.bincount(rings), 1)
        profile = np.convolve(profile, np.ones(3) / 3, mode="same")[:-2]
        at = np.flatnonzero(profile >= 0.5)[-1]
        beyond = (profile[at] - 0.5) / (profile[at] - profile[at + 1])
        return float(0.5 * (at + 0.5 + beyond) - self.radius)


def draw(
    body: Body, cases: int, seed: int, setting: dict[str, Any], **finish: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Mean displacement of each mask drawn, and the share of masks that hold each pixel."""
    rng = np.random.default_rng([19, seed])
    total, shifts = np.zeros(body.mask.shape), np.empty(cases)
    for i in range(cases):
        noisy = markov_noise(body.mask, rng, **setting, **finish)
        total += noisy
        shifts[i] = body.mean_shift(noisy)
    return shifts, total / cases


ISOTROPIC: list[tuple[dict[str, Any], int, float, float, int]] = [
    (J1_LUNG, 2, 60, 30, 250),
    (J1_CLAVICLE, 2, 60, 12, 250),
    (J2_LUNG, 2, 60, 6, 250),
    (UNBIASED, 2, 60, 20, 250),
    (FAST, 2, 60, 20, 250),
    (B1, 3, 26, 16, 40),
    ({**B1, "expand": 0.3}, 3, 26, 12, 40),
]


@pytest.mark.parametrize(("setting", "ndim", "radius", "room", "cases"), ISOTROPIC)
def test_the_bias_told_agrees_with_discs_and_balls_within_its_error(
    setting: dict[str, Any], ndim: int, radius: float, room: float, cases: int
) -> None:
    body = Body(radius, room, (1.0,) * ndim)
    shifts, share = draw(body, cases, 1, setting)
    chance = shifts.std(ddof=1) / math.sqrt(cases)
    mean = expected_bias_mm(**setting, spacing_mm=body.spacing, of="mean")
    assert abs(shifts.mean() + mean.value) < 3 * math.hypot(chance, mean.error)
    if setting["expand"] != 0.5:  # there the foam is level, and its outermost crossing anywhere
        level = expected_bias_mm(**setting, spacing_mm=body.spacing)
        gap = body.level_shift(share) + level.value
        assert abs(gap) < 3 * math.hypot(1.25 * chance, level.error)
        # The error is not so large that everything would agree.
        assert level.error < 0.05 * abs(level.value) + 0.11


@pytest.mark.parametrize(
    ("setting", "spacing", "radius", "room", "cases"),
    [
        ({**J1_LUNG, "steps": 80}, (1.0, 2.0), 90, 40, 150),
        ({**B1, "steps": 50}, (3.0, 1.0, 1.0), 45, 24, 25),
    ],
)
def test_the_bias_told_agrees_on_voxels_of_unequal_sides(
    setting: dict[str, Any], spacing: tuple[float, ...], radius: float, room: float, cases: int
) -> None:
    body = Body(radius, room, spacing)
    # In voxels the body has a sharp rim; half the way from shrunk to grown masks it cancels.
    shrink = {**setting, "expand": 1 - setting["expand"]}
    moved = (draw(body, cases, 2, setting)[0] - draw(body, cases, 3, shrink)[0]) / 2
    told = expected_bias_mm(**setting, spacing_mm=spacing, of="mean")
    assert abs(moved.mean() + told.value) < 3 * math.hypot(moved.std() / math.sqrt(cases), told.error)
    # A step is a step of voxels: what is right for one spacing is not for the other.
    isotropic = expected_bias_mm(**setting, spacing_mm=(1.0,) * len(spacing), of="mean")
    assert abs(moved.mean() + isotropic.value) > 8 * isotropic.error


@pytest.mark.parametrize(("setting", "sign"), [(J1_LUNG, -1), (J2_LUNG, 1)])
def test_the_sign_is_that_of_boundary_bias_which_reads_a_little_less(
    setting: dict[str, Any], sign: int
) -> None:
    body = Body(60, 30, (0.5, 0.5)) if sign < 0 else Body(60, 4, (0.5, 0.5))
    _, share = draw(body, 150, 3, setting)
    read = boundary_bias(share > 0.5, body.mask, body.spacing)
    told = expected_bias_mm(**setting, spacing_mm=body.spacing).value
    assert math.copysign(1, told) == sign
    assert 0 < sign * (told - read) < 0.5  # one voxel


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_first_step_is_exact(ndim: int) -> None:
    gain = FIRST_GAIN[ndim]
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(200_000, ndim))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert abs(np.abs(normals).max(axis=1).mean() - gain) < 1e-3
    for flip, expand in ((0.02, 0.9), (0.3, 0.3), (1.0, 1.0)):
        told = front_drift_vox(steps=1, expand=expand, flip=flip, ndim=ndim).value
        assert told == pytest.approx(gain * flip * (2 * expand - 1), rel=0.01)
    body = Body(120 if ndim == 2 else 40, 3, (1.0,) * ndim)
    assert body.mean_shift(binary_dilation(body.mask)) == pytest.approx(gain, rel=0.01)


@pytest.mark.parametrize("setting", [J1_LUNG, J2_LUNG, J1_CLAVICLE, FAST, {**FAST, "expand": 0.3}])
def test_a_front_along_an_axis_moves_by_at_least_the_naive_drift(setting: dict[str, Any]) -> None:
    strip = np.zeros((1500, 120), bool)
    strip[:, :60] = True
    rng = np.random.default_rng(4)
    moved = np.array([markov_noise(strip, rng, **setting).sum() / 1500 - 60 for _ in range(60)])
    naive = naive_drift_vox(**setting)
    chance = moved.std(ddof=1) / math.sqrt(60)
    assert np.sign(moved.mean()) == np.sign(naive)
    assert abs(moved.mean()) > abs(naive) - 3 * chance
    # Faster than the mean over directions, which diagonal fronts slow down, but not by a quarter.
    told = front_drift_vox(**setting, ndim=2)
    assert abs(moved.mean()) > abs(told.value) - 3 * math.hypot(chance, told.error)
    assert abs(moved.mean()) < 1.25 * abs(told.value) + 3 * chance


def test_the_naive_drift_is_worked_out_by_hand() -> None:
    assert naive_drift_vox(**J1_LUNG) == pytest.approx(5.4)
    assert naive_drift_vox(**J2_LUNG) == pytest.approx(-5.4)


def test_shrinking_a_mask_is_expanding_its_complement(rng: np.random.Generator) -> None:
    mask = rng.random((40, 40)) < 0.6
    for seed in range(5):
        grown = markov_noise(~mask, np.random.default_rng(seed), steps=9, expand=1, flip=0.3)
        shrunk = markov_noise(mask, np.random.default_rng(seed), steps=9, expand=0, flip=0.3)
        assert np.array_equal(grown, ~shrunk)
    strip = np.zeros((400, 60), bool)
    strip[:, :30] = True
    out, back = (
        [markov_noise(strip, rng, steps=60, expand=e, flip=0.1).sum() / 400 - 30 for _ in range(300)]
        for e in (0.7, 0.3)
    )
    assert abs(np.mean(out) + np.mean(back)) < 4 * math.hypot(np.std(out), np.std(back)) / math.sqrt(300)
    assert abs(np.std(out) / np.std(back) - 1) < 4 / math.sqrt(300)


@pytest.mark.parametrize("told", [front_drift_vox, front_level_vox])
@pytest.mark.parametrize("ndim", [2, 3])
def test_what_is_told_is_odd_about_one_half(told: Any, ndim: int) -> None:
    for expand in (0.5, 0.61, 0.8, 1.0):
        one = told(steps=50, expand=expand, flip=0.1, ndim=ndim)
        other = told(steps=50, expand=1 - expand, flip=0.1, ndim=ndim)
        assert one.value == pytest.approx(-other.value)
        assert one.error == pytest.approx(other.error)
    assert told(steps=50, expand=0.5, flip=0.1, ndim=ndim).value == 0


def test_cases_differ_by_their_number_of_expansion_steps() -> None:
    body = Body(150, 32, (1.0, 1.0))
    shifts, _ = draw(body, 150, 5, J1_LUNG)
    told = front_spread_vox(**J1_LUNG, ndim=2).between
    chance = told.value / math.sqrt(2 * 150)
    assert abs(shifts.std(ddof=1) - told.value) < 3 * math.hypot(chance, told.error)
    # After one step: two outcomes, gain * flip outward or inward.
    first = front_spread_vox(steps=1, expand=0.8, flip=0.05, ndim=2).between.value
    assert first == pytest.approx(2 * FIRST_GAIN[2] * 0.05 * math.sqrt(0.8 * 0.2), rel=0.02)
    assert front_spread_vox(steps=90, expand=1.0, flip=0.1, ndim=2).between.value == 0


def test_the_edge_of_a_mask_is_as_rough_as_told() -> None:
    strip = np.zeros((1500, 140), bool)
    strip[:, :70] = True
    rng = np.random.default_rng(6)
    x = np.arange(140) - 69.5
    widths = []
    for _ in range(40):
        profile = markov_noise(strip, rng, **J1_LUNG).mean(axis=0) - strip.mean(axis=0)
        widths.append(2 * (profile * x).sum() - profile.sum() ** 2)
    told = front_spread_vox(**J1_LUNG, ndim=2).within
    # A front along an axis is rougher or smoother than the mean over directions by a few per cent.
    assert math.sqrt(np.mean(widths)) == pytest.approx(told.value, rel=0.1)
    assert told.error < 0.1 * told.value


def test_near_one_half_the_level_runs_ahead_of_the_mean() -> None:
    setting = {"steps": 180, "expand": 0.55, "flip": 0.05, "ndim": 2}
    drift, level = front_drift_vox(**setting), front_level_vox(**setting)
    assert level.value > 1.5 * drift.value
    pure = {**setting, "expand": 1.0}
    assert front_level_vox(**pure).value == pytest.approx(front_drift_vox(**pure).value, rel=0.02)


@pytest.mark.parametrize("speckle", [0.0, 0.2])
def test_smoothing_and_speckle_hardly_move_the_level(speckle: float) -> None:
    body = Body(60, 30, (1.0, 1.0))
    plain = body.level_shift(draw(body, 150, 7, J1_LUNG)[1])
    finished = body.level_shift(draw(body, 150, 7, J1_LUNG, speckle=speckle, smooth=True)[1])
    assert abs(finished - plain) < 0.5


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("expand", [0.6, 0.8, 1.0])
def test_more_steps_move_a_front_farther_also_beyond_what_was_measured(ndim: int, expand: float) -> None:
    for told in (front_drift_vox, front_level_vox):
        steps = [*range(1, 20), *range(20, 1000, 70)]
        values = [told(steps=t, expand=expand, flip=0.05, ndim=ndim) for t in steps]
        assert (np.diff([v.value for v in values]) >= 0).all()
        assert (np.diff([v.error for v in values]) >= 0).all()
    last = [front_drift_vox(steps=t, expand=expand, flip=0.05, ndim=ndim).value for t in (900, 950, 1000)]
    assert last[2] - last[1] == pytest.approx(last[1] - last[0])


@pytest.mark.parametrize("setting", [{"steps": 0}, {"flip": 0.0}])
def test_without_steps_or_flips_nothing_moves(setting: dict[str, Any]) -> None:
    still = {**J1_LUNG, **setting}
    told = expected_bias_mm(**still, spacing_mm=(1.0, 1.0, 1.0))
    assert (told.value, told.error) == (0, 0)
    spread = front_spread_vox(**still, ndim=3)
    assert (spread.between.value, spread.within.value) == (0, 0)


def test_the_bias_scales_with_the_spacing_and_heeds_no_order_of_axes() -> None:
    one = expected_bias_mm(**B1, spacing_mm=(1.0, 1.0, 1.0))
    double = expected_bias_mm(**B1, spacing_mm=(2.0, 2.0, 2.0))
    assert double.value == pytest.approx(2 * one.value)
    assert double.error == pytest.approx(2 * one.error)
    assert one.value == pytest.approx(-front_level_vox(**B1, ndim=3).value)
    turned = [expected_bias_mm(**B1, spacing_mm=s).value for s in ((5.0, 0.5, 0.5), (0.5, 0.5, 5.0))]
    assert turned[0] == pytest.approx(turned[1])


@pytest.mark.parametrize("bias_mm", [-0.5, -3.0, -9.0, 3.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.4, 0.7, 0.7)])
def test_the_steps_for_a_bias_give_that_bias(bias_mm: float, spacing: tuple[float, ...]) -> None:
    setting = {"expand": 0.75 if bias_mm < 0 else 0.25, "flip": 0.04, "spacing_mm": spacing}
    steps = steps_for_bias(bias_mm, **setting)
    gaps = [abs(expected_bias_mm(steps=t, **setting).value - bias_mm) for t in (steps - 1, steps, steps + 1)]
    assert gaps[1] == min(gaps)
    assert gaps[1] < 0.1


def test_a_bias_that_cannot_be_reached_is_refused() -> None:
    assert steps_for_bias(0, expand=0.5, flip=0.1, spacing_mm=(1.0, 1.0)) == 0
    for bias, expand, flip in ((-3, 0.5, 0.1), (-3, 0.4, 0.1), (3, 0.8, 0.1), (-3, 0.8, 0)):
        with pytest.raises(ConfigError, match=f"gives no bias of {bias} mm"):
            steps_for_bias(bias, expand=expand, flip=flip, spacing_mm=(1.0, 1.0))
    with pytest.raises(ConfigError, match="not reached in 1,000,000 steps"):
        steps_for_bias(-1e9, expand=0.8, flip=0.1, spacing_mm=(1.0, 1.0))
    with pytest.raises(ConfigError, match="must be a number, got nan"):
        steps_for_bias(math.nan, expand=0.8, flip=0.1, spacing_mm=(1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps must be a whole number from 0 to 1,000,000, got -1"),
        ({"steps": 2.5}, "steps"),
        ({"expand": 1.1}, r"expand is a probability and must lie in \[0, 1\], got 1\.1"),
        ({"flip": math.nan}, "flip"),
        ({"spacing_mm": (1.0,)}, "2 and 3 dimensions, got 1"),
        ({"of": "median"}, "'level' or 'mean', got 'median'"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expected_bias_mm(**{**J1_LUNG, "spacing_mm": (1.0, 1.0), **change})


def test_a_spacing_that_is_none_is_refused() -> None:
    with pytest.raises(GeometryError):
        expected_bias_mm(**J1_LUNG, spacing_mm=(1.0, 0.0))
