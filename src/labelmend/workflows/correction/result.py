"""What a correction hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.html.result import Result, changed_cases
from labelmend.io.arrays import ByCase


@dataclass(frozen=True, eq=False, repr=False)
class CorrectResult(Result):
    """What `correct` did.

    Args:
        folder: the folder asked for, None where arrays came in.
        labels: the corrected labels: arrays where arrays came in; in the folder a label folder, a raw data
            set of nnU-Net, or a COCO file.
        summary: the content of summary.json.
        warnings: sentences on why the result may be wrong.
        n_cases: number of given cases.
        n_corrected: how many the method changed.
        n_trusted: how many given cases are trusted, and hold the trusted masks now.
    """

    folder: Path | None
    labels: Path | ByCase
    summary: Mapping[str, Any]
    warnings: tuple[str, ...]
    n_cases: int
    n_corrected: int
    n_trusted: int

    def headline(self) -> str:
        """How many cases were corrected, and where they lie."""
        where = "" if self.folder is None else f", written to {self.labels}"
        return f"{self.n_corrected} of {self.n_cases} cases corrected, {self.n_trusted} trusted{where}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The cases, those with most changed pixels first."""
        return changed_cases(self.summary["cases"])

    def remarks(self) -> Sequence[str]:
        """Why the result may be wrong."""
        return self.warnings
