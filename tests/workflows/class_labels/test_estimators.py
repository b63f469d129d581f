"""Each of the estimators: scikit-learn's rules, what it is made of, when it warns, and bad settings."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from drawn_clouds import clouds, made
from labelmend.errors import ConfigError, LabelmendError
from labelmend.workflows.class_labels.estimators import (
    AnchorEstimator,
    HOCEstimator,
    LocalHOC,
    WeightedAnchor,
    WeightedHOC,
)
from labelmend.workflows.class_labels.weighter import FMIFeatureWeighter


# Data of the checks are random: HOC may well warn. scikit-learn itself skips the array interface check.
@pytest.mark.filterwarnings("ignore:neighbours do not share:UserWarning")
@parametrize_with_checks(
    [
        HOCEstimator(n_init=1, n_null=2),
        AnchorEstimator(n_neighbors=4),
        WeightedHOC(n_init=1, n_null=2),
        WeightedAnchor(n_neighbors=4, basis="whiten"),
        LocalHOC(n_init=1, n_null=2, n_local=5, n_centres=2),
    ]
)
def test_it_is_an_estimator_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


def test_hoc_warns_of_classes_that_overlap_and_not_of_others():
    points, _, given = clouds(3000, apart=2.5)
    model = HOCEstimator(metric="euclidean", n_init=1, random_state=0)
    with pytest.warns(UserWarning, match=r"neighbours do not share .* \(p 0.05\). Take AnchorEstimator"):
        model.fit(points, given)
    assert model.clusterability_.doubtful
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points, _, given = clouds(1000)
        model = HOCEstimator(metric="euclidean", n_init=1, random_state=0).fit(points, given)
    assert not model.clusterability_.doubtful


@pytest.mark.parametrize("kinds", [(WeightedHOC, HOCEstimator), (WeightedAnchor, AnchorEstimator)])
def test_a_weighted_estimator_is_a_weighter_and_an_estimator(kinds):
    points, _, given = clouds(400)
    wide = np.column_stack([points, np.random.default_rng(0).normal(size=(400, 3))])
    whole = made(kinds[0], f="kl", basis="whiten", floor=0.1).fit(wide, given)
    weighter = FMIFeatureWeighter(f="kl", basis="whiten", floor=0.1)
    parts = made(kinds[1]).fit(weighter.fit_transform(wide, given), given)
    np.testing.assert_array_equal(whole.transition_matrix_, parts.transition_matrix_)
    np.testing.assert_array_equal(whole.feature_weights_, weighter.weights_)
    np.testing.assert_array_equal(whole.feature_scores_, weighter.scores_)
    assert whole.score(wide, given) == parts.score(weighter.transform(wide), given)


def test_every_row_has_a_local_matrix_or_that_for_all():
    points, _, given = clouds(400)
    model = made(LocalHOC).fit(points, given)
    assert model.transition_matrices_.shape == (3, 3, 3)
    assert model.assignment_.shape == (400,)
    assert model.assignment_.min() == -1
    assert model.assignment_.max() == 2
    plain = made(HOCEstimator).fit(points, given)
    np.testing.assert_array_equal(model.transition_matrix_, plain.transition_matrix_)


def test_fewer_rows_than_neighbours_or_than_a_centre_covers_is_an_error():
    points, _, given = clouds(30)
    with pytest.raises(ConfigError, match="30 neighbours asked for, but 30 rows leave 29"):
        AnchorEstimator().fit(points, given)
    with pytest.raises(ConfigError, match="249 neighbours asked for"):
        LocalHOC(n_null=0).fit(points, given)


@pytest.mark.parametrize(
    ("kind", "wrong", "word"),
    [
        (HOCEstimator, {"n_init": 0}, "n_init"),
        (HOCEstimator, {"metric": "city"}, "metric"),
        (HOCEstimator, {"backend": "none"}, "backend"),
        (HOCEstimator, {"n_boot": -1}, "n_boot"),
        (AnchorEstimator, {"alpha": 0.7}, "alpha"),
        (AnchorEstimator, {"n_neighbors": 0}, "neighbours must be 1"),
        (WeightedHOC, {"basis": "pca"}, "basis"),
        (WeightedHOC, {"f": "wasserstein"}, "tv"),
        (WeightedAnchor, {"floor": 2.0}, "floor"),
        (LocalHOC, {"n_centres": 0}, "n_centres"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind, wrong, word):
    points, _, given = clouds(120)
    with pytest.raises(LabelmendError, match=word):
        made(kind, **wrong).fit(points, given)


def test_the_package_needs_no_scikit_learn_until_an_estimator_is_asked_for():
    code = (
        "import sys, labelmend.workflows.class_labels as t\n"
        "assert not {'sklearn', 'torch'} & set(sys.modules)\n"
        "assert t.HOCEstimator.__name__ == 'HOCEstimator' and 'sklearn' in sys.modules\n"
        "assert t.FMIFeatureWeighter.__name__ == 'FMIFeatureWeighter'\n"
        "assert set(t.__all__) <= set(dir(t))\n"
        "assert not hasattr(t, 'no_such_name')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
