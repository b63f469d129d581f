"""The output folder of `seed`: new, empty, or holding unmodified masks of an earlier run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from labelmend.errors import MissingDataError, OutputError
from labelmend.io import checksum, new_label_name, read_manifest
from labelmend.runtime.output_folder import check_output

SUMMARY, MANIFEST, PAGE, NAMES = "summary.json", "manifest.jsonl", "report.html", "labels/dataset.json"
LABELS, SCORES, HEAT = "labels", "scores", "heat"
METHOD = "pseudo_masks"
OWN = (SUMMARY, MANIFEST, PAGE, LABELS, SCORES, HEAT)


def label_file(image: Path) -> str:
    """Path of a case's mask, relative to the folder."""
    return f"{LABELS}/{new_label_name(image)}"


def scores_file(case: str) -> str:
    """Path of a case's scores, relative to the folder."""
    return f"{SCORES}/{case}.npz"


def heat_file(case: str) -> str:
    """Path of a case's maps for the report, relative to the folder."""
    return f"{HEAT}/{case}.npz"


def check_seed_folder(out: Path, images: Path, tags: Path, files: Mapping[str, Path]) -> None:
    """Check that a folder holds nothing but unmodified output of an earlier run.

    Args:
        out: the folder; not modified.
        images: folder of the images.
        tags: the tag table.
        files: image file of each case.

    Raises:
        OutputError: the folder is occupied, is inside the image folder, or holds masks that were edited.
    """
    check_output(out, OWN, folders=[images], files=[tags])
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
                f"case {row.case} in {out} was edited after it was written and would be overwritten: choose "
                "another folder"
            )


def _whole(path: Path) -> Path:
    """The final path of a partially written file."""
    return path.with_name(path.name.removeprefix(".part-"))


def _below(out: Path, found: Iterable[Path]) -> str:
    return next(iter(found)).relative_to(out).as_posix()
