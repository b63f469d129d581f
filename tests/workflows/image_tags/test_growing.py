"""Regions grown from seeds: by hand, by a slow loop, and by the linear system of the walk written out."""

import itertools
import sys

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingExtraError
from labelmend.workflows.image_tags import growing
from labelmend.workflows.image_tags.growing import grow, random_walk
from labelmend.workflows.image_tags.seeds import IGNORE

U = IGNORE


def of_class_1(chances):
    """Probabilities `(2 *space)` of background and one class from those of the class."""
    chances = np.asarray(chances, float)
    return np.stack([1 - chances, chances])


def drawn_case(rng, k=3, space=(9, 8), sure=0.93):
    """Labels with about a fifth of the pixels as seeds, and probabilities that are often nearly certain."""
    favourite = rng.integers(0, k + 1, space)
    probs = np.full((k + 1, *space), (1 - sure) / k)
    np.put_along_axis(probs, favourite[None], sure, axis=0)
    doubtful = rng.random(space) < 0.2
    probs[:, doubtful] = 1 / (k + 1)
    labels = np.where(rng.random(space) < 0.2, rng.integers(0, k + 1, space), U).astype(np.uint8)
    return labels, probs


def by_steps(labels, probs, foreground, background):
    """The rule, pixel by pixel, until a round changes nothing."""
    present = sorted({0, *np.unique(labels).tolist()} - {U})
    grown, changed = labels.copy(), True
    while changed:
        changed = False
        for place in np.ndindex(*labels.shape):
            if grown[place] != U:
                continue
            j = max(present, key=lambda c: (probs[c][place], -c))
            if probs[j][place] <= (foreground if j else background):
                continue
            around = tuple(slice(max(0, i - 1), i + 2) for i in place)
            if (grown[around] == j).any():
                grown[place] = j
                changed = True
    return grown


# ---- growing ----


def test_growth_stops_where_the_class_is_not_sure_enough():
    labels = np.array([[1, U, U, U, U]], np.uint8)
    probs = of_class_1([[0.1, 0.9, 0.86, 0.85, 0.99]])
    assert grow(labels, probs).tolist() == [[1, 1, 1, U, U]]  # 0.85 is not above 0.85


def test_growth_goes_over_corners():
    labels = np.array([[1, U, U], [U, U, U], [U, U, U]])
    probs = of_class_1(np.eye(3))
    assert grow(labels, probs).tolist() == [[1, U, U], [U, 1, U], [U, U, 1]]


def test_background_needs_its_own_threshold():
    labels = np.array([[0, U, U, U, 1]])
    probs = of_class_1([[0, 0.005, 0.05, 0.9, 1]])
    assert grow(labels, probs).tolist() == [[0, 0, U, 1, 1]]
    assert grow(labels, probs, background=0.9).tolist() == [[0, 0, 0, 1, 1]]


def test_the_seed_of_another_class_is_a_wall_even_where_it_is_improbable():
    labels = np.array([[1, U, 2, U, U]])
    probs = np.zeros((3, 1, 5))
    probs[1] = 1
    assert grow(labels, probs).tolist() == [[1, 1, 2, U, U]]


def test_a_class_without_tag_does_not_compete_and_one_with_a_tag_does():
    labels = np.array([[1, U, U]])
    probs = np.array([[[0.0, 0.0, 0.0]], [[0.4, 0.4, 0.4]], [[0.6, 0.6, 0.6]]])
    assert grow(labels, probs, foreground=0.3).tolist() == [[1, 1, 1]]  # class 2 has no seed
    assert grow(labels, probs, [True, False], foreground=0.3).tolist() == [[1, 1, 1]]
    assert grow(labels, probs, [True, True], foreground=0.3).tolist() == [[1, U, U]]


def test_a_class_not_tagged_never_appears(rng):
    for _ in range(5):
        labels, probs = drawn_case(rng)
        labels[labels == 2] = U
        assert 2 not in grow(labels, probs, [True, False, True], foreground=0.1, background=0.1)


