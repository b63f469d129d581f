"""Find what is wrong with the labels of a data set, from out-of-sample probabilities.

Two passes over the cases, one case at a time and in any number of processes. The first reads every case, and
keeps about a hundred numbers, which say what is typical of this data set, and the findings that need no other
case, with proposed labels. The last compares each case with what is typical; it reads a case again only where
its outlines are to be moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.io.arrays import Arrays, CaseSpacing, ClassNames, numbered, one_spacing
from labelmend.io.cases import AnySource, open_source
from labelmend.io.files.case_column import read_case_column
from labelmend.io.files.tables import check_parquet
from labelmend.io.held_cases import GIVEN, HeldSource
from labelmend.io.probabilities.axes import OrderSetting
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.runtime.parallel import check_jobs, each
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.workflows.auditing import text
from labelmend.workflows.auditing.audit_folder import PROPOSALS
from labelmend.workflows.auditing.case_rows import StatisticsRow
from labelmend.workflows.auditing.findings import biases, typical, usual_layout
from labelmend.workflows.auditing.page import write_review
from labelmend.workflows.auditing.passes import FindingsPass, StatisticsPass
from labelmend.workflows.auditing.result import FILES, AuditFindings, AuditResult, make_result, write_result
from labelmend.workflows.crossfitting.choose import FoldTraining
from labelmend.workflows.crossfitting.crossfit import crossfit

OWN = (*FILES, PROPOSALS, GIVEN)
CROSSFIT = "crossfit"
KEPT = (CROSSFIT,)
"""What stays in the folder when an audit is replaced."""

Row = TypeVar("Row")


def audit(
    labels: str | Path | Arrays,
    probabilities: str | Path | Arrays | None = None,
    images: str | Path | Arrays | None = None,
    *,
    out: str | Path | None = None,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    order: OrderSetting = "auto",
    cases: str | Path | Sequence[str] | None = None,
    annotators: str | Path | None = None,
    folds: int = 5,
    groups: str | Path | None = None,
    minutes: float = 30.0,
    train: FoldTraining = FoldTraining(),  # noqa: B008 - frozen
    calibrate: bool = False,
    parquet: bool = False,
    proposals: bool = True,
    jobs: int = 1,
    backend: str = "loky",
    overwrite: bool = False,
    page: bool = True,
    progress: Progress = no_progress,
) -> AuditResult:
    """Rank the cases of a data set by how wrong their labels look, and say what looks wrong, where, and why.

    Takes files or arrays. Arrays come by case id, in a list, or along a first axis, one per case; see
    `labelmend.io.arrays` for their shapes.

    Args:
        labels: label folder, raw data set of nnU-Net, or COCO file; or arrays: integers `(*space)`, or
            booleans `(k *space)` of classes that may overlap.
        probabilities: out-of-sample probabilities of the cases, see `labelmend.io.open_probabilities`; or
            arrays `(k+1 *space)` with the background first, of overlapping classes `(k *space)`. Default:
            networks are trained on `images` and these labels, and each case is predicted by one that has not
            seen it, see `labelmend.crossfit`; they are kept in `out`/crossfit.
        images: folder of the images, or arrays `(*space)` or `(c *space)`; they show a bias that the
            predictions share. In an nnU-Net data set they are found.
        out: folder for audit.json, cases.jsonl, findings.jsonl, findings.csv, summary.md, report.html and
            proposals/; new, empty, or holding an earlier audit. Default: nothing is written.
        classes: names and values of the classes, for integer maps without names; names of boolean masks.
        ignore: value of pixels nobody annotated, in integer maps.
        spacing_mm: per array axis, or one number, for arrays and files that store none, or instead of what
            they store; for arrays also one per case.
        order: of the axes of probability arrays of NIfTI labels: "array" as nibabel has them, "sitk"
            reversed, "auto" by the name of the array, see `labelmend.io.open_probabilities`.
        cases: only these: ids, or a text file of them.
        annotators: CSV file with the columns `case` and `annotator`: biases per annotator.
        folds: number of networks that are trained where no probabilities are given.
        groups: CSV file with the columns `case` and `group`, to predict the cases of a patient by a network
            that has seen none of them, or nnU-Net's splits_final.json.
        minutes: time for the training of all networks.
        train: settings of the networks, instead of those chosen from the data.
        calibrate: first divide logits by the temperature at which the given labels are most likely.
        parquet: write findings.parquet too (extra `tabular`).
        proposals: make labels that correct what was found.
        jobs: worker processes; 1 works in this process, -1 uses every core.
        backend: `loky` for this machine, `ray` for a Ray cluster.
        overwrite: replace an audit that `out` holds; its verdicts stay valid for cases whose given and
            proposed labels do not change.
        page: write the review page, report.html.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        DataError: labels, probabilities or images that cannot be read or do not fit.
        ConfigError: settings that make no sense.
        OutputError: `out` holds something else, or an audit already; another process writes to it.
    """
    check_jobs(jobs, backend)
    if parquet:
        check_parquet()
    notes: tuple[str, ...] = ()
    if probabilities is None:
        if not isinstance(labels, str | Path) or not isinstance(images, str | Path | None) or out is None:
            raise ConfigError(
                "without probabilities, networks are trained on files: give labels and images as folders and "
                "out, where the networks are kept; or give probabilities"
            )
        check_output(out, OWN, overwrite=overwrite, kept=KEPT)
        fitted = crossfit(
            labels, images, out=Path(out) / CROSSFIT, folds=folds, groups=groups, minutes=minutes,
            train=train, classes=numbered(classes), ignore=ignore, spacing_mm=one_spacing(spacing_mm),
            cases=cases, progress=progress,
        )  # fmt: skip
        probabilities, notes = fitted.probabilities, fitted.sentences()
    source = open_source(
        labels,
        probabilities,
        images,
        classes=classes,
        ignore=ignore,
        spacing_mm=spacing_mm,
        order=order,
        cases=cases,
    )
    source = dataclasses.replace(source, notes=(*notes, *source.notes)) if notes else source
    who = {} if annotators is None else read_case_column(annotators, "annotator", source.cases)
    settings = _Settings(calibrate=calibrate, parquet=parquet, proposals=proposals, who=who)
    run = _Run(source, None, jobs=jobs, backend=backend, progress=progress)
    if out is None:
        return _audited(run, settings)
    _check_out(Path(out), source, annotators, overwrite=overwrite)
    with whole_folder(out, OWN, overwrite=overwrite, kept=KEPT) as folder:
        kept = source.save(folder) if isinstance(source, HeldSource) else source
        found = _audited(dataclasses.replace(run, source=kept, out=folder), settings)
        write_result(folder, found, parquet=settings.parquet)
        if page:
            write_review(folder, progress=progress)
    return dataclasses.replace(found, folder=Path(out))


@dataclass(frozen=True)
class _Settings:
    """Settings of an audit, besides its input.

    Args:
        calibrate, parquet, proposals: see `audit`.
        who: per case its annotator.
    """

    calibrate: bool
    parquet: bool
    proposals: bool
    who: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Run:
    """Which cases are read, by how many processes, and where proposals go."""

    source: AnySource
    out: Path | None
    jobs: int
    backend: str
    progress: Progress

    def passed(
        self,
        stage: str,
        work: Callable[[tuple[AnySource, StatisticsRow | None]], Row],
        known: Sequence[StatisticsRow] = (),
    ) -> list[Row]:
        """Rows of all cases from one pass.

        Args:
            stage: what it does, in a word or two.
            work: makes the row of one case.
            known: rows of all cases from the pass before.
        """
        cases = self.source.cases
        before: Sequence[StatisticsRow | None] = known or [None] * len(cases)
        one_by_one: Iterator[AnySource] = map(self.source.only, cases)
        tasks = zip(one_by_one, before, strict=True)
        found, count = [], counter(self.progress, stage)
        for case, row in zip(cases, each(work, tasks, jobs=self.jobs, backend=self.backend), strict=True):
            found.append(row)
            count(case, len(cases))
        return found


def _audited(run: _Run, settings: _Settings) -> AuditResult:
    """All passes; writes nothing but proposals."""
    home = None if run.out is None else run.out / PROPOSALS
    wanted = settings.proposals
    first_pass = run.passed("reading cases", StatisticsPass(1.0, home, wanted and not settings.calibrate))
    step_mm = float(np.median([row.step_mm for row in first_pass]))
    usual = typical([row.statistics for row in first_pass], step_mm)
    found, used = usual.calibration, 1.0
    if settings.calibrate and max(found.temperature, 1 / found.temperature) > text.CALIBRATED:
        used = found.temperature
        first_pass = run.passed("reading calibrated", StatisticsPass(used, home, wanted), first_pass)
        usual = dataclasses.replace(
            typical([row.statistics for row in first_pass], step_mm), calibration=found
        )
    places = usual_layout([row.layout for row in first_pass])
    last_pass = run.passed("comparing cases", FindingsPass(used, usual, places, home, wanted), first_pass)
    source, who = run.source, settings.who
    bias = biases(
        [row.statistics for row in first_pass],
        usual,
        source.classes,
        annotators=[who.get(case, "") for case in source.cases],
        spacing_mm=step_mm,
        unit=first_pass[0].unit,
    )
    whole = AuditFindings(
        source, who, first_pass, last_pass, usual=usual, bias=bias, calibrated=settings.calibrate
    )
    return make_result(run.out, whole)


def _check_out(out: Path, source: AnySource, annotators: str | Path | None, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else or what is read."""
    read = [*source.paths, *([] if annotators is None else [Path(annotators)])]
    check_output(
        out,
        OWN,
        folders=[place for place in read if place.is_dir()],
        files=[place for place in read if place.is_file()],
        overwrite=overwrite,
        kept=KEPT,
    )
