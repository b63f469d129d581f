"""How far apart two boundaries lie: NSD, HD95 and signed bias, with a rule for every empty or ignored region.

Boundary voxels and the distances between them are those of MONAI, without its torch; the rules are these:

* A boundary voxel is a voxel of the mask that touches a known background voxel across a face. The image
  border counts as background: a full mask has a boundary for NSD and HD95, though none for the signed bias.
* An axis of length one is no direction in which a boundary can be crossed: (1, h, w) is measured like (h, w).
* A face with an ignored voxel on either side is not a boundary: the true outline there is unknown.
* Neither mask has a boundary: NaN, nothing was measured. Exactly one has: NSD 0 and HD95 infinite.
  Infinite distances are to be counted, never averaged and never replaced by a large number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from labelmend.errors import ConfigError, GeometryError
from labelmend.geometry import (
    boundary_bias,
    boundary_displacements,
    check_spacing,
    face_values,
)
from labelmend.geometry.nearest import nearest_offsets
from labelmend.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances between the boundary voxels of two masks, both ways, in mm (infinite if the other has none).

    Args:
        to_reference_mm: `(m,)` from each boundary voxel of the mask to the nearest one of the reference.
        to_mask_mm: `(n,)` from each boundary voxel of the reference to the nearest one of the mask.
    """

    to_reference_mm: FloatArray
    to_mask_mm: FloatArray

    def nsd(self, tolerance_mm: float) -> float:
        """Normalised surface Dice: share of boundary voxels within the tolerance of the other boundary."""
        if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
            raise ConfigError(f"the tolerance must be a finite distance of at least 0, got {tolerance_mm}")
        every = np.concatenate([self.to_reference_mm, self.to_mask_mm])
        return float(np.mean(every <= tolerance_mm)) if every.size else float("nan")

    def hausdorff(self, percentile: float) -> float:
        """The larger of the two directed percentiles, each interpolated linearly between sorted distances."""
        directed = [d for d in (self.to_reference_mm, self.to_mask_mm) if d.size]
        if not directed:
            return float("nan")
        if any(np.isinf(d).any() for d in directed):
            return float("inf")
        return max(float(np.percentile(d, percentile)) for d in directed)


def surface_distances(
    mask: BoolArray,
    reference: BoolArray,
    *,
    spacing_mm: Sequence[float] | float | None = None,
    ignore: BoolArray | None = None,
) -> SurfaceDistances:
    """Distances between the boundaries of two masks, from which NSD and Hausdorff distances are read.

    Args:
        mask: `(*space)` booleans, 2-D or 3-D.
        reference: `(*space)` booleans.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
        ignore: `(*space)` booleans, True where pixels are left out of both masks.

    Returns:
        One distance in mm for each boundary voxel of either mask.

    Raises:
        GeometryError: shapes or spacing do not fit.
    """
    mask, reference, unknown, spacing = _cropped(mask, reference, ignore, spacing_mm)
    # Ignored voxels join both masks before the edges are taken and leave afterwards: none arises beside them.
    ours, theirs = (_edge(one | unknown) & ~unknown for one in (mask, reference))
    if ours.any() and theirs.any():
        return SurfaceDistances(_distances(ours, theirs, spacing), _distances(theirs, ours, spacing))
    n_ours, n_theirs = np.count_nonzero(ours), np.count_nonzero(theirs)
    return SurfaceDistances(np.full(n_ours, np.inf), np.full(n_theirs, np.inf))


def _edge(mask: BoolArray) -> BoolArray:
    """The voxels of a mask with a face to the background or to the border of the image."""
    return mask & ~ndimage.binary_erosion(mask)


def _distances(edge: BoolArray, other: BoolArray, spacing: tuple[float, ...]) -> FloatArray:
    """Distances from each voxel of an edge to the other one, those of MONAI to the last bit (32 bits)."""
    places = np.flatnonzero(edge)
    found = np.empty(len(places), np.float32)
    for which, offset_vox in nearest_offsets(other, places, spacing):
        found[which] = np.sqrt(((offset_vox.T * spacing).T ** 2).sum(axis=0))
    return found


