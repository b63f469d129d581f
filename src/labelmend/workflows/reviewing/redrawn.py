"""Labels that people drew anew for cases that a review sent back, checked against the given ones."""

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
    """The files of the cases that were drawn anew, each read and found to fit.

    Args:
        folder: holds files that are called and kept as the given ones are. A case has not been drawn anew yet
            where its file is absent, or still the given one byte for byte.
        given: the labels that were audited.
        cases: those to draw anew.

    Returns:
        By case its files in the order of `LabelFolder.sources`; the file that marks what is not annotated may
        be the given one.

    Raises:
        ConfigError: nothing was to be drawn anew, or given labels are a COCO file.
        MissingDataError: no folder, no case in it, or not all files of a case.
        GeometryError: a case lies on another grid than its given labels.
        DataError: a file that cannot be read, or with values that no class has.
    """
    folder = Path(folder)
    if isinstance(given, CocoLabels):
        raise ConfigError(
            f"labels drawn anew ({folder}) cannot be taken for the COCO file {given.path}: replace the "
            "annotations of these images in its final version by the new ones"
        )
    if not cases:
        raise ConfigError(
            f"labels drawn anew were given ({folder}), but no verdict sends a case to be drawn again"
        )
    if not folder.is_dir():
        raise MissingDataError(
            f"{folder} is no folder: expected one with labels drawn anew, kept as {given.path}"
        )
    found = {case: files for case in cases if (files := _files(folder, given, case))}
    if not found:
        raise MissingDataError(
            f"{folder} holds new labels of none of the {len(cases)} cases to draw again: expected files with "
            f"the names of the given ones, but not equal to them: {given.target(folder, cases[0])[0]}"
        )
    for case, files in found.items():
        _check(folder, given, case, files)
    return found


def _files(folder: Path, given: LabelFolder, case: str) -> tuple[Path, ...]:
    """Files of a case, none where it has not been drawn anew."""
    targets, sources, k = given.target(folder, case), given.sources(case), len(given.files[case])
    there = [path for path in targets[:k] if path.is_file()]
    if not there:
        return ()
    absent = [path for path in targets[:k] if not path.is_file()]
    if absent:
        raise MissingDataError(
            f"case {case}: {there[0]} is there, but {absent[0]} is not: each class needs its file, an empty "
            "one if there is nothing"
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
            f"case {case}: labels drawn anew in {files[0]} and given ones in {given.sources(case)[0]} differ "
            f"in {difference}: save them on the grid of the image"
        )
