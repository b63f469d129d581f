"""What total variation keeps under wrong labels and KL does not; what bins and few rows do to a score."""

import math

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.transition.matrix import symmetric_matrix
from labelmend.workflows.class_labels.fmi import (
    f_information,
    f_mutual_information,
    feature_weights,
    variational_f_information,
)

DIVERGENCES = ("tv", "kl", "chi2", "js", "hellinger")

KL_PRIOR = np.array([0.664, 0.336])
KL_NOISE = np.array([[1 - 0.382, 0.382], [0.063, 1 - 0.063]])
KL_FEATURES = (
    np.array([[0.28, 0.98], [0.72, 0.02]]),
    np.array([[0.95, 0.29], [0.05, 0.71]]),
)
"""Two features, P(z | y): noise turns the order of their KL around."""

PAIR_NOISE = 0.7 * np.eye(4) + 0.3 * np.roll(np.eye(4), 1, axis=1)
PAIR_FEATURES = (
    np.array([[0.1, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1]]),
    np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]),
)
"""Two features, P(z | y): noise to the next class turns the order of their TV around."""


def random_joints(k: int, n: int = 40, bins: int = 6, seed: int = 0) -> np.ndarray:
    """`(n bins k)` joints of n features with the same labels, some cells empty."""
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.full(k, 2.0))
    given_class = rng.dirichlet(np.full(bins, 0.5), (n, k))
    given_class[rng.random(given_class.shape) < 0.1] = 0
    given_class /= given_class.sum(axis=2, keepdims=True)
    return given_class.transpose(0, 2, 1) * prior


def scores_of(joints, f: str) -> np.ndarray:
    return np.array([f_information(joint, f) for joint in joints])


# ---- divergences by hand ----


def test_a_feature_that_is_the_label():
    """P = (1/2, 1/2) on the diagonal, Q = 1/4 everywhere."""
    joint = [[0.5, 0], [0, 0.5]]
    assert f_information(joint, "tv") == pytest.approx(0.5)
    assert f_information(joint, "kl") == pytest.approx(math.log(2))
    assert f_information(joint, "chi2") == pytest.approx(4 * 0.25**2 / 0.25)
    assert f_information(joint, "hellinger") == pytest.approx(2 - 2 * 2 * math.sqrt(0.5 * 0.25))
    from_p, from_q = math.log(4 / 3), 0.5 * math.log(2 / 3) + 0.5 * math.log(2)  # middles 3/8 and 1/8
    assert f_information(joint, "js") == pytest.approx((from_p + from_q) / 2)


def test_total_variation_of_a_table_of_counts():
    """P = (4, 2, 1, 3) / 10, Q = (.6 .5, .6 .5, .4 .5, .4 .5): four differences of .1."""
    assert f_information([[4, 2], [1, 3]]) == pytest.approx(0.2)


@pytest.mark.parametrize("f", DIVERGENCES)
def test_the_variational_form_equals_the_closed_one(f):
    for k in (2, 3, 5):
        for joint in random_joints(k):
            assert variational_f_information(joint, f) == pytest.approx(f_information(joint, f), abs=1e-12)


@pytest.mark.parametrize("f", DIVERGENCES)
def test_a_feature_independent_of_the_label_says_nothing(f):
    product = np.outer([0.1, 0.2, 0.3, 0.4, 0], [0.25, 0.6, 0.15])
    assert f_information(product, f) == pytest.approx(0, abs=1e-15)
    assert variational_f_information(product, f) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("f", DIVERGENCES)
def test_no_information_is_negative_and_none_depends_on_the_order_of_bins_or_labels(f):
    rng = np.random.default_rng(3)
    for joint in random_joints(4):
        value = f_information(joint, f)
        assert value > 1e-3
        shuffled = joint[rng.permutation(6)][:, rng.permutation(4)]
        assert f_information(shuffled, f) == pytest.approx(value, abs=1e-12)
        assert f_information(joint.T, f) == pytest.approx(value, abs=1e-12)
        assert f_information(1000 * joint, f) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("f", DIVERGENCES)
def test_noise_takes_information_away_and_adds_none(f):
    noise = np.random.default_rng(4).dirichlet(np.ones(3), 3)
    for joint in random_joints(3):
        assert f_information(joint @ noise, f) < f_information(joint, f)


# ---- theorems of the paper, and where they end ----


