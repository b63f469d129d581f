"""What is shown of a case: slices, outlines, places of findings, and how they are turned."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from drawing import AFFINE, box
from labelmend.io import Image
from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.page_pictures import Limits, Shown, case_block, chosen_slices

FLAT = Grid((12, 16), (2.0, 1.0))


def decoded(uri: str) -> tuple[str, np.ndarray]:
    """Kind and pixels of a data URI."""
    kind, _, data = uri.partition(";base64,")
    return kind, np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data))))


def labels(array: np.ndarray, grid: Grid = FLAT, **more: object) -> LabelMap:
    return LabelMap(array, grid, ("heart", "lung"), **more)  # type: ignore[arg-type]


def image(array: np.ndarray, grid: Grid = FLAT) -> Image:
    return Image(array.astype(np.float32), grid)


@pytest.fixture
def given() -> LabelMap:
    return labels(np.where(box((12, 16), (4, 10), (4, 10)), 2, 0))


@pytest.fixture
def stack() -> LabelMap:
    """8 x 10 x 9 voxels: heart in slices 3 to 6."""
    array = np.zeros((8, 10, 9), np.uint8)
    array[2:5, 2:9, 3:7] = 1
    return labels(array, Grid(array.shape, (1.0, 1.0, 4.0), AFFINE))


def test_outlines_run_along_the_faces_of_the_pixels(given: LabelMap) -> None:
    (only,) = case_block(Shown(given, None, None), [], Limits())["slices"]
    assert only == {"at": 1, "img": None, "given": {"1": "M4 4h6v6h-6z"}}


def test_only_classes_that_change_have_a_proposed_outline(given: LabelMap) -> None:
    array = given.array.copy()
    array[0, 0] = 1
    (only,) = case_block(Shown(given, labels(array), None), [], Limits())["slices"]
    assert only["prop"] == {"0": "M0 0h1v1h-1z"}


def test_a_class_that_is_proposed_away_has_an_empty_outline(given: LabelMap) -> None:
    (only,) = case_block(Shown(given, labels(0 * given.array), None), [], Limits())["slices"]
    assert only["prop"] == {"1": ""}


def test_overlapping_classes_have_an_outline_each() -> None:
    masks = np.stack([box((12, 16), (0, 2), (0, 2)), box((12, 16), (1, 3), (1, 3))])
    (only,) = case_block(Shown(labels(masks), None, None), [], Limits())["slices"]
    assert only["given"] == {"0": "M0 0h2v2h-2z", "1": "M1 1h2v2h-2z"}


def test_pixels_that_nobody_annotated_are_outlined_apart(given: LabelMap) -> None:
    array = given.array.copy()
    array[11] = 9
    (only,) = case_block(Shown(labels(array, ignore=9), None, None), [], Limits())["slices"]
    assert only["ignored"] == "M0 11h16v1h-16z"
    assert only["given"] == {"1": "M4 4h6v6h-6z"}


def test_the_picture_has_the_proportions_of_the_body(given: LabelMap) -> None:
    block = case_block(Shown(given, None, None), [], Limits())
    assert (block["w"], block["h"], block["ratio"]) == (16, 12, 24 / 16)


def test_black_and_white_are_set_around_the_labels(given: LabelMap) -> None:
    grey = np.zeros((1, 12, 16))
    grey[0, 4:10, 4:10] = 10
    grey[0, 0, 15] = 1e6  # far from the labels: must not make all else black
    (only,) = case_block(Shown(given, None, image(grey)), [], Limits())["slices"]
    kind, pixels = decoded(only["img"])
    assert kind == "data:image/png"
    assert pixels[5, 5] == 255
    assert pixels[0, 0] == 0


def test_a_constant_picture_is_mid_grey(given: LabelMap) -> None:
    (only,) = case_block(Shown(given, None, image(np.full((1, 12, 16), 7.0))), [], Limits())["slices"]
    assert set(decoded(only["img"])[1].ravel()) == {128}


def test_three_channels_are_shown_in_colour(given: LabelMap) -> None:
    colours = np.zeros((3, 12, 16))
    colours[0, 4:10, 4:10] = 255
    (only,) = case_block(Shown(given, None, image(colours)), [], Limits())["slices"]
    assert decoded(only["img"])[1][5, 5].tolist() == [255, 0, 0]


def test_a_large_picture_is_made_smaller_and_its_outline_is_not() -> None:
    grid = Grid((300, 600), (1.0, 1.0))
    large = labels(np.where(box(grid.shape, (101, 103), (7, 9)), 1, 0), grid)
    picture = image(np.random.default_rng(0).normal(size=(1, 300, 600)), grid)
    block = case_block(Shown(large, None, picture), [], Limits(max_side_px=200))
    kind, pixels = decoded(block["slices"][0]["img"])
    assert (kind, pixels.shape) == ("data:image/jpeg", (100, 200))
    assert (block["step"], block["slices"][0]["given"]) == (1, {"0": "M7 101h2v2h-2z"})


def test_a_very_large_mask_is_outlined_on_every_second_pixel() -> None:
    grid = Grid((4, 2000), (1.0, 1.0))
    block = case_block(Shown(labels(np.ones(grid.shape, int), grid), None, None), [], Limits())
    assert (block["w"], block["step"], block["slices"][0]["given"]) == (2000, 2, {"0": "M0 0h1000v2h-1000z"})


def test_a_volume_opens_on_the_middle_of_its_first_finding(stack: LabelMap) -> None:
    block = case_block(Shown(stack, None, None), [((2, 5), (2, 9), (4, 6))], Limits())
    assert (block["plane"], block["of"], block["ends"]) == ("axial slice", 9, "RLAP")
    assert block["slices"][block["start"]]["at"] == 6
    assert block["places"] == [{"box": [2, 2, 5, 9], "from": 4, "to": 5, "at": 5}]


def test_a_volume_without_finding_opens_where_the_proposal_differs(stack: LabelMap) -> None:
    array = stack.array.copy()
    array[2, 2, 6] = 0
    block = case_block(Shown(stack, labels(array, stack.grid), None), [None], Limits())
    assert block["slices"][block["start"]]["at"] == 7
    assert block["places"] == [None]


def test_a_picture_that_is_turned_takes_its_findings_along(stack: LabelMap) -> None:
    turned = Grid(stack.grid.shape, stack.grid.spacing_mm, np.diag([1.0, 1.0, 4.0, 1.0]))
    array = np.zeros(turned.shape, np.uint8)
    array[0, 1:3, 4] = 1
    block = case_block(Shown(labels(array, turned), None, None), [((0, 1), (1, 3), (4, 5))], Limits())
    shown = block["slices"][block["start"]]
    assert shown["given"] == {"0": "M7 7h1v2h-1z"}
    assert block["places"][0]["box"] == [7, 7, 8, 9]


def test_few_slices_are_those_with_findings_and_then_evenly_spread(stack: LabelMap) -> None:
    block = case_block(Shown(stack, None, None), [((2, 5), (2, 9), (0, 1))], Limits(max_slices=3))
    assert [found["at"] for found in block["slices"]] == [1, 4, 7]
    assert block["places"][0] == {"box": [2, 2, 5, 9], "from": 0, "to": 0, "at": 0}


def test_a_case_with_little_room_keeps_at_least_one_slice(stack: LabelMap) -> None:
    block = case_block(Shown(stack, None, None), [], Limits(max_bytes=1))
    assert [found["at"] for found in block["slices"]] == [4]


def test_with_room_enough_every_slice_is_kept() -> None:
    assert chosen_slices(np.zeros(5, bool), [3], 9) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("room", range(1, 12))
def test_as_many_slices_are_kept_as_there_is_room_for(room: int) -> None:
    chosen = chosen_slices(np.arange(12) > 6, [2, 2, 11], room)
    assert len(chosen) == len(set(chosen)) == room
    assert 2 in chosen
