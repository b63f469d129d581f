"""Read the probabilities of one case from an array or pictures on the grid of its labels.

Axes. "array" means the axes of the labels as labelmend reads them: rows and columns of pictures, x y z of
NIfTI. "sitk" means reversed axes for NIfTI: SimpleITK and nnU-Net's nibabel reader return z y x, so
`(c z y x)` in the file becomes `(c x y z)`. Pictures and TIFF stacks have the same axes either way; nnU-Net's
2-D files are `(c 1 h w)`. The name of the array decides, never its shape, which may fit both: arrays named
"probabilities" or "softmax" are nnU-Net's and "sitk", all others "array". If nnU-Net reorients a dataset
(`NibabelIOWithReorient` or `SimpleITKIOWithReorient` in plans.json), it saves probabilities, unlike
segmentations, in RAS orientation; this is undone.

Source: nnunetv2/imageio/*_reader_writer.py (axes), nnunetv2/inference/export_prediction.py (what is saved),
nnunetv2/utilities/label_handling (channels: background and labels in the order of their values, or regions in
the order of dataset.json; zeros outside the cropped image in earlier versions).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError, GeometryError, MissingDataError
from labelmend.io.probabilities.axes import Axes, Order, what_would_fit
from labelmend.io.probabilities.check_values import (
    checked_sigmoid,
    checked_softmax,
    with_background,
)
from labelmend.io.probabilities.npz import ArrayFile, open_array
from labelmend.io.probabilities.one_file_per_class import integer_step, read_picture
from labelmend.runtime.text import listed
from labelmend.types import Grid, LabelMap, every_class

_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""All numbers of 16 bits."""


class LabelSource(Protocol):
    """Common interface of label sources: folders, nnU-Net datasets, COCO files."""

    @property
    def path(self) -> Path: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def overlapping(self) -> bool: ...
    @property
    def background(self) -> str | None: ...
    @property
    def cases(self) -> tuple[str, ...]: ...
    def read(self, case: str) -> LabelMap: ...