@pytest.mark.parametrize(("e0", "e1"), [(0.4, 0.2), (0.382, 0.063), (0.0, 0.3), (0.7, 0.8), (0.5, 0.5)])
def test_wrong_labels_of_two_classes_scale_total_variation_by_one_factor(e0, e1):
    joints = random_joints(2)
    noise = np.array([[1 - e0, e0], [e1, 1 - e1]])
    clean, noisy = scores_of(joints, "tv"), scores_of(joints @ noise, "tv")
    np.testing.assert_allclose(noisy, abs(1 - e0 - e1) * clean, rtol=0, atol=1e-12)
    if abs(1 - e0 - e1) > 0:
        np.testing.assert_array_equal(noisy.argsort(), clean.argsort())


def test_wrong_labels_of_two_classes_scale_chi_squared_by_one_factor():
    joints = random_joints(2)
    prior = joints[0].sum(axis=0)
    noise = np.array([[0.6, 0.4], [0.2, 0.8]])
    noisy_prior = prior @ noise
    factor = 0.4**2 * prior.prod() / noisy_prior.prod()
    np.testing.assert_allclose(scores_of(joints @ noise, "chi2"), factor * scores_of(joints, "chi2"))


@pytest.mark.parametrize(("k", "rate"), [(2, 0.3), (3, 0.5), (4, 0.3), (10, 0.4), (4, 0.9)])
def test_symmetric_noise_scales_total_variation_by_one_factor(k, rate):
    joints = random_joints(k)
    clean, noisy = scores_of(joints, "tv"), scores_of(joints @ symmetric_matrix(k, rate), "tv")
    np.testing.assert_allclose(noisy, abs(1 - rate * k / (k - 1)) * clean, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(noisy.argsort(), clean.argsort())


def test_wrong_labels_turn_the_order_of_two_features_around_by_kl_and_not_by_total_variation():
    """KL .266 > .251 becomes .063 < .076; TV .312 > .294 becomes .173 > .163."""
    clean = [shares * KL_PRIOR for shares in KL_FEATURES]
    noisy = [joint @ KL_NOISE for joint in clean]
    np.testing.assert_allclose(scores_of(clean, "kl"), [0.26602, 0.25086], atol=1e-5)
    np.testing.assert_allclose(scores_of(noisy, "kl"), [0.06260, 0.07633], atol=1e-5)
    np.testing.assert_allclose(scores_of(clean, "tv"), [0.31235, 0.29450], atol=1e-5)
    np.testing.assert_allclose(scores_of(noisy, "tv"), [0.17335, 0.16345], atol=1e-5)


def test_noise_to_the_next_class_turns_the_order_around_by_total_variation_too():
    """TV is the mean distance of P(z | y) from 1/2: .4 and .5.

    Labels that came from the class before (.3) or their own (.7) have P(z | y) = (.34, .1, .66, .9) and
    (.3, .7, .3, .7): .28 and .2.
    """
    clean = [shares / 4 for shares in PAIR_FEATURES]
    noisy = [joint @ PAIR_NOISE for joint in clean]
    np.testing.assert_allclose(scores_of(clean, "tv"), [0.4, 0.5])
    np.testing.assert_allclose(scores_of(noisy, "tv"), [0.28, 0.2])


# ---- columns and bins ----


def test_columns_and_their_labels_by_hand():
    X = np.array([[0, 0, 5], [0, 1, 5], [1, 0, 5], [1, 1, 5]])
    np.testing.assert_allclose(f_mutual_information(X, [0, 0, 1, 1]), [0.5, 0, 0])
    np.testing.assert_allclose(f_mutual_information(X, [0, 0, 1, 1], f="kl"), [math.log(2), 0, 0])


@pytest.mark.parametrize("f", DIVERGENCES)
def test_many_columns_are_scored_as_one_table_each(f):
    rng = np.random.default_rng(5)
    X, y = rng.integers(0, 4, (200, 5)), rng.integers(0, 3, 200)
    tables = [[[np.sum((column == i) & (y == j)) for j in range(3)] for i in range(4)] for column in X.T]
    np.testing.assert_allclose(f_mutual_information(X, y, f=f), scores_of(tables, f), atol=1e-14)


def test_labels_may_be_strings_and_have_any_name():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
    expected = f_mutual_information(X, y)
    np.testing.assert_allclose(f_mutual_information(X, np.array(["heart", "lung", "clavicle"])[y]), expected)
    np.testing.assert_allclose(f_mutual_information(X, 7.5 - 10 * y), expected)
    np.testing.assert_allclose(f_mutual_information(X[:, ::-1], y), expected[::-1])


@pytest.mark.parametrize("bins", ["auto", 2, 63, "paper"])
@pytest.mark.parametrize("f", DIVERGENCES)
def test_a_constant_column_scores_exactly_0(bins, f):
    X = np.column_stack([np.full(90, 0.1), np.zeros(90), np.full(90, -1e6)])
    y = np.arange(90) % 7 % 3
    np.testing.assert_array_equal(f_mutual_information(X, y, f=f, bins=bins), 0)


def test_quantile_bins_hold_equally_many_rows():
    """Eight values, four bins of two: labels that agree within bins are told, others are not."""
    x = np.array([[1.0, 2, 3, 5, 8, 13, 21, 34]]).T
    continuous = np.array([False])
    within, across = [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]
    assert f_mutual_information(x, within, bins=4, discrete=continuous) == pytest.approx([0.5])
    assert f_mutual_information(x, across, bins=4, discrete=continuous) == pytest.approx([0])
    assert f_mutual_information(x, across, bins=8, discrete=continuous) == pytest.approx([0.5])
    assert f_mutual_information(x, across, bins=40, discrete=continuous) == pytest.approx([0.5])


def test_the_number_of_quantile_bins_grows_with_the_cube_root_of_the_rows():
    rng = np.random.default_rng(7)
    for n, bins in ((30, 4), (240, 6), (1000, 10)):
        X, y = rng.normal(size=(n, 3)), np.arange(n) % 2
        np.testing.assert_array_equal(f_mutual_information(X, y), f_mutual_information(X, y, bins=bins))


def test_a_rising_function_of_a_column_scores_the_same():
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(150, 4)), rng.integers(0, 2, 150)
    np.testing.assert_array_equal(f_mutual_information(X, y), f_mutual_information(np.exp(3 * X), y))


