"""CORES2 on pixels: what the loss is before and after the sieve, what comes back, and the guards."""

import dataclasses

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.losses import dice_ce_loss
from labelmend.losses.confidence_regularised import confidence_regularised_loss
from labelmend.methods.base import Batch, Facts
from labelmend.methods.cores import Cores
from labelmend.types import Grid, LabelMap, Predicted

KINDS = pytest.mark.parametrize("overlapping", [False, True])
PAPER = {"beta": 1.0, "eps": 1e-8, "rule": "mean_logit", "min_kept": 0.1}
ALONE = Cores(**PAPER | {"consistency": 0.0, "min_kept": 0.0})


def facts(overlapping: bool, frequency: tuple[float, ...] = (0.3, 0.3)) -> Facts:
    return Facts(tuple("abc"[: len(frequency)]), overlapping, 2, n_cases=2, class_frequency=frequency)


def batch(overlapping: bool, *, epoch: int, space: tuple[int, ...] = (6, 7)) -> Batch:
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(2, 1, *space, generator=generator)
    if overlapping:
        target = torch.randint(0, 2, (2, 2, *space), generator=generator).float()
    else:
        target = torch.randint(0, 3, (2, *space), generator=generator)
    valid = torch.rand(2, *space, generator=generator) > 0.2
    return Batch(image, target, valid, ("one", "two"), epoch)


def drawn_logits(overlapping: bool, space: tuple[int, ...] = (6, 7)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    return 2 * torch.randn(2, 2 + (not overlapping), *space, generator=generator)


def step(method: Cores, one: Batch, logits: torch.Tensor, overlapping: bool):
    state = method.init(facts(overlapping))
    return method.step(state, one, [lambda image: logits])


@KINDS
def test_it_starts_as_plain_dice_and_cross_entropy(overlapping):
    one, logits = batch(overlapping, epoch=0), drawn_logits(overlapping)
    loss, out, _ = step(Cores(**PAPER), one, logits, overlapping)
    assert out is logits
    assert float(loss) == pytest.approx(float(dice_ce_loss(logits, one.target, valid=one.valid)), rel=1e-5)


@KINDS
def test_before_the_sieve_the_published_loss_is_the_regularised_one_on_all_valid_pixels(overlapping):
    one, logits = batch(overlapping, epoch=10), drawn_logits(overlapping)
    method = Cores(**PAPER | {"base": "ce", "beta": 1.2})
    assert method.beta_at(10) == pytest.approx(0.6)
    loss, _, state = step(method, one, logits, overlapping)
    by_hand = confidence_regularised_loss(logits, one.target, beta=0.6, valid=one.valid)
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)
    assert not state["n_removed"].any()


def test_the_schedule_rises_from_the_warm_up_to_the_ramp_and_stays():
    method = Cores(beta=2.0, warm_up=10, ramp_to=39)
    assert [method.beta_at(e) for e in (0, 10, 39, 200)] == [0, 0, 2, 2]
    assert method.beta_at(31) == pytest.approx(42 / 29)


def test_exclusive_labels_under_the_mean_logit_leave_the_loss():
    # One row, three classes present; the last pixel is labelled 2, which lies under the mean of its logits.
    logits = torch.tensor([[[[9.0, 0, 0, 3]], [[0.0, 9, 0, 3]], [[0.0, 0, 9, -3]]]])
    target, valid = torch.tensor([[[0, 1, 2, 2]]]), torch.ones(1, 1, 4, dtype=torch.bool)
    one = Batch(torch.zeros(1, 1, 1, 4), target, valid, ("a",), 20)
    x = logits.clone().requires_grad_()
    loss, _, state = ALONE.step(ALONE.init(facts(False)), one, [lambda image: x])
    (gradient,) = torch.autograd.grad(loss, x)
    assert not gradient[..., 3].any()
    assert gradient[..., 0].any()
    assert state["n_given"].tolist() == [1, 2]
    assert state["n_removed"].tolist() == [0, 1]


def test_the_mean_is_taken_among_the_labels_of_the_case():
    # No pixel is labelled 2. Its logit of -30 would drag the mean under that of the wrong label 1.
    logits = torch.tensor([[[[9.0, 0, 4]], [[0.0, 9, 1]], [[-30.0, -30, -30]]]])
    target, valid = torch.tensor([[[0, 1, 1]]]), torch.ones(1, 1, 3, dtype=torch.bool)
    one = Batch(torch.zeros(1, 1, 1, 3), target, valid, ("a",), 20)
    _, _, state = ALONE.step(ALONE.init(facts(False)), one, [lambda image: logits])
    assert state["n_removed"].tolist() == [1, 0]


