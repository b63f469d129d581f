"""Spatial Correction: measure the boundary bias of the noisy posterior on clean cases, and undo it.

Annotators who are always too generous teach the network to be too generous: with enough cases it predicts the
noisy posterior, in which individual roughness has averaged away and the common displacement has not. That
displacement is one number a class; a handful of trusted cases, even one, is enough to measure it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.ndimage import distance_transform_edt, zoom
from scipy.stats import t as student_t

from labelmend.errors import CleanCasesError, ConfigError
from labelmend.geometry import boundary_bias, check_spacing, frontier, signed_distance
from labelmend.methods.base import Method, Needs, State, revision
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

Move = Literal["distance", "logit"]
Variant = Literal["repaired", "official"]


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

    A t interval rather than a bootstrap: two to five cases are the usual number here, and the percentile
    bootstrap of two values covers the mean half of the time at best.

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
    half = float(
        student_t.ppf((1 + confidence) / 2, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size)
    )
    return Bias(class_name, mean, mean - half, mean + half, int(values.size))


def spatial_correction(
    levels: FloatArray,
    bias_mm: float,
    spacing_mm: Sequence[float] | float | None = None,
    *,
    move: Move = "distance",
    upsample: int = 1,
    half_voxel: bool = True,
) -> FloatArray:
    """Levels whose zero set is the predicted boundary of one class moved back by its bias.

    With d the signed distance to the boundary of {levels > 0} (negative inside) and s = bias_mm:

        distance:  f' = s - d                                      (the region {d < s})
        logit:     f' = f + sign(s) A exp(-d^2 / (2 s^2)),         A = max |f| over the band to be changed

    The band is the strip between the predicted boundary and distance |s| on the side to be changed: inside
    for s < 0 (the prediction is too large, shrink), outside for s > 0.

    Args:
        levels: `(*space)` logits or margins of one class; the predicted region is {levels > 0}.
        bias_mm: signed displacement to undo; negative shrinks, positive grows, 0 keeps the boundary.
        spacing_mm: per axis in mm.
        move: "distance" moves the level set by distance; "logit" is the published form.
        upsample: find the boundary on a grid this many times finer (linear interpolation of `levels`): the
            boundary is then known below the voxel. "distance" only.
        half_voxel: False takes the signed distance of the official code, which jumps from -1 to +1; "logit"
            only.

    Returns:
        `(*space)` float levels, positive inside the corrected region. An empty or full prediction has no
        boundary to move and comes back as it is.

    Raises:
        GeometryError: spacing does not fit. ConfigError: unknown move.

    >>> (spatial_correction(np.array([-1.0, 1, 1, 1, 1, 1, -1]), -1.0) > 0).astype(int)
    array([0, 0, 1, 1, 1, 0, 0])

    Paper: Yao et al., ICLR 2023, section 4 (move="logit").
    Differs: "distance" is ours; it needs no scale and on large structures comes closer to the truth. The
        official code's signed distance lacks the half voxel.
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
    distance = (
        signed_distance(inside, spacing) if half_voxel else official_distance_vox(inside) * min(spacing)
    )
    changed_side = inside if bias_mm < 0 else ~inside
    band = changed_side & (np.abs(distance) <= abs(bias_mm))
    height = np.abs(levels[band]).max(initial=0.0)
    return levels + math.copysign(height, bias_mm) * np.exp(-(distance**2) / (2 * bias_mm**2))


def _level_distance(levels: FloatArray, spacing: tuple[float, ...], upsample: int) -> FloatArray:
    """Signed distance to {levels = 0} at voxel centres; the zero set is found on a finer grid."""
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

    Overlapping: the logit of each class. Exclusive: log p_c - max over the other classes (background
    included), so that the largest probability wins.

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
    """Masks from levels: every positive level for overlapping classes, else the highest positive one."""
    masks = levels > 0
    if overlapping or len(levels) == 1:
        return masks
    winner = levels.argmax(axis=0)
    return masks & (winner == np.arange(len(levels)).reshape(-1, *[1] * winner.ndim))


def official_distance_vox(mask: BoolArray) -> FloatArray:
    """Signed distance of the official code, in voxels: -1 just inside, +1 just outside, no zero between."""
    return np.where(mask, -distance_transform_edt(mask), distance_transform_edt(~mask))


def official_bias_vox(predicted: BoolArray, clean: BoolArray) -> float:
    """Bias of one case as the official code reads it, in voxels.

    The mean of `official_distance_vox` of the prediction over the clean mask's own frontier; a boundary moved
    outward by r reads -(r + 1), one moved inward by r reads +r. A structure present in one mask only counts
    +1 or -1.

    Paper: official code of Yao et al., ICLR 2023.
    """
    if predicted.any() != clean.any():
        return 1.0 if clean.any() else -1.0
    edge = frontier(clean, outer=False)
    return float(official_distance_vox(predicted)[edge].mean()) if edge.any() and not predicted.all() else 0.0


