"""A part of Spatial Correction, from saved probabilities: the given labels of trusted cases have a say.

The method knows a network that learned from the given labels and shares their bias. Saved probabilities may
be another network's. So, where trusted masks were drawn anew for cases that have given labels, these are
compared too, class by class:

* predicted outlines are biased: they are moved back and replace the given ones, which is the method itself;
  unless the given labels are as close to the trusted ones as that, and stay;
* predicted outlines are not biased, but given ones are: the prediction replaces them as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmend.geometry import boundary_bias, class_levels
from labelmend.metrics import Bias, dice, estimate_bias
from labelmend.metrics.bias import SURE_ERRORS
from labelmend.types import FloatArray, LabelMap

if TYPE_CHECKING:
    from labelmend.methods.spatial_correction import SpatialCorrection


@dataclass(frozen=True)
class Compared:
    """One class on trusted cases that were drawn anew.

    Args:
        given: bias of the given labels.
        given_dice: mean Dice of the given labels to the trusted ones, NaN without any.
        predicted_dice: that of the predictions as they are.
        moved_dice: that of predictions moved as the method would.
        finest_mm: the smallest spacing.
        unit: of lengths.
    """

    given: Bias
    given_dice: float
    predicted_dice: float
    moved_dice: float
    finest_mm: float
    unit: str


def decisions(
    method: SpatialCorrection,
    rows: Sequence[Mapping[str, Any]],
    cases: Iterable[tuple[LabelMap, LabelMap, FloatArray]],
) -> list[dict[str, Any]]:
    """The rows with what given labels say on trusted cases, and "moved" and "why" as they are with that.

    Args:
        method: for how outlines are moved and biases averaged.
        rows: what it measured, one a class.
        cases: trusted labels, given labels and probabilities of the trusted cases that were drawn anew.
    """
    found, finest_mm, unit = [], math.inf, "mm"
    for truth, given, probs in cases:
        finest_mm, unit = min(finest_mm, *truth.grid.spacing_mm), truth.grid.unit
        found.append(_agreement(method, rows, truth, given, probs))
    if not found:
        return [dict(row) for row in rows]
    compared = []
    for row, numbers in zip(rows, np.moveaxis(np.array(found), 1, 0)):
        known = numbers[np.isfinite(numbers[:, 1:]).all(axis=1), 1:]
        before, as_is, moved = known.mean(axis=0).tolist() if len(known) else [math.nan] * 3
        bias = estimate_bias(numbers[:, 0].tolist(), row["class"], method.confidence)
        compared.append(Compared(bias, before, as_is, moved, finest_mm, unit))
    return [decide(method, row, of_class) for row, of_class in zip(rows, compared, strict=True)]


def _agreement(
    method: SpatialCorrection,
    rows: Sequence[Mapping[str, Any]],
    truth: LabelMap,
    given: LabelMap,
    probs: FloatArray,
) -> list[list[float]]:
    """Of one case, per class: bias of the given mask; Dice of the given, the predicted and the moved one."""
    found, ignored, spacing_mm = [], truth.ignored() | given.ignored(), truth.grid.spacing_mm
    levels = class_levels(probs, overlapping=truth.overlapping)
    for row, level, old, true in zip(rows, levels, given.masks(), truth.masks(), strict=True):
        old, true, moved = old & ~ignored, true & ~ignored, level > 0
        if row["moved"]:
            moved = method.corrected(level, row["level"], row["shift_mm"], spacing_mm) > 0
        bias_mm = boundary_bias(old, true, spacing_mm, trim=method.trim)
        found.append([bias_mm, *(dice(mask, true, ignored) for mask in (old, level > 0, moved))])
    return found


def decide(method: SpatialCorrection, row: Mapping[str, Any], compared: Compared) -> dict[str, Any]:
    """What was measured of a class, and whether and why it is corrected once given labels were asked, too."""
    if math.isnan(compared.given_dice):
        return dict(row)
    row = {**row, "given_mm": compared.given.mean_mm, "given_dice": compared.given_dice}
    if row["moved"]:
        if compared.moved_dice > compared.given_dice:
            return row
        why = (
            f"kept: on trusted cases the given labels (Dice {compared.given_dice:.3f}) are no worse than "
            f"predicted outlines moved back ({compared.moved_dice:.3f})"
        )
        return {**row, "moved": False, "why": why}
    given, least_mm = compared.given, method.min_shift_vox * compared.finest_mm
    off, off_predicted = abs(given.mean_mm), abs(row["mean_mm"])
    surely_off = off >= least_mm and not off <= SURE_ERRORS * given.error_mm  # one case: the error is NaN
    better = compared.predicted_dice > max(compared.given_dice, method.min_dice)
    if not (surely_off and better and off >= off_predicted + least_mm):
        return row
    side = "out" if given.mean_mm < 0 else "in"
    why = (
        f"replaced by the prediction: on trusted cases given outlines lie {off:.2f} {compared.unit} too far "
        f"{side}, predicted ones {off_predicted:.2f} {compared.unit} off"
    )
    return {
        **row,
        "moved": True,
        "level": 0.0,
        "shift_mm": 0.0,
        "clean_dice": compared.predicted_dice,
        "why": why,
    }
