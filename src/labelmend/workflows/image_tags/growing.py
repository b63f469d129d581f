"""From seeds to larger regions: growing where a network is confident, and a random walk that stops at edges.

Both keep the seeds, and give no pixel to a class without a seed. Undecided pixels keep label 255.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.runtime.extras import needed_by
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.image_tags.seeds import IGNORE

IntArray = NDArray[np.integer]

MOST_SOLVED_DIRECTLY = 2**19
"""Most unsure pixels for which the walk is solved exactly, using up to 1 GB."""

SOLVER_TOLERANCE = 1e-6
"""Relative residual at which the iterative solver stops."""

MOST_MISSING = 0.01
"""Tolerance of the sum of a pixel's probabilities; beyond it, the solver did not reach the pixel."""


def grow(
    labels: ArrayLike,
    probs: ArrayLike,
    tags: ArrayLike | None = None,
    *,
    foreground: float = 0.85,
    background: float = 0.99,
    max_steps: int | None = None,
) -> IntArray:
    """Grow seeds into unsure neighbours where their class is the most probable and exceeds a threshold.

    Neighbours share a face, an edge or a corner (8 in 2-D, 26 in 3-D). Only background and present classes
    compete. Without `max_steps` growing runs to convergence.

    Args:
        labels: `(*space)` integers: 0 background, 1..k classes, 255 unsure. Seeds are kept.
        probs: `(k+1 *space)` probabilities, background first, each in [0, 1].
        tags: `(k)` booleans, or 0 and 1: which classes are present; None means those with a seed.
        foreground: probability that a pixel must exceed to join a class, in [0, 1].
        background: the same for background.
        max_steps: most steps from a seed, 1 or more; None runs to convergence.

    Returns:
        `(*space)` labels of the dtype that came.

    Raises:
        ConfigError: a setting cannot be used. GeometryError: shapes do not belong together.
        LabelValueError: a label that no class has or whose class is not tagged, or a probability outside
            [0, 1].

    >>> probs = np.array([[0.05, 0.05, 0.3, 0.05], [0.95, 0.95, 0.7, 0.95]])
    >>> grow(np.array([1, 255, 255, 255], np.uint8), probs).tolist()
    [1, 1, 255, 255]

    Paper: Huang et al., "Weakly-Supervised Semantic Segmentation Network with Deep Seeded Region Growing"
        (DSRG), CVPR 2018.
    Differs: grows once, over any probabilities. The paper grows anew at every step of the training, over
        those of the network smoothed by a CRF.
    """
    _check_growth(foreground, background, max_steps)
    given = _check_labels(labels)
    chances = _check_probs(probs, given)
    present = _present(given, tags, len(chances) - 1)
    shape = (-1, *[1] * given.ndim)
    best = np.where(present.reshape(shape), chances, -1).argmax(axis=0)
    unsure, grown = given == IGNORE, given.copy()
    neighbours = generate_binary_structure(given.ndim, given.ndim)
    for j in np.flatnonzero(present):
        sources = given == j
        if sources.any():
            sure = chances[j] > (foreground if j else background)
            allowed = sources | (unsure & (best == j) & sure)
            reached = binary_dilation(sources, neighbours, iterations=max_steps or -1, mask=allowed)
            grown[reached] = j
    return grown