def test_steps_can_be_limited():
    labels = np.array([[1, U, U, U, U]])
    probs = of_class_1(np.ones((1, 5)))
    assert grow(labels, probs, max_steps=1).tolist() == [[1, 1, U, U, U]]
    assert grow(labels, probs, max_steps=3).tolist() == [[1, 1, 1, 1, U]]
    assert grow(labels, probs).tolist() == [[1, 1, 1, 1, 1]]


@pytest.mark.parametrize("space", [(200,), (9, 8), (4, 5, 3)])
def test_a_loop_over_pixels_agrees(rng, space):
    for _ in range(3):
        labels, probs = drawn_case(rng, space=space)
        grown = grow(labels, probs, background=0.9)
        np.testing.assert_array_equal(grown, by_steps(labels, probs, 0.85, 0.9))
        assert (grown != labels).any()


def test_growth_is_lawful(rng):
    """Seeds stay, what is new is allowed and touches its class, and growing again adds nothing."""
    from scipy.ndimage import label

    for _ in range(5):
        labels, probs = drawn_case(rng, space=(12, 13))
        grown = grow(labels, probs, foreground=0.5, background=0.5)
        seeded, new = labels != U, (labels == U) & (grown != U)
        assert new.any()
        np.testing.assert_array_equal(grown[seeded], labels[seeded])
        assert (
            np.take_along_axis(probs, np.where(new, grown, 0)[None].astype(int), axis=0)[0][new] > 0.5
        ).all()
        for j in range(4):
            parts, number = label(grown == j, np.ones((3, 3)))
            assert set(range(1, number + 1)) == set(np.unique(parts[labels == j]).tolist()) - {0}
        np.testing.assert_array_equal(grow(grown, probs, foreground=0.5, background=0.5), grown)


def test_a_higher_threshold_never_gives_more(rng):
    labels, probs = drawn_case(rng)
    probs = probs * rng.random(probs.shape[1:])
    for name, kinds in (("foreground", (1, 2, 3)), ("background", (0,))):
        masks = [np.isin(grow(labels, probs, **{name: t}), kinds) for t in np.linspace(0, 1, 6)]
        for lower, higher in itertools.pairwise(masks):
            assert not (higher & ~lower).any()
        assert masks[0].sum() > masks[-1].sum()


