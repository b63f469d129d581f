"""Values of flags with more than one part: `--classes lung=1,heart=2`, `--cases a,b`, `--resize 128,96`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labelmend.errors import ConfigError
from labelmend.io.files.reading import as_count


def class_values(given: Mapping[str, int] | str) -> dict[str, int]:
    """Class names with their values in integer maps.

    >>> class_values("lung=1, heart=2")
    {'lung': 1, 'heart': 2}
    """
    found = _yaml(given) if isinstance(given, str) and given.lstrip().startswith("{") else given
    if isinstance(found, Mapping):
        pairs = list(found.items())
    else:
        parts = [part.rpartition("=") for part in str(found).split(",")]
        pairs = [(name.strip(), as_count(value.strip())) for name, _, value in parts]
    if not all(str(name) and isinstance(value, int) and not isinstance(value, bool) for name, value in pairs):
        raise ConfigError(f"expected class names with their values, as lung=1,heart=2, got {given!r}")
    return {str(name): value for name, value in pairs}


def names(given: Sequence[str] | str) -> list[str]:
    """A list of names.

    >>> names("lung,heart"), names("lung"), names("[lung, heart]")
    (['lung', 'heart'], ['lung'], ['lung', 'heart'])
    """
    return [str(name) for name in _items(given)]


def names_or_file(given: Sequence[str] | str) -> list[str] | str:
    """A path, or several names.

    >>> names_or_file("patient_1,patient_2"), names_or_file("cases.txt")
    (['patient_1', 'patient_2'], 'cases.txt')
    """
    if isinstance(given, str) and (
        Path(given).exists() or not ("," in given or given.lstrip().startswith("["))
    ):
        return given
    return names(given)


def numbers(kind: type[int] | type[float], *, single: bool) -> Callable[[Any], Any]:
    """A reader of numbers with commas between them; if `single`, one number alone stays a number.

    >>> numbers(float, single=True)("1.4"), numbers(int, single=True)("128,96")
    (1.4, [128, 96])
    """
    word = "whole numbers" if kind is int else "numbers"
    expected = f"expected {f'a number, or {word}' if single else word} with commas between them"

    def read(given: Any) -> Any:
        items = _items(given)
        if not all(_is_number(item, kind) for item in items):
            raise ConfigError(f"{expected}, got {given!r}")
        values = [kind(item) for item in items]
        listed = not isinstance(given, int | float) and (len(values) != 1 or "[" in str(given))
        return values[0] if single and not listed else values

    return read


def _items(given: Any) -> list[Any]:
    """The parts of `a,b`, of `[a, b]` or of a sequence; a single value is one part."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        given = _yaml(given)
    elif isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    return list(given) if isinstance(given, Sequence) else [given]


def _is_number(item: Any, kind: type[int] | type[float]) -> bool:
    try:
        return not isinstance(item, bool) and float(kind(item)) == float(item)
    except (TypeError, ValueError, OverflowError):
        return False


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"expected a list or a mapping, got {text[:60]!r}") from error
