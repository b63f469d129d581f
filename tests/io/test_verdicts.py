"""The file that a reviewer downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drawn_audit import ID, flat
from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.audit_folder import read_audit
from labelmend.io.verdicts import Verdict, check_verdicts, read_verdicts


def file_of(folder: Path, *verdicts: tuple[str, str], **more: Any) -> Path:
    rows = [{"case": c, "verdict": v, "at": "2026-10-01T08:00:00.000Z", "note": ""} for c, v in verdicts]
    content = {"kind": "labelmend verdicts", "version": 1, "audit": ID, "reviewer": "RF", "verdicts": rows}
    path = folder / "verdicts.json"
    path.write_text(json.dumps(content | {"saved": "2026-10-01T08:01:00.000Z"} | more))
    return path


def test_a_file_says_who_decided_what_and_when(tmp_path: Path) -> None:
    found = read_verdicts(file_of(tmp_path, ("a", "take")))
    assert (found.audit, found.reviewer) == (ID, "RF")
    assert found.verdicts == (Verdict("a", "take", "2026-10-01T08:00:00.000Z", ""),)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"kind": "audit"}', '{"kind": "labelmend verdicts", "version": 1, "verdicts": [1]}']
)
def test_any_other_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=r"verdicts\.json"):
        read_verdicts(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError):
        read_verdicts(tmp_path / "verdicts.json")


def test_a_newer_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="version 2, this labelmend reads 1"):
        read_verdicts(file_of(tmp_path, version=2))


def test_an_unknown_verdict_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'maybe', expected one of keep, take, redraw, skip"):
        read_verdicts(file_of(tmp_path, ("a", "maybe")))


def test_a_case_decided_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="decides case 'a' twice"):
        read_verdicts(file_of(tmp_path, ("a", "keep"), ("a", "take")))


def test_verdicts_of_this_audit_pass(tmp_path: Path) -> None:
    path = file_of(tmp_path, ("a", "take"), ("d", "skip"))
    check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_verdicts_of_another_audit_are_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, ("a", "take"), audit="other")
    with pytest.raises(DataError, match=r"of the audit 'other', but .* is '3f9a"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_a_case_that_was_not_audited_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, ("nobody", "keep"))
    with pytest.raises(DataError, match=r"case 'nobody', which .* does not have"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_nothing_can_be_taken_where_nothing_is_proposed(tmp_path: Path) -> None:
    path = file_of(tmp_path, ("c", "take"))
    with pytest.raises(DataError, match="takes the proposal for case 'c'"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)
