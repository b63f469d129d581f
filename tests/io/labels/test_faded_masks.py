"""Masks that were smoothed are told from maps of many classes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from labelmend.io.labels.faded_masks import is_faded

DISC = (np.hypot(*np.mgrid[-32:32, -32:32]) <= 20).astype(np.uint8)
SQUARE = np.pad(np.ones((20, 30), np.uint8), 10)


@pytest.mark.parametrize("mask", [DISC, SQUARE], ids=["disc", "square"])
@pytest.mark.parametrize("value", [255, 128])
@pytest.mark.parametrize("scale", [0.5, 1.3, 3])
@pytest.mark.parametrize("method", [Pillow.Resampling.BILINEAR, Pillow.Resampling.BICUBIC], ids=str)
def test_a_resized_mask_is_faded(mask, value, scale, method):
    size = [round(n * scale) for n in mask.shape[::-1]]
    assert is_faded(np.array(Pillow.fromarray(mask * np.uint8(value)).resize(size, method)))


@pytest.mark.parametrize("quality", [50, 90])
def test_a_mask_that_was_a_jpeg_is_faded(quality):
    stream = BytesIO()
    Pillow.fromarray(DISC * np.uint8(255)).save(stream, "JPEG", quality=quality)
    assert is_faded(np.array(Pillow.open(stream)))


def test_many_small_areas_and_rings_are_classes():
    cells = np.kron(np.arange(64).reshape(8, 8), np.pad(np.ones((4, 3), int), 1))
    assert not is_faded(cells)
    assert not is_faded(np.where(cells == 63, 255, cells))
    assert not is_faded(np.stack([cells, cells]))
    assert not is_faded((np.hypot(*np.mgrid[-32:32, -32:32]) // 4).astype(np.uint8))


def test_two_values_are_never_faded_edges():
    assert not is_faded(np.array([[0, 1, 0, 2, 0, 1]]))
    assert not is_faded(np.zeros((3, 3), np.uint8))
