"""Labels of the same cases twice: those to compare, and the reference that they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError
from labelmend.io import LabelFolder, grid_difference, open_labels, spacing_notes
from labelmend.io.arrays import Arrays, CaseSpacing, ClassNames, hold_labels, numbered, one_spacing
from labelmend.io.cases import wanted_cases
from labelmend.io.held_cases import HeldLabels
from labelmend.io.labels.dataset import MOST_LISTED
from labelmend.runtime.text import listed
from labelmend.types import Grid

Labels = LabelFolder | HeldLabels
Opened = TypeVar("Opened", bound=Labels)
Given = TypeVar("Given")


def open_pair(
    labels: Path,
    reference: Path,
    classes: Mapping[str, int] | None,
    ignore: int | None,
    spacing_mm: Sequence[float] | float | None,
    cases: str | Path | Sequence[str] | None = None,
) -> tuple[LabelFolder, LabelFolder]:
    """Both folders with the same class names and a reference for every (selected) case, or an error."""

    def opened(path: Path, names: Mapping[str, int] | None) -> LabelFolder:
        return open_labels(path, classes=names, ignore=ignore, spacing_mm=spacing_mm)

    return _paired(*_named_alike(opened, labels, reference, classes), cases)


def hold_pair(
    labels: str | Path | Arrays,
    reference: str | Path | Arrays,
    classes: ClassNames | None,
    ignore: int | None,
    spacing_mm: CaseSpacing | None,
    cases: str | Path | Sequence[str] | None = None,
) -> tuple[Labels, Labels]:
    """The same of arrays, see `labelmend.io.arrays`; one of the two may be a folder."""

    def opened(given: str | Path | Arrays, names: Mapping[str, int] | None) -> Labels:
        if isinstance(given, str | Path):
            return open_labels(given, classes=names, ignore=ignore, spacing_mm=one_spacing(spacing_mm))
        return hold_labels(given, classes=names, ignore=ignore, spacing_mm=spacing_mm)

    return _paired(*_named_alike(opened, labels, reference, numbered(classes)), cases)


def _named_alike(
    opened: Callable[[Given, Mapping[str, int] | None], Opened],
    labels: Given,
    reference: Given,
    classes: Mapping[str, int] | None,
) -> tuple[Opened, Opened]:
    """Labels and reference with the same class names, lent by one to the other where it has none."""
    theirs = opened(reference, classes)
    try:
        ours = opened(labels, classes)
    except LabelValueError:  # unnamed and entirely empty: the reference may provide the names
        if classes is not None or theirs.overlapping:
            raise
        ours = opened(labels, theirs.class_map())
    lent = _lent_names(ours, theirs)
    if lent is not None:
        ours, theirs = opened(labels, lent), opened(reference, lent)
    if set(ours.names) != set(theirs.names):
        raise ConfigError(
            f"{ours.path} has the classes {', '.join(ours.names)}, "
            f"{theirs.path} has {', '.join(theirs.names)}: "
            "rename the class folders, or give the classes with their values"
        )
    return ours, theirs


def _paired(ours: Opened, theirs: Opened, cases: str | Path | Sequence[str] | None) -> tuple[Opened, Opened]:
    """Both with a reference for every case, or an error that lists those without."""
    if cases is not None:
        ours = ours.only(*wanted_cases(cases, ours))  # type: ignore[assignment]
    missing = sorted(set(ours.cases) - set(theirs.cases))
    if missing:
        raise MissingDataError(
            f"{len(missing)} of {len(ours.cases)} cases in {ours.path} have no reference in {theirs.path}: "
            f"{listed(missing, MOST_LISTED)}. Add them, or select the cases to compare (--cases: ids, or a "
            "text file of them)"
        )
    return ours, theirs


def _lent_names(ours: Labels, theirs: Labels) -> dict[str, int] | None:
    """Common names for two sets of integer maps of which one or both are unnamed; otherwise None."""
    if set(ours.names) == set(theirs.names) or ours.overlapping or theirs.overlapping:
        return None
    if _unnamed(ours) and _unnamed(theirs):
        return dict(sorted({**ours.class_map(), **theirs.class_map()}.items(), key=lambda pair: pair[1]))
    if _unnamed(ours):
        return theirs.class_map()
    return ours.class_map() if _unnamed(theirs) else None


def _unnamed(folder: Labels) -> bool:
    """Whether classes are named after their values, that is, unnamed."""
    return folder.names == tuple(map(str, folder.values or ()))


def common_grid(ours: Grid, theirs: Grid, where: str) -> Grid:
    """The grid of a pair, from the file that stores its geometry; an error if the two disagree."""
    difference = grid_difference(ours, theirs)
    if difference:
        raise GeometryError(f"{where} differ in {difference}: resample them to one grid")
    return ours if theirs.affine is None else theirs


def common_unit(units: Mapping[str, str]) -> str:
    """The common unit of all cases, or an error: pixels and millimetres cannot be averaged."""
    without = [case for case, unit in units.items() if unit == "px"]
    if without and len(without) < len(units):
        raise GeometryError(
            f"case {without[0]} has no spacing, but other cases do: set the spacing or store it in every file"
        )
    return "px" if without else "mm"


def asked_for(cases: object, ours: Labels) -> tuple[str, ...]:
    """A sentence if only some cases were compared."""
    return () if cases is None else (f"Only {len(ours.cases)} selected cases were compared.",)


def pair_notes(ours: Labels, theirs: Labels, spacing_mm: CaseSpacing | None) -> tuple[str, ...]:
    """Notes on the headers of the compared files."""
    folders = [folder for folder in (ours, theirs) if isinstance(folder, LabelFolder)]
    files = (path for folder in folders for case in ours.cases for path in folder.sources(case))
    return spacing_notes(files, one_spacing(spacing_mm)) if folders else ()


def origin(labels: Labels, case: str) -> str:
    """Where the labels of a case come from, for messages."""
    return str(labels.sources(case)[0]) if isinstance(labels, LabelFolder) else "an array"
