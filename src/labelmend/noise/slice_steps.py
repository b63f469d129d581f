"""Slice steps: volumes drawn on every few slices only, with outlines that jump between them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.geometry import paging_axis
from labelmend.noise.base import (
    SEED_LIMIT,
    MaskNoise,
    Params,
    check_axis,
    check_size,
    check_style,
    check_whole,
)
from labelmend.types import BoolArray, FloatArray

MAX_EVERY = 10**6


@dataclass(frozen=True)
class SliceStepsNoise(MaskNoise):
    """The annotator draws every few slices and copies each outline onto the slices around it.

    Every drawn slice lies a little off its place, all its outlines together. Which slices are drawn is by
    chance, and each stands for as many slices as any other: on average the volume stays. What lies wholly
    between two drawn slices is lost. At the image border the mask goes on as it is.

    Args:
        every: slices from one drawn slice to the next; 1 draws them all.
        shift_mm: standard deviation of the shift of a drawn slice along each of its two axes, in mm; shifts
            are whole pixels.
        axis: array axis of the slices; None is the axis of the thickest slices, the first on ties.
    """

    name: ClassVar[str] = "slice_steps"

    every: int = 3
    shift_mm: float = 1.0
    axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.name, 1, MAX_EVERY, every=self.every)
        check_size(self.name, shift_mm=self.shift_mm)
        check_axis(self.name, self.axis)

    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """The first drawn slice and a seed for the shifts, with the settings beside them.

        Raises:
            ConfigError: the mask is flat.
        """
        if mask.ndim != 3:
            raise ConfigError(
                f"slice_steps noise is for volumes, got labels of shape {mask.shape}: leave it out"
            )
        axis = paging_axis(spacing_mm, mask.shape) if self.axis is None else self.axis
        return {
            "first": int(rng.integers(self.every)),
            "seed": int(rng.integers(SEED_LIMIT)),
            "every": self.every,
            "shift_mm": self.shift_mm,
            "axis": axis,
        }

    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The mask of the shifted copies."""
        axis, every, first = params["axis"], params["every"], params["first"]
        stack = np.moveaxis(mask, axis, 0)
        # One drawn slice before and one behind the volume: there the mask goes on as at its border.
        places = np.arange(first - every, len(stack) + every, every)
        drawn = stack[np.clip(places, 0, len(stack) - 1)]
        pixel_mm = np.delete(spacing_mm, axis)
        rng = np.random.default_rng(params["seed"])
        shifts = np.rint(params["shift_mm"] * rng.standard_normal((len(drawn), 2)) / pixel_mm)
        drawn = np.stack([_shifted(plane, shift) for plane, shift in zip(drawn, shifts)])
        # Each slice is a copy of the nearest drawn one, of the later one on ties.
        nearest = (np.arange(len(stack)) - places[0] + every // 2) // every
        return np.moveaxis(drawn[nearest], 0, axis)

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> SliceStepsNoise:
        """So many times the slices left out between two drawn ones and the shift; `bias` changes nothing."""
        check_style(self.name, strength=strength, bias=bias)
        every = 1 + round(min((self.every - 1) * strength, MAX_EVERY - 1))
        return dataclasses.replace(self, every=every, shift_mm=self.shift_mm * strength)


def _shifted(plane: BoolArray, shift: FloatArray) -> BoolArray:
    """The plane moved by whole pixels; what comes in over the border continues the border."""
    rows, columns = (
        np.clip(np.arange(n) - step, 0, n - 1).astype(int) for n, step in zip(plane.shape, shift)
    )
    return plane[np.ix_(rows, columns)]
