"""The files of an audit: written from what its passes found, and read back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelmend import __version__
from labelmend.detection import Bias, CaseNumbers, Finding, Typical
from labelmend.engine import audit_words as words
from labelmend.engine.audit_rows import Counted, Told
from labelmend.engine.audit_source import Source
from labelmend.io import write_csv, write_json, write_text
from labelmend.io.audit_folder import AUDIT, CASES, FINDINGS, read_audit
from labelmend.io.parquet import write_parquet
from labelmend.io.reading import read_json_lines

TABLE, SUMMARY, PAGE = "findings.csv", "summary.md", "report.html"
PARQUET = "findings.parquet"
FILES = (AUDIT, CASES, FINDINGS, TABLE, PARQUET, SUMMARY, PAGE)
"""What an audit and its page leave in a folder, beside the proposals."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What `audit_labels` found.

    Args:
        folder: where it was written.
        facts: the content of audit.json.
        cases: rows of cases.jsonl, worst first.
        findings: per case its findings.
        written: whether this very run wrote the files; False for a shard that found all of it joined already,
            whose findings are then those of the files, to six digits.
    """

    folder: Path
    facts: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...]
    findings: Mapping[str, tuple[Finding, ...]] = field(repr=False)
    written: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """All that the files of an audit are made of.

    Args:
        source: what was audited.
        who: per case who drew it.
        counted: per case of `source` its numbers.
        told: per case of `source` what is told of it.
        usual: what the cases have in common.
        bias: of the data set and of each annotator.
        calibrated: whether the user asked for calibrated probabilities.
    """

    source: Source
    who: Mapping[str, str]
    counted: Sequence[Counted]
    told: Sequence[Told]
    usual: Typical
    bias: Sequence[Bias]
    calibrated: bool


def write_result(out: Path, found: Found, *, parquet: bool = False) -> AuditResult:
    """Write all files of an audit but the proposals; audit.json, which says that it is whole, last.

    Args:
        out: folder to write to.
        found: what the passes found.
        parquet: write findings.parquet too.
    """
    cases, told = found.source.cases, found.told
    order = sorted(range(len(told)), key=lambda i: (-told[i].score, -len(told[i].findings), cases[i]))
    rows = [_row(found, i, rank) for rank, i in enumerate(order, start=1)]
    findings = {cases[i]: told[i].findings for i in order}
    flat = [
        {"case": case, "number": number, **dataclasses.asdict(finding)}
        for case, own in findings.items()
        for number, finding in enumerate(own, start=1)
    ]
    facts = _facts(found)
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


def read_result(out: Path) -> AuditResult:
    """What an earlier run wrote.

    Raises:
        MissingDataError, UnreadableFileError: there is no finished audit.
    """
    audit = read_audit(out)
    rows = tuple(read_json_lines(out / CASES))
    findings: dict[str, list[Finding]] = {row["case"]: [] for row in rows}
    for row in read_json_lines(out / FINDINGS):
        findings[row["case"]].append(_finding(row))
    told = {case: tuple(own) for case, own in findings.items()}
    return AuditResult(out, audit.facts, rows, told, written=False)


def what_was_audited(source: Source, *, calibrated: bool) -> dict[str, Any]:
    """The entries of audit.json that are known before anything is counted."""
    return {
        "version": __version__,
        **source.description(),
        "n_cases": len(source.cases),
        "settings": {"calibrate": calibrated, "images": source.images is not None},
    }


def _row(found: Found, i: int, rank: int) -> dict[str, Any]:
    """A line of cases.jsonl."""
    source, told, case = found.source, found.told[i], found.source.cases[i]
    return {
        "case": case,
        "rank": rank,
        "score": round(told.score, 6),
        "reason": told.reason,
        "annotator": found.who.get(case, ""),
        "files": [str(path) for path in source.label_files(case)],
        "image": source.image_name(case),
        "proposal": list(told.proposal),
        "checksum": found.counted[i].checksum,
        "n_findings": len(told.findings),
        "classes": _class_numbers(source.classes, found.counted[i].numbers),
    }


def _facts(found: Found) -> dict[str, Any]:
    """The content of audit.json."""
    source, usual, calibrated = found.source, found.usual, found.calibrated
    about, calibration = what_was_audited(source, calibrated=calibrated), usual.calibration
    digest = hashlib.sha256(json.dumps([__version__, about["settings"], source.description()]).encode())
    for row, case in zip(found.counted, found.told, strict=True):
        digest.update(f"{row.checksum} {case.score:.6f} {case.proposal}".encode())
    return {
        "kind": "audit",
        "version": __version__,
        "id": digest.hexdigest()[:32],
        **source.description(),
        "unit": found.counted[0].unit,
        "n_cases": len(found.counted),
        "settings": about["settings"],
        "statistics": {
            name: dict(zip(source.classes, map(_number, getattr(usual, name)), strict=True))
            for name in ("far", "far_spread", "offset_mm", "offset_spread", "edge_mm", "edge_spread")
        },
        "bias": [_plain(dataclasses.asdict(row)) for row in found.bias],
        "calibration": {
            "temperature": round(calibration.temperature, 4),
            "error": round(calibration.error, 5),
            "at_outlines": round(calibration.at_outlines / max(calibration.n_at_outlines, 1), 4),
        },
        "warnings": words.doubts(usual, calibrated=calibrated, n_cases=len(found.counted)),
        "notes": [*source.notes],
        "assumptions": words.assumptions(with_images=source.images is not None),
    }


def _finding(row: Mapping[str, Any]) -> Finding:
    """A finding from its line in findings.jsonl."""
    own = {field.name: row[field.name] for field in dataclasses.fields(Finding)}
    box = None if row["box"] is None else tuple((start, stop) for start, stop in row["box"])
    sizes = {name: math.nan if row[name] is None else row[name] for name in ("size_mm", "offset_mm")}
    return Finding(**{**own, **sizes, "box": box})


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
