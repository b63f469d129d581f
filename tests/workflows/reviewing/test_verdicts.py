"""The file that a reviewer downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drawn_audit import DECIDED, ID, decide, flat
from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.workflows.auditing.audit_folder import read_audit
from labelmend.workflows.reviewing.verdicts import Verdict, check_verdicts, read_verdicts


def test_a_file_says_who_decided_what_and_when(tmp_path: Path) -> None:
    found = read_verdicts(decide(tmp_path, ("a", "take")))
    assert (found.audit, found.reviewer) == (ID, "RF")
    assert found.verdicts == (Verdict("a", "take", DECIDED, "note a"),)


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
    with pytest.raises(UnreadableFileError, match="version 2, but this labelmend reads version 1"):
        read_verdicts(decide(tmp_path, version=2))


def test_an_unknown_verdict_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'maybe', expected one of keep, take, redraw, skip"):
        read_verdicts(decide(tmp_path, ("a", "maybe")))


def test_a_case_decided_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="decides case 'a' twice"):
        read_verdicts(decide(tmp_path, ("a", "keep"), ("a", "take")))


def test_verdicts_of_this_audit_pass(tmp_path: Path) -> None:
    path = decide(tmp_path, ("a", "take"), ("d", "skip"))
    check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_verdicts_of_another_audit_are_refused(tmp_path: Path) -> None:
    path = decide(tmp_path, ("a", "take"), audit="other")
    with pytest.raises(DataError, match=r"on audit 'other', but .* is audit '3f9a"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_a_case_that_was_not_audited_is_refused(tmp_path: Path) -> None:
    path = decide(tmp_path, ("nobody", "keep"))
    with pytest.raises(DataError, match=r"case 'nobody', which is not in"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def test_nothing_can_be_taken_where_nothing_is_proposed(tmp_path: Path) -> None:
    path = decide(tmp_path, ("c", "take"))
    with pytest.raises(DataError, match="takes the proposal for case 'c'"):
        check_verdicts(read_verdicts(path), read_audit(flat(tmp_path)), path)


def marked(out: Path, **sums: str) -> Path:
    """The audit of `flat` with checksums of the given labels and the proposal of "a"."""
    path = out / "cases.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row |= {"checksum": f"given {row['case']}", "proposal_checksum": ""}
    rows[0] |= {"checksum": "given a", "proposal_checksum": "proposed a"} | sums
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


def on_labels(folder: Path, **more: str) -> Path:
    """A verdicts file of another audit that says which labels it is on."""
    path = decide(folder, ("a", "take"), ("d", "keep"), audit="other")
    content = json.loads(path.read_text())
    for row in content["verdicts"]:
        row |= {"given": f"given {row['case']}", "proposed": "proposed a" if row["case"] == "a" else ""}
    content["verdicts"][0] |= more
    path.write_text(json.dumps(content))
    return path


def test_verdicts_of_another_audit_hold_where_given_and_proposed_labels_are_the_same(tmp_path: Path) -> None:
    path = on_labels(tmp_path)
    found = read_verdicts(path)
    assert (found.verdicts[0].given, found.verdicts[0].proposed) == ("given a", "proposed a")
    check_verdicts(found, read_audit(marked(flat(tmp_path))), path)


@pytest.mark.parametrize("sums", [{"checksum": "new"}, {"proposal_checksum": "new"}])
def test_a_verdict_on_other_labels_is_listed_and_has_to_be_made_anew(
    tmp_path: Path, sums: dict[str, str]
) -> None:
    path = on_labels(tmp_path)
    with pytest.raises(DataError, match=r"decides 1 cases whose .* \(a\): load it in the page"):
        check_verdicts(read_verdicts(path), read_audit(marked(flat(tmp_path), **sums)), path)


def test_of_another_audit_a_verdict_that_does_not_say_on_what_is_refused(tmp_path: Path) -> None:
    path = on_labels(tmp_path, given="", proposed="")
    with pytest.raises(DataError, match="on audit 'other'"):
        check_verdicts(read_verdicts(path), read_audit(marked(flat(tmp_path))), path)
