import dataclasses
import math

import numpy as np
import pytest
import torch

from labelmend import losses
from labelmend.errors import ConfigError
from labelmend.methods.base import Batch, Facts
from labelmend.methods.robust_loss import NAMES, NU_LIMITS, RobustLoss

FACTS = Facts(("a", "b"), True, 2, n_cases=6, class_frequency=(0.2, 0.1))
GIVEN = {
    "gce": (losses.gce_loss, {"q": 0.4}),
    "mae": (losses.gce_loss, {"q": 1.0}),
    "sce": (losses.sce_loss, {"alpha": 0.3, "beta": 2.0}),
    "nr_dice": (losses.nr_dice_loss, {"gamma": 1.2}),
    "t_loss": (losses.t_loss, {"nu": 1.0}),
    "ce": (losses.cross_entropy_loss, {}),
    "dice_ce": (losses.dice_ce_loss, {}),
}


def method(loss, **settings):
    return RobustLoss(
        loss=loss, q=0.4, alpha=0.3, beta=2.0, gamma=1.2, **({"warm_up": 0, "dice": 0} | settings)
    )


def batch(epoch=0, size=16, overlapping=True):
    g = torch.Generator().manual_seed(0)
    image = torch.randn(2, 2 if overlapping else 3, size, size, generator=g)
    target = (image > 1).float() if overlapping else image.argmax(1)
    valid = torch.rand(2, size, size, generator=g) > 0.2
    return Batch(image, target, valid, ("x", "y"), epoch)


def identity(image):
    """A network whose logits are the image."""
    return image.clone().requires_grad_()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("overlapping", [True, False])
def test_each_name_is_the_loss_of_that_name_with_these_settings(name, overlapping):
    one = batch(overlapping=overlapping)
    loss, logits, _ = method(name).step(method(name).init(FACTS), one, [identity])
    function, settings = GIVEN[name]
    torch.testing.assert_close(loss, function(logits, one.target, valid=one.valid, **settings))
    assert set(GIVEN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_dice_ce_trains_until_the_warm_up_is_over(name):
    warm = method(name, warm_up=3)
    state = warm.init(FACTS)
    for epoch in (0, 2):
        one = batch(epoch)
        loss, logits, after = warm.step(state, one, [identity])
        assert torch.equal(loss, losses.dice_ce_loss(logits, one.target, valid=one.valid))
        assert after == state
    loss, _, _ = warm.step(state, batch(3), [identity])
    expected, _, _ = method(name).step(state, batch(3), [identity])
    assert torch.equal(loss, expected)


def test_dice_is_added_with_its_weight():
    one = batch()
    without, logits, _ = method("gce").step({}, one, [identity])
    added, _, _ = method("gce", dice=0.5).step({}, one, [identity])
    dice = losses.dice_loss(logits, one.target, valid=one.valid)
    torch.testing.assert_close(added, without + 0.5 * dice)


def test_robust_losses_that_go_by_pixels_get_dice_unless_it_is_set():
    assert {n for n in NAMES if RobustLoss(loss=n).dice_weight == 3} == {"gce", "sce", "mae", "t_loss"}
    assert {n for n in NAMES if RobustLoss(loss=n).dice_weight == 0} == {"nr_dice", "ce", "dice_ce"}
    assert {RobustLoss(loss=n, dice=0.3).dice_weight for n in NAMES} == {0.3}


def learned(start, steps, rate=0.05):
    """Nu after some steps on the same batch, and the nu that fits it best."""
    t, one = method("t_loss", nu_rate=rate), batch()
    state = t.init(FACTS) | {"nu": start, "nu_at_epoch": start}
    for _ in range(steps):
        _, logits, state = t.step(state, one, [identity])
    nus = np.geomspace(1e-3, 100, 2000)
    logits = logits.detach()
    best = min(nus, key=lambda nu: float(losses.t_loss(logits, one.target, valid=one.valid, nu=nu)))
    return state, best


@pytest.mark.parametrize("start", [0.01, 50.0])
def test_nu_goes_to_where_the_likelihood_is_largest(start):
    state, best = learned(start, 300)
    assert state["nu"] == pytest.approx(best, rel=0.1)


def test_a_step_moves_nu_by_the_rate_at_most():
    state, _ = learned(50.0, 1, rate=0.05)
    assert math.exp(-0.05) <= state["nu"] / 50 < math.exp(-0.04)
    assert learned(50.0, 5, rate=0.0)[0]["nu"] == 50.0


@pytest.mark.parametrize("limit", NU_LIMITS)
def test_nu_stays_within_its_limits(limit):
    state, _ = learned(limit, 3, rate=5.0)
    assert NU_LIMITS[0] <= state["nu"] <= NU_LIMITS[1]


def test_an_epoch_of_several_processes_ends_with_one_nu_between_theirs():
    t = method("t_loss")
    start = t.init(FACTS) | {"nu": 2.0, "nu_at_epoch": 2.0}
    moves = np.array([math.log(1.5) + math.log(0.5), 2.0])  # summed over a process at 3 and one at 1
    state, wanted = t.epoch_end(start | {"nu": 3.0, "nu_moves": moves}, 0)
    assert state == {"nu": pytest.approx(math.sqrt(3)), "nu_at_epoch": pytest.approx(math.sqrt(3))}
    assert not wanted
    assert t.needs.counts == ("nu_moves",)


def test_an_epoch_of_one_process_ends_with_its_own_nu():
    state, _ = learned(2.0, 4)
    after, _ = method("t_loss").epoch_end(state, 0)
    assert after["nu"] == pytest.approx(state["nu"])
    assert "nu_moves" not in after


def test_a_state_that_came_in_is_not_changed():
    t = method("t_loss")
    state = t.init(FACTS)
    _, _, after = t.step(state, batch(), [identity])
    assert state == t.init(FACTS)
    t.epoch_end(after, 0)
    assert "nu_moves" in after


@pytest.mark.parametrize("name", [n for n in NAMES if n != "t_loss"])
def test_other_losses_need_no_state(name):
    assert method(name).init(FACTS) == {}
    assert method(name).step({}, batch(), [identity])[2] == {}
    assert method(name).epoch_end({}, 0) == ({}, False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("overlapping", [True, False])
def test_a_batch_without_annotated_pixels_moves_neither_network_nor_nu(name, overlapping):
    one = dataclasses.replace(batch(overlapping=overlapping), valid=torch.zeros(2, 16, 16, dtype=torch.bool))
    start = method(name).init(FACTS)
    loss, logits, after = method(name, dice=1.0).step(start, one, [identity])
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.any()
    assert {**after, "nu_moves": None} == {**start, "nu_moves": None}


def test_nothing_is_revised():
    _, revisions = RobustLoss().revise({}, [], [])
    assert list(revisions) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"loss": "focal"}, "loss must be one of gce"),
        ({"q": 1.5}, "q must lie in"),
        ({"alpha": -1.0}, "alpha and beta"),
        ({"gamma": 3.0}, "gamma must lie in"),
        ({"dice": -0.5}, "dice must be"),
        ({"warm_up": -1}, "warm_up must be"),
        ({"nu_rate": math.nan}, "nu_rate must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        RobustLoss(**settings)


def test_the_method_is_a_value():
    assert dataclasses.replace(RobustLoss(), loss="sce") == RobustLoss(loss="sce")
