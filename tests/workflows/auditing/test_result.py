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


def test_the_text_of_a_result_is_its_worst_cases_on_one_screen(written):
    lines = repr(written).splitlines()
    assert lines[0] == f"Audit of 5 cases: 2 to look at first, written to {written.folder}"
    assert lines[1].split() == ["rank", "case", "score", "n_findings", "reason"]
    assert lines[2].split()[:2] == ["1", written.cases[0]["case"]]
    assert len(lines) < 20


def test_a_notebook_shows_a_picture_of_each_of_the_worst_cases(written):
    html = written._repr_html_()
    assert html.count('<img alt="" src="data:image/png;base64,') == 5


def test_a_case_that_cannot_be_read_any_more_has_no_picture(written):
    (written.folder.parent / "labels" / f"{written.cases[0]['case']}.png").unlink()
    pictures = written.pictures(2)
    assert pictures[0] == ""
    assert pictures[1].startswith("data:image/png")


def test_a_data_frame_has_a_row_for_each_case(written):
    frame = written.to_frame()
    assert list(frame["case"]) == [row["case"] for row in written.cases]
    assert list(frame["rank"]) == [1, 2, 3, 4, 5]
