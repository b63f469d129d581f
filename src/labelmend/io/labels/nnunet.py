"""nnU-Net v2 raw datasets: label maps, images by channel, and dataset.json.

    DatasetXXX_Name/dataset.json
    DatasetXXX_Name/imagesTr/<case>_0000<ending>   one file per channel (_0001 and so on)
    DatasetXXX_Name/labelsTr/<case><ending>        integer maps

Source: documentation/dataset_format.md, region_based_training.md and ignore_label.md of nnU-Net v2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import ConfigError, DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.reading import as_count, read_json
from labelmend.io.images.formats import FORMATS, Spacing, case_id
from labelmend.io.labels.class_names import class_of_zero, names_given
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.nnunet_regions import RegionFolder
from labelmend.io.labels.open_labels import open_images, open_labels
from labelmend.runtime.text import listed

DATASET_JSON, IMAGES, LABELS = "dataset.json", "imagesTr", "labelsTr"

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_ONE_FILE_COLOURS = (".png", ".bmp", ".tif")


@dataclass(frozen=True, eq=False)
class NnunetInfo:
    """Facts about a raw dataset other than its labels.

    Args:
        root: folder of dataset.json.
        file_ending: file name ending of images and labels.
        channel_names: names of the image channels, in order.
        regions: whether classes are regions, sets of integers.
        content: dataset.json, unchanged.
        notes: sentences on inconsistencies and how they were resolved.
    """

    root: Path
    file_ending: str
    channel_names: tuple[str, ...]
    regions: bool
    content: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def is_nnunet(path: str | Path) -> bool:
    """Whether a folder is an nnU-Net raw dataset, or its labelsTr or labelsTs."""
    path = Path(path)
    if path.name in (LABELS, "labelsTs") and (path.parent / DATASET_JSON).is_file():
        return True
    return (path / DATASET_JSON).is_file() and (path / LABELS).is_dir()


def open_nnunet(
    path: str | Path, *, spacing_mm: Spacing = None
) -> tuple[LabelFolder, dict[str, tuple[Path, ...]], NnunetInfo]:
    """Open a raw dataset; reads dataset.json and lists files.

    Args:
        path: the folder of dataset.json, or its labelsTr.
        spacing_mm: spacing for files that store none; TIFF stacks have it in a .json next to each.

    Returns:
        The labels (a `RegionFolder` of overlapping classes if classes are regions, otherwise exclusive ones);
        the channel files by case; and the other facts.

    Raises:
        MissingDataError, UnreadableFileError: no dataset, or in a format that labelmend does not read.
        ConfigError: names, regions or an ignore value that nnU-Net would refuse.
        DataError: channels of a case are missing.
    """
    path = Path(path)
    if not is_nnunet(path):
        raise MissingDataError(
            f"{path} is not an nnU-Net raw dataset: expected it to contain {DATASET_JSON}, {IMAGES} and "
            f"{LABELS}, like nnUNet_raw/Dataset005_Prostate"
        )
    root, folder = (path, path / LABELS) if (path / DATASET_JSON).is_file() else (path.parent, path)
    content = _content(root / DATASET_JSON)
    ending = _file_ending(content, folder)
    spacing, notes = _spacing_beside(folder, ending) if spacing_mm is None else (spacing_mm, [])
    labels = _labels(folder, root / DATASET_JSON, content, spacing)
    names = _channel_names(content)
    images = _images(root / folder.name.replace("labels", "images"), labels, names, ending, notes)
    info = NnunetInfo(root, ending, names, isinstance(labels, RegionFolder), content, tuple(notes))
    return labels, images, info


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise UnreadableFileError(
            f'{path} has no "labels": expected for example {{"background": 0, "liver": 1}}'
        )
    if "dataset" in content:
        raise ConfigError(
            f'{path} lists the files of each case (key "dataset"), which is not supported: put the files, or '
            f"links to them, into {IMAGES} and {LABELS}"
        )
    return content


def _file_ending(content: Mapping[str, Any], folder: Path) -> str:
    """The file ending of images and labels, from the labels if an old dataset.json does not give it."""
    ending = content.get("file_ending")
    if ending is None:
        first = next((p.name for p in sorted(folder.iterdir()) if not p.name.startswith(".")), "")
        ending = first[len(case_id(first)) :]
    form = FORMATS.get(str(ending).lower())
    if form is None or form.labels is None:
        able = ", ".join(suffix for suffix, form in FORMATS.items() if form.labels)
        raise UnreadableFileError(
            f"{folder} holds files ending in {ending!r}, which labelmend cannot read: convert images and "
            f"labels to one of {able}"
        )
    return str(ending)


def _labels(folder: Path, source: Path, content: Mapping[str, Any], spacing: Spacing) -> LabelFolder:
    names = _integers(source, content["labels"])
    ignore = names.pop("ignore", (None,))[0]
    values = {value for region in names.values() for value in region}
    if ignore is not None and ignore <= max(values, default=0):
        raise ConfigError(f'{source}: "ignore" is {ignore}, but nnU-Net requires it to be the highest value')
    regions = {name: region for name, region in names.items() if region != (0,)}
    zeros = {name: 0 for name, region in names.items() if region == (0,)}
    zero = class_of_zero(zeros, str(source))
    if all(len(region) == 1 for region in regions.values()):
        classes = zeros | {name: region[0] for name, region in regions.items()}
        names_given(classes, ignore, str(source))
        return open_labels(folder, classes=classes, ignore=ignore, spacing_mm=spacing)
    if zero is not None:
        raise ConfigError(
            f"{source}: {zero!r} is 0, but with region classes 0 is what belongs to none of them: "
            'call it "background"'
        )
    found = open_labels(
        folder, classes={f"value {v}": v for v in sorted(values)}, ignore=ignore, spacing_mm=spacing
    )
    order = content.get("regions_class_order")
    if not isinstance(order, list) or not all(type(value) is int for value in order):
        raise ConfigError(
            f'{source} has region classes, so it needs "regions_class_order" with one value per class'
        )
    return RegionFolder(
        path=folder,
        classes=tuple(regions),
        overlapping=True,
        values=None,
        ignore=ignore,
        files=found.files,
        spacing_mm=spacing,
        regions=tuple(regions.values()),
        order=tuple(order),
    )


def _integers(source: Path, labels: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Class names with their integers; the old form, integers with their names, is inverted."""
    if all(as_count(key) is not None and isinstance(name, str) for key, name in labels.items()):
        labels = {name: int(key) for key, name in labels.items()}
    found = {}
    for name, value in labels.items():
        region = tuple(value) if isinstance(value, list) else (value,)
        if not region or any(type(v) is not int or not 0 <= v < 2**63 for v in region):
            raise ConfigError(
                f"{source}: class {name!r} is {value!r}, expected a non-negative integer, or a list of them"
            )
        found[name] = region
    if len(found.get("ignore", (0,))) != 1:
        raise ConfigError(f'{source}: "ignore" is {labels["ignore"]!r}, expected one integer')
    return found


