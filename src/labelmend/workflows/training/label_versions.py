"""Versions of a run's labels: 0 as given, later ones as revised; immutable, sharing unchanged cases."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import UnreadableFileError
from labelmend.io import write_bytes
from labelmend.methods.base import check_revision
from labelmend.types import BoolArray, LabelMap, Revision


class LabelStore:
    """Label versions below a folder: `v1/<case>.npz`, `v2/...`; version 0 is read from where it was given.

    Args:
        folder: where revisions are kept.
        given: case id -> labels as delivered.
    """

    def __init__(self, folder: Path, given: Callable[[str], LabelMap]) -> None:
        self.folder = folder
        self.given = given

    def version_of(self, case: str, at: int) -> int:
        """Newest version of a case that is not newer than version `at`."""
        return next((v for v in range(at, 0, -1) if self._file(case, v).exists()), 0)

    def read(self, case: str, at: int, given: LabelMap | None = None) -> LabelMap:
        """Labels of a case as of version `at`."""
        version = self.version_of(case, at)
        base = self.given(case) if given is None else given
        if version == 0:
            return base
        return dataclasses.replace(base, array=self._saved(case, version, "array"))

    def commit(self, revision: Revision, version: int, given: LabelMap) -> None:
        """Check a revision against the given labels and keep it, whole or not at all."""
        check_revision(revision, given)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"array": revision.labels.array}
        if revision.left_out is not None:
            arrays["left_out"] = revision.left_out
        names = [f.name for f in dataclasses.fields(revision) if f.name not in ("labels", "left_out")]
        note = {name: getattr(revision, name) for name in names}
        np.savez_compressed(buffer, **arrays, note=np.array(json.dumps(note)))
        write_bytes(self._file(revision.case, version), buffer.getvalue())

    def differs(self, revision: Revision, at: int, given: LabelMap) -> bool:
        """Whether a revision changes labels, or what training leaves out, as of version `at`."""
        if not np.array_equal(revision.labels.array, self.read(revision.case, at, given).array):
            return True
        nothing = np.zeros(given.grid.shape, bool)
        new, old = revision.left_out, self.left_out(revision.case, at)
        return not np.array_equal(nothing if new is None else new, nothing if old is None else old)

    def left_out(self, case: str, at: int) -> BoolArray | None:
        """`(*space)` booleans: pixels that training on version `at` leaves out; None if there are none."""
        version = self.version_of(case, at)
        return self._saved(case, version, "left_out", missing=None) if version else None

    def note(self, case: str, at: int) -> dict[str, Any] | None:
        """What the newest revision of a case said of itself (reason, counts), or None if never revised."""
        version = self.version_of(case, at)
        if version == 0:
            return None
        return {"version": version} | json.loads(str(self._saved(case, version, "note")))

    def _saved(self, case: str, version: int, key: str, **missing: Any) -> Any:
        """An array of a version; `missing=` is what an array that may be absent reads as."""
        path = self._file(case, version)
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
                return missing["missing"] if missing and key not in saved else saved[key]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UnreadableFileError(
                f"case {case}: {path} cannot be read ({error}): delete the run folder and start again"
            ) from error

    def _file(self, case: str, version: int) -> Path:
        return self.folder / f"v{version}" / f"{case}.npz"
