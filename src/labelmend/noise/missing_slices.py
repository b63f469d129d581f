"""Missing slices: slices without annotation, and structures that begin or end at the wrong slice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from labelmend.errors import ConfigError
from labelmend.geometry import paging_axis
from labelmend.noise.base import (
    SEED_LIMIT,
    Noise,
    Params,
    check_axis,
    check_drawn,
    check_probability,
    check_style,
    check_whole,
    merge,
    shift_odds,
)
from labelmend.runtime.randomness import case_generator
from labelmend.types import BoolArray, LabelMap

MAX_SLICES = 10**6


@dataclass(frozen=True)
class MissingSlicesNoise(Noise):
    """Volumes annotated slice by slice, where slices were skipped and the ends of structures misjudged.

    Every slice is, with some probability, left without annotation of any class. Each object (a part of a mask
    that hangs together across pixel faces) is cut or extended at either end by 0 to `end_slices` slices, each
    number as likely; an extension repeats the last slice of the object. At least one slice of it is left.

    Args:
        probability: that a slice is left without annotation.
        end_slices: most slices by which an end is wrong.
        extend: probability that an end is extended rather than cut.
        axis: array axis of the slices; None is the axis of the thickest slices, the first on ties.
    """

    name: ClassVar[str] = "missing_slices"

    probability: float = 0.05
    end_slices: int = 2
    extend: float = 0.5
    axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability(self.name, probability=self.probability, extend=self.extend)
        check_whole(self.name, 0, MAX_SLICES, end_slices=self.end_slices)
        check_axis(self.name, self.axis)

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """The slices to be left out; by class and object, in array order, slices added at its two ends.

        Raises:
            ConfigError: the labels are flat.
        """
        if labels.grid.ndim != 3:
            raise ConfigError(
                f"missing_slices noise is for volumes, got labels of shape {labels.grid.shape}: leave it out"
            )
        axis = paging_axis(labels.grid.spacing_mm, labels.grid.shape) if self.axis is None else self.axis
        left_out = np.flatnonzero(rng.random(labels.grid.shape[axis]) < self.probability)
        base = int(rng.integers(SEED_LIMIT))
        ends = {}
        for name in labels.classes:
            own, count = case_generator(base, name), label(labels.mask(name))[1]
            size = own.integers(self.end_slices + 1, size=(count, 2))
            ends[name] = np.where(own.random((count, 2)) < self.extend, size, -size).tolist()
        return {"noise": self.name, "axis": axis, "left_out": left_out.tolist(), "ends": ends}

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        check_drawn(labels, params["ends"])

        def noisy(name: str) -> BoolArray:
            objects = np.moveaxis(label(labels.mask(name))[0], params["axis"], 0)
            stack = _with_moved_ends(objects, params["ends"][name])
            stack[params["left_out"]] = False
            return np.moveaxis(stack, 0, params["axis"])

        return merge(labels, map(noisy, labels.classes))

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> MissingSlicesNoise:
        """So many times the probability and the slices; a generous hand skips less and extends more."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(
            self,
            probability=shift_odds(min(1.0, self.probability * strength), -bias),
            end_slices=round(min(self.end_slices * strength, MAX_SLICES)),
            extend=shift_odds(self.extend, bias),
        )


def _with_moved_ends(objects: NDArray[np.integer], ends: list[list[int]]) -> BoolArray:
    """The mask `(*space)` of numbered objects after slices along the first axis were added (+) or cut (-)."""
    mask = np.zeros(objects.shape, bool)
    boxes = find_objects(objects)
    for number, ((slices, *in_plane), (low, high)) in enumerate(zip(boxes, ends, strict=True), start=1):
        thing = objects[slices, *in_plane] == number
        most = len(thing) - 1
        first = min(max(-low, 0), most)
        last = len(thing) - min(max(-high, 0), most - first)
        mask[slices.start + first : slices.start + last, *in_plane] |= thing[first:last]
        mask[max(slices.start - low, 0) : slices.start, *in_plane] |= thing[0]
        mask[slices.stop : slices.stop + max(high, 0), *in_plane] |= thing[-1]
    return mask
