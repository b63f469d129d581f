import math

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.jensen_shannon import JensenShannonLoss, confidence_gate, jensen_shannon_loss


def drawn(n: int, *shape: int, seed: int = 0, **kwargs) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, **kwargs) for _ in range(n)]


def published(logits: list[torch.Tensor]) -> float:
    """R of the released code: sum over scales of KL to the mean, which is kept in [0.001, 0.999]."""
    probs = [z.softmax(1) for z in logits]
    q = (sum(probs) / len(probs)).clamp(1e-3, 1 - 1e-3)
    return float(sum((p * (p.log() - q.log())).sum(1).mean() for p in probs))


def test_two_opposite_predictions_worked_out_by_hand():
    """p = (0.9, 0.1) and (0.5, 0.5), q = (0.7, 0.3)."""
    a, b = (torch.tensor(p).log().reshape(1, 2, 1) for p in ([0.9, 0.1], [0.5, 0.5]))
    kl_a = 0.9 * math.log(9 / 7) + 0.1 * math.log(1 / 3)
    kl_b = 0.5 * math.log(5 / 7) + 0.5 * math.log(5 / 3)
    assert float(jensen_shannon_loss([a, b])) == pytest.approx((kl_a + kl_b) / 2)


def test_the_sum_of_the_released_code_is_three_times_the_divergence():
    logits = drawn(3, 2, 4, 5, 6)
    assert published(logits) == pytest.approx(3 * float(jensen_shannon_loss(logits)), rel=1e-5)


def test_it_is_the_entropy_of_the_mean_minus_the_mean_entropy():
    logits = drawn(3, 2, 4, 5, 6)
    probs = [z.softmax(1) for z in logits]

    def entropy(p):
        return float(-(p * p.log()).sum(1).mean())

    expected = entropy(sum(probs) / 3) - sum(map(entropy, probs)) / 3
    assert float(jensen_shannon_loss(logits)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("channels", "value"), [(5, -0.0043), (21, -0.0217)])
