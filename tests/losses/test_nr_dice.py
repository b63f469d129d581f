import math

import pytest
import torch

from drawn_tensors import logits_and_target
from labelmend.errors import ConfigError
from labelmend.losses import NRDiceLoss, dice_loss, nr_dice_loss


@pytest.mark.parametrize("overlapping", [True, False])
def test_for_gamma_two_it_is_one_minus_dice_with_squares_below(overlapping):
    logits, target = logits_and_target(overlapping)
    if overlapping:
        p, g = logits.sigmoid(), target
    else:
        p = logits.softmax(1)[:, 1:]
        g = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)[:, 1:]
    dice = (2 * (p * g).sum((2, 3)) + 1) / ((p**2).sum((2, 3)) + (g**2).sum((2, 3)) + 1)
    torch.testing.assert_close(nr_dice_loss(logits, target, gamma=2.0), (1 - dice).mean())


def test_for_sure_predictions_every_gamma_is_dice():
    logits, target = logits_and_target(True)
    logits, target = logits.sign() * 60, target.round()
    for gamma in (1.0, 1.5, 2.0):
        torch.testing.assert_close(nr_dice_loss(logits, target, gamma=gamma), dice_loss(logits, target))


def test_costs_worked_out_by_hand():
    logits, target = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]])  # p = 1/2 twice
    size = 2 * 0.25 + 1 + 1
    assert float(nr_dice_loss(logits, target)) == pytest.approx(2 * 0.5**1.5 / size)
    assert float(nr_dice_loss(logits, target, gamma=1.0)) == pytest.approx(1.0 / size)


def test_the_smaller_gamma_the_less_a_far_off_pixel_pulls_compared_with_a_near_one():
    target = torch.tensor([[[1.0, 1.0]]])

    def pull(gamma):
        p = torch.tensor([0.1, 0.7])
        logits = (p / (1 - p)).log().reshape(1, 1, 2).requires_grad_()
        missed = nr_dice_loss(logits, target, gamma=gamma) * (p.square().sum() + 3)  # the numerator alone
        far, near = (torch.autograd.grad(missed, logits)[0] / (p * (1 - p)))[0, 0].tolist()
        return far / near

    assert pull(1.0) < pull(1.5) < pull(2.0)


def test_an_absent_class_predicted_absent_costs_nothing_and_its_loss_rises_with_the_prediction():
    costs = [
        float(nr_dice_loss(torch.full((1, 1, 100), x), torch.zeros(1, 1, 100))) for x in (-30, -9, -5, -3)
    ]
    assert costs[0] == pytest.approx(0, abs=1e-9)
    assert costs == sorted(costs)


@pytest.mark.parametrize("gamma", [0.9, 2.1, math.nan])
def test_a_gamma_outside_one_to_two_is_refused(gamma):
    with pytest.raises(ConfigError, match="gamma must lie in"):
        nr_dice_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2), gamma=gamma)
    with pytest.raises(ConfigError, match="gamma must lie in"):
        NRDiceLoss(gamma=gamma)