def test_twice_the_same_rows_score_the_same():
    rng = np.random.default_rng(9)
    X = np.column_stack([rng.normal(size=(67, 3)), rng.integers(0, 3, 67)])
    y = rng.integers(0, 2, 67)
    for settings in ({"bins": 5}, {"bins": 12}, {"bins": "paper", "clip": (0, 100)}):
        once = f_mutual_information(X, y, **settings)
        again = f_mutual_information(np.tile(X, (2, 1)), np.tile(y, 2), **settings)
        np.testing.assert_allclose(once, again, atol=1e-14)


def test_a_column_that_is_there_twice_scores_the_same_twice():
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=80), rng.integers(0, 2, 80)
    scores = f_mutual_information(
        np.column_stack([x, x]), y, correction="permutation", rng=np.random.default_rng(0)
    )
    assert scores[0] == scores[1]


def test_few_distinct_values_have_a_bin_each_whatever_they_are_called():
    rng = np.random.default_rng(11)
    codes, y = rng.integers(0, 20, 400), rng.integers(0, 2, 400)
    renamed = rng.permutation(20)[codes]
    alike = f_mutual_information(np.column_stack([codes, renamed]), y)
    assert alike[0] == pytest.approx(alike[1], abs=1e-14)
    as_numbers = f_mutual_information(np.column_stack([codes, renamed]), y, discrete=np.zeros(2, bool))
    assert as_numbers[0] != pytest.approx(as_numbers[1], abs=1e-3)


@pytest.mark.parametrize(
    ("values", "times", "is_discrete"), [(32, 5, True), (33, 5, False), (3, 4, False), (2, 1, True)]
)
def test_a_column_is_discrete_with_two_values_or_with_up_to_32_that_come_five_times(
    values, times, is_discrete
):
    """Alternating labels of successive values are told by a bin each, and not in full by quantiles."""
    x = np.repeat(np.arange(values), times)
    y = x % 2
    auto = f_mutual_information(x[:, None], y)
    stated = f_mutual_information(x[:, None], y, discrete=np.array([is_discrete]))
    assert auto == stated
    if values > 3:
        assert auto != f_mutual_information(x[:, None], y, discrete=np.array([not is_discrete]))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_of_most_rows_has_its_own_quantile_bin(sign):
    """90 zeros, and 30 different values above or below that come with label 1."""
    x = sign * np.concatenate([np.zeros(90), 1 + np.arange(30)])
    y = np.repeat([0, 1], [90, 30])
    assert f_mutual_information(x[:, None], y) == pytest.approx([2 * 0.75 * 0.25])


