"""Worklists for the tools that people draw with."""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from xml.etree import ElementTree

import numpy as np
import pytest

from drawn_audit import flat, overlapping, regions, volumetric
from drawn_coco import coco_audit
from labelmend.io import read_label_array
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.workflows.auditing.audit_folder import open_given, read_audit
from labelmend.workflows.reviewing.worklists import (
    COLUMNS,
    Redraw,
    itksnap_labels,
    itksnap_workspace,
    slicer_script,
    write_worklists,
)

HOSTILE = "'''); import os; os.abort() #\\"


def redraws_of(out: Path, *cases: str, **more: Any) -> tuple[list[Redraw], Any]:
    audit = read_audit(out)
    given = open_given(audit)
    rows = {row.case: row for row in audit.cases}
    made = [
        Redraw(
            **{
                "case": case,
                "image": rows[case].image,
                "labels": given.sources(case) if isinstance(given, LabelFolder) else (given.path,),
                "proposal": rows[case].proposal,
                "reason": "=1+1",
                "note": "look at the apex",
                "reviewer": "RF",
                "at": "2026-10-01",
                **more,
            }
        )
        for case in cases
    ]
    return made, given


@pytest.fixture
def slicer(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A Slicer that reads label files and keeps what would be written."""
    arrays: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    fake = types.SimpleNamespace(written={}, writable=True, masks=masks, mrmlScene=MagicMock())

    def load(path: str, properties: dict[str, bool]) -> str:
        arrays[path] = read_label_array(path)[0]
        return path

    def save(node: str, path: str) -> bool:
        fake.written[path] = arrays[node]
        return fake.writable

    segmentation = MagicMock()
    segmentation.GetSegmentation().AddEmptySegment.side_effect = lambda _, name: name
    fake.mrmlScene.AddNewNodeByClass.return_value = segmentation
    fake.util = MagicMock(
        loadLabelVolume=load,
        arrayFromVolume=arrays.__getitem__,
        updateSegmentBinaryLabelmapFromArray=lambda mask, _, name, node: masks.__setitem__(name, mask),
        arrayFromSegmentBinaryLabelmap=lambda _, name, node: masks[name],
        updateVolumeFromArray=arrays.__setitem__,
        saveNode=save,
    )
    monkeypatch.setitem(sys.modules, "slicer", fake)  # type: ignore[arg-type]
    return fake


def test_without_a_case_nothing_is_written(tmp_path: Path) -> None:
    _, given = redraws_of(flat(tmp_path), "a")
    write_worklists(tmp_path / "worklist", [], given, tmp_path)
    assert not (tmp_path / "worklist").exists()


def test_pictures_get_every_list(tmp_path: Path) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a", "b")
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path / "worklist")
    assert sorted(
        p.relative_to(tmp_path / "worklist").as_posix() for p in tmp_path.glob("worklist/**/*.*")
    ) == [
        "README.txt",
        "cvat.xml",
        "itksnap/001-a.itksnap",
        "itksnap/002-b.itksnap",
        "itksnap/labels.txt",
        "label_studio.json",
        "label_studio.xml",
        "open_in_slicer.py",
        "worklist.csv",
    ]
    read_me = (tmp_path / "worklist" / "README.txt").read_text()
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={tmp_path / 'data'};" in read_me
    assert f"with the path {tmp_path / 'data' / 'images'}," in read_me
    tasks = json.loads((tmp_path / "worklist" / "label_studio.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=images/a.png",
        "/data/local-files/?d=images/b.png",
    ]


def test_the_way_back_names_the_folder_of_the_labels(tmp_path: Path) -> None:
    for drawn, case in ((flat, "a"), (overlapping, "a")):
        home = tmp_path / drawn.__name__
        redraws, given = redraws_of(drawn(home), case)
        final = dataclasses.replace(redraws[0], labels=given.target(tmp_path / "my final" / "labels", case))
        write_worklists(home / "worklist", [final], given, home)
        text = (home / "worklist" / "README.txt").read_text()
        assert f"--out NEW --redrawn '{tmp_path}/my final/labels'\n" in text
        assert ("version 3.6 shows only the last" in text) == (drawn is overlapping)


def test_volumes_get_the_lists_that_draw_in_volumes(tmp_path: Path) -> None:
    redraws, given = redraws_of(volumetric(tmp_path), "v")
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path)
    names = {path.name for path in (tmp_path / "worklist").iterdir()}
    assert names == {"README.txt", "itksnap", "open_in_slicer.py", "worklist.csv"}
    assert (
        "The files for CVAT and Label Studio leave out volumes"
        in (tmp_path / "worklist" / "README.txt").read_text()
    )


def test_cases_without_an_image_are_listed_all_the_same(tmp_path: Path) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a", image=None)
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path)
    assert {p.name for p in (tmp_path / "worklist").iterdir()} == {
        "README.txt",
        "open_in_slicer.py",
        "worklist.csv",
    }


def test_a_coco_file_gets_the_lists_that_need_no_label_files(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    redraws, given = redraws_of(coco_audit(tmp_path), "a", "c")
    redraws[0] = dataclasses.replace(redraws[0], image=None)
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path)
    names = {path.name for path in (tmp_path / "worklist").iterdir()}
    assert names == {"README.txt", "cvat.xml", "label_studio.json", "label_studio.xml", "worklist.csv"}
    masks = ElementTree.parse(tmp_path / "worklist" / "cvat.xml").findall("image/mask")
    assert [mask.get("label") for mask in masks] == ["dog", "cat"]
    read_me = (tmp_path / "worklist" / "README.txt").read_text()
    assert "one mask per class, not per object" in read_me
    assert "1 of the cases have no image and are in worklist.csv only" in read_me
    assert "Slicer" not in read_me
    assert "itksnap" not in read_me


def test_the_table_holds_paths_and_no_formula(tmp_path: Path) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a")
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path)
    with open(tmp_path / "worklist" / "worklist.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == COLUMNS
    assert Path(row["image"]).is_file()
    assert Path(row["labels"]).is_file()
    assert (row["reason"], row["note"]) == ("'=1+1", "look at the apex")


def test_slicer_opens_cases_and_saves_what_it_read(
    tmp_path: Path, slicer: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a", "b")
    names: dict[str, Any] = {}
    exec(slicer_script(redraws, given), names)
    assert set(slicer.masks) == {"heart", "lung", "not annotated"}
    slicer.masks["lung"][5, 5] = 0  # drawn by hand
    names["save"]()
    (path, drawn), *_ = slicer.written.items()
    old = given.read("a").array
    assert Path(path) == given.sources("a")[0]
    assert np.argwhere(drawn != old).tolist() == [[5, 5]]
    assert "case 2 of 2: b" in capsys.readouterr().out
    names["save"]()
    assert "the last case" in capsys.readouterr().out


def test_slicer_stays_with_a_case_that_could_not_be_saved(
    tmp_path: Path, slicer: types.SimpleNamespace
) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a", "b")
    names: dict[str, Any] = {}
    exec(slicer_script(redraws, given), names)
    slicer.writable = False
    with pytest.raises(RuntimeError, match=r"a\.png could not be written"):
        names["save"]()
    assert names["state"]["number"] == 0


def test_slicer_keeps_a_file_a_class(tmp_path: Path, slicer: types.SimpleNamespace) -> None:
    redraws, given = redraws_of(overlapping(tmp_path), "a")
    names: dict[str, Any] = {}
    exec(slicer_script(redraws, given), names)
    names["save"]()
    assert [Path(path) for path in slicer.written] == list(given.files["a"])
    for path, array in slicer.written.items():
        np.testing.assert_array_equal(array, read_label_array(path)[0])


def test_slicer_keeps_the_integers_of_regions(tmp_path: Path, slicer: types.SimpleNamespace) -> None:
    redraws, given = redraws_of(regions(tmp_path), "v")
    names: dict[str, Any] = {}
    exec(slicer_script(redraws, given), names)
    assert list(slicer.masks) == ["whole", "whole + core", "not annotated"]
    names["save"]()
    ((path, array),) = slicer.written.items()
    np.testing.assert_array_equal(array, read_label_array(path)[0])


def test_no_name_is_read_as_code(tmp_path: Path, slicer: types.SimpleNamespace) -> None:
    redraws, given = redraws_of(flat(tmp_path), "a", note=HOSTILE)
    script = slicer_script([Redraw(**{**vars(redraws[0]), "case": HOSTILE})], given)
    names: dict[str, Any] = {}
    exec(script, names)
    assert names["CASES"][0]["case"] == HOSTILE


def test_a_workspace_names_image_and_labels(tmp_path: Path) -> None:
    redraws, given = redraws_of(overlapping(tmp_path), "a")
    write_worklists(tmp_path / "worklist", redraws, given, tmp_path / "home")
    root = ElementTree.parse(tmp_path / "worklist" / "itksnap" / "001-a.itksnap").getroot()
    entries = {e.get("key"): e.get("value") for e in root.findall("entry")}
    layers = [
        {e.get("key"): e.get("value") for e in f.findall("entry")} for f in root.findall("folder/folder")
    ]
    assert entries["SaveLocation"] == str(tmp_path / "home" / "itksnap")
    assert [f.get("key") for f in root.findall("folder/folder")] == ["Layer[000]", "Layer[001]", "Layer[002]"]
    assert [layer["Role"] for layer in layers] == ["MainRole", "SegmentationRole", "SegmentationRole"]
    assert [Path(str(layer["AbsolutePath"])).is_file() for layer in layers] == [True] * 3


@pytest.mark.parametrize(
    ("drawn", "case", "size", "labels"),
    [
        (flat, "a", "16 12 1", [("1", "heart"), ("2", "lung"), ("9", "not annotated")]),
        (overlapping, "a", "16 12 1", [("255", "heart / lung")]),
        (regions, "v", "8 10 5", [("1", "whole"), ("2", "whole + core"), ("3", "not annotated")]),
    ],
)
def test_a_workspace_names_the_stored_values_beside_the_size_of_the_image(
    tmp_path: Path, drawn: Any, case: str, size: str, labels: list[tuple[str, str]]
) -> None:
    """ITK-SNAP skips the names without the size, x first."""
    redraws, given = redraws_of(drawn(tmp_path), case)
    root = ElementTree.fromstring(itksnap_workspace(redraws[0], given, tmp_path))
    project = "folder/folder[@key='Layer[000]']/folder[@key='ProjectMetaData']"
    dimensions = root.find(f"{project}/folder[@key='Files']/folder[@key='Grey']/entry")
    assert dimensions is not None
    assert dimensions.attrib == {"key": "Dimensions", "value": size}
    table = root.findall(f"{project}/folder[@key='IRIS']/folder[@key='LabelTable']/folder")
    found = [{str(e.get("key")): str(e.get("value")) for e in element} for element in table]
    assert [(entry["Index"], entry["Label"]) for entry in found] == labels
    assert all(len(entry["Color"].split()) == 3 for entry in found)


def test_label_descriptions_have_eight_columns_and_the_stored_values(tmp_path: Path) -> None:
    _, given = redraws_of(flat(tmp_path), "a")
    rows = [shlex.split(line) for line in itksnap_labels(given).splitlines() if not line.startswith("#")]
    assert {len(row) for row in rows} == {8}
    assert [(row[0], row[-1]) for row in rows] == [
        ("0", "Clear Label"),
        ("1", "heart"),
        ("2", "lung"),
        ("9", "not annotated"),
    ]
