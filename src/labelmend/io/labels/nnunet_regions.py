"""Integer maps whose classes are regions, sets of integers that may overlap: nnU-Net's region-based training.

    "labels": {"background": 0, "whole_tumor": [1, 2, 3], "tumor_core": [2, 3], "enhancing_tumor": 3}
    "regions_class_order": [1, 2, 3]

On reading, each region is one overlapping class: its mask covers the pixels with one of its integers. nnU-Net
trains the same way, and its probabilities have one sigmoid channel per region, in the same order. On writing,
masks become integers as in nnU-Net's predictions: the integers of `regions_class_order` are painted in order
over the masks of their regions, later ones over earlier ones. Only pixels whose masks changed are painted;
all others keep their integer. Mask combinations without an integer (a core outside the whole) read back as
painted (the whole grows).

Source: documentation/region_based_training.md and ignore_label.md of nnU-Net v2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError, OutputError
from labelmend.io.images.formats import read_label_array, write_label_array
from labelmend.io.images.label_values import distinct_values
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.types import BoolArray, Grid, LabelMap


@dataclass(frozen=True, eq=False)
class RegionFolder(LabelFolder):
    """A label folder with one integer map per case, read and written as overlapping classes.

    Args:
        regions: the integers of each class.
        order: the integer to paint over the mask of each class, in this order.

    The fields of `LabelFolder` (path, classes, overlapping, values, ignore, files, ignore_files, spacing_mm,
    stored_foreground, usual_foreground, background) mean the same; `overlapping` is True, `values` and
    `background` None, and `files` has one file per case.
    """

    regions: tuple[tuple[int, ...], ...] = ()
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.regions) == len(self.order) == len(self.classes):
            raise ConfigError(
                f"{self.path} has {len(self.classes)} regions ({', '.join(self.classes)}), but "
                f"regions_class_order names {len(self.order)} integers: name one for each region"
            )

    def only(self, *cases: str) -> RegionFolder:
        """The folder restricted to some cases."""
        for case in cases:
            self.sources(case)
        return dataclasses.replace(self, files={case: self.files[case] for case in cases})

    def read(self, case: str) -> LabelMap:
        """The regions of one case as overlapping classes; pixels with the ignore value are ignored.

        Raises:
            LabelValueError: a value that belongs to no region.
        """
        array, grid = self._stored(case)
        return self._as_masks(array, grid)

    def write(self, folder: str | Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write the regions of a case to another folder, as an integer map in the format of the source.

        Raises:
            OutputError: `folder` is, or is inside, the source folder; disk full; not writable.
            ConfigError, GeometryError: classes or shape differ from the source.
        """
        folder, home = Path(folder), self.path.resolve()
        if home in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{folder} is inside the folder of the given labels {self.path}: choose another folder"
            )
        if labels.classes != self.classes or not labels.overlapping:
            raise ConfigError(
                f"case {case}: labels with classes {labels.classes} (overlapping: {labels.overlapping}) do "
                f"not match the regions {self.classes} of {self.path}"
            )
        array, grid = self._stored(case)
        if labels.grid.shape != grid.shape:
            raise GeometryError(f"case {case}: labels of shape {labels.grid.shape} for a map of {grid.shape}")
        given = self._as_masks(array, grid)
        changed = (given.array != labels.array).any(axis=0) & ~given.ignored()
        new = array.copy()
        new[changed] = painted(labels.array, self.order)[changed]
        (target,) = self.target(folder, case)
        write_label_array(target, new, self.files[case][0])
        return (target,)

    def _stored(self, case: str) -> tuple[NDArray[Any], Grid]:
        path = self.sources(case)[0]
        array, grid = read_label_array(path, self.spacing_mm)
        known = {value for region in self.regions for value in region}
        strange = sorted(set(distinct_values(array)) - {0, *known, self.ignore})
        if strange:
            raise LabelValueError(
                f"case {case}: {path} holds {', '.join(map(str, strange[:8]))}, which is in no region: add "
                "it to a region in dataset.json, or set it as the ignore value"
            )
        return array, grid

    def _as_masks(self, array: NDArray[Any], grid: Grid) -> LabelMap:
        masks = np.stack([np.isin(array, region) for region in self.regions])
        ignored = None if self.ignore is None else array == self.ignore
        return LabelMap(masks, grid, self.classes, ignored_mask=ignored)


def painted(masks: BoolArray, order: Sequence[int]) -> NDArray[np.int64]:
    """Regions as one integer map: each paints its integer over earlier ones.

    Args:
        masks: `(k *space)`.
        order: the integer of each region, nnU-Net's regions_class_order.

    >>> painted(np.array([[1, 1, 0], [0, 1, 0]], bool), (1, 2)).tolist()
    [1, 2, 0]
    """
    array = np.zeros(masks.shape[1:], np.int64)
    for mask, value in zip(masks, order, strict=True):
        array[mask] = value
    return array
