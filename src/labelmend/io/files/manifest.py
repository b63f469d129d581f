"""The manifest: one JSON line per written version of a case's labels, with its provenance."""

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
        files: the written files, relative to the manifest's folder.
        checksum: of those files, in that order.
        parent: where the labels come from.
        parent_checksum: checksum of the parent's files.
        method: name of the method that made this version.
        parameters: its settings, or the sampled noise parameters.
        version: 0 as given, 1 after the first revision, and so on.
        seed: seed of the run.
        labelmend_version: version of the program that wrote it.
        reason: one sentence for readers.
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
    """SHA-256 of one file, or of several concatenated.

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
            raise MissingDataError(f"{path} does not exist: cannot compute its checksum") from error
        except OSError as error:
            raise UnreadableFileError(f"{path} cannot be read ({error.strerror})") from error
    return f"sha256:{digest.hexdigest()}"


def write_manifest(path: str | Path, rows: Sequence[ManifestRow]) -> None:
    """Write all rows of a manifest, replacing the file."""
    write_text(path, "".join(f"{_line(row)}\n" for row in rows))


def append_row(path: str | Path, row: ManifestRow) -> None:
    """Append one row; a row counts once its line is finished."""
    append_line(path, _line(row))


def read_manifest(path: str | Path) -> list[ManifestRow]:
    """All finished rows in order; empty if there is no manifest. An unfinished last line is skipped.

    Raises:
        UnreadableFileError: a finished line is not a manifest row.
    """
    rows = []
    for number, content in enumerate(read_json_lines(path), start=1):
        try:
            rows.append(ManifestRow(**{**content, "files": tuple(content["files"])}))
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableFileError(f"{path}, line {number} is not a manifest row ({error})") from error
    return rows


def _line(row: ManifestRow) -> str:
    return json.dumps(plain(dataclasses.asdict(row)), ensure_ascii=False, allow_nan=False)
