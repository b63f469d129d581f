"""Which methods correct labels from probabilities alone, and what stands for the training they do without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from drawn_correct import BOLT, disc, likely, softmax
from labelmend.errors import CleanCasesError, ConfigError
from labelmend.methods.adele import Adele
from labelmend.methods.base import Facts, Known
from labelmend.methods.confident import Confident
from labelmend.methods.plain import Plain
from labelmend.methods.registry import METHODS
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.types import Grid, LabelMap, Predicted
from labelmend.workflows.correction.methods import (
    check_able,
    is_able,
    known_method,
    self_confidence,
    with_left_out,
)

ROW = Grid((1, 4), (1.0, 1.0))
NUT, SECOND = disc(7, (14, 14)), disc(6, (14, 34))
GRID = Grid(NUT.shape, (1.0, 1.0))


def facts(*classes: str, overlapping: bool = False) -> Facts:
    return Facts(classes, overlapping, 2, 1, (0.1,) * len(classes))


def known(confidence: np.ndarray | None = None, *classes: str, overlapping: bool = False) -> Known:
    shape = (len(classes), 2) if overlapping else (1, len(classes) + 1)
    return Known(
        facts(*classes, overlapping=overlapping),
        np.zeros((2, *shape)) if confidence is None else confidence,
    )


def exclusive(array: np.ndarray, *classes: str, **more: int) -> LabelMap:
    return LabelMap(array.astype(np.uint8), Grid(array.shape, (1.0, 1.0)), classes, **more)


def stream(*cases: Predicted) -> Iterator[Predicted]:
    yield from cases


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_other_method_is_refused_with_those_that_can(name: str) -> None:
    if is_able(METHODS[name]):
        check_able(METHODS[name](), trusted=True)
        return
    with pytest.raises(
        ConfigError, match=f"method {name} works while .* adele, confident, spatial_correction"
    ):
        check_able(METHODS[name](), trusted=True)


def test_a_method_that_needs_training_says_so_itself() -> None:
    with pytest.raises(ConfigError, match="Plain revises labels only while"):
        Plain().revise_from_probs(known(None, "a"), lambda: stream())


def test_a_method_that_needs_trusted_cases_asks_for_them() -> None:
    with pytest.raises(CleanCasesError, match="SpatialCorrection needs trusted cases: give --clean"):
        check_able(SpatialCorrection(), trusted=False)
    check_able(Adele(), trusted=False)
    with pytest.raises(CleanCasesError, match="none came"):
        SpatialCorrection().revise_from_probs(known(None, "a"), lambda: stream())


def test_self_confidence_is_summed_by_label_without_ignored_pixels() -> None:
    given = exclusive(np.array([[0, 1, 1, 9]]), "a", ignore=9)
    probs = np.array([[[0.75, 0.5, 0.25, 0.0]], [[0.25, 0.5, 0.75, 1.0]]], np.float32)
    np.testing.assert_allclose(self_confidence(given, probs), [[[0.75, 1.25]], [[1, 2]]])


def test_self_confidence_of_overlapping_classes_is_one_task_each() -> None:
    masks = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
    probs = np.array([[[0.5, 0.25, 0.25, 0.5]], [[0.0, 0.0, 0.25, 0.75]]], np.float32)
    found = self_confidence(LabelMap(masks, ROW, ("a", "b")), probs)
    np.testing.assert_allclose(found[0], [[0.75 + 0.75 + 0.5, 0.5], [1 + 1 + 0.75 + 0.25, 0]])
    np.testing.assert_array_equal(found[1], [[3, 1], [4, 0]])


def test_adele_corrects_all_classes_where_the_prediction_is_sure() -> None:
    given = exclusive(np.where(NUT | SECOND, 1, np.where(BOLT, 2, 0)), "nut", "bolt")
    probs = softmax(likely(NUT, 0.5), likely(BOLT | SECOND, 0.5))  # SECOND is a bolt
    rows, revisions = Adele().revise_from_probs(
        known(None, "nut", "bolt"), lambda: stream(Predicted("c", given, given, probs))
    )
    (revised,) = revisions
    sure = probs.max(axis=0) > 0.95
    assert (revised.labels.array[SECOND & sure] == 2).all()
    assert (revised.labels.array[SECOND & ~sure] == 1).all()
    np.testing.assert_array_equal(revised.labels.array[~SECOND], given.array[~SECOND])
    assert [row["class"] for row in rows] == ["nut", "bolt"]
    assert all("over 95% sure" in row["why"] for row in rows)


def test_adele_corrects_overlapping_classes_each_by_itself() -> None:
    given = LabelMap(np.stack([NUT | SECOND, BOLT]), GRID, ("nut", "bolt"))
    probs = np.stack([likely(NUT, 0.3), likely(BOLT, 0.3)])
    _, revisions = Adele(tau=0.8).revise_from_probs(
        known(None, "nut", "bolt", overlapping=True),
        lambda: stream(Predicted("c", given, given, probs)),
    )
    (revised,) = revisions
    assert not revised.labels.array[0][SECOND].any()


def test_confident_takes_its_thresholds_from_all_cases() -> None:
    """In this case alone pixels given as a show it with 0.3; over the data set the mean is 0.8."""
    given = exclusive(np.array([[0, 0, 1, 1]]), "a")
    probs = np.array([[[0.9, 0.4, 0.7, 0.7]], [[0.1, 0.6, 0.3, 0.3]]], np.float32)
    alone = self_confidence(given, probs)
    whole = np.array([[[9.0, 8.0]], [[10.0, 10.0]]])
    flagged = []
    for counts in (alone, whole):
        rows, revisions = Confident().revise_from_probs(
            known(counts, "a"), lambda: stream(Predicted("c", given, given, probs))
        )
        flagged.append(
            [revised.left_out.astype(int).tolist() for revised in revisions if revised.left_out is not None]
        )
    assert flagged == [[[[0, 1, 1, 1]]], []]
    assert rows[0]["threshold"] == 0.8


def test_left_out_pixels_get_the_value_to_ignore() -> None:
    given = exclusive(np.array([[0, 0, 1, 1]]), "a")
    probs = np.array([[[0.9, 0.1, 0.1, 0.1]], [[0.1, 0.9, 0.9, 0.9]]], np.float32)
    _, revisions = Confident().revise_from_probs(
        known(self_confidence(given, probs), "a"),
        lambda: stream(Predicted("c", given, given, probs)),
    )
    (revised,) = revisions
    assert with_left_out(revised, 9).array.tolist() == [[0, 9, 1, 1]]
    assert revised.labels.array.tolist() == [[0, 1, 1, 1]]


def test_a_method_is_known_by_its_name_and_comes_back_as_it_is() -> None:
    own = Confident()
    assert known_method(own) is own
    assert known_method("confident") == Confident()
    with pytest.raises(ConfigError, match="no method called 'guess': choose from adele, "):
        known_method("guess")
