"""A dataset folder: images and labels paired by case.

DATA/images/<case>.<ext>
DATA/<labels>/<case>.<ext>             one integer map per case
DATA/<labels>/<class>/<case>.<ext>     one boolean map per class, and optionally `ignore/<case>.<ext>`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelmend.errors import MissingDataError
from labelmend.geometry import check_spacing
from labelmend.geometry.orientation import Turn, turn_onto, turn_to
from labelmend.io.images.formats import Image, Spacing, read_image
from labelmend.io.images.nifti import stored_grid
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.open_labels import open_images, open_labels, read_case_list
from labelmend.runtime.text import listed
from labelmend.types import Grid, LabelMap

MOST_LISTED = 50
"""Most cases that a message lists."""

__all__ = ["Dataset", "LabelFolder", "open_dataset", "open_images", "open_labels", "read_case_list"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with their labels.

    Args:
        root: the folder.
        images: image file by case.
        labels: the label folder.
        cases: sorted ids of the cases that have both (or of the selected ones).
        spacing_mm: spacing set by the user; per-axis values refer to the axes after reorientation.
        orientation: three letters, such as "RAS": volumes are reoriented to it on reading, images by their
            affine and labels with their image; None reads all as stored.
    """

    root: Path
    images: Mapping[str, Path]
    labels: LabelFolder
    cases: tuple[str, ...]
    spacing_mm: Spacing = None
    orientation: str | None = None

    def read_image(self, case: str) -> Image:
        """The image of one case."""
        if case not in self.images:
            raise MissingDataError(f"case {case} has no image in {self.root}: check the case id")
        return self.turned(read_image(self.images[case], self.spacing_mm))

    def turned(self, image: Image) -> Image:
        """Reorient an image as stored to the orientation of the dataset."""
        if self.orientation is None:
            return image
        image = image.turned(turn_to(image.grid, self.orientation))
        return Image(image.array, self._spaced(image.grid))

    def read_labels(self, case: str) -> LabelMap:
        """The labels of one case."""
        labels = self.labels.read(case)
        turn = self._turn_of_labels(case, labels.grid)
        if turn is None:
            return labels
        labels = turn.labels(labels)
        return dataclasses.replace(labels, grid=self._spaced(labels.grid))

    def write_labels(self, folder: str | Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write labels, oriented as read here, below another folder, each file oriented like its source."""
        turn = None
        if self.orientation is not None and (stored := stored_grid(self.labels.sources(case)[0])) is not None:
            turn = self._turn_of_labels(case, stored)
        if turn is not None:
            labels = turn.inverse().labels(labels)
        return self.labels.write(folder, case, labels)

    def _turn_of_labels(self, case: str, grid: Grid) -> Turn | None:
        """The reorientation from stored labels to the axes of their reoriented image."""
        if self.orientation is None or grid.affine is None:
            return None
        image = stored_grid(self.images[case])
        turn = None if image is None else turn_to(image, self.orientation)
        if image is None or turn is None:
            return turn_to(grid, self.orientation)
        return turn_onto(grid, turn.grid(image))

    def _spaced(self, grid: Grid) -> Grid:
        """Apply a per-axis spacing set by the user, which refers to the axes after reorientation."""
        if grid.affine is None or self.spacing_mm is None:
            return grid
        return dataclasses.replace(grid, spacing_mm=check_spacing(self.spacing_mm, grid.ndim))

    def subset(self, cases: Iterable[str]) -> Dataset:
        """The dataset restricted to some of its cases."""
        wanted = tuple(sorted(set(cases)))
        unknown = [case for case in wanted if case not in self.cases]
        if unknown:
            raise MissingDataError(f"no case {unknown[0]!r} in {self.root}: check the case ids")
        return dataclasses.replace(self, cases=wanted)


def open_dataset(
    root: str | Path,
    labels: str | Path = "labels",
    *,
    images: str | Path = "images",
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Spacing = None,
    cases: Sequence[str] | None = None,
) -> Dataset:
    """Pair the images of a folder with the labels beside them.

    Args:
        root: folder that holds `images` and `labels` (each may also be an absolute path).
        labels, images: names of the two folders.
        classes, ignore, spacing_mm: see `open_labels`.
        cases: only these; by default, every image needs a label and every label an image.

    Raises:
        MissingDataError: a folder, an image, a label or a selected case is missing.
    """
    root = Path(root)
    if not root.is_dir():
        raise MissingDataError(f"{root} is not a folder: expected one with {images}/ and {labels}/")
    image_files = open_images(root / images)
    folder = open_labels(root / labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    wanted = tuple(sorted(set(cases) if cases is not None else image_files.keys() | folder.files.keys()))
    for case in wanted:
        if case not in image_files and case not in folder.files:
            raise MissingDataError(f"no case {case!r} in {root / images} or {folder.path}")
    problems = []
    for lacking, files, what in (
        ([case for case in wanted if case not in folder.files], image_files, f"no label in {folder.path}"),
        ([case for case in wanted if case not in image_files], folder.files, f"no image in {root / images}"),
    ):
        if lacking:
            kind = "an image" if files is image_files else "labels"
            first = files[lacking[0]]
            more = f"; the same for {listed(lacking[1:], MOST_LISTED)}" if lacking[1:] else ""
            file = first if isinstance(first, Path) else first[0]
            problems.append(f"case {lacking[0]} has {kind} ({file}) but {what}{more}")
    if problems:
        raise MissingDataError(
            f"{'; '.join(problems)}. Add them, or list the cases to use in a text file (--cases)"
        )
    return Dataset(root, image_files, folder, wanted, spacing_mm)
