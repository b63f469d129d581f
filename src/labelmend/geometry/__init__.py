"""Signed distance, boundaries, outlines and displacement in mm: arrays in, arrays out."""

from labelmend.geometry.boundary import (
    boundary_bias,
    boundary_displacements,
    face_values,
    frontier,
    trimmed_mean,
)
from labelmend.geometry.levels import class_levels, resolve
from labelmend.geometry.outlines import outlines, paging_axis, rasterise
from labelmend.geometry.sdf import check_spacing, signed_distance, signed_distance_at

__all__ = [
    "boundary_bias",
    "boundary_displacements",
    "check_spacing",
    "class_levels",
    "face_values",
    "frontier",
    "outlines",
    "paging_axis",
    "rasterise",
    "resolve",
    "signed_distance",
    "signed_distance_at",
    "trimmed_mean",
]
