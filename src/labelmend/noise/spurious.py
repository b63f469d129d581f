"""Spurious noise: objects that are not there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label

from labelmend.errors import ConfigError
from labelmend.noise.base import MaskNoise, Params, check_probability, check_size, check_style, limited_exp
from labelmend.types import BoolArray

MAX_COUNT = 1_000
TRIES = 50
"""Places tried for an object before it is given up: where the image is crowded, fewer are invented."""

Window = tuple[slice, ...]


@dataclass(frozen=True)
class SpuriousNoise(MaskNoise):
    """Invented objects: smaller copies of objects of the same class, somewhere apart from them.

    An object is a part of the mask that hangs together across pixel faces. Copies may overlap one another and
    be cut by the image border, but neither overlap nor touch the clean mask. In an exclusive map other
    classes keep their pixels.

    Args:
        count: how many objects are invented in a class and case, on average (Poisson); at most 1,000.
        scale_low: least size of a copy along each axis as a share of its object's, in (0, 1].
        scale_high: greatest size, in [scale_low, 1]; sizes are uniform between the two.
        radius_mm: of the ball (disc) that is copied where the class has no object, in mm.
    """

    name: ClassVar[str] = "spurious"

    count: float = 1.0
    scale_low: float = 0.2
    scale_high: float = 0.5
    radius_mm: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.name, count=self.count, radius_mm=self.radius_mm)
        check_probability(self.name, scale_low=self.scale_low, scale_high=self.scale_high)
        if self.count > MAX_COUNT:
            raise ConfigError(f"spurious noise: count must be at most {MAX_COUNT:,}, got {self.count}")
        if not 0 < self.scale_low <= self.scale_high:
            raise ConfigError(
                f"spurious noise: scale_low must lie above 0 and not above scale_high ({self.scale_high}), "
                f"got {self.scale_low}"
            )

    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """Per invented object: what it copies (from 1 in array order; 0 is the ball), its size, and where."""
        objects, known = label(mask)
        boxes = find_objects(objects)
        drawn = []
        for _ in range(rng.poisson(self.count)):
            source = int(rng.integers(known)) + 1 if known else 0
            scale = float(rng.uniform(self.scale_low, self.scale_high))
            copy = _copy(_original(objects, boxes, source, self.radius_mm, spacing_mm), scale)
            around = binary_dilation(np.pad(copy, 1))
            for _ in range(TRIES):
                centre = rng.integers(mask.shape).tolist()
                if _lies_apart(copy, around, centre, mask):
                    drawn.append({"copy_of": source, "scale": scale, "centre": centre})
                    break
        return {"objects": drawn, "radius_mm": self.radius_mm}

    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The mask with these objects."""
        objects, _ = label(mask)
        boxes = find_objects(objects)
        noisy = mask.copy()
        for drawn in params["objects"]:
            original = _original(objects, boxes, drawn["copy_of"], params["radius_mm"], spacing_mm)
            copy = _copy(original, drawn["scale"])
            here, part = _windows(copy.shape, drawn["centre"], mask.shape)
            noisy[here] |= copy[part]
        return noisy

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> SpuriousNoise:
        """So many times `exp(bias)` as many objects."""
        check_style(self.name, strength=strength, bias=bias)
        count = min(self.count * strength * limited_exp(bias), MAX_COUNT)
        return dataclasses.replace(self, count=count)


def _original(
    objects: NDArray[np.integer],
    boxes: list[Window],
    number: int,
    radius_mm: float,
    spacing_mm: tuple[float, ...],
) -> BoolArray:
    """The object of that number in a box of its own; number 0 is a ball."""
    if number:
        return objects[boxes[number - 1]] == number
    # A ball beyond the image would only fill memory.
    reach = [int(min(radius_mm / s, n)) for s, n in zip(spacing_mm, objects.shape)]
    axes = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
    return np.asarray(sum((x * s) ** 2 for x, s in zip(axes, spacing_mm)) <= radius_mm**2)


def _copy(original: BoolArray, scale: float) -> BoolArray:
    """The object shrunk, by nearest pixels; never without any pixel."""
    sizes = [max(1, round(n * scale)) for n in original.shape]
    nearest = [((np.arange(m) + 0.5) * n / m).astype(int) for m, n in zip(sizes, original.shape)]
    copy = original[np.ix_(*nearest)]
    if not copy.any():
        copy[tuple(m // 2 for m in sizes)] = True
    return copy


def _windows(size: tuple[int, ...], centre: list[int], shape: tuple[int, ...]) -> tuple[Window, Window]:
    """The box in the image that a patch centred at a pixel takes, and the part of the patch in it."""
    here, part = [], []
    for extent, at, length in zip(size, centre, shape):
        start = at - extent // 2
        low, high = max(start, 0), min(start + extent, length)
        here.append(slice(low, high))
        part.append(slice(low - start, high - start))
    return tuple(here), tuple(part)


def _lies_apart(copy: BoolArray, around: BoolArray, centre: list[int], mask: BoolArray) -> bool:
    """Whether a copy shows in the image and neither it nor what is around it overlaps the mask."""
    _, shown = _windows(copy.shape, centre, mask.shape)
    here, part = _windows(around.shape, centre, mask.shape)
    return bool(copy[shown].any()) and not (around[part] & mask[here]).any()
