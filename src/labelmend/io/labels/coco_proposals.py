"""Labels proposed for a COCO file: one small COCO file per case, `<case>.json`.

It holds the image, all categories, the given crowd regions, and one annotation per class, since an audit
works on classes. `write_coco` assigns the pixels to objects once a proposal is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.errors import OutputError
from labelmend.io.files.atomic import whole_file
from labelmend.io.images.formats import Spacing
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.coco_entries import CROWD_IMAGES, number_of
from labelmend.io.labels.coco_masks import drawn_as
from labelmend.types import LabelMap


@dataclass(frozen=True)
class CocoProposals:
    """Proposed labels, with the interface of the given ones.

    Args:
        files: COCO file of each case with a proposal.
        spacing_mm: pixel spacing of the given labels.
    """

    files: Mapping[str, Path]
    spacing_mm: Spacing = None

    def read(self, case: str) -> LabelMap:
        """The labels proposed for one case, overlapping classes.

        Raises:
            DataError: the file is missing, damaged, or of another type.
        """
        found = open_coco(self.files[case], spacing_mm=self.spacing_mm)
        return found.read(found.cases[0])


def write_proposal(folder: str | Path, given: CocoLabels, case: str, labels: LabelMap) -> Path:
    """Write the labels proposed for a case, atomically.

    Args:
        folder: where to write `<case>.json`.
        given: the labels that they would replace.
        case: case id.
        labels: overlapping classes, those of `given`, `(k h w)`.

    Returns:
        The file.

    Raises:
        OutputError: disk full; not writable.
    """
    image = given.images[case]
    crowds = [entry for entry in given.annotations.get(case, ()) if not given.is_object(entry, case)]
    first = max((number_of(entry["id"]) or 0 for entry in crowds), default=0) + 1
    about = {"image_id": image.id, "iscrowd": 0}
    drawn = [
        {"id": number, **about, "category_id": category, **drawn_as(mask)}
        for number, (category, mask) in enumerate(zip(given.category_ids, labels.array, strict=True), first)
        if mask.any()
    ]
    height, width = image.shape
    names = zip(given.category_ids, given.classes, strict=True)
    content = {
        "images": [{"id": image.id, "file_name": image.file_name, "height": height, "width": width}],
        "annotations": [*crowds, *drawn],
        "categories": [{"id": number, "name": name} for number, name in names],
        CROWD_IMAGES: [],
    }
    path = Path(folder) / f"{case}.json"
    with whole_file(path) as temporary:
        temporary.write_bytes(json.dumps(content).encode())
        written = open_coco(temporary, spacing_mm=given.spacing_mm)
        if not np.array_equal(written.read(written.cases[0]).array, labels.array):
            raise OutputError(f"{path} does not read back as the proposed labels, so it was removed")
    return path
