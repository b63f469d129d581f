"""Masks in the formats of CVAT and Label Studio, read back by independent slow readers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from drawing import box
from labelmend.types import Grid, LabelMap
from labelmend.workflows.reviewing.brush_masks import (
    cvat_xml,
    label_studio_config,
    label_studio_tasks,
    packed,
)

SHAPE = (5, 7)


def unpacked(data: bytes) -> list[int]:
    """The numbers in the code of @thi.ng/rle-pack, read bit by bit as its documentation says."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def number(width: int) -> int:
        nonlocal at
        at += width
        return int(bits[at - width : at], 2)

    total, word = number(32), number(5) + 1
    widths = [number(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < total:
        repeated, length = number(1), number(widths[number(2)]) + 1
        out += [number(word)] * length if repeated else [number(word) for _ in range(length)]
    return out


def labelled(case: int = 0) -> LabelMap:
    array = np.where(box(SHAPE, (0, 2), (3, 7)), 1, 0)
    array[4, 0] = array[2 + case, 2] = 2
    return LabelMap(array, Grid(SHAPE, (1.0, 1.0)), ("heart", "a<b"))


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros(SHAPE, bool),
        np.ones(SHAPE, bool),
        box(SHAPE, (1, 3), (2, 5)),
        np.random.default_rng(1).random((40, 60)) < 0.4,
        np.ones((160, 150), bool),
    ],
    ids=["empty", "full", "box", "speckled", "longer than one run can say"],
)
def test_a_packed_mask_reads_back(mask: np.ndarray) -> None:
    assert unpacked(packed(mask)) == np.repeat(mask.ravel() * 255, 4).tolist()


def test_a_cvat_mask_reads_back_inside_its_box() -> None:
    root = ElementTree.fromstring(cvat_xml([(Path("x/1.png"), labelled()), (Path("2.png"), labelled(1))]))
    images = root.findall("image")
    assert [(i.get("name"), i.get("width"), i.get("height")) for i in images] == [
        ("1.png", "7", "5"),
        ("2.png", "7", "5"),
    ]
    for case, element in enumerate(images):
        drawn = np.zeros(SHAPE, int)
        for value, mask in enumerate(element.findall("mask"), start=1):
            runs = [int(n) for n in str(mask.get("rle")).split(",")]
            flat = np.repeat(np.arange(len(runs)) % 2, runs)
            width, height = int(mask.get("width", "")), int(mask.get("height", ""))
            top, left = int(mask.get("top", "")), int(mask.get("left", ""))
            drawn[top : top + height, left : left + width] += value * flat.reshape(height, width)
        np.testing.assert_array_equal(drawn, labelled(case).array)


def test_cvat_knows_all_labels_also_those_without_a_mask() -> None:
    empty = LabelMap(np.zeros(SHAPE, int), Grid(SHAPE, (1.0, 1.0)), ("heart", "a<b"))
    root = ElementTree.fromstring(cvat_xml([(Path("1.png"), empty)]))
    assert [e.text for e in root.findall("meta/task/labels/label/name")] == ["heart", "a<b"]
    assert root.findall("image/mask") == []


def test_label_studio_tasks_point_below_the_served_folder() -> None:
    (task,) = label_studio_tasks([(Path("/data/x/a b#.png"), labelled())], Path("/data"))
    assert task["data"] == {"image": "/data/local-files/?d=x/a%20b%23.png"}
    results = task["predictions"][0]["result"]
    assert [r["value"]["brushlabels"] for r in results] == [["heart"], ["a<b"]]
    mask = np.array(unpacked(bytes(results[0]["value"]["rle"]))).reshape(*SHAPE, 4)[..., 0] > 0
    np.testing.assert_array_equal(mask, labelled().array == 1)
    assert (results[0]["original_height"], results[0]["original_width"]) == SHAPE


def test_the_labelling_interface_names_the_classes() -> None:
    view = ElementTree.fromstring(label_studio_config(("heart", 'a"<b')))
    assert [e.get("value") for e in view.iter("Label")] == ["heart", 'a"<b']
    assert view.find("BrushLabels").get("toName") == view.find("Image").get("name")  # type: ignore[union-attr]


def test_regions_have_ids_of_their_own() -> None:
    tasks = label_studio_tasks([(Path("/d/1.png"), labelled()), (Path("/d/2.png"), labelled())], Path("/d"))
    ids = [r["id"] for task in tasks for r in task["predictions"][0]["result"]]
    assert len(set(ids)) == 4
    assert ids[0] == hashlib.sha256(b"/d/1.png\nheart").hexdigest()[:10]
