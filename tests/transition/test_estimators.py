"""The estimators: scikit-learn's rules, pipelines and searches, what fit leaves, and bad input."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from labelmend.errors import ConfigError, LabelmendError, LabelValueError
from labelmend.transition.estimators import (
    AnchorEstimator,
    FMIFeatureWeighter,
    HOCEstimator,
    LocalHOC,
    TransitionEstimator,
    WeightedAnchor,
    WeightedHOC,
)
from labelmend.transition.matrix import transition_error
from labelmend.transition.posterior import drawn_classes

MATRIX = np.array([[0.8, 0.15, 0.05], [0.05, 0.7, 0.25], [0.1, 0.1, 0.8]])
QUICK = {
    HOCEstimator: {"n_init": 1, "n_null": 0, "metric": "euclidean"},
    AnchorEstimator: {},
    WeightedHOC: {"n_init": 1, "n_null": 0, "metric": "euclidean"},
    WeightedAnchor: {},
    LocalHOC: {"n_init": 1, "n_null": 0, "metric": "euclidean", "n_local": 100, "n_centres": 3},
}
EVERY = pytest.mark.parametrize("kind", QUICK, ids=lambda kind: kind.__name__)


def made(kind: type, **settings) -> TransitionEstimator:
    return kind(**QUICK[kind] | {"random_state": 0} | settings)


def clouds(n: int = 900, seed: int = 0, apart: float = 12.0):
    """Points around three corners, their true and their given classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n)
    corners = apart * np.array([[0, 0], [1, 0], [0, 1]])
    return rng.normal(size=(n, 2)) + corners[classes], classes, drawn_classes(MATRIX[classes], rng)


# Data of the checks are random: HOC may well warn. scikit-learn itself skips the array interface check.
@pytest.mark.filterwarnings("ignore:neighbours do not share:UserWarning")
@parametrize_with_checks(
    [
        HOCEstimator(n_init=1, n_null=2),
        AnchorEstimator(n_neighbors=4),
        WeightedHOC(n_init=1, n_null=2),
        WeightedAnchor(n_neighbors=4, basis="whiten"),
        LocalHOC(n_init=1, n_null=2, n_local=5, n_centres=2),
        FMIFeatureWeighter(),
        FMIFeatureWeighter(basis="whiten"),
    ]
)
def test_it_is_an_estimator_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


@EVERY
def test_it_finds_the_matrix_of_named_classes_and_says_which_labels_are_wrong(kind):
    points, classes, given = clouds(2000)
    names = np.array(["ant", "bee", "cat"])
    model = made(kind).fit(points, names[given])
    assert model.classes_.tolist() == names.tolist()
    assert transition_error(MATRIX, model.transition_matrix_) < 0.06
    np.testing.assert_allclose(model.prior_, np.bincount(classes) / 2000, atol=0.1)
    np.testing.assert_allclose(model.noise_rates_, 1 - np.diag(model.transition_matrix_))
    assert model.noise_rate_ == pytest.approx(model.prior_ @ model.noise_rates_)
    assert model.n_features_in_ == 2
    wrong = given != classes
    assert (wrong == (model.given_probability_ < 0.5)).mean() > 0.95
    assert (model.class_probability_.argmax(axis=1) == classes).mean() > 0.95
    np.testing.assert_allclose(model.class_probability_.sum(axis=1), 1)


@EVERY
def test_the_same_seed_gives_the_same_and_nothing_given_is_changed(kind):
    points, _, given = clouds(300)
    points[:50] = points[50:100]  # duplicates: ties are drawn
    before = points.copy(), given.copy()
    one, two = (clone(made(kind)).fit(points, given) for _ in range(2))
    np.testing.assert_array_equal(one.transition_matrix_, two.transition_matrix_)
    np.testing.assert_array_equal(one.given_probability_, two.given_probability_)
    np.testing.assert_array_equal(points, before[0])
    np.testing.assert_array_equal(given, before[1])


@EVERY
def test_constant_columns_and_rows_all_alike_are_no_trouble(kind):
    points, _, given = clouds(300)
    wide = np.column_stack([points, np.full(300, 7.0), np.zeros(300)])
    assert np.isfinite(made(kind).fit(wide, given).transition_matrix_).all()
    assert np.isfinite(made(kind).fit(np.ones((300, 2)), given).transition_matrix_).all()


@EVERY
def test_it_is_the_last_step_of_a_pipeline_and_groups_go_through(kind):
    points, _, given = clouds(400)
    groups = np.repeat(np.arange(40), 10)
    pipe = make_pipeline(StandardScaler(), made(kind))
    pipe.fit(points, given, **{f"{kind.__name__.lower()}__groups": groups})
    alone = made(kind).fit(StandardScaler().fit_transform(points), given, groups=groups)
    np.testing.assert_array_equal(pipe[-1].transition_matrix_, alone.transition_matrix_)
    assert np.isfinite(pipe.score(points, given))


