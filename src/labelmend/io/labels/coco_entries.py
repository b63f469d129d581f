"""What the entries of a COCO file say, however a tool spells it: numbers, sizes, names, crowds.

Tools write ids as text, sizes as null, a category that only groups the others, and `iscrowd` 1 on every mask,
since run lengths went with crowds in the first COCO files. What can be read in one way only is read so, what
is left out is told, and the rest is refused.
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
"""Key of a COCO file that labelmend wrote: numbers of the images whose crowd regions are objects."""

_ROOTS = ("", "none", "null", "root")
"""What tools write as the supercategory of a category that has none."""

_YES_OR_NO = {"": 0, "0": 0, "false": 0, "no": 0, "1": 1, "true": 1, "yes": 1}

Entry = Mapping[str, Any]


def read_content(path: Path) -> dict[str, Any]:
    """The JSON of a COCO file with lists of images, annotations and categories, or an error."""
    content = read_json(path, "export it again")
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


def number_of(value: Any) -> int | None:
    """The whole number that an id or a size is, also one that is written as text or as 5.0; else None.

    >>> number_of(7), number_of("7"), number_of(7.0), number_of([7]), number_of(True)
    (7, 7, 7, None, None)
    """
    if isinstance(value, str):
        return as_count(value)
    if type(value) is float and math.isfinite(value) and value == int(value):
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def by_number(path: Path, entries: Sequence[Any], what: str) -> dict[int, dict[str, Any]]:
    """Entries by their number, or an error: none, no whole number, or one number twice."""
    found: dict[int, dict[str, Any]] = {}
    for entry in entries:
        said = entry.get("id") if isinstance(entry, dict) else None
        number = number_of(said)
        if number is None:
            raise DataError(
                f"{path} holds an entry ({what}) with the id {_short(said)}: expected a whole number"
            )
        if number in found:
            raise DataError(f"{path} holds two entries ({what}) with the id {number}: each needs its own")
        found[number] = entry
    return found


def checked_entry(
    path: Path, annotations: Mapping[int, Entry], images: Iterable[int], ids: Iterable[int]
) -> None:
    """An error unless every annotation is of an image and a category that the file lists."""
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
    """Whether an annotation says that it is a crowd region; "0" and "false" as text do not.

    Raises:
        DataError: `iscrowd` is neither yes nor no.
    """
    said = annotation.get("iscrowd")
    if isinstance(said, str):
        said = _YES_OR_NO.get(said.strip().lower(), said)
    if said is None:
        return False
    if not isinstance(said, bool | int | float) or said not in (0, 1):
        raise DataError(f"its iscrowd is {_short(said)}, expected 0 or 1: repair or export it again")
    return bool(said)


def n_too_short(annotation: Entry) -> int:
    """How many polygons of an annotation have fewer than three corners, so that they enclose nothing."""
    drawn = annotation.get("segmentation")
    if not isinstance(drawn, list):
        return 0
    return sum(isinstance(polygon, list) and len(polygon) < 6 for polygon in drawn)


def has_mask(annotation: Entry) -> bool:
    """Whether an annotation draws anything: run lengths, or a polygon of three corners."""
    drawn = annotation.get("segmentation")
    return bool(drawn) and not (isinstance(drawn, list) and n_too_short(annotation) == len(drawn))


def chosen_categories(
    path: Path, categories: Mapping[int, Entry], annotations: Iterable[Entry]
) -> tuple[dict[int, str], list[str]]:
    """Names of the categories by number, in the order of the numbers, and sentences on what is left out.

    Without annotations, a category is left out that only groups others: one without a name, with the name of
    another one, or named as their supercategory.
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
            f"{path} calls two categories {twice[0]!r}, or one nothing: each needs a name of its own"
        )
    if not kept:
        raise DataError(f"{path} has only categories that group others, and none of them is annotated")
    if not roots:
        return kept, []
    return kept, [f"Categories without annotations that only group others are left out: {listed(roots)}."]


def crowd_objects(
    content: Entry, drawn: Mapping[str, Sequence[Entry]], numbers: Mapping[str, int]
) -> tuple[frozenset[str], list[str]]:
    """Cases whose crowd regions are objects, and what is to be said of crowds.

    Args:
        content: of the file; one that labelmend wrote says it itself (`CROWD_IMAGES`).
        drawn: annotations by case.
        numbers: those of the images, by case.
    """
    masks = {case: [is_crowd(a) for a in own if has_mask(a)] for case, own in drawn.items()}
    n_crowds = sum(map(sum, masks.values()))
    said = content.get(CROWD_IMAGES)
    if isinstance(said, list):
        known = {number_of(number) for number in said}
        objects = frozenset(case for case in drawn if numbers[case] in known)
    elif n_crowds and all(map(all, masks.values())):
        objects = frozenset(drawn)
    else:
        objects = frozenset(case for case, crowds in masks.items() if crowds and all(crowds))
    notes = []
    taken = sum(sum(masks[case]) for case in objects)
    if taken:
        where = "the file" if taken == n_crowds == sum(map(len, masks.values())) else "their images"
        told = f"{taken} masks are" if taken > 1 else "1 mask is"
        notes.append(
            f"{told} marked as crowds (iscrowd 1) and taken as objects, since {where} "
            f"hold{'s' if where == 'the file' else ''} no other: some tools mark all run lengths so."
        )
    if n_crowds > taken:
        regions = (
            "1 crowd region (iscrowd 1) is"
            if n_crowds - taken == 1
            else (f"{n_crowds - taken} crowd regions (iscrowd 1) are")
        )
        notes.append(f"{regions} ignored: it is not known where each object in them is.")
    return objects, notes


def left_out(annotations: Iterable[Entry]) -> list[str]:
    """What is to be said of annotations and polygons that draw nothing."""
    entries = list(annotations)
    without = sum(not has_mask(a) for a in entries)
    short = sum(n_too_short(a) for a in entries)
    notes = []
    if without:
        have, are = ("annotation has", "is") if without == 1 else ("annotations have", "are")
        notes.append(f"{without} {have} no mask (a box or key points only) and {are} left out.")
    if short:
        have, are = ("polygon has", "is") if short == 1 else ("polygons have", "are")
        notes.append(f"{short} {have} fewer than three corners and {are} left out.")
    return notes


def _name(entry: Entry) -> str:
    """The name of a category; None and null are none."""
    name = entry.get("name")
    return "" if name is None else str(name)


def _short(value: Any) -> str:
    """A value as it is shown in a message, which a list of 10,000 ids would fill."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
