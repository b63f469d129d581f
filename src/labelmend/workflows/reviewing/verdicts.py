"""What a person decided on the cases of an audit: the one small file that the review page downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io.files.reading import read_json
from labelmend.workflows.auditing.audit_folder import Audit, AuditedCase

KIND, VERSION = "labelmend verdicts", 1
VERDICTS = ("keep", "take", "redraw", "skip")
"""Keep the given labels, take the proposed ones, have them drawn again, or leave the case undecided."""

MOST_NAMED = 10
"""Cases that a message names."""


@dataclass(frozen=True)
class Verdict:
    """What was decided on one case.

    Args:
        case: case id.
        verdict: one of VERDICTS.
        at: ISO time, UTC.
        note: free text.
        given, proposed: checksums of the labels that were looked at, "" where that was not kept.
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
        verdicts: one a case.
    """

    audit: str
    reviewer: str
    saved: str
    verdicts: tuple[Verdict, ...]


def read_verdicts(path: str | Path) -> Verdicts:
    """Read a verdicts file.

    Raises:
        MissingDataError, UnreadableFileError: no such file, or it is something else.
        DataError: an unknown verdict, or a case twice.
    """
    path = Path(path)
    content = read_json(path, "download the verdicts again")
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UnreadableFileError(
            f"{path} holds no verdicts: expected the file that the review page downloads"
        )
    if content.get("version") != VERSION:
        raise UnreadableFileError(
            f"{path} holds verdicts of version {content.get('version')!r}, this labelmend reads {VERSION}"
        )
    try:
        verdicts = tuple(_verdict(row, path) for row in content["verdicts"])
        reviewer, saved = (str(content.get(name) or "") for name in ("reviewer", "saved"))
        found = Verdicts(str(content["audit"]), reviewer, saved, verdicts)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableFileError(f"{path} holds damaged verdicts ({error}): download them again") from error
    seen: set[str] = set()
    for verdict in verdicts:
        if verdict.case in seen:
            raise DataError(f"{path} decides case {verdict.case!r} twice: remove one of the two")
        seen.add(verdict.case)
    return found


def check_verdicts(found: Verdicts, audit: Audit, path: str | Path) -> None:
    """Check that verdicts hold for this audit: of it, or of another with the same given and proposed labels.

    Args:
        found: the verdicts.
        audit: the audit that they should be of.
        path: of the verdicts, for messages.

    Raises:
        DataError: they are of another audit and on other labels, or do not say on which; they are of a case
            that it does not have, or take a proposal that there is not.
    """
    cases = {row.case: row for row in audit.cases}
    says_on_what = bool(found.verdicts) and all(verdict.given for verdict in found.verdicts)
    if found.audit != audit.id and not says_on_what:
        raise DataError(
            f"{path} holds verdicts of the audit {found.audit!r}, but {audit.folder} is {audit.id!r}: "
            "name the folder whose page was reviewed"
        )
    other = [verdict.case for verdict in found.verdicts if not _still_holds(verdict, cases.get(verdict.case))]
    if other:
        named = ", ".join(other[:MOST_NAMED]) + ", ..." * (len(other) > MOST_NAMED)
        raise DataError(
            f"{path} decides {len(other)} cases on other given or proposed labels than {audit.folder} has "
            f"({named}): load it in the page of this audit, which keeps all other verdicts, decide these "
            "cases there, and download it again"
        )
    for verdict in found.verdicts:
        if verdict.case not in cases:
            raise DataError(f"{path} decides case {verdict.case!r}, which {audit.folder} does not have")
        if verdict.verdict == "take" and not cases[verdict.case].proposal:
            raise DataError(
                f"{path} takes the proposal for case {verdict.case!r}, but {audit.folder} proposes nothing "
                "there: keep, redraw or skip it"
            )


def _still_holds(verdict: Verdict, row: AuditedCase | None) -> bool:
    """Whether the labels that were looked at are those of the audit; older files do not say which."""
    if row is None or not verdict.given:
        return True
    return (verdict.given, verdict.proposed) == (row.checksum, row.proposal_checksum)


def _verdict(row: Any, path: Path) -> Verdict:
    if row["verdict"] not in VERDICTS:
        raise DataError(
            f"{path}: case {row['case']!r} has the verdict {row['verdict']!r}, expected one of "
            f"{', '.join(VERDICTS)}"
        )
    told = {name: str(row.get(name) or "") for name in ("at", "note", "given", "proposed")}
    return Verdict(str(row["case"]), row["verdict"], **told)
