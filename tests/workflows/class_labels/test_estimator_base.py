"""What all estimators share: pipelines and searches, what fit leaves, groups, and bad input."""

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drawn_clouds import EVERY, MATRIX, clouds, made
from labelmend.errors import ConfigError, LabelValueError
from labelmend.transition.matrix import transition_error
from labelmend.workflows.class_labels.estimator_base import AnchorRule, HocRule
from labelmend.workflows.class_labels.estimators import AnchorEstimator, HOCEstimator, WeightedAnchor


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


def by_authors(seed: int = 0, n_authors: int = 300, a_row: int = 5):
    """Rows of one author are nearly copies, and with probability 0.3 the author is wrong on all of them."""
    rng = np.random.default_rng(seed)
    classes, errs = rng.integers(0, 2, n_authors), rng.random(n_authors) < 0.3
    points = rng.normal(size=(n_authors, 2)) + 20 * classes[:, None]
    authors = np.repeat(np.arange(n_authors), a_row)
    near = points[authors] + 1e-3 * rng.normal(size=(len(authors), 2))
    return near, np.where(errs, 1 - classes, classes)[authors], authors, errs.mean()


@pytest.mark.parametrize("seed", range(3))
def test_an_author_wrong_on_all_of_their_rows_is_found_by_authors_only(seed):
    points, given, authors, wrong = by_authors(seed)
    apart = made(HOCEstimator).fit(points, given, groups=authors)
    alone = made(HOCEstimator).fit(points, given)
    assert apart.noise_rate_ == pytest.approx(wrong, abs=0.06)
    assert alone.noise_rate_ < 0.02


def test_neighbours_are_as_many_as_there_are_other_groups():
    rule = HocRule(n_init=1, n_neighbors=49, n_null=0)
    assert [rule.wanted(n, left) for n, left in ((2000, 1999), (400, 399), (100, 99))] == [49, 20, 10]
    assert [rule.wanted(2000, left) for left in (30, 2, 1)] == [30, 2, 2]
    assert AnchorRule(n_neighbors=30, alpha=0.03).wanted(2000, 10) == 30
    points, given, authors, _ = by_authors(n_authors=90)
    model = made(HOCEstimator).fit(points, given, groups=authors % 3)  # two others, and no error
    assert np.isfinite(model.noise_rate_)
    with pytest.raises(ConfigError, match="needs 2 other groups, there are 1"):
        made(HOCEstimator).fit(points, given, groups=authors % 2)
    with pytest.raises(ConfigError, match="needs 30 other groups, there are 29"):
        made(AnchorEstimator).fit(points, given, groups=authors % 30)


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
    with pytest.raises(ConfigError, match="other groups, there are 0"):
        made(kind).fit(points, given, groups=np.zeros(300))
    model = made(kind).fit(points, given)
    with pytest.raises(LabelValueError, match=r"\[0, 1, 2\] expected"):
        model.score(points, np.where(given == 2, 9, given))
