"""Spatial Correction as the authors released it, for comparison; `spatial_correction` is for your data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.ndimage import distance_transform_edt

from labelmend.errors import ConfigError
from labelmend.geometry import frontier
from labelmend.methods.base import Known, Needs, Rows
from labelmend.methods.spatial_correction import (
    Measured,
    Move,
    SpatialCorrection,
    has_boundary,
    in_words,
    logit_move,
)
from labelmend.metrics import Bias, estimate_bias
from labelmend.types import BoolArray, FloatArray, Predicted, Revision


def official_distance_vox(mask: BoolArray) -> FloatArray:
    """Signed distance of the official code, in voxels: -1 just inside, +1 just outside, no zero between."""
    return np.where(mask, -distance_transform_edt(mask), distance_transform_edt(~mask))


def official_bias_vox(predicted: BoolArray, clean: BoolArray) -> float:
    """Bias of one case as the official code measures it, in voxels.

    The mean of `official_distance_vox` of the prediction over the clean mask's own frontier. A boundary moved
    outward by r reads -(r + 1), one moved inward by r reads +r. A structure present in one mask only counts
    +1 or -1.

    Paper: official code of Yao et al., ICLR 2023.
    """
    if predicted.any() != clean.any():
        return 1.0 if clean.any() else -1.0
    edge = frontier(clean, outer=False)
    return float(official_distance_vox(predicted)[edge].mean()) if edge.any() and not predicted.all() else 0.0


@dataclass(frozen=True)
class OfficialSpatialCorrection(SpatialCorrection):
    """The released program: logit move, predicted boundary, plain mean, and its defects.

    The bias is divided by the number of classes too, distances jump from -1 to +1, no interval is asked, and
    labels of a class whose bias is under one voxel are replaced by the raw prediction. The authors ran JSRT
    with gamma 0.8.

    Args:
        move: fixed, "logit".
        gamma: share of the measured bias that is corrected, in (0, 1].
        min_shift_vox: not used.
        level: fixed, 0.
        trim: fixed, 0.
        min_dice: not used.
        upsample: not used.
        confidence: coverage of the interval of the bias, in (0, 1); reported only.

    Paper: Yao, Zhang, Zheng, Goswami, Prasanna, Chen, "Learning to Segment from Noisy Annotations: A Spatial
        Correction Approach", ICLR 2023; official code.
    Differs: nothing that is known to change a label.
    """

    move: Move = "logit"
    level: float | None = 0.0
    trim: float = 0.0

    needs: ClassVar[Needs] = Needs(clean="required", rounds=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.move, self.level, self.trim) != ("logit", 0, 0):
            raise ConfigError('the official program has move "logit", level 0 and trim 0: leave them')

    def revise_from_probs(
        self, known: Known, cases: Callable[[], Iterator[Predicted]]
    ) -> tuple[Rows, Iterator[Revision]]:
        rows = self._measure(known.trusted())  # no comparison with the given outlines
        return rows, self._revisions(rows, cases())

    def _case(self, level: FloatArray, clean: BoolArray, spacing_mm: Sequence[float]) -> Measured:
        return Measured(official_bias_vox(level > 0, clean) * min(spacing_mm), math.nan)

    def _bias(self, biases_mm: Sequence[float], name: str, n_classes: int) -> Bias:
        # The official sum is per class, but its divisor counts images times classes.
        return estimate_bias([bias / n_classes for bias in biases_mm], name, self.confidence)

    def _shift_mm(self, bias: Bias, finest_mm: float) -> float:
        shift = super()._shift_mm(bias, finest_mm)
        return shift if abs(shift) >= finest_mm else 0.0  # the raw prediction

    def _decide(self, bias: Bias, clean_dice: float | None, finest_mm: float, unit: str) -> tuple[bool, str]:
        if bias.n_cases == 0:
            return super()._decide(bias, clean_dice, finest_mm, unit)
        shift = self._shift_mm(bias, finest_mm)
        return True, in_words(
            shift, unit
        ) if shift else "replaced by the prediction, as the official code does"

    def corrected(
        self, levels: FloatArray, logit: float, shift_mm: float, spacing_mm: Sequence[float]
    ) -> FloatArray:
        """The logit move with the official distance."""
        inside = levels - logit > 0
        if shift_mm == 0 or not has_boundary(inside):
            return levels - logit
        return logit_move(levels - logit, official_distance_vox(inside) * min(spacing_mm), shift_mm)
