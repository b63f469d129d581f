import dataclasses

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.types import Grid, LabelMap, class_index

GRID = Grid((2, 3), (1.0, 2.0))
NAMES = ("lung", "heart")


def exclusive(rows, **more) -> LabelMap:
    return LabelMap(np.array(rows, np.uint8), GRID, NAMES, **more)


def overlapping(lung, heart, **more) -> LabelMap:
    return LabelMap(np.array([lung, heart], bool), GRID, NAMES, **more)


def test_an_integer_map_gives_one_mask_a_class():
    labels = exclusive([[0, 1, 2], [2, 2, 0]])
    assert not labels.overlapping
    np.testing.assert_array_equal(labels.masks()[0], [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(labels.masks()[1], [[0, 0, 1], [1, 1, 0]])


def test_classes_may_have_values_of_their_own():
    labels = exclusive([[0, 7, 40], [40, 0, 0]], values=(7, 40))
    assert labels.class_values == (7, 40)
    assert labels.masks().sum(axis=(1, 2)).tolist() == [1, 2]


def test_overlapping_masks_may_share_a_pixel():
    labels = overlapping([[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]])
    assert labels.overlapping
    assert labels.masks().sum(axis=0)[0, 1] == 2


def test_the_ignored_value_belongs_to_no_class_and_survives_other_masks():
    labels = exclusive([[255, 1, 2], [0, 0, 0]], ignore=255)
    assert labels.ignored().tolist() == [[True, False, False], [False, False, False]]
    everything_lung = np.stack([np.ones((2, 3), bool), np.zeros((2, 3), bool)])
    new = labels.with_masks(everything_lung)
    assert new.array.tolist() == [[255, 1, 1], [1, 1, 1]]
    assert new.array.dtype == labels.array.dtype


def test_ignored_pixels_of_overlapping_masks_keep_their_content():
    ignored = np.array([[1, 0, 0], [0, 0, 0]], bool)
    labels = overlapping([[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], ignored_mask=ignored)
    new = labels.with_masks(np.array([[[0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]], bool))
    assert new.array[:, 0].tolist() == [[True, True, False], [False, False, False]]


def test_nothing_is_ignored_unless_somebody_says_so():
    assert not exclusive([[0, 1, 2], [255, 0, 0]]).ignored().any()
    assert not overlapping([[0] * 3] * 2, [[0] * 3] * 2).ignored().any()


def test_masks_become_the_values_of_their_classes_and_the_rest_background():
    labels = exclusive([[7, 7, 7], [7, 7, 7]], values=(7, 40))
    new = labels.with_masks(np.array([[[1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]]], bool))
    assert new.array.tolist() == [[7, 40, 0], [0, 0, 0]]
    assert labels.array.tolist() == [[7, 7, 7], [7, 7, 7]]


def test_exclusive_classes_refuse_masks_that_share_a_pixel():
    with pytest.raises(LabelValueError, match="two masks share a pixel"):
        exclusive([[0, 1, 2], [0, 0, 0]]).with_masks(np.ones((2, 2, 3), bool))


def test_masks_of_another_shape_are_refused():
    with pytest.raises(GeometryError, match=r"\(2, 3, 2\)"):
        exclusive([[0, 1, 2], [0, 0, 0]]).with_masks(np.ones((2, 3, 2), bool))


def test_a_label_array_must_fit_its_grid_and_classes():
    with pytest.raises(GeometryError, match=r"\(2, 2\).*\(2, 3\)"):
        LabelMap(np.zeros((2, 2), np.uint8), GRID, NAMES)
    with pytest.raises(GeometryError):
        LabelMap(np.zeros((3, 2, 3), bool), GRID, NAMES)
    with pytest.raises(ConfigError, match="2 class names but 1 values"):
        exclusive([[0] * 3] * 2, values=(1,))


@pytest.mark.parametrize("spacing_mm", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, np.nan), (1.0, np.inf)])
def test_a_grid_needs_one_positive_finite_spacing_an_axis(spacing_mm):
    with pytest.raises(GeometryError):
        Grid((2, 3), spacing_mm)


def test_a_volume_has_three_axes():
    grid = Grid((4, 2, 3), (5.0, 0.7, 0.7))
    assert grid.ndim == 3
    assert LabelMap(np.ones((4, 2, 3), np.int16), grid, ("organ",)).masks().shape == (1, 4, 2, 3)


def test_grids_are_equal_by_shape_and_spacing():
    assert Grid((2, 3), (1.0, 2.0), affine=np.eye(4)) == GRID
    assert Grid((2, 3), (2.0, 2.0)) != GRID


def test_labels_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        exclusive([[0] * 3] * 2).array = np.ones((2, 3))


def test_an_unknown_class_is_told_with_the_names_there_are():
    assert class_index(NAMES, "heart") == 1
    with pytest.raises(ConfigError, match="no class called 'liver'; the classes are lung, heart"):
        class_index(NAMES, "liver")


def test_a_named_value_0_is_a_class_that_reports_count_and_no_channel():
    labels = exclusive([[0, 1, 2], [0, 255, 0]], background="road", ignore=255)
    assert labels.names == ("road", "lung", "heart")
    assert labels.classes == NAMES
    assert labels.masks().shape == (2, 2, 3)
    assert labels.mask("road").tolist() == [[True, False, False], [True, False, True]]
    assert labels.mask("heart").tolist() == [[False, False, True], [False, False, False]]
    assert exclusive([[0, 1, 2], [0, 0, 0]]).names == NAMES


def test_value_0_is_refused_as_a_class_where_it_cannot_be_one():
    with pytest.raises(ConfigError, match="value 0 cannot be the class 'lung': another value has that name"):
        exclusive([[0, 1, 2], [0, 0, 0]], background="lung")
    with pytest.raises(ConfigError, match="value 0 cannot be the class 'road': the classes overlap"):
        overlapping([[0] * 3] * 2, [[0] * 3] * 2, background="road")


def test_one_mask_is_the_one_of_all_masks():
    one = exclusive([[0, 7, 40], [40, 0, 0]], values=(7, 40))
    other = overlapping([[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]])
    for labels in (one, other):
        for name, mask in zip(NAMES, labels.masks(), strict=True):
            np.testing.assert_array_equal(labels.mask(name), mask)
    with pytest.raises(ConfigError, match="no class called 'spleen'"):
        one.mask("spleen")


def test_a_part_is_a_view_with_the_same_names():
    box = (slice(0, 2), slice(1, 3))
    labels = exclusive([[0, 1, 2], [2, 255, 0]], ignore=255, background="road")
    part = labels.cropped(box)
    assert part.array.tolist() == [[1, 2], [255, 0]]
    assert np.shares_memory(part.array, labels.array)
    assert (part.grid.shape, part.grid.spacing_mm) == ((2, 2), (1.0, 2.0))
    assert part.mask("road").tolist() == [[False, False], [False, True]]
    ignored = np.array([[0, 0, 1], [0, 0, 0]], bool)
    masks = overlapping([[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]], ignored_mask=ignored)
    assert masks.cropped(box).ignored().tolist() == [[False, True], [False, False]]
    assert masks.cropped(box).mask("lung").tolist() == [[True, False], [False, False]]


def test_indices_become_values_and_ignored_pixels_stay():
    labels = exclusive([[255, 7, 40], [0, 0, 0]], values=(7, 40), ignore=255)
    new = labels.with_indices(np.array([[1, 2, 0], [1, 0, 2]]))
    assert new.array.tolist() == [[255, 40, 0], [7, 0, 40]]
    assert new.array.dtype == np.uint8
    with pytest.raises(GeometryError, match="which overlap"):
        overlapping([[0] * 3] * 2, [[0] * 3] * 2).with_indices(np.zeros((2, 3), int))
    with pytest.raises(GeometryError, match=r"shape \(3, 2\)"):
        labels.with_indices(np.zeros((3, 2), int))
