import math

import pytest
import torch

from labelmend.losses import CrossEntropyLoss, cross_entropy_loss
from labelmend.losses.base import check, label_costs, reduce_pixels


def test_undecided_logits_cost_the_logarithm_of_the_number_of_classes():
    assert float(cross_entropy_loss(torch.zeros(1, 5, 2), torch.tensor([[0, 4]]))) == pytest.approx(
        math.log(5)
    )
    assert float(cross_entropy_loss(torch.zeros(1, 5, 2), torch.ones(1, 5, 2))) == pytest.approx(math.log(2))


def test_costs_worked_out_by_hand():
    logits = torch.tensor([[[0.0, math.log(3.0)], [math.log(3.0), 0.0]]])  # p of class 1: 3/4, 1/4
    costs = cross_entropy_loss(logits, torch.tensor([[1, 1]]), reduction="none")
    assert costs[0].tolist() == pytest.approx([math.log(4 / 3), math.log(4)])


def test_a_label_that_is_right_beyond_doubt_costs_nothing_and_a_wrong_one_the_logit():
    logits = torch.full((1, 1, 1), 50.0)
    assert float(cross_entropy_loss(logits, torch.ones(1, 1, 1))) == pytest.approx(0, abs=1e-20)
    assert float(cross_entropy_loss(logits, torch.zeros(1, 1, 1))) == pytest.approx(50)


@pytest.mark.parametrize("overlapping", [True, False])
def test_it_is_minus_the_log_probability_of_the_label(overlapping):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, dtype=torch.double)
    target = torch.rand(2, 3, 4, 4).double() if overlapping else torch.randint(0, 3, (2, 4, 4))
    checked = check(logits, target, None, None)
    expected = reduce_pixels(label_costs(checked, torch.neg), checked, "mean")
    torch.testing.assert_close(cross_entropy_loss(logits, target), expected)
    torch.testing.assert_close(CrossEntropyLoss()(logits, target), expected)
