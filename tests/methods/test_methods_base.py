import math

import numpy as np
import pytest

from labelmend.methods.base import Facts, Method, foreground_probs, hyper_parameters, revision
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.types import Grid, LabelMap, Predicted


def predicted(array, probs, spacing_mm=(1.0, 2.0), **more) -> Predicted:
    array = np.asarray(array)
    shape = array.shape[-2:]
    k = len(array) if array.dtype == bool else len(probs) - 1
    labels = LabelMap(array, Grid(shape, spacing_mm), tuple("abc"[:k]), **more)
    return Predicted("case", labels, labels, np.asarray(probs, np.float32))


def test_a_revision_counts_what_it_adds_and_removes_per_class():
    given = predicted(np.array([[[1, 1, 0, 0]], [[0, 0, 0, 1]]], bool), np.full((2, 1, 4), 0.5))
    masks = np.array([[[0, 1, 1, 1]], [[0, 0, 0, 1]]], bool)
    made = revision(given, masks, "because")
    assert made.case == "case"
    assert made.reason == "because"
    assert made.added_vox == (2, 0)
    assert made.removed_vox == (1, 0)


def test_a_revision_measures_its_displacement_outward_in_mm():
    given = predicted(np.array([[[0, 0, 1, 1, 1, 0, 0]]], bool), np.full((1, 1, 7), 0.5))
    made = revision(given, np.array([[[0, 1, 1, 1, 1, 1, 0]]], bool), "one voxel of 2 mm on either side")
    assert made.displacement_mm == (2.0,)


def test_a_boundary_that_is_not_there_has_no_displacement():
    given = predicted(np.zeros((1, 2, 3), bool), np.full((1, 2, 3), 0.5))
    made = revision(given, np.array([[[0, 1, 0], [0, 0, 0]]], bool), "new")
    assert math.isnan(made.displacement_mm[0])


def test_confidence_is_the_networks_agreement_where_something_changed():
    given = predicted(np.array([[[1, 0, 0, 0]]], bool), [[[0.9, 0.8, 0.7, 0.4]]])
    made = revision(given, np.array([[[1, 1, 1, 0]]], bool), "grown")
    assert made.confidence == pytest.approx((0.8 + 0.7) / 2)
    gone = revision(given, np.array([[[0, 0, 0, 0]]], bool), "taken away")
    assert gone.confidence == pytest.approx(1 - 0.9)


def test_a_revision_that_changes_nothing_is_sure():
    given = predicted(np.array([[[1, 0]]], bool), [[[0.1, 0.9]]])
    made = revision(given, given.given.masks(), "none")
    assert made.confidence == 1.0
    assert made.added_vox == made.removed_vox == (0,)


def test_ignored_pixels_stay_out_of_a_revision():
    given = predicted(np.array([[255, 1, 0]], np.uint8), np.full((2, 1, 3), 0.5), ignore=255)
    made = revision(given, np.array([[[1, 1, 1]]], bool), "all")
    assert made.labels.array.tolist() == [[255, 1, 1]]
    assert made.added_vox == (1,)


def test_probabilities_of_the_foreground_leave_out_the_background_of_exclusive_classes():
    exclusive = predicted(np.zeros((2, 2), np.uint8), np.arange(12).reshape(3, 2, 2) / 12)
    assert foreground_probs(exclusive.probs, exclusive.given).shape == (2, 2, 2)
    np.testing.assert_allclose(foreground_probs(exclusive.probs, exclusive.given)[0, 0, 0], 4 / 12)
    both = predicted(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2)))
    assert foreground_probs(both.probs, both.given) is both.probs


def test_a_method_without_verbs_of_its_own_holds_no_state_and_revises_nothing():
    facts = Facts(("a",), overlapping=True, ndim=2, n_cases=1, class_frequency=(0.1,))
    method = Method()
    assert method.init(facts) == {}
    state, revisions = method.revise({"x": 1}, [], [])
    assert (state, list(revisions)) == ({"x": 1}, [])


def test_hyper_parameters_are_the_fields_by_name():
    assert hyper_parameters(SpatialCorrection(gamma=0.5))["gamma"] == 0.5
    assert "needs" not in hyper_parameters(SpatialCorrection())


def test_a_revision_counts_a_class_of_value_0_first():
    given = predicted(np.array([[0, 0, 1, 1, 2]]), np.full((3, 1, 5), 0.5), background="road")
    made = revision(given, np.array([[[0, 1, 1, 1, 0]], [[0, 0, 0, 0, 0]]], bool), "moved")
    assert made.labels.array.tolist() == [[0, 1, 1, 1, 0]]
    assert (made.added_vox, made.removed_vox) == ((1, 1, 0), (1, 0, 1))  # road, a, b
    assert made.displacement_mm[1] == 1.0  # of the two ends of a, 2 mm apart, one moves by a pixel
