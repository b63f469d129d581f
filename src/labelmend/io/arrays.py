"""Labels, probabilities and images given as arrays: what they are is found out, and checked.

One array a case, by case id or one after the other; cases without ids are numbered from 0.

    labels          integers (*space), or booleans (k *space) of classes that may overlap; or a LabelMap
    probabilities   floats: (k+1 *space) of integer maps, channel 0 the background (of one class (*space) will
                    do); (k *space) of overlapping classes, which have no background
    images          numbers (*space) or (c *space)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, DataError, LabelValueError, MissingDataError
from labelmend.io.held_cases import HeldLabels, HeldProbabilities, HeldSource
from labelmend.io.images.label_values import distinct_values
from labelmend.io.labels.class_names import names_given
from labelmend.runtime.text import listed
from labelmend.types import LabelMap, label_array

Arrays = Mapping[str, Any] | Sequence[Any] | NDArray[Any]
"""One array a case: by case id, in a list, or along the first axis of an array."""

ByCase = dict[str, NDArray[Any]] | list[NDArray[Any]]
"""What comes back: arrays by case id, or one after the other, as they came in."""

ClassNames = Mapping[str, int] | Sequence[str]
"""Names of the classes with their integers, or the names alone, which are then numbered from 1."""

CaseSpacing = Sequence[float] | float | Mapping[str, Sequence[float]] | Sequence[Sequence[float]]
"""Spacing in mm of all cases, per array axis or one number; or one entry a case, kept like the arrays."""


def is_held(cases: object) -> TypeGuard[Arrays]:
    """Whether cases are given as arrays and not as the path of files."""
    return cases is not None and not isinstance(cases, str | Path)


def as_path(cases: str | Path | Arrays, what: str) -> Path:
    """The path of cases, or an error where they are arrays."""
    if is_held(cases):
        raise ConfigError(f"{what} are arrays, but labels a path: give all as arrays or all as files")
    return Path(cases)  # type: ignore[arg-type]


def one_spacing(spacing_mm: CaseSpacing | None) -> Sequence[float] | float | None:
    """The spacing of all files, or an error if there is one per case."""
    if isinstance(spacing_mm, Mapping) or np.ndim(spacing_mm) > 1:  # type: ignore[arg-type]
        raise ConfigError("files have one spacing_mm for all: a spacing a case goes with arrays")
    return spacing_mm  # type: ignore[return-value]


def numbered(names: ClassNames | None) -> dict[str, int] | None:
    """Names of classes with their integers.

    >>> numbered(["lung", "heart"])
    {'lung': 1, 'heart': 2}
    """
    if names is None or isinstance(names, Mapping):
        return None if names is None else dict(names)
    return {name: number for number, name in enumerate(names, start=1)}


def hold_labels(
    labels: Arrays,
    *,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    cases: Sequence[str] | None = None,
) -> HeldLabels:
    """Labels from arrays; see the module for what an array may be.

    Args:
        labels: one array or LabelMap a case.
        classes: names of the classes, needed for booleans; of integers without names the values that occur.
        ignore: value of pixels nobody annotated, in integer maps.
        spacing_mm: in mm; None: lengths are in pixels.
        cases: only these ids.

    Raises:
        MissingDataError: no case, or none of a name asked for.
        ConfigError, LabelValueError, GeometryError: what an array holds is no annotation of these classes.
    """
    by_case = _by_case(labels, "labels")
    unknown = [case for case in cases or () if case not in by_case]
    if unknown or not by_case or (cases is not None and not cases):
        there = listed(sorted(by_case)) or "none"
        raise MissingDataError(
            f"no labels of cases asked for: {listed(unknown) or 'none named'}. There are {there}"
        )
    by_case = {case: by_case[case] for case in (sorted(set(cases)) if cases is not None else by_case)}
    if all(isinstance(item, LabelMap) for item in by_case.values()):
        maps = by_case
        if (classes, ignore, spacing_mm) != (None, None, None):
            raise ConfigError("a LabelMap has its own classes, ignore and spacing_mm: leave these out")
    else:
        spacings = _spacings(spacing_mm, by_case)
        maps = _maps({case: _labels(case, item) for case, item in by_case.items()}, classes, ignore, spacings)
    first = next(iter(maps))
    for case, found in maps.items():
        _check_alike(first, maps[first], case, found)
    return HeldLabels(maps)


def hold_cases(
    labels: Arrays,
    probabilities: str | Path | Arrays,
    images: str | Path | Arrays | None = None,
    *,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    cases: Sequence[str] | None = None,
) -> HeldSource:
    """Labels with their probabilities and images, all kept alike: by case id, or one after the other.

    Raises:
        MissingDataError: a case without probabilities, or without an image where there are images.
        ConfigError, LabelValueError, GeometryError: see `hold_labels`.
    """
    given = hold_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm, cases=cases)
    probs = _partners(probabilities, "probabilities", labels, given)
    arrays = {} if images is None else _partners(images, "image", labels, given)
    spacings = {given.read(case).grid.spacing_mm for case in given.cases}
    known = len(spacings) == 1 and given.read(given.cases[0]).grid.unit == "mm"
    n_all = len(labels)
    notes = (
        () if cases is None else (f"Only {len(given.cases)} of {n_all} cases were looked at, as asked for.",)
    )
    held = HeldProbabilities(probs, given.background or "background")
    return HeldSource(given, held, arrays, spacings.pop() if known else None, notes=notes)


def hold_like(labels: Mapping[str, Any], given: HeldLabels) -> HeldLabels:
    """Labels of some cases by case id, with the classes and the spacing of the given ones."""
    if any(isinstance(item, LabelMap) for item in labels.values()):
        return hold_labels(labels)
    grids = {case: given.maps.get(case, given.read(given.cases[0])).grid for case in labels}
    known = all(grid.unit == "mm" for grid in grids.values())
    spacing_mm = {case: grid.spacing_mm for case, grid in grids.items()} if known else None
    return hold_labels(labels, classes=given.class_map(), ignore=given.ignore, spacing_mm=spacing_mm)


def kept_like(given: object, by_case: Mapping[str, NDArray[Any]]) -> ByCase:
    """Arrays by case id where these came in, else one after the other."""
    return dict(by_case) if isinstance(given, Mapping) else list(by_case.values())


def _by_case(arrays: Arrays, what: str) -> dict[str, Any]:
    """Per case id its array; cases in a sequence are numbered, with as many digits each."""
    if isinstance(arrays, Mapping):
        return {str(case): array for case, array in arrays.items()}
    if not hasattr(arrays, "__len__"):
        raise ConfigError(
            f"{what}: one array a case was expected, by case id or in a list, got {type(arrays).__name__}"
        )
    digits = len(str(max(len(arrays) - 1, 0)))
    return {f"{number:0{digits}}": array for number, array in enumerate(arrays)}


def _partners(arrays: str | Path | Arrays, what: str, labels: Arrays, given: HeldLabels) -> dict[str, Any]:
    """Arrays of the cases of the labels."""
    if not is_held(arrays):
        raise ConfigError(f"labels are arrays, but {what} a path: give all as arrays or all as files")
    if isinstance(arrays, Mapping) != isinstance(labels, Mapping):
        kept = ("by case id", "one after the other")
        mine, theirs = kept if isinstance(arrays, Mapping) else kept[::-1]
        raise ConfigError(f"{what} are kept {mine}, labels {theirs}: keep both in one way")
    found = _by_case(arrays, what)
    missing = [case for case in given.cases if case not in found]
    if missing or (not isinstance(arrays, Mapping) and len(arrays) != len(labels)):
        cases = f"case {listed(missing)} has no {what}" if missing else "their numbers differ"
        raise MissingDataError(f"{len(labels)} cases have labels and {len(arrays)} have {what}: {cases}")
    return {case: found[case] for case in given.cases}


def _spacings(spacing_mm: CaseSpacing | None, cases: Mapping[str, Any]) -> dict[str, Any]:
    """Per case its spacing."""
    if isinstance(spacing_mm, Mapping):
        missing = [case for case in cases if case not in spacing_mm]
        if missing:
            raise MissingDataError(
                f"spacing_mm has no entry for case {listed(missing)}: give one for every case"
            )
        return {case: spacing_mm[case] for case in cases}
    if np.ndim(spacing_mm) == 2:  # type: ignore[arg-type]
        per_case = _by_case(spacing_mm, "spacing_mm")  # type: ignore[arg-type]
        if len(per_case) != len(cases):
            raise MissingDataError(f"spacing_mm has {len(per_case)} entries for {len(cases)} cases")
        return dict(zip(cases, per_case.values(), strict=True))
    return dict.fromkeys(cases, spacing_mm)


def _maps(
    arrays: Mapping[str, NDArray[Any]],
    classes: ClassNames | None,
    ignore: int | None,
    spacings: Mapping[str, Any],
) -> dict[str, LabelMap]:
    """A LabelMap a case."""
    masks = next(iter(arrays.values())).dtype == bool
    odd = [case for case, array in arrays.items() if (array.dtype == bool) != masks]
    if odd:
        first = f"case {next(iter(arrays))} holds {'booleans' if masks else 'integers'}"
        raise ConfigError(f"{first} and case {odd[0]} does not: give one or the other")
    if masks and classes is None:
        raise ConfigError(
            "booleans, one mask a class, need classes=[...], the name of each; or give integers"
        )
    if masks and ignore is not None:
        raise ConfigError("booleans, one mask a class, have no value to ignore: leave out ignore")
    names, background = dict(sorted((numbered(classes) or {}).items(), key=lambda pair: pair[1])), None
    if not masks:
        names, ignore, background = _integer_names(arrays, numbered(classes), ignore)
    maps = {}
    for case, array in arrays.items():
        try:
            maps[case] = LabelMap.from_array(
                array, classes=names, spacing_mm=spacings[case], ignore=ignore, background=background
            )
        except DataError as error:
            raise type(error)(f"case {case}: {error}") from error
    return maps


def _labels(case: str, item: Any) -> NDArray[Any]:
    """Integers or booleans, or an error that names the case."""
    try:
        return label_array(item)
    except DataError as error:
        raise type(error)(f"case {case}: {error}") from error


def _integer_names(
    arrays: Mapping[str, NDArray[Any]], classes: Mapping[str, int] | None, ignore: int | None
) -> tuple[dict[str, int], int | None, str | None]:
    """Classes with their values, the value to ignore, and the name of value 0 where it is a class.

    Raises:
        LabelValueError: a value that no class has; nothing but 0 and no names.
    """
    held = {case: set(distinct_values(array)) for case, array in arrays.items()}
    occurring = sorted(set[int]().union(*held.values()) - {0, ignore})
    if classes is None and not occurring:
        raise LabelValueError("every array of labels is empty: name the classes, as classes={'lung': 1}")
    named = {str(value): value for value in occurring} if classes is None else classes
    known = names_given(named, ignore, "classes")
    for case, values in held.items():
        strange = sorted(values - {0, known.ignore, *known.values})
        if strange:
            pairs = [f"{name} = {value}" for name, value in zip(known.classes, known.values, strict=True)]
            raise LabelValueError(
                f"case {case}: labels hold {listed([*map(str, strange)], most=8)}, but the classes are "
                f"{listed(pairs, most=8)}: name the value as a class, or as the one to ignore"
            )
    return dict(zip(known.classes, known.values, strict=True)), known.ignore, known.background


def _check_alike(first: str, one: LabelMap, case: str, other: LabelMap) -> None:
    """An error where two cases have other classes, or keep them in another way."""
    for name in ("classes", "overlapping", "values", "ignore", "background"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            raise ConfigError(
                f"cases {first} and {case} have unlike labels ({name}: {mine} and {theirs}): all cases need "
                "the same classes, all as integer maps or all as one boolean mask a class"
            )
