"""Parse the entries of a COCO file as tools variously write them: ids, sizes, names, crowds.

Tools write ids as text, sizes as null, categories that only group others, and `iscrowd` 1 on every mask,
because the first COCO files used run lengths only for crowds. Unambiguous variants are accepted, omissions
are reported, and the rest is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io.files.reading import as_count, read_json
from labelmend.runtime.text import listed

CROWD_IMAGES = "labelmend_images_whose_crowds_are_objects"
"""Key of a COCO file written by labelmend: ids of the images whose crowd regions are objects."""

_ROOTS = ("", "none", "null", "root")
"""Values that tools write for a missing supercategory."""

_YES_OR_NO = {"": 0, "0": 0, "false": 0, "no": 0, "1": 1, "true": 1, "yes": 1}

Entry = Mapping[str, Any]


def read_content(path: Path) -> dict[str, Any]:
    """The JSON of a COCO file with lists of images, annotations and categories, or an error."""
    content = read_json(path, "export it again")
    keys = ("images", "annotations", "categories")
    absent = [k for k in keys if not isinstance(content, dict) or not isinstance(content.get(k), list)]
    if absent or not content["images"] or not content["categories"]:
        lacks = listed(absent) or "images or categories"
        raise UnreadableFileError(f"{path} is not a COCO file with masks: it has no {lacks}")
    if any(isinstance(a, dict) and "segments_info" in a for a in content["annotations"]):
        raise UnreadableFileError(
            f"{path} is a panoptic COCO file, whose masks are PNG files: use the instances or stuff file"
        )
    return content


def number_of(value: Any) -> int | None:
    """An id or size as an integer, also if written as text or as 5.0; otherwise None.

    >>> number_of(7), number_of("7"), number_of(7.0), number_of([7]), number_of(True)
    (7, 7, 7, None, None)
    """
    if isinstance(value, str):
        return as_count(value)
    if type(value) is float and math.isfinite(value) and value == int(value):
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def by_number(path: Path, entries: Sequence[Any], what: str) -> dict[int, dict[str, Any]]:
    """Entries by id, or an error for missing, non-integer or duplicate ids."""
    found: dict[int, dict[str, Any]] = {}
    for entry in entries:
        raw = entry.get("id") if isinstance(entry, dict) else None
        number = number_of(raw)
        if number is None:
            raise DataError(f"{path} holds an entry ({what}) with the id {_short(raw)}: expected an integer")
        if number in found:
            raise DataError(f"{path} holds two entries ({what}) with the id {number}: each needs its own")
        found[number] = entry
    return found


def checked_entry(
    path: Path, annotations: Mapping[int, Entry], images: Iterable[int], ids: Iterable[int]
) -> None:
    """Raise an error unless every annotation refers to a listed image and category."""
    there = {"image_id": frozenset(images), "category_id": frozenset(ids)}
    for number, annotation in annotations.items():
        for key, known in there.items():
            if number_of(annotation.get(key)) not in known:
                raise DataError(
                    f"{path}: annotation {number} has the {key} {_short(annotation.get(key))}, which the "
                    "file does not list"
                )
        try:
            is_crowd(annotation)
        except DataError as error:
            raise DataError(f"{path}: annotation {number}: {error}") from error


def is_crowd(annotation: Entry) -> bool:
    """Whether an annotation is marked as a crowd region; the texts "0" and "false" mean no.

    Raises:
        DataError: `iscrowd` is neither true nor false.
    """
    raw = annotation.get("iscrowd")
    if isinstance(raw, str):
        raw = _YES_OR_NO.get(raw.strip().lower(), raw)
    if raw is None:
        return False
    if not isinstance(raw, bool | int | float) or raw not in (0, 1):
        raise DataError(f"its iscrowd is {_short(raw)}, expected 0 or 1: repair or export it again")
    return bool(raw)


def n_too_short(annotation: Entry) -> int:
    """Number of polygons with fewer than three vertices, which enclose nothing."""
    drawn = annotation.get("segmentation")
    if not isinstance(drawn, list):
        return 0
    return sum(isinstance(polygon, list) and len(polygon) < 6 for polygon in drawn)


def has_mask(annotation: Entry) -> bool:
    """Whether an annotation has a mask: run lengths, or a polygon with at least three vertices."""
    drawn = annotation.get("segmentation")
    return bool(drawn) and not (isinstance(drawn, list) and n_too_short(annotation) == len(drawn))


def chosen_categories(
    path: Path, categories: Mapping[int, Entry], annotations: Iterable[Entry]
) -> tuple[dict[int, str], list[str]]:
    """Category names by id, in order of id, and sentences on what is left out.

    An unannotated category is left out if it only groups others: it has no name, the name of another
    category, or is their supercategory.
    """
    used = {number_of(annotation.get("category_id")) for annotation in annotations}
    names = {number: _name(categories[number]) for number in sorted(categories)}
    counts = Counter(names.values())
    above = {number: str(categories[number].get("supercategory", "?")).strip() for number in names}
    groups = Counter(above.values())
    kept, roots = {}, []
    for number, name in names.items():
        twin = counts[name] > 1 and above[number].lower() in _ROOTS
        groups_others = groups[name] > (above[number] == name)
        if number not in used and len(names) > 1 and (not name.strip() or twin or groups_others):
            roots.append(f"{name!r} ({number})")
            counts[name] -= 1
        else:
            kept[number] = name
    twice = [name for name, count in Counter(kept.values()).items() if count > 1 or not name.strip()]
    if twice:
        raise DataError(
            f"{path} has two categories named {twice[0]!r}, or one without a name: names must be unique"
        )
    if not kept:
        raise DataError(f"{path} has only grouping categories, none of them annotated")
    if not roots:
        return kept, []
    return kept, [f"Categories without annotations that only group others are left out: {listed(roots)}."]


def crowd_objects(
    content: Entry, drawn: Mapping[str, Sequence[Entry]], numbers: Mapping[str, int]
) -> tuple[frozenset[str], list[str]]:
    """Cases whose crowd regions count as objects, and notes on crowds.

    Args:
        content: content of the file; files written by labelmend list these images (`CROWD_IMAGES`).
        drawn: annotations by case.
        numbers: image ids by case.
    """
    masks = {case: [is_crowd(a) for a in own if has_mask(a)] for case, own in drawn.items()}
    n_crowds = sum(map(sum, masks.values()))
    listed_ids = content.get(CROWD_IMAGES)
    if isinstance(listed_ids, list):
        known = {number_of(number) for number in listed_ids}
        objects = frozenset(case for case in drawn if numbers[case] in known)
    elif n_crowds and all(map(all, masks.values())):
        objects = frozenset(drawn)
    else:
        objects = frozenset(case for case, crowds in masks.items() if crowds and all(crowds))
    notes = []
    taken = sum(sum(masks[case]) for case in objects)
    if taken:
        where = "the file" if taken == n_crowds == sum(map(len, masks.values())) else "their images"
        marked = f"{taken} masks are marked as" if taken > 1 else "1 mask is marked as"
        notes.append(
            f"{marked} crowds (iscrowd 1) but read as objects, since {where} "
            f"contain{'s' if where == 'the file' else ''} no others: some tools mark every mask as a crowd."
        )
    if n_crowds > taken:
        regions = (
            "1 crowd region (iscrowd 1) is"
            if n_crowds - taken == 1
            else (f"{n_crowds - taken} crowd regions (iscrowd 1) are")
        )
        notes.append(f"{regions} ignored: crowds do not outline single objects.")
    return objects, notes


def left_out(annotations: Iterable[Entry]) -> list[str]:
    """Notes on annotations and polygons without a mask."""
    entries = list(annotations)
    without = sum(not has_mask(a) for a in entries)
    short = sum(n_too_short(a) for a in entries)
    notes = []
    if without:
        have, are = ("annotation has", "is") if without == 1 else ("annotations have", "are")
        notes.append(f"{without} {have} no mask (only a box or keypoints) and {are} left out.")
    if short:
        have, are = ("polygon has", "is") if short == 1 else ("polygons have", "are")
        notes.append(f"{short} {have} fewer than three vertices and {are} left out.")
    return notes


def _name(entry: Entry) -> str:
    """The name of a category; None and null are none."""
    name = entry.get("name")
    return "" if name is None else str(name)


def _short(value: Any) -> str:
    """A value shortened for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
