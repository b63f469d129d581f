"""From verdicts to the final labels: every file, every row, and every refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn_audit import DECIDED, ID, decide, flat, overlapping, regions, volumetric
from drawn_coco import CAT, DOG, MISSED, WIDER, coco_audit, true_masks
from drawn_data import contents
from labelmend.errors import (
    ConfigError,
    DataError,
    LabelmendError,
    MissingDataError,
    OutputError,
    UnreadableFileError,
)
from labelmend.io import checksum, open_coco, open_labels, read_manifest
from labelmend.workflows.reviewing.apply import apply_review


def test_taken_cases_hold_the_proposal_and_all_others_the_given_file(tmp_path: Path) -> None:
    out = flat(tmp_path)
    done = apply_review(
        out, decide(tmp_path, ("a", "take"), ("b", "keep"), ("c", "redraw")), out=tmp_path / "final"
    )
    given, final = contents(tmp_path / "data" / "labels"), contents(tmp_path / "final" / "labels")
    proposals = contents(out / "proposals")
    assert done.labels == tmp_path / "final" / "labels"
    assert final == given | {"a.png": proposals["a.png"]}
    assert done.counts == {"take": 1, "keep": 1, "redraw": 1, "unreviewed": 1}


def test_the_manifest_says_who_decided_what_when_and_why(tmp_path: Path) -> None:
    out = flat(tmp_path)
    apply_review(out, decide(tmp_path, ("a", "take"), ("b", "skip")), out=tmp_path / "final")
    rows = read_manifest(tmp_path / "final" / "manifest.jsonl")
    assert [(row.case, row.version, row.parameters["verdict"]) for row in rows] == [
        ("a", 1, "take"),
        ("b", 0, "skip"),
        ("c", 0, "unreviewed"),
        ("d", 0, "unreviewed"),
    ]
    taken, unseen = rows[0], rows[2]
    assert taken.parameters == {"verdict": "take", "reviewer": "RF", "at": DECIDED, "note": "note a"}
    assert (taken.method, taken.reason, taken.files) == ("review", "reason of a", ("labels/a.png",))
    assert taken.extra == {"audit": ID, "findings": ["lung 1.0 px too far out"]}
    assert taken.checksum == checksum(tmp_path / "final" / "labels" / "a.png")
    assert taken.parent_checksum == checksum(tmp_path / "data" / "labels" / "a.png")
    assert unseen.parameters["reviewer"] == unseen.parameters["at"] == ""


def test_the_final_labels_are_a_label_folder_with_names(tmp_path: Path) -> None:
    apply_review(flat(tmp_path), decide(tmp_path, ("a", "take"), ("c", "redraw")), out=tmp_path / "final")
    final = open_labels(tmp_path / "final" / "labels")
    assert (final.classes, final.values, final.ignore) == (("heart", "lung"), (1, 2), 9)
    assert final.cases == ("a", "b", "c", "d")
    assert final.read("a").masks().sum(axis=(1, 2)).tolist() == [8, 16]


def test_classes_in_folders_stay_in_folders(tmp_path: Path) -> None:
    out = overlapping(tmp_path)
    apply_review(out, decide(tmp_path, ("a", "take")), out=tmp_path / "final")
    assert contents(tmp_path / "final" / "labels") == contents(out / "proposals")
    assert not (tmp_path / "final" / "dataset.json").exists()
    assert open_labels(tmp_path / "final" / "labels").read("a").ignored().sum() == 16


def test_volumes_are_copied_byte_for_byte(tmp_path: Path) -> None:
    apply_review(volumetric(tmp_path), decide(tmp_path, ("v", "keep")), out=tmp_path / "final")
    assert contents(tmp_path / "final" / "labels") == contents(tmp_path / "data" / "labels")


@pytest.mark.usefixtures("no_nnunet")
def test_data_of_nnunet_become_a_raw_data_set_with_images(tmp_path: Path) -> None:
    out, home = regions(tmp_path), tmp_path / "data" / "Dataset007_Drawn"
    done = apply_review(out, decide(tmp_path, ("v", "take")), out=tmp_path / "final")
    dataset = tmp_path / "final" / "Dataset008_Drawn_mended"
    assert (done.dataset, done.labels) == (dataset, dataset / "labelsTr")
    assert contents(done.labels) == contents(out / "proposals")
    assert contents(dataset / "imagesTr") == contents(home / "imagesTr")
    assert all(path.is_symlink() for path in (dataset / "imagesTr").iterdir())
    given, new = (json.loads((p / "dataset.json").read_text()) for p in (home, dataset))
    assert new == given | {"name": "Drawn_mended"}
    assert list(new["labels"]) == list(given["labels"])
    (row,) = read_manifest(tmp_path / "final" / "manifest.jsonl")
    assert row.files == ("Dataset008_Drawn_mended/labelsTr/v.nii.gz",)
    assert row.checksum == checksum(done.labels / "v.nii.gz")


@pytest.mark.usefixtures("no_nnunet")
def test_name_and_images_of_a_raw_data_set_can_be_chosen(tmp_path: Path) -> None:
    out, home = regions(tmp_path), tmp_path / "data" / "Dataset007_Drawn"
    settings: dict[str, Any] = {"dataset": "Dataset500_Final", "copy_images": True}
    done = apply_review(out, decide(tmp_path, ("v", "redraw")), out=tmp_path / "final", **settings)
    assert done.dataset == tmp_path / "final" / "Dataset500_Final"
    assert contents(done.labels) == contents(home / "labelsTr")
    assert not any(path.is_symlink() for path in (done.dataset / "imagesTr").iterdir())
    assert done.worklist is not None
    assert f",{done.labels / 'v.nii.gz'}," in (done.worklist / "worklist.csv").read_text()


def test_data_of_nnunet_without_images_keep_names_and_integers(tmp_path: Path) -> None:
    out, home = regions(tmp_path), tmp_path / "data" / "Dataset007_Drawn"
    shutil.rmtree(home / "imagesTr")
    done = apply_review(out, decide(tmp_path, ("v", "take")), out=tmp_path / "final")
    assert (done.dataset, done.labels) == (None, tmp_path / "final" / "labelsTr")
    assert contents(done.labels) == contents(out / "proposals")
    assert (tmp_path / "final" / "dataset.json").read_bytes() == (home / "dataset.json").read_bytes()


def test_a_name_for_a_raw_data_set_needs_one(tmp_path: Path) -> None:
    verdicts = decide(tmp_path)
    with pytest.raises(ConfigError, match=r"Dataset500_X.* is not one"):
        apply_review(flat(tmp_path), verdicts, out=tmp_path / "final", dataset="Dataset500_X")
    out = regions(tmp_path / "other")
    with pytest.raises(ConfigError, match="nnU-Net would not recognise 'Mine'"):
        apply_review(out, verdicts, out=tmp_path / "final", dataset="Mine")
    with pytest.raises(OutputError, match="is inside the input folder"):
        apply_review(out, verdicts, out=tmp_path / "other" / "data" / "Dataset007_Drawn" / "final")


def test_the_worklist_points_to_the_final_labels(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path, ("c", "redraw")), out=tmp_path / "final")
    assert done.worklist == tmp_path / "final" / "worklist"
    text = (done.worklist / "worklist.csv").read_text()
    assert f"c,{tmp_path}/data/images/c.png,{tmp_path}/final/labels/c.png,,reason of c,note c,RF," in text


def test_without_a_redraw_there_is_no_worklist(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path, ("a", "keep")), out=tmp_path / "final")
    assert done.worklist is None
    assert sorted(p.name for p in (tmp_path / "final").iterdir()) == [
        "dataset.json",
        "labels",
        "manifest.jsonl",
    ]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    pytest.importorskip("pycocotools")
    return coco_audit(tmp_path)


def entries(path: Path) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["annotations"]}


def test_taken_cases_of_a_coco_file_hold_the_proposal_and_all_others_their_annotations(coco, tmp_path):
    given = tmp_path / "data" / "instances.json"
    done = apply_review(
        coco, decide(tmp_path, ("a", "take"), ("b", "keep"), ("c", "redraw")), out=tmp_path / "final"
    )
    assert (done.labels, done.worklist) == (
        tmp_path / "final" / "instances.json",
        tmp_path / "final" / "worklist",
    )
    old, new = entries(given), entries(done.labels)
    assert list(new) == [18, 2, 12, 3, 13, 14, 15, 16, 17]  # the cat of a is rewritten, its dog is new
    assert all(new[number] == old[number] for number in (2, 3, 12, 13, 14, 15, 16))
    assert {key: new[18][key] for key in ("image_id", "category_id", "by")} == {
        "image_id": 10,
        "category_id": CAT,
        "by": "Ada",
    }
    assert (new[17]["image_id"], new[17]["category_id"]) == (10, DOG)
    before, final = open_coco(given), open_coco(done.labels)
    np.testing.assert_array_equal(final.read(MISSED).array, np.stack([true_masks(MISSED)[0], WIDER]))
    for case in ("b", "c"):
        assert final.checksum(case) == before.checksum(case)


def test_the_manifest_of_a_coco_file_says_which_annotations_changed(coco, tmp_path):
    done = apply_review(coco, decide(tmp_path, ("a", "take"), ("c", "take")), out=tmp_path / "final")
    first, second, third = read_manifest(tmp_path / "final" / "manifest.jsonl")
    assert first.extra["annotations"] == {"redrawn": [[1, 18]], "removed": [], "added": [17]}
    assert third.extra["annotations"] == {"redrawn": [], "removed": [14], "added": []}
    assert "annotations" not in second.extra
    assert [row.version for row in (first, second, third)] == [1, 0, 1]
    assert {row.files for row in (first, second, third)} == {("instances.json",)}
    assert second.checksum == checksum(done.labels)
    assert second.parent_checksum == checksum(tmp_path / "data" / "instances.json")
    assert first.parameters["note"] == "note a"
    assert sorted(p.name for p in (tmp_path / "final").iterdir()) == ["instances.json", "manifest.jsonl"]


def test_a_coco_file_of_which_nothing_was_taken_is_copied_byte_for_byte(coco, tmp_path):
    before = contents(tmp_path / "data"), contents(coco)
    done = apply_review(coco, decide(tmp_path, ("a", "keep"), ("c", "skip")), out=tmp_path / "final")
    assert done.labels.read_bytes() == (tmp_path / "data" / "instances.json").read_bytes()
    assert done.counts == {"keep": 1, "skip": 1, "unreviewed": 1}
    assert (contents(tmp_path / "data"), contents(coco)) == before


def test_the_worklist_of_a_coco_file_points_to_the_final_one(coco, tmp_path):
    done = apply_review(coco, decide(tmp_path, ("c", "redraw")), out=tmp_path / "final")
    assert done.worklist is not None
    text = (done.worklist / "worklist.csv").read_text()
    assert (
        f"c,{tmp_path}/data/images/val/c.png,{tmp_path}/final/instances.json,{coco}/proposals/c.json,"
    ) in text


def test_annotations_that_changed_since_the_audit_are_told_by_their_case(coco, tmp_path):
    path = tmp_path / "data" / "instances.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content, indent=3))  # other bytes, the same annotations
    apply_review(coco, decide(tmp_path, ("a", "take")), out=tmp_path / "first")
    content["annotations"][1]["category_id"] = DOG
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"case b: .*instances\.json has changed since it was audited"):
        apply_review(coco, decide(tmp_path, ("a", "take")), out=tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_a_coco_proposal_that_is_gone_leaves_nothing_half_written(coco, tmp_path):
    (coco / "proposals" / "a.json").unlink()
    with pytest.raises(MissingDataError, match=r"a\.json does not exist"):
        apply_review(coco, decide(tmp_path, ("a", "take")), out=tmp_path / "final")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit", "data", "verdicts.json"]


def test_neither_the_given_labels_nor_the_audit_are_touched(tmp_path: Path) -> None:
    out = flat(tmp_path)
    before = contents(tmp_path / "data"), contents(out)
    apply_review(out, decide(tmp_path, ("a", "take"), ("b", "redraw")), out=tmp_path / "final")
    assert (contents(tmp_path / "data"), contents(out)) == before


def test_a_reviewer_without_verdicts_changes_nothing(tmp_path: Path) -> None:
    done = apply_review(flat(tmp_path), decide(tmp_path), out=tmp_path / "final")
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
        apply_review(out, decide(tmp_path, *verdicts.items(), **more), out=tmp_path / "final")
    assert not (tmp_path / "final").exists()


def test_a_proposal_that_is_gone_leaves_nothing_half_written(tmp_path: Path) -> None:
    out = flat(tmp_path)
    (out / "proposals" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"b\.png"):
        apply_review(out, decide(tmp_path, ("b", "take")), out=tmp_path / "final")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit", "data", "verdicts.json"]


def spoil(kind: str, proposal: Path) -> str:
    """Put something else in the place of a proposal; what the refusal says of it."""
    pixels = np.asarray(Image.open(proposal)).copy()
    if kind == "garbage":
        proposal.write_bytes(b"not a picture")
        return "a.png"
    if kind == "another size":
        pixels = pixels[:-1]
    elif kind == "another value":
        pixels[5, 5] = 7
    elif kind == "annotated":
        pixels[0, 0] = 1
    elif kind in ("a link out", "a link to the given labels"):
        target = Path("/etc/passwd") if kind == "a link out" else proposal.parents[2] / "data/labels/a.png"
        proposal.unlink()
        proposal.symlink_to(target)
        return "link out of the folder"
    Image.fromarray(pixels).save(proposal)
    if kind == "another size":
        return "differs from the given"
    return "7" if kind == "another value" else "changes unannotated pixels"


@pytest.mark.parametrize(
    "kind",
    ["garbage", "another size", "another value", "annotated", "a link out", "a link to the given labels"],
)
def test_only_a_proposal_that_fits_the_given_labels_is_taken(tmp_path: Path, kind: str) -> None:
    out = flat(tmp_path)
    words = spoil(kind, out / "proposals" / "a.png")
    with pytest.raises(DataError, match=words):
        apply_review(out, decide(tmp_path, ("a", "take")), out=tmp_path / "final")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", "data", "verdicts.json"]


def test_a_proposal_that_changed_since_the_audit_is_not_taken(tmp_path: Path) -> None:
    out = flat(tmp_path)
    proposal, path = out / "proposals" / "a.png", out / "cases.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["proposal_checksum"] = checksum(proposal)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdicts = decide(tmp_path, ("a", "take"))
    apply_review(out, verdicts, out=tmp_path / "final")
    pixels = np.asarray(Image.open(proposal)).copy()
    pixels[5, 5] = 0
    Image.fromarray(pixels).save(proposal)
    with pytest.raises(DataError, match=r"a\.png has changed since the audit"):
        apply_review(out, verdicts, out=tmp_path / "again")


@pytest.mark.parametrize("image", ["/etc/hostname", "../../secret.png"])
def test_images_outside_the_folder_of_images_are_refused(tmp_path: Path, image: str) -> None:
    out = flat(tmp_path)
    path = out / "cases.jsonl"
    rows = [json.loads(line) | {"image": image} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UnreadableFileError, match="outside the folder"):
        apply_review(out, decide(tmp_path, ("a", "redraw")), out=tmp_path / "final")


def test_given_labels_that_are_gone_are_told(tmp_path: Path) -> None:
    out = flat(tmp_path)
    (tmp_path / "data" / "labels" / "d.png").unlink()
    with pytest.raises(MissingDataError, match="case 'd' was audited"):
        apply_review(out, decide(tmp_path), out=tmp_path / "final")


def test_given_labels_that_changed_since_the_audit_are_told(tmp_path: Path) -> None:
    out = flat(tmp_path)
    lines = [json.loads(line) for line in (out / "cases.jsonl").read_text().splitlines()]
    lines[1]["checksum"] = checksum(tmp_path / "data" / "labels" / "b.png")
    (out / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    apply_review(out, decide(tmp_path), out=tmp_path / "first")
    shutil.copy(tmp_path / "data" / "labels" / "a.png", tmp_path / "data" / "labels" / "b.png")
    with pytest.raises(DataError, match=r"case b: .*b\.png has changed since it was audited"):
        apply_review(out, decide(tmp_path), out=tmp_path / "second")


@pytest.mark.parametrize("place", ["audit/final", "data/labels/final", "verdicts.json", "data"])
def test_a_place_that_is_taken_is_refused(tmp_path: Path, place: str) -> None:
    out, verdicts = flat(tmp_path), decide(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OutputError):
        apply_review(out, verdicts, out=tmp_path / place)
    assert contents(tmp_path) == before


def test_a_folder_without_audit_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelmendError, match=r"no audit\.json"):
        apply_review(tmp_path, decide(tmp_path), out=tmp_path / "final")


def test_progress_counts_all_cases(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    apply_review(
        flat(tmp_path),
        decide(tmp_path),
        out=tmp_path / "final",
        progress=lambda tick: seen.append((tick.text, tick.total)),
    )
    assert seen == [("a", 4), ("b", 4), ("c", 4), ("d", 4)]


def test_applying_does_not_load_torch() -> None:
    code = (
        "import sys, labelmend.cli.review; from labelmend.workflows.auditing import page; "
        "from labelmend.workflows.reviewing import apply; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
