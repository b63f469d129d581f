import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.losses import dice_ce_loss
from labelmend.methods.base import Batch
from labelmend.methods.co_teaching import (
    CoTeaching,
    forget_counts,
    kept_pixels,
    least_believed,
    pixel_losses,
    selected_loss,
    selection,
)
from labelmend.types import Grid, LabelMap, Predicted


def random_batch(overlapping: bool, epoch: int = 20) -> tuple[Batch, list[torch.Tensor]]:
    """Two cases of 6 x 7 pixels and the logits of two networks."""
    generator = torch.Generator().manual_seed(2)
    channels = 2 if overlapping else 3
    logits = [torch.randn(2, channels, 6, 7, generator=generator, requires_grad=True) for _ in range(2)]
    chance = torch.rand(2, 2, 6, 7, generator=generator)
    target = (chance < 0.3).float() if overlapping else (chance[:, 0] * 3).long()
    valid = torch.rand(2, 6, 7, generator=generator) < 0.9
    return Batch(torch.zeros(2, 1, 6, 7), target, valid, ("a", "b"), epoch), logits


def networks(logits: list[torch.Tensor]) -> list:
    return [lambda image, out=out: out for out in logits]


# ---- what is forgotten


def test_each_class_loses_its_share_and_background_no_more_than_all_structures_together():
    assert forget_counts([10_000, 100, 300], 0.2) == [80, 20, 60]
    assert forget_counts([10, 90], 0.2) == [2, 18]
    assert forget_counts([1000, 0], 0.5) == [0, 0]


def test_the_largest_losses_of_each_class_are_forgotten_by_hand():
    losses = torch.tensor([0.1, 0.9, 0.2, 0.3, 5.0, 4.0, 8.0, 6.0])
    given = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    valid = torch.tensor([True] * 6 + [False, True])
    # of four background pixels and three valid structure pixels, a third of three each
    kept = kept_pixels(losses, given, valid, 2, 0.34)
    assert kept.tolist() == [True, False, True, True, True, True, False, False]


def test_a_thin_structure_is_not_forgotten_although_all_of_it_is_harder_than_background():
    losses = torch.cat([torch.rand(900, generator=torch.Generator().manual_seed(0)), torch.full((20,), 5.0)])
    losses[-20:] += torch.arange(20) / 20
    given = torch.cat([torch.zeros(900), torch.ones(20)]).long()
    kept = kept_pixels(losses, given, torch.ones(920, dtype=torch.bool), 2, 0.2)
    assert int(kept[-20:].sum()) == 16
    assert int(kept[:900].sum()) == 900 - 4


def test_ties_are_kept():
    given, valid = torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool)
    assert kept_pixels(torch.ones(4), given, valid, 2, 0.5).all()


def test_a_pixel_half_covered_and_predicted_so_has_no_loss():
    logits = torch.tensor([[[[0.0, 4.0, -4.0]]]])
    losses, given = pixel_losses(logits, torch.tensor([[[[0.5, 1.0, 1.0]]]]))
    assert losses.shape == (1, 1, 1, 3)
    assert losses.flatten().tolist() == pytest.approx([0, np.log1p(np.exp(-4)), 4 + np.log1p(np.exp(-4))])
    assert given.flatten().tolist() == [0, 1, 1]


# ---- training


@pytest.mark.parametrize("overlapping", [True, False])
def test_forgetting_nothing_is_plain_training_of_both_networks(overlapping):
    batch, logits = random_batch(overlapping)
    loss, first, _ = CoTeaching(forget_rate=0).step({}, batch, networks(logits))
    plain = [dice_ce_loss(out, batch.target, valid=batch.valid) for out in logits]
    torch.testing.assert_close(loss, plain[0] + plain[1])
    assert first is logits[0]
    grads = torch.autograd.grad(loss, logits)
    for mine, theirs in zip(grads, torch.autograd.grad(plain[0] + plain[1], logits)):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("overlapping", [True, False])
