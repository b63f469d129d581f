"""Worklists of cases to redraw, in formats that annotation tools open.

| file | tool | what it follows |
|---|---|---|
| worklist.csv | any | one row per case |
| open_in_slicer.py | 3D Slicer | its script repository: loadVolume, loadLabelVolume, segment arrays |
| itksnap/*.itksnap, labels.txt | ITK-SNAP | workspaces and label descriptions as it saves them |
| cvat.xml | CVAT | "CVAT for images 1.1", see brush_masks.py; 2-D only |
| label_studio.json, .xml | Label Studio | brush predictions, see brush_masks.py; 2-D only |

Tested with (table in docs/how_to_audit.md): workspaces in ITK-SNAP 3.6.0, edited and saved; tasks in Label
Studio 1.23.2, exported again without loss; the script with the core libraries of 3D Slicer 5.13 and mocked
windows, on volumes only. The CVAT file was read by datumaro 1.13.12, not by CVAT.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from labelmend.io.files.atomic import write_bytes, write_json, write_text
from labelmend.io.files.csv_table import write_csv
from labelmend.io.labels.coco import CocoLabels
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.nnunet_regions import RegionFolder
from labelmend.types import Grid
from labelmend.workflows.reviewing.brush_masks import (
    Masked,
    cvat_xml,
    label_studio_config,
    label_studio_tasks,
)

COLUMNS = ("case", "image", "labels", "proposal", "reason", "note", "reviewer", "at")
COLOURS = ((255, 159, 64), (53, 214, 242), (141, 245, 154), (213, 140, 255), (255, 123, 136), (240, 228, 66))
"""Red, green and blue of the classes in ITK-SNAP, repeated as needed."""


@dataclass(frozen=True)
class Redraw:
    """One case to redraw.

    Args:
        case: case id.
        image: its image file, or None.
        labels: final paths of its label files, to be edited; in the order of `LabelFolder.sources`.
        proposal: files with proposed labels, may be empty.
        reason: why the audit flagged it.
        note: the reviewer's note.
        reviewer: who decided.
        at: when.
    """

    case: str
    image: Path | None
    labels: tuple[Path, ...]
    proposal: tuple[Path, ...]
    reason: str
    note: str
    reviewer: str
    at: str


def write_worklists(
    folder: str | Path, redraws: Sequence[Redraw], given: LabelFolder | CocoLabels, home: str | Path
) -> None:
    """Write the worklists of some cases into a folder; without cases, write nothing.

    Slicer and ITK-SNAP edit label files, so a COCO file gets no worklist for them.

    Args:
        folder: where to write.
        redraws: the cases.
        given: their current labels.
        home: final path of the folder.
    """
    if not redraws:
        return
    folder = Path(folder)
    write_csv(folder / "worklist.csv", COLUMNS, [_row(redraw) for redraw in redraws])
    pictured = [redraw for redraw in redraws if redraw.image is not None]
    if isinstance(given, LabelFolder):
        write_text(folder / "open_in_slicer.py", slicer_script(redraws, given))
        _write_itksnap(folder / "itksnap", pictured, given, Path(home) / "itksnap")
    flat: list[Masked] = []
    for redraw in pictured:
        labels = given.read(redraw.case)
        if labels.grid.ndim == 2 and redraw.image is not None:
            flat.append((redraw.image, labels))
    root = None
    if flat:
        root = Path(os.path.commonpath([image.parent for image, _ in flat]))
        write_bytes(folder / "cvat.xml", cvat_xml(flat))
        write_json(folder / "label_studio.json", label_studio_tasks(flat, root.parent))
        write_bytes(folder / "label_studio.xml", label_studio_config(given.classes))
    write_text(folder / "README.txt", _read_me(redraws, pictured, flat, root, given))


def _write_itksnap(folder: Path, pictured: Sequence[Redraw], given: LabelFolder, home: Path) -> None:
    for number, redraw in enumerate(pictured, start=1):
        name = f"{number:03d}-{re.sub(r'[^A-Za-z0-9_.-]', '_', redraw.case)[:80]}.itksnap"
        write_bytes(folder / name, itksnap_workspace(redraw, given, home))
    if pictured:
        write_text(folder / "labels.txt", itksnap_labels(given))


def slicer_script(redraws: Sequence[Redraw], given: LabelFolder) -> str:
    """A script for 3D Slicer that opens one case after another and saves the edits.

    It holds names and paths as one quoted JSON string, so none of them can run as code.
    """
    cases = [
        {
            "case": redraw.case,
            "image": None if redraw.image is None else str(redraw.image),
            "layers": _layers(redraw, given),
        }
        for redraw in redraws
    ]
    return _SLICER.replace("CASES_AS_JSON", repr(json.dumps(cases)))


def itksnap_workspace(redraw: Redraw, given: LabelFolder, home: Path) -> bytes:
    """An ITK-SNAP workspace: the image, one segmentation layer per label file, label names and colours.

    Args:
        redraw: the case.
        given: the label folder of the case.
        home: folder of the workspace; paths are relative to it, so both can be moved together.
    """
    root = ElementTree.Element("registry")
    _entry(root, "SaveLocation", str(home))
    _entry(root, "Version", "20190612")
    layers = _folder(root, "Layers")
    files: list[tuple[Path, str, str]] = [] if redraw.image is None else [(redraw.image, "MainRole", "")]
    names = given.classes if _file_a_class(given) else ("",)
    files += [(path, "SegmentationRole", name) for path, name in zip(redraw.labels, names, strict=False)]
    for index, (path, role, name) in enumerate(files):
        layer = _folder(layers, f"Layer[{index:03d}]")
        for key, value in (("AbsolutePath", str(path)), ("Role", role), ("Tags", "")):
            _entry(layer, key, value)
        _entry(_folder(layer, "LayerMetaData"), "CustomNickName", name)
        if role == "MainRole":
            _label_table(_folder(layer, "ProjectMetaData"), given, given.read(redraw.case).grid)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _label_table(parent: ElementTree.Element, given: LabelFolder, grid: Grid) -> None:
    """Names and colours of the classes, which ITK-SNAP reads only next to the image size, x y z."""
    shape = grid.shape[::-1] if grid.affine is None else grid.shape  # NIfTI axes are already x y z
    size = " ".join(map(str, (*shape, 1)[:3]))
    _entry(_folder(_folder(parent, "Files"), "Grey"), "Dimensions", size)
    project, stored = _folder(parent, "IRIS"), _stored(given)
    _entry(_folder(project, "LabelState"), "DrawingLabel", str(stored[0][0]))
    table = _folder(project, "LabelTable")
    _entry(table, "NumberOfElements", str(len(stored)))
    for index, (value, name) in enumerate(stored):
        element = _folder(table, f"Element[{index}]")
        colour = " ".join(map(str, COLOURS[index % len(COLOURS)]))
        for key, text in (("Alpha", "255"), ("Color", colour), ("Flags", "1 1"), ("Index", str(value))):
            _entry(element, key, text)
        _entry(element, "Label", name)


def itksnap_labels(given: LabelFolder) -> str:
    """Names and colours of the classes as ITK-SNAP's label description file."""
    lines = ["# ITK-SnAP Label Description File", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL"]
    lines.append('    0     0    0    0        0  0  0    "Clear Label"')
    for index, (value, name) in enumerate(_stored(given)):
        red, green, blue = COLOURS[index % len(COLOURS)]
        shown = re.sub(r'["\r\n]', "'", name)
        lines.append(f'{value:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{shown}"')
    return "\n".join(lines) + "\n"


def _file_a_class(given: LabelFolder) -> bool:
    """Whether each class has its own file, rather than all sharing one integer map."""
    return given.overlapping and not isinstance(given, RegionFolder)


def _stored(given: LabelFolder) -> list[tuple[int, str]]:
    """Pixel values in the files, with names: of classes, or of the regions a value belongs to."""
    if _file_a_class(given):
        named = list(zip(given.foregrounds, given.classes, strict=True))
        values = sorted(set(given.foregrounds))
        return [(value, " / ".join(name for own, name in named if own == value)) for value in values]
    if given.stored_foreground is not None:
        return [(given.stored_foreground, given.classes[0])]
    pairs = list(zip(given.values or (), given.classes, strict=False))
    if isinstance(given, RegionFolder):
        regions = list(zip(given.classes, given.regions, strict=True))
        values = sorted({value for region in given.regions for value in region})
        pairs = [(v, " + ".join(name for name, region in regions if v in region)) for v in values]
    return [*pairs, *([] if given.ignore is None else [(given.ignore, "not annotated")])]


def _layers(redraw: Redraw, given: LabelFolder) -> list[dict[str, Any]]:
    """Per label file, its path and the value and name of each class in it; value 0 means any nonzero."""
    if _file_a_class(given):
        pairs = zip(redraw.labels, given.classes, strict=False)
        return [{"path": str(path), "classes": [[0, name]]} for path, name in pairs]
    return [{"path": str(redraw.labels[0]), "classes": [list(pair) for pair in _stored(given)]}]


def _row(redraw: Redraw) -> list[str]:
    image = "" if redraw.image is None else str(redraw.image)
    files = [" ".join(map(str, paths)) for paths in (redraw.labels, redraw.proposal)]
    return [redraw.case, image, *files, redraw.reason, redraw.note, redraw.reviewer, redraw.at]


def _folder(parent: ElementTree.Element, key: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, "folder", {"key": key})


def _entry(parent: ElementTree.Element, key: str, value: str) -> None:
    ElementTree.SubElement(parent, "entry", {"key": key, "value": value})


def _read_me(
    redraws: Sequence[Redraw],
    pictured: Sequence[Redraw],
    flat: Sequence[Masked],
    root: Path | None,
    given: LabelFolder | CocoLabels,
) -> str:
    files = isinstance(given, LabelFolder)
    file_a_class = isinstance(given, LabelFolder) and _file_a_class(given)
    lines = [
        f"{len(redraws)} cases are to be redrawn.",
        *(_way_back(redraws[0], given) if isinstance(given, LabelFolder) else [_OF_CLASSES]),
        "",
        "worklist.csv       every case, the reason, and its files",
    ]
    if files:
        lines.append("open_in_slicer.py  3D Slicer: Slicer --python-script open_in_slicer.py")
    if files and pictured:
        lines += [
            "itksnap/           ITK-SNAP: itksnap -w itksnap/001-....itksnap; labels.txt has the same label",
            "                   names, to import next to other files",
        ]
    if pictured and file_a_class:
        lines.append("                   (version 3.6 shows only the last of several label files per case)")
    if flat and root is not None:
        lines += [
            "cvat.xml           CVAT: create a task with these images and labels, Upload annotations,",
            "                   format CVAT 1.1",
            "label_studio.*     Label Studio: start it with",
            "                   LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and",
            f"                   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root.parent};",
            "                   create a project with the labelling interface label_studio.xml; add a source",
            f"                   storage, Local files, with the path {root},",
            "                   (no sync needed); import label_studio.json",
        ]
    listed = "the first two" if files else "worklist.csv"
    if len(pictured) < len(redraws):
        lines += [
            "",
            f"{len(redraws) - len(pictured)} of the cases have no image and are in {listed} only.",
        ]
    if len(flat) < len(pictured):
        lines += [
            "",
            "The files for CVAT and Label Studio leave out volumes: both tools annotate 2-D images.",
        ]
    return "\n".join(lines) + "\n"


_OF_CLASSES = "There is one mask per class, not per object."


def _way_back(redraw: Redraw, given: LabelFolder) -> list[str]:
    """How redrawn labels become final ones."""
    home = redraw.labels[0]
    for _ in given.sources(redraw.case)[0].relative_to(given.path).parts:
        home = home.parent
    return [
        f"Save over their label files in {home},",
        "or save them under the same names in another folder. Then apply that folder:",
        "",
        f"    labelmend review apply OUT VERDICTS --out NEW --redrawn {shlex.quote(str(home))}",
        "",
        "Cases whose files are absent or unchanged stay on the worklist of NEW.",
    ]


_SLICER = '''"""Cases to redraw, one after another.

    Slicer --python-script open_in_slicer.py

In the Python console of Slicer, save() overwrites the label files with your edits and opens the next case;
show(3) opens the fourth case.
"""

import json

import numpy as np
import slicer

CASES = json.loads(CASES_AS_JSON)
state = {}


def show(number):
    """Open a case: its image, and its label files as one segmentation."""
    slicer.mrmlScene.Clear()
    case = CASES[number]
    image = None if case["image"] is None else slicer.util.loadVolume(case["image"], {"singleFile": True})
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", case["case"])
    segmentation.CreateDefaultDisplayNodes()
    labels = []
    for layer in case["layers"]:
        node = slicer.util.loadLabelVolume(layer["path"], {"singleFile": True})
        reference = image or node
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(reference)
        stored = slicer.util.arrayFromVolume(node).copy()
        segments = []
        for value, name in layer["classes"]:
            segment = segmentation.GetSegmentation().AddEmptySegment("", name)
            mask = (stored == value if value else stored != 0).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, node)
            segments.append((segment, value or int(stored.max()) or 1))
        labels.append((layer["path"], node, segments))
    state.update(number=number, segmentation=segmentation, labels=labels)
    slicer.util.setSliceViewerLayers(background=image, label=None, fit=True)
    slicer.util.selectModule("SegmentEditor")
    print(f"case {number + 1} of {len(CASES)}: {case['case']}")


def save():
    """Write the segments over the label files, and open the next case."""
    for path, node, segments in state["labels"]:
        drawn = np.zeros_like(slicer.util.arrayFromVolume(node))
        for segment, value in segments:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(state["segmentation"], segment, node)
            drawn[mask != 0] = value
        slicer.util.updateVolumeFromArray(node, drawn)
        if not slicer.util.saveNode(node, path):
            raise RuntimeError(f"{path} could not be written")
    if state["number"] + 1 < len(CASES):
        show(state["number"] + 1)
    else:
        print("That was the last case.")


show(0)
'''
