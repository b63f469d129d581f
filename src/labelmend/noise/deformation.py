"""Deformation noise: the plane of the drawing shifted by a smooth random field, the same for all classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.ndimage import map_coordinates

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.noise.base import (
    SEED_LIMIT,
    Box,
    Noise,
    Params,
    box_around,
    check_number,
    check_size,
    check_style,
)
from labelmend.types import BoolArray, FloatArray, LabelMap

# A Gaussian is negligible beyond this many standard deviations: of the field, and of its kernel.
REACH_SD, KERNEL_SD = 6.0, 4.0
# Stands for the infinite distance to a boundary that is not there; infinity cannot be interpolated.
FAR_PX = 1e9


def smooth_field(
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    length_mm: float,
    box: Box | None = None,
) -> FloatArray:
    """A Gaussian random field with one component an axis, of mean 0 and variance 1 at every pixel.

    Values at points h mm apart have the correlation exp(-h^2 / (2 length^2)); components are independent.
    White noise on a lattice no finer than needed is spread by a Gaussian kernel, one axis after the other.
    The weights of every pixel are scaled to unit length, which makes its variance 1, at the border too.

    Args:
        rng: source of all random numbers.
        shape: pixels along each axis.
        spacing_mm: per axis in mm.
        length_mm: correlation length. Much below the spacing, pixels are independent.
        box: the part that is wanted, one slice an axis; None for all. It does not change the field.

    Returns:
        `(len(shape) *space)` float64.
    """
    box = box or (slice(None),) * len(shape)
    weights = [_weights(n, s, length_mm) for n, s in zip(shape, spacing_mm, strict=True)]
    field = rng.standard_normal((len(shape), *(w.shape[1] for w in weights)))
    for axis, (part, weight) in enumerate(zip(box, weights, strict=True), start=1):
        field = np.moveaxis(np.tensordot(weight[part], field, axes=(1, axis)), 0, axis)
    return field


def _weights(n: int, spacing: float, length: float) -> FloatArray:
    """Weight of every lattice node for every pixel along an axis, `(n nodes)`; rows of unit length."""
    # A kernel of this width correlates with itself over `length`; far below a pixel it is a pixel's own.
    width = max(length / math.sqrt(2), spacing / 1000)
    # At 0.8 widths the sum of squared weights ripples by less than 1e-6; nodes between pixels gain nothing.
    step = max(0.8 * width, spacing)
    reach = math.ceil(KERNEL_SD * width / step)
    nodes = step * np.arange(-reach, math.ceil((n - 1) * spacing / step) + reach + 1)
    weights = np.exp(-(((spacing * np.arange(n)[:, None] - nodes) / width) ** 2) / 2)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True))


@dataclass(frozen=True)
class DeformationNoise(Noise):
    """A smooth Gaussian displacement, the same field for all classes of a case.

    A pixel at x takes the label found at x + u(x), where u is a Gaussian field of mean 0: the expected
    deformation is the identity, and the probability that x is drawn as foreground is the clean mask convolved
    with the normal density of standard deviation `sd_mm`, whatever the correlation length.

    One field for all classes is what a hand does that slips: neighbours stay neighbours. For exclusive
    classes each pixel takes the class, background included, in whose displaced region it lies deepest, so
    that neighbours neither part nor overlap. Signed distances are interpolated between pixels, so outlines
    stay smooth. Beyond the image everything goes on as it is at the border.

    Args:
        sd_mm: standard deviation of the displacement along each axis.
        length_mm: correlation length of the field. Below about three times `sd_mm` it begins to fold.
        offset_mm: how far outward every outline lies besides; the only bias, negative for inward.

    Raises:
        ConfigError: a setting out of its range.

    Paper: Nordström, Hult and Maki, "Marginal Thresholding in Noisy Image Segmentation", 2023, arXiv
        2304.04116.
    Differs: written from the model as the abstract states it; the sampling is our own, and so are the offset
        and the rule for several classes.
    """

    name: ClassVar[str] = "deformation"

    sd_mm: float = 4.0
    length_mm: float = 20.0
    offset_mm: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.name, sd_mm=self.sd_mm, length_mm=self.length_mm)
        if self.length_mm == 0:
            raise ConfigError("deformation noise: length_mm must be above 0, got 0")
        check_number(self.name, offset_mm=self.offset_mm)

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """A seed of the field, with the settings beside it."""
        return {"noise": self.name, "seed": int(rng.integers(SEED_LIMIT)), **dataclasses.asdict(self)}

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Labels displaced by the field of the drawn seed and settings."""
        clean, spacing = labels.masks(), labels.grid.spacing_mm
        noisy = np.zeros_like(clean)
        drawn = np.logical_or.reduce(clean)
        if drawn.any():
            reach_mm = REACH_SD * params["sd_mm"] + abs(params["offset_mm"])
            box = box_around(drawn, reach_mm, spacing)
            rng = np.random.default_rng(params["seed"])
            field = smooth_field(rng, drawn.shape, spacing, params["length_mm"], box)
            field *= params["sd_mm"] / np.reshape(spacing, (-1, *[1] * drawn.ndim))
            field += np.indices(field.shape[1:])
            noisy[(slice(None), *box)] = _warped(
                clean[(slice(None), *box)], field, spacing, params["offset_mm"], reach_mm, labels.overlapping
            )
        return labels.with_masks(noisy)

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> DeformationNoise:
        """As many times the displacement and offset; the bias in standard deviations of the displacement."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(
            self,
            sd_mm=self.sd_mm * strength,
            offset_mm=(self.offset_mm + bias * self.sd_mm) * strength,
        )


def _warped(
    clean: BoolArray,
    source: FloatArray,
    spacing: Sequence[float],
    offset_mm: float,
    reach_mm: float,
    overlapping: bool,
) -> BoolArray:
    """Masks read at the places they come from, `(ndim *space)` in pixels, and moved outward by the offset."""

    def outside(mask: BoolArray, here: Box) -> FloatArray:
        """Distance to a mask at the places that the pixels of a box come from, positive outside."""
        near = box_around(mask, 2 * reach_mm, spacing)
        # Counted in pixels, or a thick last slice would end nearer where an edge in the plane is close.
        distance = signed_distance(mask[near])
        if offset_mm != 0:
            distance = distance * (1 - offset_mm / signed_distance(mask[near], spacing))
        distance = np.clip(distance, -FAR_PX, FAR_PX)
        start = np.reshape([part.start for part in near], (-1, *[1] * mask.ndim))
        places = source[(slice(None), *here)] - start
        return np.asarray(map_coordinates(distance, places, order=1, mode="nearest"))

    noisy = np.zeros_like(clean)
    anywhere = (slice(None),) * (clean.ndim - 1)
    best = np.zeros(clean.shape[1:]) if overlapping else -outside(np.logical_or.reduce(clean), anywhere)
    winner = np.full(best.shape, -1)
    for j, mask in enumerate(clean):
        if mask.any():
            here = box_around(mask, reach_mm, spacing)
            distance = outside(mask, here)
            if overlapping:
                noisy[j][here] = distance < 0
            else:
                nearer = distance < best[here]
                winner[here][nearer], best[here][nearer] = j, distance[nearer]
    return noisy if overlapping else winner == np.arange(len(clean)).reshape(-1, *[1] * best.ndim)