@pytest.mark.parametrize("correction", [None, "permutation"])
def test_a_rare_one_counts_unless_bins_are_the_papers(correction):
    """Four ones in 1000 rows, all of label 1: P - Q = .002 in four cells. Both percentiles are 0."""
    x = (np.arange(1000) < 4).astype(float)[:, None]
    y = np.arange(1000) < 500
    settings = {"correction": correction, "rng": np.random.default_rng(0)}
    assert f_mutual_information(x, y, bins="paper", **settings) == pytest.approx([0], abs=1e-12)
    rare = f_mutual_information(x, y, **settings)
    assert rare == pytest.approx([0.004]) if correction is None else 0.001 < rare[0] < 0.004


def test_bins_of_the_paper_are_63_of_equal_width_and_leave_outliers_out():
    """0 to 62 fall into a bin each; two far values, both of label 1, are left out or fill the ends."""
    x = np.concatenate([np.arange(63), [-1e9, 1e9]])[:, None]
    y = np.concatenate([np.arange(63) % 2, [1, 1]])
    inside = 2 * (32 / 63) * (31 / 63)  # a feature that is the label: 2 p (1 - p)
    assert f_mutual_information(x, y, bins="paper", clip=(100 / 64, 6300 / 64)) == pytest.approx([inside])
    at_ends = 2 * (2 / 65) * (32 / 65)  # the ends, both of label 1, against a bin with all else
    assert f_mutual_information(x, y, bins="paper", clip=(0, 100)) == pytest.approx([at_ends])


def test_bins_of_the_paper_may_leave_no_row():
    assert f_mutual_information([[0.0], [1.0]], [0, 1], bins="paper") == [0]


# ---- few rows ----


def test_columns_that_say_nothing_score_on_240_rows_unless_corrected():
    """The fact sheet measured .180 with the bins of the paper."""
    rng = np.random.default_rng(12)
    X, y = rng.normal(size=(240, 40)), rng.integers(0, 2, 240)
    paper = f_mutual_information(X, y, bins="paper").mean()
    auto = f_mutual_information(X, y).mean()
    assert paper == pytest.approx(0.18, abs=0.02)
    assert 0.02 < auto < paper / 2
    for bins in ("paper", "auto"):
        corrected = f_mutual_information(X, y, bins=bins, correction="permutation", rng=rng)
        assert corrected.mean() < 0.012
        assert (corrected == 0).sum() >= 10


def test_the_correction_leaves_a_column_that_says_much():
    rng = np.random.default_rng(13)
    y = np.arange(240) % 2
    X = np.column_stack([y + rng.normal(0, 0.1, 240), rng.normal(size=240)])
    corrected = f_mutual_information(X, y, correction="permutation", rng=rng)
    assert corrected[0] > 0.4
    assert corrected[1] < 0.05


def test_the_same_seed_gives_the_same_correction_and_inputs_stay():
    rng = np.random.default_rng(14)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    kept = X.copy(), y.copy()
    first, second = (
        f_mutual_information(X, y, correction="permutation", rng=np.random.default_rng(1)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])


# ---- what is refused ----

