import math

import pytest
import torch

from drawn_tensors import logits_and_target
from labelmend.errors import ConfigError
from labelmend.losses import SCELoss, cross_entropy_loss, gce_loss, sce_loss


@pytest.mark.parametrize("overlapping", [True, False])
def test_without_its_reverse_it_is_cross_entropy(overlapping):
    logits, target = logits_and_target(overlapping)
    torch.testing.assert_close(sce_loss(logits, target, alpha=1, beta=0), cross_entropy_loss(logits, target))


@pytest.mark.parametrize("overlapping", [True, False])
def test_reverse_cross_entropy_alone_is_mae_times_minus_a(overlapping):
    logits, target = logits_and_target(overlapping)
    mae = gce_loss(logits, target, q=1.0)
    torch.testing.assert_close(sce_loss(logits, target, alpha=0, beta=1), 4 * mae)
    torch.testing.assert_close(sce_loss(logits, target, alpha=0, beta=2, log_zero=-3), 6 * mae)


def test_the_reverse_is_the_cross_entropy_of_the_label_under_the_prediction():
    logits, target = logits_and_target(False)
    labels = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    logs = torch.where(labels > 0, labels.log(), -4.0)  # log 0 := A
    reverse = -(logits.softmax(1) * logs).sum(1).mean()
    torch.testing.assert_close(sce_loss(logits, target, alpha=0, beta=1), reverse)


def test_costs_worked_out_by_hand():
    logits = torch.tensor([[[0.0], [math.log(3.0)]]])  # p of class 1: 3/4
    found = float(sce_loss(logits, torch.tensor([[1]]), alpha=0.1, beta=1.0))
    assert found == pytest.approx(0.1 * math.log(4 / 3) + 4 * 0.25)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"alpha": -1}, "alpha"),
        ({"beta": math.nan}, "beta"),
        ({"alpha": 0, "beta": 0}, "not both 0"),
        ({"log_zero": 0.0}, "log_zero"),
        ({"log_zero": -math.inf}, "log_zero"),
    ],
)
def test_weights_that_make_no_sense_are_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        sce_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2), **settings)
    with pytest.raises(ConfigError, match=named):
        SCELoss(**settings)
