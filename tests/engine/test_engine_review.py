"""From verdicts to the final labels: every file, every row, and every refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drawn_audit import ID, flat, overlapping, regions, volumetric
from drawn_data import contents
from labelmend.engine.review import apply_review
from labelmend.errors import DataError, LabelmendError, MissingDataError, OutputError
from labelmend.io import checksum, open_labels, read_manifest

AT = "2026-10-01T08:00:00.000Z"


def decide(folder: Path, verdicts: dict[str, str], **more: Any) -> Path:
    """A verdicts file, as the page downloads it."""
    rows = [{"case": c, "verdict": v, "at": AT, "note": f"note {c}"} for c, v in verdicts.items()]
    content = {"kind": "labelmend verdicts", "version": 1, "audit": ID, "reviewer": "RF", "saved": AT}
    path = folder / "verdicts.json"
    path.write_text(json.dumps(content | {"verdicts": rows} | more), encoding="utf-8")
    return path


def edit(out: Path, **more: Any) -> None:
    path = out / "audit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_taken_cases_hold_the_proposal_and_all_others_the_given_file(tmp_path: Path) -> None:
    out = flat(tmp_path)
    done = apply_review(out, decide(tmp_path, {"a": "take", "b": "keep", "c": "redraw"}), tmp_path / "final")
    given, final = contents(tmp_path / "data" / "labels"), contents(tmp_path / "final" / "labels")
    proposals = contents(out / "proposals")
    assert done.labels == tmp_path / "final" / "labels"
    assert final == given | {"a.png": proposals["a.png"]}
    assert done.counts == {"take": 1, "keep": 1, "redraw": 1, "unreviewed": 1}


def test_the_manifest_says_who_decided_what_when_and_why(tmp_path: Path) -> None:
    out = flat(tmp_path)
    apply_review(out, decide(tmp_path, {"a": "take", "b": "skip"}), tmp_path / "final")
    rows = read_manifest(tmp_path / "final" / "manifest.jsonl")
    assert [(row.case, row.version, row.parameters["verdict"]) for row in rows] == [
        ("a", 1, "take"),
        ("b", 0, "skip"),
        ("c", 0, "unreviewed"),
        ("d", 0, "unreviewed"),
    ]
    taken, unseen = rows[0], rows[2]
    assert taken.parameters == {"verdict": "take", "reviewer": "RF", "at": AT, "note": "note a"}
    assert (taken.method, taken.reason, taken.files) == ("review", "reason of a", ("labels/a.png",))
    assert taken.extra == {"audit": ID, "findings": ["lung 1.0 px too far out"]}
    assert taken.checksum == checksum(tmp_path / "final" / "labels" / "a.png")
    assert taken.parent_checksum == checksum(tmp_path / "data" / "labels" / "a.png")
    assert unseen.parameters["reviewer"] == unseen.parameters["at"] == ""


def test_the_final_labels_are_a_label_folder_with_names(tmp_path: Path) -> None:
    apply_review(flat(tmp_path), decide(tmp_path, {"a": "take", "c": "redraw"}), tmp_path / "final")
    final = open_labels(tmp_path / "final" / "labels")
    assert (final.classes, final.values, final.ignore) == (("heart", "lung"), (1, 2), 9)
    assert final.cases == ("a", "b", "c", "d")
    assert final.read("a").masks().sum(axis=(1, 2)).tolist() == [8, 16]


def test_classes_in_folders_stay_in_folders(tmp_path: Path) -> None:
    out = overlapping(tmp_path)
    apply_review(out, decide(tmp_path, {"a": "take"}), tmp_path / "final")
    assert contents(tmp_path / "final" / "labels") == contents(out / "proposals")
    assert not (tmp_path / "final" / "dataset.json").exists()
    assert open_labels(tmp_path / "final" / "labels").read("a").ignored().sum() == 16


def test_volumes_are_copied_byte_for_byte(tmp_path: Path) -> None:
    apply_review(volumetric(tmp_path), decide(tmp_path, {"v": "keep"}), tmp_path / "final")
    assert contents(tmp_path / "final" / "labels") == contents(tmp_path / "data" / "labels")


def test_data_of_nnunet_keep_their_names_and_their_integers(tmp_path: Path) -> None:
    out, home = regions(tmp_path), tmp_path / "data" / "Dataset007_Drawn"
    done = apply_review(out, decide(tmp_path, {"v": "take"}), tmp_path / "final")
    assert done.labels == tmp_path / "final" / "labelsTr"
    assert contents(done.labels) == contents(out / "proposals")
    assert (tmp_path / "final" / "dataset.json").read_bytes() == (home / "dataset.json").read_bytes()
    again = apply_review(out, decide(tmp_path, {"v": "redraw"}), tmp_path / "again")
    assert contents(again.labels) == contents(home / "labelsTr")


def test_the_worklist_points_to_the_final_labels(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path, {"c": "redraw"}), tmp_path / "final")
    assert done.worklist == tmp_path / "final" / "worklist"
    text = (done.worklist / "worklist.csv").read_text()
    assert f"c,{tmp_path}/data/images/c.png,{tmp_path}/final/labels/c.png,,reason of c,note c,RF," in text


def test_without_a_redraw_there_is_no_worklist(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path, {"a": "keep"}), tmp_path / "final")
    assert done.worklist is None
    assert sorted(p.name for p in (tmp_path / "final").iterdir()) == [
        "dataset.json",
        "labels",
        "manifest.jsonl",
    ]


def test_neither_the_given_labels_nor_the_audit_are_touched(tmp_path: Path) -> None:
    out = flat(tmp_path)
    before = contents(tmp_path / "data"), contents(out)
    apply_review(out, decide(tmp_path, {"a": "take", "b": "redraw"}), tmp_path / "final")
    assert (contents(tmp_path / "data"), contents(out)) == before


def test_a_reviewer_without_verdicts_changes_nothing(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path, {}), tmp_path / "final")
    assert done.counts == {"unreviewed": 4}


@pytest.mark.parametrize(
    ("verdicts", "more"),
    [({"nobody": "keep"}, {}), ({"d": "take"}, {}), ({"a": "take"}, {"audit": "other"}), ({"a": "yes"}, {})],
    ids=["unknown case", "nothing proposed", "another audit", "unknown verdict"],
)
def test_verdicts_that_do_not_fit_write_nothing(
    tmp_path: Path, verdicts: dict[str, str], more: dict[str, str]
) -> None:
    out = flat(tmp_path)
    with pytest.raises(DataError):
        apply_review(out, decide(tmp_path, verdicts, **more), tmp_path / "final")
    assert not (tmp_path / "final").exists()


def test_a_proposal_that_is_gone_leaves_nothing_half_written(tmp_path: Path) -> None:
    out = flat(tmp_path)
    (out / "proposals" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"b\.png"):
        apply_review(out, decide(tmp_path, {"b": "take"}), tmp_path / "final")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit", "data", "verdicts.json"]


def test_given_labels_that_are_gone_are_told(tmp_path: Path) -> None:
    out = flat(tmp_path)
    (tmp_path / "data" / "labels" / "d.png").unlink()
    with pytest.raises(MissingDataError, match="case 'd' was audited"):
        apply_review(out, decide(tmp_path, {}), tmp_path / "final")


def test_given_labels_that_changed_since_the_audit_are_told(tmp_path: Path) -> None:
    out = flat(tmp_path)
    lines = [json.loads(line) for line in (out / "cases.jsonl").read_text().splitlines()]
    lines[1]["checksum"] = checksum(tmp_path / "data" / "labels" / "b.png")
    (out / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    apply_review(out, decide(tmp_path, {}), tmp_path / "first")
    shutil.copy(tmp_path / "data" / "labels" / "a.png", tmp_path / "data" / "labels" / "b.png")
    with pytest.raises(DataError, match=r"case b: .*b\.png has changed since it was audited"):
        apply_review(out, decide(tmp_path, {}), tmp_path / "second")


@pytest.mark.parametrize("place", ["audit/final", "data/labels/final", "verdicts.json", "data"])
def test_a_place_that_is_taken_is_refused(tmp_path: Path, place: str) -> None:
    out, verdicts = flat(tmp_path), decide(tmp_path, {})
    before = contents(tmp_path)
    with pytest.raises(OutputError):
        apply_review(out, verdicts, tmp_path / place)
    assert contents(tmp_path) == before


def test_a_folder_without_audit_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelmendError, match=r"no audit\.json"):
        apply_review(tmp_path, decide(tmp_path, {}), tmp_path / "final")


def test_progress_counts_all_cases(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    apply_review(
        flat(tmp_path), decide(tmp_path, {}), tmp_path / "final", on_case=lambda *call: seen.append(call)
    )
    assert seen == [("a", 4), ("b", 4), ("c", 4), ("d", 4)]


def test_applying_does_not_load_torch() -> None:
    code = (
        "import sys, labelmend.engine.review, labelmend.cli.review, labelmend.audit.review_page; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
