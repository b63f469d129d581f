"""The classifiers that others are measured against: a scikit-learn interface, and three ways to learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from labelmend.errors import ConfigError, LabelmendError
from labelmend.noise.class_flip import ClassFlipNoise
from labelmend.transition import symmetric_matrix
from labelmend.workflows.class_labels.baselines import (
    BaselineClassifier,
    NetworkClassifier,
    co_teaching_loss,
    default_network,
)

QUICK = {"epochs": 30, "hidden": (16,), "batch_size": 16, "random_state": 0}


def clouds(n: int = 300, k: int = 4, apart: float = 4.0, seed: int = 0):
    """Points around k corners of a square, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    corners = apart * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[:k]
    return (corners[labels] + rng.normal(scale=0.5, size=(n, 2))).astype(np.float32), labels


def flipped(labels: np.ndarray, rate: float) -> np.ndarray:
    noise = ClassFlipNoise(symmetric_matrix(int(labels.max()) + 1, rate))
    return noise.apply(labels, noise.draw(np.random.default_rng(1), labels))


# The array interface check asks for an environment variable of scipy and is skipped by scikit-learn itself.
@parametrize_with_checks([BaselineClassifier(epochs=40, hidden=(16,))])
def test_it_is_a_classifier_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


@pytest.mark.parametrize("strategy", ["ce", "gce", "co_teaching"])
def test_it_learns_names_of_classes_from_clean_labels(strategy):
    points, labels = clouds()
    names = np.array(["ant", "bee", "cat", "dog"])[labels]
    model = BaselineClassifier(strategy=strategy, noise_rate=0.1, **QUICK).fit(points, names)
    assert model.score(points, names) > 0.95
    probs = model.predict_proba(points)
    assert probs.shape == (300, 4)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (model.classes_[probs.argmax(axis=1)] == model.predict(points)).all()


@pytest.mark.parametrize("strategy", ["ce", "gce", "co_teaching"])
def test_the_same_random_state_gives_the_same_network_and_leaves_torch_alone(strategy):
    points, labels = clouds(80)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two = (
        BaselineClassifier(strategy=strategy, **QUICK | {"epochs": 3}).fit(points, labels) for _ in range(2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert (one.predict_proba(points) == two.predict_proba(points)).all()
    other = clone(one).set_params(random_state=1).fit(points, labels)
    assert (one.predict_proba(points) != other.predict_proba(points)).any()


@pytest.mark.parametrize("strategy", ["ce", "gce", "co_teaching"])
def test_wrong_labels_of_clouds_far_apart_are_marked(strategy):
    points, labels = clouds()
    given = flipped(labels, 0.3)
    wrong = given != labels
    model = BaselineClassifier(strategy=strategy, noise_rate=0.3, **QUICK).fit(points, given)
    assert wrong[model.noisy_mask_].mean() > 0.8  # co-teaching is told 30 %, and 25 % are wrong
    assert model.noisy_mask_[wrong].mean() > 0.9


def test_co_teaching_marks_the_share_it_was_told():
    points, labels = clouds(100)
    model = BaselineClassifier(strategy="co_teaching", noise_rate=0.23, **QUICK | {"epochs": 2})
    assert model.fit(points, labels).noisy_mask_.sum() == 23
    assert len(model.networks_) == 2


def test_each_network_of_co_teaching_learns_from_what_the_other_finds_easy():
    given = torch.tensor([0, 0])
    one = torch.tensor([[2.0, 0.0], [-1.0, 0.0]])  # finds the first case easy
    other = torch.tensor([[-2.0, 0.0], [3.0, 0.0]])  # finds the second case easy
    loss = co_teaching_loss(one, other, given, left_out=0.5)
    costs = [F.cross_entropy(x, given, reduction="none") for x in (one, other)]
    assert float(loss) == pytest.approx(float(costs[0][1] + costs[1][0]))
    all_of_them = co_teaching_loss(one, other, given, left_out=0.0)
    assert float(all_of_them) == pytest.approx(float(costs[0].mean() + costs[1].mean()))
    assert torch.isfinite(co_teaching_loss(one, other, given, left_out=0.99))


def test_images_go_through_convolutions():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    images = rng.normal(scale=0.3, size=(60, 3, 9, 7)) + labels[:, None, None, None]
    model = BaselineClassifier(**QUICK | {"epochs": 10}).fit(images, labels)
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in model.networks_[0])
    assert model.score(images, labels) > 0.95
    with pytest.raises(ValueError, match=r"cases of shape \(3, 9, 8\)"):
        model.predict(np.zeros((1, 3, 9, 8)))


def test_features_of_any_scale_are_learned_alike():
    points, labels = clouds()
    plain = BaselineClassifier(**QUICK).fit(points, labels)
    scaled = BaselineClassifier(**QUICK).fit(points * [1e-6, 1e5] + [7, -3], labels)
    assert plain.score(points, labels) == pytest.approx(
        scaled.score(points * [1e-6, 1e5] + [7, -3], labels), abs=0.02
    )
    constant = np.column_stack([points, np.full(len(points), 5.0)])
    assert np.isfinite(BaselineClassifier(**QUICK).fit(constant, labels).predict_proba(constant)).all()


def test_a_network_of_ones_own_is_asked_for_the_shape_and_the_number_of_classes():
    points, labels = clouds()
    asked = []

    def network(shape, n_classes):
        asked.append((shape, n_classes))
        return torch.nn.Linear(2, 4)

    model = BaselineClassifier(network=network, **QUICK).fit(points, labels)
    assert asked == [((2,), 4)]
    assert isinstance(model.networks_[0], torch.nn.Linear)


def test_the_default_network_has_the_layers_asked_for():
    widths = [p.shape for p in default_network((5,), 3, (8, 4)).parameters() if p.ndim == 2]
    assert widths == [(8, 5), (4, 8), (3, 4)]
    assert default_network((1, 8, 8), 3, ())(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_batches_hold_every_case_once_an_epoch_and_the_rate_falls_in_the_middle():
    model = NetworkClassifier(epochs=4, batch_size=3, learning_rate=0.5)
    weight = torch.nn.Linear(1, 1, bias=False)
    weight.weight.data.zero_()
    seen, values = [], []

    def step(epoch, rows):
        seen.append((epoch, rows.tolist()))
        values.append(float(weight.weight.detach()))
        return weight.weight.sum()  # its gradient is 1: each step takes the learning rate off

    model.run_epochs(step, [weight], 7, epochs=4, rate=lambda epoch: 1 / (1 + epoch))
    for epoch in range(4):
        assert sorted(n for e, rows in seen if e == epoch for n in rows) == list(range(7))
    steps = -np.diff([*values, float(weight.weight.detach())])
    np.testing.assert_allclose(steps, np.repeat([0.5, 0.25, 0.05 / 3, 0.05 / 4], 3), rtol=1e-4)


def test_a_loss_that_goes_to_infinity_is_named():
    with pytest.raises(LabelmendError, match="lower learning_rate"):
        NetworkClassifier(epochs=1).run_epochs(
            lambda epoch, rows: torch.tensor(float("nan"), requires_grad=True),
            [torch.nn.Linear(1, 1)],
            2,
            epochs=1,
        )


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"strategy": "mixup"}, "strategy"),
        ({"q": 0.0}, "q and"),
        ({"noise_rate": 1.0}, "noise_rate"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong, word):
    with pytest.raises(ConfigError, match=word):
        BaselineClassifier(**wrong).fit(*clouds(20))
