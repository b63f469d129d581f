"""The words everything else is written in: grids, labels, cases.

Shape alphabet, used in every annotation and docstring:

    b  batch        c  image channels     k  classes (foreground)
    n  cases        f  features           *space = h w  or  d h w (array order)

Two ways to annotate, told apart by `LabelMap.overlapping`:

* exclusive:    one integer per pixel, class j has the value `values[j]`; 0 is background, or the class that
                `background` names, which then counts in all that is reported a class;
* overlapping:  one boolean mask per class; a pixel may belong to several classes or to none.

Algorithms need not care: `LabelMap.masks()` gives `(k *space)` booleans for both, `mask(name)` one at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Grid:
    """Where pixels lie: size, spacing in mm along each array axis, and the affine if the file had one.

    Args:
        shape: pixels along each array axis, `(h, w)` or `(d, h, w)`.
        spacing_mm: distance between neighbouring pixel centres along each array axis.
        affine: `(4 4)` voxel-to-world matrix, or None for plain pictures.
        unit: "px" where nobody said what a pixel measures; its spacing is then 1 and lengths are in pixels.
        orientation_tag: the 1..8 of the file that pixels were turned by when they were read; 1: as stored.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    affine: FloatArray | None = field(default=None, compare=False)
    unit: Literal["mm", "px"] = field(default="mm", compare=False)
    orientation_tag: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.spacing_mm):
            raise GeometryError(f"{len(self.shape)} axes but {len(self.spacing_mm)} spacings: {self}")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing_mm):
            raise GeometryError(f"spacing must be positive and finite in mm, got {self.spacing_mm}")

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The annotation of one case: an integer map or a stack of boolean masks, with its grid and names.

    Args:
        array: integers `(*space)` (exclusive classes) or booleans `(k *space)` (overlapping classes).
        grid: grid of the pixels.
        classes: names of the k foreground classes.
        values: the integer of each class in an exclusive map; None means 1..k.
        ignore: the integer that marks "not annotated" in an exclusive map, or None.
        ignored_mask: `(*space)` booleans, True where an overlapping annotation is to be ignored, or None.
        background: name of the value 0 of an exclusive map where it is a class (road); None: background.
    """

    array: NDArray[Any]
    grid: Grid
    classes: tuple[str, ...]
    values: tuple[int, ...] | None = None
    ignore: int | None = None
    ignored_mask: BoolArray | None = None
    background: str | None = None

    def __post_init__(self) -> None:
        expected = (len(self.classes), *self.grid.shape) if self.overlapping else self.grid.shape
        if self.array.shape != expected:
            raise GeometryError(
                f"label array has shape {self.array.shape}, its grid and classes say {expected}"
            )
        if self.values is not None and len(self.values) != len(self.classes):
            raise ConfigError(f"{len(self.classes)} class names but {len(self.values)} values")
        if self.background is not None and (self.overlapping or self.background in self.classes):
            raise ConfigError(
                f"value 0 cannot be the class {self.background!r}: "
                + ("the classes overlap" if self.overlapping else "another value has that name")
            )

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        classes: Mapping[str, int] | Sequence[str],
        spacing_mm: Sequence[float] | float | None = None,
        ignore: int | None = None,
        background: str | None = None,
    ) -> LabelMap:
        """The annotation of one case from an array; nothing is copied.

        Args:
            array: integers `(*space)` of classes that exclude each other, or booleans `(k *space)` of classes
                that may overlap.
            classes: names of the k classes with their integers, as `{"lung": 1, "heart": 2}`; or the names
                alone, then numbered from 1.
            spacing_mm: per array axis, or one number for all; None: lengths are in pixels.
            ignore: the integer of pixels that nobody annotated.
            background: name of the value 0 where it is a class.

        Raises:
            LabelValueError: neither integers nor booleans.
            GeometryError: not 2 or 3 axes in space, not one mask a class, or a spacing that does not fit.

        >>> LabelMap.from_array([[0, 1], [2, 2]], classes=["lung", "heart"]).mask("heart").tolist()
        [[False, False], [True, True]]
        """
        labels = label_array(array)
        masks = labels.dtype == bool
        shape = labels.shape[1:] if masks else labels.shape
        if len(shape) not in (2, 3) or (masks and len(labels) != len(classes)):
            raise GeometryError(
                f"{'booleans' if masks else 'integers'} of shape {labels.shape} are no annotation of "
                f"{len(classes)} classes: expected integers (h w) or (d h w), or a boolean mask for each "
                f"class, ({len(classes)} h w) or ({len(classes)} d h w)"
            )
        values = None if masks or not isinstance(classes, Mapping) else tuple(classes.values())
        spacing = np.atleast_1d(1.0 if spacing_mm is None else spacing_mm)
        each = spacing if len(spacing) > 1 else spacing.repeat(len(shape))
        grid = Grid(shape, tuple(map(float, each)), unit="px" if spacing_mm is None else "mm")
        return cls(labels, grid, tuple(classes), values, ignore, background=background)

    @property
    def overlapping(self) -> bool:
        return self.array.dtype == bool

    @property
    def class_values(self) -> tuple[int, ...]:
        return self.values or tuple(range(1, len(self.classes) + 1))

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that reports count by: the k of `classes`, that of value 0 before them if it is one."""
        return every_class(self.background, self.classes)

    def masks(self) -> BoolArray:
        """The k foreground masks, `(k *space)` booleans; ignored pixels belong to no class."""
        if self.overlapping:
            return self.array
        masks = np.empty((len(self.classes), *self.array.shape), bool)
        for value, mask in zip(self.class_values, masks, strict=True):
            np.equal(self.array, value, out=mask)
        return masks

    def mask(self, name: str) -> BoolArray:
        """`(*space)` booleans: one class of `names`, without the cost of the others."""
        if name == self.background:
            return self.array == 0
        index = class_index(self.classes, name)
        return self.array[index] if self.overlapping else self.array == self.class_values[index]

    def cropped(self, box: tuple[slice, ...]) -> LabelMap:
        """The annotation in a box of one slice an axis: views, nothing is copied."""
        array = self.array[(slice(None), *box)] if self.overlapping else self.array[box]
        grid = Grid(array.shape[-len(box) :], self.grid.spacing_mm, unit=self.grid.unit)
        ignored = None if self.ignored_mask is None else self.ignored_mask[box]
        return dataclasses.replace(self, array=array, grid=grid, ignored_mask=ignored)

    def ignored(self) -> BoolArray:
        """`(*space)` booleans: True where nobody annotated."""
        if self.overlapping:
            return np.zeros(self.grid.shape, bool) if self.ignored_mask is None else self.ignored_mask
        return np.zeros(self.grid.shape, bool) if self.ignore is None else self.array == self.ignore

    def with_masks(self, masks: BoolArray) -> LabelMap:
        """The same annotation with other masks; ignored pixels stay as they are, so does the dtype.

        Args:
            masks: `(k *space)` booleans; for exclusive classes no two may hold the same pixel.
        """
        if masks.shape != (len(self.classes), *self.grid.shape):
            raise GeometryError(
                f"got masks of shape {masks.shape} for {len(self.classes)} classes on {self.grid.shape}"
            )
        keep = self.ignored()
        if self.overlapping:
            return dataclasses.replace(self, array=np.where(keep, self.array, masks))
        array, taken = np.zeros_like(self.array), np.zeros(self.grid.shape, bool)
        for value, mask in zip(self.class_values, masks, strict=True):
            if np.logical_and(taken, mask).any():
                raise LabelValueError(
                    "classes of an integer map are exclusive, but two masks hold the same pixel"
                )
            taken |= mask
            array[mask] = value
        array[keep] = self.array[keep]
        return dataclasses.replace(self, array=array)

    def with_indices(self, indices: NDArray[np.integer]) -> LabelMap:
        """The same exclusive annotation with other classes; ignored pixels stay, and so does the dtype.

        Args:
            indices: `(*space)`, 0 for the value 0 and j for the j-th of `classes`.
        """
        if self.overlapping or indices.shape != self.grid.shape:
            raise GeometryError(
                f"indices of shape {indices.shape} cannot be the classes of labels on {self.grid.shape}"
                + (", which overlap" if self.overlapping else "")
            )
        array = np.array((0, *self.class_values), self.array.dtype)[indices]
        if self.ignore is not None:
            np.copyto(array, self.array, where=self.ignored())
        return dataclasses.replace(self, array=array)


