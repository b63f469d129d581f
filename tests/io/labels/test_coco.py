"""COCO files as overlapping classes, one case an image."""

import json
import pickle
import sys

import numpy as np
import pytest

from labelmend.errors import (
    DataError,
    GeometryError,
    MissingDataError,
    MissingExtraError,
    UnreadableFileError,
)
from labelmend.io import open_coco, open_probabilities

pytest.importorskip("pycocotools")

IMAGES = [
    {"id": 11, "file_name": "one.jpg", "height": 3, "width": 4},
    {"id": 12, "file_name": "val/two.v2.png", "height": 2, "width": 2},
]
CATEGORIES = [{"id": 9, "name": "cat"}, {"id": 3, "name": "dog", "supercategory": "animal"}]
LEFT = [[0, 0, 2, 0, 2, 3, 0, 3]]
MIDDLE = {"size": [3, 4], "counts": [3, 6, 3]}
RIGHT = {"size": [3, 4], "counts": "93"}


def annotation(number, segmentation, image=11, category=9, **more):
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def coco(tmp_path, annotations=(), images=IMAGES, categories=CATEGORIES, **more):
    path = tmp_path / "instances.json"
    content = {"images": list(images), "annotations": list(annotations), "categories": list(categories)}
    path.write_text(json.dumps({**content, **more}))
    return path


def test_a_class_is_the_union_of_its_annotations(tmp_path):
    labels = open_coco(
        coco(tmp_path, [annotation(1, LEFT), annotation(2, MIDDLE), annotation(3, MIDDLE, category=3)])
    )
    read = labels.read("one")
    assert labels.classes == ("dog", "cat")  # in the order of their numbers
    assert read.overlapping
    assert labels.overlapping
    assert read.masks().astype(int).tolist() == [[[0, 1, 1, 0]] * 3, [[1, 1, 1, 0]] * 3]
    assert read.ignored_mask is None
    assert labels.read("two.v2").masks().sum() == 0


def test_all_three_ways_to_draw_give_masks(tmp_path):
    labels = open_coco(coco(tmp_path, [annotation(1, LEFT), annotation(2, MIDDLE), annotation(3, RIGHT)]))
    masks = [mask[0].astype(int).tolist() for _, mask in labels.drawn("one")]
    assert masks == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]


def test_crowds_are_ignored_and_belong_to_no_class(tmp_path):
    crowd = annotation(2, MIDDLE, iscrowd=1)
    labels = open_coco(coco(tmp_path, [annotation(1, LEFT, iscrowd=0), crowd]))
    read = labels.read("one")
    assert read.ignored()[0].astype(int).tolist() == [0, 1, 1, 0]
    assert read.masks()[1, 0].astype(int).tolist() == [1, 1, 0, 0]
    assert [entry["id"] for entry, _ in labels.drawn("one")] == [1]


def test_cases_are_called_as_their_files_without_folder_and_suffix(tmp_path):
    assert open_coco(coco(tmp_path)).cases == ("one", "two.v2")


def test_names_that_are_the_same_get_their_number(tmp_path):
    names = ("a/x.jpg", "b/x.jpg", "y.webp", "../..", "", "C:\\z.png")
    images = [{"id": i, "file_name": name, "height": 1, "width": 1} for i, name in enumerate(names)]
    labels = open_coco(coco(tmp_path, images=images))
    assert labels.cases == ("image_3", "image_4", "x_0", "x_1", "y", "z")


def test_numbers_that_make_names_the_same_again_become_the_names(tmp_path):
    images = [
        {"id": i, "file_name": n, "height": 1, "width": 1}
        for i, n in enumerate(("x.jpg", "x.png", "x_1.png"))
    ]
    assert open_coco(coco(tmp_path, images=images)).cases == ("image_0", "image_1", "image_2")


def test_images_are_found_below_a_folder_and_never_outside(tmp_path):
    (tmp_path / "images" / "val").mkdir(parents=True)
    for name in ("images/one.jpg", "images/val/two.v2.png", "secret.png", "images/flat.png"):
        (tmp_path / name).touch()
    images = [
        *IMAGES,
        {"id": 13, "file_name": "../secret.png", "height": 1, "width": 1},
        {"id": 14, "file_name": str(tmp_path / "secret.png"), "height": 1, "width": 1},
        {"id": 15, "file_name": "deep/below/flat.png", "height": 1, "width": 1},
        {"id": 16, "file_name": "absent.png", "height": 1, "width": 1},
    ]
    labels = open_coco(coco(tmp_path, images=images))
    assert labels.image_files(tmp_path / "images") == {
        "one": tmp_path / "images" / "one.jpg",
        "two.v2": tmp_path / "images" / "val" / "two.v2.png",
        "flat": tmp_path / "images" / "flat.png",
    }


