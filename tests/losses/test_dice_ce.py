import math

import numpy as np
import pytest
import torch

from labelmend.errors import GeometryError
from labelmend.losses import cross_entropy_loss, dice_ce_loss, dice_loss, soft_dice_loss

LOG2 = math.log(2)


def test_undecided_logits_cost_log_2_and_half_a_dice_overlapping():
    target = torch.tensor([[[1.0, 0.0]]])
    # soft Dice: (2 * 0.5 + 1) / (1 + 1 + 1) = 2/3
    assert float(dice_ce_loss(torch.zeros(1, 1, 2), target)) == pytest.approx(LOG2 + 1 / 3)


def test_undecided_logits_cost_log_2_and_half_a_dice_exclusive():
    target = torch.tensor([[1, 0]])
    assert float(dice_ce_loss(torch.zeros(1, 2, 2), target)) == pytest.approx(LOG2 + 1 / 3)


@pytest.mark.parametrize("space", [(4, 5), (3, 4, 5)])
@pytest.mark.parametrize("overlapping", [True, False])
def test_ignored_pixels_change_neither_loss_nor_gradient(space, overlapping):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, *space, requires_grad=True)
    target = (torch.rand(2, 3, *space) > 0.5).float() if overlapping else torch.randint(0, 3, (2, *space))
    valid = torch.rand(2, *space) > 0.3
    other = (
        torch.where(valid.unsqueeze(1), target, 1 - target)
        if overlapping
        else torch.where(valid, target, (target + 1) % 3)
    )
    loss, same = dice_ce_loss(logits, target, valid=valid), dice_ce_loss(logits, other, valid=valid)
    assert float(loss.detach()) == pytest.approx(float(same.detach()))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.masked_select(~valid.unsqueeze(1)).any()


def test_a_batch_without_valid_pixels_costs_a_finite_amount_and_moves_nothing():
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = dice_ce_loss(logits, torch.zeros(1, 2, 3, 3), valid=torch.zeros(1, 3, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_an_absent_class_predicted_absent_costs_nothing():
    assert float(dice_ce_loss(torch.full((1, 1, 9), -60.0), torch.zeros(1, 1, 9))) == pytest.approx(
        0, abs=1e-6
    )


def test_gradients_agree_with_finite_differences():
    torch.manual_seed(1)
    target = (torch.rand(1, 2, 3, 3) > 0.5).double()
    logits = torch.randn(1, 2, 3, 3, dtype=torch.double, requires_grad=True)
    valid = torch.rand(1, 3, 3) > 0.2
    assert torch.autograd.gradcheck(lambda x: dice_ce_loss(x, target, valid=valid), logits)


def test_the_loss_agrees_with_monai_where_they_mean_the_same():
    from monai.losses import DiceCELoss

    torch.manual_seed(2)
    logits, target = torch.randn(2, 3, 6, 7), torch.randint(0, 3, (2, 6, 7))
    theirs = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0
    )
    np.testing.assert_allclose(dice_ce_loss(logits, target), theirs(logits, target.unsqueeze(1)), rtol=1e-5)


def test_shapes_that_do_not_belong_together_are_named():
    with pytest.raises(GeometryError, match=r"\(1, 4, 4\).*\(1, 5, 5\)"):
        dice_ce_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 5, 5))


@pytest.mark.parametrize("overlapping", [True, False])
def test_dice_ce_is_dice_and_cross_entropy(overlapping):
    torch.manual_seed(3)
    logits = torch.randn(2, 3, 4, 5)
    target = (torch.rand(2, 3, 4, 5) > 0.5).float() if overlapping else torch.randint(0, 3, (2, 4, 5))
    settings = {"valid": torch.rand(2, 4, 5) > 0.3, "weight": torch.tensor([0.5, 1.0, 3.0])}
    parts = dice_loss(logits, target, **settings) + cross_entropy_loss(logits, target, **settings)
    torch.testing.assert_close(dice_ce_loss(logits, target, **settings), parts)


def test_the_background_is_no_class_of_dice():
    torch.manual_seed(4)
    logits, target = torch.randn(1, 3, 4, 5), torch.randint(0, 3, (1, 4, 5))
    heavy, light = (torch.tensor([w, 1.0, 2.0]) for w in (100.0, 0.0))
    one, other = dice_loss(logits, target, weight=heavy), dice_loss(logits, target, weight=light)
    torch.testing.assert_close(one, other)
    probs, truth = logits.softmax(1), torch.stack([target == c for c in range(3)], 1).float()
    alone = [soft_dice_loss(probs[:, c : c + 1], truth[:, c : c + 1], torch.ones(1, 4, 5)) for c in (1, 2)]
    torch.testing.assert_close(one, (alone[0] + 2 * alone[1]) / 3)