@pytest.mark.parametrize("rule", ["mean_logit", "argmax"])
def test_overlapping_labels_leave_the_loss_class_by_class_where_the_prediction_disagrees(rule):
    one, logits = batch(True, epoch=20), drawn_logits(True).requires_grad_()
    method = dataclasses.replace(ALONE, rule=rule)
    loss, _, state = step(method, one, logits, True)
    (gradient,) = torch.autograd.grad(loss, logits)
    disagrees = (logits > 0) != (one.target > 0.5)
    out = disagrees | ~one.valid.unsqueeze(1)
    assert not gradient[out].any()
    assert gradient[~out].all()
    inside = (one.target > 0.5) & one.valid.unsqueeze(1)
    assert state["n_given"].tolist() == inside.sum((0, 2, 3)).tolist()
    assert state["n_removed"].tolist() == (inside & disagrees).sum((0, 2, 3)).tolist()


@KINDS
def test_a_class_that_the_network_has_not_learned_keeps_its_labels(overlapping):
    one = batch(overlapping, epoch=20)
    logits = drawn_logits(overlapping)
    logits[:, -1] = -20  # never the last class
    for least, removed in ((0.1, 0), (0.0, 1)):
        method = Cores(rule="argmax", min_kept=least, consistency=0.0)
        _, _, state = step(method, one, logits, overlapping)
        assert state["n_removed"][-1] == removed * state["n_given"][-1]
    assert state["n_removed"][0] > 0


