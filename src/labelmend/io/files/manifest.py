"""The manifest: one JSON line for every version of a case's labels that was written, with its parentage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelmend import __version__
from labelmend.errors import MissingDataError, UnreadableFileError
from labelmend.io.files.atomic import append_line, plain, write_text
from labelmend.io.files.reading import read_json_lines

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ManifestRow:
    """One version of the labels of one case.

    Args:
        case: case id.
        files: the files written, relative to the folder of the manifest.
        checksum: of those files, in that order.
        parent: where the labels come from.
        parent_checksum: of the parent's files.
        method: name of what made this version.
        parameters: its settings, or the noise parameters drawn.
        version: 0 as given, 1 after the first revision, and so on.
        seed: seed of the run.
        labelmend_version: of the program that wrote it.
        reason: one sentence for people.
        extra: anything else.
    """

    case: str
    files: tuple[str, ...]
    checksum: str
    parent: str
    parent_checksum: str
    method: str
    parameters: dict[str, Any]
    version: int
    seed: int
    labelmend_version: str = __version__
    reason: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def checksum(*paths: str | Path) -> str:
    """SHA-256 of one file, or of several one after the other as `cat` would join them.

    Returns:
        `"sha256:"` and 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except FileNotFoundError as error:
            raise MissingDataError(f"{path} does not exist, so it has no checksum") from error
        except OSError as error:
            raise UnreadableFileError(f"{path} cannot be read ({error.strerror})") from error
    return f"sha256:{digest.hexdigest()}"


def write_manifest(path: str | Path, rows: Sequence[ManifestRow]) -> None:
    """Write all rows of a manifest anew, at once."""
    write_text(path, "".join(f"{_line(row)}\n" for row in rows))


def append_row(path: str | Path, row: ManifestRow) -> None:
    """Append one row; a row counts once its line is finished."""
    append_line(path, _line(row))


def read_manifest(path: str | Path) -> list[ManifestRow]:
    """All finished rows in the order written; none if there is no manifest. A torn last line is passed over.

    Raises:
        UnreadableFileError: a finished line is no manifest row.
    """
    rows = []
    for number, content in enumerate(read_json_lines(path), start=1):
        try:
            rows.append(ManifestRow(**{**content, "files": tuple(content["files"])}))
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableFileError(f"{path}, line {number}: this is no manifest row ({error})") from error
    return rows


def _line(row: ManifestRow) -> str:
    return json.dumps(plain(dataclasses.asdict(row)), ensure_ascii=False, allow_nan=False)
