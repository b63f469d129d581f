"""Spatial Correction: measure the boundary bias of the noisy posterior on clean cases, and correct it.

Annotators who always draw too wide teach the network to predict too wide: with enough cases it predicts the
noisy posterior, in which individual roughness has averaged out and the common displacement has not. That
displacement is one number per class; a few trusted cases, even one, are enough to measure it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.ndimage import zoom

from labelmend.errors import CleanCasesError, ConfigError
from labelmend.geometry import (
    boundary_displacements,
    check_spacing,
    class_levels,
    resolve,
    signed_distance,
    trimmed_mean,
)
from labelmend.methods.base import Known, Method, Needs, Rows, State, revision
from labelmend.methods.given_outlines import decisions
from labelmend.metrics import Bias, estimate_bias
from labelmend.metrics.bias import SURE_ERRORS
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

LEVELS = tuple(float(logit) for logit in range(-5, 6))
"""Logits whose level sets are tried: probabilities 0.7 % to 99.3 %."""

LEVEL_MARGIN = 0.001
"""Dice by which another level must beat the predicted boundary itself."""

Move = Literal["distance", "logit"]


def spatial_correction(
    levels: FloatArray,
    bias_mm: float,
    spacing_mm: Sequence[float] | float | None = None,
    *,
    move: Move = "distance",
    upsample: int = 1,
) -> FloatArray:
    """Levels whose zero set is the predicted boundary of one class, moved back by its bias.

    With d the signed distance to the boundary of {levels > 0} (negative inside) and s = bias_mm:

        distance:  f' = s - d                                      (the region {d < s})
        logit:     f' = f + sign(s) A exp(-d^2 / (2 s^2)),         A = max |f| over the band to be changed

    The band is the strip between the predicted boundary and distance |s| on the side to be changed: inside
    for s < 0 (the prediction is too large, shrink), outside for s > 0.

    Args:
        levels: `(*space)` logits or margins of one class; the predicted region is {levels > 0}.
        bias_mm: signed displacement to correct; negative shrinks, positive grows, 0 keeps the boundary.
        spacing_mm: per axis in mm.
        move: "distance" moves the level set by distance; "logit" is the published form.
        upsample: find the boundary on a grid this many times finer (linear interpolation of `levels`): the
            boundary is then known below the voxel. "distance" only.

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
    if bias_mm == 0 or not has_boundary(levels > 0):
        return levels
    if move == "distance":
        return bias_mm - _level_distance(levels, spacing, upsample)
    if move != "logit":
        raise ConfigError(f'move must be "distance" or "logit", got {move!r}')
    return logit_move(levels, signed_distance(levels > 0, spacing), bias_mm)


def logit_move(levels: FloatArray, distance_mm: FloatArray, bias_mm: float) -> FloatArray:
    """The published move in logit space, see `spatial_correction`, with a signed distance of your own."""
    inside = levels > 0
    changed_side = inside if bias_mm < 0 else ~inside
    band = changed_side & (np.abs(distance_mm) <= abs(bias_mm))
    height = np.abs(levels[band]).max(initial=0.0)
    return levels + math.copysign(height, bias_mm) * np.exp(-(distance_mm**2) / (2 * bias_mm**2))


def has_boundary(mask: BoolArray) -> bool:
    """Whether a mask is neither empty nor full."""
    return bool(mask.any() and not mask.all())


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


@dataclass(frozen=True)
class Measured:
    """One class of one clean case at one level.

    Args:
        bias_mm: its bias; NaN without a boundary.
        dice: Dice with the clean mask after the correction; NaN where it was not measured.
    """

    bias_mm: float
    dice: float


