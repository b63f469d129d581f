"""Spatial Correction: measure the boundary bias of the noisy posterior on clean cases, and move the boundary back.

Annotators who are always too generous teach the network to be too generous: with enough cases it predicts the noisy
posterior, in which individual roughness has averaged away and the common displacement has not. That displacement is
one number a class; a handful of trusted cases, even one, is enough to measure it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.ndimage import zoom
from scipy.stats import t as student_t

from labelmend.errors import CleanCasesError, ConfigError, GeometryError
from labelmend.geometry import boundary_bias, check_spacing, signed_distance
from labelmend.methods.base import Method, Needs, State, revision
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

Move = Literal["distance", "logit"]


@dataclass(frozen=True)
class Bias:
    """The boundary bias of one class over the clean cases.

    Args:
        class_name: the class.
        mean_mm: mean signed distance from clean to predicted boundary; negative: predictions are too large.
        low_mm: lower end of the interval of the mean; NaN with fewer than two cases.
        high_mm: upper end.
        n_cases: clean cases in which both boundaries exist.
    """

    class_name: str
    mean_mm: float
    low_mm: float
    high_mm: float
    n_cases: int


def estimate_bias(per_case_mm: Sequence[float], class_name: str = "", confidence: float = 0.95) -> Bias:
    """Mean bias over clean cases, with Student's t interval.

    A t interval rather than a bootstrap: two to five cases are the usual number here, and the percentile bootstrap
    of two values covers the mean half of the time at best.

    Args:
        per_case_mm: `boundary_bias` of each clean case; NaN where there was nothing to measure.
        class_name: for messages and reports.
        confidence: coverage of the interval, in (0, 1).

    >>> estimate_bias([-5.0, -5.2, -4.8]).mean_mm
    -5.0
    """
    values = np.asarray([value for value in per_case_mm if np.isfinite(value)], float)
    if values.size == 0:
        return Bias(class_name, math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if values.size == 1:
        return Bias(class_name, mean, math.nan, math.nan, 1)
    half = float(student_t.ppf((1 + confidence) / 2, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size))
    return Bias(class_name, mean, mean - half, mean + half, int(values.size))


def spatial_correction(
    levels: FloatArray,
    bias_mm: float,
    spacing_mm: Sequence[float] | float | None = None,
    *,
    move: Move = "distance",
    upsample: int = 1,
) -> FloatArray:
    """Levels whose zero set is the predicted boundary of one class moved back by its bias.

    With d the signed distance to the boundary of {levels > 0} (negative inside) and s = bias_mm:

        distance:  f' = s - d                                      (the region {d < s})
        logit:     f' = f + sign(s) A exp(-d^2 / (2 s^2)),         A = max |f| over the band to be changed

    The band is the strip between the predicted boundary and distance |s| on the side to be changed: inside for s < 0
    (the prediction is too large, shrink), outside for s > 0.

    Args:
        levels: `(*space)` logits or margins of one class; the predicted region is {levels > 0}.
        bias_mm: signed displacement to undo; negative shrinks, positive grows, 0 keeps the boundary.
        spacing_mm: per axis in mm.
        move: "distance" moves the level set by distance; "logit" is the published form.
        upsample: find the boundary on a grid this many times finer (linear interpolation of `levels`): the boundary
            is then known below the voxel. "distance" only.

    Returns:
        `(*space)` float levels, positive inside the corrected region. An empty or full prediction has no boundary to
        move and comes back as it is.

    Raises:
        GeometryError: spacing does not fit. ConfigError: unknown move.

    >>> (spatial_correction(np.array([-1.0, 1, 1, 1, 1, 1, -1]), -1.0) > 0).astype(int)
    array([0, 0, 1, 1, 1, 0, 0])

    Paper: Yao et al., ICLR 2023, section 4 (move="logit").
    Differs: "distance" is ours; it needs no scale and on large structures comes closer to the truth. The official
        code's signed distance lacks the half voxel.
    """
    levels = np.asarray(levels)
    spacing = check_spacing(spacing_mm, levels.ndim)
    inside = levels > 0
    if bias_mm == 0 or inside.all() or not inside.any():
        return levels
    if move == "distance":
        return bias_mm - _level_distance(levels, spacing, upsample)
    if move != "logit":
        raise ConfigError(f'move must be "distance" or "logit", got {move!r}')
    distance = signed_distance(inside, spacing)
    changed_side = inside if bias_mm < 0 else ~inside
    band = changed_side & (np.abs(distance) <= abs(bias_mm))
    height = np.abs(levels[band]).max(initial=0.0)
    return levels + math.copysign(height, bias_mm) * np.exp(-(distance**2) / (2 * bias_mm**2))


def _level_distance(levels: FloatArray, spacing: tuple[float, ...], upsample: int) -> FloatArray:
    """Signed distance to {levels = 0} at voxel centres, with the zero set found on an `upsample` times finer grid."""
    if upsample == 1:
        return signed_distance(levels > 0, spacing)
    fine = zoom(levels, upsample, order=1, mode="nearest", grid_mode=True)
    if (fine > 0).all() or not (fine > 0).any():
        return signed_distance(levels > 0, spacing)
    distance = signed_distance(fine > 0, [s / upsample for s in spacing])
    blocks = [n for size in levels.shape for n in (size, upsample)]
    return distance.reshape(blocks).mean(axis=tuple(range(1, 2 * levels.ndim, 2)))


def class_levels(probs: FloatArray, *, overlapping: bool) -> FloatArray:
    """`(k *space)` levels of the foreground classes: positive exactly where the class is predicted.

    Overlapping: the logit of each class. Exclusive: log p_c - max over the other classes (background included), so
    that the largest probability wins.

    Args:
        probs: `(k *space)` sigmoid outputs, or `(k+1 *space)` softmax outputs with background first.
        overlapping: which of the two.
    """
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(probs, tiny))
    if overlapping:
        return logs - np.log(np.maximum(1 - probs, tiny))
    levels = []
    for index in range(1, len(probs)):
        others = np.delete(logs, index, axis=0)
        levels.append(logs[index] - others.max(axis=0))
    return np.stack(levels)


def resolve(levels: FloatArray, *, overlapping: bool) -> BoolArray:
    """Masks from levels: every positive level for overlapping classes, the highest positive one for exclusive."""
    masks = levels > 0
    if overlapping or len(levels) == 1:
        return masks
    winner = levels.argmax(axis=0)
    return masks & (winner == np.arange(len(levels)).reshape(-1, *[1] * winner.ndim))


@dataclass(frozen=True)
class SpatialCorrection(Method):
    """Train, measure the bias on clean cases, move the predicted boundaries back, train again on the result.

    A class is corrected when its bias is at least `min_shift_vox` and, with two or more clean cases, the interval of
    its mean does not hold zero; otherwise its labels stay as they were given.

    Args:
        move: how the boundary is moved: "distance" (by distance, ours) or "logit" (published).
        gamma: share of the measured bias that is undone, in (0, 1].
        min_shift_vox: smallest displacement worth undoing, in voxels of the finest axis.
        upsample: find the predicted boundary on a grid this many times finer.
        confidence: coverage of the interval of the bias, in (0, 1).

    Paper: Yao, Zhang, Zheng, Goswami, Prasanna, Chen, "Learning to Segment from Noisy Annotations: A Spatial
        Correction Approach", ICLR 2023.
    """

    move: Move = "distance"
    gamma: float = 1.0
    min_shift_vox: float = 1.0
    upsample: int = 1
    confidence: float = 0.95

    needs: ClassVar[Needs] = Needs(clean="required", rounds=2)

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma must be in (0, 1], got {self.gamma}")
        if self.upsample < 1 or self.min_shift_vox < 0 or not 0 < self.confidence < 1:
            raise ConfigError(f"upsample >= 1, min_shift_vox >= 0 and 0 < confidence < 1 expected, got {self}")
        if self.move not in ("distance", "logit"):
            raise ConfigError(f'move must be "distance" or "logit", got {self.move!r}')

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        biases, finest_mm = self._measure(clean)
        shifts, rows = {}, []
        for bias in biases:
            shift, why = self._decide(bias, finest_mm)
            shifts[bias.class_name] = shift
            rows.append(asdict(bias) | {"shift_mm": shift, "why": why})
        proposals = (self._revised(predicted, shifts) for predicted in cases) if any(shifts.values()) else ()
        return {**state, "bias": rows}, (revised for revised in proposals if revised is not None)

    def findings(self, state: State) -> list[dict[str, Any]]:
        return [
            {"class": row["class_name"], "moved": row["shift_mm"] is not None}
            | {key: row[key] for key in ("mean_mm", "low_mm", "high_mm", "n_cases", "shift_mm", "why")}
            for row in state.get("bias", [])
        ]

    def _measure(self, clean: Iterable[Predicted]) -> tuple[list[Bias], float]:
        """The bias of every class over the clean cases, and the finest spacing among them in mm."""
        per_case: dict[str, list[float]] = {}
        finest_mm = math.inf
        for predicted in clean:
            truth, spacing = predicted.given, predicted.given.grid.spacing_mm
            finest_mm = min(finest_mm, *spacing)
            levels = class_levels(predicted.probs, overlapping=truth.overlapping)
            for name, level, mask in zip(truth.classes, levels, truth.masks(), strict=True):
                per_case.setdefault(name, []).append(boundary_bias(level > 0, mask, spacing))
        if not per_case:
            raise CleanCasesError("Spatial Correction measures its bias on clean cases, and none came")
        return [estimate_bias(values, name, self.confidence) for name, values in per_case.items()], finest_mm

    def _decide(self, bias: Bias, finest_mm: float) -> tuple[float | None, str]:
        """The displacement to undo in mm, or None where the class is left as it is, and why."""
        shift = self.gamma * bias.mean_mm
        if bias.n_cases == 0:
            return None, "no clean case holds both a true and a predicted boundary"
        if bias.low_mm <= 0 <= bias.high_mm:
            return None, "the interval of the bias holds zero"
        if abs(shift) < self.min_shift_vox * finest_mm:
            return None, f"the bias is under {self.min_shift_vox:g} voxel"
        alone = "; one clean case gives no interval" if bias.n_cases == 1 else ""
        return shift, f"predicted boundary moved {'in' if shift < 0 else 'out'}ward by {abs(shift):.2f} mm{alone}"

    def _revised(self, predicted: Predicted, shifts: Mapping[str, float | None]) -> Revision | None:
        """Labels with the predicted boundary moved, class by class; a class that is not predicted at all is kept."""
        labels = predicted.current
        levels = class_levels(predicted.probs, overlapping=labels.overlapping)
        moved, reasons = [], []
        for name, level, mask in zip(labels.classes, levels, labels.masks(), strict=True):
            shift = shifts[name]
            if shift is not None and (level > 0).any():
                level = spatial_correction(
                    level, shift, labels.grid.spacing_mm, move=self.move, upsample=self.upsample
                )
                way = "in" if shift < 0 else "out"
                reasons.append(f"{name}: predicted boundary moved {way}ward by {abs(shift):.2f} mm")
            else:
                level = np.where(mask, 1.0, -1.0)
                if shift is not None:
                    reasons.append(f"{name}: kept, the network finds none")
            moved.append(level)
        masks = resolve(np.stack(moved), overlapping=labels.overlapping)
        return revision(predicted, masks, "; ".join(reasons)) if reasons else None
