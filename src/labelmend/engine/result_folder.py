"""A folder for the results of one measurement: new, empty, or one that an earlier measurement filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labelmend.errors import OutputError


def check_result_folder(
    out: str | Path | None, own: Sequence[str], *, folders: Sequence[Path] = (), files: Sequence[Path] = ()
) -> None:
    """Raise an OutputError unless `out` is new, empty, or holds nothing but files of its own; writes nothing.

    Args:
        out: the folder; None needs no check.
        own: names of the files that are written into it, and may be replaced.
        folders: label folders that are read: `out` must not lie in them.
        files: files that are read: none of them may be replaced.
    """
    if out is None:
        return
    out = Path(out)
    for folder in folders:
        if folder.resolve() in (out.resolve(), *out.resolve().parents):
            raise OutputError(f"{out} lies in the label folder {folder}: choose another folder")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: name a folder to write to")
    for file in files:
        if file.resolve() in [(out / name).resolve() for name in own]:
            raise OutputError(f"{file} would be replaced by what is written to {out}: choose another folder")
    allowed = {*own, *(f".part-{name}" for name in own)}
    strange = sorted(path.name for path in out.iterdir() if path.name not in allowed) if out.exists() else []
    if strange:
        raise OutputError(f"{out} already holds {strange[0]}: choose a new or empty folder")
