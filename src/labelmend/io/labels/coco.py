"""COCO JSON files (object detection and stuff segmentation) as overlapping classes, one case per image.

The mask of a class is the union of its annotations in an image. Crowd regions (`iscrowd` 1) are ignored: they
mark the presence of objects but not their outlines. If all masks of an image are crowds, they count as
objects, since some tools mark every run-length mask as a crowd; likewise for a whole file. Panoptic files,
whose masks are PNG files, are not supported. Source: cocodataset.org, "Data format"
(dataset/format-data.htm).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from labelmend.errors import DataError, MissingDataError
from labelmend.io.files.limits import check_declared
from labelmend.io.files.reading import reading
from labelmend.io.images.formats import Spacing, read_image, suffix_of
from labelmend.io.images.png import plain_grid
from labelmend.io.labels.coco_entries import (
    Entry,
    by_number,
    checked_entry,
    chosen_categories,
    crowd_objects,
    is_crowd,
    left_out,
    number_of,
    read_content,
)
from labelmend.io.labels.coco_masks import mask_of, pycocotools
from labelmend.types import BoolArray, LabelMap


@dataclass(frozen=True)
class CocoImage:
    """One image of a COCO file.

    Args:
        id: its id, as written in the file.
        file_name: as written in the file, including any folders.
        shape: height and width in pixels.
    """

    id: Any
    file_name: str
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CocoLabels:
    """The labels of a COCO file, as opened by `open_coco`.

    Args:
        path: the JSON file.
        classes: names of the k categories, in the order of their ids.
        category_ids: those ids, as written in the file.
        images: image by case.
        annotations: annotations by case, unchanged and in file order.
        spacing_mm: pixel spacing.
        notes: sentences on what is left out.
        crowd_objects: cases whose crowd regions count as objects.
        folder: image folder, used to look up sizes missing from the file.
    """

    path: Path
    classes: tuple[str, ...]
    category_ids: tuple[Any, ...]
    images: Mapping[str, CocoImage]
    annotations: Mapping[str, tuple[Entry, ...]]
    spacing_mm: Spacing = None
    notes: tuple[str, ...] = ()
    crowd_objects: frozenset[str] = frozenset()
    folder: Path | None = None

    @property
    def overlapping(self) -> bool:
        """Always True: annotations of different categories may share pixels."""
        return True

    @property
    def background(self) -> None:
        """Always None: COCO has no background category."""
        return None

    @property
    def cases(self) -> tuple[str, ...]:
        """Case ids, sorted."""
        return tuple(sorted(self.images))

    def only(self, *cases: str) -> CocoLabels:
        """The same labels restricted to some cases; a single case is small enough to send to a worker."""
        return dataclasses.replace(
            self,
            images={case: self._image(case) for case in cases},
            annotations={case: self.annotations.get(case, ()) for case in cases},
            crowd_objects=self.crowd_objects & set(cases),
        )

    def checksum(self, case: str) -> str:
        """ "sha256:..." of the entries for one case; changes whenever its labels do."""
        entries = [dataclasses.asdict(self._image(case)), self.classes, self.annotations.get(case, ())]
        return f"sha256:{hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()}"

    def read(self, case: str) -> LabelMap:
        """The labels of one case, overlapping classes; crowd regions are ignored.

        Raises:
            DataError, GeometryError: a segmentation that cannot be read.
        """
        shape = self._image(case).shape
        masks = np.zeros((len(self.classes), *shape), bool)
        ignored = np.zeros(shape, bool)
        for annotation, mask in self.drawn(case):
            at = self._index(annotation)
            np.logical_or(masks[at], mask, out=masks[at])
        for annotation in self.annotations.get(case, ()):
            crowd = None if self.is_object(annotation, case) else self._mask(annotation, case)
            if crowd is not None:
                ignored |= crowd
        grid = plain_grid(shape, self.spacing_mm)
        return LabelMap(masks, grid, self.classes, ignored_mask=ignored if ignored.any() else None)

    def drawn(self, case: str) -> list[tuple[Mapping[str, Any], BoolArray]]:
        """The single-object annotations of a case with their `(h w)` boolean masks."""
        single = [a for a in self.annotations.get(case, ()) if self.is_object(a, case)]
        masks = [(annotation, self._mask(annotation, case)) for annotation in single]
        return [(annotation, mask) for annotation, mask in masks if mask is not None]

    def is_object(self, annotation: Entry, case: str) -> bool:
        """Whether an annotation is an object rather than an ignored crowd region."""
        return case in self.crowd_objects or not is_crowd(annotation)

    def of_class(self, annotation: Entry, category: Any) -> bool:
        """Whether an annotation belongs to a category, whether ids are numbers or text."""
        return number_of(annotation["category_id"]) == number_of(category)

    def image_files(self, folder: str | Path) -> dict[str, Path]:
        """Existing image file by case below a folder; names that leave it are reduced to their last part."""
        found = {case: image_file(folder, image.file_name) for case, image in self.images.items()}
        return {case: place for case, place in found.items() if place is not None}

    def _index(self, annotation: Entry) -> int:
        return next(i for i, number in enumerate(self.category_ids) if self.of_class(annotation, number))

    def _image(self, case: str) -> CocoImage:
        if case not in self.images:
            raise MissingDataError(f"{self.path} has no image for case {case}: check the case id")
        return self.images[case]

    def _mask(self, annotation: Mapping[str, Any], case: str) -> BoolArray | None:
        try:
            return mask_of(annotation, self._image(case).shape)
        except DataError as error:
            raise type(error)(f"case {case}: {self.path}: {error}") from error


def open_coco(
    path: str | Path, *, spacing_mm: Spacing = None, images: str | Path | None = None
) -> CocoLabels:
    """Read a COCO file and check its consistency; masks are rasterised later, case by case.

    A case id is the image file name without folders and suffix; if two images share it, their image ids are
    appended.

    Args:
        path: the .json file.
        spacing_mm: pixel spacing in mm, one number or two; without it lengths are in pixels.
        images: image folder, to look up sizes missing from the file.

    Raises:
        MissingExtraError: pycocotools is not installed.
        UnreadableFileError: not a COCO file, or an unsupported kind (captions, panoptic).
        DataError: duplicate ids or names, or annotations of unknown images or categories.
    """
    pycocotools()
    with reading(path, "a COCO file"):
        return _opened(Path(path), spacing_mm, None if images is None else Path(images))


def _opened(path: Path, spacing_mm: Spacing, images: Path | None) -> CocoLabels:
    content = read_content(path)
    annotations = by_number(path, content["annotations"], "annotation")
    known = by_number(path, content["images"], "image")
    listed_categories = by_number(path, content["categories"], "category")
    checked_entry(path, annotations, known, listed_categories)
    names, notes = chosen_categories(path, listed_categories, annotations.values())
    cases = _case_ids({number: _file_name(path, number, entry) for number, entry in known.items()})
    drawn: dict[str, list[Entry]] = {case: [] for case in cases.values()}
    for annotation in annotations.values():
        drawn[cases[number_of(annotation["image_id"]) or 0]].append(annotation)
    shapes = {number: _shape(path, known[number], drawn[case], images) for number, case in cases.items()}
    height, width = max(shapes.values(), key=math.prod)
    what = f"{len(names)} classes on {height} x {width} pixels"
    check_declared(len(names) * height * width, path, what)
    objects, of_crowds = crowd_objects(content, drawn, {case: number for number, case in cases.items()})
    return CocoLabels(
        path=path,
        classes=tuple(names.values()),
        category_ids=tuple(listed_categories[number]["id"] for number in names),
        images={
            case: CocoImage(known[number]["id"], _file_name(path, number, known[number]), shapes[number])
            for number, case in cases.items()
        },
        annotations={case: tuple(found) for case, found in drawn.items()},
        spacing_mm=spacing_mm,
        notes=(*notes, *left_out(annotations.values()), *of_crowds),
        crowd_objects=objects,
        folder=images,
    )


def _file_name(path: Path, number: int, entry: Entry) -> str:
    name = entry.get("file_name")
    if name is not None and not isinstance(name, str):
        raise DataError(f"{path}: image {number} has the file_name {name!r:.60}: expected text")
    return name or ""


def _shape(path: Path, entry: Entry, drawn: Sequence[Entry], images: Path | None) -> tuple[int, int]:
    """Height and width of an image from its entry, else its file, else its run lengths."""
    stored = (entry.get("height"), entry.get("width"))
    height, width = map(number_of, stored)
    if height is not None and width is not None and min(height, width) > 0:
        return height, width
    if stored != (None, None):
        raise DataError(
            f"{path}: image {entry['id']} has the height and width {stored!r:.80}: expected pixels"
        )
    place = None if images is None else image_file(images, str(entry.get("file_name") or ""))
    if place is not None:
        shape = read_image(place).grid.shape
        if len(shape) == 2:
            return shape[0], shape[1]
    sizes = {tuple(number_of(side) or 0 for side in a["segmentation"]["size"]) for a in drawn if _has_runs(a)}
    numbers = next(iter(sizes), ())
    if len(sizes) == 1 and len(numbers) == 2 and min(numbers) > 0:
        return numbers[0], numbers[1]
    where = "its masks do not give them" if images is None else f"{images} does not contain the image"
    raise DataError(
        f"{path}: image {entry['id']} ({entry.get('file_name')!r:.80}) has no height and width, and {where}: "
        "add both to the file"
    )


def _has_runs(annotation: Entry) -> bool:
    drawn = annotation.get("segmentation")
    return isinstance(drawn, dict) and isinstance(drawn.get("size"), list)


def image_file(folder: str | Path, file_name: str) -> Path | None:
    """The file of an image below a folder; a name that leaves the folder is reduced to its last part."""
    name = PurePosixPath(file_name.replace("\\", "/"))
    inside = not name.is_absolute() and ".." not in name.parts and ":" not in file_name
    places = [Path(folder) / name] * inside + [Path(folder) / name.name]
    spelled = [
        place.with_name(unicodedata.normalize(form, place.name))
        for place in places
        for form in ("NFC", "NFD")
    ]
    return next((place for place in (*places, *spelled) if os.path.isfile(place)), None)


def _case_ids(names: Mapping[int, str]) -> dict[int, str]:
    """Case ids by image id; they never contain folders."""
    stems = {}
    for number, file_name in names.items():
        name = unicodedata.normalize("NFC", file_name.replace("\\", "/").rpartition("/")[2])
        stem = name[: -len(suffix_of(name))] if suffix_of(name) else name.rpartition(".")[0] or name
        stems[number] = stem if stem.strip(". ") and "\0" not in stem else f"image_{number}"
    counts = Counter(stems.values())
    cases = {n: stem if counts[stem] == 1 else f"{stem}_{n}" for n, stem in stems.items()}
    return cases if len(set(cases.values())) == len(cases) else {n: f"image_{n}" for n in names}
