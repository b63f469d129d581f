"""Grey windows, data URIs and the before-and-after panels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from labelmend.errors import GeometryError
from labelmend.html.figures import CLEAN, CORRECTED, GIVEN, before_after, data_uri, grey


def near(picture: Image.Image, colour: str) -> int:
    """Pixels that are nearly of a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(np.asarray(picture, int) - wanted).max(axis=-1) < 25).sum())


def test_one_percent_at_either_end_is_cut_off() -> None:
    picture = np.arange(101, dtype=float).reshape(1, 101)
    pixels = grey(picture)[0]
    assert pixels[[0, 1, 50, 99, 100]].tolist() == [0, 0, 128, 255, 255]


def test_a_constant_picture_is_mid_grey_and_a_lone_bright_pixel_is_seen() -> None:
    assert grey(np.full((2, 2), 7.0)).tolist() == [[128, 128], [128, 128]]
    lone = np.zeros((20, 20))
    lone[3, 3] = 5
    assert grey(lone)[3, 3] == 255


def test_colours_are_averaged_and_of_other_channels_the_first_is_shown() -> None:
    ramp = np.linspace(0, 1, 50).reshape(1, 50)
    assert np.array_equal(grey(np.stack([ramp, ramp * 0, ramp * 0])), grey(ramp))
    assert np.array_equal(grey(np.stack([ramp, ramp[:, ::-1]])), grey(ramp))


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_a_small_picture_is_kept_without_loss(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    uri = data_uri(pixels)
    assert uri.startswith("data:image/png;base64,")
    assert np.array_equal(decoded(uri), pixels)


def test_a_large_noisy_picture_becomes_a_smaller_jpeg(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (500, 500), dtype=np.uint8)
    uri = data_uri(pixels)
    assert uri.startswith("data:image/jpeg;base64,")
    assert decoded(uri).shape == (500, 500)


@pytest.fixture
def masks() -> np.ndarray:
    mask = np.zeros((1, 40, 60), bool)
    mask[0, 10:30, 10:30] = True
    return mask


def test_each_panel_carries_its_own_colour(masks: np.ndarray) -> None:
    image = np.zeros((40, 60))
    sheet = before_after(image, masks, masks, masks, classes=["lung"])
    third = sheet.width // 3
    for i, colour in enumerate((GIVEN, CORRECTED, CLEAN)):
        panel = sheet.crop((i * third, 0, (i + 1) * third, 40 * 3))
        assert near(panel, colour) > 100
        assert all(near(panel, other) == 0 for other in (GIVEN, CORRECTED, CLEAN) if other != colour)


def test_without_clean_there_are_two_panels(masks: np.ndarray) -> None:
    image = np.zeros((40, 60))
    two, three = (before_after(image, masks, masks, c, classes=["lung"]) for c in (None, masks))
    assert two.width - 8 == (three.width - 8) * 2 / 3
    assert near(two, CLEAN) == 0


def test_the_outline_lies_on_the_pixel_faces_three_times_enlarged(masks: np.ndarray) -> None:
    sheet = before_after(np.zeros((40, 60)), masks, masks, classes=["lung"])
    gap, middle = 8, 20 * 3
    row = np.asarray(sheet, float)[gap + middle, gap : gap + 60 * 3]
    orange = row[:, 0] - row[:, 2]  # the picture is grey: only the outline has colour
    for half, face in ((slice(0, 60), 10), (slice(60, 180), 30)):
        centre = np.average(np.arange(180)[half] + 0.5, weights=orange[half])
        assert centre == pytest.approx(face * 3, abs=0.5)


def test_empty_masks_can_be_drawn() -> None:
    empty = np.zeros((2, 20, 20), bool)
    assert before_after(np.zeros((20, 20)), empty, empty, empty, classes=["a", "b"]).height > 60


def test_volumes_and_missing_names_are_refused(masks: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="draws one slice"):
        before_after(np.zeros((40, 60)), masks, masks, classes=["a", "b"])
    with pytest.raises(GeometryError, match="draws one slice"):
        before_after(np.zeros((40, 61)), masks, masks, classes=["a"])
