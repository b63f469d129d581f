"""How much of an object scores cover, and at what precision: the whole curve, pooled over all pixels.

    recall = TP / (TP + FN)        precision = TP / (TP + FP)        a pixel is taken where score >= threshold

Coverage alone is meaningless, since a score of 1 everywhere covers everything; judge it with precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import GeometryError, LabelValueError
from labelmend.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Precision and recall of scores at every threshold that makes a difference.

    Args:
        thresholds: `(m)` the distinct scores, falling. Pixels are taken where scores are that high or higher.
        precision: `(m)` share of the pixels taken that belong to the object, in [0, 1].
        recall: `(m)` share of the object that is taken, in [0, 1], rising to 1.
        n_object: pixels of the object, 1 or more.
        n_pixels: pixels that count.
    """

    thresholds: FloatArray
    precision: FloatArray
    recall: FloatArray
    n_object: int
    n_pixels: int

    @property
    def average_precision(self) -> float:
        """Mean precision over recall: sum (R_i - R_(i-1)) P_i. By chance it is about n_object / n_pixels."""
        return float(np.diff(self.recall, prepend=0.0) @ self.precision)

    @property
    def best_iou(self) -> float:
        """The largest intersection over union with the object that a threshold gives."""
        product = self.precision * self.recall
        union = self.precision + self.recall - product  # 0 only where both are 0
        return float(np.divide(product, union, out=np.zeros_like(product), where=union > 0).max())

    def recall_at(self, precision: float) -> float:
        """The largest recall among thresholds with this precision or a better one; 0 if there is none."""
        return float(self.recall[self.precision >= precision].max(initial=0.0))


def coverage_curve(
    scores: ArrayLike | Sequence[ArrayLike],
    truth: ArrayLike | Sequence[ArrayLike],
    counted: ArrayLike | Sequence[ArrayLike] | None = None,
) -> CoverageCurve:
    """Precision and recall of scores at every threshold, exactly; pixels of all arrays are pooled.

    Args:
        scores: an array of any shape, finite, or a sequence of such arrays, one per case. Equal scores are
            one threshold.
        truth: the object, booleans or 0 and 1: an array of that shape, or as many arrays.
        counted: booleans or 0 and 1 of the same shapes, True for pixels that count; None counts all.

    Raises:
        GeometryError: shapes or numbers of arrays differ. LabelValueError: a score is NaN or infinite, truth
            or counted hold something else than 0 and 1, or no pixel that counts belongs to the object.

    >>> curve = coverage_curve([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    >>> curve.precision.round(2).tolist(), curve.recall.tolist()
    ([1.0, 0.5, 0.67, 0.5], [0.5, 0.5, 1.0, 1.0])
    >>> curve.recall_at(0.6), round(curve.average_precision, 4)
    (1.0, 0.8333)
    """
    values, is_object = _pooled(scores, truth, counted)
    n_object = int(np.count_nonzero(is_object))
    if not n_object:
        raise LabelValueError(
            f"none of the {values.size} pixels that count belongs to the object, so it cannot be covered: "
            "leave out a class that no image shows"
        )
    order = np.argsort(values)[::-1]
    values, is_object = values[order], is_object[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # where the next score is lower
    hits = np.cumsum(is_object, dtype=np.int64)[last]
    return CoverageCurve(values[last], hits / (last + 1), hits / n_object, n_object, values.size)


def _pooled(
    scores: ArrayLike | Sequence[ArrayLike],
    truth: ArrayLike | Sequence[ArrayLike],
    counted: ArrayLike | Sequence[ArrayLike] | None,
) -> tuple[FloatArray, BoolArray]:
    """`(n)` scores of all pixels that count, and whether each belongs to the object."""
    maps, masks = _arrays(scores), _arrays(truth)
    kept = [None] * len(maps) if counted is None else _arrays(counted)
    if not len(maps) == len(masks) == len(kept):
        raise GeometryError(
            f"got {len(maps)} arrays of scores, {len(masks)} of truth"
            + ("" if counted is None else f", {len(kept)} of counted")
            + "; as many of each are needed"
        )
    values, objects = [], []
    for i, (map_, mask, keep) in enumerate(zip(maps, masks, kept, strict=True)):
        if map_.shape != mask.shape or (keep is not None and keep.shape != map_.shape):
            raise GeometryError(
                f"array {i}: scores have shape {map_.shape}, truth {mask.shape}"
                + ("" if keep is None else f", counted {keep.shape}")
                + "; they must be equal"
            )
        if not np.isfinite(map_).all():
            raise LabelValueError(f"array {i}: scores must be finite, got NaN or infinity")
        chosen = slice(None) if keep is None else _booleans(keep, f"array {i}: counted").ravel()
        floats = map_ if np.issubdtype(map_.dtype, np.floating) else map_.astype(float)
        values.append(floats.ravel()[chosen])
        objects.append(_booleans(mask, f"array {i}: truth").ravel()[chosen])
    return np.concatenate(values), np.concatenate(objects)


def _arrays(given: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """One array, or each of a sequence; a list of plain numbers is an array, too."""
    if isinstance(given, Sequence) and any(np.ndim(each) for each in given):
        return [np.asarray(each) for each in given]
    return [np.asarray(given)]


def _booleans(array: NDArray[Any], what: str) -> BoolArray:
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise LabelValueError(f"{what} must be booleans, or 0 and 1, got {np.unique(array)[:5].tolist()}")
    return array.astype(bool)
