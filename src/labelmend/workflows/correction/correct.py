"""Correct labels with probabilities that are there already; nothing is trained, and torch is not needed.

Two passes over the cases. The first counts: how often classes occur, how sure the probabilities are of the
given labels, and whether they look out-of-sample. In the second the method revises case by case, and what
changed is written in the layout of the given labels, all else byte for byte.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from labelmend import __version__
from labelmend.errors import ConfigError
from labelmend.geometry import frontier, joint_box
from labelmend.io import ManifestRow, checksum, write_json, write_manifest
from labelmend.io.arrays import Arrays, ByCase, CaseSpacing, ClassNames, kept_like
from labelmend.io.cases import AnySource, Source, open_source
from labelmend.io.held_cases import HeldSource
from labelmend.io.probabilities.axes import OrderSetting
from labelmend.io.reversed_axes import reversed_axes
from labelmend.methods.base import Facts, Known, Method, check_revision, hyper_parameters, tasks, without
from labelmend.methods.registry import method_name
from labelmend.metrics import calibration
from labelmend.metrics.calibration import Calibration, calibration_of
from labelmend.metrics.learned import SAMPLED, TOO_ALIKE, Seen, predicted_masks, saying_nothing, seen
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.types import FloatArray, LabelMap, Predicted, Revision
from labelmend.workflows.correction.methods import (
    check_able,
    known_method,
    self_confidence,
    with_left_out,
)
from labelmend.workflows.correction.result import CorrectResult
from labelmend.workflows.correction.trusted_cases import Trusted, hold_trusted, open_trusted
from labelmend.workflows.correction.write import files_of, home_of, ignore_value, parent_of, write_labels

MANIFEST, SUMMARY, TRUSTED = "manifest.jsonl", "summary.json", "trusted"

NOTHING_SAID = (
    "Nothing shows that the probabilities know {} ({}), so its labels stay as given: check that they belong "
    "to these cases, or lower --min-learned"
)

IN_SAMPLE = calibration.IN_SAMPLE_WARNING.format("mending")


def correct(
    labels: str | Path | Arrays,
    probabilities: str | Path | Arrays,
    *,
    method: Method | str,
    out: str | Path | None = None,
    clean: str | Path | Mapping[str, Any] | Sequence[str] | None = None,
    clean_probabilities: str | Path | Mapping[str, Any] | None = None,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    order: OrderSetting = "auto",
    cases: str | Path | Sequence[str] | None = None,
    dataset: str | None = None,
    copy_images: bool = False,
    min_learned: float = 0.05,
    progress: Progress = no_progress,
) -> CorrectResult:
    """Correct the labels of a data set with out-of-sample probabilities of its cases.

    Arrays come back as arrays, kept like those that came in; see `labelmend.io.arrays`. Of files,
    OUT holds `labels/` with a `dataset.json` beside it (or `labels.json` for a COCO file, or a raw data set
    `DatasetXXX_Name/`, ready for nnUNetv2_plan_and_preprocess), `manifest.jsonl` and `summary.json`. It
    appears whole or not at all. Trusted cases are not corrected: they get the trusted masks.

    Args:
        labels: label folder, raw data set of nnU-Net, or COCO file; or arrays: integers `(*space)`, or
            booleans `(k *space)` of classes that may overlap.
        probabilities: out-of-sample probabilities of the cases, see `labelmend.io.open_probabilities`; or
            arrays `(k+1 *space)` with the background first, of overlapping classes `(k *space)`.
        method: `spatial_correction` (needs trusted cases), `adele` or `confident`; or one with settings of
            its own and the verb `revise_from_probs`.
        out: new or empty folder; not needed for arrays.
        clean: trusted cases: masks for some of the cases, in the form of the given ones (arrays by case id);
            or the ids of cases whose given labels are right, of files in a text file.
        clean_probabilities: probabilities of the trusted cases, if they are elsewhere.
        classes: names and values of the classes, for integer maps without names; names of boolean masks.
        ignore: value of pixels nobody annotated, in integer maps; `confident` marks what it leaves out by it.
        spacing_mm: per array axis, or one number, for arrays and formats that store none or instead of what
            they store; for arrays also one per case.
        order: of the axes of probability arrays of NIfTI labels: "array" as nibabel has them, "sitk"
            reversed, "auto" by the name of the array, see `labelmend.io.open_probabilities`.
        cases: only these: ids, or a text file of them. Of a label folder no other is written; of
            COCO files and nnU-Net data sets all others stay as given.
        dataset: name of the new raw data set, DatasetXXX_Name; default: that of the given one with "_mended"
            and the next free number.
        copy_images: copy the images of a raw data set instead of linking to them.
        min_learned: labels of a class are revised only if predictions agree this much better with the labels
            of their own case than with those of others, see `labelmend.metrics.learned`; 0 turns the check
            off.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        ConfigError: a method that needs training; settings that do not fit the data.
        CleanCasesError: trusted cases are needed and absent, or not of the kind of the given ones.
        DataError: labels or probabilities that cannot be read or do not fit.
        OutputError: `out` holds something, lies in what is read, or cannot be written.
    """
    method = known_method(method)
    check_able(method, trusted=clean is not None)
    if not 0 <= min_learned < 1:
        raise ConfigError(f"min_learned must be in [0, 1), got {min_learned}")
    source = open_source(
        labels,
        probabilities,
        classes=classes,
        ignore=ignore,
        spacing_mm=spacing_mm,
        order=order,
        cases=cases,
    )
    if isinstance(source, HeldSource):
        if (out, dataset, copy_images) != (None, None, False):
            raise ConfigError("arrays come back as arrays, nothing is written: leave out out and dataset")
        work = _Work(source, method, hold_trusted(source, clean, clean_probabilities), progress)
        revised = dict(work.revised(min_learned))
        arrays = {case: revised.get(case, source.given.read(case)).array for case in source.cases}
        return work.result(None, kept_like(labels, arrays), work.summary(None))
    if out is None:
        raise ConfigError("corrected files need a folder to lie in: name it (out)")
    out, home = Path(out), home_of(source, dataset)
    paths = [Path(path) for path in (clean, clean_probabilities) if isinstance(path, str | Path)]
    check_output(out, (), folders=[path for path in (*source.paths, *paths) if path.is_dir()])
    work = _Work(source, method, open_trusted(source, clean, clean_probabilities), progress)
    with whole_folder(out) as folder:
        write_labels(source, folder / home, work.revised(min_learned), copy_images=copy_images)
        write_manifest(folder / MANIFEST, [work.row(source, folder, home, case) for case in source.cases])
        summary = work.summary(home)
        write_json(folder / SUMMARY, summary)
    return work.result(out, out / home, summary)


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over the cases to correct.

    Args:
        pixels: `(k)` of each class.
        annotated: of all that are not ignored.
        calibration: how sure the probabilities are of the given labels.
        confidence: see `self_confidence`.
        ndim: axes of the cases.
        unit: of lengths.
    """

    pixels: FloatArray
    annotated: int
    calibration: Calibration
    confidence: FloatArray
    ndim: int
    unit: str

    def __add__(self, other: Counts) -> Counts:
        return dataclasses.replace(
            self,
            pixels=self.pixels + other.pixels,
            annotated=self.annotated + other.annotated,
            calibration=self.calibration + other.calibration,
            confidence=self.confidence + other.confidence,
        )


