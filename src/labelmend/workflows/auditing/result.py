"""The result of an audit and its files, from what its passes found."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from labelmend import __version__
from labelmend.errors import DataError
from labelmend.html.result import Result
from labelmend.io import checksum, write_csv, write_json, write_text
from labelmend.io.cases import AnySource
from labelmend.io.files.tables import write_parquet
from labelmend.io.reversed_axes import reversed_axes
from labelmend.workflows.auditing import text
from labelmend.workflows.auditing.audit_folder import AUDIT, CASES, FINDINGS
from labelmend.workflows.auditing.case_rows import FindingsRow, StatisticsRow
from labelmend.workflows.auditing.findings import CaseStatistics, Finding, SystematicBias, Typical
from labelmend.workflows.auditing.thumbnails import case_thumbnail

TABLE, SUMMARY, PAGE = "findings.csv", "summary.md", "report.html"
PARQUET = "findings.parquet"
FILES = (AUDIT, CASES, FINDINGS, TABLE, PARQUET, SUMMARY, PAGE)
"""What an audit and its page write, besides the proposals."""


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult(Result):
    """What `audit` found.

    Args:
        folder: where it was written, None where nothing was.
        facts: the content of audit.json.
        cases: rows of cases.jsonl, worst first.
        findings: per case its findings.
        proposals: where nothing was written, labels that correct what was found, for cases that have any.
        source: what was audited.
    """

    folder: Path | None
    facts: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...]
    findings: Mapping[str, tuple[Finding, ...]]
    proposals: Mapping[str, NDArray[Any]]
    source: AnySource

    def headline(self) -> str:
        """How many cases, how many to look at first, and where the page is."""
        n_flagged = sum(row["score"] >= text.FLAGGED for row in self.cases)
        where = "" if self.folder is None else f", written to {self.folder}"
        return f"Audit of {len(self.cases)} cases: {n_flagged} to look at first{where}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The cases, worst first."""
        names = ("rank", "case", "score", "n_findings", "reason")
        return [{name: row[name] for name in names} for row in self.cases]

    def remarks(self) -> Sequence[str]:
        """Why the findings may be wrong, and which outlines are too wide or too tight throughout."""
        return [*self.facts["warnings"], *(row["reason"] for row in self.facts["bias"] if row["systematic"])]

    def pictures(self, count: int) -> Sequence[str]:
        """Given and predicted outlines on the image; empty where a case can no longer be read."""
        found = []
        for row in self.cases[:count]:
            try:
                given, probs, image, _ = self.source.read(row["case"])
                found.append(case_thumbnail(given, probs, image))
            except DataError:
                found.append("")
        return found


@dataclass(frozen=True, eq=False)
class AuditFindings:
    """Everything that the files of an audit are made from.

    Args:
        source: what was audited.
        who: per case its annotator.
        first_pass: per case of `source` its statistics.
        last_pass: per case of `source` its score and findings.
        usual: what is typical of the cases.
        bias: of the data set and of each annotator.
        calibrated: whether the user asked for calibrated probabilities.
    """

    source: AnySource
    who: Mapping[str, str]
    first_pass: Sequence[StatisticsRow]
    last_pass: Sequence[FindingsRow]
    usual: Typical
    bias: Sequence[SystematicBias]
    calibrated: bool


def make_result(out: Path | None, found: AuditFindings) -> AuditResult:
    """The result of an audit, from what its passes found.

    Args:
        out: folder that holds the proposals, None where nothing is written.
        found: what the passes found.
    """
    cases, last_pass = found.source.cases, found.last_pass
    order = sorted(
        range(len(last_pass)), key=lambda i: (-last_pass[i].score, -len(last_pass[i].findings), cases[i])
    )
    rows = [_row(out, found, i, rank) for rank, i in enumerate(order, start=1)]
    held = {case: row.proposal.labels for case, row in zip(cases, last_pass, strict=True)}
    return AuditResult(
        out,
        _facts(found, rows),
        tuple(rows),
        {cases[i]: last_pass[i].findings for i in order},
        {case: labels.array for case, labels in held.items() if labels is not None},
        found.source,
    )


def write_result(out: Path, result: AuditResult, *, parquet: bool = False) -> None:
    """Write all files of an audit except the proposals; audit.json last, which marks it as complete.

    Args:
        out: folder to write to.
        result: of the audit.
        parquet: write findings.parquet too.
    """
    rows, findings, facts = result.cases, result.findings, result.facts
    flat = [
        {"case": case, "number": number, **dataclasses.asdict(finding)}
        for case, own in findings.items()
        for number, finding in enumerate(own, start=1)
    ]
    write_text(out / CASES, _lines(rows))
    write_text(out / FINDINGS, _lines(flat))
    columns = ["case", "number", *(f.name for f in dataclasses.fields(Finding))]
    write_csv(out / TABLE, columns, ([_cell(row[name]) for name in columns] for row in flat))
    if parquet:
        whole = [_plain(row) for row in flat]
        write_parquet(out / PARQUET, {name: [row[name] for row in whole] for name in columns})
    write_text(out / SUMMARY, text.summary(facts, rows, findings))
    write_json(out / AUDIT, facts)


def _row(out: Path | None, found: AuditFindings, i: int, rank: int) -> dict[str, Any]:
    """A line of cases.jsonl."""
    source, last_pass, case = found.source, found.last_pass[i], found.source.cases[i]
    files = last_pass.proposal.files
    return {
        "case": case,
        "rank": rank,
        "score": round(last_pass.score, 6),
        "reason": last_pass.reason,
        "annotator": found.who.get(case, ""),
        "files": [str(path) for path in source.label_files(case)],
        "image": source.image_name(case),
        "proposal": list(files),
        "checksum": found.first_pass[i].checksum,
        "proposal_checksum": checksum(*(out / file for file in files)) if out and files else "",
        "n_findings": len(last_pass.findings),
        "classes": _class_statistics(source.classes, found.first_pass[i].statistics),
    }


def _facts(found: AuditFindings, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of audit.json."""
    source, usual, calibrated = found.source, found.usual, found.calibrated
    calibration, settings = usual.calibration, {"calibrate": calibrated, "images": source.with_images}
    digest = hashlib.sha256(json.dumps([__version__, settings, source.description()]).encode())
    for row, case in zip(found.first_pass, found.last_pass, strict=True):
        digest.update(f"{row.checksum} {case.score:.6f} {case.proposal.files}".encode())
    for row_written in rows:
        digest.update(row_written["proposal_checksum"].encode())
    return {
        "kind": "audit",
        "version": __version__,
        "id": digest.hexdigest()[:32],
        **source.description(),
        "unit": found.first_pass[0].unit,
        "n_cases": len(found.first_pass),
        "settings": settings,
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
        "warnings": [
            *reversed_axes(source, source.cases),
            *text.audit_doubts(usual, calibrated=calibrated, n_cases=len(found.first_pass)),
        ],
        "notes": [*source.notes],
        "assumptions": text.assumptions(with_images=source.with_images),
    }


def _class_statistics(classes: Sequence[str], numbers: CaseStatistics) -> dict[str, dict[str, float | None]]:
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
    """A row with NaN and infinity as null, since JSON has neither."""
    return {key: _number(value) if isinstance(value, float) else value for key, value in row.items()}


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """A cell of the table: nothing for NaN, boxes as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return json.dumps(value) if isinstance(value, tuple | list) else "" if value is None else value
