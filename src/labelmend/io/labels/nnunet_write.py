"""Write an nnU-Net raw dataset with other labels, ready for `nnUNetv2_plan_and_preprocess -d XXX`.

Source: documentation/dataset_format.md of nnU-Net v2, and the checks of nnUNetv2_plan_and_preprocess
--verify_dataset_integrity (nnunetv2/experiment_planning/verify_dataset_integrity.py): a folder named
DatasetXXX_Name with a unique number, the keys labels, channel_names, numTraining and file_ending, one label
file for every case in imagesTr, and numTraining such cases.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labelmend.errors import ConfigError, DataError, MissingDataError
from labelmend.io.files.atomic import whole_file, write_json
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.nnunet import DATASET_JSON, IMAGES, LABELS, NnunetInfo, open_nnunet
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.types import LabelMap

Revised = LabelMap | Path
"""Labels to write, or the file that holds them."""

_NAME = re.compile(r"(Dataset\d{3})_(.+)")
_OF_VERSION_1 = ("modality", "training", "test", "numTest", "tensorImageSize")


def write_nnunet(
    source: str | Path,
    out: str | Path,
    labels: Mapping[str, Revised] | Iterable[tuple[str, Revised]],
    *,
    name: str | None = None,
    images: Literal["link", "copy"] = "link",
) -> Path:
    """Write a new raw dataset: revised labels where given, all other label files byte for byte.

    Test images and labels are not copied. The folder appears whole or not at all.

    Args:
        source: raw dataset, or a label folder in it.
        out: new folder, named DatasetXXX_Name as nnU-Net requires.
        labels: revised labels by case, or pairs of case and labels, consumed one at a time; a path means a
            label file to copy unchanged.
        name: "name" in dataset.json; defaults to the name in `out`.
        images: "link" creates symbolic links to the images, "copy" copies them.

    Returns:
        The folder.

    Raises:
        OutputError: `out` is not empty or is inside the dataset; disk full; not writable.
        ConfigError: a name or number that nnU-Net would not recognise.
        MissingDataError, DataError: labels of an unknown case, or twice for one; no images.
    """
    out = Path(out)
    source = Path(source)
    beside_json = (source.parent / DATASET_JSON).is_file() and not (source / DATASET_JSON).is_file()
    folder, files, info = open_nnunet(source.parent if beside_json else source)
    given_name = _checked_name(out, info)
    if not files:
        raise MissingDataError(f"{info.root / IMAGES} holds no images, which nnU-Net needs for training")
    with whole_folder(out) as place:
        _write_labels(folder, place / LABELS, labels.items() if isinstance(labels, Mapping) else labels)
        for paths in files.values():
            for path in paths:
                _bring(path, place / IMAGES / path.name, images)
        for path in _beside(info):
            _bring(path, place / path.relative_to(info.root), "copy")
        write_json(place / DATASET_JSON, _adjusted(info, name or given_name, len(files)))
    return out


def _checked_name(out: Path, info: NnunetInfo) -> str:
    """The dataset name in the name of its folder, or an error."""
    target = out.resolve()
    check_output(out, folders=[info.root])
    match = _NAME.fullmatch(target.name)
    if not match:
        raise ConfigError(
            f"nnU-Net would not recognise {out}: name the folder DatasetXXX_Name, such as Dataset501_Mended"
        )
    others = [p.name for p in target.parent.glob(f"{match[1]}_*") if p.name != target.name]
    if others:
        raise ConfigError(
            f"{target.parent} already holds {others[0]}, and nnU-Net allows one dataset per number: choose "
            f"a number other than {match[1][-3:]}"
        )
    return match[2]


def _write_labels(folder: LabelFolder, place: Path, labels: Iterable[tuple[str, Revised]]) -> None:
    """Write the label files of all cases: unchanged ones copied, others in the format of their source."""
    done: set[str] = set()
    for case, revised in labels:
        if case in done:
            raise DataError(f"case {case} has revised labels twice: pass only one")
        done.add(case)
        if case not in folder.files:
            raise MissingDataError(f"got revised labels for case {case}, which has none in {folder.path}")
        if isinstance(revised, Path):
            _copy(revised, folder.target(place, case)[0])
            continue
        given = folder.read(case)
        same = given.array.shape == revised.array.shape and np.array_equal(given.array, revised.array)
        if same and given.classes == revised.classes and given.overlapping == revised.overlapping:
            _copy(folder.files[case][0], folder.target(place, case)[0])
        else:
            folder.write(place, case, revised)
    for case in folder.cases:
        if case not in done:
            _copy(folder.files[case][0], folder.target(place, case)[0])


def _beside(info: NnunetInfo) -> list[Path]:
    """The .json files with the spacing next to TIFF stacks."""
    return [path for name in (IMAGES, LABELS) for path in sorted((info.root / name).glob("*.json"))]


def _bring(path: Path, target: Path, how: Literal["link", "copy"]) -> None:
    if how == "copy":
        _copy(path, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(path.resolve(), target)


def _copy(path: Path, target: Path) -> None:
    with whole_file(target) as temporary:
        shutil.copyfile(path, temporary)


def _adjusted(info: NnunetInfo, name: str, n_cases: int) -> dict[str, Any]:
    """dataset.json with the keys that nnU-Net v2 needs; labels keep their order, which regions rely on."""
    content = {key: value for key, value in info.content.items() if key not in _OF_VERSION_1}
    labels = content["labels"]
    if all(key.isdigit() and isinstance(value, str) for key, value in labels.items()):
        content["labels"] = {value: int(key) for key, value in labels.items()}
    channels = {str(i): channel for i, channel in enumerate(info.channel_names)}
    return {
        **content,
        "name": name,
        "channel_names": content.get("channel_names", channels),
        "numTraining": n_cases,
        "file_ending": info.file_ending,
    }


_RAW_NAME = re.compile(r"Dataset(\d{3})_(.+)")


_FIRST_NUMBER = 500


_HOMES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
"""Environment variables with nnU-Net's folders; a number must have one name across all of them."""


def raw_name(root: Path, dataset: str | None) -> str:
    """The name of a new raw dataset.

    Args:
        root: the given dataset.
        dataset: DatasetXXX_Name; None: the given name plus "_mended", with the next number that is free next
            to it and in nnU-Net's folders.

    Raises:
        ConfigError: a name that nnU-Net would not recognise, or no free number.
    """
    if dataset is not None:
        if not _RAW_NAME.fullmatch(dataset):
            raise ConfigError(
                f"nnU-Net would not recognise {dataset!r}: use DatasetXXX_Name, such as Dataset501_Mended"
            )
        return dataset
    match = _RAW_NAME.fullmatch(root.resolve().name)
    number, name = (int(match[1]), match[2]) if match else (_FIRST_NUMBER, root.resolve().name)
    homes = [root.resolve().parent, *(Path(os.environ[home]) for home in _HOMES if os.environ.get(home))]
    names = [path.name for home in homes if home.is_dir() for path in home.iterdir()]
    taken = {int(found[1]) for found in map(_RAW_NAME.fullmatch, names) if found}
    free = next((n for n in (*range(number + 1, 1000), *range(number)) if n not in taken), None)
    if free is None:
        raise ConfigError(f"all dataset numbers next to {root} are taken: name one with --dataset")
    return f"Dataset{free:03d}_{name}_mended"
