"""Trusted cases where nothing is trained: masks somebody vouches for, with probabilities that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import CleanCasesError, ConfigError, GeometryError, MissingDataError
from labelmend.geometry.orientation import labels_onto
from labelmend.io import LabelFolder, RegionFolder, grid_difference, is_nnunet, open_labels, open_nnunet
from labelmend.io.arrays import as_path, hold_like
from labelmend.io.cases import Source
from labelmend.io.held_cases import HeldLabels, HeldProbabilities, HeldSource
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.open_labels import read_case_list
from labelmend.io.probabilities.open_probabilities import open_probabilities
from labelmend.io.probabilities.probability_folder import ProbabilityFolder
from labelmend.runtime.progress import Count
from labelmend.runtime.text import listed
from labelmend.types import FloatArray, LabelMap, Predicted

Files = LabelFolder | CocoLabels


@dataclass(frozen=True, eq=False)
class Trusted:
    """Trusted cases, found but not read yet.

    Args:
        path: folder, COCO file, or text file of case ids, as named; None of arrays.
        labels: the truth.
        probs: its probabilities.
        given: the labels to correct, of which some cases may be trusted.
        cases: ids of the trusted cases, sorted.
    """

    path: Path | None
    labels: Files | HeldLabels
    probs: ProbabilityFolder | HeldProbabilities
    given: Files | HeldLabels
    cases: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Where they come from."""
        return "arrays" if self.path is None else str(self.path.resolve())

    @property
    def held_out(self) -> frozenset[str]:
        """Those among the given cases, which are not corrected."""
        return frozenset(self.cases) & frozenset(self.given.cases)

    def truth(self, case: str) -> LabelMap:
        """The trusted labels of a case.

        Raises:
            GeometryError: they lie on another grid than the given ones.
        """
        labels = self.labels.read(case)
        if case in self.held_out and self.labels is not self.given:
            grid = self.given.read(case).grid
            labels = labels_onto(labels, grid)
            difference = grid_difference(labels.grid, grid)
            if difference:
                raise GeometryError(
                    f"case {case}: trusted labels in {self.labels.path} and given ones in {self.given.path} "
                    f"differ in {difference}: bring them onto one grid"
                )
        return labels

    def predicted(self, count: Count = lambda case, n_cases: None) -> Iterator[Predicted]:
        """The cases as methods see them, one at a time: the truth as `given`."""
        for case in self.cases:
            truth = self.truth(case)
            yield Predicted(case, truth, truth, self.probs.read(case, truth))
            count(case, len(self.cases))

    def beside_given(self) -> Iterator[tuple[LabelMap, LabelMap, FloatArray]]:
        """Truth, given labels and probabilities of each case that was drawn anew; none without any.

        Where every trusted mask is the given one, somebody chose good cases, which say nothing of the others.
        """
        if not any(self.replaces(case) for case in sorted(self.held_out)):
            return
        for case in sorted(self.held_out):
            truth = self.truth(case)
            yield truth, self.given.read(case), self.probs.read(case, truth)

    def replaces(self, case: str) -> bool:
        """Whether the trusted labels of a given case are others than the given ones."""
        if self.labels is self.given:
            return False
        return not np.array_equal(self.truth(case).array, self.given.read(case).array)


def open_trusted(source: Source, clean: Any, probabilities: Any = None) -> Trusted | None:
    """Find the trusted cases and check that they are of the same kind as the given ones.

    Args:
        source: labels to correct and their probabilities.
        clean: folder of masks like the given labels (a COCO file if these are one) for some of the cases, or
            a text file of case ids whose given labels are right; None: there are none.
        probabilities: of the trusted cases, if they lie elsewhere.

    Raises:
        CleanCasesError: other classes, or another way to keep them; nothing is left to correct; probabilities
            without trusted cases.
        GeometryError: trusted and given labels of a case lie on different grids.
        MissingDataError, DataError: something is not there or cannot be read.
    """
    if clean is None:
        if probabilities is not None:
            raise CleanCasesError(
                f"probabilities of trusted cases were given ({probabilities}), but no trusted cases: give "
                "--clean, or leave out --clean-probabilities"
            )
        return None
    path = as_path(clean, "clean")
    if not path.exists():
        raise MissingDataError(
            f"--clean {path} does not exist: expected a label folder, or a text file of case ids"
        )
    by_id = path.is_file() and path.suffix != ".json"
    labels = source.given if by_id else _opened(path, source.given)
    cases = _listed(path, source) if by_id else labels.cases
    _check_kind(path, labels, source.given)
    probs = open_probabilities(
        source.probs.path if probabilities is None else as_path(probabilities, "clean_probabilities"),
        labels,
        cases=cases,
        order=source.probs.order,
    )
    return _checked(Trusted(path, labels, probs, source.given, tuple(sorted(cases))))


