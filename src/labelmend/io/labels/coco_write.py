"""Write revised labels as a COCO file; unchanged annotations keep their content and ids."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from labelmend.errors import ConfigError, DataError, GeometryError, OutputError
from labelmend.io.files.atomic import whole_file
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.coco_entries import CROWD_IMAGES, crowd_objects, is_crowd, number_of, read_content
from labelmend.io.labels.coco_masks import drawn_as
from labelmend.runtime.text import listed
from labelmend.types import BoolArray, LabelMap


@dataclass(frozen=True)
class Changed:
    """How a revision changed the annotations of one case, by id.

    Args:
        redrawn: pairs of old and new id of annotations whose mask changed.
        removed: deleted annotations.
        added: new annotations.
    """

    redrawn: tuple[tuple[int, int], ...] = ()
    removed: tuple[int, ...] = ()
    added: tuple[int, ...] = ()


def write_coco(
    path: str | Path,
    source: CocoLabels,
    labels: Mapping[str, LabelMap] | Iterable[tuple[str, LabelMap]],
    *,
    new_ids: bool = False,
    on_case: Callable[[str, Changed], None] = lambda case, changed: None,
) -> Path:
    """Write a COCO file like the source with revised labels.

    Class masks are mapped back to objects: removed pixels leave every object; added pixels join the object
    they touch (the nearest if several); added pixels that touch none become a new annotation with a new id.
    Objects left empty lose their annotation. Unchanged objects keep theirs, polygons included; changed ones
    keep everything but segmentation (now compressed run lengths), area, bbox and, with `new_ids`, id. Crowd
    regions, boxes and keypoints are not touched. If crowds count as objects, new objects are crowds too. If
    nothing changed, the file is a copy of the source; otherwise it is read back and compared before it is
    renamed into place.

    Args:
        path: file to write; never the source.
        source: as opened by `open_coco`.
        labels: revised labels by case, or pairs of case and labels; other cases stay as given.
        new_ids: give changed objects a new id, so that no id refers to two masks.
        on_case: called after each revised case with its changes.

    Returns:
        The file.

    Raises:
        OutputError: `path` is the source; disk full; not writable; the file reads back differently.
        ConfigError, GeometryError, MissingDataError, DataError: classes, shape or cases do not match.
    """
    path = Path(path)
    if path.resolve() == source.path.resolve() or (path.exists() and path.samefile(source.path)):
        raise OutputError(f"{path} is the given file itself, which is never overwritten: choose another name")
    content = read_content(source.path)
    known = [number_of(entry["id"]) or 0 for entry in content["annotations"]]
    as_text = any(isinstance(entry["id"], str) for entry in content["annotations"])
    numbers = map(str if as_text else int, count(max(known, default=0) + 1))
    replaced: dict[int, dict[str, Any] | None] = {}
    added: list[dict[str, Any]] = []
    done: dict[str, str] = {}
    for case, revised in labels.items() if isinstance(labels, Mapping) else labels:
        if case in done:
            raise DataError(f"case {case} has revised labels twice: pass only one")
        done[case] = _digest(revised)
        changes, fresh = _changes(source, case, revised, numbers, new_ids=new_ids)
        replaced.update(changes)
        added += fresh
        on_case(case, _changed(changes, fresh))
    with whole_file(path) as temporary:
        if not replaced and not added:
            shutil.copyfile(source.path, temporary)
            return path
        kept = [replaced.get(entry["id"], entry) for entry in content["annotations"]]
        content["annotations"] = [entry for entry in kept if entry is not None] + added
        _keep_crowds(content, source)
        temporary.write_bytes(json.dumps(content, ensure_ascii=False).encode())
        _check_written(temporary, path, source, done)
    return path


def _keep_crowds(content: dict[str, Any], source: CocoLabels) -> None:
    """Record which crowds count as objects, if the revised file alone would suggest otherwise."""
    if not any(map(is_crowd, content["annotations"])):
        return
    source = open_coco(source.path, spacing_mm=source.spacing_mm, images=source.folder)  # all of its cases
    cases = {number_of(image.id): case for case, image in source.images.items()}
    drawn: dict[str, list[Any]] = {case: [] for case in source.images}
    for entry in content["annotations"]:
        drawn[cases[number_of(entry["image_id"])]].append(entry)
    numbers = {case: number or 0 for number, case in cases.items()}
    if crowd_objects(content, drawn, numbers)[0] != source.crowd_objects:
        content[CROWD_IMAGES] = [source.images[case].id for case in sorted(source.crowd_objects)]


def _check_written(temporary: Path, path: Path, source: CocoLabels, expected: Mapping[str, str]) -> None:
    """Raise an OutputError unless the file reads back as the labels written."""
    written = open_coco(temporary, spacing_mm=source.spacing_mm, images=source.folder)
    wrong = [case for case, digest in expected.items() if _digest(written.read(case)) != digest]
    if wrong or written.classes != source.classes:
        raise OutputError(
            f"{path} does not read back as the labels written (case {listed(wrong)}), so it was removed: "
            "please report this"
        )


def _digest(labels: LabelMap) -> str:
    """Of the masks of a case without their ignored pixels, which stay as given."""
    return hashlib.sha256(np.packbits(labels.array).tobytes()).hexdigest()


def _changed(replaced: Mapping[int, dict[str, Any] | None], added: Sequence[dict[str, Any]]) -> Changed:
    return Changed(
        redrawn=tuple((old, entry["id"]) for old, entry in replaced.items() if entry is not None),
        removed=tuple(old for old, entry in replaced.items() if entry is None),
        added=tuple(entry["id"] for entry in added),
    )


def _changes(
    source: CocoLabels, case: str, revised: LabelMap, numbers: Iterator[Any], *, new_ids: bool
) -> tuple[dict[int, dict[str, Any] | None], list[dict[str, Any]]]:
    """The changed annotations of one case (None: removed), and the new ones with new ids."""
    given = source.read(case)
    if revised.classes != given.classes or not revised.overlapping:
        raise ConfigError(
            f"case {case}: labels with classes {revised.classes} (overlapping: {revised.overlapping}) do not "
            f"match {source.path} with {given.classes}"
        )
    if revised.grid.shape != given.grid.shape:
        raise GeometryError(
            f"case {case}: labels of shape {revised.grid.shape} for an image of {given.grid.shape}"
        )
    replaced: dict[int, dict[str, Any] | None] = {}
    added: list[dict[str, Any]] = []
    drawn = source.drawn(case)
    for category, old, new in zip(source.category_ids, given.array, revised.array, strict=True):
        if np.array_equal(old, new):
            continue
        own = [(entry, mask) for entry, mask in drawn if source.of_class(entry, category)]
        objects, fresh = shared_out([mask for _, mask in own], new)
        for (entry, before), after in zip(own, objects, strict=True):
            if not after.any():
                replaced[entry["id"]] = None
            elif not np.array_equal(before, after):
                number = next(numbers) if new_ids else entry["id"]
                replaced[entry["id"]] = {**entry, "id": number, **drawn_as(after)}
        about = {"image_id": source.images[case].id, "category_id": category}
        about["iscrowd"] = int(case in source.crowd_objects)
        added += [{"id": next(numbers), **about, **drawn_as(mask)} for mask in fresh]
    return replaced, added


def shared_out(objects: Sequence[BoolArray], new: BoolArray) -> tuple[list[BoolArray], list[BoolArray]]:
    """Distribute the pixels of a revised class among its objects.

    Args:
        objects: given masks `(*space)` of the objects; they may overlap.
        new: `(*space)`, the revised mask of their class.

    Returns:
        The revised masks of the objects in order, and those of new objects.
    """
    kept = [mask & new for mask in objects]
    owner = np.zeros(new.shape, np.int32)
    for number, mask in reversed(list(enumerate(kept, start=1))):
        owner[mask] = number
    pieces, _ = ndimage.label(new, structure=np.ones((3,) * new.ndim))
    fresh = []
    for piece in np.unique(pieces[new & (owner == 0)]):
        place = pieces == piece
        owners = [int(number) for number in np.unique(owner[place]) if number]
        if not owners:
            fresh.append(place)
            continue
        nearest = ndimage.distance_transform_edt(
            ~(place & (owner > 0)), return_distances=False, return_indices=True
        )
        added = np.where(place & (owner == 0), owner[tuple(nearest)], 0)
        for number in owners:
            kept[number - 1] |= added == number
    return kept, fresh
