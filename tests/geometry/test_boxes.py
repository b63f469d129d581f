"""Boxes of the classes of a label map: where each lies, and what lies in none."""

import numpy as np
import pytest

from labelmend.geometry import class_boxes, joint_box, mask_box
from labelmend.geometry.boxes import LARGEST_VALUE
from labelmend.types import Grid, LabelMap

MAP = [[0, 5, 5, 0], [0, 0, 5, 0], [2, 0, 0, 0]]
FIVE, TWO = (slice(0, 2), slice(1, 3)), (slice(2, 3), slice(0, 1))


def labels(array, values, **more) -> LabelMap:
    array = np.asarray(array)
    names = tuple(f"v{value}" for value in values)
    return LabelMap(array, Grid(array.shape, (1.0,) * array.ndim), names, values, **more)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_every_class_has_the_smallest_box_that_holds_it(dtype):
    assert mask_box(np.array(MAP, dtype) == 5) == FIVE
    found = class_boxes(labels(np.array(MAP, dtype), (2, 5, 7)))
    assert found == {"v2": TWO, "v5": FIVE, "v7": None}


def test_large_and_ignored_values_are_told_apart():
    large = LARGEST_VALUE + 5
    array = np.array([[0, large, 9], [-1, 0, 0]])
    found = class_boxes(labels(array, (9, large), ignore=-1))
    assert found == {"v9": (slice(0, 1), slice(2, 3)), f"v{large}": (slice(0, 1), slice(1, 2))}


def test_value_0_has_a_box_where_it_is_a_class():
    found = class_boxes(labels([[1, 0, 1], [1, 0, 0]], (1,), background="road"))
    assert found["road"] == (slice(0, 2), slice(1, 3))
    assert list(found) == ["road", "v1"]


def test_overlapping_classes_have_boxes_of_their_own():
    masks = np.array([[[1, 1, 0]], [[0, 1, 1]], [[0, 0, 0]]], bool)
    found = class_boxes(LabelMap(masks, Grid((1, 3), (1.0, 1.0)), ("a", "b", "c")))
    assert found == {"a": (slice(0, 1), slice(0, 2)), "b": (slice(0, 1), slice(1, 3)), "c": None}


def test_a_volume_that_is_not_in_array_order_has_the_same_boxes():
    array = np.zeros((3, 4, 5), np.uint8)
    array[1, 2:, 3] = 1
    assert class_boxes(labels(np.asfortranarray(array), (1,))) == class_boxes(labels(array, (1,)))


def test_a_joint_box_ends_at_the_border_and_is_one_pixel_for_nothing():
    assert joint_box([TWO, None, FIVE], (3, 4), margin=1) == (slice(0, 3), slice(0, 4))
    assert joint_box([TWO], (3, 4)) == TWO
    assert joint_box([None, None], (3, 4), margin=5) == (slice(0, 1), slice(0, 1))
