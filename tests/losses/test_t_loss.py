import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t
from scipy.stats import t as student_t

from drawn_tensors import logits_and_target
from labelmend.errors import ConfigError
from labelmend.losses import TLoss, t_loss
from labelmend.losses.t_loss import student_nll


def squared_error(logits, target):
    """Half the mean squared error of the foreground."""
    if target.ndim == logits.ndim:
        return (logits.sigmoid() - target).square().mean() / 2
    truth = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    return (logits.softmax(1) - truth)[:, 1:].square().mean() / 2


@pytest.mark.parametrize("nu", [0.3, 1.0, 7.0])
def test_it_is_the_likelihood_of_the_multivariate_t(nu):
    rng = np.random.default_rng(0)
    errors = rng.uniform(-1, 1, 6)
    expected = -multivariate_t(np.zeros(6), np.eye(6), df=nu).logpdf(errors) / 6
    found = student_nll(torch.tensor((errors**2).sum()), torch.tensor(6.0), nu)
    assert float(found) == pytest.approx(expected)


def test_one_pixel_is_an_ordinary_student_t():
    logits = torch.tensor([[[math.log(3.0)]]])  # p = 3/4
    assert float(t_loss(logits, torch.zeros(1, 1, 1), nu=4.0)) == pytest.approx(
        -student_t(4).logpdf(0.75), rel=1e-6
    )


@pytest.mark.parametrize("overlapping", [True, False])
def test_for_nu_to_infinity_it_is_half_the_squared_error_and_a_constant(overlapping):
    logits, target = logits_and_target(overlapping)
    found, expected = t_loss(logits, target, nu=1e7), squared_error(logits, target)
    torch.testing.assert_close(found, expected + math.log(2 * math.pi) / 2, rtol=0, atol=1e-5)
    (ours,), (theirs,) = (torch.autograd.grad(x, logits) for x in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-9)


def test_the_gradient_is_that_of_the_squared_error_times_one_factor_a_mask():
    logits, target = logits_and_target(True)
    nu, n = 2.0, 16
    (ours,) = torch.autograd.grad(t_loss(logits, target, nu=nu, reduction="sum"), logits)
    errors = logits.sigmoid() - target
    r = errors.square().sum((2, 3), keepdim=True).detach()
    (theirs,) = torch.autograd.grad((errors.square() * (nu + n) / (nu + r)).sum() / 2 / n / 3, logits)
    torch.testing.assert_close(ours, theirs)


def test_for_small_nu_each_mask_counts_by_the_logarithm_of_its_error():
    n = torch.tensor(10_000.0)
    one, ten = (student_nll(torch.tensor(r), n, 1e-3) for r in (50.0, 500.0))
    assert float(ten - one) == pytest.approx(math.log(10) / 2, rel=1e-3)


def test_where_errors_are_small_the_best_nu_is_two_squared_errors_by_the_number_of_pixels():
    r, n = torch.tensor(30.0, dtype=torch.double), torch.tensor(10_000.0)
    nus = torch.logspace(-4, 2, 2001, dtype=torch.double)
    best = float(nus[student_nll(r, n, nus).argmin()])
    assert best == pytest.approx(2 * 30 / 10_000, rel=0.02)


@pytest.mark.parametrize("n", [100.0, 2_000_000.0])
def test_the_gradient_of_nu_is_right_for_small_and_for_large_masks(n):
    from scipy.special import digamma

    r, nu = 0.01 * n, 0.5
    tensor = torch.tensor(nu, dtype=torch.double, requires_grad=True)
    (found,) = torch.autograd.grad(student_nll(torch.tensor(r), torch.tensor(n), tensor), tensor)
    slope = digamma(nu / 2) - digamma((nu + n) / 2) + math.log1p(r / nu) + (n - r) / (nu + r)
    assert float(found) * n == pytest.approx(slope / 2, rel=1e-6)


def test_a_case_without_a_valid_pixel_costs_nothing_beside_one_that_has_some():
    logits, target = logits_and_target(True)
    valid = torch.ones(2, 4, 4, dtype=torch.bool)
    valid[1] = False
    costs = t_loss(logits, target, valid=valid, reduction="none")
    assert float(costs[1].detach()) == 0
    torch.testing.assert_close(costs[0], t_loss(logits[:1], target[:1]))


def test_the_module_learns_the_nu_that_fits_best():
    logits, target = logits_and_target(True)
    module = TLoss(nu=5.0)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        module(logits.detach(), target).backward()
        optimizer.step()
    nus = np.geomspace(0.01, 10, 400)
    best = min(nus, key=lambda nu: float(t_loss(logits.detach(), target, nu=nu)))
    assert module.nu == pytest.approx(best, rel=0.05)


@pytest.mark.parametrize("nu", [0.0, -1.0, math.nan, math.inf])
def test_a_nu_that_is_not_positive_is_refused(nu):
    with pytest.raises(ConfigError, match="nu must be a number above 0"):
        t_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), nu=nu)
    with pytest.raises(ConfigError, match="nu must be a number above 0"):
        TLoss(nu=nu)
