"""Two label folders of the same cases: labels, and the reference to compare them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError
from labelmend.io import LabelFolder, grid_difference, open_labels, spacing_notes
from labelmend.io.cases import wanted_cases
from labelmend.io.labels.dataset import MOST_LISTED
from labelmend.runtime.text import listed
from labelmend.types import Grid


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
            f"{labels} has the classes {', '.join(ours.names)}, "
            f"{reference} has {', '.join(theirs.names)}: "
            "rename the class folders, or give the classes with their values"
        )
    if cases is not None:
        ours = ours.only(*wanted_cases(cases, ours))
    missing = sorted(set(ours.cases) - set(theirs.cases))
    if missing:
        raise MissingDataError(
            f"{len(missing)} of {len(ours.cases)} cases in {labels} have no reference in {reference}: "
            f"{listed(missing, MOST_LISTED)}. Add them, or select the cases to compare (--cases: ids, or a "
            "text file of them)"
        )
    return ours, theirs


def _lent_names(ours: LabelFolder, theirs: LabelFolder) -> dict[str, int] | None:
    """Common names for two folders of integer maps of which one or both are unnamed; otherwise None."""
    if set(ours.names) == set(theirs.names) or ours.overlapping or theirs.overlapping:
        return None
    if _unnamed(ours) and _unnamed(theirs):
        return dict(sorted({**ours.class_map(), **theirs.class_map()}.items(), key=lambda pair: pair[1]))
    if _unnamed(ours):
        return theirs.class_map()
    return ours.class_map() if _unnamed(theirs) else None


def _unnamed(folder: LabelFolder) -> bool:
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


def asked_for(cases: object, ours: LabelFolder) -> tuple[str, ...]:
    """A sentence if only some cases were compared."""
    return () if cases is None else (f"Only {len(ours.cases)} selected cases were compared.",)


def pair_notes(
    ours: LabelFolder, theirs: LabelFolder, spacing_mm: Sequence[float] | float | None
) -> tuple[str, ...]:
    """Notes on the headers of the compared files."""
    files = (path for folder in (ours, theirs) for case in ours.cases for path in folder.sources(case))
    return spacing_notes(files, spacing_mm)
