import math

import pytest
import torch

from drawn_tensors import logits_and_target
from labelmend.errors import ConfigError
from labelmend.losses import GCELoss, cross_entropy_loss, gce_loss


def same(one, other, logits, **tolerance):
    """Two losses and their gradients agree."""
    torch.testing.assert_close(one, other, **tolerance)
    torch.testing.assert_close(
        torch.autograd.grad(one, logits)[0], torch.autograd.grad(other, logits)[0], **tolerance
    )


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("q", [0.0, 1e-6])
def test_for_q_to_zero_it_is_cross_entropy(overlapping, q):
    logits, target = logits_and_target(overlapping)
    same(gce_loss(logits, target, q=q), cross_entropy_loss(logits, target), logits, rtol=1e-4, atol=1e-6)


def test_a_tiny_q_does_not_lose_its_digits_in_single_precision():
    logits, target = torch.randn(1, 3, 8), torch.randint(0, 3, (1, 8))
    torch.testing.assert_close(gce_loss(logits, target, q=1e-6), cross_entropy_loss(logits, target))


def test_for_q_one_it_is_the_mean_absolute_error_of_exclusive_classes():
    logits, target = logits_and_target(False)
    truth = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    absolute = (logits.softmax(1) - truth).abs().sum(1).mean() / 2
    same(gce_loss(logits, target, q=1.0), absolute, logits)


def test_for_q_one_it_is_the_mean_absolute_error_of_overlapping_classes():
    logits, target = logits_and_target(True)
    target = target.round()
    same(gce_loss(logits, target, q=1.0), (logits.sigmoid() - target).abs().mean(), logits)


def test_costs_worked_out_by_hand():
    logits = torch.tensor([[[0.0], [math.log(3.0)]]])
    assert float(gce_loss(logits, torch.tensor([[1]]), q=0.5)) == pytest.approx(2 * (1 - math.sqrt(0.75)))
    assert float(gce_loss(logits, torch.tensor([[0]]), q=0.5)) == pytest.approx(1.0)


def test_a_pixel_pulls_p_to_the_q_times_as_much_as_in_cross_entropy():
    logits, target = logits_and_target(False)
    p = logits.softmax(1).gather(1, target.unsqueeze(1))
    (ours,) = torch.autograd.grad(gce_loss(logits, target, q=0.7), logits)
    (theirs,) = torch.autograd.grad(cross_entropy_loss(logits, target), logits)
    torch.testing.assert_close(ours, theirs * p.detach() ** 0.7)


def test_the_power_is_taken_before_the_mean():
    p = torch.tensor([0.9, 0.1])
    logits = torch.stack([torch.zeros(2), (p / (1 - p)).log()])[None]
    expected = (1 - (0.9**0.7 + 0.1**0.7) / 2) / 0.7
    power_of_the_mean = (1 - 0.5**0.7) / 0.7
    found = float(gce_loss(logits, torch.ones(1, 2)))
    assert found == pytest.approx(expected)
    assert abs(found - power_of_the_mean) > 0.05


@pytest.mark.parametrize("n", [2, 4, 10])
def test_the_costs_of_all_labels_of_a_pixel_add_up_to_nearly_the_same_whatever_is_predicted(n):
    """The paper's bound: between (n - n^(1-q)) / q and (n - 1) / q."""
    torch.manual_seed(1)
    logits = torch.randn(1, n, 200, dtype=torch.double) * 10
    total = sum(gce_loss(logits, torch.full((1, 200), j), q=0.7, reduction="none") for j in range(n))
    assert total.min() >= (n - n**0.3) / 0.7 - 1e-9
    assert total.max() <= (n - 1) / 0.7 + 1e-9


def test_with_mae_the_best_constant_answer_ignores_a_minority_of_wrong_labels():
    target = torch.tensor([[1.0] * 7 + [0.0] * 3]).unsqueeze(0)
    answers = torch.linspace(-9, 9, 37).tolist()

    def best(q):
        return min(answers, key=lambda x: float(gce_loss(torch.full((1, 1, 10), x), target, q=q)))

    assert best(1.0) == 9  # as sure as it can be
    assert best(0.0) == pytest.approx(math.log(7 / 3), abs=0.5)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan, math.inf])
def test_a_power_outside_zero_to_one_is_refused(q):
    with pytest.raises(ConfigError, match="q must lie in"):
        gce_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2), q=q)
    with pytest.raises(ConfigError, match="q must lie in"):
        GCELoss(q=q)
