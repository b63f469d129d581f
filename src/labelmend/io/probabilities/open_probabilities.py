"""Detect how a folder stores a model's probabilities.

    DIR/<case>.npz               nnU-Net v2 (`nnUNetv2_train ... --npz`, fold_k/validation), or any one array
    DIR/fold_k/validation/*.npz  all folds at once, if DIR is the folder of a trainer
    DIR/<case>.npy               channels first; memory-mapped
    DIR/<class>/<case>.<ext>     one PNG, TIFF or NIfTI per class; background implied, or in `background/`

nnU-Net's file names and locations: its documentation/how-to/train-models.md, and nnunetv2/inference/
export_prediction.py, which saves float16 or float32 `probabilities` on the grid of the original image.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.reading import read_json
from labelmend.io.labels.open_labels import open_images
from labelmend.io.probabilities.axes import Order
from labelmend.io.probabilities.npz import ARRAY_SUFFIXES
from labelmend.io.probabilities.one_file_per_class import refuse_masks
from labelmend.io.probabilities.probability_folder import LabelSource, ProbabilityFolder
from labelmend.runtime.text import listed

BACKGROUND_FOLDER = "background"

MOST_LISTED = 50
"""Most cases that a message lists."""

_REORIENTING = ("NibabelIOWithReorient", "SimpleITKIOWithReorient")
_READERS = ("NaturalImage2DIO", "SimpleITKIO", "Tiff3DIO", "NibabelIO", *_REORIENTING)


def open_probabilities(
    path: str | Path,
    labels: LabelSource,
    *,
    cases: Sequence[str] | None = None,
    order: Order | Literal["auto"] = "auto",
) -> ProbabilityFolder:
    """Detect how a folder stores the probabilities for a label folder; reads none of them yet.

    Args:
        path: the folder, in a layout listed in the module docstring.
        labels: the labels that the probabilities belong to.
        cases: only these need probabilities; by default all cases of `labels`.
        order: axis order of arrays, if not as their names imply.

    Raises:
        MissingDataError: no folder, no probabilities, or a class or case lacks them.
        DataError: a duplicate case, or masks instead of probabilities.
    """
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise MissingDataError(f"{path} {what}: expected a folder of probabilities")
    wanted = labels.cases if cases is None else tuple(cases)
    arrays = _array_files(path)
    if arrays:
        reader, notes = _reader(path)
        found = ProbabilityFolder(
            path,
            "arrays",
            labels.classes,
            labels.overlapping,
            arrays,
            order=order,
            ras=reader in _REORIENTING,
            background=labels.background,
        )
    else:
        channels, pictures, notes = _class_files(path, labels)
        found = ProbabilityFolder(path, "pictures", labels.classes, labels.overlapping, pictures, channels)
    _check_cases(found, wanted, labels)
    extra = sorted(set(found.files) - set(labels.cases))
    if extra:
        notes.append(f"Cases with probabilities but without labels, left out: {listed(extra, MOST_LISTED)}.")
    files = {case: found.files[case] for case in sorted(set(wanted))}
    if not arrays:
        refuse_masks(list(files.values()))
    return dataclasses.replace(found, files=files, notes=tuple(notes))


def _array_files(path: Path) -> dict[str, tuple[Path, ...]]:
    """Arrays by case: those in the folder, else those in its folds."""
    folds = sorted(p for p in path.glob("fold_*/validation") if p.parent.name[5:].isdigit())
    for folders in ([path], folds):
        found: dict[str, tuple[Path, ...]] = {}
        for file in (file for folder in folders for file in sorted(folder.iterdir())):
            if file.name.startswith(".") or file.suffix.lower() not in ARRAY_SUFFIXES or not file.is_file():
                continue
            case = unicodedata.normalize("NFC", file.stem)
            if case in found:
                raise DataError(
                    f"case {case} has probabilities twice, {found[case][0]} and {file}: remove one"
                )
            found[case] = (file,)
        if found:
            return found
    return {}


def _reader(path: Path) -> tuple[str, list[str]]:
    """Whether nnU-Net reoriented the images, according to plans.json in or above the folder, and notes."""
    here = path.absolute()
    notes = []
    if "fold_all" in here.parts:
        notes.append(
            f"{path} belongs to fold_all, which was trained on all cases: its probabilities are not "
            "out-of-sample, so errors that the network memorised will be missed."
        )
    plans = next((p for d in (here, *here.parents[:2]) if (p := d / "plans.json").is_file()), None)
    if plans is None:
        return "", notes
    try:
        content = read_json(plans)
    except UnreadableFileError:
        content = {}
    reader = str(content.get("image_reader_writer", "")) if isinstance(content, dict) else ""
    if reader and reader not in _READERS:
        notes.append(f"{plans} names the unknown reader {reader}: its axes are assumed to be SimpleITK's.")
    return reader, notes


def _class_files(
    path: Path, labels: LabelSource
) -> tuple[tuple[str, ...], dict[str, tuple[Path, ...]], list[str]]:
    """Channels, files by case in that order, and notes."""
    there = {p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")}
    absent = [name for name in labels.classes if name not in there]
    if absent:
        raise MissingDataError(
            f"{path} holds no .npz or .npy, and no folder for class {absent[0]!r} (its folders: "
            f"{listed(sorted(there)) or 'none'}): expected <case>.npz, <case>.npy or <class>/<case>.png. "
            "nnU-Net saves probabilities with `nnUNetv2_train DATASET CONFIGURATION FOLD --val --npz`"
        )
    notes = []
    channels = labels.classes
    zero = labels.background or BACKGROUND_FOLDER
    if zero in there and zero not in labels.classes:
        if labels.overlapping:
            notes.append(f"{path / zero} is not used, since the classes overlap.")
        else:
            channels = (zero, *channels)
    found = {name: open_images(path / name) for name in channels}
    somewhere = set().union(*found.values())
    for name, files in found.items():
        lacking = [case for case in labels.cases if case in somewhere and case not in files]
        if lacking:
            raise MissingDataError(
                f"case {lacking[0]} has probabilities below {path}, but none in {path / name}: add the file"
            )
    cases = set.intersection(*(set(files) for files in found.values()))
    return channels, {case: tuple(found[name][case] for name in channels) for case in cases}, notes


def _check_cases(found: ProbabilityFolder, wanted: Sequence[str], labels: LabelSource) -> None:
    missing = sorted(set(wanted) - found.files.keys())
    if missing:
        raise MissingDataError(
            f"{len(missing)} of {len(wanted)} cases of {labels.path} have no probabilities in {found.path}: "
            f"{listed(missing, MOST_LISTED)}. Predict them too (for nnU-Net, pass the folder that "
            "contains all folds), or select cases (--cases: ids, or a text file of them)"
        )
