from functools import partial

import numpy as np
import pytest
import torch

from labelmend import losses
from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.base import Loss, check, class_mean, label_costs, reduce_cases, reduce_pixels

T_EXCLUSIVE = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
T_OVERLAPPING = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]] * 3)


def forward_ce(logits, target, **settings):
    t = T_OVERLAPPING if target.ndim == logits.ndim else T_EXCLUSIVE
    return losses.forward_ce_loss(logits, target, transition=t, **settings)


PER_PIXEL = {
    "cross_entropy": losses.cross_entropy_loss,
    "gce": losses.gce_loss,
    "sce": losses.sce_loss,
    "forward_ce": forward_ce,
    "confidence_regularised": partial(losses.confidence_regularised_loss, beta=1.0),
}
PER_CASE = {
    "dice": losses.dice_loss,
    "dice_ce": losses.dice_ce_loss,
    "nr_dice": losses.nr_dice_loss,
    "t_loss": losses.t_loss,
}
ALL = PER_PIXEL | PER_CASE
MODULES = {
    "cross_entropy": losses.CrossEntropyLoss,
    "gce": losses.GCELoss,
    "sce": losses.SCELoss,
    "dice": losses.DiceLoss,
    "dice_ce": losses.DiceCELoss,
    "nr_dice": losses.NRDiceLoss,
    "t_loss": losses.TLoss,
}
SPACES = [(4, 5), (2, 3, 4)]

every_loss = pytest.mark.parametrize("name", ALL)
both_kinds = pytest.mark.parametrize("overlapping", [True, False], ids=["overlapping", "exclusive"])


