"""Turn the verdicts of a reviewer into the final label folder, with its manifest and the work left to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelmend.engine.result_folder import check_result_folder
from labelmend.errors import DataError, MissingDataError, OutputError
from labelmend.io import LabelFolder, ManifestRow, checksum, write_bytes, write_json, write_manifest
from labelmend.io.audit_folder import Audit, AuditedCase, open_given, open_proposals, read_audit
from labelmend.io.base import read_bytes
from labelmend.io.verdicts import Verdict, Verdicts, check_verdicts, read_verdicts
from labelmend.io.whole_folder import whole_folder
from labelmend.io.worklists import Redraw, write_worklists

MANIFEST, NAMES, WORKLIST, METHOD = "manifest.jsonl", "dataset.json", "worklist", "review"
UNREVIEWED = "unreviewed"


@dataclass(frozen=True)
class Applied:
    """What was written.

    Args:
        folder: the folder asked for.
        labels: the label folder in it.
        counts: number of cases by verdict, those without one under "unreviewed".
        worklist: the folder with the cases to draw again, None without any.
    """

    folder: Path
    labels: Path
    counts: dict[str, int]
    worklist: Path | None


def apply_review(
    out: str | Path,
    verdicts: str | Path,
    final: str | Path,
    *,
    on_case: Callable[[str, int], None] = lambda case, n_cases: None,
) -> Applied:
    """Write the final labels of an audited and reviewed label folder.

    FINAL/labels/ (of nnU-Net data: labelsTr/) has the structure of the given labels: the proposal where it
    was taken, else the given file, both byte for byte. FINAL/dataset.json names the classes,
    FINAL/manifest.jsonl tells who decided what, when and why, FINAL/worklist/ lists the cases to draw again
    for the programs that people draw with. The folder appears whole or not at all.

    Args:
        out: the folder of `labelmend audit`.
        verdicts: the file that its review page downloads.
        final: a new or empty folder.
        on_case: called after each case with its id and the number of cases.

    Raises:
        DataError: verdicts of another audit, or labels that were changed since the audit.
        OutputError: `final` holds something, lies in the label folder or in `out`, or cannot be written.
    """
    audit, found = read_audit(out), read_verdicts(verdicts)
    check_verdicts(found, audit, verdicts)
    given = open_given(audit)
    final = Path(final)
    check_result_folder(final, (), folders=[given.path, audit.folder])
    work = _Work(audit, found, given, final)
    with whole_folder(final) as folder:
        rows = []
        for case in given.cases:
            rows.append(work.write(folder, case))
            on_case(case, len(given.cases))
        _write_names(folder, audit, given)
        write_manifest(folder / MANIFEST, rows)
        redraws = [work.redraw(row.case) for row in rows if row.parameters["verdict"] == "redraw"]
        home = final.resolve() / WORKLIST
        write_worklists(folder / WORKLIST, redraws, given, home)
    counts = dict(Counter(row.parameters["verdict"] for row in rows))
    return Applied(final, final / work.home, counts, final / WORKLIST if redraws else None)


class _Work:
    """What is done for each case."""

    def __init__(self, audit: Audit, found: Verdicts, given: LabelFolder, final: Path) -> None:
        self.audit, self.reviewer, self.given, self.final = audit, found.reviewer, given, final
        self.home = given.path.name if audit.facts["layout"] == "nnunet" else "labels"
        self.proposals = open_proposals(audit, given)
        self.cases: Mapping[str, AuditedCase] = {row.case: row for row in audit.cases}
        self.verdicts: Mapping[str, Verdict] = {verdict.case: verdict for verdict in found.verdicts}
        gone = sorted(set(self.cases) - set(given.files))
        if gone:
            raise MissingDataError(
                f"case {gone[0]!r} was audited, but has no labels in {given.path} any more"
            )

    def write(self, folder: Path, case: str) -> ManifestRow:
        """Copy the files of a case and say where they come from."""
        verdict, audited = self.verdicts.get(case), self.cases.get(case)
        sources = self.given.sources(case)
        parent = checksum(*sources)
        if audited is not None and audited.checksum not in ("", parent):
            raise DataError(
                f"case {case}: {sources[0]} has changed since it was audited: audit and review it again"
            )
        takes = verdict is not None and verdict.verdict == "take"
        targets = self.given.target(folder / self.home, case)
        for source, target in zip(self.proposals.sources(case) if takes else sources, targets, strict=True):
            write_bytes(target, read_bytes(source))
        said = Verdict(case, UNREVIEWED, "", "") if verdict is None else verdict
        return ManifestRow(
            case=case,
            files=tuple(target.relative_to(folder).as_posix() for target in targets),
            checksum=checksum(*targets),
            parent=str(self.given.path),
            parent_checksum=parent,
            method=METHOD,
            parameters={
                "verdict": said.verdict,
                "reviewer": "" if verdict is None else self.reviewer,
                "at": said.at,
                "note": said.note,
            },
            version=1 if takes else 0,
            seed=0,
            reason="" if audited is None else audited.reason,
            extra={
                "audit": self.audit.id,
                "findings": [] if audited is None else [finding.reason for finding in audited.findings],
            },
        )

    def redraw(self, case: str) -> Redraw:
        """A case to draw again; its labels lie in the final folder."""
        audited, verdict = self.cases[case], self.verdicts[case]
        return Redraw(
            case=case,
            image=None if audited.image is None else audited.image.resolve(),
            labels=self.given.target(self.final.resolve() / self.home, case),
            proposal=tuple(path.resolve() for path in audited.proposal),
            reason=audited.reason,
            note=verdict.note,
            reviewer=self.reviewer,
            at=verdict.at,
        )


def _write_names(folder: Path, audit: Audit, given: LabelFolder) -> None:
    """The dataset.json of nnU-Net data as it is; else the names and values that were audited."""
    if audit.facts["layout"] == "nnunet":
        source = next((p / NAMES for p in (given.path, given.path.parent) if (p / NAMES).is_file()), None)
        if source is None:
            raise OutputError(f"{given.path.parent} holds no {NAMES} any more: put it back")
        write_bytes(folder / NAMES, read_bytes(source))
    elif not given.overlapping:
        ignore = {} if given.ignore is None else {"ignore": given.ignore}
        write_json(folder / NAMES, {"labels": {"background": 0, **given.class_map(), **ignore}})
