"""Dice and IoU of masks drawn by hand."""

import subprocess
import sys

import numpy as np
import pytest

from labelmend.errors import GeometryError
from labelmend.metrics import dice, iou

A = np.array([[1, 1, 1, 0], [1, 1, 1, 0]], bool)  # 6 pixels
B = np.array([[0, 1, 1, 1], [0, 0, 0, 0]], bool)  # 3 pixels, 2 of them in A
EMPTY = np.zeros((2, 4), bool)
FULL = np.ones((2, 4), bool)


def test_six_and_three_pixels_with_two_in_common():
    assert dice(A, B) == pytest.approx(2 * 2 / 9)
    assert iou(A, B) == pytest.approx(2 / 7)


def test_order_of_the_masks_does_not_matter():
    assert dice(A, B) == dice(B, A)
    assert iou(A, B) == iou(B, A)


@pytest.mark.parametrize("measure", [dice, iou])
def test_equal_masks_agree_fully(measure):
    assert measure(A, A) == 1
    assert measure(FULL, FULL) == 1


@pytest.mark.parametrize("measure", [dice, iou])
def test_two_empty_masks_are_not_a_number_unless_asked(measure):
    assert np.isnan(measure(EMPTY, EMPTY))
    assert measure(EMPTY, EMPTY, empty=1.0) == 1


@pytest.mark.parametrize("measure", [dice, iou])
def test_one_empty_mask_scores_zero(measure):
    assert measure(A, EMPTY) == 0
    assert measure(EMPTY, A, empty=1.0) == 0


def test_ignored_pixels_are_left_out_of_both():
    ignore = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], bool)
    # left: A has 4 pixels, B 2, both of them in A
    assert dice(A, B, ignore) == pytest.approx(2 * 2 / 6)
    assert iou(A, B, ignore) == pytest.approx(2 / 4)


def test_a_case_ignored_altogether_is_not_a_number():
    assert np.isnan(dice(A, B, FULL))


def test_three_dimensions():
    cube, slab = np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    cube[:2, :2, :2] = True  # 8 voxels
    slab[1] = True  # 9 voxels, 4 of them in the cube
    assert dice(cube, slab) == pytest.approx(8 / 17)
    assert iou(cube, slab) == pytest.approx(4 / 13)


def test_different_shapes_are_refused_instead_of_broadcast():
    with pytest.raises(GeometryError, match=r"\(2, 4\).*\(1, 4\)"):
        dice(A, B[:1])
    with pytest.raises(GeometryError, match=r"ignored pixels \(4,\)"):
        iou(A, B, np.zeros(4, bool))


def test_monai_agrees(rng):
    import torch
    from monai.metrics import compute_dice, compute_iou

    masks = rng.random((6, 1, 9, 8)) < np.linspace(0.05, 0.9, 6).reshape(6, 1, 1, 1)
    references = rng.random((6, 1, 9, 8)) < 0.4
    a, b = torch.from_numpy(masks), torch.from_numpy(references)
    theirs_dice = compute_dice(a.float(), b.float()).numpy()[:, 0]
    theirs_iou = compute_iou(a.float(), b.float()).numpy()[:, 0]
    for mask, reference, expected_dice, expected_iou in zip(
        masks[:, 0], references[:, 0], theirs_dice, theirs_iou, strict=True
    ):
        assert dice(mask, reference) == pytest.approx(expected_dice, abs=1e-6)
        assert iou(mask, reference) == pytest.approx(expected_iou, abs=1e-6)


def test_importing_the_metrics_does_not_load_torch():
    command = "import sys, labelmend.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