@dataclass(frozen=True)
class SpatialCorrection(Method):
    """Train, measure the bias on clean cases, move the predicted boundaries back, train again on the result.

    A class is corrected if its bias is at least `min_shift_vox` and, with two or more clean cases, two
    standard errors from zero; otherwise its labels stay as they are.

    Args:
        move: how the boundary is moved: "distance" (by distance, new here) or "logit" (as published).
        gamma: share of the measured bias that is corrected, in (0, 1].
        min_shift_vox: smallest displacement to correct, in voxels of the finest axis.
        level: logit whose level set is moved; 0 is the predicted boundary, as published. Default: per class,
            the
            level from which a shift comes closest to the clean cases: where wide outlines of two structures
            have merged, a higher level still shows the gap between them.
        trim: share of the boundary trimmed at each end when a bias is averaged, see `boundary_bias`; 0 in the
            paper.
        min_dice: a class is only corrected if its corrected predictions reach this Dice on the clean cases: a
            network that has not learned it knows no better than the given labels.
        upsample: locate the predicted boundary on a grid this many times finer.
        confidence: coverage of the interval of the bias, in (0, 1).

    Paper: Yao, Zhang, Zheng, Goswami, Prasanna, Chen, "Learning to Segment from Noisy Annotations: A Spatial
        Correction Approach", ICLR 2023.
    Differs: level, trim, interval and the threshold of half a voxel are ours; the paper moves the 0.5 level
        set when its mean displacement reaches one pixel. `published/official_spatial_correction.py` does as
        the released program does.
    """

    move: Move = "distance"
    gamma: float = 1.0
    min_shift_vox: float = 0.5
    level: float | None = None
    trim: float = 0.25
    min_dice: float = 0.5
    upsample: int = 2
    confidence: float = 0.95

    needs: ClassVar[Needs] = Needs(clean="required", rounds=2)

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma must be in (0, 1], got {self.gamma}")
        if (
            self.upsample < 1
            or self.min_shift_vox < 0
            or not 0 < self.confidence < 1
            or not 0 <= self.trim < 0.5
        ):
            limits = "upsample >= 1, min_shift_vox >= 0, 0 < confidence < 1 and 0 <= trim < 0.5"
            raise ConfigError(f"{limits} expected, got {self}")
        if self.move not in ("distance", "logit"):
            raise ConfigError(f'move must be "distance" or "logit", got {self.move!r}')

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        rows = self._measure(clean)
        return {**state, "bias": rows}, self._revisions(rows, cases)

    def revise_from_probs(
        self, known: Known, cases: Callable[[], Iterator[Predicted]]
    ) -> tuple[Rows, Iterator[Revision]]:
        rows = decisions(self, self._measure(known.trusted()), known.redrawn())
        return rows, self._revisions(rows, cases())

    def _revisions(self, rows: Rows, cases: Iterable[Predicted]) -> Iterator[Revision]:
        acting = {row["class"]: row for row in rows if row["moved"]}
        proposals = (self.revised(predicted, acting) for predicted in (cases if acting else ()))
        return (revised for revised in proposals if revised is not None)

    def findings(self, state: State) -> list[dict[str, Any]]:
        return [dict(row) for row in state.get("bias", [])]

    def held_back(self, state: State, classes: Collection[str]) -> State:
        rows = state.get("bias", [])
        kept = [row | {"moved": row["moved"] and row["class"] not in classes} for row in rows]
        return {**state, "bias": kept}

    def correction(self, state: State) -> dict[str, Any] | None:
        rows = state.get("bias")
        return {"undo": [_undo(row) for row in rows]} if rows else None

    def correct_prediction(
        self,
        correction: Mapping[str, Any],
        probs: FloatArray,
        *,
        overlapping: bool,
        spacing_mm: Sequence[float],
    ) -> BoolArray:
        masks = resolve(class_levels(probs, overlapping=overlapping), overlapping=overlapping)
        return self._moved(masks, probs, correction["undo"], overlapping, spacing_mm)[0]

    def _measure(self, clean: Iterable[Predicted]) -> list[dict[str, Any]]:
        """Per class: the bias of the predicted boundary, the level to move, by how much, whether and why."""
        measured: dict[str, dict[float, list[Measured]]] = {}
        shown: set[str] = set()
        finest_mm, unit = math.inf, "mm"
        for predicted in clean:
            truth = predicted.given
            finest_mm, unit = min(finest_mm, *truth.grid.spacing_mm), truth.grid.unit
            levels = class_levels(predicted.probs, overlapping=truth.overlapping)
            for name, level, mask in zip(truth.classes, levels, truth.masks(), strict=True):
                shown |= {name} if mask.any() else set()
                for logit in LEVELS if self.level is None else {0.0, self.level}:
                    found = self._case(level - logit, mask, truth.grid.spacing_mm)
                    measured.setdefault(name, {}).setdefault(logit, []).append(found)
        if not measured:
            raise CleanCasesError("Spatial Correction measures its bias on clean cases, and none came")
        n_classes = len(measured)
        rows = [self._row(name, by_level, n_classes, finest_mm, unit) for name, by_level in measured.items()]
        absent = {"moved": False, "why": "no trusted case shows it, so its labels are left as given"}
        return [row | ({} if row["class"] in shown else absent) for row in rows]

    def _case(self, level: FloatArray, clean: BoolArray, spacing_mm: Sequence[float]) -> Measured:
        inside = level > 0
        if not has_boundary(clean):
            return Measured(math.nan, math.nan)
        if not has_boundary(inside):
            return Measured(math.nan, 0.0)
        distance = signed_distance(inside, spacing_mm)
        bias_mm = trimmed_mean(*boundary_displacements(distance, inside, clean, spacing_mm), self.trim)
        moved = distance < bias_mm
        return Measured(bias_mm, float(2 * (moved & clean).sum() / (moved.sum() + clean.sum())))

    def _row(
        self, name: str, by_level: dict[float, list[Measured]], n_classes: int, finest_mm: float, unit: str
    ) -> dict[str, Any]:
        biases = {
            logit: self._bias([case.bias_mm for case in cases], name, n_classes)
            for logit, cases in by_level.items()
        }
        dices = {z: [c.dice for c in cases if not math.isnan(c.dice)] for z, cases in by_level.items()}
        reached = {z: float(np.mean(known)) if known else None for z, known in dices.items()}
        boundary, logit = biases[0.0], self._best_level({z: dice or 0.0 for z, dice in reached.items()})
        moved, why = self._decide(boundary, reached[logit], finest_mm, unit)
        values = {key: value for key, value in asdict(boundary).items() if key != "class_name"}
        shift_mm = self._shift_mm(biases[logit], finest_mm)
        found = {
            "moved": moved,
            "level": logit,
            "shift_mm": shift_mm,
            "clean_dice": reached[logit],
            "why": why,
        }
        return {"class": name, **values, **found}

    def _bias(self, biases_mm: Sequence[float], name: str, n_classes: int) -> Bias:
        """Mean and interval of the biases of one class over the clean cases."""
        return estimate_bias(biases_mm, name, self.confidence)

    def _shift_mm(self, bias: Bias, finest_mm: float) -> float:
        """How far the boundary is moved."""
        return self.gamma * bias.mean_mm

    def _best_level(self, reached: Mapping[float, float]) -> float:
        """The level from which a shift comes closest to the clean cases; 0 unless another is better."""
        if self.level is not None:
            return self.level
        best = max(reached, key=lambda logit: (reached[logit], -abs(logit)))
        return best if reached[best] > reached[0.0] + LEVEL_MARGIN else 0.0

    def _decide(self, bias: Bias, clean_dice: float | None, finest_mm: float, unit: str) -> tuple[bool, str]:
        """Whether a class is corrected, and why."""
        if bias.n_cases == 0:
            return False, "no clean case holds both a true and a predicted boundary"
        if clean_dice is None or clean_dice < self.min_dice:
            reached = f"Dice {clean_dice or 0.0:.2f} on clean cases"
            return False, f"the network has not learned it: corrected, it reaches {reached}"
        if abs(bias.mean_mm) <= SURE_ERRORS * bias.error_mm:  # False for one case, whose error is NaN
            return False, f"the bias is within {SURE_ERRORS:g} standard errors of zero"
        shift = self._shift_mm(bias, finest_mm)
        if abs(shift) < self.min_shift_vox * finest_mm:
            return False, f"the bias is under {self.min_shift_vox:g} voxel"
        return True, in_words(shift, unit) + "; one clean case gives no interval" * (bias.n_cases == 1)

    def revised(self, predicted: Predicted, acting: Mapping[str, Mapping[str, Any]]) -> Revision | None:
        """Labels with predicted boundaries moved, class by class; a class never predicted is kept.

        Args:
            predicted: the case.
            acting: rows of the classes to correct, see `findings`.
        """
        labels = predicted.current
        undo = [_undo(acting.get(name)) for name in labels.classes]
        masks, found = self._moved(
            labels.masks(), predicted.probs, undo, labels.overlapping, labels.grid.spacing_mm
        )
        reasons = [
            f"{name}: {acting[name]['why'] if there else 'kept, the network finds none'}"
            for name, there in zip(labels.classes, found, strict=True)
            if name in acting
        ]
        # Not the network's agreement: the network shares the bias that is being undone.
        trust = [row["clean_dice"] for row in acting.values() if row["clean_dice"] is not None]
        sure = float(np.mean(trust)) if trust else None
        return revision(predicted, masks, "; ".join(reasons), sure) if reasons else None

    def _moved(
        self,
        masks: BoolArray,
        probs: FloatArray,
        undo: Sequence[Sequence[float] | None],
        overlapping: bool,
        spacing_mm: Sequence[float],
    ) -> tuple[BoolArray, list[bool]]:
        """Masks with predicted boundaries moved where there is something to undo; and where one was found.

        Args:
            masks: `(k *space)`, what stays of the classes that do not move.
            probs: see `Predicted`.
            undo: per class (logit, shift in mm), or None.
            overlapping: whether classes may.
            spacing_mm: per axis.
        """
        made, found = [], []
        levels = class_levels(probs, overlapping=overlapping)
        for level, mask, move in zip(levels, masks, undo, strict=True):
            found.append(move is not None and bool((level > move[0]).any()))
            if move is not None and found[-1]:
                made.append(self.corrected(level, move[0], move[1], spacing_mm))
            else:
                made.append(np.where(mask, np.inf, -np.inf))  # keeps its pixels against classes that move
        return resolve(np.stack(made), overlapping=overlapping), found

    def corrected(
        self, levels: FloatArray, logit: float, shift_mm: float, spacing_mm: Sequence[float]
    ) -> FloatArray:
        """`spatial_correction` of one class with these settings, from the level set of `logit`."""
        return spatial_correction(
            levels - logit, shift_mm, spacing_mm, move=self.move, upsample=self.upsample
        )


def _undo(row: Mapping[str, Any] | None) -> list[float] | None:
    """(logit, shift in mm) of a row whose class is corrected."""
    return [row["level"], row["shift_mm"]] if row is not None and row["moved"] else None


def in_words(shift_mm: float, unit: str) -> str:
    """A shift as the end of a sentence."""
    return f"predicted boundary moved {'in' if shift_mm < 0 else 'out'}ward by {abs(shift_mm):.2f} {unit}"
