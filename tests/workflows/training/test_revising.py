"""Labels go to a next version: not before a method has begun, nor by a network that knows nothing."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from drawn_data import QUICK, TRAINING, contents
from labelmend.errors import ConfigError
from labelmend.methods.auto import ROBUST, SPECKS, Auto
from labelmend.methods.base import Method, revision
from labelmend.methods.co_teaching import CoTeaching
from labelmend.methods.cores import Cores
from labelmend.methods.registry import METHODS
from labelmend.methods.robust_loss import RobustLoss
from labelmend.workflows.training.train import train

ASKING = QUICK | {"min_learned": 0.05, "average_shift": 0}


class Constant(nn.Module):
    """The same shape whatever the picture: a square in the middle, for all classes."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(out_channels))

    def forward(self, image):
        logits = torch.full_like(image[:, :1], -4.0)
        logits[..., 8:24, 8:24] = 4.0
        return logits * self.scale.abs().reshape(1, -1, 1, 1)


def go(data, out, **more):
    clean = {"clean": str(data / "trusted.txt"), "clean_labels": "clean"}
    return train(data, out=out, labels="given", **ASKING | clean | more)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_revises_by_a_network_that_predicts_one_shape(pictures, tmp_path, name):
    """Methods that begin late are let begin at once, so that only the network stands in the way."""
    method = METHODS[name]()
    if method.needs.lead_in:
        method = dataclasses.replace(method, **at_once(method))
    result = go(pictures, tmp_path / "run", method=method, network=Constant(2))
    assert contents(result.labels) == {
        key: value for key, value in contents(pictures / "given").items() if "c0" not in key
    }
    assert {row["version"] for row in result.summary["cases"]} == {0}


def at_once(method) -> dict:
    return {method.needs.lead_in: 0} | ({"warm_up": 0, "ramp_to": 1} if isinstance(method, Cores) else {})


LATE = [m for m in (METHODS[name]() for name in METHODS) if m.needs.lead_in]


@pytest.mark.parametrize("method", LATE, ids=lambda method: type(method).__name__)
def test_no_method_revises_before_it_has_begun_and_the_run_says_so(pictures, tmp_path, method):
    result = go(pictures, tmp_path / "run", method=method, min_learned=0.0)
    assert {row["version"] for row in result.summary["cases"]} == {0}
    (note,) = result.summary["notes"]
    assert f"begins after {method.lead_in({})} epochs" in note
    assert (
        f"that of epoch 2: no label was revised. Take more --epochs, or lower "
        f"--method.{method.needs.lead_in.replace('_', '-')}" in note
    )
    assert note in (result.folder / "report.html").read_text()


def test_these_methods_begin_late():
    assert {type(method) for method in LATE} == {CoTeaching, Cores, RobustLoss}
    assert Auto().lead_in({"chosen": SPECKS}) == ROBUST.warm_up
    assert Auto().lead_in({"chosen": ""}) == 0


@dataclasses.dataclass(frozen=True)
class Copies(Method):
    """Takes every prediction as the labels."""

    def revise(self, state, cases, clean):
        def one(case):
            return revision(case, case.probs > 0.5, "copied")

        return state, map(one, cases)


class Bright(nn.Module):
    """Finds the heart in every picture, by its truth; of the lung it knows a square."""

    def __init__(self, truth) -> None:
        super().__init__()
        self.truth, self.weight = truth, nn.Parameter(torch.ones(1))

    def forward(self, image):
        found = [min(self.truth, key=lambda one: float((one[0] - x[0]).abs().sum()))[1] for x in image]
        square = torch.zeros_like(image[:, 0])
        square[..., 8:24, 8:24] = 1.0
        return (torch.stack([torch.stack(found), square], dim=1) * 8 - 4) * self.weight


def test_a_class_that_was_learned_is_revised_and_one_that_was_not_stays(pictures, tmp_path):
    from labelmend.geometry.resample import normalise
    from labelmend.io import open_labels, read_image

    clean = open_labels(pictures / "clean")
    truth = [
        (
            normalise(torch.from_numpy(read_image(path).array).float())[0],
            torch.from_numpy(clean.read(path.stem).masks()[0]).float(),
        )
        for path in sorted((pictures / "images").glob("*.png"))
    ]
    result = go(
        pictures, tmp_path / "run", method=Copies(), network=Bright(truth), epochs=1, augment=_still()
    )
    new, given = open_labels(result.labels), open_labels(pictures / "given")
    for case in TRAINING:
        heart, lung = new.read(case).masks()
        np.testing.assert_array_equal(heart, clean.read(case).masks()[0])
        np.testing.assert_array_equal(lung, given.read(case).masks()[1])
    (note,) = result.summary["notes"]
    assert note.startswith(
        "Round 1: the network has not learned lung (agreement 0.00 above chance on 5 training cases,"
    )
    assert note.endswith("; 0.05 needed, see min_learned), so its labels stay as they are.")
    reasons = {row["reason"] for row in result.summary["cases"]}
    assert reasons == {"copied; lung kept, not learned"}


def _still():
    from labelmend.workflows.training.config import AugmentConfig

    return AugmentConfig(rotate_deg=0, scale=0, shift=0, intensity=0)


@pytest.mark.parametrize("wrong", [-0.1, 1.0, float("nan")])
def test_what_is_asked_must_be_possible(wrong, pictures, tmp_path):
    with pytest.raises(ConfigError, match=r"min_learned must be in \[0, 1\)"):
        go(pictures, tmp_path / "run", min_learned=wrong)


def test_findings_of_a_held_class_say_so_and_nothing_moves(pictures, tmp_path):
    result = go(pictures, tmp_path / "run", method="spatial_correction", network=Constant(2))
    for row in result.summary["rounds"][-1]["bias"]:
        assert row["moved"] is False
        assert row["why"].startswith("not learned (agreement 0.00 above chance")
    card = json.loads((result.folder / "model.json").read_text())
    assert card["correction"]["settings"] == {"undo": [None, None]}


@dataclasses.dataclass(frozen=True)
class Wavers(Method):
    """Takes predictions as the labels in the first round, and the given labels again in the second."""

    def revise(self, state, cases, clean):
        def one(case):
            again = state.get("again", False)
            return revision(case, case.given.masks() if again else ~case.given.masks(), "wavers")

        return {"again": True}, map(one, cases)


def test_labels_that_come_back_as_given_are_not_counted_as_corrected(pictures, tmp_path):
    result = go(pictures, tmp_path / "run", method=Wavers(), rounds=2, min_learned=0.0)
    assert [row["n_revised"] for row in result.summary["rounds"]] == [5, 5]
    assert {(row["version"], row["reason"]) for row in result.summary["cases"]} == {(0, "kept as given")}
