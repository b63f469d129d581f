"""A classifier of image-level tags: it learns, the same seed gives the same weights, and misfits are told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelmend.errors import ConfigError, GeometryError, LabelmendError
from labelmend.workflows.image_tags.train_classifier import fit_tags, mirrored


class Bright(nn.Module):
    """Logits from the mean of each channel; `wrapped` gives them as an attribute."""

    def __init__(self, k: int = 2, *, wrapped: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.head = nn.Linear(2, k)
        self.wrapped = wrapped
        self.batches: list[int] = []

    def forward(self, images):
        self.batches.append(len(images))
        logits = self.head(images.mean(dim=(2, 3)))
        return SimpleNamespace(logits=logits) if self.wrapped else logits


@pytest.fixture
def drawn(rng):
    """40 images of two channels; a class is there where its channel is bright."""
    tags = rng.random((40, 2)) < 0.5
    images = rng.normal(size=(40, 2, 4, 5)) + 2.0 * tags[:, :, None, None] - 1.0
    return [torch.from_numpy(image).float() for image in images], tags


def test_a_tag_that_follows_from_the_image_is_learned(drawn):
    images, tags = drawn
    history = fit_tags(Bright(), images, tags, epochs=30, learning_rate=0.1)
    assert len(history.loss) == len(history.accuracy) == 30
    assert history.loss[-1] < 0.2 < history.loss[0]
    assert min(history.accuracy[-1]) > 0.95


def test_the_loss_of_the_first_step_is_that_of_the_formula(drawn):
    images, tags = drawn
    model = Bright()
    with torch.no_grad():
        p = torch.sigmoid(model(torch.stack(images)))
    y = torch.from_numpy(tags).float()
    expected = float(-(y * p.log() + (1 - y) * (1 - p).log()).mean())
    history = fit_tags(model, images, tags, epochs=1, batch_size=40, flips=False)
    assert history.loss[0] == pytest.approx(expected, rel=1e-5)
    assert history.accuracy[0] == pytest.approx(((p > 0.5) == (y > 0)).float().mean(0).tolist())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(drawn):
    images, tags = drawn
    weights = []
    for seed in (0, 0, 1):
        model = Bright()
        fit_tags(model, images, tags, epochs=2, seed=seed)
        weights.append(model.head.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_global_generator_is_left_alone(drawn):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_tags(Bright(), *drawn, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_function_of_the_number_and_logits_in_an_attribute_serve_as_well(drawn):
    images, tags = drawn
    plain = fit_tags(Bright(), images, tags, epochs=2)
    assert fit_tags(Bright(wrapped=True), images.__getitem__, tags, epochs=2) == plain


def test_no_batch_is_left_with_a_single_image(drawn):
    images, tags = drawn
    model = Bright()
    fit_tags(model, images[:33], tags[:33], epochs=1, batch_size=16)
    assert model.batches == [11, 11, 11]


def test_epochs_are_told(drawn):
    seen = []
    history = fit_tags(Bright(), *drawn, epochs=3, progress=seen.append)
    assert [tick.done for tick in seen] == [1, 2, 3]
    assert [tick.text for tick in seen] == [f"loss {loss:.3f}" for loss in history.loss]


def test_mirrored_images_are_the_four_mirror_images_of_the_given_one():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    made = mirrored(image.repeat(64, 1, 1, 1), torch.Generator().manual_seed(0))
    found = {tuple(one.flatten().tolist()) for one in made}
    assert found == {(0, 1, 2, 3, 4, 5), (2, 1, 0, 5, 4, 3), (3, 4, 5, 0, 1, 2), (5, 4, 3, 2, 1, 0)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs and batch_size must be 1 or more, got 0"),
        ({"batch_size": 0}, "got 8 and 0"),
        ({"learning_rate": 0.0}, "learning_rate must lie in"),
        ({"learning_rate": float("nan")}, "learning_rate must lie in"),
    ],
)
def test_settings_that_make_no_sense_are_told(drawn, settings, words):
    with pytest.raises(ConfigError, match=words):
        fit_tags(Bright(), *drawn, **settings)


def test_data_that_do_not_fit_together_are_told(drawn):
    images, tags = drawn
    with pytest.raises(GeometryError, match="39 images but 40 rows"):
        fit_tags(Bright(), images[1:], tags)
    with pytest.raises(GeometryError, match=r"\(2, 3, 5\) and \(2, 4, 5\)"):
        fit_tags(Bright(), [images[0][:, :3], *images[1:]], tags)
    with pytest.raises(GeometryError, match=r"expected \(n k\)"):
        fit_tags(Bright(), images, tags[:, 0])
    with pytest.raises(ConfigError, match=r"logits of shape \(14, 3\), expected \(14, 2\)"):
        fit_tags(Bright(3), images, tags)


def test_a_loss_that_is_no_number_is_told(drawn):
    images, tags = drawn
    with pytest.raises(LabelmendError, match="the loss became nan in epoch 1"):
        fit_tags(Bright(), [image * np.nan for image in images], tags)