def drawn(space, overlapping, seed=0, dtype=torch.float):
    """Logits of three channels, a target and a mask of valid pixels; shares of pixels among the targets."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, *space, generator=g, dtype=dtype) * 2
    share = torch.rand(2, 3, *space, generator=g, dtype=dtype)
    target = (
        torch.where(share < 0.3, share, share.round())
        if overlapping
        else torch.randint(0, 3, (2, *space), generator=g)
    )
    return logits, target, torch.rand(2, *space, generator=g) > 0.3


def test_every_loss_that_is_exported_is_looked_at_here():
    exported = {name for name in losses.__all__ if name.endswith("_loss")}
    other_arguments = {"jensen_shannon_loss", "soft_dice_loss"}
    assert exported - other_arguments == {name if name.endswith("_loss") else f"{name}_loss" for name in ALL}


@every_loss
@both_kinds
@pytest.mark.parametrize("space", SPACES, ids=["2-D", "3-D"])
def test_gradients_agree_with_finite_differences(name, overlapping, space):
    logits, target, valid = drawn([2] * len(space), overlapping, dtype=torch.double)
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.double)
    for reduction in ("mean", "none"):

        def loss(x, reduction=reduction):
            return ALL[name](x, target, valid=valid, weight=weight, reduction=reduction)

        assert torch.autograd.gradcheck(loss, logits.requires_grad_())


@every_loss
@both_kinds
@pytest.mark.parametrize("space", SPACES, ids=["2-D", "3-D"])
def test_ignored_pixels_change_neither_loss_nor_gradient(name, overlapping, space):
    logits, target, valid = drawn(space, overlapping)
    hidden = ~valid.unsqueeze(1) if overlapping else ~valid
    others = torch.where(hidden, 1 - target if overlapping else 255, target)
    elsewhere = torch.where(~valid.unsqueeze(1), logits + 7, logits).requires_grad_()
    loss = ALL[name](elsewhere, others, valid=valid)
    torch.testing.assert_close(loss, ALL[name](logits, target, valid=valid))
    (gradient,) = torch.autograd.grad(loss, elsewhere)
    assert gradient.abs().sum() > 0
    assert not gradient.masked_select(~valid.unsqueeze(1)).any()


@every_loss
@both_kinds
def test_a_batch_without_valid_pixels_costs_nothing_and_moves_nothing(name, overlapping):
    logits, target, valid = drawn((3, 4), overlapping)
    loss = ALL[name](logits.requires_grad_(), target, valid=torch.zeros_like(valid))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


@every_loss
@both_kinds
@pytest.mark.parametrize("size", [50.0, 1000.0])
def test_a_sure_network_gets_a_finite_loss_and_gradient_right_or_wrong(name, overlapping, size):
    logits, target, _ = drawn((3, 4), overlapping)
    logits = (logits.sign() * size).requires_grad_()
    loss = ALL[name](logits, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@every_loss
@both_kinds
def test_half_precision_is_summed_in_single(name, overlapping):
    space = (300, 300)  # more pixels than half precision can count
    logits, target, _ = drawn(space, overlapping)
    half = ALL[name](logits.half(), target)
    assert half.dtype == torch.float
    torch.testing.assert_close(half, ALL[name](logits.half().float(), target))


@pytest.mark.parametrize("name", PER_PIXEL)
@both_kinds
def test_the_mean_is_that_of_the_pixels(name, overlapping):
    logits, target, valid = drawn((4, 5), overlapping)
    pixels = PER_PIXEL[name](logits, target, valid=valid, reduction="none")
    assert pixels.shape == valid.shape
    assert not pixels[~valid].any()
    torch.testing.assert_close(PER_PIXEL[name](logits, target, valid=valid), pixels[valid].mean())
    torch.testing.assert_close(PER_PIXEL[name](logits, target, valid=valid, reduction="sum"), pixels.sum())


@pytest.mark.parametrize("name", PER_CASE)
@both_kinds
def test_the_mean_is_that_of_the_cases(name, overlapping):
    logits, target, valid = drawn((4, 5), overlapping)
    valid[:] = valid[:1]  # as many pixels in both cases
    cases = PER_CASE[name](logits, target, valid=valid, reduction="none")
    assert cases.shape == (2,)
    torch.testing.assert_close(PER_CASE[name](logits, target, valid=valid), cases.mean())
    torch.testing.assert_close(PER_CASE[name](logits, target, valid=valid, reduction="sum"), cases.sum())
    alone = PER_CASE[name](logits[1:], target[1:], valid=valid[1:])
    torch.testing.assert_close(cases[1], alone)


@every_loss
@both_kinds
def test_equal_weights_are_as_good_as_none(name, overlapping):
    logits, target, valid = drawn((4, 5), overlapping)
    weighted = ALL[name](logits, target, valid=valid, weight=torch.full((3,), 0.2))
    torch.testing.assert_close(weighted, ALL[name](logits, target, valid=valid))


@every_loss
def test_a_class_without_weight_does_not_count_where_classes_overlap(name):
    logits, target, valid = drawn((4, 5), True)
    some = ALL[name](logits, target, valid=valid, weight=torch.tensor([1.0, 0.0, 3.0]))
    if name == "forward_ce":
        alone = [
            losses.forward_ce_loss(
                logits[:, c : c + 1], target[:, c : c + 1], transition=T_OVERLAPPING[:1], valid=valid
            )
            for c in (0, 2)
        ]
    else:
        alone = [ALL[name](logits[:, c : c + 1], target[:, c : c + 1], valid=valid) for c in (0, 2)]
    torch.testing.assert_close(some, (alone[0] + 3 * alone[1]) / 4)


@pytest.mark.parametrize("name", PER_PIXEL)
def test_pixels_of_a_class_without_weight_do_not_count_where_classes_exclude_each_other(name):
    logits, target, valid = drawn((4, 5), False)
    weighted = PER_PIXEL[name](logits, target, valid=valid, weight=torch.tensor([0.0, 1.0, 1.0]))
    torch.testing.assert_close(weighted, PER_PIXEL[name](logits, target, valid=valid & (target > 0)))


def test_weighted_cross_entropy_is_that_of_torch():
    logits, target, valid = drawn((4, 5), False)
    weight = torch.tensor([0.2, 1.0, 3.0])
    theirs = torch.nn.functional.cross_entropy(
        logits, torch.where(valid, target, -1), weight=weight, ignore_index=-1
    )
    torch.testing.assert_close(losses.cross_entropy_loss(logits, target, valid=valid, weight=weight), theirs)


@pytest.mark.parametrize("name", MODULES)
@both_kinds
def test_a_module_is_its_function(name, overlapping):
    logits, target, valid = drawn((4, 5), overlapping)
    module = MODULES[name](weight=[1.0, 2.0, 3.0], reduction="none")
    function = ALL[name](logits, target, valid=valid, weight=torch.tensor([1.0, 2.0, 3.0]), reduction="none")
    torch.testing.assert_close(module(logits, target, valid), function)
    torch.testing.assert_close(MODULES[name]()(logits, target), ALL[name](logits, target))


def test_weights_of_a_module_are_saved_and_move_with_it():
    module = losses.GCELoss(weight=[1, 2, 3])
    assert module.state_dict()["weight"].tolist() == [1, 2, 3]
    assert module.double().weight.dtype == torch.double


@every_loss
def test_shapes_that_do_not_belong_together_are_named(name):
    with pytest.raises(GeometryError, match=r"\(1, 4, 4\).*\(1, 5, 5\)"):
        ALL[name](torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 5))
    with pytest.raises(GeometryError, match=r"valid to be \(1, 4, 4\), got \(1, 4\)"):
        ALL[name](torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4), valid=torch.ones(1, 4).bool())
    with pytest.raises(GeometryError, match=r"one weight a channel, 3, expected, got \(2,\)"):
        ALL[name](torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4), weight=torch.ones(2))


@every_loss
def test_an_unknown_reduction_is_refused(name):
    with pytest.raises(ConfigError, match="reduction must be"):
        ALL[name](torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4), reduction="median")


@pytest.mark.parametrize("weight", [[1, -1], [0, 0], [1, np.inf], [[1, 2]], []], ids=str)
def test_weights_that_are_no_weights_are_refused(weight):
    with pytest.raises(ConfigError, match="class weights"):
        Loss(weight=weight)


def test_a_share_of_a_pixel_is_that_share_of_both_labels():
    logits, target = torch.tensor([[[1.5]]]), torch.tensor([[[0.3]]])
    costs = label_costs(check(logits, target, None, None), lambda log_p: log_p**2)
    one, zero = np.log(1 / (1 + np.exp(-1.5))), np.log(1 / (1 + np.exp(1.5)))
    assert float(costs) == pytest.approx(0.3 * one**2 + 0.7 * zero**2)


def test_the_mean_of_nothing_is_nothing():
    checked = check(torch.zeros(1, 2, 3), torch.zeros(1, 3), torch.zeros(1, 3).bool(), None)
    assert float(reduce_pixels(torch.ones(1, 3), checked, "mean")) == 0
    assert float(class_mean(torch.ones(1, 2), torch.zeros(2))) == 0
    assert reduce_cases(torch.tensor([1.0, 3.0]), "mean") == 2
