"""A reviewer's decisions on the cases of an audit, as downloaded from the review page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io.files.reading import read_json
from labelmend.workflows.auditing.audit_folder import Audit, AuditedCase

KIND, VERSION = "labelmend verdicts", 1
VERDICTS = ("keep", "take", "redraw", "skip")
"""Keep the given labels, take the proposed ones, have them redrawn, or leave the case undecided."""

MOST_NAMED = 10
"""Most cases that a message lists."""


@dataclass(frozen=True)
class Verdict:
    """The decision on one case.

    Args:
        case: case id.
        verdict: one of VERDICTS.
        at: ISO time, UTC.
        note: free text.
        given, proposed: checksums of the labels that were reviewed, "" if not recorded.
    """

    case: str
    verdict: str
    at: str
    note: str
    given: str = ""
    proposed: str = ""


@dataclass(frozen=True)
class Verdicts:
    """The content of a verdicts file.

    Args:
        audit: id of the audit that was reviewed.
        reviewer: free text.
        saved: ISO time, UTC.
        verdicts: one per case.
    """

    audit: str
    reviewer: str
    saved: str
    verdicts: tuple[Verdict, ...]


def read_verdicts(path: str | Path) -> Verdicts:
    """Read a verdicts file.

    Raises:
        MissingDataError, UnreadableFileError: no such file, or not a verdicts file.
        DataError: an unknown verdict, or a case decided twice.
    """
    path = Path(path)
    content = read_json(path, "download the verdicts again")
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UnreadableFileError(
            f"{path} is not a verdicts file: expected the file downloaded from the review page"
        )
    if content.get("version") != VERSION:
        raise UnreadableFileError(
            f"{path} holds verdicts of version {content.get('version')!r}, but this labelmend reads version "
            f"{VERSION}"
        )
    try:
        verdicts = tuple(_verdict(row, path) for row in content["verdicts"])
        reviewer, saved = (str(content.get(name) or "") for name in ("reviewer", "saved"))
        loaded = Verdicts(str(content["audit"]), reviewer, saved, verdicts)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableFileError(f"{path} holds damaged verdicts ({error}): download them again") from error
    decided: set[str] = set()
    for verdict in verdicts:
        if verdict.case in decided:
            raise DataError(f"{path} decides case {verdict.case!r} twice: remove one of the two")
        decided.add(verdict.case)
    return loaded


def check_verdicts(loaded: Verdicts, audit: Audit, path: str | Path) -> None:
    """Check that verdicts apply to this audit, or were made on the same given and proposed labels.

    Args:
        loaded: the verdicts.
        audit: the audit that they should belong to.
        path: path of the verdicts, for messages.

    Raises:
        DataError: they come from another audit and refer to other labels, or do not say to which; they
            decide a case the audit lacks, or take a proposal that does not exist.
    """
    cases = {row.case: row for row in audit.cases}
    says_on_what = bool(loaded.verdicts) and all(verdict.given for verdict in loaded.verdicts)
    if loaded.audit != audit.id and not says_on_what:
        raise DataError(
            f"{path} holds verdicts on audit {loaded.audit!r}, but {audit.folder} is audit {audit.id!r}: "
            "name the folder whose page was reviewed"
        )
    other = [
        verdict.case for verdict in loaded.verdicts if not _still_holds(verdict, cases.get(verdict.case))
    ]
    if other:
        named = ", ".join(other[:MOST_NAMED]) + ", ..." * (len(other) > MOST_NAMED)
        raise DataError(
            f"{path} decides {len(other)} cases whose given or proposed labels differ from those in "
            f"{audit.folder} ({named}): load it in the page of this audit, which keeps all other verdicts, "
            "decide these cases there, and download it again"
        )
    for verdict in loaded.verdicts:
        if verdict.case not in cases:
            raise DataError(f"{path} decides case {verdict.case!r}, which is not in {audit.folder}")
        if verdict.verdict == "take" and not cases[verdict.case].proposal:
            raise DataError(
                f"{path} takes the proposal for case {verdict.case!r}, but {audit.folder} has none: keep, "
                "redraw or skip it"
            )


def _still_holds(verdict: Verdict, row: AuditedCase | None) -> bool:
    """Whether the reviewed labels are those of the audit; older files do not record them."""
    if row is None or not verdict.given:
        return True
    return (verdict.given, verdict.proposed) == (row.checksum, row.proposal_checksum)


def _verdict(row: Any, path: Path) -> Verdict:
    if row["verdict"] not in VERDICTS:
        raise DataError(
            f"{path}: case {row['case']!r} has verdict {row['verdict']!r}, expected one of "
            f"{', '.join(VERDICTS)}"
        )
    fields = {name: str(row.get(name) or "") for name in ("at", "note", "given", "proposed")}
    return Verdict(str(row["case"]), row["verdict"], **fields)
