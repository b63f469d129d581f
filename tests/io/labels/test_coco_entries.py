"""What tools write into COCO files, and what is made of it."""

import json

import numpy as np
import pytest
from PIL import Image

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io import open_coco, write_coco
from labelmend.io.files.limits import MAX_GIB
from labelmend.io.labels.coco_entries import is_crowd, number_of
from labelmend.io.labels.coco_proposals import CocoProposals, write_proposal
from labelmend.types import LabelMap

pytest.importorskip("pycocotools")

IMAGES = [{"id": i, "file_name": f"{name}.png", "height": 2, "width": 2} for i, name in ((1, "a"), (2, "b"))]
LEFT = {"size": [2, 2], "counts": [0, 2, 2]}
RIGHT = {"size": [2, 2], "counts": [2, 2]}
SQUARE = [[0, 0, 2, 0, 2, 2, 0, 2]]


def drawn(number, mask, image=1, category=1, **more):
    return {"id": number, "image_id": image, "category_id": category, "segmentation": mask, **more}


def coco(folder, annotations, images=IMAGES, categories=({"id": 1, "name": "cell"},), **more):
    path = folder / "given.json"
    content = {"images": list(images), "annotations": annotations, "categories": list(categories), **more}
    path.write_text(json.dumps(content))
    return path


def pixels(labels, case="a"):
    return labels.read(case).array.astype(int).tolist()


def revised(labels, case, mask):
    given = labels.read(case)
    return {
        case: LabelMap(np.array([mask], bool), given.grid, given.classes, ignored_mask=given.ignored_mask)
    }


def test_a_file_of_nothing_but_crowds_holds_objects_and_says_so(tmp_path):
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT, iscrowd=1), drawn(2, RIGHT, image=2, iscrowd=1)]))
    assert pixels(labels) == [[[1, 0], [1, 0]]]
    assert labels.read("a").ignored_mask is None
    (note,) = labels.notes
    assert note.startswith("2 masks are marked as crowds (iscrowd 1) but read as objects, since the file")


def test_an_image_of_nothing_but_crowds_holds_objects_and_a_crowd_beside_objects_does_not(tmp_path):
    given = [drawn(1, LEFT, iscrowd=1), drawn(2, LEFT, image=2), drawn(3, RIGHT, image=2, iscrowd=1)]
    labels = open_coco(coco(tmp_path, given))
    assert labels.crowd_objects == {"a"}
    assert pixels(labels, "b") == [[[1, 0], [1, 0]]]
    assert labels.read("b").ignored_mask.astype(int).tolist() == [[0, 1], [0, 1]]
    told = " ".join(labels.notes)
    assert "1 mask is marked" in told
    assert "1 crowd region (iscrowd 1) is ignored" in told
    assert labels.only("a").read("a").masks().sum() == 2  # also where one case is sent to a worker


def test_boxes_without_a_mask_do_not_decide_what_crowds_are(tmp_path):
    box = drawn(2, [], image=1, bbox=[0, 0, 1, 1], iscrowd=0)
    assert pixels(open_coco(coco(tmp_path, [drawn(1, LEFT, iscrowd=1), box]))) == [[[1, 0], [1, 0]]]


@pytest.mark.parametrize("said", ["0", "false", "", 0, 0.0, False, None])
def test_no_crowd_is_written_in_many_ways(said):
    assert not is_crowd({"iscrowd": said})
    assert not is_crowd({})


@pytest.mark.parametrize("said", ["1", "True", " yes ", 1, 1.0, True])
def test_a_crowd_is_written_in_many_ways(said):
    assert is_crowd({"iscrowd": said})


@pytest.mark.parametrize("said", ["maybe", 2, -1, [1], {}, float("nan")])
def test_what_may_be_a_crowd_or_not_is_refused(said):
    with pytest.raises(DataError, match="its iscrowd is"):
        is_crowd({"iscrowd": said})


def test_objects_marked_as_crowds_keep_their_mark_and_read_back_the_same(tmp_path):
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT, iscrowd=1)]))
    out = write_coco(tmp_path / "out.json", labels, revised(labels, "b", [[0, 1], [0, 0]]))
    entries = json.loads(out.read_text())["annotations"]
    assert [entry["iscrowd"] for entry in entries] == [1, 1]
    assert pixels(open_coco(out), "b") == [[[0, 1], [0, 0]]]


def test_a_crowd_stays_ignored_where_the_last_object_beside_it_is_taken_away(tmp_path):
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT), drawn(2, RIGHT, iscrowd=1)]))
    changed = revised(labels, "a", [[0, 0], [0, 0]])
    again = open_coco(write_coco(tmp_path / "out.json", labels, changed))
    assert pixels(again) == [[[0, 0], [0, 0]]]
    assert again.read("a").ignored_mask.astype(int).tolist() == [[0, 1], [0, 1]]
    proposal = write_proposal(tmp_path, labels, "a", changed["a"])
    assert CocoProposals({"a": proposal}).read("a").masks().sum() == 0


