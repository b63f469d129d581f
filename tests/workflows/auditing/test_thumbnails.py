"""Thumbnails of cases: both outlines, the slice where they differ, the shape in mm."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from drawing import box
from drawn_findings import exclusive, overlapping, sure
from labelmend.html.figures import CORRECTED, GIVEN
from labelmend.workflows.auditing.thumbnails import case_thumbnail


def pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), int)


def where(picture: np.ndarray, colour: str) -> np.ndarray:
    """`(h w)` booleans: pixels that are nearly of a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(picture - wanted).max(axis=-1) < 60


SHAPE = (32, 32)
DRAWN, PREDICTED = box(SHAPE, (4, 14), (4, 14)), box(SHAPE, (18, 28), (18, 28))


def test_given_and_predicted_outlines_lie_where_they_are():
    picture = pixels(case_thumbnail(exclusive(DRAWN), sure(PREDICTED * 1, 1)))
    given, predicted = (np.argwhere(where(picture, colour)).mean(axis=0) for colour in (GIVEN, CORRECTED))
    np.testing.assert_allclose(given, [9 * 3, 9 * 3], atol=2)
    np.testing.assert_allclose(predicted, [23 * 3, 23 * 3], atol=2)


def test_classes_that_overlap_are_drawn_too():
    probs = np.stack([DRAWN, np.roll(PREDICTED, -8, axis=1)]).astype(np.float32)
    picture = pixels(case_thumbnail(overlapping([DRAWN, PREDICTED]), probs))
    np.testing.assert_allclose(np.argwhere(where(picture, CORRECTED)).mean(axis=0), [23 * 3, 15 * 3], atol=3)


def test_of_a_volume_the_slice_with_the_difference_is_shown_in_the_shape_of_its_mm():
    given = np.zeros((5, *SHAPE), bool)
    given[1] = DRAWN
    predicted = np.zeros_like(given)
    predicted[1], predicted[3] = DRAWN, PREDICTED
    image = np.zeros((1, *given.shape), np.float32)
    labels = exclusive(given, spacing_mm=(4, 2, 1))
    picture = pixels(case_thumbnail(labels, sure(predicted * 1, 1), image))
    assert picture.shape == (96, 48, 3)
    assert where(picture, CORRECTED).any()
    assert not where(picture, GIVEN).any()
