"""How a picture is turned for viewing: the orientation tag 1..8 of EXIF and TIFF.

Cameras keep pixels as the sensor saw them and say in a tag how to turn them. Viewers and drawing tools turn
them, so masks lie on the turned picture, and pictures are read as they are shown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.types import Grid

TAG = 274
_FLIPS_ROWS, _FLIPS_COLUMNS, _TURNS = (3, 4, 7, 8), (2, 3, 6, 7), (5, 6, 7, 8)


def as_shown(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels as every viewer shows them.

    Args:
        array: `(*any h w)`.
        orientation: 1 to 8; 1 shows them as stored.

    >>> as_shown(np.array([[1, 2, 3], [4, 5, 6]]), 6).tolist()
    [[4, 1], [5, 2], [6, 3]]
    """
    if orientation in _TURNS:
        array = np.swapaxes(array, -2, -1)
    return _flipped(array, orientation)


def stored(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `as_shown`: pixels as a file with this orientation tag keeps them."""
    array = _flipped(array, orientation)
    return np.swapaxes(array, -2, -1) if orientation in _TURNS else array


def checked_orientation(orientation: object) -> int:
    """An orientation tag as viewers take it: what is no number from 1 to 8 means 1."""
    return int(orientation) if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def turned_apart(image: Grid, labels: Grid) -> str:
    """What is wrong with labels that are turned otherwise than their image, in words; empty if nothing is.

    Labels without a tag belong to the image as it is shown, with the tag of the image to the stored one.

    Args:
        image: grid of the image.
        labels: grid of its labels.
    """
    if labels.orientation_tag not in (1, image.orientation_tag):
        its_own = f"has {image.orientation_tag}" if image.orientation_tag > 1 else "has none"
        return (
            f"the labels have the orientation tag {labels.orientation_tag}, but the image {its_own}: turn "
            "both as they are shown and drop the tag (ImageMagick: -auto-orient)"
        )
    tag, unturned = image.orientation_tag, (*image.shape[:-2], image.shape[-1], image.shape[-2])
    if tag in _TURNS and labels.orientation_tag == 1 and labels.shape == unturned != image.shape:
        return (
            f"the image has the orientation tag {tag} and is shown as {image.shape}, but the "
            f"labels have the shape {labels.shape} of its unturned pixels: turn them as the image is shown"
        )
    return ""


def _flipped(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation in _FLIPS_ROWS:
        array = array[..., ::-1, :]
    return array[..., ::-1] if orientation in _FLIPS_COLUMNS else array