@dataclass(frozen=True, eq=False)
class Predicted:
    """One whole case after prediction, as methods see it: given (or trusted) labels beside probabilities.

    Args:
        case: case id.
        given: the labels as delivered; for a clean case, the trusted labels.
        current: the labels that the network was just trained on: `given` in the first round, the newest
            revision in later ones.
        probs: float32, on the native grid of `given`: `(k *space)` sigmoid outputs for overlapping classes,
            `(k+1 *space)` softmax outputs with background first for exclusive classes.
        features: of pixels of the network that gave the probabilities: from `(n)` numbers of pixels, in array
            order on the native grid, to `(n f)` float32. Costs a pass when it is called, and nothing before.
    """

    case: str
    given: LabelMap
    current: LabelMap
    probs: FloatArray
    features: Callable[[NDArray[np.integer]], FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Revision:
    """What a method proposes for one case: at once what the store commits and what the report shows.

    "Per class" is per name of `LabelMap.names`: the value 0 comes first where it is a class.

    Args:
        case: case id.
        labels: the revised labels.
        reason: one sentence in words and millimetres.
        added_vox: per class, pixels that the revision adds to the parent labels.
        removed_vox: per class, pixels that it takes away.
        displacement_mm: per class, mean signed displacement of the boundary from parent to revised labels,
            positive outward; NaN where a boundary is missing.
        confidence: in [0, 1], how far the method trusts this revision; the method says what it measures.
        left_out: `(*space)` booleans, pixels that training on this version leaves out; None leaves out none.
    """

    case: str
    labels: LabelMap
    reason: str
    added_vox: tuple[int, ...]
    removed_vox: tuple[int, ...]
    displacement_mm: tuple[float, ...]
    confidence: float
    left_out: BoolArray | None = None


def label_array(array: ArrayLike) -> NDArray[Any]:
    """An array of labels as it is, or a LabelValueError unless it holds integers or booleans."""
    labels = np.asarray(array)
    if labels.dtype.kind not in "biu":
        raise LabelValueError(
            f"labels are integers or booleans, got {labels.dtype}: convert them, as with "
            "labels.astype(np.uint8), or cut probabilities at 0.5"
        )
    return labels


def every_class(background: str | None, classes: Sequence[str]) -> tuple[str, ...]:
    """The names that reports count by: value 0 first where it is a class and no background.

    >>> every_class("road", ("car", "house")), every_class(None, ("liver",))
    (('road', 'car', 'house'), ('liver',))
    """
    return (*classes,) if background is None else (background, *classes)


def class_index(classes: Sequence[str], name: str) -> int:
    """Position of a class name, or a ConfigError that lists the names there are."""
    if name not in classes:
        raise ConfigError(f"no class called {name!r}; the classes are {', '.join(classes)}")
    return list(classes).index(name)
