"""Corrected labels on disk, in the layout of the given ones: a label folder, a raw data set, a COCO file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from labelmend.errors import ConfigError, MissingDataError
from labelmend.io import LabelFolder, checksum, write_bytes, write_coco, write_json, write_nnunet
from labelmend.io.cases import AnySource, Source
from labelmend.io.images.formats import read_bytes
from labelmend.io.labels.coco import CocoLabels
from labelmend.io.labels.nnunet import LABELS
from labelmend.io.labels.nnunet_write import raw_name
from labelmend.types import LabelMap

FOLDER, COCO_FILE, NAMES = "labels", "labels.json", "dataset.json"


def home_of(source: Source, dataset: str | None) -> str:
    """Where corrected labels lie below OUT: the label folder, the raw data set, or the COCO file.

    Args:
        source: the given labels.
        dataset: name of the raw data set, DatasetXXX_Name; None: the name of the given one with "_mended" and
            the next number that is free beside it and where nnU-Net looks.

    Raises:
        ConfigError: a name for labels that are no raw data set, or one that nnU-Net does not find.
        MissingDataError: a raw data set without images, or not its training part.
    """
    if source.layout != "nnunet":
        if dataset is not None:
            raise ConfigError(
                f"a name for a raw data set of nnU-Net was given ({dataset}), but {source.labels} is none"
            )
        return COCO_FILE if source.layout == "coco" else FOLDER
    if source.given.path.name != LABELS:
        raise MissingDataError(
            f"{source.labels} holds no training labels: name the data set, or copy these labels and their "
            "classes (dataset.json) to a folder of their own"
        )
    if not source.image_files:
        raise MissingDataError(
            f"{source.labels} holds no images, and a new data set is nothing without: add them"
        )
    return raw_name(source.given.path.parent, dataset)


def write_labels(
    source: Source, place: Path, labels: Iterable[tuple[str, LabelMap]], *, copy_images: bool = False
) -> None:
    """Write changed labels, and all others as they are, byte for byte.

    Args:
        source: the given labels.
        place: what `home_of` names, in the folder to write to.
        labels: pairs of case and changed labels, taken one at a time.
        copy_images: copy the images of a raw data set instead of linking to them.
    """
    given = source.given
    if isinstance(given, CocoLabels):
        write_coco(place, given, labels)
    elif source.layout == "nnunet":
        write_nnunet(source.labels, place, labels, images="copy" if copy_images else "link")
    else:
        _write_folder(given, place, labels)


def _write_folder(given: LabelFolder, place: Path, labels: Iterable[tuple[str, LabelMap]]) -> None:
    changed = set()
    for case, revised in labels:
        given.write(place, case, revised)
        changed.add(case)
    for case in given.cases:
        if case not in changed:
            for origin, target in zip(given.sources(case), given.target(place, case), strict=True):
                write_bytes(target, read_bytes(origin))
    if not given.overlapping:
        write_json(place.parent / NAMES, given.dataset_json())


def files_of(source: Source, place: Path, case: str) -> tuple[Path, ...]:
    """The files that hold the labels of a case in what `write_labels` wrote."""
    if isinstance(source.given, CocoLabels):
        return (place,)
    return source.given.target(place / LABELS if source.layout == "nnunet" else place, case)


def parent_of(source: Source, case: str) -> tuple[str, str]:
    """Where the labels of a case come from, and the checksum of the files."""
    files = source.label_files(case)
    overlapping = len(files) > 1 and isinstance(source.given, LabelFolder)
    return str(source.given.path if overlapping else files[0]), checksum(*files)


def ignore_value(source: AnySource) -> int | None:
    """The integer that can mark pixels to leave out in what is written, None if there is none."""
    given = source.given
    return None if isinstance(given, CocoLabels) or given.overlapping else given.ignore
