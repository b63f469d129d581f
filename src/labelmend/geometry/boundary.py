"""Boundaries of masks as faces between voxels, and how far one boundary lies from another, with its sign."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError
from labelmend.geometry.sdf import check_spacing, signed_distance_at
from labelmend.types import BoolArray, FloatArray


def frontier(mask: BoolArray, *, outer: bool) -> BoolArray:
    """Voxels that touch the boundary across a face (4-neighbours in 2-D, 6 in 3-D).

    Args:
        mask: `(*space)` booleans.
        outer: True for background voxels beside the mask, False for the mask's own voxels beside background.

    Returns:
        `(*space)` booleans. The image border is no boundary.

    >>> frontier(np.array([[0, 1, 1, 1, 0]], bool), outer=False).astype(int)
    array([[0, 1, 0, 1, 0]])
    """
    mask = np.asarray(mask, bool)
    near = np.zeros_like(mask)
    for low, high in _face_slices(mask.ndim):
        crossing = mask[low] != mask[high]
        near[low] |= crossing
        near[high] |= crossing
    return near & (~mask if outer else mask)


def face_values(
    field: FloatArray, mask: BoolArray, spacing_mm: Sequence[float] | float | None = None
) -> tuple[FloatArray, FloatArray]:
    """A field read on the boundary faces of a mask: the mean of the two voxels that share the face.

    Args:
        field: `(*space)` values at voxel centres.
        mask: `(*space)` booleans whose boundary is walked.
        spacing_mm: per axis in mm.

    Returns:
        values `(m,)` and face areas `(m,)` in mm^(ndim-1), over the m faces.
    """
    mask = np.asarray(mask, bool)
    _check_shape(field, mask)
    low, high, areas = _faces(mask, check_spacing(spacing_mm, mask.ndim))
    flat = field.ravel()
    return (flat[low] + flat[high]) / 2, areas


def boundary_bias(
    predicted: BoolArray,
    clean: BoolArray,
    spacing_mm: Sequence[float] | float | None = None,
    *,
    trim: float = 0.0,
) -> float:
    """Mean signed distance in mm from the clean boundary to the predicted one; negative: predicted too large.

    The signed distance of the predicted mask, averaged by area over the boundary faces of the clean mask.
    Equal masks give 0; a flat boundary moved outward by r mm gives -r, moved inward +r.

    Args:
        predicted: `(*space)` booleans.
        clean: `(*space)` booleans, the truth.
        spacing_mm: per axis in mm.
        trim: share of the boundary, by area, that is left out at each end of the distances, in [0, 0.5). 0.25
            is the interquartile mean: where two structures have run together, a part of the clean boundary
            lies deep inside the prediction, and a plain mean reads that depth as displacement.

    Returns:
        The bias in mm; NaN where either mask has no boundary (empty or full): there is nothing to measure.

    >>> clean = np.array([[0, 0, 0, 1, 1, 1, 0, 0, 0]], bool)
    >>> predicted = np.array([[0, 1, 1, 1, 1, 1, 1, 1, 0]], bool)
    >>> boundary_bias(predicted, clean, spacing_mm=0.5)
    -1.0

    Paper: Yao et al., "Learning to Segment from Noisy Annotations: A Spatial Correction Approach", ICLR 2023.
    Differs: read on the faces between voxels (half-voxel convention), so that equal masks give exactly zero
        and both signs read alike; one missing structure counts as nothing to measure, not as one pixel.
    """
    predicted, clean = np.asarray(predicted, bool), np.asarray(clean, bool)
    if predicted.shape != clean.shape:
        raise GeometryError(f"predicted mask has shape {predicted.shape}, clean mask {clean.shape}")
    if any(mask.all() or not mask.any() for mask in (predicted, clean)):
        return float("nan")
    return trimmed_mean(*boundary_displacements(None, predicted, clean, spacing_mm), trim)


def boundary_displacements(
    distance: FloatArray | None,
    predicted: BoolArray,
    clean: BoolArray,
    spacing_mm: Sequence[float] | float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """How far the predicted boundary lies from each face of the clean one, with its sign.

    Args:
        distance: `(*space)` signed distance of `predicted` in mm, for callers that have it already; None: it
            is worked out on the faces that need it.
        predicted: `(*space)` booleans.
        clean: `(*space)` booleans, the truth.
        spacing_mm: per axis in mm.

    Returns:
        displacements `(m,)` in mm, zero on faces that both boundaries share, and face areas `(m,)`.
    """
    predicted, clean = np.asarray(predicted, bool), np.asarray(clean, bool)
    for field in (predicted, clean if distance is None else distance):
        _check_shape(field, clean)
    low, high, areas = _faces(clean, check_spacing(spacing_mm, clean.ndim))
    inside = predicted.ravel()
    apart = inside[low] == inside[high]  # the predicted boundary runs through all other faces
    beside = np.concatenate([low[apart], high[apart]])
    far = signed_distance_at(predicted, beside, spacing_mm) if distance is None else distance.ravel()[beside]
    values = np.zeros(len(areas), far.dtype)
    values[apart] = far.reshape(2, -1).sum(axis=0) / 2
    return values, areas


def trimmed_mean(values: FloatArray, weights: FloatArray, trim: float = 0.0) -> float:
    """Weighted mean of the values that are left when a share `trim` of the weight is cut off at each end.

    Args:
        values: `(m,)` numbers.
        weights: `(m,)`, positive.
        trim: in [0, 0.5).

    >>> trimmed_mean(np.array([-40.0, -2, -1, 0]), np.ones(4), trim=0.25)
    -1.5
    """
    order = np.argsort(values)
    ends = np.cumsum(weights[order])
    low, high = trim * ends[-1], (1 - trim) * ends[-1]
    kept = np.maximum(np.minimum(ends, high) - np.maximum(ends - weights[order], low), 0)
    return float((values[order] * kept).sum() / kept.sum())


def _check_shape(field: NDArray[Any], mask: BoolArray) -> None:
    if field.shape != mask.shape:
        raise GeometryError(
            f"field of shape {field.shape} read on the boundary of a mask of shape {mask.shape}"
        )


def _faces(
    mask: BoolArray, spacing: tuple[float, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """The boundary faces of a mask: positions of the two voxels that share each, and areas in mm^(ndim-1)."""
    lows, highs, areas = [], [], []
    for axis, (low, high) in enumerate(_face_slices(mask.ndim)):
        crossing = np.zeros(mask.shape, bool)
        np.not_equal(mask[low], mask[high], out=crossing[low])
        at = np.flatnonzero(crossing)
        lows.append(at)
        highs.append(at + math.prod(mask.shape[axis + 1 :]))
        areas.append(np.full(len(at), math.prod(spacing) / spacing[axis]))
    return np.concatenate(lows), np.concatenate(highs), np.concatenate(areas)


def _face_slices(ndim: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Per axis, the slices of the lower and the upper voxel of every face."""
    every = (slice(None),) * ndim
    for axis in range(ndim):
        yield (
            (*every[:axis], slice(None, -1), *every[axis + 1 :]),
            (*every[:axis], slice(1, None), *every[axis + 1 :]),
        )