X4 = np.arange(8.0).reshape(4, 2)
Y4 = [0, 0, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_named(bad):
    X = X4.copy()
    X[2, 1] = bad
    with pytest.raises(LabelValueError, match="X must be finite, column 1 holds NaN or infinity"):
        f_mutual_information(X, Y4)


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (X4, [1, 1, 1, 1], LabelValueError, r"two classes or more, got \[1\]"),
        (np.zeros((0, 2)), [], LabelValueError, r"two classes or more, got \[\]"),
        (X4, [0, 1, np.nan, 1], LabelValueError, "y holds NaN"),
        (X4, np.array([0, "a", None, 1], object), LabelValueError, "labels of one kind expected"),
        (X4, [0, 1, 1], GeometryError, r"got shapes \(4, 2\) and \(3,\)"),
        (X4, np.zeros((4, 1)), GeometryError, r"got shapes \(4, 2\) and \(4, 1\)"),
        (X4[:, 0], Y4, GeometryError, r"got shapes \(4,\)"),
        (np.zeros((4, 0)), Y4, GeometryError, r"got shapes \(4, 0\)"),
        ([["a"], ["b"]], [0, 1], LabelValueError, "X must hold numbers"),
        ([[1.0], [1.0, 2.0]], [0, 1], LabelValueError, "X must hold numbers"),
    ],
)
def test_features_and_labels_that_cannot_be_used_are_refused(X, y, error, message):
    with pytest.raises(error, match=message):
        f_mutual_information(X, y)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"f": "reverse_kl"}, ConfigError, "f must be one of tv, kl, chi2, js, hellinger, got 'reverse_kl'"),
        ({"bins": 1}, ConfigError, "bins must be"),
        ({"bins": 2.5}, ConfigError, "bins must be"),
        ({"bins": True}, ConfigError, "bins must be"),
        ({"bins": "many"}, ConfigError, "bins must be"),
        ({"clip": (99.5, 0.5)}, ConfigError, "two rising percentiles"),
        ({"clip": (0, 101)}, ConfigError, "two rising percentiles"),
        ({"correction": "bonferroni"}, ConfigError, "correction must be"),
        ({"correction": "permutation"}, ConfigError, "pass rng"),
        ({"discrete": [0, 1]}, GeometryError, "discrete must be"),
        ({"discrete": np.array([True])}, GeometryError, "2 booleans, one a column"),
        ({"discrete": "none"}, GeometryError, "discrete must be"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        f_mutual_information(X4, Y4, **settings)


@pytest.mark.parametrize("function", [f_information, variational_f_information])
@pytest.mark.parametrize(
    ("joint", "f", "error"),
    [
        ([0.5, 0.5], "tv", GeometryError),
        ([[0.5, -0.5]], "tv", LabelValueError),
        ([[0.5, np.nan]], "tv", LabelValueError),
        ([[0, 0]], "tv", LabelValueError),
        ([[1, 1]], "TV", ConfigError),
    ],
)
def test_what_is_no_joint_table_is_refused(function, joint, f, error):
    with pytest.raises(error):
        function(joint, f)


# ---- weights ----


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("max", [0.25, 1, 0.04, 1]),
        ("sqrt", [0.5, 1, 0.2, 1]),
        ("rank", [2 / 3.5, 1, 1 / 3.5, 1]),
        ("none", [1, 1, 1, 1]),
        ("minmax", [0.21 / 0.96, 1, 0, 1]),
    ],
)
def test_weights_of_four_scores(scaling, expected):
    scores = 0.3 * np.array([0.25, 1, 0.04, 1])
    np.testing.assert_allclose(feature_weights(scores, scaling=scaling), expected, atol=1e-7)
    weights = feature_weights(scores, scaling=scaling, floor=0.3)
    np.testing.assert_allclose(weights, np.maximum(expected, 0.3), atol=1e-7)


def test_minmax_blanks_out_the_weaker_of_two_good_columns_and_max_does_not():
    assert feature_weights([0.4, 0.5], scaling="minmax")[0] < 1e-6
    assert feature_weights([0.4, 0.5])[0] == pytest.approx(0.8)


@pytest.mark.parametrize("scaling", ["minmax", "max", "rank", "sqrt", "none"])
@pytest.mark.parametrize("score", [0.0, 0.3])
def test_equal_scores_have_weight_1(scaling, score):
    np.testing.assert_array_equal(feature_weights(np.full(3, score), scaling=scaling), 1)


@pytest.mark.parametrize("scaling", ["max", "rank", "sqrt", "none"])
def test_weights_do_not_depend_on_the_unit_of_scores_and_keep_their_order(scaling):
    scores = np.random.default_rng(15).random(20)
    weights = feature_weights(scores, scaling=scaling, floor=0.1)
    np.testing.assert_allclose(feature_weights(50 * scores, scaling=scaling, floor=0.1), weights)
    assert weights.max() == 1
    assert weights.min() >= 0.1
    assert (np.diff(weights[scores.argsort()]) >= 0).all()


@pytest.mark.parametrize(
    ("scores", "settings", "error"),
    [
        ([], {}, GeometryError),
        ([[0.1]], {}, GeometryError),
        ([0.1, -0.1], {}, LabelValueError),
        ([0.1, np.nan], {}, LabelValueError),
        ([0.1], {"floor": 1.5}, ConfigError),
        ([0.1], {"floor": np.nan}, ConfigError),
        ([0.1], {"scaling": "softmax"}, ConfigError),
        ([0.0], {"scaling": "softmax"}, ConfigError),
    ],
)
def test_scores_that_cannot_be_used_are_refused(scores, settings, error):
    with pytest.raises(error):
        feature_weights(scores, **settings)
