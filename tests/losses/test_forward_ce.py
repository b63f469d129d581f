import math

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError, GeometryError
from labelmend.losses import ForwardCELoss, cross_entropy_loss, forward_ce_loss

NOISY = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]], dtype=torch.double)


def drawn(overlapping, seed=0):
    torch.manual_seed(seed)
    logits = torch.randn(2, 3, 4, 4, dtype=torch.double) * 3
    target = torch.rand(2, 3, 4, 4).double() if overlapping else torch.randint(0, 3, (2, 4, 4))
    return logits, target


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_with_the_identity_it_is_cross_entropy(overlapping, scale):
    logits, target = drawn(overlapping)
    logits = (logits * scale).requires_grad_()
    identity = torch.eye(2).expand(3, 2, 2) if overlapping else torch.eye(3)
    ours = forward_ce_loss(logits, target, transition=identity)
    theirs = cross_entropy_loss(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


def test_the_label_is_compared_with_what_the_prediction_would_be_annotated_as():
    logits, target = drawn(False)
    annotated = torch.einsum("bc...,cd->bd...", logits.softmax(1), NOISY)
    expected = -annotated.gather(1, target.unsqueeze(1)).log().mean()
    torch.testing.assert_close(forward_ce_loss(logits, target, transition=NOISY), expected)


def test_overlapping_classes_have_a_matrix_each():
    logits, target = drawn(True)
    matrices = torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[1, 0], [0.5, 0.5]], [[0.6, 0.4], [0, 1]]]).double()
    p, costs = logits.sigmoid(), []
    for c, t in enumerate(matrices):
        present = (1 - p[:, c]) * t[0, 1] + p[:, c] * t[1, 1]
        costs.append(-target[:, c] * present.log() - (1 - target[:, c]) * (1 - present).log())
    expected = torch.stack(costs).mean()
    torch.testing.assert_close(forward_ce_loss(logits, target, transition=matrices), expected)


def test_with_the_right_matrix_the_best_answer_is_the_clean_posterior_and_with_cross_entropy_the_noisy_one():
    """The paper's theorem, at one pixel seen many times: labels are drawn from clean shares through T."""
    clean = torch.tensor([0.2, 0.5, 0.3], dtype=torch.double)
    noisy = clean @ NOISY

    def fitted(loss):
        logits = torch.zeros(1, 3, 1, dtype=torch.double, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            total = sum(share * loss(logits, torch.tensor([[j]])) for j, share in enumerate(noisy))
            total.backward()
            return total

        optimizer.step(closure)
        return logits.detach().softmax(1)[0, :, 0].numpy()

    module = ForwardCELoss(NOISY)
    np.testing.assert_allclose(fitted(module), clean, atol=1e-3)
    np.testing.assert_allclose(fitted(cross_entropy_loss), noisy, atol=1e-3)


def test_a_label_that_no_class_leads_to_has_a_finite_cost_and_no_gradient():
    logits = torch.randn(1, 2, 4, requires_grad=True)
    matrix = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = forward_ce_loss(logits, torch.ones(1, 4), transition=matrix)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-math.log(torch.finfo(torch.float).tiny))
    assert logits.grad.abs().max() < 1e-6


def test_the_module_is_the_function_and_saves_its_matrix():
    logits, target = drawn(False)
    module = ForwardCELoss(NOISY.tolist(), weight=[1, 2, 3], reduction="none")
    weight = torch.tensor([1.0, 2.0, 3.0])
    expected = forward_ce_loss(logits, target, transition=module.transition, weight=weight, reduction="none")
    torch.testing.assert_close(module(logits, target), expected)
    torch.testing.assert_close(module.state_dict()["transition"], NOISY.float())


@pytest.mark.parametrize(
    ("matrix", "named"),
    [
        ([[0.9, 0.1]], "square"),
        ([[0.9, 0.2], [0.1, 0.9]], "sum to 1"),
        ([[1.1, -0.1], [0, 1]], "probabilities"),
        ([[math.nan, 1], [0, 1]], "probabilities"),
    ],
)
def test_what_is_no_transition_matrix_is_refused(matrix, named):
    with pytest.raises(ConfigError, match=named):
        ForwardCELoss(matrix)


def test_a_matrix_of_another_number_of_classes_is_refused():
    with pytest.raises(GeometryError, match=r"\(3, 3\) expected, got \(2, 2\)"):
        forward_ce_loss(torch.zeros(1, 3, 2), torch.zeros(1, 2), transition=torch.eye(2))
