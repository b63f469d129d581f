"""Signed distance, boundaries, outlines and displacement in mm: arrays in, arrays out."""

from labelmend.geometry.boundary import (
    boundary_bias,
    boundary_displacements,
    face_values,
    frontier,
    trimmed_mean,
)
from labelmend.geometry.boxes import class_boxes, joint_box, mask_box
from labelmend.geometry.levels import class_levels, class_numbers, resolve
from labelmend.geometry.outlines import outlines, paging_axis, rasterise
from labelmend.geometry.sdf import check_spacing, signed_distance, signed_distance_at

__all__ = [
    "boundary_bias",
    "boundary_displacements",
    "check_spacing",
    "class_boxes",
    "class_levels",
    "class_numbers",
    "face_values",
    "frontier",
    "joint_box",
    "mask_box",
    "outlines",
    "paging_axis",
    "rasterise",
    "resolve",
    "signed_distance",
    "signed_distance_at",
    "trimmed_mean",
]