@dataclass(frozen=True)
class SpatialCorrection(Method):
    """Train, measure the bias on clean cases, move the predicted boundaries back, train again on the result.

    A class is corrected when its bias is at least `min_shift_vox` and, with two or more clean cases, the
    interval of its mean does not hold zero; otherwise its labels stay as they are.

    Args:
        move: how the boundary is moved: "distance" (by distance, ours) or "logit" (published).
        gamma: share of the measured bias that is undone, in (0, 1].
        min_shift_vox: smallest displacement worth undoing, in voxels of the finest axis.
        upsample: find the predicted boundary on a grid this many times finer.
        confidence: coverage of the interval of the bias, in (0, 1).
        variant: "official" does as the released code does (with move="logit"; it ran JSRT with gamma 0.8):
            the bias is divided by the number of classes too, distances jump from -1 to +1, no interval is
            asked, and labels of a class whose bias is under one voxel are replaced by the raw prediction.

    Paper: Yao, Zhang, Zheng, Goswami, Prasanna, Chen, "Learning to Segment from Noisy Annotations: A Spatial
        Correction Approach", ICLR 2023.
    """

    move: Move = "distance"
    gamma: float = 1.0
    min_shift_vox: float = 0.5
    upsample: int = 1
    confidence: float = 0.95
    variant: Variant = "repaired"

    needs: ClassVar[Needs] = Needs(clean="required", rounds=2)

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma must be in (0, 1], got {self.gamma}")
        if self.upsample < 1 or self.min_shift_vox < 0 or not 0 < self.confidence < 1:
            raise ConfigError(
                f"upsample >= 1, min_shift_vox >= 0 and 0 < confidence < 1 expected, got {self}"
            )
        if self.variant == "official" and self.move != "logit":
            raise ConfigError('variant "official" goes with move "logit": set both')
        if self.move not in ("distance", "logit"):
            raise ConfigError(f'move must be "distance" or "logit", got {self.move!r}')

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        biases, finest_mm, unit = self._measure(clean)
        shifts, rows = {}, []
        for bias in biases:
            shift, why = self._decide(bias, finest_mm, unit)
            shifts[bias.class_name] = shift
            rows.append(asdict(bias) | {"shift_mm": shift, "why": why})
        acting = any(shift is not None for shift in shifts.values())
        proposals = (self._revised(predicted, shifts) for predicted in cases) if acting else ()
        return {**state, "bias": rows}, (revised for revised in proposals if revised is not None)

    def findings(self, state: State) -> list[dict[str, Any]]:
        return [
            {"class": row["class_name"], "moved": row["shift_mm"] is not None}
            | {key: row[key] for key in ("mean_mm", "low_mm", "high_mm", "n_cases", "shift_mm", "why")}
            for row in state.get("bias", [])
        ]

    def _measure(self, clean: Iterable[Predicted]) -> tuple[list[Bias], float, str]:
        """The bias of every class over the clean cases, the finest spacing there, and the unit of both."""
        per_case: dict[str, list[float]] = {}
        finest_mm, unit = math.inf, "mm"
        for predicted in clean:
            truth, spacing = predicted.given, predicted.given.grid.spacing_mm
            finest_mm, unit = min(finest_mm, *spacing), truth.grid.unit
            levels = class_levels(predicted.probs, overlapping=truth.overlapping)
            for name, level, mask in zip(truth.classes, levels, truth.masks(), strict=True):
                per_case.setdefault(name, []).append(self._case_bias(level > 0, mask, spacing))
        if not per_case:
            raise CleanCasesError("Spatial Correction measures its bias on clean cases, and none came")
        if self.variant == "official":  # its sum is per class, its divisor counts images times classes
            per_case = {name: [v / len(per_case) for v in values] for name, values in per_case.items()}
        biases = [estimate_bias(values, name, self.confidence) for name, values in per_case.items()]
        return biases, finest_mm, unit

    def _case_bias(self, predicted: BoolArray, clean: BoolArray, spacing_mm: Sequence[float]) -> float:
        if self.variant == "official":
            return official_bias_vox(predicted, clean) * min(spacing_mm)
        return boundary_bias(predicted, clean, spacing_mm)

    def _decide(self, bias: Bias, finest_mm: float, unit: str) -> tuple[float | None, str]:
        """The displacement to undo in mm, or None where the class is left as it is, and why."""
        shift = self.gamma * bias.mean_mm
        if bias.n_cases == 0:
            return None, "no clean case holds both a true and a predicted boundary"
        if self.variant == "official":
            small = abs(shift) < finest_mm
            return (
                (0.0, "replaced by the prediction, as the official code does")
                if small
                else (shift, _moved(shift, unit))
            )
        if bias.low_mm <= 0 <= bias.high_mm:
            return None, "the interval of the bias holds zero"
        if abs(shift) < self.min_shift_vox * finest_mm:
            return None, f"the bias is under {self.min_shift_vox:g} voxel"
        alone = "; one clean case gives no interval" if bias.n_cases == 1 else ""
        return shift, _moved(shift, unit) + alone

    def _revised(self, predicted: Predicted, shifts: Mapping[str, float | None]) -> Revision | None:
        """Labels with the predicted boundary moved, class by class; a class never predicted is kept."""
        labels = predicted.current
        levels = class_levels(predicted.probs, overlapping=labels.overlapping)
        moved, reasons = [], []
        for name, level, mask in zip(labels.classes, levels, labels.masks(), strict=True):
            shift = shifts[name]
            if shift is not None and (level > 0).any():
                level = spatial_correction(
                    level,
                    shift,
                    labels.grid.spacing_mm,
                    move=self.move,
                    upsample=self.upsample,
                    half_voxel=self.variant == "repaired",
                )
                reasons.append(f"{name}: {_moved(shift, labels.grid.unit)}")
            else:
                level = np.where(mask, 1.0, -1.0)
                if shift is not None:
                    reasons.append(f"{name}: kept, the network finds none")
            moved.append(level)
        masks = resolve(np.stack(moved), overlapping=labels.overlapping)
        return revision(predicted, masks, "; ".join(reasons)) if reasons else None


def _moved(shift_mm: float, unit: str) -> str:
    return f"predicted boundary moved {'in' if shift_mm < 0 else 'out'}ward by {abs(shift_mm):.2f} {unit}"
