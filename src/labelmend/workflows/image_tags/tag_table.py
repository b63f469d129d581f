"""Image-level tags: a text table of the classes visible in each image, without their location."""

from __future__ import annotations

import csv
import difflib
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NoReturn

import numpy as np

from labelmend.errors import ConfigError, DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.reading import read_text
from labelmend.io.images.formats import case_id, suffix_of
from labelmend.runtime.text import listed
from labelmend.types import BoolArray

YES, NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
"""Accepted cell values of a class column, in any case."""

NAMES_COLUMN = "tags"
"""Name of a second column with class names instead of yes and no."""

RESERVED = ("background", "ignore")
"""Reserved names of label folders for background and unannotated pixels."""

MOST_CLASSES = 254
"""Masks reserve 0 for background and 255 for unsure."""

_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, eq=False)
class TagTable:
    """The classes of each image; each class is on at least one image, and not all are on all.

    Args:
        cases: `n` case ids, sorted.
        classes: `k` names.
        tags: `(n k)` booleans.
        notes: sentences on what was left out.
    """

    cases: tuple[str, ...]
    classes: tuple[str, ...]
    tags: BoolArray
    notes: tuple[str, ...] = ()

    @property
    def everywhere(self) -> tuple[str, ...]:
        """Classes on every image: they cannot be distinguished from background."""
        return tuple(name for name, column in zip(self.classes, self.tags.T, strict=True) if column.all())

    @property
    def inseparable(self) -> tuple[tuple[str, str], ...]:
        """Pairs of classes whose tags always agree or always differ: one determines the other."""
        columns = dict(zip(self.classes, self.tags.T, strict=True))
        return tuple(
            (one, other)
            for one, other in combinations(self.classes, 2)
            if not columns[one].all() and np.array_equal(columns[one], columns[other])
        )

    def of(self, case: str) -> tuple[str, ...]:
        """The classes of one case."""
        row = self.tags[self.cases.index(case)]
        return tuple(name for name, there in zip(self.classes, row, strict=True) if there)


def read_tags(path: str | Path, *, images: Iterable[str], classes: Sequence[str] | None = None) -> TagTable:
    """Read the tags of images from a CSV or TSV file with a header.

    The first column holds file names or case ids. It is followed by one column per class with 1/0, true/false
    or yes/no:

        image,lung,heart
        a.png,1,0

    or one column named `tags` with class names separated by `;` or `|`, empty for none:

        image,tags
        a.png,lung;heart

    Cells are separated by commas; by tabs in a .tsv; by semicolons or tabs if the header has no comma.
    Classes keep the order of their columns; those from a `tags` column are sorted alphabetically.

    Args:
        path: .csv, .tsv or .txt, UTF-8.
        images: case ids of the existing images.
        classes: classes to use, in this order; None uses all. Other tags are ignored.

    Returns:
        The tags, in the order of sorted case ids. A class on every image is kept, see `TagTable.everywhere`.

    Raises:
        MissingDataError: no such file, tags for missing images, or images without tags.
        UnreadableFileError: empty, not UTF-8, or of another type.
        DataError: a duplicate case or column, a cell that is neither yes nor no, a line of another length, a
            class that is never tagged, or the same tags on all images.
        ConfigError: a class of `classes` is not in the file, or a name is reserved.
    """
    path, known = Path(path), frozenset(images)
    header, lines = _lines(path)
    if _case(header[0], known) in known:
        raise DataError(f"{path}, line 1 is about image {header[0]!r}: expected a header such as image,lung")
    by_name = len(header) == 2 and header[1].lower() == NAMES_COLUMN
    rows = _rows_of_names(lines) if by_name else _rows_of_columns(path, header, lines, classes)
    there = sorted(set().union(*rows.values())) if by_name else header[1:]
    names = _chosen(path, there, classes)
    cases = _cases(path, {number: cells[0] for number, cells in lines.items()}, known)
    tags = np.array([[name in rows[cases[case]] for name in names] for case in sorted(cases)], bool)
    _check(path, names, tags)
    left_out = [name for name in there if name not in names]
    notes = (f"Unused columns or tags: {listed(left_out)}.",) if left_out else ()
    return TagTable(tuple(sorted(cases)), names, tags, notes)