@EVERY
def test_it_can_be_searched_over(kind):
    points, _, given = clouds(450)
    model = GridSearchCV(made(kind), {"metric": ["euclidean", "cosine"]}, cv=3).fit(points, given)
    assert np.isfinite(model.cv_results_["mean_test_score"]).all()
    assert model.best_estimator_.transition_matrix_.shape == (3, 3)
    if not kind.__name__.startswith(
        "Weighted"
    ):  # these look from the middle, where angles tell the clouds apart
        assert model.best_params_ == {"metric": "euclidean"}


def test_groups_are_routed_where_scikit_learn_is_told_to():
    points, _, given = clouds(300)
    groups = np.repeat(np.arange(30), 10)
    with sklearn.config_context(enable_metadata_routing=True):
        model = made(HOCEstimator).set_fit_request(groups=True).set_score_request(groups=True)
        search = GridSearchCV(model, {"n_init": [1, 2]}, cv=3).fit(points, given, groups=groups)
    assert np.isfinite(search.best_score_)


def test_the_score_tells_features_that_say_something_from_those_that_do_not():
    points, _, given = clouds(600)
    noise = np.random.default_rng(0).normal(size=(600, 2))
    for kind in (HOCEstimator, AnchorEstimator):
        good, bad = made(kind).fit(points, given), made(kind).fit(noise, given)
        assert good.score(points, given) > bad.score(noise, given) + 0.1


@pytest.mark.parametrize(("kind", "spread"), [(HOCEstimator, 0.25), (WeightedAnchor, 0.25)])
def test_intervals_hold_the_estimate_and_mostly_the_truth(kind, spread):
    held = []
    for seed in range(4):
        points, _, given = clouds(600, seed)
        model = made(kind, n_boot=30).fit(points, given)
        low, high = model.matrix_low_, model.matrix_high_
        assert model.bootstrap_.shape == (30, 3, 3)
        assert (low <= model.transition_matrix_ + 1e-9).all()
        assert (high >= model.transition_matrix_ - 1e-9).all()
        assert 0.01 < np.mean(high - low) < spread
        held.append((low <= MATRIX) & (high >= MATRIX))
    assert np.mean(held) > 0.75


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


def test_columns_are_weighted_by_what_they_say():
    points, _, given = clouds(600)
    wide = np.column_stack([points, np.random.default_rng(0).normal(size=(600, 4)), np.full(600, 3.0)])
    weighter = FMIFeatureWeighter().fit(wide, given)
    assert weighter.weights_.max() == 1
    assert weighter.weights_[2:6].max() < 0.5 < weighter.weights_[:2].min()
    assert weighter.weights_[6] == 0
    out = weighter.transform(wide)
    np.testing.assert_allclose(out[:, :6].std(axis=0), weighter.weights_[:6])
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-9)
    scaled = FMIFeatureWeighter().fit(1000 * wide + 5, given)
    np.testing.assert_allclose(scaled.weights_, weighter.weights_)
    assert FMIFeatureWeighter(floor=0.4).fit(wide, given).weights_.min() == 0.4
    rng_free = FMIFeatureWeighter(correction="permutation", random_state=0).fit(wide, given)
    assert rng_free.scores_[2:6].max() < weighter.scores_[2:6].max()


def test_whitening_gives_components_of_variance_one_and_drops_what_repeats():
    rng = np.random.default_rng(0)
    points, _, given = clouds(600)
    doubled = np.column_stack([points @ rng.normal(size=(2, 2)), points[:, 0]])
    weighter = FMIFeatureWeighter(basis="whiten", scaling="none").fit(doubled, given)
    out = weighter.transform(doubled)
    np.testing.assert_allclose(np.cov(out.T, bias=True), np.diag([1, 1, 0]), atol=1e-8)
    assert weighter.get_feature_names_out().tolist() == ["component0", "component1", "component2"]
    assert FMIFeatureWeighter().fit(doubled, given).get_feature_names_out().tolist() == ["x0", "x1", "x2"]


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


@EVERY
def test_input_that_cannot_be_used_is_named(kind):
    points, _, given = clouds(300)
    with pytest.raises(TypeError, match="toarray"):
        made(kind).fit(sparse.csr_array(points), given)
    hole = points.copy()
    hole[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        made(kind).fit(hole, given)
    with pytest.raises(LabelValueError, match="two classes or more"):
        made(kind).fit(points, np.zeros(300, int))
    with pytest.raises(ValueError, match="continuous"):
        made(kind).fit(points, points[:, 0])
    with pytest.raises(ConfigError, match="neighbours asked for"):
        made(kind).fit(points[:2], [0, 1])
    with pytest.raises(ConfigError, match="of other groups"):
        made(kind).fit(points, given, groups=np.zeros(300))
    model = made(kind).fit(points, given)
    with pytest.raises(LabelValueError, match=r"\[0, 1, 2\] expected"):
        model.score(points, np.where(given == 2, 9, given))


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
        "import sys, labelmend.transition as t\n"
        "assert not {'sklearn', 'torch'} & set(sys.modules)\n"
        "assert t.HOCEstimator.__name__ == 'HOCEstimator' and 'sklearn' in sys.modules\n"
        "assert set(t.__all__) <= set(dir(t))\n"
        "assert not hasattr(t, 'no_such_name')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
