"""Trusted cases where nothing is trained: masks somebody vouches for, with probabilities that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.errors import CleanCasesError, GeometryError, MissingDataError
from labelmend.geometry.orientation import labels_onto
from labelmend.io import LabelFolder, RegionFolder, grid_difference, is_nnunet, open_labels, open_nnunet
from labelmend.io.cases import Source
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.open_labels import read_case_list
from labelmend.io.probabilities.open_probabilities import open_probabilities
from labelmend.io.probabilities.probability_folder import ProbabilityFolder
from labelmend.types import FloatArray, LabelMap, Predicted

Labels = LabelFolder | CocoLabels


@dataclass(frozen=True, eq=False)
class Trusted:
    """Trusted cases, found but not read yet.

    Args:
        path: folder, COCO file, or text file of case ids, as named.
        labels: the truth.
        probs: its probabilities.
        given: the labels to correct, of which some cases may be trusted.
        cases: ids of the trusted cases, sorted.
    """

    path: Path
    labels: Labels
    probs: ProbabilityFolder
    given: Labels
    cases: tuple[str, ...]

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

    def predicted(
        self, on_case: Callable[[str, int], None] = lambda case, n_cases: None
    ) -> Iterator[Predicted]:
        """The cases as methods see them, one at a time: the truth as `given`."""
        for case in self.cases:
            truth = self.truth(case)
            yield Predicted(case, truth, truth, self.probs.read(case, truth))
            on_case(case, len(self.cases))

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


def open_trusted(
    source: Source, clean: str | Path | None, probabilities: str | Path | None = None
) -> Trusted | None:
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
    path = Path(clean)
    if not path.exists():
        raise MissingDataError(
            f"--clean {path} does not exist: expected a label folder, or a text file of case ids"
        )
    listed = path.is_file() and path.suffix != ".json"
    labels = source.given if listed else _opened(path, source.given)
    cases = _listed(path, source) if listed else labels.cases
    _check_kind(path, labels, source.given)
    probs = open_probabilities(
        source.probs.path if probabilities is None else probabilities,
        labels,
        cases=cases,
        order=source.probs.order,
    )
    trusted = Trusted(path, labels, probs, source.given, tuple(sorted(cases)))
    if len(trusted.held_out) == len(source.cases):
        raise CleanCasesError(
            f"all {len(source.cases)} cases of {source.labels} are trusted ({path}): none is left to correct"
        )
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


def _opened(path: Path, given: Labels) -> Labels:
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


def _check_kind(path: Path, labels: Labels, given: Labels) -> None:
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
