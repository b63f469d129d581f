"""The published trigger times, and where the knee of a curve is found that the paper's rule misses."""

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.theory.learning_curve import (
    Curve,
    fit_curve,
    has_settled,
    paper_trigger,
    published_trigger,
    slope_loss,
    slope_share,
    trigger_time,
)

TIMES = {  # (rate, exponent): trigger times for a loss of 0.9, 0.8, 0.7
    (0.1, 1.0): (24.0, 17.1, 13.0),
    (0.3, 1.0): (8.7, 6.4, 5.0),
    (1.0, 1.0): (3.3, 2.6, 2.2),
    (0.5, 0.7): (8.2, 5.3, 3.9),
    (1.0, 0.5): (5.9, 3.8, 2.8),
    (2.0, 0.5): (3.4, 2.5, 2.0),
}


def points(rate: float, exponent: float = 1.0, *, level: float = 0.8, n: int = 60) -> np.ndarray:
    """IoU after epochs 1 to n."""
    return Curve(level, rate, exponent).value(np.arange(1.0, n + 1))


def first(says, n: int = 60) -> int | None:
    """The first number of points for which a rule says yes."""
    return next((k for k in range(1, n + 1) if says(k).settled), None)


def settled_after(curve, n: int = 60, noise: float = 0.0, seed: int = 0, epochs: float = 1.0, **settings):
    """Points after which `has_settled` first says yes to a function of time, measured mid-epoch."""
    t = (np.arange(n) + 0.5) * epochs
    y = np.clip(curve(t) + np.random.default_rng(seed).normal(0, noise, n), 0, 1)
    return first(lambda k: has_settled(t[:k], y[:k], k * epochs, **settings), n)


# ---- the paper's rule ----


@pytest.mark.parametrize("shape", TIMES)
def test_the_trigger_times_of_the_formula(shape):
    curve = Curve(0.8, *shape)
    assert tuple(round(trigger_time(curve, r), 1) for r in (0.9, 0.8, 0.7)) == TIMES[shape]
    assert trigger_time(Curve(0.1, *shape), 0.9) == trigger_time(curve, 0.9)  # the level cancels


def test_the_closed_form_of_the_lost_slope_is_that_of_the_derivative():
    curve, step = Curve(0.7, 0.4, 0.8), 1e-6
    t = np.array([1.0, 2.0, 5.0, 11.0])
    slopes = (curve.value(t + step) - curve.value(t - step)) / (2 * step)
    np.testing.assert_allclose(slope_loss(curve, t), 1 - slopes / slopes[0], atol=1e-7)
    shares = [slope_share(curve, time) for time in t]
    np.testing.assert_allclose(shares, slopes * t / curve.value(t), atol=1e-7)


def test_a_curve_is_found_again_from_its_points():
    found = fit_curve(np.arange(1, 21), points(0.4, 0.8, level=0.75, n=20))
    np.testing.assert_allclose((found.level, found.rate, found.exponent), (0.75, 0.4, 0.8), atol=1e-3)


def test_an_epoch_in_which_a_class_went_missing_does_not_bend_the_curve():
    values = points(0.3, n=20) + np.random.default_rng(0).normal(0, 0.005, 20)
    values[12] = 0
    found = fit_curve(np.arange(1, 21), values)
    assert found.level == pytest.approx(0.8, abs=0.02)
    assert found.rate == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("rate", "exponent", "epoch"), [(0.3, 1, 9), (1, 1, 4), (0.1, 1, 25), (0.5, 0.7, 9)], ids=str
)
def test_the_paper_triggers_at_the_first_whole_epoch_after_its_time(rate, exponent, epoch):
    values = points(rate, exponent)
    assert first(lambda n: paper_trigger(values[:n])) == epoch
    assert first(lambda n: paper_trigger(0.5 * values[:n])) == epoch


def test_the_paper_depends_on_what_an_epoch_is_and_ours_does_not():
    """Half as many cases in an epoch: the same curve, f'(1) earlier on it, and twice the points."""
    whole, half = Curve(0.8, 0.5, 0.5), Curve(0.8, 0.5 * 0.5**0.5, 0.5)
    assert float(half.value(20)) == float(whole.value(10))
    assert trigger_time(half) / 2 < 0.8 * trigger_time(whole)
    assert slope_share(half, 20) == pytest.approx(slope_share(whole, 10))
    curve = Curve(0.8, 0.2, 1.0).value
    assert settled_after(curve, epochs=0.5) / 2 == pytest.approx(settled_after(curve), abs=1.5)


# ---- the released programs ----


def segthor(curve) -> int | None:
    """Epochs after which SegTHOR's program triggers."""
    return first(lambda n: published_trigger(curve[:n], n - 1, horizon=100, wait_for_rise=True), len(curve))