def hold_trusted(source: HeldSource, clean: Any, probabilities: Any = None) -> Trusted | None:
    """The same of arrays.

    Args:
        source: labels to correct and their probabilities.
        clean: trusted labels by case id, or ids of cases whose given labels are right; None: there are none.
        probabilities: of trusted cases by case id; else those of the given cases.

    Raises:
        ConfigError: neither of these. MissingDataError: a case without labels or probabilities.
    """
    if clean is None:
        return None
    given = source.given
    if isinstance(clean, Mapping):
        labels = hold_like(clean, given)
    elif isinstance(clean, list | tuple | set) and all(isinstance(case, str) for case in clean):
        labels = given
    else:
        raise ConfigError(
            "labels are arrays, so clean is trusted labels by case id ({'a': array}), or a list of ids of "
            f"cases whose labels are right, got {type(clean).__name__}"
        )
    cases = tuple(sorted(set(clean)))
    if not isinstance(probabilities, Mapping | None):
        raise ConfigError("clean_probabilities are kept by case id, as {'a': array}")
    arrays = source.probs.arrays if probabilities is None else probabilities
    for what, there in (("labels", labels.cases), ("probabilities", arrays)):
        missing = [case for case in cases if case not in there]
        if missing:
            raise MissingDataError(f"trusted case {listed(missing)} has no {what}: check the case id")
    return _checked(Trusted(None, labels, dataclasses.replace(source.probs, arrays=arrays), given, cases))


def _checked(trusted: Trusted) -> Trusted:
    """Trusted cases that leave some to correct and lie on the grids of the given ones."""
    if len(trusted.held_out) == len(trusted.given.cases):
        where = f"{trusted.given.path} are trusted" + (f" ({trusted.path})" if trusted.path else "")
        raise CleanCasesError(f"all {len(trusted.given.cases)} cases of {where}: none is left to correct")
    for case in trusted.cases:
        trusted.truth(case)
    return trusted


def _listed(path: Path, source: Source) -> tuple[str, ...]:
    cases = read_case_list(path)
    unknown = [case for case in cases if case not in source.cases]
    if unknown:
        raise MissingDataError(
            f"trusted case {unknown[0]} ({path}) has no labels in {source.labels}: check the case id"
        )
    return cases


def _opened(path: Path, given: Files) -> Files:
    """Trusted masks, named as the given ones are."""
    if isinstance(given, CocoLabels):
        if path.is_dir():
            raise CleanCasesError(
                f"--clean {path} is a folder, but the given labels are a COCO file: give one"
            )
        return open_coco(path, spacing_mm=given.spacing_mm)
    if path.is_file():
        raise CleanCasesError(f"--clean {path} is a COCO file, but the given labels are a folder: give one")
    if is_nnunet(path):
        return open_nnunet(path, spacing_mm=given.spacing_mm)[0]
    if isinstance(given, RegionFolder):
        values = sorted({value for region in given.regions for value in region})
        names = {f"value {value}": value for value in values}
        found = open_labels(path, classes=names, ignore=given.ignore, spacing_mm=given.spacing_mm)
        return dataclasses.replace(given, path=path, files=found.files)
    return open_labels(path, classes=given.class_map(), ignore=given.ignore, spacing_mm=given.spacing_mm)


def _check_kind(path: Path, labels: Files, given: Files) -> None:
    """The same classes, kept the same way, with the same values."""
    if labels.classes != given.classes:
        raise CleanCasesError(
            f"trusted labels {path} have the classes {', '.join(labels.classes)}, given labels {given.path} "
            f"have {', '.join(given.classes)}: they must be the same"
        )
    for name in ("overlapping", "values", "regions", "order"):
        mine, theirs = getattr(labels, name, None), getattr(given, name, None)
        if mine != theirs:
            raise CleanCasesError(
                f"trusted labels {path} and given labels {given.path} are kept in different ways ({name}: "
                f"{mine} and {theirs}): keep both as integer maps of the same values, or in class folders"
            )
