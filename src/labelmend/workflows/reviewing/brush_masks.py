"""Masks of 2-D cases for annotation servers: CVAT and Label Studio.

Both formats are documented. Label Studio 1.23.2 imported, displayed and exported these files without loss;
datumaro 1.13.12 read the CVAT files without loss; CVAT itself was not run.

* "CVAT for images 1.1", docs.cvat.ai, XML annotation format: `<mask rle= left= top= width= height=>`, run
  lengths row by row inside the box, starting with zeros. Masks may overlap.
* Label Studio, labelstud.io/guide/predictions and /tags/brushlabels: tasks with predictions of type
  `brushlabels`. "rle" is the encoding of the library @thi.ng/rle-pack over the four bytes of every pixel:
  32 bits: number of bytes; 5: bits per byte, minus one; 4 times 4: widths of run lengths, minus one; then for
  each run one bit for "repeated", two that choose the width, the length minus one, and the byte.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from labelmend.types import BoolArray, LabelMap

_WORD, _WIDTHS = 8, (3, 4, 8, 16)
Masked = tuple[Path, LabelMap]
"""The image of a case, and its labels."""


def repeats(flat: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Run-length encode a sequence: the values and the length of each run.

    >>> [part.tolist() for part in repeats(np.array([0, 0, 1, 0]))]
    [[0, 1, 0], [2, 1, 1]]
    """
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    return flat[starts], np.diff(np.concatenate([starts, [len(flat)]]))


def cvat_xml(cases: Sequence[Masked]) -> bytes:
    """A "CVAT for images 1.1" file with one mask per class and case.

    Args:
        cases: 2-D cases.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, text in (("name", "redraw"), ("size", str(len(cases))), ("mode", "annotation")):
        ElementTree.SubElement(task, name).text = text
    labels = ElementTree.SubElement(task, "labels")
    for class_name in cases[0][1].classes:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = _xml_text(class_name)
        ElementTree.SubElement(label, "type").text = "mask"
        ElementTree.SubElement(label, "attributes")
    for index, (image, given) in enumerate(cases):
        height, width = given.grid.shape
        facts = {"id": str(index), "name": _xml_text(image.name), "width": str(width), "height": str(height)}
        element = ElementTree.SubElement(root, "image", facts)
        for order, (class_name, mask) in enumerate(zip(given.classes, given.masks(), strict=True)):
            if mask.any():
                about = {"label": _xml_text(class_name), "source": "manual", "occluded": "0"}
                ElementTree.SubElement(element, "mask", {**about, **_boxed(mask), "z_order": str(order)})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def label_studio_tasks(cases: Sequence[Masked], root: Path) -> list[dict[str, Any]]:
    """Label Studio tasks that carry the masks as predictions, for images served from a local folder.

    Args:
        cases: 2-D cases.
        root: folder that Label Studio serves (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT); contains all images.
    """
    tasks = []
    for image, given in cases:
        height, width = given.grid.shape
        results = [
            {
                "id": hashlib.sha256(f"{image}\n{name}".encode()).hexdigest()[:10],
                "type": "brushlabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {"format": "rle", "rle": list(packed(mask)), "brushlabels": [name]},
            }
            for name, mask in zip(given.classes, given.masks(), strict=True)
            if mask.any()
        ]
        where = quote(os.path.relpath(image, root).replace(os.sep, "/"))
        tasks.append(
            {
                "data": {"image": f"/data/local-files/?d={where}"},
                "predictions": [{"model_version": "given labels", "result": results}],
            }
        )
    return tasks


def label_studio_config(classes: Iterable[str]) -> bytes:
    """The labelling interface for the tasks."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": "image", "value": "$image", "zoom": "true"})
    brush = ElementTree.SubElement(view, "BrushLabels", {"name": "label", "toName": "image"})
    for name in classes:
        ElementTree.SubElement(brush, "Label", {"value": _xml_text(name)})
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8") + b"\n"


def packed(mask: BoolArray) -> bytes:
    """A mask in Label Studio's run-length encoding, four equal bytes (0 or 255) per pixel.

    Args:
        mask: `(h w)` booleans.
    """
    values, counts = repeats(np.asarray(mask, bool).ravel())
    bits = [f"{4 * mask.size:032b}", f"{_WORD - 1:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    for value, count in zip(values, 4 * counts, strict=True):
        word = "1" * _WORD if value else "0" * _WORD
        left = int(count)
        while left:
            length = min(left, 1 << _WIDTHS[-1])
            choice = next(i for i, width in enumerate(_WIDTHS) if length <= 1 << width)
            bits.append(f"1{choice:02b}{length - 1:0{_WIDTHS[choice]}b}{word}")
            left -= length
    text = "".join(bits)
    size = math.ceil(len(text) / 8)
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def _boxed(mask: BoolArray) -> dict[str, str]:
    """Attributes of a CVAT mask: run lengths inside its box, zeros first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    values, counts = repeats(part.ravel())
    runs = ([0] if values[0] else []) + counts.tolist()
    return {
        "rle": ", ".join(map(str, runs)),
        "left": str(columns[0]),
        "top": str(rows[0]),
        "width": str(part.shape[1]),
        "height": str(part.shape[0]),
    }


def _xml_text(text: str) -> str:
    """Text without the control characters that XML does not allow."""
    return "".join(c if c >= " " or c in "\t\n\r" else "�" for c in text)
