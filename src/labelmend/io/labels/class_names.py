"""Map integers to classes: from the caller, a dataset.json, or the values in the files."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import ConfigError, LabelValueError
from labelmend.io.files.reading import as_count, read_json
from labelmend.io.images.formats import read_label_array
from labelmend.io.images.label_values import distinct_values
from labelmend.io.labels.faded_masks import FADED, is_faded

MOST_CLASSES = 255

_BACKGROUND_WORDS = (
    "0 background backgr bckg bkg bgd bg back unlabelled unlabeled nolabel notlabelled notlabeled clearlabel "
    "unannotated notannotated unknown undefined unassigned nothing noclass none null void empty exterior "
    "outside"
)
NO_CLASS = frozenset(("", *_BACKGROUND_WORDS.split()))
"""Names of value 0 that mean background, in lower case and without punctuation."""

MANY_VALUES = 5
"""With more values than this in one file, check whether they are classes or faded edges."""


@dataclass(frozen=True)
class Names:
    """Foreground classes in the order of their values, and the ignore value.

    Args:
        classes: names of the k foreground classes.
        values: their integers.
        ignore: the integer that marks unannotated pixels, or None.
        stored_foreground: 255 if 0/255 is read as 0/1, otherwise None.
        background: name of value 0 if it is a class, otherwise None.
    """

    classes: tuple[str, ...]
    values: tuple[int, ...]
    ignore: int | None
    stored_foreground: int | None = None
    background: str | None = None


def names_given(mapping: Mapping[str, int], ignore: int | None, origin: str) -> Names:
    """Parse a mapping of names to values; the name `ignore` marks the ignore value.

    Value 0 is background unless its name is that of a class: {"road": 0, "sidewalk": 1}.

    Args:
        mapping: name -> integer.
        ignore: ignore value, overrides the one in `mapping`.
        origin: where the names come from, for messages.
    """
    for name, value in mapping.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ConfigError(
                f"{origin}: class {name!r} has the value {value!r:.60}, expected a non-negative integer"
            )
    if ignore is None:
        ignore = mapping.get("ignore")
    background = class_of_zero(mapping, origin)
    if ignore is not None and not -(2**63) <= ignore < 2**63:
        raise ConfigError(f"{origin}: {ignore!r:.60} cannot be the ignore value: label files cannot store it")
    if ignore == 0:
        what = "the background" if background is None else f"the class {background!r}"
        raise ConfigError(f"{origin}: 0 is {what} and cannot be the ignore value")
    pairs = sorted((v, name) for name, v in mapping.items() if v not in (0, ignore) and name != "ignore")
    values = tuple(value for value, _ in pairs)
    if background is not None and not pairs:
        raise ConfigError(
            f"{origin}: {background!r} = 0 is the only class: name the classes of the other values too"
        )
    if not pairs or len(set(values)) < len(values):
        raise ConfigError(
            f"{origin}: expected foreground classes, each with its own value, got {dict(mapping)}"
        )
    return Names(tuple(name for _, name in pairs), values, ignore, background=background)


def class_of_zero(mapping: Mapping[str, int], origin: str) -> str | None:
    """The name of value 0 if it is a class, None if it is background or has no name.

    >>> class_of_zero({"road": 0, "car": 1}, "x"), class_of_zero({"_background_": 0, "car": 1}, "x")
    ('road', None)

    Raises:
        ConfigError: 0 has two names that do not both mean background.
    """
    named = [name for name, value in mapping.items() if value == 0 and name != "ignore"]
    found = [name for name in named if re.sub(r"[\W_]+", "", str(name).casefold()) not in NO_CLASS]
    if found and len(named) > 1:
        raise ConfigError(
            f"{origin}: value 0 has {len(named)} names, {' and '.join(named)}: keep one of them"
        )
    return found[0] if found else None


def names_in_json(folder: Path) -> tuple[Mapping[str, int], Path] | None:
    """The "labels" of a dataset.json in a label folder or its parent: {name: value}, or {"value": name}."""
    path = next((p for p in (folder / "dataset.json", folder.parent / "dataset.json") if _named(p)), None)
    if path is None:
        return None
    content: Any = read_json(path, "repair or remove it")
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        return None
    if all(as_count(key) is not None and isinstance(name, str) for key, name in labels.items()):
        labels = {name: int(key) for key, name in labels.items()}
    return labels, path


def _named(path: Path) -> bool:
    """Whether the path exists in any form; broken links and pipes are refused on reading."""
    return path.is_symlink() or (path.exists() and not path.is_dir())


def with_255_as_1(names: Names, paths: Iterable[Path]) -> Names:
    """The same names, with 0/255 read as 0/1 if the folder holds no other value.

    Reads files until one holds another value: usually just one, all only if the folder is 0/255.
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
    return dataclasses.replace(names, stored_foreground=255)


def names_found(paths: Iterable[Path], ignore: int | None, folder: Path) -> Names:
    """Class names derived from the values; reads every file of the folder once."""
    if ignore == 0:
        raise ConfigError("0 is the background and cannot be the ignore value")
    found: set[int] = set()
    foregrounds: dict[frozenset[int], Path] = {}
    for path in paths:
        array, _ = read_label_array(path)
        held = frozenset(distinct_values(array)) - {0, ignore}
        foregrounds.setdefault(held, path)
        found |= held
        if len(found) > MOST_CLASSES or min(found, default=0) < 0:
            what = (
                "negative values" if min(found) < 0 else f"more than {MOST_CLASSES} different values so far"
            )
            raise LabelValueError(f"{path} holds {what}, unexpected in a label map: are these images?")
        if len(held) > (2 if 255 in held else MANY_VALUES) and is_faded(array):
            raise LabelValueError(f"{path} holds {len(held)} nonzero values: {FADED}")
    if not found:
        raise LabelValueError(f"every label file in {folder} is empty: expected at least one class")
    if found == {255}:
        return Names(("1",), (1,), ignore, stored_foreground=255)
    if found == {1, 255} and frozenset({1, 255}) not in foregrounds:
        raise LabelValueError(
            f"{foregrounds[frozenset({1})]} holds 1 and {foregrounds[frozenset({255})]} holds 255: use one "
            "foreground value in all files, or set 255 as the ignore value if those pixels are unannotated"
        )
    if 255 in found:
        raise LabelValueError(
            f"the label files in {folder} hold 255 as well as {', '.join(map(str, sorted(found - {255})))}: "
            "set 255 as the ignore value, or name the classes with their values"
        )
    values = tuple(sorted(found))
    return Names(tuple(map(str, values)), values, ignore)