def _lines(path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """The stripped cells of the header, and of each line below it by line number."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UnreadableFileError(
            f"{path} is not a supported tag table: expected one of {', '.join(_SUFFIXES)}"
        )
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    tabs = path.suffix.lower() == ".tsv"
    separator = "\t" if tabs else next((mark for mark in ",;\t" if mark in first), ",")
    reader, found = csv.reader(io.StringIO(text, newline=""), delimiter=separator), {}
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found[reader.line_num] = [cell.strip() for cell in cells]
    except csv.Error as error:
        raise UnreadableFileError(
            f"{path}, line {reader.line_num}, cannot be read as CSV ({error})"
        ) from error
    if not found:
        raise UnreadableFileError(f"{path} contains only blank lines: expected a header such as image,lung")
    header = found.pop(min(found))
    _check_header(path, header)
    if not found:
        raise DataError(f"{path} has a header but no rows: expected one line per image")
    for number, cells in found.items():
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}, has {len(cells)} cells, but the header has {len(header)}: "
                "quote names that contain the separator"
            )
    return header, found


def _check_header(path: Path, header: Sequence[str]) -> None:
    if len(header) < 2:
        raise DataError(
            f"{path} has only one column ({header[0]!r}): expected image,lung,... with 1 and 0, or "
            "image,tags with class names"
        )
    for place, name in enumerate(header[1:], start=2):
        if not name:
            raise DataError(f"{path}: column {place} has no name: name its class in the header")
        if name in header[1 : place - 1]:
            raise DataError(f"{path} has two columns named {name!r}: remove or rename one")


def _rows_of_names(lines: Mapping[int, Sequence[str]]) -> dict[int, set[str]]:
    """The classes of each line from a column of names."""
    parted = {number: cells[1].replace("|", ";").split(";") for number, cells in lines.items()}
    return {number: {name.strip() for name in names} - {""} for number, names in parted.items()}


def _rows_of_columns(
    path: Path, header: Sequence[str], lines: Mapping[int, Sequence[str]], classes: Sequence[str] | None
) -> dict[int, set[str]]:
    """The classes of each line from columns of yes and no."""
    wanted = [(i, name) for i, name in enumerate(header) if i and (classes is None or name in classes)]
    rows = {}
    for number, cells in lines.items():
        for i, name in wanted:
            if cells[i].lower() not in (*YES, *NO):
                _refuse_cell(path, number, name, cells[i])
        rows[number] = {name for i, name in wanted if cells[i].lower() in YES}
    return rows


def _refuse_cell(path: Path, number: int, name: str, cell: str) -> NoReturn:
    held = f"holds {cell!r}" if cell else "is empty"
    raise DataError(
        f"{path}, line {number}, column {name!r} {held}: expected 1 or 0, true or false, yes or no. If the "
        f"column is not a class, list the classes (--classes); class names belong in a second and last "
        f"column named {NAMES_COLUMN}"
    )


def _case(entry: str, known: frozenset[str]) -> str:
    """The case id in a cell of the first column; folders before a file name are dropped."""
    entry = unicodedata.normalize("NFC", entry)
    if entry in known:
        return entry
    name = entry.replace("\\", "/").rpartition("/")[2]
    return case_id(name) if suffix_of(name) else name


def _cases(path: Path, entries: Mapping[int, str], known: frozenset[str]) -> dict[str, int]:
    """The line of each case, or an error: a duplicate case, tags without image, an image without tags."""
    cases: dict[str, int] = {}
    for number, entry in entries.items():
        case = _case(entry, known)
        if not case:
            raise DataError(f"{path}, line {number}, has no image name in its first column")
        if case in cases:
            raise DataError(f"{path} has case {case} twice, in lines {cases[case]} and {number}: remove one")
        cases[case] = number
    missing = [case for case in cases if case not in known]
    if missing:
        raise MissingDataError(
            f"{path} tags {len(missing)} of {len(cases)} cases that have no image: {listed(missing)}; "
            f"the images are {listed(sorted(known))}: add the images, or remove these lines"
        )
    untagged = sorted(known - cases.keys())
    if untagged:
        raise MissingDataError(
            f"{len(untagged)} of {len(known)} images have no line in {path}: {listed(untagged)}; add one "
            "for each (also for images without any class), or remove these images"
        )
    return cases


def _chosen(path: Path, there: Sequence[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    """The class names, or an error."""
    names = tuple(there if classes is None else classes)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"it has {listed(there) or 'none'}"
            raise ConfigError(f"{path} never tags a class {name!r}: {meant}")
        if name.lower() in RESERVED:
            raise ConfigError(
                f"{path}: a class cannot be named {name!r}, which label folders reserve for other pixels: "
                "rename it, or leave it out by listing the others (--classes)"
            )
        if names.count(name) > 1:
            raise ConfigError(f"class {name!r} is named twice: name each class once")
    if not names:
        raise DataError(f"{path} tags no image with any class: expected names in the column {NAMES_COLUMN!r}")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{path} has {len(names)} classes: masks can store {MOST_CLASSES}; list fewer")
    return names


def _check(path: Path, classes: Sequence[str], tags: BoolArray) -> None:
    """Raise a DataError if the tags carry no information."""
    never = [name for name, column in zip(classes, tags.T, strict=True) if not column.any()]
    if never:
        raise DataError(
            f"{path} tags none of {len(tags)} images with {listed(never)}: add images that show the class, "
            "or leave it out by listing the others (--classes)"
        )
    if tags.all():
        raise DataError(
            f"{path} has the same tags on every image ({listed(classes)}), so classes cannot be "
            "distinguished from background; add images that lack a class"
        )
