"""The files of an audit, read back as what was found."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from drawn_findings import CLASSES, GENEROUS, disc_set
from labelmend.engine.audit import audit_labels
from labelmend.engine.audit_result import AuditResult, read_result, what_was_audited
from labelmend.engine.audit_source import open_source
from labelmend.errors import MissingDataError, UnreadableFileError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return disc_set(tmp_path / "discs", 5)


@pytest.fixture
def written(data: Path) -> AuditResult:
    found = audit_labels(
        data / "labels", probabilities=data / "probabilities", classes=CLASSES, out=data / "out"
    )
    assert isinstance(found, AuditResult)
    return found


def test_what_is_read_is_what_was_written(written):
    read = read_result(written.folder)
    assert (written.written, read.written, read.folder) == (True, False, written.folder)
    assert read.facts == json.loads(json.dumps(written.facts))
    assert read.cases == written.cases
    assert list(read.findings) == list(written.findings)
    assert sum(map(len, written.findings.values())) > 1
    for case, findings in written.findings.items():
        for one, other in zip(read.findings[case], findings, strict=True):
            assert (one.kind, one.class_name, one.reason, one.box, one.other) == (
                other.kind, other.class_name, other.reason, other.box, other.other,
            )  # fmt: skip
            for name in ("score", "size_mm", "offset_mm"):
                assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6, nan_ok=True)
    assert any(math.isnan(finding.size_mm) for finding in read.findings[GENEROUS])


def test_what_is_known_before_anything_is_counted_stands_in_audit_json(data, written):
    source = open_source(data / "labels", data / "probabilities", classes=CLASSES)
    about = what_was_audited(source, calibrated=False)
    assert about == {name: written.facts[name] for name in about}
    assert (about["n_cases"], about["settings"]) == (5, {"calibrate": False, "images": False})


def test_a_folder_without_an_audit_or_with_half_of_one_is_refused(tmp_path, written):
    with pytest.raises(MissingDataError, match=r"holds no audit\.json"):
        read_result(tmp_path)
    (written.folder / "findings.jsonl").unlink()
    with pytest.raises(UnreadableFileError, match=r"findings\.jsonl is not there"):
        read_result(written.folder)
