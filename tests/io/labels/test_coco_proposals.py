"""Proposals for a COCO file: a small COCO file a case, read like the given labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drawn_coco import CAT, DOG, GOOD, MISSED, coco_set, true_masks
from labelmend.errors import MissingDataError, UnreadableFileError
from labelmend.io import open_coco
from labelmend.io.labels.coco import CocoLabels
from labelmend.io.labels.coco_proposals import CocoProposals, write_proposal

pytest.importorskip("pycocotools")


@pytest.fixture
def given(tmp_path: Path) -> CocoLabels:
    return open_coco(coco_set(tmp_path) / "instances.json", spacing_mm=0.5)


def proposed(given: CocoLabels, case: str, masks: np.ndarray, folder: Path) -> Path:
    return write_proposal(folder, given, case, given.read(case).with_masks(masks))


def test_what_is_proposed_is_read_back_on_the_grid_of_the_given_labels(given, tmp_path):
    path = proposed(given, MISSED, true_masks(MISSED), tmp_path / "out")
    assert path == tmp_path / "out" / "a.json"
    read, old = CocoProposals({MISSED: path}, 0.5).read(MISSED), given.read(MISSED)
    np.testing.assert_array_equal(read.array, true_masks(MISSED))
    assert (read.classes, read.grid, read.overlapping) == (old.classes, old.grid, True)
    assert old.ignored().any()
    np.testing.assert_array_equal(read.ignored(), old.ignored())


def test_a_proposal_is_a_coco_file_with_one_annotation_a_class_and_the_crowds(given, tmp_path):
    path = proposed(given, MISSED, true_masks(MISSED), tmp_path)
    content = json.loads(path.read_text())
    assert content["images"] == [{"id": 10, "file_name": "val/a.png", "height": 64, "width": 64}]
    assert content["categories"] == [{"id": DOG, "name": "dog"}, {"id": CAT, "name": "cat"}]
    crowd, *drawn = content["annotations"]
    assert crowd == next(entry for entry in given.annotations[MISSED] if entry["iscrowd"])
    assert [(e["id"], e["image_id"], e["category_id"]) for e in drawn] == [(16, 10, DOG), (17, 10, CAT)]


def test_a_class_that_is_nowhere_has_no_annotation(given, tmp_path):
    path = proposed(given, GOOD, np.zeros((2, 64, 64), bool), tmp_path)
    assert json.loads(path.read_text())["annotations"] == []
    assert not CocoProposals({GOOD: path}).read(GOOD).array.any()


def test_an_image_that_shares_its_name_is_read_by_its_case(tmp_path):
    path = coco_set(tmp_path) / "instances.json"
    content = json.loads(path.read_text())
    content["images"][1]["file_name"] = "train/a.png"
    path.write_text(json.dumps(content))
    given = open_coco(path)
    assert given.cases == ("a_10", "a_20", "c")
    file = proposed(given, "a_20", true_masks("b"), tmp_path / "out")
    assert file.name == "a_20.json"
    np.testing.assert_array_equal(CocoProposals({"a_20": file}).read("a_20").array, true_masks("b"))


def test_a_proposal_that_is_gone_or_damaged_is_named(given, tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(MissingDataError, match=r"a\.json does not exist"):
        CocoProposals({MISSED: path}).read(MISSED)
    path.write_text("{")
    with pytest.raises(UnreadableFileError, match=r"a\.json is not valid JSON"):
        CocoProposals({MISSED: path}).read(MISSED)
