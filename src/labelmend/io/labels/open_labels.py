"""List the images or labels in a folder, and read lists of cases."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from labelmend.errors import ConfigError, DataError, LabelValueError, MissingDataError, UnreadableFileError
from labelmend.io.files.reading import read_text
from labelmend.io.images.formats import Spacing, case_id, format_of, suffix_of
from labelmend.io.labels.class_names import (
    Names,
    class_of_zero,
    names_found,
    names_given,
    names_in_json,
    with_255_as_1,
)
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.palettes import check_background, check_palettes
from labelmend.runtime.text import listed

IGNORE_FOLDER = "ignore"
_NO_DATA = (
    ".json", ".jsonl", ".txt", ".md", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log",
    ".html", ".htm", ".xml", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ods", ".rtf", ".db", ".pkl", ".py",
    ".sh", ".ipynb", ".zip", ".md5", ".sha256", ".bval", ".bvec", ".label", ".lock", ".tmp", ".bak",
)  # fmt: skip
"""Suffixes of files next to images that are not images."""

_JUNK = ("__macosx", "__pycache__", "@eadir")
"""Folders left by operating systems, next to hidden files, Thumbs.db and desktop.ini; lower case."""


def open_images(folder: str | Path) -> dict[str, Path]:
    """The image files of a folder by case id, sorted; hidden files and notes are skipped."""
    files, folders = _listing(Path(folder), "images")
    if not files:
        beside = f" (only the folder {folders[0].name})" if folders else ""
        raise MissingDataError(
            f"{folder} holds no images{beside}: expected files such as <case>.png or <case>.nii.gz"
        )
    return files


def open_labels(
    path: str | Path,
    *,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Spacing = None,
) -> LabelFolder:
    """Detect the label format of a folder.

    Sub-folders hold one boolean map per class (`ignore` marks unannotated pixels). Files directly in the
    folder are integer maps; class names come from `classes`, else from a dataset.json in the folder or its
    parent, else from the values in the files. Value 0 is background unless named as a class
    (`{"road": 0, ...}`).
    If all files hold only 0 and 255, they read as 0 and 1 and are written back as 0 and 255.

    Files whose palettes give one value different colours are refused.

    Cost: sub-folders are only listed, and headers read for palettes. Named integer maps are read up to the
    first file with a value other than 0 and 255; unnamed ones are all read once.

    Args:
        path: the folder.
        classes: name -> value; for sub-folders, selects and orders them by value.
        ignore: value of unannotated pixels in integer maps.
        spacing_mm: spacing in mm for files that store none.

    Raises:
        MissingDataError, DataError: no labels, files mixed with folders, a duplicate case, a missing mask.
        ConfigError, LabelValueError: names and values do not match.
    """
    path = Path(path)
    files, folders = _listing(path, "labels")
    if files and folders:
        raise DataError(
            f"{path} holds both files ({min(files.values()).name}) and folders ({folders[0].name}): "
            "expected integer maps, or one folder per class"
        )
    if folders:
        _check_no_raters(path, folders)
        return _open_class_folders(path, folders, classes, ignore, spacing_mm)
    if not files:
        raise MissingDataError(f"{path} holds no labels: expected <case>.<ext>, or <class>/<case>.<ext>")
    check_palettes(files.values())
    names = _names(path, files, classes, ignore)
    return LabelFolder(
        path,
        names.classes,
        overlapping=False,
        values=names.values,
        ignore=names.ignore,
        files={case: (file,) for case, file in files.items()},
        spacing_mm=spacing_mm,
        stored_foreground=names.stored_foreground,
        background=names.background,
    )


def read_case_list(path: str | Path) -> tuple[str, ...]:
    """Case ids from a text file, one per line; blank lines, # comments and file suffixes are dropped.

    Raises:
        DataError: a case is listed twice, or the list is empty.
    """
    lines = read_text(path).splitlines()
    entries = [line.split(" #")[0].strip() for line in lines if not line.lstrip().startswith("#")]
    cases = [case_id(entry) if suffix_of(entry) else entry for entry in entries if entry]
    cases = [unicodedata.normalize("NFC", case) for case in cases]
    twice = next((case for case, count in Counter(cases).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path} lists case {twice} twice: remove one of the lines")
    if not cases:
        raise DataError(f"{path} lists no cases: expected one case id per line")
    return tuple(cases)


def _names(
    path: Path, files: Mapping[str, Path], classes: Mapping[str, int] | None, ignore: int | None
) -> Names:
    if classes is not None:
        return with_255_as_1(names_given(classes, ignore, "classes"), files.values())
    written = names_in_json(path)
    if written is not None:
        return with_255_as_1(names_given(written[0], ignore, str(written[1])), files.values())
    check_background(files.values(), ignore)
    return names_found(files.values(), ignore, path)


def _open_class_folders(
    path: Path,
    folders: list[Path],
    classes: Mapping[str, int] | None,
    ignore: int | None,
    spacing_mm: Spacing,
) -> LabelFolder:
    if ignore is not None:
        raise ConfigError(
            f"got an ignore value ({ignore}), but {path} has one folder per class: "
            f"mark the pixels to ignore in boolean maps in {path / IGNORE_FOLDER}"
        )
    names = [folder.name for folder in folders if folder.name != IGNORE_FOLDER]
    if classes is not None:
        zero = class_of_zero(classes, "classes")
        if zero is not None:
            raise ConfigError(
                f"class {zero!r} has the value 0, but {path} has one folder per class, where 0 means none of "
                "them: give it a positive value, or leave it out"
            )
        wanted = sorted(
            (n for n in classes if classes[n] != 0 and n != IGNORE_FOLDER), key=lambda n: classes[n]
        )
        missing = [name for name in wanted if name not in names]
        if missing:
            raise MissingDataError(
                f"{path} has no folder for class {missing[0]!r}; it has {', '.join(names)}"
            )
        names = wanted
    if not names:
        raise MissingDataError(
            f"{path} holds no class: expected one folder per class next to {IGNORE_FOLDER}/"
        )
    per_class = {name: _listing(path / name, "labels")[0] for name in names}
    for found in per_class.values():
        check_palettes(found.values(), only_zero=True)
    ignored = _listing(path / IGNORE_FOLDER, "labels")[0] if (path / IGNORE_FOLDER).is_dir() else {}
    cases = sorted(set().union(*per_class.values(), ignored))
    for case in cases:
        for name, found in per_class.items():
            if case not in found:
                other = next((f[case] for f in (*per_class.values(), ignored) if case in f), path)
                raise MissingDataError(
                    f"case {case} has {other} but no file in {path / name}: add it, empty if need be"
                )
    if not cases:
        raise MissingDataError(f"{path / names[0]} holds no labels: expected files such as <case>.png")
    files = {case: tuple(per_class[name][case] for name in names) for case in cases}
    return LabelFolder(path, tuple(names), True, None, None, files, ignored, spacing_mm)


def _check_no_raters(path: Path, folders: list[Path]) -> None:
    """Raise an error if the sub-folders belong to annotators and are label folders themselves."""
    marks = ("dataset.json", "manifest.jsonl")
    inner = [p for p in folders if any((p / name).is_file() for name in marks)]
    nested = [p for p in folders if any(q.is_dir() and not q.name.startswith(".") for q in _entries(p))]
    raters = inner or (nested if len(nested) == len(folders) else [])
    if raters:
        raise DataError(
            f"{path} holds the label folders of several annotators ({listed([p.name for p in folders])}), "
            f"not one folder per class: pass one of them, such as {raters[0]}"
        )


def _listing(folder: Path, kind: str) -> tuple[dict[str, Path], list[Path]]:
    """Data files by case, and sub-folders, both sorted; hidden files, junk and notes are skipped."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise MissingDataError(f"{folder} {what}: expected a folder of {kind}")
    files: dict[str, Path] = {}
    folders: list[Path] = []
    for path in _entries(folder):
        if path.name.startswith(".") or path.name.lower() in _JUNK or _beside(path):
            continue
        _check_name(path)
        if path.is_dir():
            folders.append(path)
            continue
        form = format_of(path)
        if kind == "labels" and form.labels is None:
            raise LabelValueError(f"{path}: {form.name} cannot store labels, {form.no_labels}")
        case = case_id(path)
        if case in files:
            alike = unicodedata.normalize("NFC", path.name) == unicodedata.normalize("NFC", files[case].name)
            spelled = " (the names look alike but differ in their characters, NFC and NFD)" if alike else ""
            raise DataError(f"case {case} has two files, {files[case]} and {path}{spelled}: remove one")
        files[case] = path
    return dict(sorted(files.items())), folders


def _entries(folder: Path) -> list[Path]:
    """The sorted entries of a folder, or an error."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UnreadableFileError(
            f"{folder} cannot be listed ({error.strerror}): check the folder and its permissions"
        ) from error


def _beside(path: Path) -> bool:
    """Whether a file is known not to be an image, such as notes and tables."""
    return path.suffix.lower() in _NO_DATA and not suffix_of(path) and not path.is_dir()


def _check_name(path: Path) -> None:
    """Raise an error for file names that are not UTF-8, which tables and pages cannot show."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{str(path)!a} has a name that is not valid UTF-8: rename it (convmv renames whole folders)"
        ) from error
