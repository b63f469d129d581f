"""A label folder: read a case as a LabelMap, write a revised one to another folder in the same format."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError, OutputError
from labelmend.geometry.orientation import corner_gap_vox
from labelmend.io.files.atomic import whole_file
from labelmend.io.images.formats import Spacing, read_label_array, suffix_of, write_label_array
from labelmend.io.images.label_values import distinct_values
from labelmend.io.labels.faded_masks import FADED, is_faded
from labelmend.types import BoolArray, Grid, LabelMap, every_class

SPACING_TOLERANCE = 1e-3
"""Relative tolerance of the spacing of two grids."""

CORNER_TOLERANCE_VOX = 0.1
"""Tolerance of the corner voxel positions of two grids."""


@dataclass(frozen=True, eq=False)
class LabelFolder:
    """A folder of label files, as opened by `open_labels`.

    Args:
        path: the folder.
        classes: names of the k foreground classes.
        overlapping: True for one boolean file per class, False for one integer map per case.
        values: the integer of each class in an integer map; None when overlapping.
        ignore: the integer that marks unannotated pixels in an integer map, or None.
        files: per case, its file, or one file per class in the order of `classes`.
        ignore_files: per case, the file whose foreground is unannotated (overlapping classes only).
        spacing_mm: spacing for files that store none.
        stored_foreground: 255 if integer maps store their one class as 255, which reads as 1; otherwise None.
        usual_foreground: per class, the foreground value to write if a source is empty; None: infer it from
            the other cases.
        background: name of value 0 of an integer map if it is a class, None if it is background.
    """

    path: Path
    classes: tuple[str, ...]
    overlapping: bool
    values: tuple[int, ...] | None
    ignore: int | None
    files: Mapping[str, tuple[Path, ...]]
    ignore_files: Mapping[str, Path] = field(default_factory=dict)
    spacing_mm: Spacing = None
    stored_foreground: int | None = None
    usual_foreground: tuple[int, ...] | None = None
    background: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that reports include, see `LabelMap.names`."""
        return every_class(self.background, self.classes)

    @property
    def cases(self) -> tuple[str, ...]:
        """Case ids, sorted."""
        return tuple(sorted(self.files))

    def class_map(self) -> dict[str, int]:
        """Class names with their values (1..k when overlapping), as `open_labels(classes=...)` takes them."""
        zero = {} if self.background is None else {self.background: 0}
        return zero | dict(zip(self.classes, self.values or range(1, len(self.classes) + 1), strict=True))

    def dataset_json(self) -> dict[str, dict[str, int]]:
        """The values for a dataset.json next to integer maps, including background and ignore."""
        zero = {"background": 0} if self.background is None else {}
        ignore = {} if self.ignore is None else {"ignore": self.ignore}
        return {"labels": {**zero, **self.class_map(), **ignore}}

    def only(self, *cases: str) -> LabelFolder:
        """The folder restricted to some cases, small enough to send to a worker; writes the same files."""
        for case in cases:
            self.sources(case)
        return dataclasses.replace(
            self,
            files={case: self.files[case] for case in cases},
            ignore_files={case: self.ignore_files[case] for case in cases if case in self.ignore_files},
            usual_foreground=self.foregrounds if self.overlapping else None,
        )

    @cached_property
    def foregrounds(self) -> tuple[int, ...]:
        """Per class, the usual foreground value in its boolean files."""
        return self.usual_foreground or tuple(map(self._find_foreground, range(len(self.classes))))

    def sources(self, case: str) -> tuple[Path, ...]:
        """The files of a case: its label file or one per class, then its ignore file if present."""
        if case not in self.files:
            raise MissingDataError(f"case {case} has no labels in {self.path}: check the case id")
        return (*self.files[case], *([self.ignore_files[case]] if case in self.ignore_files else []))

    def target(self, folder: str | Path, case: str) -> tuple[Path, ...]:
        """Paths of the files of a case below another root folder, in the order of `sources`."""
        return tuple(Path(folder) / source.relative_to(self.path) for source in self.sources(case))

    def read(self, case: str) -> LabelMap:
        """The labels of one case.

        Raises:
            LabelValueError: a value of no class; in a boolean file, more than one nonzero value.
            GeometryError: the files of one case have different grids.
        """
        self.sources(case)
        return self._read_masks(case) if self.overlapping else self._read_map(case)

    def write(self, folder: str | Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write labels of a case below another folder, each file in the format of its source.

        Foreground keeps its value in the source (1 or 255). Ignore files are copied unchanged.

        Returns:
            The files written, in the order of `sources`.

        Raises:
            OutputError: `folder` is, or is inside, the source folder; disk full; not writable.
            ConfigError, GeometryError: classes or shape differ from the source.
        """
        folder, home = Path(folder), self.path.resolve()
        if home in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{folder} is inside the folder of the given labels {self.path}: choose another folder"
            )
        if labels.classes != self.classes or labels.overlapping != self.overlapping:
            raise ConfigError(
                f"case {case}: labels with classes {labels.classes} (overlapping: {labels.overlapping}) do "
                f"not match {self.path} with classes {self.classes} (overlapping: {self.overlapping})"
            )
        targets = self.target(folder, case)
        if self.overlapping:
            for index, (mask, source, target) in enumerate(
                zip(labels.array, self.files[case], targets, strict=False)
            ):
                write_label_array(target, mask * np.int32(self._foreground(source, index)), source)
            if case in self.ignore_files:
                with whole_file(targets[-1]) as temporary:
                    shutil.copyfile(self.ignore_files[case], temporary)
            return targets
        array = labels.array
        if self.stored_foreground is not None:
            array = np.where(array == 1, self.stored_foreground, array.astype(np.int32))
        write_label_array(targets[0], array, self.files[case][0])
        return targets

    def _read_map(self, case: str) -> LabelMap:
        path = self.files[case][0]
        array, grid = read_label_array(path, self.spacing_mm)
        known = (self.stored_foreground,) if self.stored_foreground is not None else self.values or ()
        strange = set(distinct_values(array)) - {0, *known, self.ignore}
        if strange:
            remedy = "name it as a class, or set it as the ignore value"
            if is_faded(array):
                remedy = FADED
            elif strange == {255} and len(known) == 1:
                remedy = f"write {known[0]} instead of 255 for foreground, or set 255 as the ignore value"
            pairs = [*zip(self.classes, known, strict=True)]
            pairs = pairs if self.background is None else [(self.background, 0), *pairs]
            named = ", ".join(f"{name} = {value}" for name, value in pairs)
            below = " over background 0" if self.background is None else ""
            raise LabelValueError(
                f"case {case}: {path} holds {_listed(strange)}, but the classes are {named}{below}"
                + (f" and ignore {self.ignore}" if self.ignore is not None else "")
                + f": {remedy}"
            )
        if self.stored_foreground is not None:
            array[array == self.stored_foreground] = 1
        return LabelMap(array, grid, self.classes, self.values, self.ignore, background=self.background)

    def _read_masks(self, case: str) -> LabelMap:
        masks, grids = zip(*(self._read_mask(path, case) for path in self.sources(case)), strict=True)
        for path, grid in zip(self.sources(case), grids, strict=True):
            problem = grid_difference(grids[0], grid)
            if grid.orientation_tag != grids[0].orientation_tag:
                problem = f"orientation tag, {grids[0].orientation_tag} and {grid.orientation_tag}"
            if problem:
                raise GeometryError(f"case {case}: {self.files[case][0]} and {path} differ in {problem}")
        k = len(self.classes)
        ignored = masks[k] if case in self.ignore_files else None
        return LabelMap(np.stack(masks[:k]), grids[0], self.classes, ignored_mask=ignored)

    def _read_mask(self, path: Path, case: str) -> tuple[BoolArray, Grid]:
        array, grid = read_label_array(path, self.spacing_mm)
        values = distinct_values(array)
        if len(set(values) - {0}) > 1:
            remedy = "store one boolean map per class, or one integer map per case without sub-folders"
            raise LabelValueError(
                f"case {case}: {path} holds {_listed(values)}, but a single-class file may hold only 0 and "
                f"one other value: {FADED if is_faded(array) else remedy}"
            )
        return array != 0, grid

    def _foreground(self, source: Path, index: int) -> int:
        """The foreground value in a boolean source or, if that is empty, in the first file that is not."""
        value = _foreground_of(source)
        return self.foregrounds[index] if value is None else value

    def _find_foreground(self, index: int) -> int:
        """The foreground value in the first non-empty file, files of the class first."""
        own_class_first = sorted(range(len(self.classes)), key=lambda i: i != index)
        files = (self.files[case][i] for i in own_class_first for case in self.cases)
        found = next((value for value in map(_foreground_of, files) if value is not None), None)
        if found is not None:
            return found
        return 1 if suffix_of(self.files[self.cases[0]][index]).startswith(".nii") else 255


def grid_difference(one: Grid, other: Grid) -> str:
    """Describe how two grids differ, up to rounding in headers.

    Args:
        one: a grid.
        other: another; spacing and affine are compared only if both files store them, the affine by the
            positions of the corner voxels.

    Returns:
        "shape, ...", "spacing, ..." or "affine, ...", or an empty string if they agree.
    """
    if one.shape != other.shape:
        return f"shape, {one.shape} and {other.shape}"
    if one.affine is None or other.affine is None:
        return ""
    if not np.allclose(one.spacing_mm, other.spacing_mm, rtol=SPACING_TOLERANCE, atol=0):
        return f"spacing, {one.spacing_mm} and {other.spacing_mm} mm"
    gap = corner_gap_vox(one, other)
    if not gap <= CORNER_TOLERANCE_VOX:
        return f"affine, by up to {gap:.3g} voxels at the corners (position or orientation in space)"
    return ""


def _foreground_of(path: Path) -> int | None:
    """The largest nonzero value in a file, None if it is empty."""
    values = [value for value in distinct_values(read_label_array(path)[0]) if value]
    return values[-1] if values else None


def _listed(values: set[int] | tuple[int, ...]) -> str:
    shown = [str(value) for value in sorted(values)]
    return (
        ("values " if len(shown) > 1 else "the value ")
        + ", ".join(shown[:8])
        + (" ..." if len(shown) > 8 else "")
    )
