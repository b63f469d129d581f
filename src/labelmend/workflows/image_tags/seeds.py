"""From class maps and image-level tags to seeds: confident pixels of classes and background, others unsure.

    gated map     max(0, map) / its maximum in the image if the class is tagged, else 0
    class j       the gated map of j is the largest and >= foreground
    background    every gated map is <= background
    unsure        all other pixels

A map is never normalised for a class absent from the image: that would create a peak of 1 from noise.

Paper: the two thresholds are those of Ahn, Cho, Kwak, "Weakly Supervised Learning of Instance Segmentation
    with Inter-pixel Relations" (IRN), CVPR 2019.
Differs: IRN refines the maps by a dense CRF before each threshold; here refinement is a separate step.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.types import BoolArray, FloatArray

Conflict = Literal["argmax", "ignore", "smaller"]

IGNORE = 255
"""Label of unsure pixels; there can be one class fewer."""


def gated(maps: ArrayLike, tags: ArrayLike) -> FloatArray:
    """Class maps in [0, 1]: the positive part over its maximum where the class is tagged, else exactly 0.

    Args:
        maps: `(k *space)` class maps of one image, finite, of any range.
        tags: `(k)` booleans, or 0 and 1: which classes the image contains. They are taken as true: threshold
            predicted tags first, since a tagged class always reaches 1.

    Returns:
        `(k *space)` floats. A tagged class without a positive value is 0 everywhere.

    Raises:
        GeometryError: shapes do not match. LabelValueError: a map contains NaN or infinity, or a tag is
            neither 0 nor 1.

    >>> gated([[2.0, 1.0, -1.0], [0.1, 0.2, 0.3]], [True, False]).tolist()
    [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    checked, present = _check(maps, tags)
    positive = np.maximum(checked, 0) * _to_maps(present, checked.ndim)
    top = positive.max(axis=tuple(range(1, checked.ndim)), keepdims=True)
    return np.divide(positive, top, out=np.zeros_like(positive), where=top > 0)


def seeds(
    maps: ArrayLike,
    tags: ArrayLike,
    *,
    foreground: float = 0.3,
    background: float = 0.05,
    conflict: Conflict = "argmax",
) -> NDArray[np.uint8]:
    """Labels of the pixels about which class maps are confident.

    An image without any tag is all background. If the map of a tagged class has no positive value, its
    location is unknown, and no pixel is labelled background.

    Args:
        maps: `(k *space)` class maps of one image, finite, up to 254 classes; they are gated here.
        tags: `(k)` booleans, or 0 and 1: which classes the image holds.
        foreground: lowest gated value of class pixels. A higher one gives less foreground (with "ignore", a
            pixel claimed by two classes may then belong to one).
        background: a pixel is background if no gated value exceeds this.
            0 <= background < foreground <= 1.
        conflict: if two or more classes reach `foreground`: "argmax" takes the one with the largest map
            (ties: the first), "smaller" the one that reaches it on the fewest pixels of the image (ties: the
            largest map), "ignore" neither.

    Returns:
        `(*space)` uint8: 0 background, 1..k classes in the order of the maps, 255 unsure.

    Raises:
        ConfigError: a setting cannot be used. GeometryError, LabelValueError: as for `gated`.

    >>> seeds([[1.0, 0.2, 0.0], [0.9, 0.0, 0.0]], [True, False]).tolist()
    [1, 255, 0]
    """
    _check_settings(foreground, background, conflict)
    scores, present = gated(maps, tags), np.asarray(tags, bool)
    if len(scores) >= IGNORE:
        raise GeometryError(
            f"got maps of {len(scores)} classes; {IGNORE - 1} are the most, since 255 is unsure"
        )
    found = np.asarray(scores.reshape(len(scores), -1).max(axis=1) > 0)
    reached = scores >= foreground
    claims = np.count_nonzero(reached, axis=0)
    winner = _smaller(scores, reached) if conflict == "smaller" else scores.argmax(axis=0)
    labels = np.full(scores.shape[1:], IGNORE, np.uint8)
    if found[present].all():
        labels[(scores <= background).all(axis=0)] = 0
    sure = claims == 1 if conflict == "ignore" else claims > 0
    labels[sure] = winner[sure] + 1
    return labels


def min_variance_threshold(scores: ArrayLike) -> float:
    """Otsu's threshold: the scores on either side vary least. For users without masks to tune it on.

    Args:
        scores: gated scores of one class on tagged images, any shape, finite. Concatenate images to pool.

    Returns:
        One of the scores: foreground is `scores >= threshold`. Ties: the lowest.

    Raises:
        LabelValueError: a score is NaN or infinite, or fewer than two different scores.

    >>> min_variance_threshold([0.0, 0.1, 0.1, 0.8, 1.0])
    0.8

    Paper: Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979; used so for class maps by
        Fu et al., "UM-CAM", MICCAI 2023.
    Differs: every score is tried, no histogram is made.
    """
    flat = np.asarray(scores).ravel()
    if not np.isfinite(flat).all():
        raise LabelValueError("scores must be finite, got NaN or infinity")
    values, counts = np.unique(flat, return_counts=True)
    if len(values) < 2:
        raise LabelValueError(
            f"a threshold needs two different scores or more, got {flat.size} scores, {len(values)} different"
        )
    below = np.cumsum(counts)[:-1]
    centred = (values - np.average(values, weights=counts)) * counts
    between = np.cumsum(centred)[:-1] ** 2 / (
        below * (flat.size - below)
    )  # largest where that within is least
    return float(values[1:][between.argmax()])


def _smaller(scores: FloatArray, reached: BoolArray) -> NDArray[np.intp]:
    """`(*space)`: of the classes that reach foreground at a pixel, the one with the fewest such pixels."""
    sizes = np.count_nonzero(reached, axis=tuple(range(1, reached.ndim)))
    here = np.where(reached, _to_maps(sizes, reached.ndim), reached.size)
    return np.where(reached & (here == here.min(axis=0)), scores, -1).argmax(axis=0)


def _to_maps(of_class: NDArray[Any], ndim: int) -> NDArray[Any]:
    """`(k)` values beside maps `(k *space)`."""
    return of_class.reshape(-1, *[1] * (ndim - 1))


def _check(maps: ArrayLike, tags: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Maps as floats of single precision or better, and tags as booleans."""
    array, present = np.asarray(maps), np.asarray(tags)
    if array.ndim < 2 or not array.size or present.shape != array.shape[:1]:
        raise GeometryError(
            f"maps must be (k *space) with a pixel or more, and tags (k); got {array.shape} and "
            f"{present.shape}"
        )
    if not np.isfinite(array).all():
        raise LabelValueError("class maps must be finite, got NaN or infinity")
    if present.dtype != bool and not np.isin(present, (0, 1)).all():
        raise LabelValueError(f"tags must be booleans, or 0 and 1, got {present.tolist()}")
    return array.astype(np.result_type(array.dtype, np.float32), copy=False), present.astype(bool)


def _check_settings(foreground: float, background: float, conflict: Conflict) -> None:
    if not 0 <= background < foreground <= 1:
        raise ConfigError(
            f"0 <= background < foreground <= 1 expected, got background {background} and foreground "
            f"{foreground}"
        )
    if conflict not in ("argmax", "ignore", "smaller"):
        raise ConfigError(f'conflict must be "argmax", "ignore" or "smaller", got {conflict!r}')
