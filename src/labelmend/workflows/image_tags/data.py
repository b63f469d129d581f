"""Training data of `seed`: images on one training grid, their tags, and the held-out set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmend.errors import DataError, GeometryError
from labelmend.geometry.orientation import turn_to
from labelmend.geometry.resample import normalise, per_axis, resample
from labelmend.io import Image, common_orientation, open_images, read_image
from labelmend.io.images.nifti import stored_grid
from labelmend.runtime.progress import Progress, Tick, no_progress
from labelmend.types import BoolArray
from labelmend.workflows.image_tags.tag_table import TagTable, read_tags

CACHE_BYTES = 2 * 2**30
"""Memory budget for images on the training grid; images beyond it are read again when needed."""

Rows = NDArray[np.intp]
Measure = Literal["set", "image"]


class TrainingImages:
    """Images by index, on one grid and scaled alike; kept in memory up to a budget.

    Args:
        files: `n` image files.
        shape: training grid `(h w)`.
        measure: "set": each channel is shifted and scaled to mean 0 and standard deviation 1 over all images
            together; "image": over each image by itself.
        budget: bytes.
        orientation: single-slice volumes are reoriented to it by their affine; None reads all as stored.
    """

    def __init__(
        self,
        files: Sequence[Path],
        shape: Sequence[int],
        measure: Measure,
        budget: int = CACHE_BYTES,
        orientation: str | None = None,
    ) -> None:
        self.files, self.shape, self.measure = tuple(files), tuple(shape), measure
        self._budget, self._orientation = budget, orientation
        self._cache: dict[int, Tensor] = {}
        self._moments: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Tensor:
        """`(c h w)`; all images must have been added."""
        image = self._cache[row] if row in self._cache else self._resampled(read_image(self.files[row]))
        return normalise(image) if self.measure == "image" else (image - self.centre) / self.scale

    def add(self, row: int, image: Image) -> None:
        """Include an image in the statistics of the set, and keep it if the budget allows."""
        made = self._resampled(image)
        self._moments.append(torch.stack([made.mean(dim=(1, 2)), made.square().mean(dim=(1, 2))]).double())
        size = made.numel() * made.element_size()
        if size <= self._budget:
            self._cache[row], self._budget = made, self._budget - size

    @cached_property
    def centre(self) -> Tensor:
        """`(c 1 1)` mean over all images."""
        return torch.stack(self._moments).mean(dim=0)[0, :, None, None].float()

    @cached_property
    def scale(self) -> Tensor:
        """`(c 1 1)` standard deviation over all images; 1 for a channel that is constant."""
        mean, square = torch.stack(self._moments).mean(dim=0)
        deviation = (square - mean.square()).clamp_min(0).sqrt()[:, None, None].float()
        return torch.where(deviation > 1e-6 * (1 + self.centre.abs()), deviation, torch.ones_like(deviation))

    def _resampled(self, image: Image) -> Tensor:
        return resample(torch.from_numpy(brought(image, self._orientation).array), self.shape)


@dataclass(frozen=True, eq=False)
class TagData:
    """Images with their tags, in the order of sorted case ids.

    Args:
        files: image file of each case.
        table: the tags.
        images: images on the training grid.
        native: `n` original image shapes.
        channels: channels of every image.
        training: training rows.
        held_out: held-out rows.
        orientation: orientation of images with an affine, or None.
        notes: sentences about headers.
    """

    files: Mapping[str, Path]
    table: TagTable
    images: TrainingImages
    native: tuple[tuple[int, int], ...]
    channels: int
    training: Rows
    held_out: Rows
    orientation: str | None = None
    notes: tuple[str, ...] = ()

    def stored(self, row: int, maps: Tensor) -> Tensor:
        """Reorient maps `(k h w)` of a training image to the axes of the stored image."""
        path = self.files[self.table.cases[row]]
        grid = None if self.orientation is None else stored_grid(path)
        turn = None if grid is None else turn_to(grid, self.orientation or "")
        return maps if turn is None else torch.from_numpy(turn.undo(maps.numpy()))

    def batch(self, rows: Rows) -> Tensor:
        """`(b c h w)` images on the training grid."""
        return torch.stack([self.images[int(row)] for row in rows])


def load_tagged_images(
    images: str | Path,
    tags: str | Path,
    *,
    classes: Sequence[str] | None,
    resize: int | Sequence[int] | None,
    measure: Measure,
    share: float,
    seed: int,
    progress: Progress = no_progress,
) -> TagData:
    """Read and check all images and tags.

    Args:
        images: folder of images.
        tags: tag table.
        classes: classes to use; None uses all.
        resize: training grid, pixels per axis; None: the image size, which must be the same for all.
        measure: see `TrainingImages`.
        share: fraction of images to hold out.
        seed: random seed of the held-out set.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        DataError: see `read_tags`; images are unreadable, 3-D, or differ in channels or, without `resize`,
            in size.
        ConfigError: an invalid class or size.
    """
    files = open_images(images)
    table = read_tags(tags, images=files, classes=classes)
    paths = [files[case] for case in table.cases]
    grid = per_axis(resize, 2, "resize")
    first = _flat(paths[0], read_image(paths[0]))
    codes, notes = common_orientation({case: files[case] for case in table.cases}, {})
    first_turned = brought(first, codes)
    made = TrainingImages(paths, grid or first_turned.grid.shape, measure, orientation=codes)
    native = []
    for row, path in enumerate(paths):
        image = _flat(path, read_image(path)) if row else first
        _check_like(path, brought(image, codes), paths[0], first_turned, any_size=grid is not None)
        made.add(row, image)
        native.append((image.grid.shape[0], image.grid.shape[1]))
        progress(Tick("reading images", row + 1, len(paths)))
    held = held_out(table.tags, share, np.random.default_rng(seed))
    training = np.setdiff1d(np.arange(len(paths)), held)
    return TagData(files, table, made, tuple(native), len(first.array), training, held, codes, notes)


def brought(image: Image, orientation: str | None) -> Image:
    """An image reoriented by its affine, if it has one."""
    return image if orientation is None else image.turned(turn_to(image.grid, orientation))


def held_out(tags: BoolArray, share: float, rng: np.random.Generator) -> Rows:
    """Rows to hold out, stratified by tag pattern; never the last image with or without a class.

    Args:
        tags: `(n k)` booleans.
        share: in [0, 1).
        rng: random generator.

    Returns:
        Sorted rows.
    """
    n = len(tags)
    _, pattern = np.unique(tags, axis=0, return_inverse=True)
    order = rng.permutation(n)
    order = order[np.argsort(pattern.reshape(-1)[order], kind="stable")]
    steps = np.floor(rng.random() + share * np.arange(n + 1))
    left = np.stack([tags.sum(axis=0), (~tags).sum(axis=0)])
    found = []
    for row in order[np.diff(steps) > 0]:
        after = left - np.stack([tags[row], ~tags[row]])
        if (after[left > 0] > 0).all():
            found.append(row)
            left = after
    return np.sort(np.array(found, np.intp))


def example_rows(tags: BoolArray, most: int, rng: np.random.Generator) -> Rows:
    """Rows to show as examples, cycling through the classes and images without any class.

    Args:
        tags: `(n k)` booleans.
        most: largest number of rows.
        rng: random generator.

    Returns:
        Sorted rows.
    """
    columns = [*tags.T, ~tags.any(axis=1)]
    waiting = [rng.permutation(np.flatnonzero(column)).tolist() for column in columns]
    found: list[int] = []
    while len(found) < min(most, len(tags)):
        for rows in waiting:
            while rows and rows[-1] in found:
                rows.pop()
            if rows and len(found) < most:
                found.append(rows.pop())
    return np.sort(np.array(found, np.intp))


def _flat(path: Path, image: Image) -> Image:
    if image.grid.ndim != 2:
        raise GeometryError(
            f"{path} is a volume of shape {image.grid.shape}: masks from tags need 2-D images; save its "
            "slices as images, each with its own tags"
        )
    return image


def _check_like(path: Path, image: Image, first_path: Path, first: Image, *, any_size: bool) -> None:
    if len(image.array) != len(first.array):
        raise DataError(
            f"{path} has {len(image.array)} channels, {first_path} has {len(first.array)}: all images must "
            "have the same number; save all in grey or all in colour"
        )
    if not any_size and image.grid.shape != first.grid.shape:
        raise GeometryError(
            f"{path} is {image.grid.shape}, {first_path} is {first.grid.shape}: images must have one size, "
            "or use --resize"
        )
    if math.prod(image.grid.shape) == 0:
        raise GeometryError(f"{path} has no pixels: its shape is {image.grid.shape}")
