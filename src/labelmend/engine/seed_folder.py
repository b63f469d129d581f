"""The folder that `seed` writes: new, empty, or holding masks of an earlier call that nobody changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from labelmend.engine.result_folder import check_result_folder
from labelmend.errors import MissingDataError, OutputError
from labelmend.io import checksum, new_label_name, read_manifest

SUMMARY, MANIFEST, PAGE, NAMES = "summary.json", "manifest.jsonl", "report.html", "labels/dataset.json"
LABELS, SCORES, HEAT = "labels", "scores", "heat"
METHOD = "seed"


def label_file(image: Path) -> str:
    """Where the mask of a case lies below the folder."""
    return f"{LABELS}/{new_label_name(image)}"


def scores_file(case: str) -> str:
    """Where the scores of a case lie below the folder."""
    return f"{SCORES}/{case}.npz"


def heat_file(case: str) -> str:
    """Where the maps of a case that the report shows lie below the folder."""
    return f"{HEAT}/{case}.npz"


def check_seed_folder(out: Path, images: Path, tags: Path, files: Mapping[str, Path]) -> tuple[Path, ...]:
    """The files of an earlier run that may be replaced, after making sure that there is nothing else.

    Args:
        out: the folder; nothing is written to it.
        images: folder of the images.
        tags: the table of tags.
        files: image file of each case.

    Raises:
        OutputError: the folder is taken, lies among the images, or holds masks that were changed.
    """
    home = images.resolve()
    if home in (out.resolve(), *out.resolve().parents):
        raise OutputError(f"{out} lies in the folder of the images {images}: choose another folder")
    check_result_folder(out, (SUMMARY, MANIFEST, PAGE, LABELS, SCORES, HEAT), files=[tags])
    found = tuple(sorted(path for path in out.rglob("*") if path.is_file())) if out.exists() else ()
    if found and not (out / MANIFEST).is_file():
        raise OutputError(
            f"{out} already holds {_below(out, found)} and no {MANIFEST}: choose a new or empty folder"
        )
    rows = read_manifest(out / MANIFEST)
    strange = next((row.method for row in rows if row.method != METHOD), None)
    if strange is not None:
        raise OutputError(f"{out} holds masks of {strange!r}: choose a new or empty folder")
    own = {SUMMARY, MANIFEST, PAGE, NAMES, *(file for row in rows for file in row.files)}
    own |= {file for case, image in files.items() for file in (label_file(image), scores_file(case))}
    own |= {heat_file(case) for case in (*files, *(row.case for row in rows))}
    left = [path for path in found if _whole(path).relative_to(out).as_posix() not in own]
    if left:
        raise OutputError(f"{out} already holds {_below(out, left)}: choose a new or empty folder")
    for row in rows:
        try:
            same = checksum(*(out / file for file in row.files)) == row.checksum
        except MissingDataError:
            continue
        if not same:
            raise OutputError(
                f"case {row.case} in {out} was changed after it was written, and would be replaced: choose "
                "another folder"
            )
    return found


def clear(found: Iterable[Path]) -> None:
    """Remove the files that `check_seed_folder` found, the manifest last."""
    for path in sorted(found, key=lambda path: path.name == MANIFEST):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be removed ({error.strerror}): choose another folder"
            ) from error


def _whole(path: Path) -> Path:
    """The file that a half-written one was to become."""
    return path.with_name(path.name.removeprefix(".part-"))


def _below(out: Path, found: Iterable[Path]) -> str:
    return next(iter(found)).relative_to(out).as_posix()
