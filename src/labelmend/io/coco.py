"""COCO JSON files (object detection and stuff segmentation) as overlapping classes, one case an image.

The mask of a class is the union of its annotations in an image. Crowd regions (`iscrowd` 1) are ignored: they
say that there are such objects, not where each is. Panoptic files keep their masks in PNG files and are not
read. Source: cocodataset.org, "Data format" (dataset/format-data.htm).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.base import Spacing, read_bytes, suffix_of
from labelmend.io.coco_masks import mask_of, pycocotools
from labelmend.io.png import plain_grid
from labelmend.io.table_base import listed
from labelmend.types import BoolArray, LabelMap


@dataclass(frozen=True)
class CocoImage:
    """One image of a COCO file.

    Args:
        id: its number in the file.
        file_name: as the file says, with folders where there are some.
        shape: height and width in pixels.
    """

    id: int
    file_name: str
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CocoLabels:
    """What `open_coco` found.

    Args:
        path: the JSON file.
        classes: names of the k categories, in the order of their numbers.
        category_ids: those numbers.
        images: per case its image.
        annotations: per case its annotations as in the file, in the order of the file.
        spacing_mm: of the pixels.
        notes: sentences on what is left out.
    """

    path: Path
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    images: Mapping[str, CocoImage]
    annotations: Mapping[str, tuple[Mapping[str, Any], ...]]
    spacing_mm: Spacing = None
    notes: tuple[str, ...] = ()

    @property
    def overlapping(self) -> bool:
        """Always: annotations of different categories may hold the same pixel."""
        return True

    @property
    def background(self) -> None:
        """No category is what lies outside of all."""
        return None

    @property
    def cases(self) -> tuple[str, ...]:
        """Case ids, sorted."""
        return tuple(sorted(self.images))

    def only(self, case: str) -> CocoLabels:
        """The same labels with one case, small enough to send to a worker."""
        return dataclasses.replace(
            self, images={case: self._image(case)}, annotations={case: self.annotations.get(case, ())}
        )

    def checksum(self, case: str) -> str:
        """ "sha256:..." of what the file says of one case, which changes when its labels do."""
        said = [dataclasses.asdict(self._image(case)), self.classes, self.annotations.get(case, ())]
        return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"

    def read(self, case: str) -> LabelMap:
        """The labels of one case, overlapping classes; crowd regions are ignored.

        Raises:
            DataError, GeometryError: a segmentation that cannot be read.
        """
        shape = self._image(case).shape
        masks = np.zeros((len(self.classes), *shape), bool)
        ignored = np.zeros(shape, bool)
        for annotation, mask in self.drawn(case):
            at = self.category_ids.index(annotation["category_id"])
            np.logical_or(masks[at], mask, out=masks[at])
        for annotation in self.annotations.get(case, ()):
            crowd = self._mask(annotation, case) if annotation.get("iscrowd") else None
            if crowd is not None:
                ignored |= crowd
        grid = plain_grid(shape, self.spacing_mm)
        return LabelMap(masks, grid, self.classes, ignored_mask=ignored if ignored.any() else None)

    def drawn(self, case: str) -> list[tuple[Mapping[str, Any], BoolArray]]:
        """The annotations of single objects in a case that have a mask, with it: `(h w)` booleans."""
        single = [a for a in self.annotations.get(case, ()) if not a.get("iscrowd")]
        masks = [(annotation, self._mask(annotation, case)) for annotation in single]
        return [(annotation, mask) for annotation, mask in masks if mask is not None]

    def image_files(self, folder: str | Path) -> dict[str, Path]:
        """Per case its image below a folder, if it is there; of names that lead elsewhere the last part."""
        found = {}
        for case, image in self.images.items():
            name = PurePosixPath(image.file_name.replace("\\", "/"))
            inside = not name.is_absolute() and ".." not in name.parts and ":" not in image.file_name
            places = [Path(folder) / name] * inside + [Path(folder) / name.name]
            place = next((place for place in places if place.is_file()), None)
            if place is not None:
                found[case] = place
        return found

    def _image(self, case: str) -> CocoImage:
        if case not in self.images:
            raise MissingDataError(f"case {case} is no image of {self.path}: check the case id")
        return self.images[case]

    def _mask(self, annotation: Mapping[str, Any], case: str) -> BoolArray | None:
        try:
            return mask_of(annotation, self._image(case).shape)
        except DataError as error:
            raise type(error)(f"case {case}: {self.path}: {error}") from error


def open_coco(path: str | Path, *, spacing_mm: Spacing = None) -> CocoLabels:
    """Read a COCO file and check that its parts fit together; masks are drawn later, case by case.

    A case is called as its image file without folders and suffix; where two images would be called the same,
    their numbers are added to both.

    Args:
        path: the .json file.
        spacing_mm: distance of pixels in mm, one number or two; lengths are in pixels without it.

    Raises:
        MissingExtraError: pycocotools is not installed.
        UnreadableFileError: no COCO file, or one of another kind (captions, panoptic).
        DataError: numbers or names twice, or annotations of images or categories that are not there.
    """
    pycocotools()
    path = Path(path)
    content = read_content(path)
    categories = sorted(_by_id(path, content["categories"], "category").items())
    names = tuple(str(category.get("name", "")) for _, category in categories)
    _check_names(path, names)
    images = {i: _image(path, i, entry) for i, entry in _by_id(path, content["images"], "image").items()}
    cases = _case_ids(images)
    drawn: dict[str, list[Mapping[str, Any]]] = {case: [] for case in cases.values()}
    ids = tuple(number for number, _ in categories)
    without = 0
    for number, annotation in _by_id(path, content["annotations"], "annotation").items():
        for key, there in (("image_id", images), ("category_id", ids)):
            if annotation.get(key) not in there:
                raise DataError(
                    f"{path}: annotation {number} has the {key} {annotation.get(key)!r}, which the file "
                    "does not list"
                )
        without += not annotation.get("segmentation")
        drawn[cases[annotation["image_id"]]].append(annotation)
    notes = (f"{without} annotations have no mask (a box or key points only) and are left out.",)
    return CocoLabels(
        path=path,
        classes=names,
        category_ids=ids,
        images={case: images[number] for number, case in cases.items()},
        annotations={case: tuple(found) for case, found in drawn.items()},
        spacing_mm=spacing_mm,
        notes=notes if without else (),
    )


def read_content(path: Path) -> dict[str, Any]:
    """The JSON of a COCO file with lists of images, annotations and categories, or an error."""
    try:
        content = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"{path} is no valid JSON ({error}): export it again") from error
    keys = ("images", "annotations", "categories")
    absent = [k for k in keys if not isinstance(content, dict) or not isinstance(content.get(k), list)]
    if absent or not content["images"] or not content["categories"]:
        lacks = listed(absent) or "images or categories"
        raise UnreadableFileError(f"{path} is no COCO file with masks, it lists no {lacks}")
    if any(isinstance(a, dict) and "segments_info" in a for a in content["annotations"]):
        raise UnreadableFileError(
            f"{path} is a panoptic COCO file, whose masks lie in PNG files: use the one of instances "
            "or of stuff"
        )
    return content


def _by_id(path: Path, entries: Sequence[Any], what: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for entry in entries:
        number = entry.get("id") if isinstance(entry, dict) else None
        if type(number) is not int:
            raise DataError(f"{path} holds an entry ({what}) with the id {number!r}: expected a whole number")
        if number in found:
            raise DataError(f"{path} holds two entries ({what}) with the id {number}: each needs its own")
        found[number] = entry
    return found


def _image(path: Path, number: int, entry: Mapping[str, Any]) -> CocoImage:
    shape = (entry.get("height"), entry.get("width"))
    if not all(type(side) is int and side > 0 for side in shape):
        raise DataError(f"{path}: image {number} has the height and width {shape}: expected pixels")
    return CocoImage(number, str(entry.get("file_name") or ""), (int(shape[0] or 0), int(shape[1] or 0)))


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 or not name.strip()]
    if twice:
        raise DataError(
            f"{path} calls two categories {twice[0]!r}, or one nothing: each needs a name of its own"
        )


def _case_ids(images: Mapping[int, CocoImage]) -> dict[int, str]:
    """Case ids by number of the image: never with a folder in them."""
    stems = {}
    for number, image in images.items():
        name = image.file_name.replace("\\", "/").rpartition("/")[2]
        stem = name[: -len(suffix_of(name))] if suffix_of(name) else name.rpartition(".")[0] or name
        stems[number] = stem if stem.strip(". ") else f"image_{number}"
    counts = Counter(stems.values())
    cases = {n: stem if counts[stem] == 1 else f"{stem}_{n}" for n, stem in stems.items()}
    return cases if len(set(cases.values())) == len(cases) else {n: f"image_{n}" for n in images}
