"""Polygons and run lengths become masks; what pycocotools would read past the end of is refused."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmend.errors import DataError, GeometryError, MissingExtraError
from labelmend.io.labels.coco_masks import drawn_as, mask_of, pycocotools, run_lengths

MASK = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
RUNS = [3, 2, 1, 1, 4, 1]  # column by column
SIZE = [3, 4]


def drawn(segmentation, shape=(3, 4)):
    return mask_of({"id": 7, "segmentation": segmentation}, shape)


def test_run_lengths_count_column_by_column():
    np.testing.assert_array_equal(drawn({"size": SIZE, "counts": RUNS}), MASK)
    assert drawn({"size": SIZE, "counts": [0, 12]}).all()
    assert not drawn({"size": SIZE, "counts": [12]}).any()


def test_compressed_run_lengths_are_the_same():
    pytest.importorskip("pycocotools")
    packed = drawn_as(MASK)["segmentation"]
    assert isinstance(packed["counts"], str)
    assert run_lengths(packed["counts"]) == RUNS
    np.testing.assert_array_equal(drawn(packed), MASK)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools.decode
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
def test_masks_survive_packing_by_pycocotools_and_unpacking_here(height, width, share, seed):
    api = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(seed).random((height, width)) < share
    packed = api.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = packed["counts"].decode()
    np.testing.assert_array_equal(drawn({"size": [height, width], "counts": counts}, mask.shape), mask)
    np.testing.assert_array_equal(api.decode(packed), mask)


def test_long_runs_take_several_characters():
    api = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((700, 900), bool)
    mask[:, 450:] = True
    mask[13, 700] = False
    packed = api.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert run_lengths(packed["counts"].decode()) == [315000, 175013, 1, 139986]


def test_a_polygon_is_filled():
    pytest.importorskip("pycocotools")
    square = drawn([[1, 0, 3, 0, 3, 2, 1, 2]])
    assert square.astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_several_polygons_are_joined_and_degenerate_ones_enclose_nothing():
    pytest.importorskip("pycocotools")
    joined = drawn([[0, 0, 1, 0, 1, 1, 0, 1], [1, 1, 2, 2], [2, 1, 4, 1, 4, 3, 2, 3]])
    assert joined.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert drawn([[0, 0, 3, 3]]) is None  # pycocotools would take it for a box


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_boxes_and_key_points_have_no_mask(nothing):
    assert drawn(nothing) is None


def test_area_box_and_runs_of_a_mask_are_written():
    pytest.importorskip("pycocotools")
    fields = drawn_as(MASK)
    assert fields["area"] == 4
    assert fields["bbox"] == [1, 0, 3, 3]
    assert fields["segmentation"]["size"] == SIZE


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        ({"size": SIZE, "counts": [3, 2]}, "sum to 5, its image has 12 pixels"),
        ({"size": SIZE, "counts": [3, 2**40]}, "its image has 12 pixels"),
        ({"size": SIZE, "counts": [-1, 13]}, "not non-negative integers"),
        ({"size": SIZE, "counts": [6.0, 6.0]}, "not non-negative integers"),
        ({"size": SIZE}, "not non-negative integers"),
        ({"size": SIZE, "counts": "000"}, "sum to 0"),
        ({"size": SIZE, "counts": "<é>"}, "hold 'é'"),
        ({"size": SIZE, "counts": "P"}, "end in the middle of a number"),
        ({"size": SIZE, "counts": "o" * 40}, "hold 'o'"),
        ([[1, 2, 3]], "not a list of x y"),
        (["polygon"], "not a list of x y"),
        ([[0, 0, 1, 0, 1, "1"]], "values that are not numbers"),
        ([[0, 0, 1, 0, 1, float("nan")]], "values that are not numbers"),
        ([[0, 0, 1e12, 0, 1, 1]], "far outside its 3 x 4 image"),
        ("polygon", "is str, expected polygons"),
    ],
)
def test_damaged_segmentations_are_refused_with_their_number(segmentation, told):
    with pytest.raises(DataError, match=f"annotation 7: .*{told}"):
        drawn(segmentation)


def test_run_lengths_of_another_image_are_refused():
    with pytest.raises(GeometryError, match=r"annotation 7: its run lengths have size \[4, 3\]"):
        drawn({"size": [4, 3], "counts": RUNS})


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'labelmend\[coco\]'"):
        pycocotools()
