"""Reading what an audit wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawn_audit import ID, case_row, finding, flat, overlapping, regions, volumetric, write_audit
from drawn_coco import MISSED, coco_audit
from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.workflows.auditing.audit_folder import open_given, open_proposals, read_audit


def test_cases_come_worst_first_with_their_findings(tmp_path: Path) -> None:
    out = flat(tmp_path)
    lines = (out / "cases.jsonl").read_text().splitlines()
    (out / "cases.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    audit = read_audit(out)
    assert audit.id == ID
    assert [(row.case, len(row.findings)) for row in audit.cases] == [("a", 1), ("b", 2), ("c", 1), ("d", 0)]
    assert audit.cases[1].findings[0].box == ((4, 10), (4, 10))
    assert audit.reasons()["c"] == "reason of c"


def test_given_and_proposed_labels_are_read_alike(tmp_path: Path) -> None:
    audit = read_audit(flat(tmp_path))
    given = open_given(audit)
    proposed = open_proposals(audit, given)
    assert proposed.cases == ("a", "b")
    assert (given.read("a").masks().sum(axis=(1, 2)).tolist(), given.read("a").ignore) == ([8, 36], 9)
    assert proposed.read("a").masks().sum(axis=(1, 2)).tolist() == [8, 16]


def test_classes_in_folders_keep_their_order_and_their_ignored_pixels(tmp_path: Path) -> None:
    audit = read_audit(overlapping(tmp_path, ("z", "a"), "x"))
    given = open_given(audit)
    proposed = open_proposals(audit, given).read("x")
    assert given.classes == proposed.classes == ("z", "a")
    assert proposed.masks().sum(axis=(1, 2)).tolist() == [24, 16]
    assert proposed.ignored().sum() == 16


def test_volumes_are_read(tmp_path: Path) -> None:
    audit = read_audit(volumetric(tmp_path))
    assert open_given(audit).read("v").grid.spacing_mm == (1.0, 1.0, 4.0)
    assert audit.cases[0].image == tmp_path / "data" / "images" / "v.nii.gz"


def test_regions_of_nnunet_are_read_with_their_proposal(tmp_path: Path) -> None:
    audit = read_audit(regions(tmp_path))
    given = open_given(audit)
    proposed = open_proposals(audit, given).read("v")
    assert given.read("v").masks().sum(axis=(1, 2, 3)).tolist() == [72, 18]
    assert proposed.masks().sum(axis=(1, 2, 3)).tolist() == [72, 12]
    assert audit.cases[0].image is not None
    assert audit.cases[0].image.is_file()


def test_a_folder_without_audit_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"holds no audit\.json: name the folder"):
        read_audit(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audit.json", "{"),
        ("audit.json", "[]"),
        ("audit.json", '{"kind": "train"}'),
        ("cases.jsonl", '{"case": "a"}\n'),
        ("cases.jsonl", "no json\n"),
        ("findings.jsonl", '{"case": "a", "kind": "odd", "box": null}\n'),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path: Path, name: str, text: str) -> None:
    out = flat(tmp_path)
    (out / name).write_text(text)
    with pytest.raises(UnreadableFileError, match="run labelmend audit again"):
        read_audit(out)


def test_a_list_of_cases_that_was_cut_off_is_told(tmp_path: Path) -> None:
    out = flat(tmp_path)
    lines = (out / "cases.jsonl").read_text().splitlines(keepends=True)
    (out / "cases.jsonl").write_text("".join(lines[:-1]) + lines[-1][:9])
    with pytest.raises(UnreadableFileError, match="does not list each of the 4 audited cases once"):
        read_audit(out)


def test_a_case_listed_twice_is_told(tmp_path: Path) -> None:
    out = write_audit(tmp_path / "audit", tmp_path, [case_row("a", 1), case_row("a", 2)], [])
    with pytest.raises(UnreadableFileError, match="once"):
        read_audit(out)


@pytest.mark.parametrize("where", ["../secret.png", "/etc/passwd", "proposals/../../x.png"])
def test_a_proposal_outside_the_folder_is_refused(tmp_path: Path, where: str) -> None:
    row = case_row("a", 1, proposal=[where])
    out = write_audit(tmp_path / "audit", tmp_path, [row], [finding("a", 1, "case", "", "wrong")])
    with pytest.raises(UnreadableFileError, match="outside the folder"):
        read_audit(out)


def test_a_coco_file_is_read_with_its_proposals(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    audit = read_audit(coco_audit(tmp_path))
    given = open_given(audit)
    assert (given.cases, given.classes) == (("a", "b", "c"), audit.classes)
    assert given.read(MISSED).masks().any(axis=(1, 2)).tolist() == [False, True]
    assert open_proposals(audit, given).read(MISSED).masks().any(axis=(1, 2)).tolist() == [True, True]


def test_a_coco_file_with_other_categories_than_were_audited_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    audit = read_audit(coco_audit(tmp_path))
    path = tmp_path / "data" / "instances.json"
    path.write_text(path.read_text().replace('"dog"', '"wolf"'))
    with pytest.raises(DataError, match="has the categories wolf, cat, but dog, cat were audited"):
        open_given(audit)
