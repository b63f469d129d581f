"""Read JSON, YAML and plain text from users and earlier runs, and wrap the errors of all readers.

Whatever a file contains, a reader returns a value or raises one error that names the file. Only regular
files are opened (a pipe or a device may never end), sizes are checked first, and text is UTF-8.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labelmend.errors import DataError, LabelmendError, MissingDataError, UnreadableFileError
from labelmend.io.files.limits import check_declared

MOST_NESTED = 100
"""Most levels of nested lists and mappings in one file; no file that labelmend reads needs ten."""

MOST_YAML = 2**22
"""Most bytes of a YAML file."""

MOST_NODES = 100_000
"""Most values in a YAML file once its aliases are expanded."""

_JSON_GROWS = 4
"""Memory of parsed JSON relative to its size on disk, a lower bound."""


_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Error boundary: any exception inside, other than labelmend's own, means that the file is damaged.

    Args:
        path: the file, for the message.
        what: what it should be, such as "a NumPy array".

    Raises:
        UnreadableFileError: replaces any other exception.
    """
    try:
        yield
    except LabelmendError:
        raise
    except MemoryError as error:
        raise UnreadableFileError(f"{path} needs more memory than available: check the file") from error
    except UnicodeError as error:
        raise UnreadableFileError(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from error
    except RecursionError as error:
        raise UnreadableFileError(
            f"{path} cannot be read as {what} (nested too deeply): it is damaged or of another type"
        ) from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UnreadableFileError(
            f"{path} cannot be read as {what} ({reason}): it is damaged or of another type"
        ) from error


@contextmanager
def reading_arrays(path: Path, what: str) -> Iterator[None]:
    """Convert a library's error about a missing or damaged file into one that names the file."""
    if not path.exists():
        raise MissingDataError(f"{path} does not exist: check the name")
    check_regular(path)
    with reading(path, what):
        try:
            yield
        except ValueError as error:
            if "pickle" not in str(error):
                raise
            raise DataError(
                f"{path} holds Python objects (pickled data), which can run any code when loaded: "
                "save it again as a plain array, as array.astype(float) or array.astype(str)"
            ) from error


def check_regular(path: str | Path) -> int:
    """The size of a file in bytes, or an error unless it is a regular one (or a link to one)."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingDataError(f"{path} does not exist") from error
    except OSError as error:
        raise _no_access(path, error) from error
    except ValueError as error:  # a name with a zero byte, or one that cannot be encoded
        raise MissingDataError(f"{str(path)!a} is not a valid file name ({error})") from error
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableFileError(f"{path} cannot be read: it is a folder, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError(f"{path} is not a regular file but a pipe or a device: save it as a file")
    return status.st_size


def read_bytes(path: str | Path) -> bytes:
    """The content of a regular, non-empty file, or one clear error."""
    path = Path(path)
    size = check_regular(path)
    check_declared(size, path, f"{size} bytes")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _no_access(path, error) from error
    if not data:
        raise UnreadableFileError(f"{path} is empty (0 bytes): copy or export it again")
    return data


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        MissingDataError, UnreadableFileError: no such file, empty, another encoding, or not text.
    """
    return _decoded(path, read_bytes(path))


def read_json(path: str | Path, remedy: str = "repair it, or export it again") -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        remedy: what to do if it is damaged, for the message.

    Raises:
        MissingDataError, UnreadableFileError: no such file, not JSON, nested too deeply, or invalid text.
    """
    size = check_regular(path)
    check_declared(_JSON_GROWS * size, path, f"{size} bytes of JSON")
    return _json(path, _decoded(path, read_bytes(path)), str(path), remedy)


def read_object(path: str | Path, keys: Sequence[str] = (), remedy: str = "write it anew") -> dict[str, Any]:
    """The JSON object of a file that labelmend wrote.

    Args:
        path: the file.
        keys: names that it must contain.
        remedy: what to do if it is damaged, for the message.

    Raises:
        MissingDataError, UnreadableFileError: see `read_json`; not an object, or lacks a name.
    """
    found = read_json(path, remedy)
    if not isinstance(found, dict):
        raise UnreadableFileError(f"{path} holds {json.dumps(found)[:40]}, expected a JSON object: {remedy}")
    absent = [key for key in keys if key not in found]
    if absent:
        raise UnreadableFileError(f"{path} lacks {', '.join(absent)}: {remedy}")
    return found


def read_json_lines(path: str | Path, remedy: str = "repair it, or write it anew") -> list[Any]:
    """The values of a log with one JSON value per line, see `append_line`; empty if it does not exist.

    An unfinished last line, left by a process killed while writing, is skipped.

    Raises:
        UnreadableFileError: a finished line is not JSON.
    """
    if not os.path.lexists(path) or check_regular(path) == 0:
        return []
    *lines, _torn = read_bytes(path).split(b"\n")
    return [
        _json(path, _decoded(path, line), f"{path}, line {n},", remedy)
        for n, line in enumerate(lines, start=1)
    ]


def read_yaml(path: str | Path, what: str = "settings") -> dict[str, Any]:
    """The mapping in a YAML file; the size after expanding aliases is limited, and keys must be unique.

    Args:
        path: the file.
        what: what it should contain, for the message.

    Raises:
        MissingDataError, UnreadableFileError: no such file, not YAML, no mapping, or more than `MOST_NODES`
            values.
    """
    size = check_regular(path)
    if size > MOST_YAML:
        raise UnreadableFileError(f"{path} has {size} bytes, too many for {what}: is it the right file?")
    return checked_yaml(read_text(path), path, what)


def checked_yaml(text: str, path: str | Path, what: str = "settings") -> dict[str, Any]:
    """The mapping in YAML text, see `read_yaml`; `path` is for messages."""
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _check_node(node, {}, ())
        found = None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise UnreadableFileError(f"{path} is nested too deeply for {what}: check the file") from error
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UnreadableFileError(f"{path} is not valid YAML ({reason}): repair it") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        kind = {type(None): "nothing", dict: "keys that are not text"}.get(type(found), type(found).__name__)
        raise UnreadableFileError(f"{path} holds {kind}: expected {what}, one `name: value` per line")
    _check_encodable(found, path)
    return found


def as_count(text: str) -> int | None:
    """The non-negative integer written in a text with digits 0 to 9, or None.

    >>> as_count("12"), as_count("²"), as_count("-1"), as_count("9" * 300)
    (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _json(path: str | Path, text: str, place: str, remedy: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=_mapping)
        if _perhaps_deeper(text):
            _check_depth(found)
    except RecursionError as error:
        raise UnreadableFileError(f"{place} holds JSON that is nested too deeply: {remedy}") from error
    except ValueError as error:
        raise UnreadableFileError(f"{place} is not valid JSON ({error}): {remedy}") from error
    if re.search(r"\\u[dD][89a-fA-F]", text):
        _check_encodable(found, path)
    return found


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _once([key for key, _ in pairs])
    return found


def _once(keys: Iterable[str]) -> None:
    """Raise a ValueError for duplicate keys, of which the later would silently win."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{key!r} is set twice")
        seen.add(key)


def _decoded(path: str | Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableFileError(f"{path} is UTF-16 or UTF-32 text, expected UTF-8: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error


def _no_access(path: str | Path, error: OSError) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path} cannot be read ({error.strerror}): check the file and its permissions"
    )


def _perhaps_deeper(text: str) -> bool:
    """Whether brackets nest deeper than `MOST_NESTED`; fast, so it also counts brackets in strings."""
    brackets = text.encode(errors="replace").translate(None, _NO_BRACKETS)
    steps = np.where(np.isin(np.frombuffer(brackets, np.uint8), list(b"[{")), 1, -1)
    lowest = np.minimum.accumulate(np.concatenate([[0], np.cumsum(steps)]))
    return bool((np.cumsum(steps) - lowest[:-1]).max(initial=0) > MOST_NESTED)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_NESTED):
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise RecursionError


def _check_encodable(value: Any, path: str | Path) -> None:
    """Refuse lone surrogates (\\ud800), which JSON can express but no file name can contain."""
    with suppress(TypeError):  # YAML dates and similar
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise UnreadableFileError(
                f"{path} holds an incomplete character ({error.object[error.start]!a}): repair that name"
            ) from error


def _check_node(node: yaml.Node, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """Number of values in a node; a ValueError if there are too many, or for a cycle or a duplicate key."""
    if id(node) in above:
        raise ValueError("an alias refers to itself")
    if id(node) in sizes:
        return sizes[id(node)]
    if len(above) > MOST_NESTED:
        raise RecursionError
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _once([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = list(node.value)
    size = 1 + sum(_check_node(part, sizes, (*above, id(node))) for part in below)
    if size > MOST_NODES:
        raise ValueError(f"its aliases expand to more than {MOST_NODES} values")
    sizes[id(node)] = size
    return size
