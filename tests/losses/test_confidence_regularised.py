"""Confidence regulariser and sieve: identities by hand, the theory on small simplices, how beta 2 fails."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses.confidence_regularised import (
    ConfidenceRegularisedLoss,
    PiecewiseLinear,
    beta_window,
    check_beta,
    confidence_regularised_loss,
    largest_beta,
    refreshed_prior,
    sieve_mask,
    sieve_metric,
)

PUBLISHED = PiecewiseLinear(((10, 0.0), (39, 2.0)))
SKEWED = np.array([[0.99, 0.01], [0.2, 0.8]])  # background 95 %, foreground 5 %


def drawn(k: int, space: tuple[int, ...] = (), n: int = 64, seed: int = 0, **kind):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(n, k, *space, generator=generator, **kind)
    return logits, torch.randint(0, k, (n, *space), generator=generator)


def test_the_loss_of_a_pixel_is_the_one_worked_out_by_hand():
    logits = torch.tensor([[math.log(0.5), math.log(0.25), math.log(0.25)]])
    uniform = confidence_regularised_loss(logits, torch.tensor([0]), beta=2.0, eps=0)
    # CE(y) = log 2; the mean CE is (log 2 + 2 log 4) / 3
    assert float(uniform) == pytest.approx(math.log(2) - 2 * 5 / 3 * math.log(2))
    prior = torch.tensor([0.5, 0.5, 0.0])
    given = confidence_regularised_loss(logits, torch.tensor([0]), beta=1.0, prior=prior, eps=0)
    assert float(given) == pytest.approx(math.log(2) - 1.5 * math.log(2))


def test_without_beta_it_is_cross_entropy():
    logits, target = drawn(4, (3, 5))
    loss = confidence_regularised_loss(logits, target, beta=0.0)
    assert float(loss) == pytest.approx(float(F.cross_entropy(logits, target)))
    share = torch.rand(64, 4, 3, 5)
    loss = confidence_regularised_loss(logits, share, beta=0.0)
    assert float(loss) == pytest.approx(float(F.binary_cross_entropy_with_logits(logits, share)), rel=1e-5)


def test_the_gradient_is_the_closed_form():
    logits, target = drawn(5, dtype=torch.double)
    prior = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.double)
    logits.requires_grad_()
    loss = confidence_regularised_loss(logits, target, beta=1.7, prior=prior, reduction="sum", eps=0)
    (gradient,) = torch.autograd.grad(loss, logits)
    f = logits.softmax(1)
    torch.testing.assert_close(gradient, f - F.one_hot(target, 5) - 1.7 * (f - prior))


def test_a_prior_that_is_the_label_itself_and_beta_1_cancel_everything():
    logits, target = drawn(4)
    logits.requires_grad_()
    prior = F.one_hot(target, 4).double()
    loss = confidence_regularised_loss(logits, target, beta=1.0, prior=prior, eps=0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(gradient.abs().max()) < 1e-7


def test_it_is_peer_loss_with_the_peers_averaged_out():
    logits, target = drawn(3, n=4000, seed=1)
    prior = torch.tensor([0.6, 0.3, 0.1])
    peers = torch.multinomial(prior, 4000, replacement=True, generator=torch.Generator().manual_seed(2))
    peer_loss = F.cross_entropy(logits, target) - 2 * F.cross_entropy(logits, peers)
    loss = confidence_regularised_loss(logits, target, beta=2.0, prior=prior, eps=0)
    spread = 2 * float(F.cross_entropy(logits, peers, reduction="none").std()) / 4000**0.5
    assert abs(float(peer_loss - loss)) < 4 * spread


@pytest.mark.parametrize("overlapping", [False, True])
def test_ignored_pixels_and_a_batch_without_any_move_nothing(overlapping):
    logits, target = drawn(3, (4, 4), n=2)
    target = torch.rand(2, 3, 4, 4) if overlapping else target
    valid = torch.rand(2, 4, 4) > 0.5
    other = target.clone()
    if overlapping:
        other[~valid.unsqueeze(1).expand_as(other)] = 0.3
    else:
        other[~valid] = 255
    losses = []
    for labels in (target, other):
        x = logits.clone().requires_grad_()
        losses.append(confidence_regularised_loss(x, labels, beta=2.0, valid=valid))
        (gradient,) = torch.autograd.grad(losses[-1], x)
        assert not gradient.masked_select(~valid.unsqueeze(1)).any()
    assert float(losses[0].detach()) == float(losses[1].detach())
    x = logits.clone().requires_grad_()
    nothing = confidence_regularised_loss(x, target, beta=2.0, valid=torch.zeros_like(valid))
    (gradient,) = torch.autograd.grad(nothing, x)
    assert float(nothing.detach()) == 0
    assert not gradient.any()


def test_reductions_and_class_weights_agree_with_cross_entropy():
    logits, target = drawn(3, (2, 2), n=2)
    weight = torch.tensor([1.0, 0.5, 2.0])
    each = confidence_regularised_loss(logits, target, beta=1.0, reduction="none")
    assert each.shape == (2, 2, 2)
    total = confidence_regularised_loss(logits, target, beta=1.0, reduction="sum")
    assert float(total) == pytest.approx(float(each.sum()), rel=1e-5)
    weighted = confidence_regularised_loss(logits, target, beta=0.0, weight=weight)
    assert float(weighted) == pytest.approx(float(F.cross_entropy(logits, target, weight=weight)), rel=1e-5)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_gradients_agree_with_finite_differences_and_stay_finite(overlapping, eps):
    logits, target = drawn(3, (2,), n=2, dtype=torch.double)
    target = torch.rand(2, 3, 2, dtype=torch.double) if overlapping else target
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: confidence_regularised_loss(x, target, beta=2.0, eps=eps), logits
    )
    far = torch.tensor([[-50.0, 50.0, 0.0], [50.0, 50.0, -50.0]], requires_grad=True)
    labels = torch.tensor([[0.0, 0.5, 1.0], [1, 0, 1]]) if overlapping else torch.tensor([0, 2])
    loss = confidence_regularised_loss(far, labels, beta=2.0, eps=eps)
    (gradient,) = torch.autograd.grad(loss, far)
    assert torch.isfinite(gradient).all()


def test_with_eps_a_term_ends_at_18_and_without_it_goes_on():
    sure = torch.tensor([[1000.0, 0.0]])
    ends = confidence_regularised_loss(sure, torch.tensor([0]), beta=1.0)
    assert float(ends) == pytest.approx(0.5 * math.log(1e-8), rel=1e-6)
    assert float(confidence_regularised_loss(sure, torch.tensor([0]), beta=1.0, eps=0)) == -500


def test_for_two_classes_beta_1_is_the_unhinged_loss_and_beta_2_learns_from_the_other_label():
    logits, _ = drawn(1, (6,), dtype=torch.double)
    label = (torch.rand(64, 1, 6) > 0.5).double()
    one = confidence_regularised_loss(logits, label, beta=1.0, eps=0, reduction="none")
    torch.testing.assert_close(one, ((0.5 - label) * logits).squeeze(1))
    two = confidence_regularised_loss(logits, label, beta=2.0, eps=0, reduction="none")
    other = F.binary_cross_entropy_with_logits(logits, 1 - label, reduction="none")
    torch.testing.assert_close(two, -other.squeeze(1))


def test_two_softmax_channels_and_one_sigmoid_channel_are_the_same_problem():
    logits, target = drawn(2, (5,), dtype=torch.double)
    single = (logits[:, 1] - logits[:, 0]).unsqueeze(1)
    label = target.double().unsqueeze(1)
    prior = torch.tensor([0.7, 0.3])
    for one, two in (("uniform", "uniform"), (prior, prior[1:])):
        softmax = confidence_regularised_loss(logits, target, beta=0.8, prior=one)
        sigmoid = confidence_regularised_loss(single, label, beta=0.8, prior=two)
        torch.testing.assert_close(softmax, sigmoid)
    torch.testing.assert_close(sieve_mask(logits, target).unsqueeze(1), sieve_mask(single, label))


@pytest.mark.parametrize("k", [2, 3, 10])
def test_a_label_is_kept_where_its_logit_is_at_least_the_mean(k):
    logits, target = drawn(k, (8,), dtype=torch.double)
    own = logits.gather(1, target.unsqueeze(1)).squeeze(1)
    kept = sieve_mask(logits, target)
    assert torch.equal(kept, own >= logits.mean(1))
    assert torch.equal(kept, sieve_mask(logits + 7.5, target))
    assert kept.any()
    assert not kept.all()


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_beta_and_prior_cancel_in_the_sieve(beta):
    logits, target = drawn(4, dtype=torch.double)
    prior = torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=torch.double)
    costs = [
        confidence_regularised_loss(
            logits, torch.full((64,), k), beta=beta, prior=prior, reduction="none", eps=0
        )
        for k in range(4)
    ]
    threshold = torch.stack(costs).mean(0)  # the paper's alpha
    given = torch.stack(costs).gather(0, target.unsqueeze(0)).squeeze(0)
    assert torch.equal(given <= threshold, sieve_mask(logits, target))


def test_with_two_classes_the_sieve_is_agreement():
    logits, target = drawn(2, (50,))
    agrees = logits.argmax(1) == target
    for rule in ("mean_logit", "argmax"):
        assert torch.equal(sieve_mask(logits, target, rule=rule), agrees)


def test_a_label_more_likely_than_a_draw_is_always_kept():
    logits, target = drawn(6, (500,))
    probs = logits.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
    likely = probs > 1 / 6
    assert likely.any()
    assert sieve_mask(logits, target)[likely].all()


def test_argmax_keeps_a_part_of_what_the_mean_keeps_and_margin_lies_between():
    logits, target = drawn(5, (200,))
    mean, best = sieve_mask(logits, target), sieve_mask(logits, target, rule="argmax")
    assert torch.equal(best, logits.argmax(1) == target)
    assert torch.equal(best, sieve_mask(logits, target, rule="margin"))
    assert not (best & ~mean).any()
    some = sieve_mask(logits, target, rule="margin", margin=2.0)
    assert best.sum() < some.sum() < sieve_mask(logits, target, rule="margin", margin=5.0).sum()
    assert not (best & ~some).any()


def test_overlapping_labels_are_kept_where_the_sign_of_the_logit_agrees_and_a_half_always_is():
    logits = torch.tensor([[2.0, -2.0, 2.0, -2.0, 9.0]])
    target = torch.tensor([[1.0, 1.0, 0.0, 0.2, 0.5]])
    agrees = torch.tensor([[True, False, False, True, True]])
    for rule in ("mean_logit", "argmax"):
        assert torch.equal(sieve_mask(logits, target, rule=rule), agrees)
    assert sieve_mask(logits, target, rule="margin", margin=2.0).all()


def test_the_mean_may_be_taken_among_some_classes_only():
    # Two classes that are all but impossible drag the mean down: the wrong label 1 stays.
    logits, target = torch.tensor([[4.0, 1.0, -20.0, -20.0]]), torch.tensor([1])
    assert sieve_mask(logits, target).item()
    assert not sieve_mask(logits, target, among=torch.tensor([True, True, False, False])).item()
    by_case = torch.tensor([[True, True, False, False]])
    assert float(sieve_metric(logits, target, among=by_case)) == pytest.approx(1.5)


def test_labels_that_are_not_valid_are_not_kept_and_may_hold_any_value():
    logits, _ = drawn(3, (2,), n=1)
    target = torch.tensor([[255, int(logits[0, :, 1].argmax())]])
    valid = torch.tensor([[False, True]])
    assert sieve_mask(logits, target, valid=valid).tolist() == [[False, True]]
    assert float(sieve_metric(logits, target, valid=valid)[0, 0]) == 0


def test_the_eps_of_the_released_code_is_stricter_on_peaked_logits_and_loses_no_right_label():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(4000, 10, generator=generator)
    logits[:, 0] += 20
    wrong = torch.randint(1, 10, (4000,), generator=generator)
    exact = float((sieve_metric(logits, wrong) <= 0).float().mean())
    released = float((sieve_metric(logits, wrong, eps=1e-8) <= 0).float().mean())
    assert released < 0.6 * exact
    assert (sieve_metric(logits, torch.zeros(4000, dtype=torch.long), eps=1e-8) <= 0).all()


def predicted_with(transition: np.ndarray, prior: np.ndarray, beta: float) -> list[int | None]:
    """For each true class the class that all of the prediction goes to, or None where it is shared.

    The expected loss of a prediction f is sum_j (T_ij - beta prior_j) CE(f, j); it is searched over a grid of
    the simplex, with logarithms that end at 1e-6.
    """
    k, steps = len(prior), 40
    grid = [c for c in itertools.product(range(steps + 1), repeat=k) if sum(c) == steps]
    costs = -np.log(np.maximum(np.array(grid) / steps, 1e-6))
    found = []
    for row in transition:
        best = grid[int((costs @ (row - beta * prior)).argmin())]
        found.append(int(np.argmax(best)) if max(best) == steps else None)
    return found


THREE = np.array([[0.7, 0.2, 0.1], [0.15, 0.75, 0.1], [0.1, 0.2, 0.7]])
THREE_PRIOR = np.array([0.5, 0.3, 0.2]) @ THREE


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
@pytest.mark.parametrize(
    ("transition", "prior"), [(THREE, THREE_PRIOR), (SKEWED, np.array([0.9505, 0.0495]))], ids=["3", "95/5"]
)
def test_inside_the_window_the_noisy_loss_predicts_the_true_class(transition, prior, share):
    low, high = beta_window(transition, prior)
    assert low < high < math.inf
    beta = low + share * (high - low)
    assert predicted_with(transition, prior, beta) == list(range(len(prior)))


def test_under_the_window_predictions_are_shared_and_over_it_the_rarest_class_wins():
    low, high = beta_window(THREE, THREE_PRIOR)
    assert None in predicted_with(THREE, THREE_PRIOR, 0.5 * low)
    rarest = int(THREE_PRIOR.argmin())
    assert predicted_with(THREE, THREE_PRIOR, 1.05 * high) != [0, 1, 2]
    assert predicted_with(THREE, THREE_PRIOR, 20.0) == [rarest] * 3


def test_beta_2_with_frequencies_inverts_an_unbalanced_problem_and_a_uniform_prior_does_not():
    shares = np.array([0.95, 0.05]) @ SKEWED
    assert shares == pytest.approx([0.9505, 0.0495])
    assert beta_window(SKEWED, shares)[1] == pytest.approx(1.0877, abs=1e-4)
    assert predicted_with(SKEWED, shares, 1.0) == [0, 1]
    assert predicted_with(SKEWED, shares, 1.2) == [1, 1]
    assert predicted_with(SKEWED, shares, 2.0) == [1, 1]
    uniform = np.array([0.5, 0.5])
    assert beta_window(SKEWED, uniform) == (pytest.approx(0.4), math.inf)
    assert predicted_with(SKEWED, uniform, 2.0) == [0, 1]


def test_gradient_descent_falls_into_the_same_hole():
    # 1000 pixels of background with right labels; only the frequencies tell the two losses apart.
    logits, target = torch.zeros(1, 2, 1), torch.zeros(1, 1, dtype=torch.long)
    for prior, winner in ((torch.tensor([0.95, 0.05]), 1), ("uniform", 0)):
        x = logits.clone().requires_grad_()
        for _ in range(100):
            loss = confidence_regularised_loss(x, target, beta=2.0, prior=prior)
            x.data -= torch.autograd.grad(loss, x)[0]
        assert int(x.argmax(1)) == winner


@pytest.mark.parametrize(("foreground", "winner"), [(0.05, 0), (0.15, 1)])
def test_after_a_warm_up_only_what_the_network_is_unsure_of_is_turned(foreground, winner):
    # Both answers are valleys of the loss; the hill lies where (1 - beta) f = 0 - beta prior: at f = 0.1.
    x = torch.tensor([[1 - foreground, foreground]]).log().requires_grad_()
    for _ in range(300):
        loss = confidence_regularised_loss(x, torch.tensor([0]), beta=2.0, prior=torch.tensor([0.95, 0.05]))
        x.data -= torch.autograd.grad(loss, x)[0]
    assert int(x.argmax(1)) == winner


def test_a_prior_on_the_classes_that_a_case_holds_pushes_its_pixels_out_of_them():
    # Why there is no such prior: a picture of background alone has all of it on the background.
    x = torch.zeros(1, 2, 1, requires_grad=True)
    loss = confidence_regularised_loss(
        x, torch.zeros(1, 1, dtype=torch.long), beta=2.0, prior=torch.tensor([[1.0, 0.0]])
    )
    (gradient,) = torch.autograd.grad(loss, x)
    assert float(gradient[0, 0]) > 0  # descent lowers the logit of the right class
    assert largest_beta(np.array([1.0, 0.0])) == 1


def test_many_transitions_give_the_narrowest_window():
    milder = 0.5 * THREE + 0.5 * np.eye(3)
    both = beta_window(np.stack([milder, THREE]), THREE_PRIOR)
    assert both == beta_window(THREE, THREE_PRIOR)
    assert beta_window(milder, THREE_PRIOR) != both
    with pytest.raises(GeometryError, match="3 shares"):
        beta_window(SKEWED, THREE_PRIOR)


def test_the_largest_beta_is_the_end_of_the_window_without_noise():
    prior = np.array([0.6, 0.3, 0.1])
    assert largest_beta(prior) == pytest.approx(beta_window(np.eye(3), prior)[1]) == pytest.approx(2.0)
    assert largest_beta([0.25] * 4) == math.inf
    assert largest_beta([0.3, 0.05], overlapping=True) == pytest.approx(1 / 0.9)
    assert largest_beta(np.array([[0.5, 0.5], [0.95, 0.05]])) == pytest.approx(1 / 0.9)
    with pytest.raises(ConfigError, match="shares"):
        largest_beta([1.2, -0.2])


def test_the_module_is_the_function_and_refuses_a_beta_that_inverts():
    logits, target = drawn(2, (4,))
    module = ConfidenceRegularisedLoss(beta=1.0, prior=[0.95, 0.05], reduction="sum")
    by_hand = confidence_regularised_loss(
        logits, target, beta=1.0, prior=torch.tensor([0.95, 0.05]), reduction="sum"
    )
    assert float(module(logits, target)) == float(by_hand)
    module.beta = 2.0
    with pytest.raises(ConfigError, match=r"beta 2 .* uniform prior, or a beta under 1\.11"):
        module(logits, target)
    uniform = ConfidenceRegularisedLoss()
    assert float(uniform(logits, target)) == float(confidence_regularised_loss(logits, target, beta=2.0))


def test_the_module_knows_that_shares_of_overlapping_classes_are_problems_of_two():
    logits = torch.zeros(1, 2, 3)
    module = ConfidenceRegularisedLoss(beta=1.5, prior=[0.05, 0.95])
    assert "prior" in module.state_dict()
    with pytest.raises(ConfigError, match=r"under 1\.11"):
        module(logits, torch.zeros(1, 2, 3))
    even = ConfidenceRegularisedLoss(beta=1.5, prior=[0.4, 0.6])
    assert torch.isfinite(even(logits, torch.zeros(1, 2, 3)))


def test_settings_that_make_no_sense_are_refused():
    logits, target = drawn(3)
    with pytest.raises(ConfigError, match="beta must be"):
        check_beta(-1.0, math.inf)
    with pytest.raises(ConfigError, match="eps"):
        ConfidenceRegularisedLoss(eps=1.0)
    with pytest.raises(ConfigError, match="prior"):
        ConfidenceRegularisedLoss(prior="present")
    with pytest.raises(ConfigError, match="prior"):
        confidence_regularised_loss(logits, target, beta=1.0, prior="empirical")
    with pytest.raises(ConfigError, match="rule of a sieve"):
        sieve_mask(logits, target, rule="median")
    with pytest.raises(ConfigError, match="margin"):
        sieve_mask(logits, target, rule="margin", margin=-1.0)
    with pytest.raises(GeometryError, match="one value per class"):
        confidence_regularised_loss(logits, target, beta=1.0, prior=torch.ones(2))


def test_the_published_schedule():
    assert [PUBLISHED(e) for e in (0, 9, 10, 39, 99)] == [0, 0, 0, 2, 2]
    assert PUBLISHED(31) == pytest.approx(42 / 29)
    with pytest.raises(ConfigError, match="rising epoch"):
        PiecewiseLinear(((3, 0.0), (3, 1.0)))
    with pytest.raises(ConfigError, match="rising epoch"):
        PiecewiseLinear(())


def test_a_refreshed_prior_sums_to_one_and_is_the_old_one_if_nothing_was_removed():
    assert refreshed_prior([30, 10], [0, 0]).tolist() == [0.75, 0.25]
    assert refreshed_prior([30, 10], [20, 5]) == pytest.approx([2 / 3, 1 / 3])
    for removed in ([31, 0], [30, 10]):
        with pytest.raises(ConfigError, match="removed"):
            refreshed_prior([30, 10], removed)
