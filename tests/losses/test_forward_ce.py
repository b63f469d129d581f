import math

import numpy as np
import pytest
import torch

from drawn_tensors import logits_and_target
from labelmend.errors import ConfigError, GeometryError
from labelmend.losses import ForwardCELoss, cross_entropy_loss, dice_ce_loss, forward_ce_loss
from labelmend.losses.forward_ce import corrected_loss

NOISY = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]], dtype=torch.double)


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_with_the_identity_it_is_cross_entropy(overlapping, scale):
    logits, target = logits_and_target(overlapping)
    logits = (logits * scale).requires_grad_()
    identity = torch.eye(2).expand(3, 2, 2) if overlapping else torch.eye(3)
    ours = forward_ce_loss(logits, target, transition=identity)
    theirs = cross_entropy_loss(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


def test_the_label_is_compared_with_what_the_prediction_would_be_annotated_as():
    logits, target = logits_and_target(False)
    annotated = torch.einsum("bc...,cd->bd...", logits.softmax(1), NOISY)
    expected = -annotated.gather(1, target.unsqueeze(1)).log().mean()
    torch.testing.assert_close(forward_ce_loss(logits, target, transition=NOISY), expected)


def test_overlapping_classes_have_a_matrix_each():
    logits, target = logits_and_target(True)
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
    logits, target = logits_and_target(False)
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


# ---- a matrix for each band


@pytest.mark.parametrize("overlapping", [True, False])
def test_with_bands_each_pixel_costs_what_it_does_under_its_own_matrix(overlapping):
    logits, target = logits_and_target(overlapping)
    torch.manual_seed(1)
    matrices = torch.rand(2, 3, 2, 2).double() if overlapping else torch.rand(2, 3, 3).double()
    matrices /= matrices.sum(-1, keepdim=True)
    bands = torch.randint(0, 2, target.shape)
    each = [forward_ce_loss(logits, target, transition=t, reduction="none") for t in matrices]
    if overlapping:  # the mean over classes: each alone, the other classes being perfect and certain
        bands = bands[:, :1].expand(-1, 3, -1, -1)
        expected = torch.where(bands[:, 0] == 0, *each)
    else:
        expected = torch.where(bands == 0, *each)
    ours = forward_ce_loss(logits, target, transition=matrices, bands=bands, reduction="none")
    torch.testing.assert_close(ours, expected)


def test_overlapping_classes_have_bands_of_their_own():
    """Label 1 at p = 0.8 and 0.2 of presence: T of band 0 is the identity, T of band 1 says 0.1 and 0.6."""
    logits, target = torch.tensor([[[0.8], [0.2]]]).logit(), torch.ones(1, 2, 1)
    matrices = torch.stack(
        [torch.eye(2).expand(2, 2, 2), torch.tensor([[0.9, 0.1], [0.4, 0.6]]).expand(2, 2, 2)]
    )
    for bands, shares in (([0, 1], (0.8, 0.2)), ([1, 0], (0.5, 0.2)), ([1, 1], (0.5, 0.2))):
        loss = forward_ce_loss(
            logits, target, transition=matrices, bands=torch.tensor(bands).reshape(1, 2, 1)
        )
        assert float(loss) == pytest.approx(-np.log(shares).mean(), rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 1, 4, 4)])
def test_bands_of_another_shape_than_the_target_are_refused(shape):
    logits, target = logits_and_target(True)
    transition = torch.eye(2).expand(5, 3, 2, 2)
    with pytest.raises(GeometryError, match="bands of shape"):
        forward_ce_loss(logits, target, transition=transition, bands=torch.zeros(shape).long())
    with pytest.raises(GeometryError, match="bands in front"):
        forward_ce_loss(logits, target, transition=transition[0], bands=torch.zeros(target.shape).long())


# ---- with Dice


@pytest.mark.parametrize("overlapping", [True, False])
def test_without_errors_the_corrected_loss_is_dice_ce(overlapping):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.double)
    target = (
        torch.rand(2, 3, 5, 6, generator=generator) if overlapping else torch.arange(60).reshape(2, 5, 6) % 3
    )
    valid = torch.rand(2, 5, 6, generator=generator) < 0.8
    identity = np.tile(np.eye(2), (3, 1, 1)) if overlapping else np.eye(3)[None]
    loss = corrected_loss(logits, target, valid, identity)
    torch.testing.assert_close(
        loss, dice_ce_loss(logits, target.to(target.dtype), valid=valid), check_dtype=False
    )


def test_the_corrected_loss_by_hand():
    """p = (0.8, 0.2) of presence, T01 = 0.1, T11 = 0.6: given as present with 0.5 and 0.2."""
    logits = torch.tensor([[[[0.8, 0.2]]]]).logit()
    target, matrix = torch.tensor([[[[1.0, 0.0]]]]), np.array([[[0.9, 0.1], [0.4, 0.6]]])
    entropy = -(np.log(0.5) + np.log(0.8)) / 2
    soft_dice = 1 - (2 * 0.5 + 1) / (0.5 + 0.2 + 1 + 1)
    loss = corrected_loss(logits, target, torch.ones(1, 1, 2, dtype=torch.bool), matrix)
    assert float(loss) == pytest.approx(entropy + soft_dice, rel=1e-5)


@pytest.mark.parametrize("overlapping", [True, False])
def test_with_the_same_matrix_in_all_bands_the_corrected_loss_is_that_of_one_matrix(overlapping):
    logits, target = logits_and_target(overlapping)
    valid = torch.rand(2, 4, 4) < 0.8
    matrix = np.tile([[0.9, 0.1], [0.3, 0.7]], (3, 1, 1)) if overlapping else NOISY.numpy()[None]
    bands = torch.randint(0, 4, target.shape)
    banded = np.repeat(matrix[:, None], 4, axis=1)
    torch.testing.assert_close(
        corrected_loss(logits, target, valid, banded, bands), corrected_loss(logits, target, valid, matrix)
    )


@pytest.mark.parametrize("loss", ["corrected", "plain"])
def test_trained_on_missing_labels_the_corrected_network_is_clean_and_the_plain_one_is_not(rng, loss):
    """Two kinds of pixels; of one, 40 % are not marked. The best plain answer is 0.6, the corrected one 1."""
    truth = np.repeat([0, 1], 500)
    matrix = np.array([[1.0, 0.0], [0.4, 0.6]])
    target = torch.tensor(rng.random(1000) < matrix[truth, 1]).float().reshape(1, 1, 1, -1)
    kind, valid = torch.tensor(truth), torch.ones(1, 1, 1000, dtype=torch.bool)
    levels = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([levels], lr=0.1)
    for _ in range(150):
        logits = levels[kind].reshape(1, 1, 1, -1)
        value = (
            corrected_loss(logits, target, valid, matrix[None])
            if loss == "corrected"
            else torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    absent, present = levels.sigmoid().tolist()
    assert absent < 0.02
    assert present > 0.97 if loss == "corrected" else abs(present - 0.6) < 0.05
