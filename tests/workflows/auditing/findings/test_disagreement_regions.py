"""Where annotation and prediction differ: strips of known width, shares of objects, a slow second opinion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from drawing import box
from drawn_findings import sure
from labelmend.geometry import signed_distance
from labelmend.workflows.auditing.findings import regions
from labelmend.workflows.auditing.findings.disagreement_regions import (
    LEAST_THICKNESS,
    depths,
    likeliest,
)

MM = (1.0, 1.0)


def strip(width: int, shape=(40, 30)) -> np.ndarray:
    return box(shape, (0, shape[0]), (5, 5 + width)).astype(np.uint8)


def only(found):
    (region,) = found
    return region


@pytest.mark.parametrize("width", [4, 6, 8])
def test_a_long_strip_of_width_w_is_w_wide(width):
    given = strip(width, (4000, 30))
    region = only(regions(given, sure(np.zeros_like(given), 1), MM))
    assert region.width_mm == pytest.approx(width, rel=1e-3)
    assert region.thickness_mm == width - 1  # twice from the centre of the deepest pixel


def test_the_mean_of_a_short_strip_by_hand():
    # 4 x 40: depths 0.5 1.5 1.5 0.5 in each row, 0.5 all along the first and the last: 156 in 160 pixels
    given = strip(4)
    region = only(regions(given, sure(np.zeros_like(given), 1), MM))
    assert region.width_mm == pytest.approx(4 * 156 / 160)


def test_lengths_are_in_mm():
    given = strip(4)
    region = only(regions(given, sure(np.zeros_like(given), 1), (0.5, 0.5)))
    assert (region.thickness_mm, region.width_mm) == (1.5, pytest.approx(2 * 156 / 160))


@pytest.mark.parametrize(("width", "n"), [(1, 0), (2, 0), (3, 1)])
def test_what_the_pixel_grid_does_is_no_region(width, n):
    given = strip(width)
    assert len(list(regions(given, sure(np.zeros_like(given), 1), MM))) == n


@pytest.mark.parametrize(("n", "thickness_mm", "width_mm"), [(1, 5, 5), (2, 5, 10), (3, 15, 15 + 5 / 3)])
def test_a_stack_of_n_slices_of_5_mm(n, thickness_mm, width_mm):
    given = box((9, 120, 120), (3, 3 + n), (0, 120), (0, 120)).astype(np.uint8)
    region = only(regions(given, sure(np.zeros_like(given), 1), (5.0, 1.0, 1.0)))
    assert region.thickness_mm == thickness_mm
    assert region.width_mm == pytest.approx(width_mm, rel=0.15)  # at its rim other faces are nearer
    assert region.box == ((3, 3 + n), (0, 120), (0, 120))


@pytest.mark.parametrize(("n", "steps"), [(1, 2), (2, 4)])
def test_slices_count_two_steps_each_in_its_width(n, steps):
    given = box((9, 120, 120), (3, 3 + n), (0, 120), (0, 120)).astype(np.uint8)
    region = only(regions(given, sure(np.zeros_like(given), 1), (5.0, 0.5, 0.5)))
    assert region.width_steps == pytest.approx(steps, rel=0.05)


def test_in_slices_a_width_is_a_count_of_pixels():
    flat, deep = strip(6), np.stack([strip(6)] * 9)
    one = only(regions(flat, sure(np.zeros_like(flat), 1), (0.5, 0.5)))
    other = only(regions(deep, sure(np.zeros_like(deep), 1), (5.0, 0.5, 0.5)))
    assert one.width_steps == one.width_mm / 0.5 == pytest.approx(6, rel=0.1)
    assert other.width_steps == pytest.approx(one.width_steps, rel=0.15)  # less at the two ends


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.0, 1.0), (0.5, 1.0, 1.0)])
def test_where_no_pixel_is_longer_than_two_steps_a_width_in_steps_is_that_in_mm(spacing_mm):
    given = box((9, 20, 20), (2, 7), (5, 12), (5, 12)).astype(np.uint8)
    region = only(regions(given, sure(np.zeros_like(given), 1), spacing_mm))
    assert region.width_steps == region.width_mm


def test_a_rod_along_thick_slices_is_as_thick_as_it_is_in_the_slice():
    given = box((9, 20, 20), (0, 9), (5, 10), (5, 10)).astype(np.uint8)
    region = only(regions(given, sure(np.zeros_like(given), 1), (5.0, 1.0, 1.0)))
    assert region.thickness_mm == 5.0


def test_a_region_says_what_is_given_and_predicted_and_how_sure():
    given = box((20, 20), (4, 12), (4, 12)) * np.uint8(2)
    probs = sure(np.where(given, 1, 0), 2, prob=0.8)  # 0.8 for class 1 and 0.1 for class 2
    probs[:, 4, 4:12] = [[0.0], [0.55], [0.45]]  # an eighth of it
    region = only(regions(given, probs, MM))
    assert (region.given, region.predicted, region.box) == (2, 1, ((4, 12), (4, 12)))
    assert region.core == pytest.approx((1 + 0.8 - 0.1) / 2)
    assert region.certainty == pytest.approx((1 + 7 / 8 * (0.8 - 0.1) + 1 / 8 * (0.55 - 0.45)) / 2)
    assert region.inside.all()
    assert region.inside.shape == (8, 8)


def test_its_share_of_the_object_it_lies_in():
    given = box((30, 30), (5, 15), (5, 15)).astype(np.uint8)  # 100 px, and a second object of the class
    given[20:26, 20:26] = 1
    predicted = given.copy()
    predicted[5:10, 5:15] = 0
    region = only(regions(given, sure(predicted, 1), MM))
    assert (region.of_given, region.of_predicted) == (0.5, 0.0)
    assert region.is_object


def test_a_quarter_of_an_object_is_no_object():
    given = box((30, 30), (5, 17), (5, 15)).astype(np.uint8)
    predicted = given.copy()
    predicted[5:8] = 0
    region = only(regions(given, sure(predicted, 1), MM))
    assert (region.of_given, region.is_object) == (0.25, False)


def test_where_nobody_annotated_nothing_differs():
    given = strip(6)
    known = np.ones(given.shape, bool)
    known[10:30] = False
    found = list(regions(given, sure(np.zeros_like(given), 1), MM, known))
    assert [region.box for region in found] == [((0, 10), (5, 11)), ((30, 40), (5, 11))]
    assert not list(regions(given, sure(np.zeros_like(given), 1), MM, np.zeros_like(known)))


def test_pixels_that_touch_by_a_corner_are_one_region_and_pairs_of_classes_are_apart():
    given = box((20, 20), (2, 8), (2, 8)) | box((20, 20), (8, 14), (8, 14))
    assert len(list(regions(given.astype(np.uint8), sure(np.zeros((20, 20), int), 1), MM))) == 1
    halves = strip(12)
    predicted = np.where(np.arange(40)[:, None] < 20, 0, 2) * halves
    found = list(regions(halves, sure(predicted, 2), MM))
    assert [(r.given, r.predicted, r.box[0]) for r in found] == [(1, 0, (0, 20)), (1, 2, (20, 40))]


def test_annotation_and_prediction_that_agree_have_no_region():
    given = strip(6)
    assert not list(regions(given, sure(given, 1), MM))


def test_a_full_annotation_of_an_empty_prediction_is_one_region():
    given = np.ones((10, 12), np.uint8)
    region = only(regions(given, sure(np.zeros_like(given), 1), MM))
    assert (region.box, region.of_given, region.thickness_mm) == (((0, 10), (0, 12)), 1.0, 9.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_twenty_classes_are_kept_apart_in_any_dtype(dtype):
    given = (box((12, 12), (2, 8), (2, 8)) * 19).astype(dtype)
    region = only(regions(given, sure(np.where(given, 20, 0), 20), MM))
    assert (region.given, region.predicted) == (19, 20)


def test_of_equal_probabilities_the_first_is_predicted():
    probs = np.array([0.2, 0.4, 0.4])[:, None, None] * np.ones((3, 4, 4))
    assert (likeliest(probs) == 1).all()
    region = only(regions(np.full((4, 4), 2, np.uint8), probs, MM))
    assert (region.predicted, region.certainty) == (1, 0.5)


def test_the_likeliest_is_the_largest(rng):
    probs = rng.integers(0, 4, (300, 3, 5)).astype(np.float16)  # many equal ones, more than 256 classes
    np.testing.assert_array_equal(likeliest(probs), probs.argmax(axis=0))
    np.testing.assert_array_equal(likeliest(probs[:5]), probs[:5].argmax(axis=0))


def test_16_bits_are_enough():
    given = strip(6)
    probs = sure(np.zeros_like(given), 1, prob=0.75)  # 0.75 and 0.25 are exact in 16 bits
    wide, narrow = (only(regions(given, probs.astype(dtype), MM)) for dtype in (np.float32, np.float16))
    assert narrow.certainty == wide.certainty == 0.75


def blobs(rng: np.random.Generator, shape: tuple[int, ...], k: int) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=(k, *shape)), (0, *(2.5,) * len(shape))) * 8


@pytest.mark.parametrize(("shape", "mm"), [((60, 70), 1.0), ((12, 24, 26), 0.7)])
def test_a_slow_search_on_whole_images_finds_the_same(rng, shape, mm):
    given, spacing_mm = blobs(rng, shape, 4).argmax(axis=0).astype(np.uint8), (mm,) * len(shape)
    scores = np.exp(blobs(rng, shape, 4))
    probs = scores / scores.sum(axis=0)
    known = rng.random(shape) > 0.01
    found = {
        (r.given, r.predicted, r.box, round(r.thickness_mm, 6), round(r.width_mm, 6), round(r.of_given, 6))
        for r in regions(given, probs, spacing_mm, known)
    }
    expected, predicted, corners = set(), probs.argmax(axis=0), np.ones((3,) * len(shape))
    for one, other in np.ndindex(4, 4):
        parts, n = ndimage.label((given == one) & (predicted == other) & known, corners)
        objects, _ = ndimage.label(given == one, corners)
        for part in (parts == number for number in range(1, n + 1) if one != other):
            wide = np.pad(part, 1)
            depth = -signed_distance(wide, spacing_mm)[wide]
            if 2 * depth.max() >= LEAST_THICKNESS * mm:
                share = part.sum() / (objects == objects[part][0]).sum() if one else 0
                place = tuple((int(a.min()), int(a.max()) + 1) for a in np.nonzero(part))
                measures = (2 * depth.max(), 4 * depth.mean(), share)
                expected.add((one, other, place, *(round(float(value), 6) for value in measures)))
    assert len(expected) > 10
    assert found == expected


def test_distances_to_faces_of_long_pixels_against_every_pixel_outside(rng):
    inside, spacing_mm = blobs(rng, (7, 14, 15), 1)[0] > -0.1, (3.0, 1.0, 1.2)
    wide = np.pad(inside, 1)
    outside = np.argwhere(~wide)
    deep, means = [], []
    for at in np.argwhere(wide):
        steps = np.abs(outside - at)
        faces = np.maximum(steps - 0.5, 0) * spacing_mm
        straight = (steps > 0).sum(axis=1) == 1  # along one axis
        centres = np.linalg.norm(steps * spacing_mm, axis=1) - 0.5
        deep.append(min(faces[straight].sum(axis=1).min(), centres.min()))
        alone = [s / 4 for s, a in zip(spacing_mm, np.eye(3, dtype=int))
                 if not wide[tuple(at + a)] and not wide[tuple(at - a)]]  # fmt: skip
        means.append(min([deep[-1], *alone]))
    assert depths(inside, spacing_mm) == pytest.approx((max(deep), np.mean(means)))


@pytest.mark.parametrize(("mm", "n"), [(1.9, 0), (2.0, 1), (2.9, 1)])
def test_what_is_two_steps_thick_is_a_region(mm, n):
    given = box((5, 40, 40), (2, 3), (0, 40), (0, 40)).astype(np.uint8)
    for array, spacing_mm in ((given, (mm, 1.0, 1.0)), (strip(2), (1.0, mm))):
        assert len(list(regions(array, sure(np.zeros_like(array), 1), spacing_mm))) == n