def nsd(
    mask: BoolArray,
    reference: BoolArray,
    *,
    tolerance_mm: float,
    spacing_mm: Sequence[float] | float | None = None,
    ignore: BoolArray | None = None,
) -> float:
    """Normalised surface Dice: the share of both boundaries that lies within a tolerance of the other one.

    Args:
        mask: `(*space)` booleans.
        reference: `(*space)` booleans.
        tolerance_mm: a deviation up to and including this is no error; set it from what annotators differ by.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
        ignore: `(*space)` booleans, True where pixels are left out of both masks.

    Returns:
        In [0, 1]; NaN if neither mask has a boundary, 0 if exactly one has.

    Paper: Nikolov et al., "Clinically Applicable Segmentation of Head and Neck Anatomy for Radiotherapy: Deep
        Learning Algorithm Development and Validation Study", J Med Internet Res 2021.
    Differs: counts boundary voxels, as MONAI does by default; the paper weighs pieces of surface by area.
    """
    return surface_distances(mask, reference, spacing_mm=spacing_mm, ignore=ignore).nsd(tolerance_mm)


def hd95(
    mask: BoolArray,
    reference: BoolArray,
    *,
    spacing_mm: Sequence[float] | float | None = None,
    ignore: BoolArray | None = None,
) -> float:
    """Hausdorff distance at the 95th percentile in mm: the larger of the two directed percentiles.

    Args:
        mask: `(*space)` booleans.
        reference: `(*space)` booleans.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
        ignore: `(*space)` booleans, True where pixels are left out of both masks.

    Returns:
        A distance in mm; NaN if neither mask has a boundary, infinity if exactly one has.
    """
    return surface_distances(mask, reference, spacing_mm=spacing_mm, ignore=ignore).hausdorff(95)


def known_boundary_bias(
    mask: BoolArray,
    reference: BoolArray,
    *,
    spacing_mm: Sequence[float] | float | None = None,
    ignore: BoolArray | None = None,
) -> float:
    """`geometry.boundary_bias` where the reference boundary is not ignored; negative: the mask is too large.

    Args:
        mask: `(*space)` booleans, the labels that are evaluated.
        reference: `(*space)` booleans.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
        ignore: `(*space)` booleans, True where pixels are left out.

    Returns:
        The bias in mm; NaN where either mask is empty or full, or no face of the reference is known.
    """
    mask, reference, unknown, spacing = _cropped(mask, reference, ignore, spacing_mm)
    if not unknown.any():
        return boundary_bias(mask, reference, spacing)
    known = ~unknown
    if any(m[known].all() or not m[known].any() for m in (mask, reference)):
        return float("nan")
    values, areas = boundary_displacements(None, mask, reference, spacing)
    ignored_sides, _ = face_values(unknown.view(np.uint8), reference, spacing)
    measured = ignored_sides == 0
    return float(np.average(values[measured], weights=areas[measured])) if measured.any() else float("nan")


def _cropped(
    mask: BoolArray,
    reference: BoolArray,
    ignore: BoolArray | None,
    spacing_mm: Sequence[float] | float | None,
) -> tuple[BoolArray, BoolArray, BoolArray, tuple[float, ...]]:
    """Both masks and the ignored voxels in the box of the union plus one voxel, and the spacing.

    Axes of length one go, with their spacing: no boundary can be crossed along them.
    Every boundary voxel of either mask and its neighbours lie in that box, so distances between boundaries
    and signed distances read on them are the same as on the whole grid.
    """
    mask, reference = np.asarray(mask, bool), np.asarray(reference, bool)
    unknown = np.zeros(mask.shape, bool) if ignore is None else np.asarray(ignore, bool)
    if not mask.shape == reference.shape == unknown.shape:
        raise GeometryError(
            f"mask has shape {mask.shape}, reference {reference.shape}, ignored pixels {unknown.shape}; "
            "they must be equal"
        )
    spacing = check_spacing(spacing_mm, mask.ndim)
    axes = [axis for axis, size in enumerate(mask.shape) if size > 1] or [0]
    shape = [mask.shape[axis] for axis in axes]
    mask, reference, unknown = (array.reshape(shape) for array in (mask, reference, unknown))
    box = _box(mask | reference)
    return mask[box], reference[box], unknown[box], tuple(spacing[axis] for axis in axes)


def _box(mask: BoolArray) -> tuple[slice, ...]:
    """Bounding box of a mask and one voxel more on each side within the image; one voxel if it is empty."""
    if not mask.any():
        return (slice(0, 1),) * mask.ndim
    box = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(max(int(occupied[0]) - 1, 0), int(occupied[-1]) + 2))
    return tuple(box)
