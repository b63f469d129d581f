"""Turn a reviewer's verdicts into final labels, with a manifest and a worklist of cases to redraw."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import ConfigError, DataError, MissingDataError, OutputError
from labelmend.io import (
    LabelFolder,
    ManifestRow,
    checksum,
    write_bytes,
    write_coco,
    write_json,
    write_manifest,
    write_nnunet,
)
from labelmend.io.images.formats import read_bytes
from labelmend.io.labels.coco import CocoLabels
from labelmend.io.labels.coco_write import Changed
from labelmend.io.labels.nnunet import LABELS, open_nnunet
from labelmend.io.labels.nnunet_write import raw_name
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.runtime.progress import Count, Progress, counter, no_progress
from labelmend.workflows.auditing.audit_folder import (
    Audit,
    AuditedCase,
    Given,
    open_given,
    open_proposals,
    read_audit,
)
from labelmend.workflows.reviewing.proposals import check_proposals
from labelmend.workflows.reviewing.redrawn import open_redrawn
from labelmend.workflows.reviewing.verdicts import Verdict, Verdicts, check_verdicts, read_verdicts
from labelmend.workflows.reviewing.worklists import Redraw, write_worklists

MANIFEST, NAMES, WORKLIST, METHOD = "manifest.jsonl", "dataset.json", "worklist", "review"
UNREVIEWED, REDRAW, REDRAWN = "unreviewed", "redraw", "redrawn"


@dataclass(frozen=True)
class Applied:
    """What was written.

    Args:
        folder: the output folder.
        labels: the label folder or the COCO file in it.
        counts: number of cases per verdict; "unreviewed" counts those without one, "redrawn" those sent back
            and since redrawn.
        worklist: folder listing the cases to redraw, or None if there are none.
        dataset: the nnU-Net raw dataset that the labels belong to, or None for other layouts.
    """

    folder: Path
    labels: Path
    counts: dict[str, int]
    worklist: Path | None
    dataset: Path | None = None


def apply_review(
    audit: str | Path,
    verdicts: str | Path,
    *,
    out: str | Path,
    redrawn: str | Path | None = None,
    dataset: str | None = None,
    copy_images: bool = False,
    progress: Progress = no_progress,
) -> Applied:
    """Write the final labels of a reviewed audit.

    FINAL/labels/ mirrors the given labels: the proposal where it was taken, the redrawn labels where they
    were requested and exist, otherwise the given file; every file is copied byte for byte. FINAL/dataset.json
    names the classes, FINAL/manifest.jsonl records who decided what, when and why, and FINAL/worklist/ lists
    the cases still to be redrawn, in formats that annotation tools open. The folder appears whole or not at
    all.

    For an nnU-Net raw dataset, FINAL holds a new one, DatasetXXX_Name, ready for
    nnUNetv2_plan_and_preprocess. Without images, or for test labels, it is FINAL/labelsTr or labelsTs.

    For a COCO file, FINAL holds a file of the same name. Where a proposal was taken, the objects it changes
    are rewritten under new ids (see `write_coco`), which the manifest lists; all other annotations stay.

    Args:
        audit: the folder that `labelmend audit` wrote.
        verdicts: the file that its review page downloads.
        out: a new or empty folder, FINAL above.
        redrawn: folder of redrawn labels, laid out like the given ones; see `open_redrawn`.
        dataset: name of the new raw dataset, see `raw_name`.
        copy_images: copy the images of a raw dataset instead of linking to them.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        DataError: the verdicts are on other labels than those audited, see `check_verdicts`; given or
            proposed labels changed since the audit; redrawn labels do not fit the given ones, see
            `open_redrawn`.
        ConfigError: a dataset name where no raw dataset is written, or one that nnU-Net would not recognise.
        OutputError: `out` is not empty, lies inside the label folder or `audit`, or cannot be written.
    """
    audited, reviewed = read_audit(audit), read_verdicts(verdicts)
    check_verdicts(reviewed, audited, verdicts)
    given = open_given(audited)
    final = Path(out)
    raw = _raw_name(audited, given, dataset)
    read = [given.path if raw is None else given.path.parent, audited.folder]
    check_output(final, (), folders=read if redrawn is None else [*read, Path(redrawn)])
    work = _Work(audited, reviewed, given, final=final, raw=raw, redrawn=redrawn)
    check_proposals(audited, given, [case for case in given.cases if work.takes(case)])
    count = counter(progress, "copying")
    with whole_folder(final) as folder:
        if isinstance(given, CocoLabels):
            rows = _write_coco(work, given, folder, count)
        else:
            parents = _write_folder(work, given, folder, copy_images=copy_images)
            rows = _rows(work, given, folder, parents, count=count)
        write_manifest(folder / MANIFEST, rows)
        redraws = [work.redraw(row.case) for row in rows if row.parameters["verdict"] == REDRAW]
        home = final.resolve() / WORKLIST
        write_worklists(folder / WORKLIST, redraws, given, home)
    counts = dict(Counter(row.parameters["verdict"] for row in rows))
    return Applied(
        folder=final,
        labels=final / work.labels_path,
        counts=counts,
        worklist=final / WORKLIST if redraws else None,
        dataset=None if work.raw is None else final / work.raw,
    )


class _Work:
    """The decision on each case, and its manifest row."""

    def __init__(
        self,
        audit: Audit,
        reviewed: Verdicts,
        given: Given,
        *,
        final: Path,
        raw: str | None,
        redrawn: str | Path | None,
    ) -> None:
        self.audit, self.reviewer, self.given, self.final = audit, reviewed.reviewer, given, final
        self.raw = raw
        self.cases: Mapping[str, AuditedCase] = {row.case: row for row in audit.cases}
        self.verdicts: Mapping[str, Verdict] = {verdict.case: verdict for verdict in reviewed.verdicts}
        gone = sorted(set(self.cases) - set(given.cases))
        if gone:
            raise MissingDataError(
                f"case {gone[0]!r} was audited, but its labels are no longer in {given.path}"
            )
        self.redrawn: Mapping[str, tuple[Path, ...]] = {}
        if redrawn is not None:
            self.redrawn = open_redrawn(redrawn, given, self.to_redraw())

    @property
    def labels_path(self) -> str:
        """Path of the labels inside the final folder."""
        name = "labels" if self.audit.facts["layout"] == "folder" else self.given.path.name
        return name if self.raw is None else f"{self.raw}/{name}"

    def takes(self, case: str) -> bool:
        """Whether the proposal was taken."""
        return case in self.verdicts and self.verdicts[case].verdict == "take"

    def to_redraw(self) -> list[str]:
        """Cases sent back to be redrawn."""
        sent = {case for case, verdict in self.verdicts.items() if verdict.verdict == REDRAW}
        return [case for case in self.given.cases if case in sent]

    def new_files(self, case: str) -> tuple[Path, ...]:
        """Files that replace the given ones; empty if those stay."""
        return self.cases[case].proposal if self.takes(case) else self.redrawn.get(case, ())

    def check(self, case: str, checksum: str, path: Path) -> None:
        """Refuse labels whose checksum has changed since the audit."""
        if case in self.cases and self.cases[case].checksum not in ("", checksum):
            raise DataError(
                f"case {case}: {path} has changed since it was audited: audit and review it again"
            )

    def row(
        self,
        case: str,
        files: tuple[str, ...],
        *,
        made: str,
        parent: str,
        more: Mapping[str, Any] | None = None,
    ) -> ManifestRow:
        """The manifest row of a case.

        Args:
            case: case id.
            files: the files written, relative to the final folder.
            made: checksum of these files.
            parent: checksum of the given files.
            more: content of the field `extra`.
        """
        audited = self.cases.get(case)
        said = self.verdicts.get(case, Verdict(case, UNREVIEWED, "", ""))
        return ManifestRow(
            case=case,
            files=files,
            checksum=made,
            parent=str(self.given.path),
            parent_checksum=parent,
            method=METHOD,
            parameters={
                "verdict": REDRAWN if case in self.redrawn else said.verdict,
                "reviewer": self.reviewer if case in self.verdicts else "",
                "at": said.at,
                "note": said.note,
            },
            version=1 if self.takes(case) or case in self.redrawn else 0,
            seed=0,
            reason="" if audited is None else audited.reason,
            extra={
                "audit": self.audit.id,
                "findings": [] if audited is None else [finding.reason for finding in audited.findings],
                **(more or {}),
            },
        )

    def redraw(self, case: str) -> Redraw:
        """Worklist entry of a case to redraw; its labels are in the final folder."""
        audited, verdict = self.cases[case], self.verdicts[case]
        labels = self.final.resolve() / self.labels_path
        return Redraw(
            case=case,
            image=None if audited.image is None else audited.image.resolve(),
            labels=(labels,) if isinstance(self.given, CocoLabels) else self.given.target(labels, case),
            proposal=tuple(path.resolve() for path in audited.proposal),
            reason=audited.reason,
            note=verdict.note,
            reviewer=self.reviewer,
            at=verdict.at,
        )


def _raw_name(audit: Audit, given: Given, dataset: str | None) -> str | None:
    """Name of the nnU-Net raw dataset to write; None for other layouts, or without images."""
    labels = audit.facts["labels"]
    if audit.facts["layout"] == "nnunet" and given.path.name == LABELS and open_nnunet(labels)[1]:
        return raw_name(given.path.parent, dataset)
    if dataset is not None:
        raise ConfigError(
            f"got a name for an nnU-Net raw dataset ({dataset}), but {labels} is not one, or lacks training "
            "labels or images: leave the name out"
        )
    return None


def _write_folder(work: _Work, given: LabelFolder, folder: Path, *, copy_images: bool) -> dict[str, str]:
    """Write the labels after checking that the given ones are those audited; return checksums by case."""
    parents = {}
    for case in given.cases:
        sources = given.sources(case)
        parents[case] = checksum(*sources)
        work.check(case, parents[case], sources[0])
    new = {case: files for case in given.cases if (files := work.new_files(case))}
    if work.raw is not None:
        labels = {case: files[0] for case, files in new.items()}
        write_nnunet(
            work.audit.facts["labels"], folder / work.raw, labels, images="copy" if copy_images else "link"
        )
        return parents
    for case in given.cases:
        targets = given.target(folder / work.labels_path, case)
        for source, target in zip(new.get(case, given.sources(case)), targets, strict=True):
            write_bytes(target, read_bytes(source))
    _write_names(folder, work.audit, given)
    return parents


def _rows(
    work: _Work,
    given: LabelFolder,
    folder: Path,
    parents: Mapping[str, str],
    *,
    count: Count,
) -> list[ManifestRow]:
    """The manifest rows of the files written, with the checksums of the given ones."""
    rows = []
    for case in given.cases:
        targets = given.target(folder / work.labels_path, case)
        files = tuple(target.relative_to(folder).as_posix() for target in targets)
        more = {"redrawn": [str(path) for path in work.redrawn[case]]} if case in work.redrawn else {}
        rows.append(work.row(case, files, made=checksum(*targets), parent=parents[case], more=more))
        count(case, len(given.cases))
    return rows


def _write_coco(work: _Work, given: CocoLabels, folder: Path, count: Count) -> list[ManifestRow]:
    """Write one file for all cases; the manifest lists the annotations that changed."""
    for case in given.cases:
        work.check(case, given.checksum(case), given.path)
    proposals, target = open_proposals(work.audit, given), folder / work.labels_path
    taken = ((case, proposals.read(case)) for case in given.cases if work.takes(case))
    changed: dict[str, Changed] = {}
    write_coco(target, given, taken, new_ids=True, on_case=changed.__setitem__)
    made, parent = checksum(target), checksum(given.path)
    rows = []
    for case in given.cases:
        more = {"annotations": dataclasses.asdict(changed[case])} if case in changed else {}
        rows.append(work.row(case, (target.name,), made=made, parent=parent, more=more))
        count(case, len(given.cases))
    return rows


def _write_names(folder: Path, audit: Audit, given: LabelFolder) -> None:
    """Copy the dataset.json of nnU-Net data; otherwise write the audited class names and values."""
    if audit.facts["layout"] == "nnunet":
        source = next((p / NAMES for p in (given.path, given.path.parent) if (p / NAMES).is_file()), None)
        if source is None:
            raise OutputError(f"{given.path.parent} no longer holds {NAMES}: put it back")
        write_bytes(folder / NAMES, read_bytes(source))
    elif not given.overlapping:
        write_json(folder / NAMES, given.dataset_json())