def random_walk(
    labels: ArrayLike,
    image: ArrayLike,
    *,
    beta: float = 130.0,
    unsure: float = 0.0,
    spacing_mm: Sequence[float] | None = None,
    n_classes: int | None = None,
) -> tuple[IntArray, FloatArray]:
    """Assign each unsure pixel to the seed class that a random walk from it, slowed by edges, reaches first.

    Seeds are of background or classes. If only one kind exists, the walk is uninformative: unsure pixels stay
    unsure with all probabilities 0. The same holds for pixels that the iterative solver (3-D, or large
    pictures) cannot reach because strong edges enclose them.

    Args:
        labels: `(h w)` or `(d h w)` integers: 0 background, 1..k classes, 255 unsure. Any seed stays.
        image: `(c *space)`, finite, of any range: channels are scaled to [0, 1], constant ones are left out.
        beta: how much an edge slows the walk, 0 or more; 0 uses only distances.
        unsure: pixels whose largest probability is below it stay 255, in [0, 1].
        spacing_mm: pixel size along each axis. Along an axis with larger pixels, the same intensity step is a
            weaker edge. Only ratios matter. None: isotropic.
        n_classes: k of the probabilities returned; None means the largest class that has a seed.

    Returns:
        `(*space)` labels of the dtype that came, and `(k+1 *space)` float32 probabilities, background first:
        for a seed 1 of its kind, for kinds without seeds 0. Equal ones go to the first kind.

    Raises:
        ConfigError: a setting cannot be used. GeometryError: shapes do not belong together.
        LabelValueError: a label that no class has, or an image with NaN or infinity. MissingExtraError: there
            is no scikit-image.

    >>> given = np.array([[0, 255, 255, 255, 1]], np.uint8)
    >>> random_walk(given, np.array([[[0.0, 0.0, 0.0, 1.0, 1.0]]]))[0].tolist()
    [[0, 0, 0, 1, 1]]

    Paper: Grady, "Random Walks for Image Segmentation", 2006; the solver is that of scikit-image.
    Differs: channels are scaled, so that the meaning of `beta` does not depend on the range of values.
    """
    given = _check_labels(labels)
    channels = _check_image(image, given)
    spacing = _check_walk(beta, unsure, spacing_mm, given.ndim)
    kinds = np.unique(given[given != IGNORE])
    probs = np.zeros((_check_classes(n_classes, kinds) + 1, *given.shape), np.float32)
    for j in kinds:
        probs[j] = given == j
    walker, is_unsure, walked = _walker(), given == IGNORE, given.copy()
    if len(kinds) < 2 or not is_unsure.any():
        return walked, probs
    chances = _walk(walker, given, kinds, channels, beta=beta, spacing=spacing)
    for j, chance in zip(kinds, chances, strict=True):
        probs[j][is_unsure] = chance
    top = chances.max(axis=0)
    walked[is_unsure] = np.where((top > 0) & (top >= unsure), kinds[chances.argmax(axis=0)], IGNORE)
    return walked, probs


def _walk(
    walker: Callable[..., Any],
    given: IntArray,
    kinds: IntArray,
    channels: FloatArray,
    *,
    beta: float,
    spacing: FloatArray,
) -> FloatArray:
    """`(kinds n)` probability of each kind of seed at the n unsure pixels; 0 if not reached."""
    is_unsure = given == IGNORE
    markers = np.where(is_unsure, 0, np.searchsorted(kinds, given) + 1).astype(np.int32)
    direct = given.ndim == 2 and np.count_nonzero(is_unsure) <= MOST_SOLVED_DIRECTLY
    pictures = _scaled(channels)
    if not len(pictures):  # no edges: a constant picture will do
        pictures, beta = np.arange(given.size, dtype=float).reshape(1, *given.shape), 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unreached pixels, which the sums reveal
        found = walker(
            np.moveaxis(pictures, 0, -1),
            markers,
            beta=beta,
            mode="bf" if direct else "cg_j",
            tol=SOLVER_TOLERANCE,
            return_full_prob=True,
            spacing=spacing,
            channel_axis=-1,
        )
    chances = np.clip(found[:, is_unsure], 0, 1)
    total = chances.sum(axis=0)
    settled = np.abs(total - 1) <= MOST_MISSING
    return np.divide(chances, total, out=np.zeros_like(chances), where=settled)