def test_the_program_for_segthor_triggers_an_epoch_or_two_late_and_needs_a_rise():
    curves = (points(0.3), points(1.0), points(0.1), points(0.5, 0.7))
    assert [segthor(curve) for curve in curves] == [10, 5, None, 11]


@pytest.mark.parametrize("curve", [points(1.0, level=0.3), points(0.5, 0.5), np.full(40, 0.7)], ids=[1, 2, 3])
def test_segthor_never_triggers_without_a_rise_of_a_tenth_in_one_epoch(curve):
    assert segthor(curve) is None


def test_segthor_drops_points_before_the_rise_and_shifts_the_epoch_back():
    late = np.concatenate([np.full(7, 0.02), points(1.0)])
    assert segthor(late) == segthor(late[6:]) + 6


@pytest.mark.parametrize("per_epoch", [1, 10.581])
@pytest.mark.parametrize(("value", "epoch"), [(0.0, 16), (0.3, 11)])
def test_the_program_for_voc_forces_even_a_class_that_is_never_found(value, epoch, per_epoch):
    """19 epochs from 0; the published run measures every 100 of its 1058.1 batches."""

    def says(n):
        values = np.full(int(n * per_epoch), value)
        return published_trigger(values, n - 1, horizon=16, elapsed=len(values) / per_epoch)

    assert first(says, 19) - 1 == epoch


def test_no_program_triggers_before_the_end_of_the_third_epoch():
    steep = points(20.0)
    assert first(lambda n: published_trigger(steep[:n], n - 1, horizon=16)) >= 3


# ---- ours ----


@pytest.mark.parametrize(
    ("rate", "earliest", "latest"), [(1.0, 5, 6), (0.3, 9, 13), (0.15, 17, 22), (0.08, 32, 40)]
)
def test_fast_and_slow_classes_trigger_at_their_knee(rate, earliest, latest):
    """The slope is a fifth of its mean when 93 % of the plateau are reached, at 2.65 time constants."""
    found = [settled_after(Curve(0.8, rate, 1.0).value, noise=noise) for noise in (0.0, 0.01, 0.02)]
    assert earliest <= min(found)
    assert max(found) <= latest + 3


def test_a_class_learnt_within_the_first_epoch_triggers_as_soon_as_it_is_known():
    for seed in range(5):
        assert settled_after(lambda t: 0 * t + 0.85, noise=0.01, seed=seed) in (5, 6, 7)


@pytest.mark.parametrize("level", [0.0, 0.02, 0.3])
def test_a_class_that_never_rises_never_triggers(level):
    for seed in range(3):
        assert settled_after(lambda t: 0 * t + level, n=30, noise=0.01 * (level > 0), seed=seed) is None
    assert has_settled(np.arange(30) + 0.5, np.full(30, level), 30).why.endswith(
        ("not learnt yet", "not learnt")
    )


def test_where_a_class_never_rises_the_paper_follows_noise():
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(0.05, 0.01, 20), 0, 1)
    assert first(lambda n: paper_trigger(values[:n]), 20) <= 6
    assert first(lambda n: has_settled(np.arange(n) + 0.5, values[:n], n), 20) is None


def test_a_class_that_sleeps_first_is_judged_from_its_awakening():
    for asleep in (5, 20):
        curve = Curve(0.7, 0.5, 1.0, asleep)
        assert asleep + 5 <= settled_after(curve.value, n=asleep + 30, noise=0.01) <= asleep + 12


def test_a_warm_up_that_bends_the_start_of_a_curve_is_no_knee():
    curve = Curve(0.7, 0.004, 2.5)
    assert 16 <= settled_after(curve.value, noise=0.01) <= 22  # 93 % after 13 epochs, 99 % after 17


def test_slow_memorisation_after_fast_learning_does_not_hide_the_knee():
    assert settled_after(lambda t: -0.6 * np.expm1(-t / 2) + 0.004 * t, noise=0.01) <= 12


def test_a_curve_that_still_rises_does_not_trigger():
    for seed in range(3):
        assert settled_after(lambda t: 0.012 * t, noise=0.02, n=40, seed=seed) is None


def test_missing_points_and_windows_without_the_class_are_survived():
    t = np.arange(30) + 0.5
    values = Curve(0.8, 0.5, 1.0).value(t)
    values[[0, 7, 8]], values[15] = np.nan, 0.0
    assert first(lambda k: has_settled(t[:k], values[:k], k), 30) <= 12
    assert not has_settled(t, np.full(30, np.nan), 30).settled
    assert not has_settled([], [], 0).settled


def test_a_larger_drop_triggers_later():
    curve = Curve(0.8, 0.2, 1.0).value
    found = [settled_after(curve, drop=drop) for drop in (0.6, 0.8, 0.9)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_exponents_over_one_have_no_first_trigger_time():
    with pytest.raises(ConfigError, match="exponent"):
        trigger_time(Curve(0.8, 0.1, 2.0))