def test_labels_without_seeds_and_labels_without_gaps_stay():
    probs = of_class_1(np.ones((2, 3)))
    np.testing.assert_array_equal(grow(np.full((2, 3), U), probs), np.full((2, 3), U))
    full = np.array([[0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(grow(full, probs), full)


def test_254_classes_grow():
    k = 254
    labels = np.full((2, k), U, np.uint8)
    labels[0] = np.arange(1, k + 1)
    probs = np.zeros((k + 1, 2, k))
    probs[np.arange(1, k + 1), :, np.arange(k)] = 1
    np.testing.assert_array_equal(grow(labels, probs), np.tile(labels[0], (2, 1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_the_dtype_of_labels_stays_and_inputs_are_not_changed(dtype):
    labels, probs = np.array([[1, U, 0]], dtype), of_class_1([[1.0, 1.0, 0.0]])
    grown, (walked, _) = grow(labels, probs), random_walk(labels, probs)
    assert grown.dtype == walked.dtype == dtype
    assert labels.tolist() == [[1, U, 0]]


# ---- random walk ----


def dense_walk(labels, image, beta, spacing):
    """Probabilities of each kind for every unsure pixel: the whole linear system, written out."""
    low = image.min(axis=tuple(range(1, image.ndim)), keepdims=True)
    scaled = (image - low) / np.ptp(image, axis=tuple(range(1, image.ndim)), keepdims=True)
    factor = beta / (10 * scaled.std() * np.sqrt(len(image)))
    places = list(np.ndindex(*labels.shape))
    laplacian = np.zeros((len(places), len(places)))
    for i, place in enumerate(places):
        for axis in range(labels.ndim):
            if place[axis] + 1 < labels.shape[axis]:
                beside = (*place[:axis], place[axis] + 1, *place[axis + 1 :])
                step = (scaled[(slice(None), *place)] - scaled[(slice(None), *beside)]) / spacing[axis]
                weight = np.exp(-factor * (step**2).sum()) + 1e-10
                j = places.index(beside)
                laplacian[[i, j], [j, i]] -= weight
                laplacian[[i, j], [i, j]] += weight
    flat = labels.ravel()
    unsure, kinds = flat == U, np.unique(flat[flat != U])
    ends = (flat[~unsure, None] == kinds).astype(float)
    return np.linalg.solve(laplacian[np.ix_(unsure, unsure)], -laplacian[np.ix_(unsure, ~unsure)] @ ends).T


def noisy_case(rng, space, c=2):
    image = rng.random((c, *space)) * np.array([1, 500.0]).reshape(2, *[1] * len(space))[:c]
    labels = np.full(space, U, np.uint8)
    labels.flat[[0, -1, labels.size // 2]] = 0, 4, 2
    return labels, image


def test_on_a_flat_line_the_nearer_seed_is_the_more_probable_in_proportion():
    labels = np.array([[0, U, U, U, 1]], np.uint8)
    walked, probs = random_walk(labels, np.full((3, 1, 5), 7.0), unsure=0.6)
    np.testing.assert_allclose(probs[:, 0], [[1, 0.75, 0.5, 0.25, 0], [0, 0.25, 0.5, 0.75, 1]], atol=1e-6)
    assert walked.tolist() == [[0, 0, U, 1, 1]]
    assert probs.dtype == np.float32


def test_the_walk_stops_at_an_edge_and_not_half_way():
    labels = np.full((4, 9), U, np.uint8)
    labels[0, 0], labels[3, 8] = 0, 1
    image = np.zeros((1, 4, 9))
    image[:, :, 2:] = 1
    walked, _ = random_walk(labels, image)
    np.testing.assert_array_equal(walked, np.where(np.arange(9) < 2, 0, 1) * np.ones((4, 1)))


@pytest.mark.parametrize(
    ("space", "spacing"),
    [((5, 6), None), ((5, 6), (2.0, 0.5)), ((3, 4, 3), None), ((3, 4, 3), (5.0, 1.0, 1.0))],
)
def test_the_linear_system_written_out_agrees(rng, space, spacing):
    labels, image = noisy_case(rng, space)
    ratios = np.ones(len(space)) if spacing is None else np.array(spacing) / min(spacing)
    _, probs = random_walk(labels, image, beta=20, spacing_mm=spacing)
    expected = dense_walk(labels, image, 20, ratios)
    np.testing.assert_allclose(probs[[0, 2, 4]][:, labels == U], expected, atol=1e-4)
    np.testing.assert_allclose(probs.sum(axis=0), 1, atol=1e-6)


def test_seeds_stay_and_classes_without_seed_get_nothing(rng):
    labels, image = noisy_case(rng, (7, 8))
    walked, probs = random_walk(labels, image, n_classes=5)
    np.testing.assert_array_equal(walked[labels != U], labels[labels != U])
    assert set(np.unique(walked).tolist()) == {0, 2, 4}
    assert probs.shape == (6, 7, 8)
    assert not probs[[1, 3, 5]].any()
    assert (probs[2][labels == 2] == 1).all()


def test_labels_are_the_most_probable_kinds_and_doubt_leaves_them_open(rng):
    labels, image = noisy_case(rng, (7, 8))
    walked, probs = random_walk(labels, image)
    np.testing.assert_array_equal(walked, probs.argmax(axis=0))
    doubted, _ = random_walk(labels, image, unsure=0.6)
    np.testing.assert_array_equal(doubted, np.where(probs.max(axis=0) >= 0.6, walked, U))
    assert (doubted == U).any()


def test_the_range_of_a_channel_and_a_constant_channel_do_not_matter(rng):
    labels, image = noisy_case(rng, (6, 7))
    _, probs = random_walk(labels, image)
    other = np.concatenate([image * np.array([1000, 0.01]).reshape(2, 1, 1) - 400, np.full((1, 6, 7), 9.0)])
    np.testing.assert_allclose(random_walk(labels, other)[1], probs, atol=1e-5)


def test_only_ratios_of_spacings_count(rng):
    labels, image = noisy_case(rng, (5, 6))
    one, other = (random_walk(labels, image, spacing_mm=s)[1] for s in ((0.3, 0.9), (1, 3)))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_iterative_solver_gives_the_same(rng, monkeypatch):
    labels, image = noisy_case(rng, (8, 9))
    _, direct = random_walk(labels, image, beta=20)
    monkeypatch.setattr(growing, "MOST_SOLVED_DIRECTLY", 0)
    _, iterated = random_walk(labels, image, beta=20)
    np.testing.assert_allclose(direct, iterated, atol=1e-3)
    assert (direct != iterated).any()  # it was another solver


def test_what_the_iterative_solver_cannot_reach_stays_unsure():
    """A cube behind edges that no walk crosses; scikit-image alone would give it to some class."""
    image = np.zeros((1, 5, 5, 5))
    image[:, 1:4, 1:4, 1:4] = 1
    labels = np.full((5, 5, 5), U, np.uint8)
    labels[0, 0, 0], labels[4, 4, 4] = 1, 2
    walked, probs = random_walk(labels, image, beta=1000)
    inside = image[0] == 1
    assert (walked[inside] == U).all()
    assert not probs[:, inside].any()
    assert set(np.unique(walked[~inside]).tolist()) == {1, 2}


@pytest.mark.parametrize("kind", [0, 1])
def test_one_kind_of_seed_says_nothing_about_the_rest(kind):
    labels = np.array([[kind, U, U]], np.uint8)
    walked, probs = random_walk(labels, np.zeros((1, 1, 3)))
    np.testing.assert_array_equal(walked, labels)
    assert probs.shape == (kind + 1, 1, 3)
    assert probs[kind].tolist() == [[1, 0, 0]]
    assert not probs[:, 0, 1:].any()


def test_no_seed_and_no_unsure_pixel_leave_labels_alone():
    nothing, full = np.full((2, 3), U, np.uint8), np.array([[0, 1, 1], [0, 0, 2]], np.uint8)
    image = np.zeros((1, 2, 3))
    walked, probs = random_walk(nothing, image, n_classes=2)
    np.testing.assert_array_equal(walked, nothing)
    assert not probs.any()
    walked, probs = random_walk(full, image)
    np.testing.assert_array_equal(walked, full)
    np.testing.assert_array_equal(probs, [full == j for j in range(3)])


def test_a_single_unsure_pixel_is_decided():
    labels = np.array([[0, 1], [U, 1]], np.uint8)
    assert random_walk(labels, np.array([[[0.0, 1], [0, 1]]]))[0].tolist() == [[0, 1], [0, 1]]


def test_a_walk_in_254_classes():
    labels = np.full((2, 254), U, np.uint8)
    labels[0] = np.arange(1, 255)
    image = np.tile(np.arange(254.0), (1, 2, 1))
    walked, probs = random_walk(labels, image, beta=1e4)
    np.testing.assert_array_equal(walked, np.tile(labels[0], (2, 1)))
    assert probs.shape == (255, 2, 254)


def test_a_walk_leads_on_to_growth(rng):
    labels, image = noisy_case(rng, (9, 9), c=1)
    _, probs = random_walk(labels, image, n_classes=5)
    grown = grow(labels, probs, [False, True, False, True, False], foreground=0.5, background=0.5)
    assert set(np.unique(grown).tolist()) <= {0, 2, 4, U}
    assert (grown != labels).any()


# ---- bad input ----


def test_probabilities_that_are_none_are_an_error():
    labels = np.array([[1, U]])
    for bad in (np.nan, -0.1, 1.1, np.inf):
        with pytest.raises(LabelValueError, match=r"in \[0, 1\]"):
            grow(labels, np.array([[[0, 0]], [[1, bad]]]))


def test_an_image_that_is_not_finite_is_an_error():
    for bad in (np.nan, np.inf):
        with pytest.raises(LabelValueError, match="the image must be finite"):
            random_walk(np.array([[0, U, 1]]), np.array([[[0, bad, 1]]]))


def test_labels_that_no_class_has_are_an_error():
    probs, image = np.ones((2, 1, 2)) / 2, np.ones((1, 1, 2))
    for call in (lambda labels: grow(labels, probs), lambda labels: random_walk(labels, image)):
        with pytest.raises(LabelValueError, match="labels must be integers, got float64"):
            call(np.array([[0.0, 1.0]]))
        with pytest.raises(LabelValueError, match=r"1..254 or 255 \(unsure\), got -1 to 1"):
            call(np.array([[-1, 1]]))
        with pytest.raises(LabelValueError, match="got 1 to 256"):
            call(np.array([[256, 1]]))
        with pytest.raises(GeometryError, match="a pixel or more"):
            call(np.zeros((0, 2), int))


def test_shapes_that_do_not_belong_together_are_errors():
    with pytest.raises(GeometryError, match=r"got \(2, 3, 1\) for labels of shape \(1, 3\)"):
        grow(np.array([[1, U, 0]]), np.ones((2, 3, 1)))
    with pytest.raises(GeometryError, match="classes up to 2"):
        grow(np.array([[2, U]]), np.ones((2, 1, 2)))
    with pytest.raises(GeometryError, match=r"1 classes, tags have shape \(2,\)"):
        grow(np.array([[1, U]]), np.ones((2, 1, 2)), [True, True])
    with pytest.raises(GeometryError, match=r"an image \(c \*space\)"):
        random_walk(np.array([[0, U, 1]]), np.zeros((1, 3)))
    with pytest.raises(GeometryError, match=r"\(h w\) or \(d h w\), got shape \(3,\)"):
        random_walk(np.array([0, U, 1]), np.zeros((1, 3)))
    with pytest.raises(GeometryError, match="2 spacings in mm"):
        random_walk(np.array([[0, U, 1]]), np.zeros((1, 1, 3)), spacing_mm=(1.0, 1.0, 1.0))


def test_seeds_of_a_class_without_tag_are_an_error():
    with pytest.raises(LabelValueError, match="labels hold class 2, which is not tagged"):
        grow(np.array([[2, U]]), np.ones((3, 1, 2)) / 3, [True, False])
    with pytest.raises(LabelValueError, match="0 and 1, got"):
        grow(np.array([[2, U]]), np.ones((3, 1, 2)) / 3, [0.5, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"foreground": 1.5}, "thresholds must be in"),
        ({"background": np.nan}, "thresholds must be in"),
        ({"max_steps": 0}, "max_steps must be 1 or more"),
    ],
)
def test_settings_of_growth_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        grow(np.array([[1, U]]), np.ones((2, 1, 2)) / 2, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1}, "beta must be"),
        ({"beta": np.inf}, "beta must be"),
        ({"unsure": 1.2}, "unsure must be in"),
        ({"n_classes": 2}, r"n_classes must be 3 \(the largest class of the labels\) to 254, got 2"),
        ({"n_classes": 255}, "n_classes must be 3"),
    ],
)
def test_settings_of_a_walk_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        random_walk(np.array([[0, U, 3]]), np.zeros((1, 1, 3)), **settings)


def test_a_walk_without_scikit_image_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'labelmend\[tags\]'"):
        random_walk(np.array([[0, U, 1]]), np.zeros((1, 1, 3)))
    assert grow(np.array([[1, U]]), np.array([[[0, 0]], [[1, 1]]])).tolist() == [[1, 1]]