def test_lengths_are_in_pixels_unless_the_spacing_is_given(tmp_path):
    path = coco(tmp_path)
    assert open_coco(path).read("one").grid.unit == "px"
    grid = open_coco(path, spacing_mm=0.5).read("one").grid
    assert (grid.spacing_mm, grid.unit) == ((0.5, 0.5), "mm")


def test_boxes_and_key_points_are_a_note(tmp_path):
    boxes = [annotation(1, []), {"id": 2, "image_id": 11, "category_id": 9, "bbox": [0, 0, 1, 1]}]
    labels = open_coco(coco(tmp_path, [*boxes, annotation(3, LEFT)]))
    assert labels.notes == ("2 annotations have no mask (only a box or keypoints) and are left out.",)
    assert len(labels.drawn("one")) == 1
    assert open_coco(coco(tmp_path, [annotation(3, LEFT)])).notes == ()


def test_one_case_goes_to_a_worker_and_reads_the_same(tmp_path):
    labels = open_coco(
        coco(tmp_path, [annotation(1, LEFT), annotation(2, {"size": [2, 2], "counts": [4]}, 12)])
    )
    sent = pickle.loads(pickle.dumps(labels.only("one")))
    assert sent.cases == ("one",)
    np.testing.assert_array_equal(sent.read("one").array, labels.read("one").array)
    assert sent.checksum("one") == labels.checksum("one")
    with pytest.raises(MissingDataError, match="no image for case three"):
        labels.only("three")


def test_the_checksum_of_a_case_changes_with_its_annotations_only(tmp_path):
    other = annotation(2, {"size": [2, 2], "counts": [4]}, 12)
    before = open_coco(coco(tmp_path, [annotation(1, LEFT)]))
    after = open_coco(coco(tmp_path, [annotation(1, LEFT), other], info={"year": 2026}))
    assert before.checksum("one") == after.checksum("one")
    assert before.checksum("two.v2") != after.checksum("two.v2")
    assert before.checksum("one").startswith("sha256:")


def test_probabilities_belong_to_cases_and_classes_of_the_file(tmp_path):
    labels = open_coco(coco(tmp_path, [annotation(1, LEFT)], images=IMAGES[:1]))
    probs = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    (tmp_path / "probs").mkdir()
    np.save(tmp_path / "probs" / "one.npy", probs)
    found = open_probabilities(tmp_path / "probs", labels)
    np.testing.assert_array_equal(found.read("one", labels.read("one")), probs)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"annotations": [annotation(1, LEFT, image=5)]}, "annotation 1 has the image_id 5"),
        ({"annotations": [annotation(1, LEFT, category=5)]}, "annotation 1 has the category_id 5"),
        (
            {"annotations": [annotation(1, LEFT), annotation(1, LEFT)]},
            r"two entries \(annotation\) with the id 1",
        ),
        ({"annotations": [annotation("1a", LEFT)]}, r"an entry \(annotation\) with the id '1a'"),
        ({"annotations": [annotation(1, LEFT, image=[11])]}, r"annotation 1 has the image_id \[11\]"),
        ({"annotations": [annotation(1, LEFT, iscrowd="maybe")]}, "annotation 1: its iscrowd is 'maybe'"),
        ({"annotations": [annotation(1, LEFT, iscrowd=2)]}, "annotation 1: its iscrowd is 2"),
        ({"annotations": ["text"]}, "with the id None"),
        ({"images": [*IMAGES, IMAGES[0]]}, r"two entries \(image\) with the id 11"),
        ({"images": [{"id": 1, "file_name": "x", "height": 0, "width": 4}]}, r"image 1 has .* \(0, 4\)"),
        ({"images": [{"id": 1, "file_name": "x"}]}, r"image 1 \('x'\) has no height and width"),
        ({"categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]}, "has two categories named 'x'"),
        ({"categories": [{"id": 1}]}, "or one without a name"),
    ],
)
def test_parts_that_do_not_fit_together_are_errors(tmp_path, changed, told):
    with pytest.raises(DataError, match=told):
        open_coco(coco(tmp_path, **changed))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{broken", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "has no images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": []}', "has no images or categories"),
        ('{"images": [{}], "annotations": [{"segments_info": []}], "categories": [{}]}', "panoptic"),
    ],
)
def test_other_files_are_told(tmp_path, text, told):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UnreadableFileError, match=f"x.json .*{told}"):
        open_coco(tmp_path / "x.json")


def test_a_damaged_mask_is_named_with_case_file_and_number(tmp_path):
    labels = open_coco(coco(tmp_path, [annotation(5, {"size": [9, 9], "counts": [81]})]))
    with pytest.raises(GeometryError, match=r"case one: .*instances.json: annotation 5: .*size \[9, 9\]"):
        labels.read("one")


def test_without_pycocotools_opening_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"labelmend\[coco\]"):
        open_coco(coco(tmp_path))
