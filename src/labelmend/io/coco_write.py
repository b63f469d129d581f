"""Revised labels as a COCO file: annotations that did not change stay as they are, with their numbers."""

from __future__ import annotations

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
from labelmend.io.atomic import whole_file, write_bytes
from labelmend.io.coco import CocoLabels, read_content
from labelmend.io.coco_masks import drawn_as
from labelmend.types import BoolArray, LabelMap


@dataclass(frozen=True)
class Changed:
    """What a revision did to the annotations of one case, by their numbers.

    Args:
        redrawn: pairs of the number that an annotation with another mask had and has.
        removed: annotations that are gone.
        added: annotations that are new.
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

    Masks of classes go back to objects: what a revision takes away is taken off every object; what it adds
    goes to the object that it touches, to the nearest one if there are several; what touches none becomes an
    annotation of its own with a new number. An object with nothing left loses its annotation. Objects that
    did not change keep their annotation as it is, polygons too; changed ones keep all but segmentation
    (compressed run lengths), area, bbox and, with `new_ids`, number. Crowd regions, boxes and key points are
    left alone. If nothing changed, the file is a copy of the source.

    Args:
        path: file to write; never the source.
        source: what `open_coco` found.
        labels: revised labels by case, or pairs of case and labels; all other cases stay as given.
        new_ids: give changed objects a new number, so that no number stands for two masks.
        on_case: called after each revised case with what changed.

    Returns:
        The file.

    Raises:
        OutputError: `path` is the source; disk full; not writable.
        ConfigError, GeometryError, MissingDataError, DataError: classes, shape or cases do not fit.
    """
    path = Path(path)
    if path.resolve() == source.path.resolve() or (path.exists() and path.samefile(source.path)):
        raise OutputError(f"{path} is the given file itself, which is never overwritten: choose another name")
    content = read_content(source.path)
    numbers = count(max((entry["id"] for entry in content["annotations"]), default=0) + 1)
    replaced: dict[int, dict[str, Any] | None] = {}
    added: list[dict[str, Any]] = []
    done: set[str] = set()
    for case, revised in labels.items() if isinstance(labels, Mapping) else labels:
        if case in done:
            raise DataError(f"case {case} has revised labels twice: hand over one")
        done.add(case)
        changes, fresh = _changes(source, case, revised, numbers, new_ids=new_ids)
        replaced.update(changes)
        added += fresh
        on_case(case, _changed(changes, fresh))
    if not replaced and not added:
        with whole_file(path) as temporary:
            shutil.copyfile(source.path, temporary)
        return path
    kept = [replaced.get(entry["id"], entry) for entry in content["annotations"]]
    content["annotations"] = [entry for entry in kept if entry is not None] + added
    write_bytes(path, json.dumps(content, ensure_ascii=False).encode())
    return path


def _changed(replaced: Mapping[int, dict[str, Any] | None], added: Sequence[dict[str, Any]]) -> Changed:
    return Changed(
        redrawn=tuple((old, entry["id"]) for old, entry in replaced.items() if entry is not None),
        removed=tuple(old for old, entry in replaced.items() if entry is None),
        added=tuple(entry["id"] for entry in added),
    )


def _changes(
    source: CocoLabels, case: str, revised: LabelMap, numbers: Iterator[int], *, new_ids: bool
) -> tuple[dict[int, dict[str, Any] | None], list[dict[str, Any]]]:
    """Annotations of one case that change (None: go), and those that come, with new numbers."""
    given = source.read(case)
    if revised.classes != given.classes or not revised.overlapping:
        raise ConfigError(
            f"case {case}: labels with classes {revised.classes} (overlapping: {revised.overlapping}) do not "
            f"fit {source.path} with {given.classes}"
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
        own = [(entry, mask) for entry, mask in drawn if entry["category_id"] == category]
        objects, fresh = shared_out([mask for _, mask in own], new)
        for (entry, before), after in zip(own, objects, strict=True):
            if not after.any():
                replaced[entry["id"]] = None
            elif not np.array_equal(before, after):
                number = next(numbers) if new_ids else entry["id"]
                replaced[entry["id"]] = {**entry, "id": number, **drawn_as(after)}
        about = {"image_id": source.images[case].id, "category_id": category, "iscrowd": 0}
        added += [{"id": next(numbers), **about, **drawn_as(mask)} for mask in fresh]
    return replaced, added


def shared_out(objects: Sequence[BoolArray], new: BoolArray) -> tuple[list[BoolArray], list[BoolArray]]:
    """The pixels of a revised class among its objects.

    Args:
        objects: masks `(*space)` of the objects as given; they may overlap.
        new: `(*space)`, the revised mask of their class.

    Returns:
        The revised masks of the objects, in their order, and those of new objects.
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