@dataclass(frozen=True, eq=False)
class ProbabilityFolder:
    """A folder of probabilities, as opened by `open_probabilities`.

    Args:
        path: the folder.
        kind: "arrays": one .npz or .npy per case; "pictures": one file per class.
        classes: names of the k classes.
        overlapping: whether they overlap; exclusive ones have a leading background channel.
        files: per case, its array, or its files in the order of `channels`.
        channels: class of each file of a case with one file per class; background first if it has a folder.
        order: axis order of arrays, or "auto": from the name of the array.
        ras: nnU-Net's arrays are in RAS orientation.
        notes: sentences about the data, such as what was left out.
        background: name of the first channel of exclusive classes if value 0 is a class.
    """

    path: Path
    kind: Literal["arrays", "pictures"]
    classes: tuple[str, ...]
    overlapping: bool
    files: Mapping[str, tuple[Path, ...]]
    channels: tuple[str, ...] = ()
    order: Order | Literal["auto"] = "auto"
    ras: bool = False
    notes: tuple[str, ...] = ()
    background: str | None = None

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of the cases that have probabilities, sorted."""
        return tuple(sorted(self.files))

    def checksum_files(self, case: str) -> tuple[Path, ...]:
        """The files with the probabilities of a case, for its checksum."""
        if case not in self.files:
            raise MissingDataError(f"case {case} has no probabilities in {self.path}: check the case id")
        return self.files[case]

    def only(self, case: str) -> ProbabilityFolder:
        """The folder restricted to one case, small enough to send to a worker."""
        return dataclasses.replace(self, files={case: self.checksum_files(case)})

    def order_of(self, case: str) -> Order:
        """The axis order assumed for the array of a case."""
        return self._order(open_array(self.checksum_files(case)[0]))

    def _order(self, found: ArrayFile) -> Order:
        return self.order if self.order != "auto" else "sitk" if found.from_nnunet else "array"

    def read(self, case: str, labels: LabelMap) -> NDArray[np.float32]:
        """The probabilities of one case on the grid of its labels.

        Args:
            case: case id.
            labels: the labels of the case, which define the grid.

        Returns:
            float32 in [0, 1], a new array: `(k+1 *space)` with background first, summing to one, or
            `(k *space)` for overlapping classes.

        Raises:
            GeometryError: wrong shape, grid or number of channels.
            LabelValueError: NaN, values outside [0, 1], or sums far from one.
            MissingDataError, UnreadableFileError, DataError: see `open_array`.
        """
        files = self.checksum_files(case)
        try:
            if self.kind == "arrays":
                return self._array(files[0], labels.grid)
            return self._pictures(files, labels.grid)
        except DataError as error:
            where = "" if str(files[0].name) in str(error) else f"{files[0]}: "
            raise type(error)(f"case {case}: {where}{error}") from error

    def _array(self, path: Path, grid: Grid) -> NDArray[np.float32]:
        """Probabilities from one array, read after checking its shape."""
        found = open_array(path)
        step = integer_step(found.dtype)
        axes = Axes(grid, self._order(found), ras=self.ras and found.from_nnunet)
        channels = self._check_shape(found, axes)
        stored = found.read()
        probs = np.empty((channels, *grid.shape), np.float32)
        for out, channel in zip(probs, stored if len(stored) == channels else stored[None], strict=True):
            copy_floats(axes.on_grid(channel), out)
        return self._checked(probs, step, empty_is_background=found.from_nnunet)

    def _pictures(self, files: Sequence[Path], grid: Grid) -> NDArray[np.float32]:
        """Probabilities from one file per class."""
        read = [read_picture(path, grid) for path in files]
        return self._checked(np.stack([array for array, _ in read]), max(step for _, step in read))

    def _checked(
        self, probs: NDArray[np.float32], step: float, *, empty_is_background: bool = False
    ) -> NDArray[np.float32]:
        """Check that values are in [0, 1] and, if exclusive, sum to one with background."""
        if step:
            probs *= np.float32(step)
        if self.overlapping:
            return checked_sigmoid(probs)
        if len(probs) == len(self.classes):
            return with_background(probs, step=step)
        return checked_softmax(probs, step=step, empty_is_background=empty_is_background)

    def _check_shape(self, found: ArrayFile, axes: Axes) -> int:
        """The number of channels, or a GeometryError; a single class needs neither background nor an axis."""
        k, shapes = len(self.classes), axes.shapes()
        if k == 1 and found.shape in shapes:
            return 1
        if found.shape[1:] not in shapes:
            raise GeometryError(
                f"the array {found.key or 'in the file'} has shape {found.shape}, the labels have "
                f"{axes.grid.shape}: expected channels first, then {' or '.join(map(str, shapes))}"
                f"{', as nnU-Net saves it' if found.from_nnunet else ''}; "
                f"{what_would_fit(found.shape, axes.grid)}{_version_1(found)}"
            )
        expected = k if self.overlapping else k + 1
        if found.shape[0] != expected and not (k == 1 and found.shape[0] == 1):
            zero = self.background or "the background"
            every = every_class(None if self.overlapping else self.background or "background", self.classes)
            names = listed(every, most=8)
            hint = {k: f"save {zero} too, as the first channel", k + 1: f"leave out {zero}"}
            raise GeometryError(
                f"the array has {found.shape[0]} channels, expected {expected} ({names}): "
                f"{hint.get(found.shape[0], 'predict with a model of the same classes')}"
            )
        return found.shape[0]


def copy_floats(numbers: NDArray[Any], out: NDArray[np.float32]) -> None:
    """Copy values into an array; 16-bit floats are converted by a lookup table, which is faster."""
    if numbers.dtype == np.float16:
        np.take(_HALVES, numbers.view(np.uint16), out=out, mode="wrap")
    else:
        out[...] = numbers


def _version_1(found: ArrayFile) -> str:
    if found.key != "softmax":
        return ""
    return "; nnU-Net version 1 saved arrays cropped: predict again with version 2"
