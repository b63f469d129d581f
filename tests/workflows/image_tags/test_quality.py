"""What a network knows of held-out images, with numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelmend.workflows.image_tags.quality import judge


class Fixed(nn.Module):
    """Maps `(b 2 1 2)` of two classes: what the two cells of an image hold, and the same negated."""

    layers = ("near", "far")

    def forward(self, images):
        assert not self.training
        maps = torch.cat([images, -images], dim=1)
        logits = maps.mean(dim=(2, 3))
        return SimpleNamespace(maps=maps, logits=logits, shares={"near": logits / 4, "far": 3 * logits / 4})


def material(cells: list[tuple[float, float]], tags: list[list[int]], held_out: list[int] | None = None):
    images = torch.tensor(cells).reshape(-1, 1, 1, 2)
    rows = np.arange(len(cells)) if held_out is None else np.array(held_out, int)
    table = SimpleNamespace(classes=("x", "y"), tags=np.array(tags, bool))
    return SimpleNamespace(held_out=rows, table=table, batch=lambda chosen: images[torch.from_numpy(chosen)])


def judged(*of, **more):
    return judge(Fixed(), material(*of, **more), 3, torch.device("cpu"))


WITH = [(4.0, 0.0), (4.0, 0.0), (4.0, 0.0), (4.0, 0.0), (0.0, -2.0)]
WITHOUT = [(1.0, -3.0), (1.0, -3.0), (0.0, -3.0), (0.0, -3.0), (1.0, 1.0)]
TAGS = [[1, 0]] * 5 + [[0, 1]] * 5


def test_accuracy_order_and_evidence_on_background_are_those_of_the_definition():
    x, y = judged(WITH + WITHOUT, TAGS)
    assert (x["n_held_out"], x["n_held_out_tagged"]) == (10, 5)
    assert x["accuracy"] == pytest.approx(0.8)  # the last image with x, and the last one without, are wrong
    assert x["commoner"] == 0.5
    # scores with: 2 2 2 2 -1; without: -1 -1 -1.5 -1.5 1. Of 25 pairs 20 and 2 are right, 2 are ties.
    assert x["auc"] == pytest.approx(23 / 25)
    # positive evidence a cell, with: 4 x 2 and 0; without: 0.5, 0.5, 0, 0 and 1.
    assert x["on_background"] == pytest.approx(0.4 / (0.4 + 1.6))
    assert x["shares"] == {"near": pytest.approx(1.4 / 4), "far": pytest.approx(3 * 1.4 / 4)}
    assert y["auc"] == pytest.approx(23 / 25)
    assert y["on_background"] == pytest.approx(0.2 / (0.2 + (4 * 1.5) / 5))


def test_only_held_out_images_count():
    x, _ = judged([*WITH, *WITHOUT, (9.0, 9.0)], [*TAGS, [0, 0]], held_out=list(range(10)))
    assert x["n_held_out"] == 10
    assert x["on_background"] == pytest.approx(0.2)


@pytest.mark.parametrize("n_with", [0, 4, 6, 10])
def test_fewer_than_five_images_of_a_kind_say_nothing(n_with):
    tags = [[1, 0]] * n_with + [[0, 1]] * (10 - n_with)
    for known in judged(WITH + WITHOUT, tags):
        assert known["n_held_out"] == 10
        assert [known[key] for key in ("accuracy", "commoner", "auc", "on_background", "shares")] == [
            None
        ] * 5


def test_maps_that_are_never_positive_have_no_share_of_evidence():
    x, y = judged([(-1.0, -1.0)] * 10, TAGS)
    assert x["on_background"] is None
    assert y["on_background"] == pytest.approx(0.5)
    assert x["auc"] == y["auc"] == 0.5


def test_without_held_out_images_nothing_is_known():
    assert judged(WITH, [[1, 0]] * 5, held_out=[])[0]["accuracy"] is None
