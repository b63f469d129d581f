"""How much each case changed from given to corrected, and how far either lies from clean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import GeometryError, LabelValueError, MissingDataError
from labelmend.geometry.orientation import labels_onto
from labelmend.io import LabelFolder, grid_difference, open_images, open_labels
from labelmend.metrics import dice
from labelmend.types import BoolArray, Grid, LabelMap
from labelmend.workflows.training.report_summary import CaseFacts, RunSummary, Values


@dataclass(frozen=True, eq=False)
class RunFolders:
    """The folders a report reads; `corrected` or `reference` may be absent."""

    images: Mapping[str, Path]
    given: LabelFolder
    corrected: LabelFolder | None
    reference: LabelFolder | None


@dataclass(frozen=True, eq=False)
class OneByOne(Sequence[BoolArray]):
    """The masks of some classes of a label map, each made when it is asked for.

    Args:
        labels: the label map.
        names: of its classes.
    """

    labels: LabelMap
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.labels.mask(self.names[index])


@dataclass(frozen=True, eq=False)
class CaseMasks:
    """The masks of one case side by side.

    Args:
        grid: their common grid.
        given: per class `(*space)` booleans.
        corrected: per class `(*space)` booleans.
        clean: per class `(*space)` booleans, or None where no reference is known.
        valid: `(*space)` booleans, False where somebody did not annotate.
    """

    grid: Grid
    given: Sequence[BoolArray]
    corrected: Sequence[BoolArray]
    clean: Sequence[BoolArray] | None
    valid: BoolArray


@dataclass(frozen=True)
class CaseChange:
    """One case measured: per class, in the order of the run's classes.

    Args:
        facts: what the method said.
        ndim: 2 or 3.
        added_vox: pixels in corrected but not in given.
        removed_vox: pixels in given but not in corrected.
        dice: given against corrected; None where both are empty.
        given_dice: given against clean, None entries where both are empty; None without a reference.
        corrected_dice: corrected against clean, likewise.
    """

    facts: CaseFacts
    ndim: int
    added_vox: tuple[int, ...]
    removed_vox: tuple[int, ...]
    dice: Values
    given_dice: Values | None
    corrected_dice: Values | None

    @property
    def size(self) -> float:
        """Mean over classes of 1 - Dice(given, corrected), in [0, 1]: what cases are ranked by."""
        return 1 - (mean(self.dice) if any(d is not None for d in self.dice) else 1.0)  # type: ignore[operator]

    @property
    def furthest(self) -> int | None:
        """Position of the class whose outline moved furthest, None where no displacement is known."""
        known = [(abs(value), -k) for k, value in enumerate(self.facts.displacement) if value is not None]
        return -max(known)[1] if known else None

    @property
    def worse(self) -> bool:
        """Whether the correction took a class further from clean."""
        pairs = zip(self.given_dice or (), self.corrected_dice or (), strict=True)
        return any(a is not None and b is not None and b < a for a, b in pairs)


def open_folders(summary: RunSummary) -> RunFolders:
    """Open what the summary names; a run that revised no case needs no corrected folder."""
    revised = any(case.version > 0 for case in summary.cases)
    if revised and not summary.corrected.is_dir():
        raise MissingDataError(
            f"the summary speaks of revised cases, but there is no folder {summary.corrected}"
        )
    return RunFolders(
        images=open_images(summary.images),
        given=_open(summary, summary.given),
        corrected=_open(summary, summary.corrected) if revised else None,
        reference=_open(summary, summary.reference) if summary.reference else None,
    )


def read_masks(folders: RunFolders, summary: RunSummary, facts: CaseFacts) -> CaseMasks:
    """The masks of one case from all folders, with classes in the order of the summary.

    Raises:
        MissingDataError: the case has no given labels, or was revised and has no corrected ones.
        GeometryError: grids differ between the folders.
    """
    case, classes = facts.case, summary.classes
    if case not in folders.given.files:
        raise MissingDataError(f"case {case!r} of the summary has no labels in {summary.given}")
    given = folders.given.read(case)
    masks = _ordered(given, classes, case)
    corrected, clean, valid = masks, None, ~given.ignored()
    if folders.corrected is not None and case in folders.corrected.files:
        corrected = _partner(folders.corrected.read(case), given, classes, case, "corrected")
    elif facts.version > 0:
        raise MissingDataError(f"case {case!r} was revised, but has no labels in {summary.corrected}")
    if folders.reference is not None and case in folders.reference.files:
        reference = folders.reference.read(case)
        clean = _partner(reference, given, classes, case, "reference")
        valid = valid & ~reference.ignored()
    return CaseMasks(given.grid, masks, corrected, clean, valid)


def measure_changes(masks: CaseMasks, facts: CaseFacts) -> CaseChange:
    """Counts and Dice of one case, over the annotated pixels only.

    >>> import numpy as np
    >>> one = np.array([[[1, 1, 0, 0]]], bool)
    >>> two = np.array([[[0, 1, 1, 1]]], bool)
    >>> masks = CaseMasks(Grid((1, 4), (1.0, 1.0)), one, two, None, np.ones((1, 4), bool))
    >>> change = measure_changes(masks, CaseFacts("a", 1, "", (None,), None))
    >>> change.added_vox, change.removed_vox, change.dice
    ((2,), (1,), (0.4,))
    """
    added, removed, agreement, before, after = [], [], [], [], []
    for index in range(len(masks.given)):
        given, corrected = (side[index] & masks.valid for side in (masks.given, masks.corrected))
        added.append(int(np.count_nonzero(corrected & ~given)))
        removed.append(int(np.count_nonzero(given & ~corrected)))
        agreement.append(_dice(given, corrected))
        if masks.clean is not None:
            clean = masks.clean[index] & masks.valid
            before.append(_dice(given, clean))
            after.append(_dice(corrected, clean))
    return CaseChange(
        facts=facts,
        ndim=masks.grid.ndim,
        added_vox=tuple(added),
        removed_vox=tuple(removed),
        dice=tuple(agreement),
        given_dice=None if masks.clean is None else tuple(before),
        corrected_dice=None if masks.clean is None else tuple(after),
    )


def measure_all(
    folders: RunFolders, summary: RunSummary, on_case: Callable[[str], None] = lambda case: None
) -> list[CaseChange]:
    """Every case of a run, read once each, largest change first (equal ones by case id)."""
    changes = []
    for facts in summary.cases:
        changes.append(measure_changes(read_masks(folders, summary, facts), facts))
        on_case(facts.case)
    return sorted(changes, key=lambda change: (-change.size, change.facts.case))


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _open(summary: RunSummary, path: Path) -> LabelFolder:
    return open_labels(
        path, classes=summary.label_values, ignore=summary.ignore, spacing_mm=summary.spacing_mm
    )


def _partner(labels: LabelMap, given: LabelMap, classes: tuple[str, ...], case: str, which: str) -> OneByOne:
    labels = labels_onto(labels, given.grid)
    problem = grid_difference(given.grid, labels.grid)
    if problem:
        raise GeometryError(f"case {case!r}: given and {which} labels differ in {problem}")
    return _ordered(labels, classes, case)


def _ordered(labels: LabelMap, classes: tuple[str, ...], case: str) -> OneByOne:
    """The masks of a label map in the order of `classes`, which it must all have."""
    missing = [name for name in classes if name not in labels.names]
    if missing:
        raise LabelValueError(
            f"case {case!r}: the run has a class {missing[0]!r}, a label folder only "
            f"{', '.join(labels.names)}"
        )
    return OneByOne(labels, classes)


def _dice(one: BoolArray, other: BoolArray) -> float | None:
    value = dice(one, other)
    return None if math.isnan(value) else value
