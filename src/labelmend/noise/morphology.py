"""Dilation and erosion: outlines drawn too wide or too tight, by the same distance all around."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.noise.base import (
    MaskNoise,
    Params,
    box_around,
    check_flag,
    check_probability,
    check_size,
    check_style,
    shift_odds,
)
from labelmend.types import BoolArray


@dataclass(frozen=True)
class MorphologyNoise(MaskNoise):
    """Outlines moved outward or inward by one distance all around, drawn anew for every mask.

    The outline lies on the faces between pixels (`labelmend.geometry.signed_distance`), so a flat face moves
    by the radius, rounded to the nearest pixel, along every axis and whatever the spacing. Erosion is the
    dilation of the background. The image border does not move. Erosion may leave nothing of what is small.

    Args:
        low_mm: least radius.
        high_mm: largest radius; radii are uniform between the two.
        dilate: probability of a dilation; an erosion otherwise.
        in_pixels: read both radii in pixels, whatever the spacing.

    Raises:
        ConfigError: a setting out of its range.

    >>> row = np.array([[False, False, False, True, True, True]])
    >>> noise = MorphologyNoise(dilate=1)
    >>> noise.apply_mask(row, {"radius": 2.0, "dilate": True, "in_pixels": False}, (1.0, 1.0)).astype(int)
    array([[0, 1, 1, 1, 1, 1]])

    Paper: Yao et al., "Learning to Segment from Noisy Annotations: A Spatial Correction Approach", ICLR 2023.
    Differs: radii count from the outline. The paper's count from the centre of the nearest pixel of the other
        side, half a pixel further: its r in pixels is r - 0.5 here, and then both change the same pixels.
    """

    name: ClassVar[str] = "morphology"

    low_mm: float = 2.0
    high_mm: float = 6.0
    dilate: float = 0.5
    in_pixels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.name, low_mm=self.low_mm, high_mm=self.high_mm)
        check_probability(self.name, dilate=self.dilate)
        check_flag(self.name, in_pixels=self.in_pixels)
        if self.low_mm > self.high_mm:
            raise ConfigError(
                f"morphology noise: low_mm must not be above high_mm, got {self.low_mm} and {self.high_mm}"
            )

    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """The radius and its direction."""
        return {
            "radius": float(rng.uniform(self.low_mm, self.high_mm)),
            "dilate": bool(rng.random() < self.dilate),
            "in_pixels": self.in_pixels,
        }

    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The mask with its outline moved; an empty or full mask has none and comes back."""
        noisy = mask.copy()
        if mask.any() and not mask.all():
            radius, dilate = params["radius"], params["dilate"]
            spacing = (1.0,) * mask.ndim if params["in_pixels"] else spacing_mm
            box = box_around(mask, radius if dilate else 0.0, spacing)
            distance = signed_distance(mask[box], spacing)
            noisy[box] = distance < radius if dilate else distance <= -radius
        return noisy

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> MorphologyNoise:
        """As many times the radii; the odds of a dilation shifted."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(
            self,
            low_mm=self.low_mm * strength,
            high_mm=self.high_mm * strength,
            dilate=shift_odds(self.dilate, bias),
        )
