"""Labels that annotators redrew for cases a review sent back, checked against the given ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from labelmend.errors import ConfigError, GeometryError, MissingDataError
from labelmend.io import LabelFolder, checksum, grid_difference
from labelmend.io.labels.coco import CocoLabels


def open_redrawn(
    folder: str | Path, given: LabelFolder | CocoLabels, cases: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    """The files of the redrawn cases, each read and checked.

    Args:
        folder: holds files with the names and layout of the given ones. A case counts as not yet redrawn if
            its file is absent, or still byte for byte the given one.
        given: the labels that were audited.
        cases: the cases to redraw.

    Returns:
        By case, its files in the order of `LabelFolder.sources`; the file that marks unannotated pixels may
        be the given one.

    Raises:
        ConfigError: no case was to be redrawn, or the given labels are a COCO file.
        MissingDataError: no folder, no case in it, or a case lacks files.
        GeometryError: a case is not on the grid of its given labels.
        DataError: a file cannot be read, or holds values of no class.
    """
    folder = Path(folder)
    if isinstance(given, CocoLabels):
        raise ConfigError(
            f"redrawn labels ({folder}) cannot be merged into the COCO file {given.path}: replace the "
            "annotations of these images in its final version by hand"
        )
    if not cases:
        raise ConfigError(
            f"got a folder of redrawn labels ({folder}), but no verdict sends a case to be redrawn"
        )
    if not folder.is_dir():
        raise MissingDataError(
            f"{folder} is not a folder: expected redrawn labels laid out like {given.path}"
        )
    redrawn = {case: files for case in cases if (files := _files(folder, given, case))}
    if not redrawn:
        raise MissingDataError(
            f"{folder} has new labels for none of the {len(cases)} cases to redraw: expected files named "
            f"like the given ones but different from them, such as {given.target(folder, cases[0])[0]}"
        )
    for case, files in redrawn.items():
        _check(folder, given, case, files)
    return redrawn


def _files(folder: Path, given: LabelFolder, case: str) -> tuple[Path, ...]:
    """Files of a case; none if it has not been redrawn."""
    targets, sources, k = given.target(folder, case), given.sources(case), len(given.files[case])
    there = [path for path in targets[:k] if path.is_file()]
    if not there:
        return ()
    absent = [path for path in targets[:k] if not path.is_file()]
    if absent:
        raise MissingDataError(
            f"case {case}: {there[0]} exists, but {absent[0]} does not: each class needs its own file, an "
            "empty mask if the class is absent"
        )
    files = tuple(new if new.is_file() else old for new, old in zip(targets, sources, strict=True))
    return () if checksum(*files) == checksum(*sources) else files


def _check(folder: Path, given: LabelFolder, case: str, files: tuple[Path, ...]) -> None:
    """Read a case and compare its grid."""
    k = len(given.files[case])
    ignored = {case: files[k]} if len(files) > k else {}
    new = dataclasses.replace(given, path=folder, files={case: files[:k]}, ignore_files=ignored)
    difference = grid_difference(new.read(case).grid, given.read(case).grid)
    if difference:
        raise GeometryError(
            f"case {case}: the redrawn labels {files[0]} and the given ones {given.sources(case)[0]} differ "
            f"in {difference}: save them on the grid of the image"
        )