def count_case(given: LabelMap, probs: FloatArray) -> Counts:
    """The counts of one case."""
    known, sums = ~given.ignored(), []
    for labels, likely in tasks(given, probs):
        edge = np.zeros(given.grid.shape, bool)
        for index, found in enumerate(find_objects(labels, max_label=len(likely) - 1), start=1):
            box = joint_box((found,), labels.shape, margin=1)
            mask = labels[box] == index
            edge[box] |= frontier(mask, outer=False) | frontier(mask, outer=True)
        sums.append(calibration_of(labels[known], likely[:, known], edge[known]))
    return Counts(
        pixels=np.array([np.count_nonzero(given.mask(name)) for name in given.classes], float),
        annotated=int(known.sum()),
        calibration=sum(sums[1:], sums[0]),
        confidence=self_confidence(given, probs),
        ndim=given.grid.ndim,
        unit=given.grid.unit,
    )


class _Work:
    """One correction: reads cases, takes revisions, and remembers of each what the records say."""

    def __init__(
        self,
        source: AnySource,
        method: Method,
        trusted: Trusted | None,
        progress: Progress,
    ) -> None:
        self.source, self.method, self.trusted, self.progress = source, method, trusted, progress
        self.held_out = frozenset() if trusted is None else trusted.held_out
        self.to_correct = [case for case in source.cases if case not in self.held_out]
        self.notes: dict[str, dict[str, Any]] = {}
        self.not_left_out = 0
        self.seen: list[Seen] = []
        self.held: dict[str, str] = {}
        self.counts: Counts
        self.findings: Sequence[Mapping[str, Any]] = ()

    def revised(self, min_learned: float) -> Iterator[tuple[str, LabelMap]]:
        """Both passes: cases whose labels change, with the new ones."""
        self.counts = self.counted()
        self.hold_back(min_learned)
        self.findings, revisions = self.method.revise_from_probs(self.known(self.counts), self.cases)
        yield from self.changed(revisions)

    def result(self, folder: Path | None, labels: Path | ByCase, summary: Mapping[str, Any]) -> CorrectResult:
        """Sentences on the whole correction."""
        n_corrected = len(self.notes.keys() - self.held_out)
        warnings = tuple(summary["warnings"])
        n_cases, n_trusted = len(self.source.cases), len(self.held_out)
        return CorrectResult(folder, labels, summary, warnings, n_cases, n_corrected, n_trusted)

    def counted(self) -> Counts:
        """The first pass."""

        order = np.random.default_rng(11).permutation(len(self.to_correct))
        sample = {self.to_correct[index] for index in order[:SAMPLED]}

        count = counter(self.progress, "reading")

        def one(case: str) -> Counts:
            given, probs = self.source.read_labels(case)
            found = count_case(given, probs)
            if case in sample:
                self.seen.append(seen(given, predicted_masks(given, probs)))
            count(case, len(self.to_correct))
            return found

        return functools.reduce(operator.add, map(one, self.to_correct))

    def hold_back(self, least: float) -> None:
        """Find the classes of which the probabilities say nothing: their labels stay."""
        if least == 0:
            return
        trusted = []
        if self.trusted is not None:
            for case in self.trusted.predicted():
                trusted.append(seen(case.given, predicted_masks(case.given, case.probs)))
                if len(trusted) == SAMPLED:
                    break
        self.held = saying_nothing(
            self.source.given.classes, self.seen, "cases", trusted, least, alike=TOO_ALIKE
        )

    def known(self, counts: Counts) -> Known:
        """What the method may know."""
        frequency = tuple(float(n) / max(counts.annotated, 1) for n in counts.pixels)
        given = self.source.given
        facts = Facts(given.classes, given.overlapping, counts.ndim, len(self.to_correct), frequency)
        if self.trusted is None:
            return Known(facts, counts.confidence)
        count = counter(self.progress, "measuring on trusted cases")
        predicted = functools.partial(self.trusted.predicted, count)
        return Known(facts, counts.confidence, predicted, self.trusted.beside_given)

    def cases(self) -> Iterator[Predicted]:
        """The second pass: cases as methods see them, one at a time."""
        count = counter(self.progress, "correcting")
        for case in self.to_correct:
            given, probs = self.source.read_labels(case)
            yield Predicted(case, given, given, probs)
            count(case, len(self.to_correct))

    def changed(self, revisions: Iterator[Revision]) -> Iterator[tuple[str, LabelMap]]:
        """Cases whose labels change, with the new ones: trusted masks, then checked revisions."""
        for case in sorted(self.held_out):
            if self.trusted is not None and self.trusted.replaces(case):
                self.notes[case] = {"reason": "the trusted mask in place of the given one"}
                yield case, self.trusted.truth(case)
        ignore = ignore_value(self.source)
        for revision in revisions:
            given = self.source.given.read(revision.case)
            check_revision(revision, given)
            kept = without(revision, given, given, self.held)
            if kept is None:
                continue
            revision = kept
            labels, n_left_out = revision.labels, 0
            if revision.left_out is not None and ignore is not None:
                labels, n_left_out = with_left_out(revision, ignore), int(revision.left_out.sum())
            elif revision.left_out is not None:
                self.not_left_out += int(revision.left_out.sum())
            if not np.array_equal(labels.array, given.array):
                self.notes[revision.case] = _note(revision, n_left_out, ignore)
                yield revision.case, labels

    def row(self, source: Source, folder: Path, home: str, case: str) -> ManifestRow:
        """What the manifest says of a case that was written."""
        note, is_trusted = self.notes.get(case), case in self.held_out
        parent, parent_checksum = parent_of(source, case)
        files = files_of(source, folder / home, case)
        extra: dict[str, Any] = {} if note is None else {k: v for k, v in note.items() if k != "reason"}
        if is_trusted and self.trusted is not None:
            extra["trusted"] = str(self.trusted.path)
        elif note is not None:
            extra["probabilities"] = checksum(*source.probs.checksum_files(case))
        return ManifestRow(
            case=case,
            files=tuple(path.relative_to(folder).as_posix() for path in files),
            checksum=checksum(*files),
            parent=parent,
            parent_checksum=parent_checksum,
            method=TRUSTED if is_trusted else method_name(self.method),
            parameters={} if is_trusted else hyper_parameters(self.method),
            version=0 if note is None else 1,
            seed=0,
            reason=note["reason"] if note else "trusted as given" if is_trusted else "kept as given",
            extra=extra,
        )

    def summary(self, home: str | None) -> dict[str, Any]:
        """What summary.json says."""
        doc = (type(self.method).__doc__ or "").partition("Paper:")[2].partition("Differs:")[0]
        calibration = self.counts.calibration
        return {
            "kind": "correct",
            "labelmend_version": __version__,
            "method": method_name(self.method),
            "parameters": hyper_parameters(self.method),
            "paper": " ".join(doc.split()),
            **self.source.description(),
            "unit": self.counts.unit,
            "corrected": home,
            "clean": None if self.trusted is None else self.trusted.origin,
            "clean_cases": [] if self.trusted is None else list(self.trusted.cases),
            "findings": [
                {"class": row["class"], "why": f"kept, see the warning; else: {row['why']}"}
                if row["class"] in self.held
                else row
                for row in self.findings
            ],
            "calibration": {"temperature": calibration.temperature, "error": calibration.error},
            "cases": [
                {"case": case, "trusted": case in self.held_out, "version": int(case in self.notes)}
                | self.notes.get(case, {"reason": "kept as given"})
                for case in self.source.cases
            ],
            "warnings": [IN_SAMPLE] * calibration.looks_in_sample
            + reversed_axes(self.source, self.to_correct)
            + [NOTHING_SAID.format(name, why) for name, why in self.held.items()],
            "notes": [*self.source.notes, *self._remarks()],
        }

    def _remarks(self) -> list[str]:
        found = []
        if self.trusted is not None and self.method.needs.clean == "unused":
            found.append(
                f"Method {method_name(self.method)} does not look at trusted cases; they are only left alone."
            )
        if self.not_left_out:
            found.append(
                f"{self.not_left_out} pixels should be left out of training, but the labels have no value "
                "for that (integer maps have one where --ignore or dataset.json says so): they hold the "
                "predicted class instead."
            )
        return found


def _note(revision: Revision, n_left_out: int, ignore: int | None) -> dict[str, Any]:
    """What the records say of a revision, in plain values."""
    names = revision.labels.names
    left_out = f"; left out of training as {ignore}" if n_left_out else ""
    displacement = [d if math.isfinite(d) else None for d in revision.displacement_mm]
    return {
        "reason": revision.reason + left_out,
        "added_vox": dict(zip(names, revision.added_vox, strict=True)),
        "removed_vox": dict(zip(names, revision.removed_vox, strict=True)),
        "displacement_mm": dict(zip(names, displacement, strict=True)),
        "confidence": revision.confidence,
        "left_out_vox": n_left_out,
    }
