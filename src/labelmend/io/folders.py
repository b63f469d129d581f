"""What lies in a folder: images, labels of either kind, and lists of cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labelmend.errors import ConfigError, DataError, LabelValueError, MissingDataError
from labelmend.io.base import Spacing, case_id, format_of, suffix_of
from labelmend.io.label_folder import LabelFolder
from labelmend.io.names import Names, names_found, names_given, names_in_json, with_255_as_1
from labelmend.io.reading import read_text

IGNORE_FOLDER = "ignore"
_NO_DATA = (".json", ".jsonl", ".txt", ".md", ".csv", ".tsv", ".yaml", ".yml", ".html", ".db", ".ini")


def open_images(folder: str | Path) -> dict[str, Path]:
    """The image files of a folder by case id, sorted; hidden files and notes are passed over."""
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
    """Find out how a folder keeps its labels.

    Sub-folders hold one boolean map a class (`ignore` among them: pixels nobody annotated). Files are integer
    maps, named by `classes`, else by a dataset.json in the folder or its parent, else by the values found.
    If the files of a folder together hold nothing but 0 and 255, they read as 0 and 1 and are written back as
    0 and 255.

    Cost: sub-folders are only listed. Named integer maps are read up to the first file that holds a value
    other than 0 and 255; unnamed ones are all read once.

    Args:
        path: the folder.
        classes: name -> value; for sub-folders, picks them and puts them in the order of the values.
        ignore: value of unannotated pixels in integer maps.
        spacing_mm: spacing in mm for files that store none.

    Raises:
        MissingDataError, DataError: nothing there, files and folders mixed, one case twice, a mask missing.
        ConfigError, LabelValueError: names and values that do not fit.
    """
    path = Path(path)
    files, folders = _listing(path, "labels")
    if files and folders:
        raise DataError(
            f"{path} holds both files ({min(files.values()).name}) and folders ({folders[0].name}): "
            "expected integer maps, or one folder a class"
        )
    if folders:
        return _open_class_folders(path, folders, classes, ignore, spacing_mm)
    if not files:
        raise MissingDataError(f"{path} holds no labels: expected <case>.<ext>, or <class>/<case>.<ext>")
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
    )


def read_case_list(path: str | Path) -> tuple[str, ...]:
    """Case ids from a text file: one a line, blank lines and # comments passed over, file suffixes dropped.

    Raises:
        DataError: a case is listed twice, or none at all.
    """
    lines = read_text(path).splitlines()
    entries = [line.split(" #")[0].strip() for line in lines if not line.lstrip().startswith("#")]
    cases = [case_id(entry) if suffix_of(entry) else entry for entry in entries if entry]
    twice = next((case for i, case in enumerate(cases) if case in cases[:i]), None)
    if twice is not None:
        raise DataError(f"{path} lists case {twice} twice: remove one of the lines")
    if not cases:
        raise DataError(f"{path} lists no case: expected one case id a line")
    return tuple(cases)


def _names(
    path: Path, files: Mapping[str, Path], classes: Mapping[str, int] | None, ignore: int | None
) -> Names:
    if classes is not None:
        return with_255_as_1(names_given(classes, ignore, "classes"), files.values())
    written = names_in_json(path)
    if written is not None:
        return with_255_as_1(names_given(written[0], ignore, str(written[1])), files.values())
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
            f"a value to ignore ({ignore}) was given, but {path} has one folder a class: "
            f"put the pixels to ignore into boolean maps in {path / IGNORE_FOLDER}"
        )
    names = [folder.name for folder in folders if folder.name != IGNORE_FOLDER]
    if classes is not None:
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
        raise MissingDataError(f"{path} holds no class: expected one folder a class beside {IGNORE_FOLDER}/")
    per_class = {name: _listing(path / name, "labels")[0] for name in names}
    ignored = _listing(path / IGNORE_FOLDER, "labels")[0] if (path / IGNORE_FOLDER).is_dir() else {}
    cases = sorted(set().union(*per_class.values(), ignored))
    for case in cases:
        for name, found in per_class.items():
            if case not in found:
                other = next((f[case] for f in (*per_class.values(), ignored) if case in f), path)
                raise MissingDataError(
                    f"case {case} has {other} but no file in {path / name}: add an empty mask"
                )
    if not cases:
        raise MissingDataError(f"{path / names[0]} holds no labels: expected files such as <case>.png")
    files = {case: tuple(per_class[name][case] for name in names) for case in cases}
    return LabelFolder(path, tuple(names), True, None, None, files, ignored, spacing_mm)


def _listing(folder: Path, kind: str) -> tuple[dict[str, Path], list[Path]]:
    """Data files by case and sub-folders of a folder, both sorted; hidden ones and notes are passed over."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise MissingDataError(f"{folder} {what}: expected a folder of {kind}")
    files: dict[str, Path] = {}
    folders: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")) or path.suffix.lower() in _NO_DATA:
            continue
        if path.is_dir():
            folders.append(path)
            continue
        form = format_of(path)
        if kind == "labels" and form.labels is None:
            raise LabelValueError(f"{path}: labels cannot be kept in {form.name}, {form.no_labels}")
        if case_id(path) in files:
            raise DataError(
                f"case {case_id(path)} lies there twice, as {files[case_id(path)]} and {path}: remove one"
            )
        files[case_id(path)] = path
    return files, folders
