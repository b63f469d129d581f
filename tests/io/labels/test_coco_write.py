"""Revised masks go back to the objects they belong to; what did not change stays, number and all."""

import dataclasses
import json

import numpy as np
import pytest

from labelmend.errors import ConfigError, DataError, GeometryError, MissingDataError, OutputError
from labelmend.io import open_coco, write_coco
from labelmend.io.labels.coco_write import Changed, shared_out
from labelmend.types import Grid, LabelMap

pytest.importorskip("pycocotools")

WIDE = (1, 8)


def runs(*mask):
    """A row of pixels as uncompressed run lengths."""
    changes = np.flatnonzero(np.diff([0, *mask, 1 - mask[-1]]))
    counts = np.diff([0, *changes]).tolist()
    return {"size": [1, len(mask)], "counts": counts}


ONE = runs(1, 1, 0, 0, 0, 0, 0, 0)
TWO = runs(0, 0, 0, 0, 1, 1, 0, 0)
DOG = runs(0, 1, 1, 1, 0, 0, 0, 0)


@pytest.fixture
def given(tmp_path):
    def entry(number, segmentation, category=1, **more):
        return {"id": number, "image_id": 5, "category_id": category, "segmentation": segmentation, **more}

    content = {
        "info": {"description": "naïve"},
        "images": [
            {"id": 5, "file_name": "a.jpg", "height": 1, "width": 8},
            {"id": 6, "file_name": "b.jpg", "height": 1, "width": 8},
        ],
        "annotations": [
            entry(21, ONE, area=1.5, bbox=[0, 0, 2, 1], iscrowd=0, note="kept"),
            entry(22, TWO, iscrowd=0),
            entry(23, [[1, 0, 4, 0, 4, 1, 1, 1]], category=2, iscrowd=0),
            entry(24, runs(0, 0, 0, 0, 0, 0, 0, 1), iscrowd=1),
            entry(25, [], bbox=[0, 0, 8, 1]),
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "licenses": [],
    }
    path = tmp_path / "given.json"
    path.write_text(json.dumps(content, indent=3))
    return open_coco(path)


def row(*values):
    return np.array([values], bool)


def with_cat(given, *values):
    """The labels of a.jpg with another mask of the cat."""
    labels = given.read("a")
    masks = labels.masks().copy()
    masks[0] = row(*values)
    return labels.with_masks(masks)


def written(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return content, {entry["id"]: entry for entry in content["annotations"]}


def test_nothing_changed_is_a_copy_byte_for_byte(given, tmp_path):
    out = write_coco(tmp_path / "out.json", given, {"a": given.read("a"), "b": given.read("b")})
    assert out.read_bytes() == given.path.read_bytes()


def test_only_the_object_that_changed_is_drawn_anew(given, tmp_path):
    out = write_coco(tmp_path / "out.json", given, {"a": with_cat(given, 1, 1, 1, 0, 1, 1, 0, 0)})
    content, entries = written(out)
    before, old = written(given.path)
    assert {key: value for key, value in content.items() if key != "annotations"} == {
        key: value for key, value in before.items() if key != "annotations"
    }
    assert [entry["id"] for entry in content["annotations"]] == [21, 22, 23, 24, 25]
    assert all(entries[number] == old[number] for number in (22, 23, 24, 25))
    assert entries[21] == {
        **old[21],
        "segmentation": {"size": [1, 8], "counts": "035"},
        "area": 3,
        "bbox": [0, 0, 3, 1],
    }


def test_what_was_written_reads_as_the_revised_masks(given, tmp_path):
    for values in ([0, 1, 1, 1, 1, 1, 0, 0], [0] * 8, [1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1, 0]):
        revised = with_cat(given, *values)
        out = write_coco(tmp_path / "out.json", given, [("a", revised)])
        np.testing.assert_array_equal(open_coco(out).read("a").masks(), revised.masks())
        np.testing.assert_array_equal(open_coco(out).read("a").ignored(), revised.ignored())


def test_an_object_with_nothing_left_loses_its_annotation(given, tmp_path):
    out = write_coco(tmp_path / "out.json", given, {"a": with_cat(given, 1, 1, 0, 0, 0, 0, 0, 0)})
    assert list(written(out)[1]) == [21, 23, 24, 25]


def test_a_new_object_gets_a_new_number(given, tmp_path):
    out = write_coco(tmp_path / "out.json", given, {"a": with_cat(given, 1, 1, 0, 0, 0, 0, 1, 0)})
    entries = written(out)[1]
    assert list(entries) == [21, 23, 24, 25, 26]
    assert entries[26] == {
        "id": 26,
        "image_id": 5,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": {"size": [1, 8], "counts": "611"},
        "area": 1,
        "bbox": [6, 0, 1, 1],
    }


def test_numbers_go_on_over_cases(given, tmp_path):
    labels = given.read("b")
    masks = np.stack([row(1, 0, 1, 0, 0, 0, 0, 0), row(1, 1, 1, 1, 1, 1, 1, 1)])
    out = write_coco(tmp_path / "out.json", given, {"b": labels.with_masks(masks)})
    new = [(e["id"], e["image_id"], e["category_id"]) for e in written(out)[0]["annotations"][5:]]
    assert new == [(26, 6, 1), (27, 6, 1), (28, 6, 2)]


def test_changed_objects_get_new_numbers_where_asked_for_and_what_changed_is_told(given, tmp_path):
    revised = given.read("a").with_masks(np.stack([row(1, 0, 0, 0, 0, 0, 1, 0), row(*[0] * 8)]))
    told = {}
    for new_ids, out in ((True, tmp_path / "new.json"), (False, tmp_path / "same.json")):
        told[new_ids] = []
        write_coco(
            out, given, {"a": revised}, new_ids=new_ids, on_case=lambda *t, to=told[new_ids]: to.append(t)
        )
    assert told[True] == [("a", Changed(redrawn=((21, 26),), removed=(22, 23), added=(27,)))]
    assert told[False] == [("a", Changed(redrawn=((21, 21),), removed=(22, 23), added=(26,)))]
    content, entries = written(tmp_path / "new.json")
    assert [entry["id"] for entry in content["annotations"]] == [26, 24, 25, 27]
    assert (entries[26]["note"], entries[26]["area"], entries[27]["category_id"]) == ("kept", 1, 1)
    assert open_coco(tmp_path / "new.json").read("a").masks().tolist() == revised.masks().tolist()


def test_the_given_file_is_never_overwritten(given, tmp_path):
    before = given.path.read_bytes()
    (tmp_path / "link.json").hardlink_to(given.path)
    for path in (given.path, tmp_path / "." / "given.json", tmp_path / "link.json"):
        with pytest.raises(OutputError, match="is the given file itself"):
            write_coco(path, given, {"a": with_cat(given, *[0] * 8)})
    assert given.path.read_bytes() == before


def test_labels_that_do_not_fit_are_errors_and_nothing_is_written(given, tmp_path):
    labels = given.read("a")
    narrow = LabelMap(np.zeros((2, 1, 3), bool), Grid((1, 3), (1.0, 1.0)), ("cat", "dog"))
    exclusive = LabelMap(np.zeros((1, 8), int), labels.grid, ("cat", "dog"))
    renamed = dataclasses.replace(labels, classes=("dog", "cat"))
    for revised, error in ((narrow, GeometryError), (exclusive, ConfigError), (renamed, ConfigError)):
        with pytest.raises(error, match="case a: labels"):
            write_coco(tmp_path / "out.json", given, {"a": revised})
    with pytest.raises(MissingDataError, match="no image for case z"):
        write_coco(tmp_path / "out.json", given, {"z": labels})
    with pytest.raises(DataError, match="case a has revised labels twice"):
        write_coco(tmp_path / "out.json", given, [("a", labels), ("a", labels)])
    assert not (tmp_path / "out.json").exists()


def test_added_pixels_go_to_the_nearest_object_they_touch():
    objects, fresh = shared_out([row(1, 1, 0, 0, 0, 0, 0, 0), row(0, 0, 0, 0, 0, 0, 1, 0)], row(*[1] * 7, 0))
    assert objects[0].astype(int).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert objects[1].astype(int).tolist() == [[0, 0, 0, 0, 1, 1, 1, 0]]
    assert fresh == []


def test_pixels_taken_away_are_taken_off_every_object():
    overlapping = [row(1, 1, 1, 0), row(0, 1, 1, 1)]
    objects, fresh = shared_out(overlapping, row(1, 0, 1, 1))
    assert [mask.astype(int).tolist() for mask in objects] == [[[1, 0, 1, 0]], [[0, 0, 1, 1]]]
    assert fresh == []


def test_pixels_that_touch_no_object_are_objects_of_their_own():
    objects, fresh = shared_out([row(1, 0, 0, 0, 0)], row(0, 0, 1, 0, 1))
    assert not objects[0].any()
    assert [mask.astype(int).tolist() for mask in fresh] == [[[0, 0, 1, 0, 0]], [[0, 0, 0, 0, 1]]]


def test_corners_count_as_touching():
    new = np.array([[1, 0], [0, 1]], bool)
    (grown,), fresh = shared_out([np.array([[1, 0], [0, 0]], bool)], new)
    assert grown.tolist() == new.tolist()
    assert fresh == []


def test_objects_and_new_ones_together_are_the_revised_mask(rng):
    for _ in range(50):
        objects = [rng.random((6, 7)) < 0.2 for _ in range(3)]
        new = rng.random((6, 7)) < rng.random()
        before = [mask.copy() for mask in objects]
        kept, fresh = shared_out(objects, new)
        np.testing.assert_array_equal(np.any([*kept, *fresh], axis=0), new)
        for mask, was, same in zip(kept, objects, before, strict=True):
            np.testing.assert_array_equal(was, same)  # inputs stay
            assert not (was & new & ~mask).any()  # what an object keeps of its own stays its own
