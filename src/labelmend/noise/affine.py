"""Affine noise: a structure as a whole shifted, turned and drawn too large or too small."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from labelmend.errors import ConfigError
from labelmend.geometry import signed_distance
from labelmend.noise.base import MaskNoise, Params, box_around, check_number, check_size, check_style
from labelmend.types import BoolArray, FloatArray

# Structures are made at most this many times as large or as small, so that no number overflows.
MOST_SCALE = 100.0


def affine_noise(
    mask: BoolArray,
    *,
    shift_mm: Sequence[float],
    rotation_deg: float,
    axis: Sequence[float],
    log_scale: float,
    spacing_mm: tuple[float, ...],
) -> BoolArray:
    """A mask turned and scaled about its centroid, then shifted.

    The motion is rigid in mm, apart from the scale. The signed distance is interpolated between pixels and
    cut at 0, so outlines stay smooth; it counts in pixels, so that the last slice ends half way to the next
    one all over, and not nearer where an edge in the plane is closer than that.

    Args:
        mask: `(*space)` booleans, 2-D or 3-D. Beyond the image a structure goes on as it is at the border;
            what moves out of the image is cut off. What is thinner than two pixels may come out broken.
        shift_mm: per axis.
        rotation_deg: angle; in 2-D from the first axis towards the second.
        axis: direction of the rotation axis in 3-D, of length 1; not used in 2-D.
        log_scale: logarithm of how many times as large.
        spacing_mm: per axis in mm.

    Returns:
        `(*space)` booleans, a new array; an empty or full mask has no outline to move and comes back.

    Raises:
        ConfigError: a mask neither 2-D nor 3-D.
    """
    mask = np.asarray(mask, bool)
    if not mask.any() or mask.all():
        return mask.copy()
    spacing = np.asarray(spacing_mm)
    centre_mm = np.array([index.mean() for index in np.nonzero(mask)]) * spacing
    inverse = math.exp(-log_scale) * _rotation(mask.ndim, rotation_deg, axis).T
    # A pixel at y comes from centre + inverse (y - shift - centre), here in pixels of the box of the mask:
    # beyond it is background as far as the image goes.
    box = box_around(mask, 0.0, spacing_mm)
    offset_mm = centre_mm - inverse @ (centre_mm + np.asarray(shift_mm))
    warped = affine_transform(
        signed_distance(mask[box]),
        inverse * spacing / spacing[:, None],
        offset_mm / spacing - [part.start for part in box],
        output_shape=mask.shape,
        order=1,
        mode="nearest",
    )
    return np.asarray(warped < 0)


def _rotation(ndim: int, angle_deg: float, axis: Sequence[float]) -> FloatArray:
    """Matrix of a rotation in mm, exactly the identity at angle 0."""
    angle = math.radians(angle_deg)
    if ndim == 2:
        return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if ndim == 3:
        return np.asarray(Rotation.from_rotvec(angle * np.asarray(axis)).as_matrix())
    raise ConfigError(f"affine noise is defined for 2-D and 3-D masks, got a {ndim}-D mask")


@dataclass(frozen=True)
class AffineNoise(MaskNoise):
    """Each structure shifted, turned and scaled about its centroid, rigidly in mm.

    Args:
        shift_mm: standard deviation of the shift along each axis.
        rotation_deg: standard deviation of the angle; in 3-D about an axis of any direction alike.
        scale: standard deviation of the logarithm of the size.
        log_scale: mean of that logarithm; 0 is unbiased, above it structures are drawn too large.

    Raises:
        ConfigError: a setting that is negative (but for `log_scale`) or not finite.
    """

    name: ClassVar[str] = "affine"

    shift_mm: float = 2.5
    rotation_deg: float = 6.0
    scale: float = 0.07
    log_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.name, shift_mm=self.shift_mm, rotation_deg=self.rotation_deg, scale=self.scale)
        check_number(self.name, log_scale=self.log_scale)

    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """Shift, angle, axis and logarithm of the scale."""
        limit = math.log(MOST_SCALE)
        direction = rng.standard_normal(mask.ndim)
        return {
            "shift_mm": (self.shift_mm * rng.standard_normal(mask.ndim)).tolist(),
            "rotation_deg": self.rotation_deg * rng.standard_normal(),
            "axis": (direction / np.linalg.norm(direction)).tolist(),
            "log_scale": float(np.clip(rng.normal(self.log_scale, self.scale), -limit, limit)),
        }

    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """`affine_noise` with the drawn numbers."""
        return affine_noise(mask, **params, spacing_mm=spacing_mm)

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> AffineNoise:
        """As many times the shift, angle and scale; the bias in standard deviations of the scale."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(
            self,
            shift_mm=self.shift_mm * strength,
            rotation_deg=self.rotation_deg * strength,
            scale=self.scale * strength,
            log_scale=(self.log_scale + bias * self.scale) * strength,
        )
