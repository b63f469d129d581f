"""Cases held in memory, with what a folder of them would offer: labels, probabilities and images by case."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError, GeometryError, LabelValueError
from labelmend.io.images.new_label_file import write_pixels
from labelmend.io.probabilities.check_values import checked_sigmoid, checked_softmax, with_background
from labelmend.runtime.text import listed
from labelmend.types import FloatArray, LabelMap, every_class

GIVEN = "given"
"""Folder in which an audit of arrays keeps what it was given."""


@dataclass(frozen=True, eq=False)
class HeldLabels:
    """Labels of cases, all of the same classes.

    Args:
        maps: per case its labels.
    """

    maps: Mapping[str, LabelMap]

    @property
    def _first(self) -> LabelMap:
        return next(iter(self.maps.values()))

    @property
    def path(self) -> str:
        return "the set of arrays"

    @property
    def cases(self) -> tuple[str, ...]:
        """Case ids, sorted."""
        return tuple(sorted(self.maps))

    @property
    def classes(self) -> tuple[str, ...]:
        return self._first.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that reports count by, see `LabelMap.names`."""
        return self._first.names

    @property
    def overlapping(self) -> bool:
        return self._first.overlapping

    @property
    def values(self) -> tuple[int, ...] | None:
        """The integer of each class; None where they overlap."""
        return None if self.overlapping else self._first.class_values

    @property
    def background(self) -> str | None:
        return self._first.background

    @property
    def ignore(self) -> int | None:
        return self._first.ignore

    def class_map(self) -> dict[str, int]:
        """Class names with their integers, 1..k where classes overlap."""
        zero = {} if self.background is None else {self.background: 0}
        return zero | dict(zip(self.classes, self._first.class_values, strict=True))

    def only(self, *cases: str) -> HeldLabels:
        """The same with some cases."""
        return HeldLabels({case: self.maps[case] for case in cases})

    def read(self, case: str) -> LabelMap:
        """The labels of one case."""
        return self.maps[case]

    def checksum(self, case: str) -> str:
        """Of the pixels of a case, their shape and type."""
        array = np.ascontiguousarray(self.maps[case].array)
        digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
        return f"sha256:{digest.hexdigest()}"

    def write(self, folder: Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write labels as new files: an integer map, or one file a class and one of what is ignored."""
        suffix = ".png" if labels.grid.ndim == 2 else ".tif"
        if not labels.overlapping:
            write_pixels(folder / f"{case}{suffix}", labels.array)
            return (folder / f"{case}{suffix}",)
        masks = dict(zip(labels.classes, labels.array, strict=True))
        if labels.ignored_mask is not None:
            masks["ignore"] = labels.ignored_mask
        paths = tuple(folder / name / f"{case}{suffix}" for name in masks)
        for path, mask in zip(paths, masks.values(), strict=True):
            write_pixels(path, mask * np.uint8(255))
        return paths


@dataclass(frozen=True, eq=False)
class HeldProbabilities:
    """Probabilities of cases, checked when they are asked for.

    Args:
        arrays: per case its array.
        background: name of the first channel of exclusive classes.
    """

    arrays: Mapping[str, Any]
    background: str = "background"

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of the cases that have probabilities, sorted."""
        return tuple(sorted(self.arrays))

    def only(self, case: str) -> HeldProbabilities:
        """The same with one case."""
        return dataclasses.replace(self, arrays={case: self.arrays[case]})

    def read(self, case: str, labels: LabelMap) -> NDArray[np.float32]:
        """The probabilities of one case, float32, an array of its own, see `ProbabilityFolder.read`.

        Raises:
            GeometryError: another shape or number of channels than the labels ask for.
            LabelValueError: NaN, values outside [0, 1], or sums far from one.
        """
        probs = np.array(self.arrays[case], np.float32)
        shape, k = labels.grid.shape, len(labels.classes)
        if k == 1 and probs.shape in (shape, (1, *shape)):
            probs = probs.reshape(1, *shape)
        names = every_class(None if labels.overlapping else self.background, labels.classes)
        foreground = k == 1 and len(probs) == 1
        if probs.shape != (len(names), *shape) and not (foreground and probs.shape == (1, *shape)):
            raise GeometryError(
                f"case {case}: probabilities have the shape {probs.shape}, expected {(len(names), *shape)}: "
                f"one channel each for {listed(names, most=8)}"
                + ("" if labels.overlapping else ", the first for pixels of no class")
            )
        try:
            if labels.overlapping:
                return checked_sigmoid(probs)
            return with_background(probs) if foreground else checked_softmax(probs)
        except DataError as error:
            raise type(error)(f"case {case}: {error}") from error


@dataclass(frozen=True, eq=False)
class HeldSource:
    """Labels, probabilities and images of the same cases; the counterpart of `labelmend.io.cases.Source`.

    Args:
        given: the labels.
        probs: their probabilities.
        arrays: per case its image; empty without images.
        spacing_mm: of every case, None where it is not known or not the same.
        saved: per case the files of labels and image below GIVEN, once `save` wrote them.
        notes: sentences on what was left out.
    """

    given: HeldLabels
    probs: HeldProbabilities
    arrays: Mapping[str, Any]
    spacing_mm: tuple[float, ...] | None = None
    saved: Mapping[str, tuple[tuple[Path, ...], Path | None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[str, ...]:
        return self.given.cases

    @property
    def classes(self) -> tuple[str, ...]:
        return self.given.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that reports count by, see `LabelMap.names`."""
        return self.given.names

    @property
    def with_images(self) -> bool:
        return bool(self.arrays)

    @property
    def paths(self) -> tuple[Path, ...]:
        """No files are read."""
        return ()

    def only(self, case: str) -> HeldSource:
        """The same with one case."""
        arrays = {case: self.arrays[case]} if self.arrays else {}
        return dataclasses.replace(
            self, given=self.given.only(case), probs=self.probs.only(case), arrays=arrays, saved={}
        )

    def read(self, case: str) -> tuple[LabelMap, FloatArray, NDArray[np.float32] | None, str]:
        """Labels, probabilities and image `(c *space)` of a case, None without; nothing places them apart."""
        given, probs = self.read_labels(case)
        return given, probs, _image(case, self.arrays[case], given) if self.arrays else None, ""

    def read_labels(self, case: str) -> tuple[LabelMap, FloatArray]:
        """Labels and probabilities of a case."""
        given = self.given.read(case)
        return given, self.probs.read(case, given)

    def checksum(self, case: str) -> str:
        """Of the given labels of a case."""
        return self.given.checksum(case)

    def write(self, folder: Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write other labels of a case below a folder."""
        return self.given.write(folder, case, labels)

    def label_files(self, case: str) -> tuple[Path, ...]:
        """Where the labels of a case were saved, relative to the folder; none before."""
        return self.saved[case][0] if self.saved else ()

    def image_name(self, case: str) -> str | None:
        """The saved image of a case below the folder of images, None without."""
        image = self.saved[case][1] if self.saved else None
        return None if image is None else image.name

    def save(self, folder: Path) -> HeldSource:
        """Labels, and images as 8-bit pictures of their first channel, written below `folder`/GIVEN."""
        saved = {}
        for case in self.cases:
            given, _, image, _ = self.read(case)
            files = self.given.write(folder / GIVEN / "labels", case, given)
            path = None
            if image is not None:
                path = folder / GIVEN / "images" / f"{case}{'.png' if given.grid.ndim == 2 else '.tif'}"
                write_pixels(path, _eight_bits(image[0]))
            saved[case] = tuple(file.relative_to(folder) for file in files), path
        return dataclasses.replace(self, saved=saved)

    def description(self) -> dict[str, Any]:
        """What audit.json says of all this; folders are named relative to its own."""
        given, spacing = self.given, self.spacing_mm
        return {
            "labels": f"{GIVEN}/labels" if self.saved else None,
            "layout": "folder" if self.saved else "arrays",
            "probabilities": None,
            "order": "array",
            "images": f"{GIVEN}/images" if self.saved and self.arrays else None,
            "classes": list(self.classes),
            "values": None if given.overlapping else given.class_map(),
            "overlapping": given.overlapping,
            "ignore": given.ignore,
            "spacing_mm": None if spacing is None else list(spacing),
        }


def _image(case: str, image: Any, given: LabelMap) -> NDArray[np.float32]:
    """The image of a case, `(c *space)`, or an error."""
    array, shape = np.asarray(image), given.grid.shape
    array = array[None] if array.shape == shape else array
    if array.shape[1:] != shape or not len(array):
        raise GeometryError(
            f"case {case}: the image has the shape {array.shape}, its labels {shape}: expected {shape}, or "
            f"channels in front, (c, {', '.join(map(str, shape))})"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise LabelValueError(f"case {case}: {bad} pixels of the image are NaN or infinite: replace them")
    return array


def _eight_bits(channel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey values as bytes, the lowest and highest thousandth cut off."""
    low, high = np.percentile(channel, (0.1, 99.9))
    scaled = (channel - low) / (high - low) if high > low else np.zeros_like(channel)
    return np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
