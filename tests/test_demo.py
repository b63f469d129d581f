"""The demo, much smaller than it is: what it draws, what it scores, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelmend import demo as module
from labelmend.demo import DemoResult, demo, draw_data
from labelmend.io import open_dataset, open_labels, read_case_list
from labelmend.metrics import dice
from labelmend.phantom import PHANTOM_CLASSES


@pytest.fixture(scope="module")
def small():
    """A demo of few and small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SIZE_PX": 48, "N_TRAIN": 5, "N_TRUSTED": 2, "N_TEST": 2}.items():
            patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def out(small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(out) -> DemoResult:
    return demo(out, epochs=1)


@pytest.fixture(scope="module")
def data(result, out) -> Path:
    return out / "data"


def test_training_trusted_and_test_cases_are_different_ones(data):
    lists = [read_case_list(data / f"{name}.txt") for name in ("train", "trusted", "test")]
    assert [len(cases) for cases in lists] == [5, 2, 2]
    assert len(set().union(*lists)) == 9


def test_the_given_masks_are_drawn_too_generously(data):
    given, clean = open_labels(data / "given"), open_labels(data / "clean")
    assert given.classes == clean.classes == PHANTOM_CLASSES
    for case in given.cases:
        drawn, truth = given.read(case).masks(), clean.read(case).masks()
        assert (drawn.sum(axis=(1, 2)) > truth.sum(axis=(1, 2))).all()
        assert all(0.2 < dice(a, b) < 0.97 for a, b in zip(drawn, truth))


def test_every_picture_has_its_masks(data):
    assert len(open_dataset(data, "clean").cases) == len(open_dataset(data, "given").cases) == 9


def test_labels_and_networks_are_scored_per_class(result):
    assert set(result.label_dice) == set(result.test_dice) == set(PHANTOM_CLASSES)
    assert all(len(scores) == 2 and 0 < scores[0] < 1 for scores in result.label_dice.values())
    assert all(len(scores) == 3 for scores in result.test_dice.values())
    scores = np.array([*result.test_dice.values()])
    assert ((scores >= 0) & (scores <= 1)).all()


def test_only_training_cases_are_corrected(result, data):
    assert open_labels(result.run.labels).cases == tuple(sorted(read_case_list(data / "train.txt")))


def test_the_score_of_the_given_masks_is_their_mean_dice_to_the_truth(result, data):
    given, clean = open_labels(data / "given"), open_labels(data / "clean")
    cases = read_case_list(data / "train.txt")
    lung = PHANTOM_CLASSES.index("lung")
    expected = np.mean([dice(given.read(c).masks()[lung], clean.read(c).masks()[lung]) for c in cases])
    assert result.label_dice["lung"][0] == pytest.approx(expected)


def test_the_same_call_goes_on_from_what_is_there(result, out):
    seen: list[str] = []
    again = demo(out, epochs=1, progress=lambda tick: seen.append(tick.stage))
    assert again.label_dice == result.label_dice
    assert again.test_dice == result.test_dice
    assert seen
    assert not any("round" in stage for stage in seen)


def test_other_seeds_draw_other_pictures(small, data, tmp_path):
    other = draw_data(tmp_path / "data", seed=1)
    name = "images/case000.png"
    assert (other / name).read_bytes() != (data / name).read_bytes()
