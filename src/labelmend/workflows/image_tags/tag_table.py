"""Image-level tags: a text table that says which classes can be seen in which image, and nothing of where."""

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
"""What a cell of a column of its own may hold, in small or capital letters."""

NAMES_COLUMN = "tags"
"""Name of a second column that holds names of classes instead of yes and no."""

RESERVED = ("background", "ignore")
"""Names that label folders give to pixels of no class and to pixels nobody annotated."""

MOST_CLASSES = 254
"""Masks keep 0 for background and 255 for unsure."""

_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, eq=False)
class TagTable:
    """Which classes each image shows; every class is on one image at least, and not all are on all.

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
        """Classes that are on every image: nothing tells them from what else all images show."""
        return tuple(name for name, column in zip(self.classes, self.tags.T, strict=True) if column.all())

    @property
    def inseparable(self) -> tuple[tuple[str, str], ...]:
        """Pairs of classes that are always together, or never: each one's tags follow from the other's."""
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

    The first column holds file names or case ids. Behind it comes one column a class with 1/0, true/false or
    yes/no:

        image,lung,heart
        a.png,1,0

    or one column called `tags` with names of classes, `;` or `|` between them, empty for none:

        image,tags
        a.png,lung;heart

    Cells are parted by commas; by tabs in a .tsv; by semicolons or tabs where the header holds no comma.
    Classes come in the order of their columns; those of a column of names, by alphabet.

    Args:
        path: .csv, .tsv or .txt, UTF-8.
        images: case ids of the images that there are.
        classes: the classes to take, in this order; None takes all. Tags of other classes are passed over.

    Returns:
        The tags, in the order of sorted case ids. A class on every image is kept, see `TagTable.everywhere`.

    Raises:
        MissingDataError: no such file, tags for images that are not there, or images without tags.
        UnreadableFileError: empty, not UTF-8, or of another kind.
        DataError: a case or a column twice, a cell that is neither yes nor no, a line of another length, a
            class that is never tagged, or the same tags on all images.
        ConfigError: a class of `classes` that the file does not know, or a name that is reserved.
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
    notes = (f"Columns or tags that were not asked for: {listed(left_out)}.",) if left_out else ()
    return TagTable(tuple(sorted(cases)), names, tags, notes)


def _lines(path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """The cells of the header, and those of each line below it by its number in the file, all stripped."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UnreadableFileError(
            f"{path} is no table of tags that is read: expected one of {', '.join(_SUFFIXES)}"
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
        raise UnreadableFileError(f"{path} holds blank lines only: expected a header such as image,lung")
    header = found.pop(min(found))
    _check_header(path, header)
    if not found:
        raise DataError(f"{path} holds a header and no line below it: expected one line an image")
    for number, cells in found.items():
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}, has {len(cells)} cells, the header has {len(header)}: expected as "
                "many; put names that hold the separator into quotation marks"
            )
    return header, found


def _check_header(path: Path, header: Sequence[str]) -> None:
    if len(header) < 2:
        raise DataError(
            f"{path} has one column only ({header[0]!r}): expected image,lung,... with 1 and 0, or "
            "image,tags with names of classes"
        )
    for place, name in enumerate(header[1:], start=2):
        if not name:
            raise DataError(f"{path}: column {place} has no name: name its class in the header")
        if name in header[1 : place - 1]:
            raise DataError(f"{path} has two columns called {name!r}: remove or rename one")


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
        f"column is no class, name those that are (--classes); names of classes go into a second and last "
        f"column called {NAMES_COLUMN}"
    )


def _case(entry: str, known: frozenset[str]) -> str:
    """The case id that a cell of the first column stands for; folders in front of a file name are dropped."""
    entry = unicodedata.normalize("NFC", entry)
    if entry in known:
        return entry
    name = entry.replace("\\", "/").rpartition("/")[2]
    return case_id(name) if suffix_of(name) else name


def _cases(path: Path, entries: Mapping[int, str], known: frozenset[str]) -> dict[str, int]:
    """The line of each case, or an error: a case twice, tags without an image, an image without tags."""
    cases: dict[str, int] = {}
    for number, entry in entries.items():
        case = _case(entry, known)
        if not case:
            raise DataError(f"{path}, line {number}, names no image in its first column")
        if case in cases:
            raise DataError(
                f"{path} has tags of case {case} twice, in lines {cases[case]} and {number}: remove one"
            )
        cases[case] = number
    missing = [case for case in cases if case not in known]
    if missing:
        raise MissingDataError(
            f"{path} has tags of {len(missing)} of {len(cases)} cases that are no image: {listed(missing)}; "
            f"the images are {listed(sorted(known))}: add the images, or remove these lines"
        )
    untagged = sorted(known - cases.keys())
    if untagged:
        raise MissingDataError(
            f"{len(untagged)} of {len(known)} images have no line in {path}: {listed(untagged)}; add a line "
            "each (an image without any class has a line too), or remove these images"
        )
    return cases


def _chosen(path: Path, there: Sequence[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes, or an error."""
    names = tuple(there if classes is None else classes)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"it knows {listed(there) or 'none'}"
            raise ConfigError(f"{path} never tags a class {name!r}: {meant}")
        if name.lower() in RESERVED:
            raise ConfigError(
                f"{path}: a class cannot be called {name!r}, which label folders use for pixels of no class: "
                "rename it, or leave it out by naming the others (--classes)"
            )
        if names.count(name) > 1:
            raise ConfigError(f"class {name!r} is named twice: name each class once")
    if not names:
        raise DataError(f"{path} tags no image with any class: expected names in the column {NAMES_COLUMN!r}")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{path} has {len(names)} classes: masks keep {MOST_CLASSES} at most; name fewer")
    return names


def _check(path: Path, classes: Sequence[str], tags: BoolArray) -> None:
    """A DataError where there is nothing to learn from."""
    never = [name for name, column in zip(classes, tags.T, strict=True) if not column.any()]
    if never:
        raise DataError(
            f"{path} tags none of {len(tags)} images with {listed(never)}: there is nothing to learn such a "
            "class from; add images that show it, or leave it out by naming the others (--classes)"
        )
    if tags.all():
        raise DataError(
            f"{path} has the same tags on every image ({listed(classes)}): what all images share cannot be "
            "told from background; add images that do not show a class"
        )
