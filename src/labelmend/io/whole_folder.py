"""A folder that appears whole or not at all: filled beside its place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labelmend.errors import OutputError
from labelmend.io.atomic import is_disk_full


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Fill the temporary folder this yields; on leaving, it is renamed to `path`.

    The temporary folder is hidden and lies beside `path`. What a killed process left there is replaced.

    Args:
        path: a folder that is new or empty.

    Raises:
        OutputError: the folder holds something, the disk is full, or the place cannot be written.
    """
    path = Path(path)
    temporary = path.parent / f".part-{path.resolve().name}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_disk_full(error):
            raise OutputError(f"disk full while writing {path}: free some space, run it again") from error
        if isinstance(error, OSError):
            raise OutputError(
                f"cannot write {path} ({error.strerror}): choose a new or empty folder"
            ) from error
        raise