def test_a_file_that_reads_back_otherwise_is_not_kept(tmp_path, monkeypatch):
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT)]))
    monkeypatch.setattr(
        "labelmend.io.labels.coco_write.drawn_as",
        lambda mask: {"segmentation": {"size": [2, 2], "counts": [0, 4]}},
    )
    with pytest.raises(Exception, match=r"out\.json does not read back"):
        write_coco(tmp_path / "out.json", labels, revised(labels, "a", [[1, 0], [0, 0]]))
    assert not (tmp_path / "out.json").exists()


def test_ids_as_text_are_numbers_and_stay_text(tmp_path):
    images = [{**IMAGES[0], "id": "1"}]
    path = coco(tmp_path, [drawn("7", LEFT, image="1", category="1")], images)
    labels = open_coco(path)
    out = write_coco(tmp_path / "out.json", labels, revised(labels, "a", [[1, 1], [1, 1]]), new_ids=True)
    (entry,) = json.loads(out.read_text())["annotations"]
    assert (entry["id"], entry["image_id"], entry["category_id"]) == ("8", "1", "1")


@pytest.mark.parametrize(
    "value", ["²", "1a", "-1", [1], {}, None, True, 1.5, float("inf"), 10**300, "9" * 300]
)
def test_what_is_no_number_is_none(value):
    assert number_of(value) is None


@pytest.mark.parametrize(
    "root",
    [
        {"id": 0, "name": "cell", "supercategory": "none"},
        {"id": 0, "name": "cell", "supercategory": None},
        {"id": 0, "name": "", "supercategory": ""},
        {"id": 0, "name": None},
        {"id": 0, "name": "cells", "supercategory": "none"},
    ],
)
def test_a_category_that_only_groups_others_is_left_out_and_told(tmp_path, root):
    child = {"id": 1, "name": "cell", "supercategory": "cells"}
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT)], categories=[root, child]))
    assert labels.classes == ("cell",)
    assert "only group others" in labels.notes[0]


def test_a_category_that_names_itself_as_its_group_stays_without_annotations(tmp_path):
    person = {"id": 2, "name": "person", "supercategory": "person"}
    labels = open_coco(coco(tmp_path, [drawn(1, LEFT)], categories=[{"id": 1, "name": "cell"}, person]))
    assert labels.classes == ("cell", "person")


def test_polygons_of_two_points_are_counted(tmp_path):
    labels = open_coco(coco(tmp_path, [drawn(1, [[0, 0, 2, 2], *SQUARE]), drawn(2, [[0, 0, 2, 2]], image=2)]))
    assert labels.notes == (
        "1 annotation has no mask (only a box or keypoints) and is left out.",
        "2 polygons have fewer than three vertices and are left out.",
    )


def test_a_size_that_is_null_comes_from_the_image_or_from_run_lengths(tmp_path):
    unknown = [{"id": 1, "file_name": "a.png", "height": None, "width": None}]
    assert open_coco(coco(tmp_path, [drawn(1, LEFT)], unknown)).images["a"].shape == (2, 2)
    path = coco(tmp_path, [drawn(1, SQUARE)], unknown)
    with pytest.raises(DataError, match=r"image 1 \('a.png'\) has no height and width"):
        open_coco(path)
    Image.new("L", (5, 3)).save(tmp_path / "a.png")
    labels = open_coco(path, images=tmp_path)
    assert labels.images["a"].shape == (3, 5)
    out = write_coco(tmp_path / "out.json", labels, revised(labels, "a", np.ones((3, 5))))
    assert open_coco(out, images=tmp_path).read("a").masks().sum() == 15


def test_sizes_that_no_memory_holds_are_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv(MAX_GIB, "1")
    big = [{"id": 1, "file_name": "a.png", "height": 100_000, "width": 100_000}]
    with pytest.raises(
        UnreadableFileError, match=r"given\.json declares 1 classes on 100000 x 100000 pixels"
    ):
        open_coco(coco(tmp_path, [], big))


@pytest.mark.parametrize("corner", [10**400, -(10**400), 1e300])
def test_coordinates_of_any_length_are_refused_in_one_sentence(tmp_path, corner):
    path = coco(tmp_path, [drawn(1, [[0, 0, corner, 0, 2, 2]])])
    with pytest.raises(DataError, match="annotation 1: a polygon is far outside"):
        open_coco(path).read("a")