def _scaled(channels: FloatArray) -> FloatArray:
    """Channels in [0, 1], without those that are constant."""
    flat = channels.reshape(len(channels), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    varied = high > low
    shape = (-1, *[1] * (channels.ndim - 1))
    return (channels[varied] - low[varied].reshape(shape)) / (high - low)[varied].reshape(shape)


def _walker() -> Callable[..., Any]:
    with needed_by("a random walk from seeds"):
        from skimage.segmentation import random_walker
    return random_walker


def _present(given: IntArray, tags: ArrayLike | None, k: int) -> BoolArray:
    """`(k+1)` which of background and classes compete; background always does."""
    seeded = np.isin(np.arange(k + 1), given)
    if tags is None:
        return seeded | (np.arange(k + 1) == 0)
    tagged = np.asarray(tags)
    if tagged.shape != (k,):
        raise GeometryError(
            f"probabilities are of background and {k} classes, tags have shape {tagged.shape}"
        )
    if tagged.dtype != bool and not np.isin(tagged, (0, 1)).all():
        raise LabelValueError(f"tags must be booleans, or 0 and 1, got {tagged.tolist()}")
    present = np.concatenate([[True], tagged.astype(bool)])
    if (seeded & ~present).any():
        raise LabelValueError(
            f"labels hold class {np.flatnonzero(seeded & ~present)[0]}, which is not tagged: make seeds from "
            "the same tags"
        )
    return present


def _check_labels(labels: ArrayLike) -> IntArray:
    array = np.asarray(labels)
    if not np.issubdtype(array.dtype, np.integer):
        raise LabelValueError(f"labels must be integers, got {array.dtype}")
    if not array.size or not array.ndim:
        raise GeometryError(
            f"labels must have a pixel or more along one axis or more, got shape {array.shape}"
        )
    if array.min() < 0 or array.max() > IGNORE:
        raise LabelValueError(
            f"labels must be 0 (background), 1..{IGNORE - 1} or {IGNORE} (unsure), got {array.min()} to "
            f"{array.max()}"
        )
    return array


def _check_probs(probs: ArrayLike, given: IntArray) -> FloatArray:
    array = np.asarray(probs)
    largest = int(given[given != IGNORE].max(initial=0))
    if array.shape[1:] != given.shape or len(array) <= largest:
        raise GeometryError(
            f"probabilities must be (k+1 *space), background first; got {array.shape} for labels of shape "
            f"{given.shape} and classes up to {largest}"
        )
    if not ((array >= 0) & (array <= 1)).all():  # NaN is neither
        raise LabelValueError("probabilities must be in [0, 1], got NaN or others")
    return array


def _check_image(image: ArrayLike, given: IntArray) -> FloatArray:
    array = np.asarray(image)
    if given.ndim not in (2, 3):
        raise GeometryError(f"a random walk needs labels (h w) or (d h w), got shape {given.shape}")
    if array.shape[1:] != given.shape or not len(array):
        raise GeometryError(
            f"an image (c *space) with the pixels of the labels {given.shape} expected, got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise LabelValueError("the image must be finite, got NaN or infinity")
    return array.astype(float)


def _check_classes(n_classes: int | None, kinds: IntArray) -> int:
    """k of the probabilities."""
    largest = int(kinds.max(initial=0))
    if n_classes is None:
        return largest
    if not largest <= n_classes < IGNORE:
        raise ConfigError(
            f"n_classes must be {largest} (the largest class of the labels) to {IGNORE - 1}, got {n_classes}"
        )
    return n_classes


def _check_growth(foreground: float, background: float, max_steps: int | None) -> None:
    if not (0 <= foreground <= 1 and 0 <= background <= 1):
        raise ConfigError(
            f"thresholds must be in [0, 1], got foreground {foreground}, background {background}"
        )
    if max_steps is not None and max_steps < 1:
        raise ConfigError(f"max_steps must be 1 or more, or None, got {max_steps}")


def _check_walk(beta: float, unsure: float, spacing_mm: Sequence[float] | None, ndim: int) -> FloatArray:
    """`(ndim)` spacings over the smallest one."""
    if not (np.isfinite(beta) and beta >= 0):
        raise ConfigError(f"beta must be a number, 0 or more, got {beta}")
    if not 0 <= unsure <= 1:
        raise ConfigError(f"unsure must be in [0, 1], got {unsure}")
    spacing = np.ones(ndim) if spacing_mm is None else np.asarray(spacing_mm, float)
    if spacing.shape != (ndim,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise GeometryError(f"{ndim} spacings in mm, above 0, expected, got {spacing_mm}")
    return spacing / spacing.min()
