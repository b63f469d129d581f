"""How well one mask agrees with another: arrays in, numbers out; torch loads when a surface is measured."""

from labelmend.metrics.bias import Bias, estimate_bias
from labelmend.metrics.coverage import CoverageCurve, coverage_curve
from labelmend.metrics.overlap import dice, iou
from labelmend.metrics.scores import MEASURES, ClassSummary, Score, Spread, score_case, spread, summarise
from labelmend.metrics.surface import SurfaceDistances, hd95, known_boundary_bias, nsd, surface_distances

__all__ = [
    "MEASURES",
    "Bias",
    "ClassSummary",
    "CoverageCurve",
    "Score",
    "Spread",
    "SurfaceDistances",
    "coverage_curve",
    "dice",
    "estimate_bias",
    "hd95",
    "iou",
    "known_boundary_bias",
    "nsd",
    "score_case",
    "spread",
    "summarise",
    "surface_distances",
]
