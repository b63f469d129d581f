"""What an audit found, as fields of the samples of a FiftyOne data set.

Tried on FiftyOne 1.22.1 with its database: fields are set, typed, saved, sorted by and filtered by.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelmend.errors import MissingDataError
from labelmend.io import case_id
from labelmend.workflows.auditing.audit_folder import AuditedCase, read_audit

SCORE, RANK, REASON, FINDINGS = "label_score", "label_rank", "label_reason", "label_findings"


def add_fiftyone_fields(folder: str | Path, samples: Iterable[Any]) -> int:
    """Set score, rank, reason and findings on every sample whose file belongs to an audited case.

    In FiftyOne, `dataset.sort_by("label_rank")` then shows the worst first. Fields of the same names are
    replaced. FiftyOne keeps an empty list of findings as None.

    Args:
        folder: what `labelmend audit` wrote.
        samples: a data set or view of FiftyOne: anything that hands out samples with `filepath` (the labels
            or the audited image of a case), fields that are set like keys, and `save()`.

    Returns:
        How many samples were set.

    Raises:
        MissingDataError: no sample belongs to an audited case, by the name of its file.
    """
    cases = read_audit(folder).cases
    audited = {case_id(row.image): row for row in cases if row.image is not None}
    audited |= {row.case: row for row in cases}
    n_set, waiting, typed = 0, list[tuple[Any, AuditedCase]](), False
    for sample in samples:
        row = audited.get(case_id(sample.filepath))
        if row is None:
            continue
        n_set += 1
        waiting.append((sample, row))
        typed = typed or bool(row.findings)  # the first list that FiftyOne meets tells it what lists hold
        while typed and waiting:
            _set(*waiting.pop())
    for sample, row in waiting:
        _set(sample, row)
    if not n_set:
        raise MissingDataError(
            f"no sample belongs to a case of {folder}: files must be called like its cases or their images, "
            f"such as {cases[0].case if cases else 'case'}.png"
        )
    return n_set


def _set(sample: Any, row: AuditedCase) -> None:
    """Set the fields of one sample."""
    sample[SCORE], sample[RANK], sample[REASON] = row.score, row.rank, row.reason
    sample[FINDINGS] = [finding.reason for finding in row.findings]
    sample.save()
