"""What an audit found, as fields of the samples of a FiftyOne data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelmend.errors import MissingDataError
from labelmend.io import case_id
from labelmend.io.audit_folder import read_audit

SCORE, RANK, REASON, FINDINGS = "label_score", "label_rank", "label_reason", "label_findings"


def add_fields(folder: str | Path, samples: Iterable[Any]) -> int:
    """Set score, rank, reason and findings on every sample whose file belongs to an audited case.

    In FiftyOne, `dataset.sort_by("label_rank")` then shows the worst first. Fields of the same names are
    replaced.

    Args:
        folder: what `labelmend audit` wrote.
        samples: a data set or view of FiftyOne: anything that hands out samples with `filepath`, fields that
            are set like keys, and `save()`.

    Returns:
        How many samples were set.

    Raises:
        MissingDataError: no sample belongs to an audited case, by the name of its file.
    """
    audited = {row.case: row for row in read_audit(folder).cases}
    n_set = 0
    for sample in samples:
        row = audited.get(case_id(sample.filepath))
        if row is None:
            continue
        sample[SCORE], sample[RANK], sample[REASON] = row.score, row.rank, row.reason
        sample[FINDINGS] = [finding.reason for finding in row.findings]
        sample.save()
        n_set += 1
    if not n_set:
        raise MissingDataError(
            f"no sample belongs to a case of {folder}: files must be called like its cases, such as "
            f"{next(iter(audited), 'case')}.png"
        )
    return n_set
