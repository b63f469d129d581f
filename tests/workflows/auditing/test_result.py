"""The files of an audit agree with what was found."""

from __future__ import annotations

import json

import pytest

from drawn_findings import CLASSES, GENEROUS, disc_set
from labelmend.workflows.auditing.audit import audit
from labelmend.workflows.auditing.result import AuditResult


@pytest.fixture
def written(tmp_path) -> AuditResult:
    data = disc_set(tmp_path / "discs", 5)
    return audit(data / "labels", probabilities=data / "probabilities", classes=CLASSES, out=data / "out")


def test_the_files_hold_what_was_found(written):
    lines = [
        [json.loads(line) for line in (written.folder / name).read_text().splitlines()]
        for name in ("cases.jsonl", "findings.jsonl")
    ]
    assert json.loads((written.folder / "audit.json").read_text()) == json.loads(json.dumps(written.facts))
    assert tuple(lines[0]) == written.cases
    assert GENEROUS in [row["case"] for row in lines[0]]
    told = [(case, found.kind, found.reason) for case, own in written.findings.items() for found in own]
    assert [(row["case"], row["kind"], row["reason"]) for row in lines[1]] == told
    assert len(told) > 1


def test_audit_json_says_how_many_cases_and_with_what_settings(written):
    assert written.facts["n_cases"] == 5
    assert written.facts["settings"] == {"calibrate": False, "images": False}
