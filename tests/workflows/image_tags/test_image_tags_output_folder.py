"""The folder of `seed`: its own files may be replaced, anything else is refused, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawn_data import contents
from labelmend.errors import OutputError
from labelmend.io import ManifestRow, checksum, write_manifest
from labelmend.workflows.image_tags.output_folder import check_seed_folder, heat_file, label_file, scores_file


@pytest.fixture
def given(tmp_path) -> dict[str, Path]:
    """Two images, tags, and OUT as an earlier call left it."""
    images, out = tmp_path / "images", tmp_path / "out"
    files = {"a": images / "a.png", "b": images / "b.jpg"}
    for path in (*files.values(), tmp_path / "tags.csv"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    for name in ("labels/a.png", "labels/b.png", "labels/dataset.json", "scores/a.npz", "scores/b.npz"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    for name in ("heat/a.npz", "summary.json", "report.html"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("x")
    rows = []
    for case, image in files.items():
        own = (label_file(image), scores_file(case))
        rows.append(
            ManifestRow(case, own, checksum(*(out / f for f in own)), "", "", "pseudo_masks", {}, 0, 0)
        )
    write_manifest(out / "manifest.jsonl", rows)
    return {"root": tmp_path, "images": images, "tags": tmp_path / "tags.csv", "out": out, "files": files}


def check(given, out: Path | None = None) -> None:
    check_seed_folder(out or given["out"], given["images"], given["tags"], given["files"])


def refused(given, words: str, out: Path | None = None) -> None:
    before = contents(given["root"])
    with pytest.raises(OutputError, match=words):
        check(given, out)
    assert contents(given["root"]) == before


def test_labels_of_a_format_that_keeps_none_become_png():
    assert (label_file(Path("x/b.jpg")), scores_file("b"), heat_file("b")) == (
        "labels/b.png",
        "scores/b.npz",
        "heat/b.npz",
    )


def test_new_and_empty_folders_will_do(given):
    (given["root"] / "empty").mkdir()
    check(given, given["root"] / "new")
    check(given, given["root"] / "empty")


def test_what_an_earlier_call_wrote_may_be_replaced_also_without_a_row_or_an_image(given):
    check(given)
    del given["files"]["b"]
    check(given)
    given["files"]["b"] = given["images"] / "b.jpg"
    write_manifest(given["out"] / "manifest.jsonl", [])
    check(given)


def test_anything_else_is_refused(given):
    (given["out"] / "labels/notes.txt").write_text("mine")
    refused(given, "already holds labels/notes.txt")
    (given["out"] / "labels/notes.txt").unlink()
    (given["out"] / "mine").write_text("")
    refused(given, "already holds mine")


def test_labels_that_somebody_else_keeps_there_are_refused(given):
    (given["out"] / "manifest.jsonl").unlink()
    refused(given, "already holds heat/a.npz and no manifest.jsonl")
    rows = [ManifestRow("a", ("labels/a.png",), "", "", "", "simulate", {}, 0, 0)]
    write_manifest(given["out"] / "manifest.jsonl", rows)
    refused(given, "holds masks of 'simulate'")


def test_a_mask_that_was_changed_by_hand_is_not_replaced(given):
    (given["out"] / "labels/b.png").write_text("corrected")
    refused(given, "case b in .* was edited after it was written")


def test_a_mask_that_was_removed_is_no_reason_to_refuse(given):
    (given["out"] / "labels/b.png").unlink()
    check(given)


def test_a_folder_among_the_images_and_a_file_are_refused(given):
    refused(given, "is inside the input folder", given["images"])
    refused(given, "is inside the input folder", given["images"] / "out")
    refused(given, "is a file", given["tags"])
    refused(given, "already holds images", given["root"])


def test_the_table_of_tags_is_not_replaced(given):
    given["tags"] = given["out"] / "report.html"
    refused(given, "would be replaced")
