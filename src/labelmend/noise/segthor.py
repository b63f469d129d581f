"""SegTHOR noise: all organs of a slice drawn too small or too large, in proportion to their size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.ndimage import affine_transform, binary_dilation, binary_erosion, find_objects, label

from labelmend.errors import ConfigError
from labelmend.geometry import paging_axis
from labelmend.noise.base import (
    Noise,
    Params,
    check_probability,
    check_style,
    check_whole,
    is_number,
    quoted,
    shift_odds,
)
from labelmend.types import BoolArray, LabelMap

SQUARE = np.ones((3, 3), bool)
# A piece of fewer than 10,000 pixels enlarged to that area is at most 10,000 pixels long: it fits in memory.
MOST_AREA_PX = 10_000
MOST_ITERATIONS = 1000


def resized_morphology(mask: BoolArray, *, under: bool, iterations: int, area_px: float) -> BoolArray:
    """A 2-D mask eroded or dilated by 3x3 squares at the scale at which it has a given area.

    Args:
        mask: `(h w)` booleans. The image border is no boundary.
        under: erode; dilate otherwise.
        iterations: how often.
        area_px: area of the mask, all its pieces together, when that is done.

    Returns:
        `(h w)` booleans, a new array, within the mask (under) or around it (over).

    >>> disc = np.hypot(*np.mgrid[-30:31, -30:31]) < 20
    >>> small = resized_morphology(disc, under=True, iterations=4, area_px=1000)
    >>> round(float(small.sum() / disc.sum()), 1)
    0.5
    """
    noisy = np.asarray(mask, bool).copy()
    if iterations == 0 or not noisy.any():
        return noisy
    factor = math.sqrt(area_px / noisy.sum())
    change = binary_erosion if under else binary_dilation
    margin = math.ceil(iterations / factor) + 3
    for place, piece in _pieces(noisy.copy(), margin, apart=factor > 1):
        large = _resampled(piece, factor, tuple(math.ceil(n * factor) for n in piece.shape))
        changed = change(large, SQUARE, iterations=iterations, border_value=int(under))
        back = _resampled(changed, 1 / factor, piece.shape)
        if under:
            noisy[place] &= back | ~piece
        else:
            noisy[place] |= back
    return noisy


def _pieces(mask: BoolArray, margin: int, *, apart: bool) -> Iterator[tuple[tuple[slice, ...], BoolArray]]:
    """Connected pieces of a mask with a margin around, or all of it as one: where it lies, and its pixels.

    What is to be enlarged comes apart, since a few pixels far from each other would need a huge picture.
    """
    numbers = label(mask, SQUARE)[0] if apart else mask.astype(np.uint8)
    for number, found in enumerate(find_objects(numbers), start=1):
        place = tuple(
            slice(max(f.start - margin, 0), min(f.stop + margin, n))
            for f, n in zip(found, mask.shape, strict=True)
        )
        yield place, numbers[place] == number


def _resampled(mask: BoolArray, factor: float, shape: tuple[int, ...]) -> BoolArray:
    """A mask magnified by a factor about its corner, by cubic splines cut at one half."""
    offset = 0.5 / factor - 0.5  # the corners of the pictures meet, not the centres of their corner pixels
    values = affine_transform(
        mask.astype(np.float64), [1 / factor] * 2, offset, output_shape=shape, order=3, mode="nearest"
    )
    return np.asarray(values > 0.5 - 1e-9)  # a tie is no matter of rounding


@dataclass(frozen=True)
class SegthorNoise(Noise):
    """Organs under- or over-segmented in proportion to their size, all classes of a slice in the same way.

    Each image, or each slice of a volume across its thickest axis (the first where several are), draws under
    or over and a number of iterations. Every class is brought to one area, eroded or dilated by 3x3 squares
    so many times, and brought back: about the same relative error for large and small organs, whatever the
    spacing. Exclusive classes drawn too large claim only background, in the order of the labels.

    Args:
        fewest: least number of iterations.
        most: largest number of iterations; all between are equally likely.
        under: probability that a slice is drawn too small; too large otherwise.
        area_px: area to which each class is brought, in pixels, up to 10,000.

    Raises:
        ConfigError: a setting out of its range.

    Paper: Liu et al., "Adaptive Early-Learning Correction for Segmentation from Noisy Annotations", CVPR
        2022, as its code does it.
    Differs: classes claim background in the order of the labels, not oesophagus, trachea, aorta, heart; too
        small a class leaves the pixels of others alone; cubic splines cut at one half; organs in several
        pieces that must be enlarged are treated piece by piece, at their common scale.
    """

    name: ClassVar[str] = "segthor"

    fewest: int = 2
    most: int = 4
    under: float = 0.5
    area_px: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.name, 0, MOST_ITERATIONS, fewest=self.fewest, most=self.most)
        if self.fewest > self.most:
            raise ConfigError(
                f"segthor noise: fewest must not be above most, got {self.fewest} and {self.most}"
            )
        check_probability(self.name, under=self.under)
        if not (is_number(self.area_px) and 1 <= self.area_px <= MOST_AREA_PX):
            raise ConfigError(
                f"segthor noise: area_px must lie from 1 to {MOST_AREA_PX:,} pixels, "
                f"got {quoted(self.area_px)}"
            )

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Under or over and the iterations of each slice, and the axis across which slices lie."""
        axis = paging_axis(labels.grid.spacing_mm, labels.grid.shape) if labels.grid.ndim == 3 else None
        n_slices = 1 if axis is None else labels.grid.shape[axis]
        return {
            "noise": self.name,
            "axis": axis,
            "under": (rng.random(n_slices) < self.under).tolist(),
            "iterations": rng.integers(self.fewest, self.most, n_slices, endpoint=True).tolist(),
            "area_px": self.area_px,
        }

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        axis = params["axis"]
        noisy = labels.masks().copy()
        slices = noisy[None] if axis is None else np.moveaxis(noisy, axis + 1, 0)  # a view: written in place
        for masks, under, iterations in zip(slices, params["under"], params["iterations"], strict=True):
            free = ~masks.any(axis=0)
            for mask in masks:
                changed = resized_morphology(
                    mask, under=under, iterations=iterations, area_px=params["area_px"]
                )
                if not (under or labels.overlapping):
                    changed &= mask | free
                    free &= ~changed
                mask[:] = changed
        return labels.with_masks(noisy)

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> SegthorNoise:
        """As many times the iterations; the odds of too large to too small shifted."""
        check_style(self.name, strength=strength, bias=bias)
        fewest, most = (round(min(n * strength, MOST_ITERATIONS)) for n in (self.fewest, self.most))
        return dataclasses.replace(self, fewest=fewest, most=most, under=shift_odds(self.under, -bias))