def test_each_network_learns_from_the_pixels_that_the_other_one_picks(overlapping):
    batch, logits = random_batch(overlapping)
    loss, _, _ = CoTeaching(forget_rate=0.3).step({}, batch, networks(logits))
    picked = [selection(out, batch, 0.3) for out in logits]
    assert not torch.equal(*picked)
    expected = selected_loss(logits[0], batch.target, picked[1])
    expected = expected + selected_loss(logits[1], batch.target, picked[0])
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits[0])
    dropped = ~picked[1].movedim(0, 1) if overlapping else (~picked[1][0])[:, None].expand_as(gradient)
    assert not gradient[dropped].any()
    assert gradient[~dropped].all()


def test_in_the_first_epoch_nothing_is_forgotten():
    batch, logits = random_batch(True, epoch=0)
    loss, _, _ = CoTeaching(forget_rate=0.3).step({}, batch, networks(logits))
    nothing, _, _ = CoTeaching(forget_rate=0).step({}, batch, networks(logits))
    assert torch.equal(loss, nothing)


def test_a_wrong_label_far_from_what_both_networks_see_pulls_at_neither():
    shown = torch.full((1, 1, 4, 10), -4.0)
    shown[..., :5] = 4.0
    target = (shown > 0).float()
    target[0, 0, 0, 9], target[0, 0, 3, 0] = 1.0, 0.0
    logits = [(shown * scale).requires_grad_() for scale in (1.0, 0.9)]
    batch = Batch(torch.zeros(1, 1, 4, 10), target, torch.ones(1, 4, 10, dtype=torch.bool), ("a",), epoch=20)
    loss, _, _ = CoTeaching(forget_rate=0.1).step({}, batch, networks(logits))
    for gradient in torch.autograd.grad(loss, logits):
        assert gradient[0, 0, 0, 9] == gradient[0, 0, 3, 0] == 0


# ---- what is handed back


def test_the_least_believed_labels_that_are_predicted_otherwise_change_up_to_the_share():
    given = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    foreground = np.array([0.9, 0.1, 0.2, 0.8, 0.9, 0.3, 0.95, 0.1, 0.6, 0.1])
    probs, counted = np.stack([1 - foreground, foreground]), np.ones(10, bool)
    assert np.flatnonzero(least_believed(given, probs, counted, 0.2)).tolist() == [1, 6]
    assert np.flatnonzero(least_believed(given, probs, counted, 0.8)).tolist() == [1, 2, 6, 8]
    counted[6] = False
    assert np.flatnonzero(least_believed(given, probs, counted, 0.25)).tolist() == [1, 8]
    assert not least_believed(given, probs, counted, 0).any()


def test_no_more_than_the_share_changes_where_the_network_is_equally_sure_of_all():
    given = np.array([1] * 10 + [0] * 10)
    foreground = np.array([0.0] * 10 + [1.0] * 10)
    found = least_believed(given, np.stack([1 - foreground, foreground]), np.ones(20, bool), 0.3)
    assert found[:10].sum() == found[10:].sum() == 3


def test_revised_labels_take_the_predicted_class_of_several():
    array = np.array([[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0]], np.uint8)
    labels = LabelMap(array, Grid((1, 12), (1.0, 1.0)), ("a", "b"))
    probs = np.where(array == np.arange(3)[:, None, None], 0.9, 0.05)
    probs[:, 0, 0] = (0.1, 0.2, 0.7)
    (revised,) = CoTeaching(forget_rate=0.2).revise({}, [Predicted("x", labels, labels, probs)], [])[1]
    assert revised.labels.array.tolist() == [[2, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0]]
    assert "1 labels" in revised.reason
    assert CoTeaching.needs.networks == 2


@pytest.mark.parametrize("wrong", [{"forget_rate": 1.0}, {"forget_rate": -0.1}, {"ramp_epochs": -1}])
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ConfigError):
        CoTeaching(**wrong)
