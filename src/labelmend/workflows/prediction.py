"""Segment a folder of images with a finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelmend.errors import GeometryError, MissingDataError
from labelmend.io import Image, new_label_name, open_images, read_image, write_new_labels
from labelmend.io.cases import named_cases
from labelmend.model.config import Device
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.types import BoolArray

if TYPE_CHECKING:
    from torch import nn

    from labelmend.model.predictor import Predictor


def segment(
    run: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    correct: bool = False,
    cases: str | Path | Sequence[str] | None = None,
    network: nn.Module | None = None,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> list[Path]:
    """Write a label file for every image, on the grid of the image.

    Overlapping classes go to `out/<class>/<case>`, exclusive ones to `out/<case>` with the values of
    training. Every image is read before the first mask is written; `out` appears whole or not at all.

    Args:
        run: folder of a finished run.
        images: folder of images.
        out: new or empty folder.
        correct: correct the boundary bias that the run measured on its trusted cases.
        cases: only these images: ids, or a text file of them.
        network: the trained module, if you passed your own.
        device: "auto" uses a GPU if available, "cpu" does not.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Returns:
        The files written.
    """
    out = Path(out)
    check_output(out, folders=[Path(images)])
    files = open_images(images)
    if cases is not None:
        wanted = named_cases(cases)
        absent = [case for case in wanted if case not in files]
        if absent:
            raise MissingDataError(f"{images} has no image of the case {absent[0]!r}: check the case ids")
        files = {case: files[case] for case in wanted}
    import torch

    from labelmend.model.predictor import load_predictor

    found = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    predictor = load_predictor(run, network=network, device=found)
    if correct:
        predictor.correction()
    for path in files.values():
        _check_image(predictor, path)
    count, written = counter(progress, "segmenting"), list[Path]()
    with whole_folder(out) as folder:
        for case, path in files.items():
            masks = predictor.masks(image_of(predictor, path), correct=correct)
            written += write_predicted_masks(predictor, masks, folder, path)
            count(case, len(files))
    return [out / path.relative_to(folder) for path in written]


def image_of(predictor: Predictor, path: Path) -> Image:
    """An image as stored; a per-axis spacing refers to the axes in the training orientation."""
    spacing = predictor.card.spacing_mm
    image = read_image(path, spacing)
    if not isinstance(spacing, tuple):
        return image
    turn = predictor.turn(image.grid)
    given = dataclasses.replace(turn.grid(image.grid), spacing_mm=spacing)
    return Image(image.array, turn.inverse().grid(given))


def _check_image(predictor: Predictor, path: Path) -> None:
    """Name the file that is unreadable or differs from the training images."""
    try:
        predictor.check(image_of(predictor, path))
    except GeometryError as error:
        raise GeometryError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def write_predicted_masks(predictor: Predictor, masks: BoolArray, out: Path, image: Path) -> list[Path]:
    """Write the masks of one image in the format of the training labels."""
    card, name = predictor.card, new_label_name(image)
    if not card.overlapping:
        values = card.values or tuple(range(1, len(card.classes) + 1))
        array = np.zeros(masks.shape[1:], np.int64)
        for value, mask in zip(values, masks, strict=True):
            array[mask] = value
        write_new_labels(out / name, array, image)
        return [out / name]
    shown = 1 if name.endswith((".nii", ".nii.gz")) else 255
    for class_name, mask in zip(card.classes, masks, strict=True):
        write_new_labels(out / class_name / name, mask * np.uint8(shown), image)
    return [out / class_name / name for class_name in card.classes]