def test_the_published_floor_makes_equal_predictions_cost_less_than_nothing(channels, value):
    probs = torch.full((1, channels, 1), 3e-4)
    probs[0, 0] = 1 - 3e-4 * (channels - 1)
    same = [probs.log()] * 3
    assert 3 * float(jensen_shannon_loss(same, floor=1e-3)) == pytest.approx(value, abs=5e-5)
    assert float(jensen_shannon_loss(same)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("overlapping", [True, False])
def test_it_lies_between_nothing_and_ln_s_whatever_the_order_and_the_offsets(overlapping):
    logits = [5 * z for z in drawn(3, 2, 3, 4, 5)]
    value = float(jensen_shannon_loss(logits, overlapping=overlapping))
    assert 0 < value < math.log(3)
    assert float(jensen_shannon_loss(logits[::-1], overlapping=overlapping)) == pytest.approx(value)
    assert float(jensen_shannon_loss([logits[0]] * 3, overlapping=overlapping)) == pytest.approx(0, abs=1e-6)
    if not overlapping:
        moved = [z + shift for z, shift in zip(logits, (0, 7, -3))]
        assert float(jensen_shannon_loss(moved)) == pytest.approx(value, rel=1e-4)


def test_three_sure_predictions_of_three_classes_reach_ln_3():
    sure = [60 * torch.eye(3)[i].reshape(1, 3, 1) for i in range(3)]
    assert float(jensen_shannon_loss(sure)) == pytest.approx(math.log(3))


def test_overlapping_classes_are_binary_problems_whose_mean_counts():
    a, b = drawn(2, 1, 2, 3, 3)
    each = [
        float(jensen_shannon_loss([torch.cat([0 * z[:, j : j + 1], z[:, j : j + 1]], 1) for z in (a, b)]))
        for j in range(2)
    ]
    assert float(jensen_shannon_loss([a, b], overlapping=True)) == pytest.approx(np.mean(each), rel=1e-5)


def test_shares_are_scaled_to_sum_one():
    logits = drawn(2, 1, 3, 4)
    value = float(jensen_shannon_loss(logits, shares=(3, 1)))
    assert value == pytest.approx(float(jensen_shannon_loss([logits[0]] * 3 + [logits[1]])), rel=1e-5)
    assert value == pytest.approx(float(jensen_shannon_loss(logits, shares=(0.75, 0.25))))


# ---- the gate ----


def image_of(*probabilities: float) -> torch.Tensor:
    """`(1 2 n)` logits of one image whose pixels have class 1 with these probabilities."""
    p = torch.tensor(probabilities)
    return torch.stack([1 - p, p]).log()[None]


def test_the_gate_is_one_number_an_image_and_one_sure_pixel_opens_it():
    unsure, sure, background = (
        image_of(0.6, 0.7, 0.79),
        image_of(0.5, 0.81, 0.5),
        image_of(0.5, 0.15, 0.5),
    )
    gate = confidence_gate([torch.cat([unsure, sure, background])] * 2, rho=0.8)
    assert gate.tolist() == [0, 1, 1]


def test_the_gate_looks_at_the_mean_prediction():
    assert confidence_gate([image_of(0.95), image_of(0.55)], rho=0.8).tolist() == [0]
    assert confidence_gate([image_of(0.95), image_of(0.55)], rho=0.8, shares=(3, 1)).tolist() == [1]


@pytest.mark.parametrize("overlapping", [True, False])
def test_an_ignored_pixel_does_not_open_the_gate(overlapping):
    logits = image_of(0.9, 0.6)
    if overlapping:
        logits = logits[:, 1:] - logits[:, :1]
    for valid, gate in (([True, True], 1), ([False, True], 0), ([False, False], 0)):
        found = confidence_gate([logits], overlapping=overlapping, valid=torch.tensor([valid]), rho=0.8)
        assert found.tolist() == [gate]


def test_an_image_behind_a_closed_gate_moves_nothing_and_its_pixels_count_in_the_mean():
    open_, closed = image_of(0.95, 0.6), image_of(0.7, 0.6)
    first = torch.cat([open_, closed]).requires_grad_()
    second = torch.cat([image_of(0.9, 0.4), image_of(0.6, 0.75)])
    loss = jensen_shannon_loss([first, second], rho=0.8)
    loss.backward()
    assert first.grad[0].any()
    assert not first.grad[1].any()
    alone = jensen_shannon_loss([first[:1], second[:1]])
    assert float(loss.detach()) == pytest.approx(float(alone.detach()) / 2)


# ---- numbers ----


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("space", [(4, 5), (3, 4, 2)])
def test_ignored_pixels_change_neither_loss_nor_gradient(space, overlapping):
    valid = torch.rand(2, *space, generator=torch.Generator().manual_seed(1)) > 0.3
    one = [z.requires_grad_() for z in drawn(2, 2, 3, *space)]
    other = [torch.where(valid.unsqueeze(1), z.detach(), -z.detach() + 2) for z in one]
    loss = jensen_shannon_loss(one, overlapping=overlapping, valid=valid)
    same = jensen_shannon_loss(other, overlapping=overlapping, valid=valid)
    assert float(loss.detach()) == pytest.approx(float(same))
    for gradient in torch.autograd.grad(loss, one):
        assert not gradient.masked_select(~valid.unsqueeze(1)).any()
    nothing = jensen_shannon_loss(one, overlapping=overlapping, valid=torch.zeros_like(valid), rho=0.8)
    assert float(nothing.detach()) == 0
    assert not any(g.any() for g in torch.autograd.grad(nothing, one))


def test_reductions_and_the_module_agree():
    logits = drawn(2, 2, 3, 4, 5)
    valid = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.3
    each = jensen_shannon_loss(logits, valid=valid, reduction="none")
    assert each.shape == (2, 4, 5)
    assert not each[~valid].any()
    total = jensen_shannon_loss(logits, valid=valid, reduction="sum")
    assert float(total) == pytest.approx(float(each.sum()))
    mean = jensen_shannon_loss(logits, valid=valid)
    assert float(mean) == pytest.approx(float(total) / int(valid.sum()))
    settings = {"shares": (1.0, 2.0), "rho": 0.4, "floor": 0.01}
    module = JensenShannonLoss(**settings)
    assert float(module(logits, valid)) == float(jensen_shannon_loss(logits, valid=valid, **settings))


@pytest.mark.parametrize("overlapping", [True, False])
def test_gradients_agree_with_finite_differences(overlapping):
    logits = [z.requires_grad_() for z in drawn(3, 1, 2, 3, dtype=torch.double)]
    assert torch.autograd.gradcheck(lambda *z: jensen_shannon_loss(z, overlapping=overlapping), logits)


@pytest.mark.parametrize("overlapping", [True, False])
def test_extreme_logits_give_finite_values_and_gradients(overlapping):
    logits = [(50 * torch.sign(z)).requires_grad_() for z in drawn(3, 2, 3, 8)]
    loss = jensen_shannon_loss(logits, overlapping=overlapping, rho=0.8)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, logits))


def test_half_precision_is_summed_in_single():
    logits = [z.half() for z in drawn(2, 1, 3, 300, 300)]
    single = jensen_shannon_loss([z.float() for z in logits])
    assert float(jensen_shannon_loss(logits)) == pytest.approx(float(single))


def test_what_cannot_be_used_is_named():
    a, b = torch.zeros(1, 2, 4), torch.zeros(1, 2, 5)
    with pytest.raises(GeometryError, match=r"\(1, 2, 4\).*\(1, 2, 5\)"):
        jensen_shannon_loss([a, b])
    with pytest.raises(GeometryError, match="valid"):
        jensen_shannon_loss([a, a], valid=torch.ones(1, 5))
    with pytest.raises(ConfigError, match="share"):
        jensen_shannon_loss([a, a], shares=(1.0,))
    with pytest.raises(ConfigError, match="rho"):
        jensen_shannon_loss([a, a], rho=1.5)
    with pytest.raises(ConfigError, match="share"):
        jensen_shannon_loss([])
