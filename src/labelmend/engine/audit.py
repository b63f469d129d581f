"""Find what is wrong with the labels of a data set from out-of-sample probabilities; nothing is trained.

Two passes over the cases, each case by itself and in any number of processes. The first reads every case, and
keeps some hundred numbers, from which follows what is usual in this data set, and the few findings that the
case shows by itself, for which it proposes labels. The second tells from these what is not usual; it reads a
case again only where its outlines are to be moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.detection import biases, typical, usual_layout
from labelmend.engine import audit_words as words
from labelmend.engine.audit_passes import Count, Tell
from labelmend.engine.audit_result import FILES, AuditResult, Found, write_result
from labelmend.engine.audit_rows import Counted, digest
from labelmend.engine.audit_shards import (
    COUNTING,
    COUNTING_AGAIN,
    EXAMINING,
    PARTS,
    JoinedError,
    Parts,
    Row,
    Stage,
    Waiting,
)
from labelmend.engine.audit_source import Source, open_source
from labelmend.engine.parallel import check_jobs, each
from labelmend.engine.result_folder import check_result_folder
from labelmend.engine.shard import Shard
from labelmend.errors import OutputError
from labelmend.io.audit_folder import AUDIT, PROPOSALS
from labelmend.io.case_table import read_case_column

UNFINISHED = f".part-{PROPOSALS}"
"""Where proposals lie until the audit is whole; what a killed one left there is cleared by the next."""


def audit_labels(
    labels: str | Path,
    *,
    probabilities: str | Path,
    out: str | Path,
    images: str | Path | None = None,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    cases: str | Path | Sequence[str] | None = None,
    annotators: str | Path | None = None,
    calibrate: bool = False,
    parquet: bool = False,
    proposals: bool = True,
    jobs: int = 1,
    backend: str = "loky",
    shard: str = "1/1",
    on_case: Callable[[str, str, int], None] = lambda stage, case, n_cases: None,
) -> AuditResult | Waiting:
    """Rank the cases of a data set by how wrong their labels look, and say what looks wrong, where, and why.

    Args:
        labels: label folder, raw data set of nnU-Net, or COCO file.
        probabilities: out-of-sample probabilities of the cases, see `labelmend.io.open_probabilities`.
        out: folder for audit.json, cases.jsonl, findings.jsonl, findings.csv, summary.md and proposals/; new,
            empty, or filled by an earlier audit.
        images: folder of the images; with them a bias shows that the predictions share. Of nnU-Net they are
            found.
        classes: names and values of the classes, for integer maps without names.
        ignore: value of pixels nobody annotated, in integer maps.
        spacing_mm: per array axis, or one number, for formats that store none.
        cases: only these: ids, or a text file of them; no other is looked at.
        annotators: CSV file with the columns `case` and `annotator`: who drew what.
        calibrate: divide logits by the temperature at which the given labels are likeliest, before the
            findings.
        parquet: write findings.parquet too (extra `tabular`).
        proposals: write labels that mend what was found.
        jobs: worker processes; 1 works in this process, -1 takes every core.
        backend: `loky` for this machine, `ray` for a Ray cluster.
        shard: "i/n": do the i-th of n parts of the cases; all n runs may write to `out` at the same time, and
            each goes as far as it can without the others. The one that finds all cases examined writes the
            result.
        on_case: called after each case of a pass with the name of the pass, the case and the number of cases.

    Returns:
        What was written. Of one of several shards `Waiting`, until all cases are examined: the same call goes
        on when the shards that it names have come as far.

    Raises:
        DataError: labels, probabilities or images that cannot be read or do not fit.
        ConfigError: settings that make no sense.
        OutputError: `out` holds something else, or parts of an audit with other settings.
    """
    check_jobs(jobs, backend)
    part = Shard.parse(shard)
    source = open_source(
        labels, probabilities, images, classes=classes, ignore=ignore, spacing_mm=spacing_mm, cases=cases
    )
    who = {} if annotators is None else read_case_column(annotators, "annotator", source.cases)
    settings = _Settings(calibrate=calibrate, parquet=parquet, proposals=proposals, who=who)
    out, parts = Path(out), None
    _check_out(out, source, annotators, sharded=part.count > 1)
    if part.count == 1:
        _clear(out)
    else:
        parts = Parts(out, part, source, settings.told())
    run = _Run(source, out, part, parts, jobs=jobs, backend=backend, on_case=on_case)
    try:
        if parts is not None:
            parts.check()
        return _audited(run, settings)
    except JoinedError:
        assert parts is not None
        return parts.result()


@dataclass(frozen=True)
class _Settings:
    """What is asked for, beside the labels and where they lie.

    Args:
        calibrate, parquet, proposals: see `audit_labels`.
        who: per case who drew it.
    """

    calibrate: bool
    parquet: bool
    proposals: bool
    who: Mapping[str, str]

    def told(self) -> dict[str, bool | str]:
        """What all shards must have in common."""
        asked = {"calibrate": self.calibrate, "parquet": self.parquet, "proposals": self.proposals}
        return {**asked, "annotators": digest(sorted(self.who.items()))}


@dataclass(frozen=True, eq=False)
class _Run:
    """Where the work is done: which cases, by which processes."""

    source: Source
    out: Path
    shard: Shard
    parts: Parts | None
    jobs: int
    backend: str
    on_case: Callable[[str, str, int], None]

    def passed(
        self,
        stage: Stage[Row],
        work: Callable[[tuple[Source, Counted | None]], Row],
        known: Sequence[Counted] = (),
    ) -> list[Row] | Waiting:
        """Rows of all cases from one pass, or whom it waits for.

        Args:
            stage: the pass.
            work: makes the row of one case.
            known: rows of all cases from the pass before.
        """
        if self.parts is None:
            return self._rows(stage, work, known)
        return self.parts.met(stage, lambda: self._rows(stage, work, known), after=known)

    def _rows(
        self,
        stage: Stage[Row],
        work: Callable[[tuple[Source, Counted | None]], Row],
        known: Sequence[Counted],
    ) -> list[Row]:
        cases = self.shard.of(self.source.cases)
        before: Sequence[Counted | None] = self.shard.of(known) if known else [None] * len(cases)
        tasks = zip(map(self.source.only, cases), before, strict=True)
        found = []
        for case, row in zip(cases, each(work, tasks, jobs=self.jobs, backend=self.backend), strict=True):
            found.append(row)
            self.on_case(stage.doing, case, len(cases))
        return found

    @property
    def home(self) -> Path:
        """Where proposals lie until the audit is whole."""
        return self.out / UNFINISHED if self.parts is None else self.parts.home


def _audited(run: _Run, settings: _Settings) -> AuditResult | Waiting:
    """All passes, as far as this run can go, and the files."""
    home = run.home if settings.proposals else None
    counted = run.passed(COUNTING, Count(home=None if settings.calibrate else home))
    if isinstance(counted, Waiting):
        return counted
    step_mm = float(np.median([row.step_mm for row in counted]))
    usual = typical([row.numbers for row in counted], step_mm)
    found, used = usual.calibration, 1.0
    if settings.calibrate and max(found.temperature, 1 / found.temperature) > words.CALIBRATED:
        used = found.temperature
        counted = run.passed(COUNTING_AGAIN, Count(used, home), counted)
        if isinstance(counted, Waiting):
            return counted
        usual = dataclasses.replace(typical([row.numbers for row in counted], step_mm), calibration=found)
    places = usual_layout([row.layout for row in counted])
    told = run.passed(EXAMINING, Tell(used, usual, places, home), counted)
    if isinstance(told, Waiting):
        return told
    source, who = run.source, settings.who
    bias = biases(
        [row.numbers for row in counted],
        usual,
        source.classes,
        annotators=[who.get(case, "") for case in source.cases],
        spacing_mm=step_mm,
        unit=counted[0].unit,
    )
    whole = Found(source, who, counted, told, usual=usual, bias=bias, calibrated=settings.calibrate)
    if run.parts is None:
        if run.home.is_dir():
            run.home.rename(run.out / PROPOSALS)
        return write_result(run.out, whole, parquet=settings.parquet)
    return run.parts.joined(
        lambda folder: write_result(folder, whole, parquet=settings.parquet),
        [path for row in told for path in row.proposal],
    )


def _check_out(out: Path, source: Source, annotators: str | Path | None, *, sharded: bool) -> None:
    """Refuse a folder that holds something else or what is read."""
    named = (source.labels, source.probabilities, source.images, annotators)
    read = [Path(place) for place in named if place is not None]
    for place in read:
        if out.resolve() in place.resolve().parents and place.is_dir():
            raise OutputError(f"{place} is read and lies in {out}: choose another folder")
    if not sharded and (out / PARTS).is_dir():
        raise OutputError(
            f"{out / PARTS} holds parts of an audit in shards: go on with the same --shard as before, remove "
            "it, or choose another folder"
        )
    check_result_folder(
        out,
        (*FILES, PROPOSALS, *([PARTS] if sharded else [])),
        folders=[place for place in read if place.is_dir()],
        files=[place for place in read if place.is_file()],
    )


def _clear(out: Path) -> None:
    """Take away what an earlier audit left."""
    if (out / PROPOSALS).exists() and not (out / AUDIT).exists() and any((out / PROPOSALS).iterdir()):
        raise OutputError(f"{out / PROPOSALS} is not of a finished audit: choose a new or empty folder")
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    for folder in (out / PROPOSALS, out / UNFINISHED):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if folder.is_dir():
            folder.rmdir()