def _channel_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Channel names in order, also from the key of earlier versions."""
    names = content.get("channel_names", content.get("modality", {}))
    if not isinstance(names, dict):
        return ()
    return tuple(str(names[key]) for key in sorted(names, key=lambda k: (len(str(k)), str(k))))


def _spacing_beside(folder: Path, ending: str) -> tuple[Spacing, list[str]]:
    """Spacing of TIFF stacks from <case>.json next to them, if it is the same for all."""
    if ending.lower() not in (".tif", ".tiff"):
        return None, []
    found: set[tuple[float, ...]] = set()
    stacks = [path for path in sorted(folder.iterdir()) if path.name.endswith(ending)]
    beside = [path.with_name(f"{path.name[: -len(ending)]}.json") for path in stacks]
    if any(path.is_file() for path in beside) and not all(path.is_file() for path in beside):
        found.add((1.0, 1.0, 1.0))  # what nnU-Net assumes
    for path in filter(Path.is_file, beside):
        try:
            found.add(tuple(float(s) for s in read_json(path)["spacing"]))
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise UnreadableFileError(f'{path} gives no "spacing": expected three numbers in mm') from error
    if len(found) > 1:
        return None, ["The .json files next to the cases give different spacings, so lengths are in pixels."]
    return next(iter(found), None), []


def _images(
    folder: Path, labels: LabelFolder, names: tuple[str, ...], ending: str, notes: list[str]
) -> dict[str, tuple[Path, ...]]:
    """Channel files in order for each labelled case; inconsistencies are added to the notes."""
    found: dict[str, list[Path]] = {}
    if not folder.is_dir() or not any(folder.iterdir()):
        notes.append(f"{folder} contains no images.")
        return {}
    for stem, path in sorted(open_images(folder).items()):
        match = _CHANNEL.fullmatch(stem)
        if match and path.name.endswith(ending):
            found.setdefault(match[1], []).append(path)
    absent = [case for case in labels.cases if case not in found]
    extra = [case for case in found if case not in labels.files]
    if absent:
        notes.append(f"Cases without an image in {folder}: {listed(absent)}.")
    if extra:
        notes.append(f"Cases in {folder} without labels, left out: {listed(extra)}.")
    images = {case: tuple(found[case]) for case in labels.cases if case in found}
    for case, files in images.items():
        colours = len(files) == 1 and len(names) in (3, 4) and ending.lower() in _ONE_FILE_COLOURS
        numbers = [file.name[: -len(ending)][-4:] for file in files]
        expected = [f"{i:04d}" for i in range(len(files) if colours or not names else len(names))]
        if numbers != expected:
            raise DataError(
                f"case {case} has the channels {', '.join(numbers)} in {folder}, expected "
                f"{', '.join(expected)}: {DATASET_JSON} names {', '.join(names) or 'none'}"
            )
    return images
