"""Read a whole dataset once before anything expensive starts, and report the first error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from labelmend.errors import GeometryError, LabelValueError
from labelmend.io.images.formats import decode_image, read_bytes
from labelmend.io.images.orientation_tag import turned_apart
from labelmend.io.labels.dataset import Dataset
from labelmend.io.labels.label_folder import grid_difference


@dataclass(frozen=True)
class DatasetFacts:
    """Facts gathered from one pass over a dataset.

    Args:
        n_cases: number of cases.
        n_channels: image channels, the same in every case.
        ndim: 2 or 3, the same in every case.
        class_frequency: per class, fraction of annotated pixels that belong to it.
        checksums: per case, "sha256:..." of the image file.
        case_shapes: per case, the shape of its image.
    """

    n_cases: int
    n_channels: int
    ndim: int
    class_frequency: tuple[float, ...]
    checksums: dict[str, str]
    case_shapes: Mapping[str, tuple[int, ...]]

    @property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """The distinct image shapes."""
        return frozenset(self.case_shapes.values())


def check_dataset(
    dataset: Dataset, on_case: Callable[[str], None] = lambda case: None, *, every_class: bool = True
) -> DatasetFacts:
    """Read every image and label file once and check that they can be used for training.

    Args:
        dataset: as opened by `open_dataset`.
        on_case: called with each case id that passes, for progress.
        every_class: whether each class must occur in some case; otherwise one class is enough.

    Raises:
        UnreadableFileError: a file is truncated or damaged.
        GeometryError: image and labels differ in shape, spacing or affine; cases differ in channels or axes.
        LabelValueError: NaN or infinite pixels, a value of no class, a class absent from every case.
    """
    checksums: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    counts = np.zeros(len(dataset.labels.classes), np.int64)
    annotated = 0
    first: tuple[str, tuple[int, int]] | None = None
    for case in dataset.cases:
        path = dataset.images[case]
        data = read_bytes(path)
        checksums[case] = "sha256:" + hashlib.sha256(data).hexdigest()
        image = dataset.turned(decode_image(path, data, dataset.spacing_mm))
        labels = dataset.read_labels(case)
        source = dataset.labels.sources(case)[0]
        turned = turned_apart(image.grid, labels.grid)
        if turned:
            raise GeometryError(f"case {case}, {path} and {source}: {turned}")
        problem = grid_difference(image.grid, labels.grid)
        if problem:
            raise GeometryError(
                f"case {case}: image {path} and labels {source} differ in {problem}: resample one of them"
            )
        kind = (image.array.shape[0], image.grid.ndim)
        first = first or (case, kind)
        if kind != first[1]:
            raise GeometryError(
                f"case {case}: {path} has {kind[0]} channels in {kind[1]}-D, but case {first[0]} has "
                f"{first[1][0]} channels in {first[1][1]}-D: all cases must match"
            )
        shapes[case] = image.grid.shape
        valid = ~labels.ignored()
        annotated += int(valid.sum())
        counts += [int(np.count_nonzero(labels.mask(name) & valid)) for name in labels.classes]
        on_case(case)
    if first is None:
        raise LabelValueError(f"{dataset.root}: no cases were selected")
    for name, count in zip(dataset.labels.classes, counts, strict=True):
        if count == 0 and (every_class or not counts.any()):
            raise LabelValueError(
                f"class {name} is absent from all {len(dataset.cases)} cases of {dataset.labels.path}: "
                "correct the class names and values, or leave the class out"
            )
    frequency = tuple(float(count) / annotated for count in counts)
    return DatasetFacts(len(dataset.cases), *first[1], frequency, checksums, shapes)
