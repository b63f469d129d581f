"""Which method is chosen on which symptom, and what it then does to the labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.methods.auto import Auto, wrong_inside, wrong_outside
from labelmend.methods.base import Batch, Facts, Method
from labelmend.methods.forward_t import ForwardT
from labelmend.methods.robust_loss import RobustLoss
from labelmend.types import Grid, LabelMap, Predicted

SHAPE = (40, 44)
FACTS = Facts(("a",), overlapping=True, ndim=2, n_cases=4, class_frequency=(0.2,))


def disc(radius: float) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return np.hypot(y - 20, x - 22) < radius


def case(name: str, given: np.ndarray, predicted: np.ndarray) -> Predicted:
    labels = LabelMap(given[None], Grid(SHAPE, (1.0, 1.0)), ("a",))
    return Predicted(name, labels, labels, np.where(predicted, 0.95, 0.05)[None].astype(np.float32))


def trained(wrong: float) -> dict:
    """A state after a first round in which a share of the surest foreground is given as background."""
    state = Auto().init(FACTS)
    state["transition"] = np.array([[[1.0, 0.0], [wrong, 1 - wrong]]])
    state["epochs"] = 10
    return state


def chosen(state: dict, clean: list[Predicted]) -> tuple[dict, list]:
    cases = [case("c1", disc(13), disc(13)), case("c2", disc(12), disc(12))]
    state, revisions = Auto().revise(state, iter(cases), iter(clean))
    return state, list(revisions)


TOO_LARGE = [case(f"t{r}", disc(r), disc(r + 3)) for r in (9, 10, 11)]
RIGHT = [case(f"t{r}", disc(r), disc(r)) for r in (9, 10, 11)]


def test_a_bias_on_trusted_cases_is_undone_by_spatial_correction() -> None:
    state, revisions = chosen(trained(0.0), TOO_LARGE)
    assert state["chosen"] == "spatial_correction"
    assert not Auto().finished(state)
    assert [r.case for r in revisions] == ["c1", "c2"]
    assert all(r.added_vox == (0,) and r.removed_vox[0] > 100 for r in revisions)


def test_labels_wrong_inside_come_first_where_both_symptoms_show() -> None:
    assert chosen(trained(0.3), TOO_LARGE)[0]["chosen"] == "forward_t"


def test_single_pixels_wrong_on_both_sides_average_out_and_leave_the_bias_to_be_undone() -> None:
    state = trained(0.2)
    state["transition"][0, 0] = [0.8, 0.2]
    assert chosen(state, TOO_LARGE)[0]["chosen"] == "spatial_correction"
    assert [chosen(state, clean)[0]["chosen"] for clean in ([], RIGHT)] == ["robust_loss"] * 2


def test_one_thin_class_of_three_does_not_decide() -> None:
    facts = Facts(("thin", "b", "c"), overlapping=True, ndim=2, n_cases=4, class_frequency=(0.1,) * 3)
    state = Auto().init(facts) | {"epochs": 10}
    state["transition"][0] = [[1.0, 0.0], [0.24, 0.76]]
    assert Auto().revise(state, iter(()), iter(()))[0]["chosen"] == "plain"


@pytest.mark.parametrize("clean", [[], RIGHT], ids=["no trusted case", "no bias on them"])
def test_labels_that_are_wrong_inside_go_to_forward_correction(clean: list[Predicted]) -> None:
    state, revisions = chosen(trained(0.3), clean)
    assert (state["chosen"], revisions) == ("forward_t", [])
    hole = disc(12) & ~disc(4)
    _, revisions = Auto().revise(state, iter([case("c", hole, disc(12))]), iter(()))
    (filled,) = revisions
    assert np.array_equal(filled.labels.array[0], disc(12))


@pytest.mark.parametrize("clean", [[], RIGHT], ids=["no trusted case", "no bias on them"])
def test_without_symptoms_the_labels_stay(clean: list[Predicted]) -> None:
    state, revisions = chosen(trained(0.04), clean)
    assert (state["chosen"], revisions) == ("plain", [])
    assert Auto().finished(state)
    assert list(Auto().revise(state, iter([case("c", disc(5), disc(12))]), iter(clean))[1]) == []


@pytest.mark.parametrize(
    ("state", "clean", "words"),
    [
        (trained(0.0), TOO_LARGE, "spatial_correction: "),
        (trained(0.3), [], "forward_t: 30.0% of its surest pixels are given wrong"),
        (trained(0.01), RIGHT, "plain: 1.0% of its surest pixels are given wrong; the bias is"),
    ],
)
def test_it_says_why(state: dict, clean: list[Predicted], words: str) -> None:
    (row,) = Auto().findings(chosen(state, clean)[0])
    assert row["class"] == "a"
    assert row["why"].startswith(words)


def test_the_second_round_trains_as_the_chosen_method_does() -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 1, 3, padding=1)
    target = torch.from_numpy(disc(12)[None, None]).float().repeat(2, 1, 1, 1)
    batch = Batch(torch.randn(2, 1, *SHAPE), target, torch.ones(2, *SHAPE, dtype=torch.bool), ("c1", "c2"))

    def loss(method: Method, state: dict) -> float:
        return float(method.step(state, batch, [net])[0].detach())

    plain = loss(Method(), {})
    for clean, wrong in ((TOO_LARGE, 0.0), (RIGHT, 0.0)):
        assert loss(Auto(), chosen(trained(wrong), clean)[0]) == plain
    state, _ = chosen(trained(0.3), [])
    assert loss(Auto(), state) == loss(ForwardT(), state) != plain
    batch = dataclasses.replace(batch, epoch=20)
    state = trained(0.2) | {"chosen": "robust_loss"}
    assert loss(Auto(), state) == loss(RobustLoss(loss="t_loss"), state) != plain


def test_the_first_round_is_plain_and_counts_anchors() -> None:
    net = torch.nn.Conv2d(1, 1, 3, padding=1)
    target = torch.zeros(1, 1, *SHAPE)
    batch = Batch(torch.randn(1, 1, *SHAPE), target, torch.ones(1, *SHAPE, dtype=torch.bool), ("c1",))
    state = Auto().init(FACTS)
    loss, _, after = Auto().step(state, batch, [net])
    assert float(loss.detach()) == float(Method().step({}, batch, [net])[0].detach())
    assert after["anchors"].sum() > state["anchors"].sum() == 0


def test_shares_of_exclusive_classes_leave_the_background_out() -> None:
    matrix = np.array([[[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]]])
    assert wrong_inside(matrix, 2) == [0.2, 0.0]
    assert wrong_outside(matrix, 2) == [0.3, 0.2]


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=f"wrong_inside must be in .* got {share}"):
        Auto(wrong_inside=share)
