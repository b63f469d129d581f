"""Files that appear whole or not at all: write beside the target, fsync, rename."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.runtime.disk import is_disk_full, output_error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on exit, fsync it and rename it over `path`.

    The temporary file is hidden, in the same folder, with the same suffix, and always has the same name: if
    the process is killed, the next writer of `path` replaces the leftover. Missing folders are created.

    Args:
        path: the file; it appears whole or not at all.

    Raises:
        OutputError: the disk is full or the location is not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if is_disk_full(error) or isinstance(error, OSError):
            raise output_error(path, error) from error
        raise
    _sync_folder(path.parent)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes to a file atomically."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file with Unix line ends atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, obj: Any) -> None:
    """Write a JSON file atomically: NumPy values become plain ones, paths text, NaN and infinity null."""
    write_text(path, json.dumps(plain(obj), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: str | Path, text: str) -> None:
    """Append one line to a log; only lines that end in a newline count.

    An unfinished last line, left by a process killed while writing, is removed first; a failed write is
    rolled back. `read_lines` skips an unfinished last line.

    Args:
        path: the file; it and its folder are created if missing.
        text: one line, without the newline.

    Raises:
        OutputError: the disk is full or the location is not writable.
    """
    path = Path(path)
    if "\n" in text:
        raise ValueError(f"one line was to be appended to {path}, but the text holds several")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "r+b" if path.exists() else "x+b", buffering=0) as log:
            end = _end_of_last_line(log)
            log.truncate(end)
            log.seek(end)
            try:
                _write_all(log.fileno(), text.encode() + b"\n")
                os.fsync(log.fileno())
            except BaseException:
                log.truncate(end)
                raise
    except OSError as error:
        raise output_error(path, error) from error


def read_lines(path: str | Path) -> list[str]:
    """The finished lines of a log written with `append_line`; empty if the file does not exist."""
    path = Path(path)
    if not path.exists():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    return [line.decode() for line in lines]


def plain(obj: Any) -> Any:
    """Convert a value to JSON types: dict, list, text, number, true, false, null.

    >>> plain({"bias_mm": np.float32(0.5), "low": float("nan"), "n": (np.int64(1), 2)})
    {'bias_mm': 0.5, 'low': None, 'n': [1, 2]}
    """
    if isinstance(obj, np.ndarray | np.generic):
        obj = obj.tolist()
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [plain(value) for value in (sorted(obj) if isinstance(obj, set | frozenset) else obj)]
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, os.PathLike):
        return str(obj)
    return obj


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _end_of_last_line(log: Any) -> int:
    """Offset just after the last newline, searching backwards in blocks; 0 if there is none."""
    end = log.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        log.seek(start)
        found = log.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, if the file system supports that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
