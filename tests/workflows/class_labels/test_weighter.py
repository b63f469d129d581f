"""The weighter of columns: scikit-learn's rules, weights by what columns say, whitening, and bad settings."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from drawn_clouds import clouds
from labelmend.errors import LabelmendError
from labelmend.workflows.class_labels.weighter import FMIFeatureWeighter


@parametrize_with_checks([FMIFeatureWeighter(), FMIFeatureWeighter(basis="whiten")])
def test_it_is_a_transformer_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


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


@pytest.mark.parametrize(
    ("wrong", "word"), [({"basis": "pca"}, "basis"), ({"f": "wasserstein"}, "tv"), ({"floor": 2.0}, "floor")]
)
def test_settings_that_make_no_sense_are_refused(wrong, word):
    points, _, given = clouds(60)
    with pytest.raises(LabelmendError, match=word):
        FMIFeatureWeighter(**wrong).fit(points, given)
