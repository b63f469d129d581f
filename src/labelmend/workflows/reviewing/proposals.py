"""Check the proposals a review takes before they become final labels: files may have changed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelmend.errors import DataError, GeometryError
from labelmend.io import checksum, grid_difference
from labelmend.workflows.auditing.audit_folder import Audit, Given, open_proposals


def check_proposals(audit: Audit, given: Given, cases: Sequence[str]) -> None:
    """Read the proposals of some cases, and compare each with its checksum and the given labels.

    Args:
        audit: the reviewed audit.
        given: the labels that were audited.
        cases: cases whose proposal is taken.

    Raises:
        MissingDataError, UnreadableFileError: a proposal is gone, or is not a label file.
        GeometryError: a proposal is on another grid.
        DataError: a proposal changed since the audit, holds a value of no class, or changes unannotated
            pixels.
    """
    files = {row.case: row.proposal for row in audit.cases}
    known = {row.case: row.proposal_checksum for row in audit.cases}
    proposals = open_proposals(audit, given)
    for case in cases:
        where = f"case {case}: the proposal {files[case][0]}"
        if known[case] not in ("", checksum(*files[case])):
            raise DataError(f"{where} has changed since the audit: audit and review again")
        labels, proposed = given.read(case), proposals.read(case)
        difference = grid_difference(labels.grid, proposed.grid)
        if difference:
            raise GeometryError(f"{where} differs from the given labels in {difference}: audit again")
        if proposed.classes != labels.classes:
            raise DataError(
                f"{where} has the classes {', '.join(proposed.classes)}, the given labels have "
                f"{', '.join(labels.classes)}: audit again"
            )
        if not np.array_equal(proposed.ignored(), labels.ignored()):
            raise DataError(f"{where} changes unannotated pixels: audit again")
