"""What `labelmend audit` wrote: facts, cases and findings of a folder, and the labels that they speak of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.reading import read_json, read_json_lines, reading
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.coco_proposals import CocoProposals
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.open_labels import open_labels
from labelmend.workflows.auditing.findings.finding import KINDS

AUDIT, CASES, FINDINGS, PROPOSALS = "audit.json", "cases.jsonl", "findings.jsonl", "proposals"
ANEW = "run labelmend audit again"
Given = LabelFolder | CocoLabels
Proposed = LabelFolder | CocoProposals


@dataclass(frozen=True)
class AuditedFinding:
    """One thing that looks wrong.

    Args:
        kind: one of KINDS.
        class_name: "" where it is of no class.
        score: 0..1, higher is more certain.
        reason: one sentence.
        box: per array axis `[start, stop)` on the native grid, None for the whole case.
        other: the class that it probably is, "" if none.
    """

    kind: str
    class_name: str
    score: float
    reason: str
    box: tuple[tuple[int, int], ...] | None
    other: str


@dataclass(frozen=True)
class AuditedCase:
    """One case of an audit.

    Args:
        case: case id.
        rank: 1 for the worst.
        score: 0..1, the higher the more likely wrong.
        reason: one sentence.
        annotator: who drew it, "" if nobody said.
        image: its picture, None without images.
        proposal: files with the proposed labels, in the order of `LabelFolder.sources`; none without.
        checksum: of the given labels when they were audited, "" where that was not kept.
        proposal_checksum: of the proposed labels when they were written, "" where that was not kept.
        findings: best first.
    """

    case: str
    rank: int
    score: float
    reason: str
    annotator: str
    image: Path | None
    proposal: tuple[Path, ...]
    checksum: str
    proposal_checksum: str
    findings: tuple[AuditedFinding, ...]


@dataclass(frozen=True, eq=False)
class Audit:
    """A finished audit.

    Args:
        folder: where it lies.
        facts: what audit.json holds.
        cases: worst first.
    """

    folder: Path
    facts: Mapping[str, Any]
    cases: tuple[AuditedCase, ...]

    @property
    def id(self) -> str:
        return str(self.facts["id"])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.facts["classes"])

    def reasons(self) -> dict[str, str]:
        """The sentence of every case."""
        return {row.case: row.reason for row in self.cases}


def read_audit(folder: str | Path) -> Audit:
    """Read audit.json, cases.jsonl and findings.jsonl of a folder.

    Raises:
        MissingDataError: there is no audit in the folder.
        UnreadableFileError: a file holds something else, or less than was audited.
    """
    folder = Path(folder)
    if not (folder / AUDIT).is_file():
        raise MissingDataError(f"{folder} holds no {AUDIT}: name the folder that labelmend audit wrote")
    try:
        facts = read_json(folder / AUDIT, ANEW)
        if facts["kind"] != "audit":
            raise ValueError(f"kind {facts['kind']!r}")
        found: dict[str, list[AuditedFinding]] = {}
        for row in _rows(folder / FINDINGS):
            found.setdefault(row["case"], []).append(_finding(row))
        cases = tuple(_case(row, facts, folder, found.get(row["case"], ())) for row in _rows(folder / CASES))
        complete = len(cases) == facts["n_cases"] and len({row.case for row in cases}) == len(cases)
        audit = Audit(folder, facts, tuple(sorted(cases, key=lambda row: row.rank)))
        audit.id, audit.classes  # noqa: B018  (both are there)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise UnreadableFileError(
            f"{folder} holds no finished audit ({type(error).__name__}: {error}): run labelmend audit again"
        ) from error
    if not complete:
        raise UnreadableFileError(
            f"{folder / CASES} does not list each of the {facts['n_cases']} audited cases once: "
            "run labelmend audit again"
        )
    return audit


def open_given(audit: Audit) -> Given:
    """The labels that were audited.

    Raises:
        MissingDataError: they are gone.
        DataError: a COCO file with other categories than were audited.
    """
    with reading(audit.folder / AUDIT, "a finished audit"):
        return _given(audit)


def _given(audit: Audit) -> Given:
    facts = audit.facts
    if facts["layout"] == "coco":
        coco = open_coco(facts["labels"], spacing_mm=spacing_of(audit), images=facts["images"])
        if coco.classes != audit.classes:
            raise DataError(
                f"{coco.path} has the categories {', '.join(coco.classes)}, but {', '.join(audit.classes)} "
                "were audited: audit and review it again"
            )
        return coco
    if facts["layout"] == "nnunet":
        from labelmend.io.labels.nnunet import open_nnunet

        return open_nnunet(facts["labels"], spacing_mm=spacing_of(audit))[0]
    values = facts["values"] or {name: i for i, name in enumerate(facts["classes"], start=1)}
    home = audit.folder / facts["labels"]  # of arrays it lies in the folder of the audit
    return open_labels(home, classes=values, ignore=facts["ignore"], spacing_mm=spacing_of(audit))


def open_proposals(audit: Audit, given: Given) -> Proposed:
    """The proposed labels, read like the given ones; only of the cases that have a proposal."""
    proposed = {row.case: row.proposal for row in audit.cases if row.proposal}
    if isinstance(given, CocoLabels):
        return CocoProposals({case: files[0] for case, files in proposed.items()}, given.spacing_mm)
    k = len(given.files[next(iter(given.files))])
    return dataclasses.replace(
        given,
        path=audit.folder / PROPOSALS,
        files={case: files[:k] for case, files in proposed.items()},
        ignore_files={case: files[k] for case, files in proposed.items() if len(files) > k},
    )


def spacing_of(audit: Audit) -> tuple[float, ...] | float | None:
    """Spacing that was given by hand, in mm, for files that store none."""
    spacing = audit.facts["spacing_mm"]
    return tuple(spacing) if isinstance(spacing, list) else spacing


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"{path.name} is not there")
    return read_json_lines(path, ANEW)


def _case(
    row: Mapping[str, Any], facts: Mapping[str, Any], folder: Path, findings: Sequence[AuditedFinding]
) -> AuditedCase:
    image = None
    if row["image"] is not None:
        image = folder / (facts["images"] or "") / _below(str(row["image"]), "an image")
    return AuditedCase(
        case=str(row["case"]),
        rank=int(row["rank"]),
        score=float(row["score"] or 0.0),
        reason=str(row["reason"]),
        annotator=str(row.get("annotator") or ""),
        image=image,
        proposal=tuple(_inside(folder, str(path)) for path in row["proposal"]),
        checksum=str(row.get("checksum") or ""),
        proposal_checksum=str(row.get("proposal_checksum") or ""),
        findings=tuple(findings),
    )


def _finding(row: Mapping[str, Any]) -> AuditedFinding:
    box = row["box"]
    if row["kind"] not in KINDS:
        raise ValueError(f"a finding of kind {row['kind']!r}")
    return AuditedFinding(
        kind=row["kind"],
        class_name=str(row["class_name"] or ""),
        score=float(row["score"] or 0.0),
        reason=str(row["reason"]),
        box=None if box is None else tuple((int(start), int(stop)) for start, stop in box),
        other=str(row["other"] or ""),
    )


def _inside(folder: Path, relative: str) -> Path:
    """A path below the folder; one that leads out of it, be it by a link, is refused."""
    path = folder / _below(relative, "a proposal")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"a proposal at {relative!r}, which is a link out of the folder")
    return path


def _below(relative: str, what: str) -> Path:
    path = Path(relative)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{what} at {relative!r}, outside the folder")
    return path
