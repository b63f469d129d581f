"""Find what is wrong with the labels of a data set from out-of-sample probabilities; nothing is trained.

Two passes over the cases, each case by itself and in any number of processes. The first counts: some hundred
numbers a case, from which follows what is usual in this data set. The second tells what is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labelmend import __version__
from labelmend.detection import (
    Bias,
    CaseNumbers,
    Examined,
    Finding,
    Layout,
    Typical,
    UsualLayout,
    biases,
    examine,
    faults,
    layout_of,
    numbers_of,
    propose,
    see,
    typical,
    usual_layout,
)
from labelmend.detection.calibration import scaled
from labelmend.engine import audit_words as words
from labelmend.engine.audit_source import Source, open_source
from labelmend.engine.parallel import check_jobs, each
from labelmend.engine.result_folder import check_result_folder
from labelmend.errors import OutputError
from labelmend.io import write_csv, write_json, write_text
from labelmend.io.audit_folder import AUDIT, CASES, FINDINGS, PROPOSALS
from labelmend.io.case_table import read_case_column
from labelmend.io.parquet import write_parquet
from labelmend.types import FloatArray, LabelMap

TABLE, SUMMARY, PAGE = "findings.csv", "summary.md", "report.html"
PARQUET = "findings.parquet"
UNFINISHED = f".part-{PROPOSALS}"
"""Where proposals lie until the audit is whole; what a killed one left there is cleared by the next."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What `audit_labels` found.

    Args:
        folder: where it was written.
        facts: the content of audit.json.
        cases: rows of cases.jsonl, worst first.
        findings: per case its findings.
    """

    folder: Path
    facts: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...]
    findings: Mapping[str, tuple[Finding, ...]] = field(repr=False)


def audit_labels(
    labels: str | Path,
    *,
    probabilities: str | Path,
    out: str | Path,
    images: str | Path | None = None,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    annotators: str | Path | None = None,
    calibrate: bool = False,
    parquet: bool = False,
    proposals: bool = True,
    jobs: int = 1,
    backend: str = "loky",
    on_case: Callable[[str, str, int], None] = lambda stage, case, n_cases: None,
) -> AuditResult:
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
        annotators: CSV file with the columns `case` and `annotator`: who drew what.
        calibrate: divide logits by the temperature at which the given labels are likeliest, before the
            findings.
        parquet: write findings.parquet too (extra `tabular`).
        proposals: write labels that mend what was found.
        jobs: worker processes; 1 works in this process, -1 takes every core.
        backend: `loky` for this machine, `ray` for a Ray cluster.
        on_case: called after each case of a pass with the name of the pass, the case and the number of cases.

    Returns:
        What was written.

    Raises:
        DataError: labels, probabilities or images that cannot be read or do not fit.
        ConfigError: settings that make no sense. OutputError: `out` holds something else.
    """
    check_jobs(jobs, backend)
    source = open_source(labels, probabilities, images, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    out, cases = Path(out), source.cases
    who = _annotators(annotators, cases)
    _check_out(out, source, annotators)

    def passed(work: Callable[[Any], Any], stage: str, known: Sequence[Counted | None] = ()) -> list[Any]:
        tasks = zip(map(source.only, cases), known or [None] * len(cases), strict=True)
        found = []
        for case, result in zip(cases, each(work, tasks, jobs=jobs, backend=backend), strict=True):
            found.append(result)
            on_case(stage, case, len(cases))
        return found

    counted: list[Counted] = passed(_Count(1.0), "counting")
    step_mm = float(np.median([row.step_mm for row in counted]))
    usual = typical([row.numbers for row in counted], step_mm)
    temperature = usual.calibration.temperature
    if calibrate and _is_off(temperature):
        counted = passed(_Count(temperature), "counting again")
        usual = dataclasses.replace(
            typical([row.numbers for row in counted], step_mm), calibration=usual.calibration
        )
    used = temperature if calibrate and _is_off(temperature) else 1.0
    places = usual_layout([row.layout for row in counted])
    told: list[Told] = passed(_Tell(used, usual, places, out if proposals else None), "examining", counted)
    rows = biases(
        [row.numbers for row in counted],
        usual,
        source.classes,
        annotators=[who.get(case, "") for case in cases],
        spacing_mm=step_mm,
        unit=counted[0].unit,
    )
    return _write(out, source, counted, told, usual, rows, who, calibrated=calibrate, parquet=parquet)


@dataclass(frozen=True, eq=False)
class Counted:
    """What the first pass keeps of a case."""

    numbers: CaseNumbers
    layout: Layout
    misplaced: str
    checksum: str
    step_mm: float
    unit: str


@dataclass(frozen=True, eq=False)
class Told:
    """What the second pass keeps of a case."""

    score: float
    reason: str
    findings: tuple[Finding, ...]
    proposal: tuple[str, ...]


@dataclass(frozen=True)
class _Count:
    """First pass."""

    temperature: float

    def __call__(self, task: tuple[Source, None]) -> Counted:
        source, (case,) = task[0], task[0].cases
        given, probs, image, misplaced = source.read(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        numbers = numbers_of(given, seen, image)
        step, unit = float(np.mean(given.grid.spacing_mm)), given.grid.unit
        return Counted(numbers, layout_of(given), misplaced, source.checksum(case), step, unit)


@dataclass(frozen=True, eq=False)
class _Tell:
    """Second pass: findings, and a proposal on disk."""

    temperature: float
    usual: Typical
    places: UsualLayout
    out: Path | None

    def __call__(self, task: tuple[Source, Counted]) -> Told:
        source, counted = task
        (case,) = source.cases
        given, probs = source.read_labels(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        slips = list(faults(given, counted.layout, self.places))
        if counted.misplaced:
            reason = f"Image and labels do not lie on each other: they differ in {counted.misplaced}."
            slips.append(Finding("fault", "", 1.0, reason))
        examined = examine(given, seen, counted.numbers, self.usual, slips=slips)
        proposal = self._propose(source, case, given, examined)
        return Told(examined.score.score, examined.reason, examined.findings, proposal)

    def _propose(self, source: Source, case: str, given: LabelMap, examined: Examined) -> tuple[str, ...]:
        if self.out is None or source.folder is None or not examined.findings:
            return ()
        proposed = propose(given, examined)
        if np.array_equal(proposed.array, given.array):
            return ()
        home = self.out / UNFINISHED
        files = source.folder.write(home, case, proposed)
        return tuple((Path(PROPOSALS) / path.relative_to(home)).as_posix() for path in files)


def scaled_if(probs: FloatArray, temperature: float, *, overlapping: bool) -> FloatArray:
    """Probabilities at another temperature, or as they are at one; of overlapping classes one by one."""
    if temperature == 1.0:
        return probs
    if overlapping:
        return np.stack([scaled(np.stack([1 - p, p]), temperature)[1] for p in probs])
    return scaled(probs, temperature)


def _is_off(temperature: float) -> bool:
    return max(temperature, 1 / temperature) > words.CALIBRATED


def _annotators(path: str | Path | None, cases: Sequence[str]) -> dict[str, str]:
    """Who drew which case, from a CSV file."""
    return {} if path is None else read_case_column(path, "annotator", cases)


def _check_out(out: Path, source: Source, annotators: str | Path | None) -> None:
    """Refuse a folder that holds something else or what is read, and clear what an earlier audit left."""
    own = (AUDIT, CASES, FINDINGS, TABLE, PARQUET, SUMMARY, PAGE)
    named = (source.labels, source.probabilities, source.images, annotators)
    read = [Path(place) for place in named if place is not None]
    for place in read:
        if out.resolve() in place.resolve().parents and place.is_dir():
            raise OutputError(f"{place} is read and lies in {out}: choose another folder")
    check_result_folder(
        out,
        (*own, PROPOSALS),
        folders=[place for place in read if place.is_dir()],
        files=[place for place in read if place.is_file()],
    )
    if (out / PROPOSALS).exists() and not (out / AUDIT).exists() and any((out / PROPOSALS).iterdir()):
        raise OutputError(f"{out / PROPOSALS} is not of a finished audit: choose a new or empty folder")
    for name in own:
        (out / name).unlink(missing_ok=True)
    for folder in (out / PROPOSALS, out / UNFINISHED):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if folder.is_dir():
            folder.rmdir()


def _write(
    out: Path,
    source: Source,
    counted: Sequence[Counted],
    told: Sequence[Told],
    usual: Typical,
    bias: Sequence[Bias],
    who: Mapping[str, str],
    *,
    calibrated: bool,
    parquet: bool,
) -> AuditResult:
    """All files of an audit; audit.json, which says that it is whole, last."""
    cases = source.cases
    order = sorted(range(len(told)), key=lambda i: (-told[i].score, -len(told[i].findings), cases[i]))
    rows = [
        {
            "case": cases[i],
            "rank": rank,
            "score": round(told[i].score, 6),
            "reason": told[i].reason,
            "annotator": who.get(cases[i], ""),
            "files": [str(path) for path in source.label_files(cases[i])],
            "image": source.image_name(cases[i]),
            "proposal": list(told[i].proposal),
            "checksum": counted[i].checksum,
            "n_findings": len(told[i].findings),
            "classes": _class_numbers(source.classes, counted[i].numbers),
        }
        for rank, i in enumerate(order, start=1)
    ]
    findings = {cases[i]: told[i].findings for i in order}
    flat = [
        {"case": case, "number": number, **dataclasses.asdict(finding)}
        for case, own in findings.items()
        for number, finding in enumerate(own, start=1)
    ]
    if (out / UNFINISHED).is_dir():
        (out / UNFINISHED).rename(out / PROPOSALS)
    facts = _facts(source, counted, told, usual, bias, calibrated=calibrated)
    write_text(out / CASES, _lines(rows))
    write_text(out / FINDINGS, _lines(flat))
    columns = ["case", "number", *(f.name for f in dataclasses.fields(Finding))]
    write_csv(out / TABLE, columns, ([_cell(row[name]) for name in columns] for row in flat))
    if parquet:
        whole = [_plain(row) for row in flat]
        write_parquet(out / PARQUET, {name: [row[name] for row in whole] for name in columns})
    write_text(out / SUMMARY, words.summary(facts, rows, findings))
    write_json(out / AUDIT, facts)
    return AuditResult(out, facts, tuple(rows), findings)


def _facts(
    source: Source,
    counted: Sequence[Counted],
    told: Sequence[Told],
    usual: Typical,
    bias: Sequence[Bias],
    *,
    calibrated: bool,
) -> dict[str, Any]:
    settings = {"calibrate": calibrated, "images": source.images is not None}
    digest = hashlib.sha256(json.dumps([__version__, settings, source.description()]).encode())
    for row, case in zip(counted, told, strict=True):
        digest.update(f"{row.checksum} {case.score:.6f} {case.proposal}".encode())
    calibration = usual.calibration
    return {
        "kind": "audit",
        "version": __version__,
        "id": digest.hexdigest()[:32],
        **source.description(),
        "unit": counted[0].unit,
        "n_cases": len(counted),
        "settings": settings,
        "statistics": {
            name: dict(zip(source.classes, map(_number, getattr(usual, name)), strict=True))
            for name in ("far", "far_spread", "offset_mm", "offset_spread", "edge_mm", "edge_spread")
        },
        "bias": [_plain(dataclasses.asdict(row)) for row in bias],
        "calibration": {
            "temperature": round(calibration.temperature, 4),
            "error": round(calibration.error, 5),
            "at_outlines": round(calibration.at_outlines / max(calibration.n_at_outlines, 1), 4),
        },
        "warnings": words.doubts(usual, calibrated=calibrated, n_cases=len(counted)),
        "notes": [*source.notes],
        "assumptions": words.assumptions(with_images=source.images is not None),
    }


def _class_numbers(classes: Sequence[str], numbers: CaseNumbers) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            "dice_to_prediction": _number(numbers.dice[i]),
            "far": _number(numbers.far[i]),
            "offset_mm": _number(numbers.offset_mm[i]),
            "edge_mm": _number(numbers.edge_mm[i]),
            "n_given": int(numbers.n_given[i]),
        }
        for i, name in enumerate(classes)
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with NaN and infinity as null, which is all that JSON knows."""
    return {key: _number(value) if isinstance(value, float) else value for key, value in row.items()}


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """A cell of the table: nothing for NaN, boxes as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return json.dumps(value) if isinstance(value, tuple | list) else "" if value is None else value