class Net(torch.nn.Module):
    """One convolution; remembers what it was shown."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(1, channels, 3, padding=1)
        self.shown: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shown.append(image)
        return self.conv(image)


@KINDS
def test_consistency_is_asked_of_removed_pixels_and_only_once_the_sieve_is_on(overlapping):
    early, late = batch(overlapping, epoch=15), batch(overlapping, epoch=16)
    state = Cores(**PAPER).init(facts(overlapping))
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        net = Net(2 + (not overlapping))
        method = Cores(**PAPER | {"min_kept": 0.0}, consistency=weight)
        method.step(state, early, [net])
        assert len(net.shown) == 1
        loss, _, _ = method.step(state, late, [net])
        assert len(net.shown) == (3 if weight else 2)
        losses[weight] = float(loss.detach())
    assert losses[1.0] > losses[0.0]
    assert losses[2.0] - losses[0.0] == pytest.approx(2 * (losses[1.0] - losses[0.0]), rel=1e-4)
    assert 0.05 < float((net.shown[2] - late.image).std()) < 0.5


@KINDS
def test_consistency_asks_nothing_where_the_picture_is_not_perturbed_or_only_mirrored(overlapping):
    class Pointwise(torch.nn.Module):
        """A network that does not know where a pixel lies."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([image, -image, 2 * image][: 2 + (not overlapping)], dim=1)

    one = batch(overlapping, epoch=16)
    state = Cores(**PAPER).init(facts(overlapping))
    losses = [
        float(
            Cores(**PAPER | {"min_kept": 0.0}, perturb=0.0, consistency=weight, flip_axes=axes).step(
                state, one, [Pointwise()]
            )[0]
        )
        for weight, axes in ((0.0, ()), (1.0, ()), (1.0, (0, 1)))
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    assert losses[2] == pytest.approx(losses[0], abs=1e-6)


def test_the_second_pass_is_drawn_from_seed_epoch_and_cases():
    def shown(seed: int, one: Batch) -> torch.Tensor:
        net = Net(3)
        torch.manual_seed(int(np.random.default_rng().integers(1000)))
        Cores(**PAPER).step(Cores(**PAPER).init(dataclasses.replace(facts(False), seed=seed)), one, [net])
        return net.shown[1]

    one = batch(False, epoch=20)
    assert torch.equal(shown(0, one), shown(0, one))
    assert not torch.equal(shown(0, one), shown(1, one))
    assert not torch.equal(shown(0, one), shown(0, dataclasses.replace(one, epoch=21)))
    assert not torch.equal(shown(0, one), shown(0, dataclasses.replace(one, cases=("one", "three"))))


def test_counts_are_taken_out_after_an_epoch_and_become_shares():
    method = Cores(sieve_from=2)
    state = method.init(facts(True)) | {"n_given": np.array([10, 0]), "n_removed": np.array([3, 0])}
    early, wanted = method.epoch_end(state, 1)
    assert not wanted
    assert early["removed"] == []
    assert "epoch 3" in method.findings(early)[0]["why"]
    late, _ = method.epoch_end(state, 2)
    assert late["removed"] == [0.3, 0.0]
    assert not late["n_given"].any()
    rows = method.findings(late)
    assert [row["class"] for row in rows] == ["a", "b"]
    assert rows[0]["why"].startswith("30.0% of its pixels")


def labelled(array: list, overlapping: bool) -> LabelMap:
    labels = np.array(array, bool if overlapping else np.uint8)
    return LabelMap(
        labels, Grid(labels.shape[-2:], (1.0, 1.0)), ("a", "b"), ignore=None if overlapping else 255
    )


def test_sieved_labels_come_back_as_the_prediction_and_all_others_as_they_were():
    given = labelled([[0, 1, 2, 1, 2, 255]], overlapping=False)
    probs = np.array(
        [
            [[0.8, 0.1, 0.1, 0.8, 0.5, 0.9]],
            [[0.1, 0.8, 0.1, 0.1, 0.1, 0.05]],
            [[0.1, 0.1, 0.8, 0.1, 0.4, 0.05]],
        ]
    )
    # The fourth pixel is taken away; the fifth stays, for 0.4 is over the geometric mean of 0.5, 0.1 and 0.4.
    _, revisions = Cores(**PAPER).revise({}, [Predicted("x", given, given, probs.astype(np.float32))], [])
    (revised,) = revisions
    assert revised.labels.array.tolist() == [[0, 1, 2, 0, 2, 255]]
    assert revised.removed_vox == (1, 0)
    assert revised.reason == "the network speaks against 20.0% of the labels"
    assert revised.confidence == pytest.approx(0.9)
    _, revisions = Cores(rule="argmax").revise(
        {}, [Predicted("x", given, given, probs.astype(np.float32))], []
    )
    assert next(iter(revisions)).labels.array.tolist() == [[0, 1, 2, 0, 0, 255]]


def test_overlapping_labels_come_back_as_the_prediction_itself():
    given = labelled([[[1, 1, 0, 0]], [[1, 1, 1, 0]]], overlapping=True)
    probs = np.array([[[0.9, 0.4, 0.6, 0.1]], [[0.9, 0.9, 0.9, 0.0]]], np.float32)
    _, revisions = Cores(**PAPER).revise({}, [Predicted("x", given, given, probs)], [])
    (revised,) = revisions
    assert revised.labels.array.astype(int).tolist() == [[[1, 0, 1, 0]], [[1, 1, 1, 0]]]
    assert (revised.added_vox, revised.removed_vox) == ((1, 0), (1, 0))


@KINDS
def test_a_class_that_is_not_predicted_at_all_is_not_taken_from_the_labels(overlapping):
    if overlapping:
        given = labelled([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], True)
        probs = np.array([[[0.9, 0.9, 0.1, 0.1]], [[0.1, 0.1, 0.1, 0.1]]], np.float32)
    else:
        given = labelled([[0, 1, 2, 2]], False)
        probs = np.array(
            [[[0.9, 0.1, 0.9, 0.9]], [[0.06, 0.8, 0.06, 0.06]], [[0.04, 0.1, 0.04, 0.04]]], np.float32
        )
    cases = [Predicted("x", given, given, probs)]
    assert list(Cores(**PAPER).revise({}, cases, [])[1]) == []
    (revised,) = Cores(**PAPER | {"min_kept": 0.0}).revise({}, cases, [])[1]
    assert not revised.labels.masks()[1].any()


def test_pixel_shares_as_prior_are_refused_where_they_invert_and_used_where_they_do_not():
    with pytest.raises(ConfigError, match=r"beta 2 .* uniform prior, or a beta under 1\.11"):
        Cores(beta=2.0, prior="empirical").init(facts(True, (0.05,)))
    with pytest.raises(ConfigError, match="uniform prior"):
        Cores(beta=2.0, prior="empirical").init(facts(False, (0.05,)))
    Cores(beta=2.0).init(facts(False, (0.05,)))
    method = Cores(**PAPER, prior="empirical", base="ce", consistency=0.0)
    for overlapping, prior in ((False, [0.4, 0.3, 0.3]), (True, [0.3, 0.3])):
        one, logits = batch(overlapping, epoch=15), drawn_logits(overlapping)
        loss, _, _ = step(method, one, logits, overlapping)
        by_hand = confidence_regularised_loss(
            logits, one.target, beta=1.0, prior=torch.tensor(prior), valid=one.valid
        )
        assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prior": "present"},
        {"rule": "median"},
        {"base": "focal"},
        {"beta": -1.0},
        {"perturb": float("nan")},
        {"warm_up": 15},
        {"min_kept": 1.5},
        {"eps": 1.0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Cores(**wrong)
