"""Gated maps and seeds worked out by hand; what no map and no threshold can do."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.losses import dice_ce_loss
from labelmend.workflows.image_tags.seeds import IGNORE, gated, min_variance_threshold, seeds

CONFLICTS = ("argmax", "ignore", "smaller")

TWO = np.array(
    [
        [[1.0, 0.8, 0.6, 0.4, 0.0, 0.0]],
        [[0.0, 0.0, 0.7, 1.0, 0.2, 0.05]],
    ]
)
"""Two classes on six pixels; both reach 0.3 on the third and the fourth, the second class on fewer pixels."""


def drawn_maps(rng, k=4, space=(6, 7)):
    return rng.normal(size=(k, *space)).astype(np.float32)


# ---- gating ----


def test_a_tagged_map_is_cut_at_zero_and_divided_by_its_maximum():
    maps = [[[4.0, 2.0], [-3.0, 0.0]], [[0.25, 0.5], [0.0, 0.5]]]
    np.testing.assert_array_equal(gated(maps, [1, 1]), [[[1, 0.5], [0, 0]], [[0.5, 1], [0, 1]]])


def test_a_class_not_tagged_is_exactly_zero_however_large_its_map_is(rng):
    maps = drawn_maps(rng) + 100
    scores = gated(maps, [True, False, True, False])
    assert not scores[[1, 3]].any()
    np.testing.assert_array_equal(scores[[0, 2]].max(axis=(1, 2)), [1, 1])


def test_an_absent_class_is_not_stretched_as_min_max_of_the_image_would():
    maps = np.array([[[0.001, 0.002]], [[0.5, 1.0]]])
    stretched = (maps - maps.min(axis=(1, 2), keepdims=True)) / np.ptp(maps, axis=(1, 2), keepdims=True)
    assert stretched[0].max() == 1  # what other libraries do
    assert gated(maps, [False, True])[0].max() == 0
    assert seeds(maps, [False, True]).tolist() == [[2, 2]]


def test_a_map_without_a_positive_value_stays_zero():
    np.testing.assert_array_equal(gated([[-3.0, -1.0], [0.0, 0.0]], [True, True]), np.zeros((2, 2)))


def test_gating_again_changes_nothing(rng):
    scores = gated(drawn_maps(rng), [1, 1, 0, 1])
    np.testing.assert_array_equal(gated(scores, [1, 1, 0, 1]), scores)


def test_the_size_of_a_map_does_not_matter(rng):
    maps, tags = drawn_maps(rng), np.array([1, 0, 1, 1], bool)
    factors = np.array([2.0**-100, 1, 2.0**100, 0.5], np.float32).reshape(-1, 1, 1)
    np.testing.assert_array_equal(gated(maps * factors, tags), gated(maps, tags))


@pytest.mark.parametrize(
    ("given", "made"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.uint8, np.float32), (float, float)],
)
def test_scores_have_single_precision_or_what_came(given, made):
    assert gated(np.array([[1, 2]], given), [1]).dtype == made


def test_inputs_are_not_changed(rng):
    maps = drawn_maps(rng)
    before = maps.copy()
    seeds(maps, [1, 1, 1, 0])
    np.testing.assert_array_equal(maps, before)


# ---- seeds ----


def test_two_thresholds_by_hand():
    maps = np.array([[[1.0, 0.30, 0.29, 0.06, 0.05, -1.0]]])
    assert seeds(maps, [True]).tolist() == [[1, 1, 255, 255, 0, 0]]


@pytest.mark.parametrize(
    ("conflict", "expected"),
    [
        ("argmax", [1, 1, 2, 2, 255, 0]),
        ("ignore", [1, 1, 255, 255, 255, 0]),
        ("smaller", [1, 1, 2, 2, 255, 0]),
    ],
)
def test_a_pixel_that_two_classes_claim(conflict, expected):
    assert seeds(TWO, [True, True], conflict=conflict).tolist() == [expected]


def test_the_smaller_class_wins_where_the_other_map_is_larger():
    maps = np.array([[[1.0, 0.9, 0.8]], [[0.0, 0.5, 1.0]]])
    assert seeds(maps, [True, True], conflict="argmax").tolist() == [[1, 1, 2]]
    assert seeds(maps, [True, True], conflict="smaller").tolist() == [[1, 2, 2]]


def test_classes_of_one_size_go_by_the_larger_map_and_equal_maps_to_the_first():
    maps = np.array([[[1.0, 0.6, 0.5]], [[0.5, 0.6, 1.0]]])
    assert seeds(maps, [True, True], conflict="smaller").tolist() == [[1, 1, 2]]
    assert seeds(maps, [True, True], conflict="argmax").tolist() == [[1, 1, 2]]


def test_the_smaller_class_has_no_say_where_it_does_not_reach_the_foreground():
    maps = np.array([[[1.0, 0.9, 0.0]], [[0.0, 0.2, 1.0]]])
    assert seeds(maps, [True, True], conflict="smaller").tolist() == [[1, 1, 2]]


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_a_class_not_tagged_gets_no_pixel(rng, conflict):
    tags = np.array([True, False, True, False])
    for _ in range(10):
        found = np.unique(seeds(drawn_maps(rng) + 3 * ~tags.reshape(-1, 1, 1), tags, conflict=conflict))
        assert set(found.tolist()) <= {0, 1, 3, IGNORE}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_an_image_without_tags_is_background_everywhere(rng, conflict):
    labels = seeds(drawn_maps(rng) + 50, [False] * 4, conflict=conflict)
    assert (labels == 0).all()
    assert labels.dtype == np.uint8


def test_a_tagged_class_with_an_empty_map_leaves_no_pixel_sure_to_be_background():
    assert seeds(np.zeros((1, 2, 2)), [True]).tolist() == [[255, 255], [255, 255]]
    maps = np.array([[1.0, 0.0, 0.1], [-1.0, -2.0, 0.0]])
    assert seeds(maps, [True, True]).tolist() == [1, 255, 255]
    assert seeds(maps, [True, False]).tolist() == [1, 0, 255]


def test_every_tagged_class_with_a_positive_value_has_a_seed(rng):
    maps = drawn_maps(rng, k=6)
    labels = seeds(maps, [1, 0, 1, 1, 0, 1], foreground=1.0, background=0.0)
    assert {1, 3, 4, 6} <= set(labels.ravel().tolist())


@pytest.mark.parametrize("conflict", ["argmax", "smaller"])
def test_a_higher_foreground_threshold_never_gives_more_foreground(rng, conflict):
    maps, tags = drawn_maps(rng), [1, 1, 1, 0]
    masks = [
        np.isin(seeds(maps, tags, foreground=t, conflict=conflict), (1, 2, 3))
        for t in np.linspace(0.1, 1, 10)
    ]
    for lower, higher in itertools.pairwise(masks):
        assert not (higher & ~lower).any()
    assert masks[0].sum() > masks[-1].sum()


def test_with_argmax_no_class_grows_at_a_higher_foreground_threshold(rng):
    maps, tags = drawn_maps(rng), [1, 1, 1, 0]
    labels = [seeds(maps, tags, foreground=t) for t in np.linspace(0.1, 1, 10)]
    for lower, higher in itertools.pairwise(labels):
        assert all(((lower == j) | ~(higher == j)).all() for j in (1, 2, 3))


def test_with_ignore_a_higher_foreground_threshold_may_settle_a_conflict():
    maps = np.array([[[1.0, 0.5, 0.0]], [[0.0, 0.4, 1.0]]])
    assert seeds(maps, [1, 1], foreground=0.3, conflict="ignore").tolist() == [[1, 255, 2]]
    assert seeds(maps, [1, 1], foreground=0.45, conflict="ignore").tolist() == [[1, 1, 2]]


def test_a_lower_background_threshold_never_gives_more_background(rng):
    maps, tags = drawn_maps(rng, k=2), [1, 1]
    masks = [seeds(maps, tags, foreground=0.5, background=t) == 0 for t in np.linspace(0, 0.45, 10)]
    for lower, higher in itertools.pairwise(masks):
        assert not (lower & ~higher).any()
    assert masks[0].sum() < masks[-1].sum()


def test_three_dimensions(rng):
    maps = drawn_maps(rng, k=2, space=(3, 4, 5))
    flat = seeds(maps.reshape(2, 3, 20), [1, 1])
    np.testing.assert_array_equal(seeds(maps, [1, 1]), flat.reshape(3, 4, 5))


def test_254_classes_fit_and_255_do_not():
    labels = seeds(np.eye(254), np.ones(254, bool))
    np.testing.assert_array_equal(labels, np.arange(1, 255))
    with pytest.raises(GeometryError, match="255 classes; 254 are the most"):
        seeds(np.eye(255), np.ones(255, bool))


def test_unsure_pixels_give_the_second_network_no_gradient(rng):
    labels = seeds(drawn_maps(rng, k=2), [True, True])
    unsure = labels == IGNORE
    assert unsure.any()
    assert (~unsure).any()
    logits = torch.zeros(1, 3, *labels.shape, requires_grad=True)
    target = torch.from_numpy(np.where(unsure, 0, labels).astype(np.int64))[None]
    dice_ce_loss(logits, target, valid=torch.from_numpy(~unsure)[None]).backward()
    size = logits.grad.abs().sum(dim=1)[0].numpy()
    assert (size[unsure] == 0).all()
    assert (size[~unsure] > 0).all()


# ---- threshold without a mask ----


def test_the_threshold_parts_two_heaps():
    assert min_variance_threshold([0.0, 0.1, 0.1, 0.8, 0.9]) == 0.8
    assert min_variance_threshold([[0, 1], [1, 1]]) == 1.0


def test_no_other_threshold_leaves_less_variance_within(rng):
    scores = np.round(np.concatenate([rng.beta(2, 9, 60), rng.beta(9, 4, 25)]), 2).astype(np.float32)

    def within(t):
        above = scores >= t
        return sum(float(part.astype(float).var() * part.size) for part in (scores[above], scores[~above]))

    chosen = min_variance_threshold(scores)
    assert chosen in scores
    assert within(chosen) == pytest.approx(min(within(t) for t in np.unique(scores)[1:]))


def test_the_threshold_is_exact_for_single_precision():
    scores = np.array([0.1, 0.2, 0.7, 0.8], np.float32)
    assert (scores >= min_variance_threshold(scores)).tolist() == [False, False, True, True]


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, 0.5, 0.5]])
def test_a_threshold_needs_two_scores(scores):
    with pytest.raises(LabelValueError, match="two different scores or more"):
        min_variance_threshold(scores)


# ---- bad input ----


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_an_error(bad):
    maps = np.array([[[1.0, bad]], [[0.0, 1.0]]])
    for tags in ([True, True], [False, True]):
        with pytest.raises(LabelValueError, match="class maps must be finite"):
            gated(maps, tags)
        with pytest.raises(LabelValueError, match="class maps must be finite"):
            seeds(maps, tags)
    with pytest.raises(LabelValueError, match="scores must be finite"):
        min_variance_threshold([0.0, bad])


@pytest.mark.parametrize(
    ("shape", "tags"),
    [((3, 4), [1, 1]), ((3,), [1, 1, 1]), ((0, 4, 4), []), ((2, 0), [1, 1]), ((1, 2), True)],
)
def test_maps_and_tags_that_do_not_belong_together_are_an_error(shape, tags):
    with pytest.raises(GeometryError, match=r"maps must be \(k \*space\)"):
        gated(np.ones(shape), tags)


def test_a_tag_that_is_a_probability_is_an_error():
    with pytest.raises(LabelValueError, match=r"0 and 1, got \[0.7, 1.0\]"):
        gated(np.ones((2, 3)), [0.7, 1])


@pytest.mark.parametrize(
    ("background", "foreground"),
    [(-0.1, 0.3), (0.3, 0.3), (0.4, 0.3), (0.05, 1.1), (0.05, np.nan), (np.nan, 0.3)],
)
def test_thresholds_out_of_order_are_an_error(background, foreground):
    with pytest.raises(ConfigError, match="0 <= background < foreground <= 1"):
        seeds(TWO, [1, 1], foreground=foreground, background=background)


def test_an_unknown_way_to_settle_conflicts_is_an_error():
    with pytest.raises(ConfigError, match="\"smaller\", got 'larger'"):
        seeds(TWO, [1, 1], conflict="larger")


def test_seeds_and_growth_load_no_torch():
    command = (
        "import sys; from labelmend.workflows.image_tags import grow, seeds; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
