"""Which integer means which class: from the caller, from a dataset.json, or from the values found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import ConfigError, LabelValueError
from labelmend.io.base import read_label_array
from labelmend.io.reading import as_count, read_json
from labelmend.io.values import distinct_values

MOST_CLASSES = 255


@dataclass(frozen=True)
class Names:
    """Foreground classes in the order of their values, and the value to ignore.

    Args:
        classes: names of the k foreground classes.
        values: their integers.
        ignore: the integer that marks "not annotated", or None.
        stored_foreground: 255 where 0/255 is read as 0/1, else None.
    """

    classes: tuple[str, ...]
    values: tuple[int, ...]
    ignore: int | None
    stored_foreground: int | None = None


def names_given(mapping: Mapping[str, int], ignore: int | None, origin: str) -> Names:
    """Names as somebody wrote them down; value 0 is background, the name `ignore` marks the value to ignore.

    Args:
        mapping: name -> integer.
        ignore: value to ignore, stronger than one in `mapping`.
        origin: where the names come from, for messages.
    """
    for name, value in mapping.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ConfigError(
                f"{origin}: class {name!r} has the value {value!r:.60}, expected one integer from 0 up"
            )
    if ignore is None:
        ignore = mapping.get("ignore")
    if ignore is not None and not -(2**63) <= ignore < 2**63:
        raise ConfigError(f"{origin}: {ignore!r:.60} cannot be the value to ignore, no label file holds it")
    if ignore == 0:
        raise ConfigError(f"{origin}: 0 is the background and cannot be the value to ignore")
    pairs = sorted((v, name) for name, v in mapping.items() if v not in (0, ignore) and name != "ignore")
    values = tuple(value for value, _ in pairs)
    if not pairs or len(set(values)) < len(values):
        raise ConfigError(
            f"{origin}: expected foreground classes with a value of their own each, got {dict(mapping)}"
        )
    return Names(tuple(name for _, name in pairs), values, ignore)


def names_in_json(folder: Path) -> tuple[Mapping[str, int], Path] | None:
    """The "labels" of a dataset.json in a label folder or its parent: {name: value}, or {"value": name}."""
    path = next((p for p in (folder / "dataset.json", folder.parent / "dataset.json") if p.is_file()), None)
    if path is None:
        return None
    content: Any = read_json(path, "repair or remove it")
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        return None
    if all(as_count(key) is not None and isinstance(name, str) for key, name in labels.items()):
        labels = {name: int(key) for key, name in labels.items()}
    return labels, path


def with_255_as_1(names: Names, paths: Iterable[Path]) -> Names:
    """The same names, reading 0/255 as 0/1 if no file of the folder holds anything else.

    Reads files until one holds another value: usually one file, all of them only if the folder is 0/255.
    """
    if 255 in (*names.values, names.ignore):
        return names
    found: set[int] = set()
    for path in paths:
        found |= set(distinct_values(read_label_array(path)[0])) - {0, names.ignore}
        if found - {255}:
            return names
    if not found:
        return names
    if names.values != (1,):
        named = dict(zip(names.classes, names.values, strict=True))
        raise LabelValueError(
            f"the label files hold only 0 and 255, but the classes are {named}: name one class"
        )
    return Names(names.classes, names.values, names.ignore, stored_foreground=255)


def names_found(paths: Iterable[Path], ignore: int | None, folder: Path) -> Names:
    """Names made from the values themselves; reads every file of the folder once."""
    if ignore == 0:
        raise ConfigError("0 is the background and cannot be the value to ignore")
    found: set[int] = set()
    for path in paths:
        found |= set(distinct_values(read_label_array(path)[0])) - {0, ignore}
        if len(found) > MOST_CLASSES or min(found, default=0) < 0:
            what = (
                "negative values" if min(found) < 0 else f"more than {MOST_CLASSES} different values so far"
            )
            raise LabelValueError(f"{path} holds {what}, which no label map should: are these images?")
    if not found:
        raise LabelValueError(f"every label file in {folder} is empty: there is no class to learn")
    if found == {255}:
        return Names(("1",), (1,), ignore, stored_foreground=255)
    if 255 in found:
        raise LabelValueError(
            f"the label files in {folder} hold 255 beside {', '.join(map(str, sorted(found - {255})))}: "
            "say that 255 is the value to ignore, or name the classes with their values"
        )
    values = tuple(sorted(found))
    return Names(tuple(map(str, values)), values, ignore)
