"""Redrawn labels: which cases they belong to, and which files are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawing import AFFINE, box, picture, volume
from drawn_audit import decide, flat, overlapping, regions, volumetric
from drawn_coco import coco_audit
from drawn_data import contents
from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError, OutputError
from labelmend.io import checksum, read_manifest
from labelmend.io.labels.nnunet_regions import RegionFolder
from labelmend.workflows.auditing.audit_folder import open_given, read_audit
from labelmend.workflows.reviewing.apply import apply_review
from labelmend.workflows.reviewing.redrawn import open_redrawn


def given_of(out: Path) -> Any:
    return open_given(read_audit(out))


def drawn(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


LUNG = np.where(box((12, 16), (5, 10), (4, 10)), 2, 0)


def test_cases_to_redraw_hold_what_was_drawn_and_the_manifest_says_so(tmp_path: Path) -> None:
    out, new = flat(tmp_path), tmp_path / "new"
    picture(new / "b.png", LUNG)
    picture(new / "d.png", LUNG)  # nobody asked for it
    verdicts = decide(tmp_path, ("a", "take"), ("b", "redraw"), ("c", "redraw"))
    done = apply_review(out, verdicts, out=tmp_path / "final", redrawn=new)
    given, final = contents(tmp_path / "data" / "labels"), contents(tmp_path / "final" / "labels")
    taken = {"a.png": contents(out / "proposals")["a.png"], "b.png": contents(new)["b.png"]}
    assert final == given | taken
    assert done.counts == {"take": 1, "redrawn": 1, "redraw": 1, "unreviewed": 1}
    rows = {row.case: row for row in read_manifest(tmp_path / "final" / "manifest.jsonl")}
    assert (rows["b"].parameters["verdict"], rows["b"].version) == ("redrawn", 1)
    assert rows["b"].checksum == checksum(new / "b.png")
    assert rows["b"].extra["redrawn"] == [str(new / "b.png")]
    assert (rows["c"].parameters["verdict"], rows["c"].version) == ("redraw", 0)
    assert "redrawn" not in rows["c"].extra
    assert done.worklist is not None
    table = (done.worklist / "worklist.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["case", "c"]


def test_what_was_drawn_over_the_first_final_labels_is_taken_in(tmp_path: Path) -> None:
    out, verdicts = flat(tmp_path), decide(tmp_path, ("b", "redraw"), ("c", "redraw"))
    first = apply_review(out, verdicts, out=tmp_path / "first")
    with pytest.raises(MissingDataError, match=r"none of the 2 cases to redraw.*different.*b\.png"):
        apply_review(out, verdicts, out=tmp_path / "second", redrawn=first.labels)
    picture(first.labels / "c.png", LUNG)
    second = apply_review(out, verdicts, out=tmp_path / "second", redrawn=first.labels)
    assert second.counts == {"redrawn": 1, "redraw": 1, "unreviewed": 2}
    assert contents(second.labels) == contents(first.labels)
    picture(first.labels / "b.png", LUNG)
    third = apply_review(out, verdicts, out=tmp_path / "third", redrawn=first.labels)
    assert (third.counts["redrawn"], third.worklist) == (2, None)


def test_a_raw_data_set_takes_them_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    out, new = regions(tmp_path), tmp_path / "new"
    shutil.copytree(out / "proposals", new)
    done = apply_review(out, decide(tmp_path, ("v", "redraw")), out=tmp_path / "final", redrawn=new)
    assert done.labels == tmp_path / "final" / "Dataset008_Drawn_mended" / "labelsTr"
    assert contents(done.labels) == contents(new)
    assert done.counts == {"redrawn": 1}


@pytest.mark.parametrize("with_ignore", [True, False])
def test_a_case_of_several_files_needs_those_of_its_classes(tmp_path: Path, with_ignore: bool) -> None:
    given, new = given_of(overlapping(tmp_path)), tmp_path / "new"
    picture(new / "heart" / "a.png", box((12, 16), (6, 10), (6, 11)))
    with pytest.raises(MissingDataError, match=r"case a: .*heart/a\.png exists, but .*lung/a\.png does not"):
        open_redrawn(new, given, ["a"])
    picture(new / "lung" / "a.png", np.zeros((12, 16), bool))
    if with_ignore:
        picture(new / "ignore" / "a.png", box((12, 16), (0, 2), (0, 16)))
    ignore = (new if with_ignore else tmp_path / "data" / "labels") / "ignore" / "a.png"
    assert open_redrawn(new, given, ["a"]) == {
        "a": (new / "heart" / "a.png", new / "lung" / "a.png", ignore),
    }


def test_regions_keep_their_kind(tmp_path: Path) -> None:
    out, new = regions(tmp_path), tmp_path / "new"
    given = given_of(out)
    assert isinstance(given, RegionFolder)
    array = np.full((8, 10, 5), 7, np.uint8)
    new.mkdir()
    volume(new / "v.nii.gz", array, AFFINE)
    with pytest.raises(LabelValueError, match=r"case v: .*v\.nii\.gz holds"):
        open_redrawn(new, given, ["v"])


def moved(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    affine = affine.copy()
    affine[0, 3] += 0.5
    return array, affine


def coarser(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return array, affine * [1, 1, 1.25, 1]


def cropped(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return array[:, :-1], affine


@pytest.mark.parametrize(("change", "word"), [(moved, "affine"), (coarser, "spacing"), (cropped, "shape")])
def test_another_grid_is_an_error_that_names_case_and_files(
    tmp_path: Path, change: Callable[..., Any], word: str
) -> None:
    out, new = volumetric(tmp_path), tmp_path / "new"
    array, affine = change(np.ones((8, 10, 5), np.uint8), AFFINE)
    new.mkdir()
    volume(new / "v.nii.gz", array, affine)
    with pytest.raises(GeometryError, match=rf"case v: .*new/v\.nii.* .*labels/v\.nii.* differ in {word}"):
        apply_review(out, decide(tmp_path, ("v", "redraw")), out=tmp_path / "final", redrawn=new)
    assert not (tmp_path / "final").exists()


def test_values_that_no_class_has_are_an_error(tmp_path: Path) -> None:
    out, new = flat(tmp_path), tmp_path / "new"
    picture(new / "b.png", LUNG * 2)
    with pytest.raises(LabelValueError, match=r"case b: .*new/b\.png holds the value 4"):
        apply_review(out, decide(tmp_path, ("b", "redraw")), out=tmp_path / "final", redrawn=new)
    assert not (tmp_path / "final").exists()


def test_folders_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    out = flat(tmp_path)
    verdicts = decide(tmp_path, ("b", "redraw"))
    with pytest.raises(MissingDataError, match="is not a folder"):
        apply_review(out, verdicts, out=tmp_path / "final", redrawn=tmp_path / "absent")
    with pytest.raises(OutputError, match="is inside the input folder"):
        apply_review(out, verdicts, out=tmp_path / "new" / "final", redrawn=tmp_path / "new")
    with pytest.raises(ConfigError, match="no verdict sends a case to be redrawn"):
        apply_review(out, decide(tmp_path, ("b", "keep")), out=tmp_path / "final", redrawn=tmp_path / "data")
    assert not (tmp_path / "final").exists()


def test_a_coco_file_takes_none(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    given = given_of(coco_audit(tmp_path))
    with pytest.raises(ConfigError, match="replace the annotations of these images"):
        open_redrawn(tmp_path, given, ["a"])


def test_neither_given_labels_nor_new_ones_are_touched(tmp_path: Path) -> None:
    out, new = flat(tmp_path), tmp_path / "new"
    picture(new / "b.png", LUNG)
    before = contents(tmp_path / "data"), contents(out), contents(new)
    done = apply_review(out, decide(tmp_path, ("b", "redraw")), out=tmp_path / "final", redrawn=new)
    np.testing.assert_array_equal(drawn(done.labels / "b.png"), LUNG)
    assert (contents(tmp_path / "data"), contents(out), contents(new)) == before
