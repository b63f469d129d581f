"""The basic types: grids, labels, cases.

Shape alphabet, used in every annotation and docstring:

    b  batch        c  image channels     k  classes (foreground)
    n  cases        f  features           *space = h w  or  d h w (array order)

Two kinds of annotation, distinguished by `LabelMap.overlapping`:

* exclusive:    one integer per pixel, class j has the value `values[j]`; 0 is background, or the class named
                by `background`, which is then included in all per-class results;
* overlapping:  one boolean mask per class; a pixel may belong to several classes or to none.

Algorithms need not distinguish them: `LabelMap.masks()` returns `(k *space)` booleans for both, `mask(name)`
one class at a time.
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
    """Pixel geometry: shape, spacing in mm along each array axis, and the affine if the file had one.

    Args:
        shape: pixels along each array axis, `(h, w)` or `(d, h, w)`.
        spacing_mm: distance between neighbouring pixel centres along each array axis.
        affine: `(4 4)` voxel-to-world matrix, or None for plain pictures.
        unit: "px" if the pixel size is unknown; the spacing is then 1 and lengths are in pixels.
        orientation_tag: the file's orientation tag, 1..8, applied to the pixels on reading; 1: as stored.
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
        ignore: the integer that marks unannotated pixels in an exclusive map, or None.
        ignored_mask: `(*space)` booleans, True where an overlapping annotation is ignored, or None.
        background: class name of value 0 in an exclusive map if it is a class (road); None: background.
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
        """Every class that reports include: `classes`, preceded by that of value 0 if it is a class."""
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
        """`(*space)` booleans of one class of `names`, without computing the others."""
        if name == self.background:
            return self.array == 0
        index = class_index(self.classes, name)
        return self.array[index] if self.overlapping else self.array == self.class_values[index]

    def cropped(self, box: tuple[slice, ...]) -> LabelMap:
        """The annotation inside a box of one slice per axis; returns views."""
        array = self.array[(slice(None), *box)] if self.overlapping else self.array[box]
        grid = Grid(array.shape[-len(box) :], self.grid.spacing_mm, unit=self.grid.unit)
        ignored = None if self.ignored_mask is None else self.ignored_mask[box]
        return dataclasses.replace(self, array=array, grid=grid, ignored_mask=ignored)

    def ignored(self) -> BoolArray:
        """`(*space)` booleans: True for unannotated pixels."""
        if self.overlapping:
            return np.zeros(self.grid.shape, bool) if self.ignored_mask is None else self.ignored_mask
        return np.zeros(self.grid.shape, bool) if self.ignore is None else self.array == self.ignore

    def with_masks(self, masks: BoolArray) -> LabelMap:
        """The same annotation with other masks; ignored pixels and the dtype are kept.

        Args:
            masks: `(k *space)` booleans; masks of exclusive classes must not share pixels.
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
                raise LabelValueError("classes of an integer map are exclusive, but two masks share a pixel")
            taken |= mask
            array[mask] = value
        array[keep] = self.array[keep]
        return dataclasses.replace(self, array=array)

    def with_indices(self, indices: NDArray[np.integer]) -> LabelMap:
        """The same exclusive annotation with other classes; ignored pixels and the dtype are kept.

        Args:
            indices: `(*space)`, 0 for value 0 and j for the j-th of `classes`.
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
    """One whole case after prediction, as methods receive it: given (or trusted) labels and probabilities.

    Args:
        case: case id.
        given: the labels as delivered; for a clean case, the trusted labels.
        current: the labels the network was just trained on: `given` in the first round, the latest revision
            afterwards.
        probs: float32, on the native grid of `given`: `(k *space)` sigmoid outputs for overlapping classes,
            `(k+1 *space)` softmax outputs with background first for exclusive classes.
        features: pixel features from the network that predicted the probabilities: maps `(n)` flat pixel
            indices on the native grid to `(n f)` float32. Each call costs a forward pass.
    """

    case: str
    given: LabelMap
    current: LabelMap
    probs: FloatArray
    features: Callable[[NDArray[np.integer]], FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Revision:
    """A method's proposal for one case, as it is stored and reported.

    "Per class" means per name in `LabelMap.names`: value 0 comes first if it is a class.

    Args:
        case: case id.
        labels: the revised labels.
        reason: one sentence, with lengths in millimetres.
        added_vox: per class, number of pixels the revision adds to the parent labels.
        removed_vox: per class, number of pixels it removes.
        displacement_mm: per class, mean signed displacement of the boundary from parent to revised labels,
            positive outward; NaN where a boundary is missing.
        confidence: in [0, 1], the method's confidence in this revision, as the method defines it.
        left_out: `(*space)` booleans, pixels excluded from training on this version; None excludes none.
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
    """The class names that reports include: value 0 first if it is a class rather than background.

    >>> every_class("road", ("car", "house")), every_class(None, ("liver",))
    (('road', 'car', 'house'), ('liver',))
    """
    return (*classes,) if background is None else (background, *classes)


def class_index(classes: Sequence[str], name: str) -> int:
    """Position of a class name, or a ConfigError that lists the known names."""
    if name not in classes:
        raise ConfigError(f"no class called {name!r}; the classes are {', '.join(classes)}")
    return list(classes).index(name)
