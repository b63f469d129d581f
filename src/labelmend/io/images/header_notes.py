"""Notes on the headers of volumes: inconsistent voxel sizes, differing orientations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError
from labelmend.geometry import check_spacing
from labelmend.geometry.orientation import Turn, axis_codes, turn_onto, turn_to
from labelmend.io.images.formats import Spacing, suffix_of
from labelmend.io.images.nifti import stored_geometry, stored_grid
from labelmend.io.images.nifti_header import SAME_SIZE, size_text
from labelmend.types import Grid

_OBLIQUE_DEG = 1.0
"""Angle above which axes are reported as oblique; registration and gantry tilt produce such files."""


def spacing_notes(files: Iterable[Path], spacing_mm: Spacing = None) -> tuple[str, ...]:
    """Sentences on files whose pixdim contradicts their affine, or whose voxel size was overridden.

    Only headers are read; unreadable files are skipped.

    Args:
        files: images and labels; files other than NIfTI are skipped.
        spacing_mm: spacing set by the user, or None.
    """
    unlike, replaced, oblique = [], [], []
    for path in files:
        found = stored_geometry(path) if suffix_of(path).startswith(".nii") else None
        if found is None:
            continue
        if _most_oblique_deg(found.affine) > _OBLIQUE_DEG:
            oblique.append((path, _most_oblique_deg(found.affine)))
        if found.pixdim_mm is not None:
            unlike.append((path, found.pixdim_mm, found.spacing_mm))
        try:
            given = None if spacing_mm is None else check_spacing(spacing_mm, len(found.spacing_mm))
        except GeometryError:
            continue  # reported when the file is read
        if given is not None and not np.allclose(given, found.spacing_mm, rtol=SAME_SIZE, atol=0):
            replaced.append((path, found.spacing_mm, given))
    notes = []
    if oblique:
        notes.append(
            f"The axes of {_files(len(oblique), oblique[0][0])} are {oblique[0][1]:.3g} degrees off "
            "orthogonal: distances are computed as if they were orthogonal."
        )
    if unlike:
        path, pixdim, affine = unlike[0]
        notes.append(
            f"In {_files(len(unlike), path)} pixdim gives a voxel size of {size_text(pixdim)} mm, but the "
            f"affine {size_text(affine)} mm: the affine is used."
        )
    if replaced:
        path, stored, given = replaced[0]
        notes.append(
            f"The spacing you set, {size_text(given)} mm, overrides {size_text(stored)} mm in the header of "
            f"{_files(len(replaced), path).rstrip(',')}."
        )
    return tuple(notes)


def common_orientation(
    images: Mapping[str, Path], labels: Mapping[str, Path]
) -> tuple[str | None, tuple[str, ...]]:
    """The most frequent stored orientation of the images, and sentences on those that differ.

    Args:
        images: per case its image file.
        labels: per case its (first) label file.

    Returns:
        Three letters such as "RAS", or None if no image stores an orientation; the first case breaks ties.
    """
    grids = {case: grid for case, path in images.items() if (grid := _grid(path)) is not None}
    codes = {case: code for case, grid in grids.items() if (code := axis_codes(grid)) is not None}
    if not codes:
        return None, ()
    usual = Counter(codes.values()).most_common(1)[0][0]
    turned = {case: codes[case] for case, grid in grids.items() if _turns(turn_to(grid, usual))}
    notes: tuple[str, ...] = ()
    if turned:
        others, first = ", ".join(sorted(set(turned.values()))), next(iter(turned))
        notes = (
            f"{len(turned)} of {len(images)} volumes are stored as {others} rather than {usual}, first "
            f"{images[first]}: all are reoriented to {usual} in memory by their affine, and labels are "
            "written in their original orientation.",
        )
    return usual, (*notes, *stored_apart(images, labels))


def stored_apart(images: Mapping[str, Path], labels: Mapping[str, Path]) -> tuple[str, ...]:
    """A sentence on cases whose image and labels are stored in different orientations, if any.

    Args:
        images: per case its image file.
        labels: per case its (first) label file.
    """
    apart = [
        labels[case]
        for case, path in images.items()
        if case in labels
        and (own := _grid(labels[case])) is not None
        and (image := _grid(path)) is not None
        and _turns(turn_onto(own, image))
    ]
    if not apart:
        return ()
    return (
        f"Image and labels of {len(apart)} cases are stored in different orientations, first {apart[0]}: "
        "they are aligned by their affine.",
    )


def _grid(path: Path) -> Grid | None:
    return stored_grid(path) if suffix_of(path).startswith(".nii") else None


def _most_oblique_deg(affine: NDArray[np.float64]) -> float:
    """Largest deviation of the angle between two axes from a right angle."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3][:, lengths > 0] / lengths[lengths > 0]
    return float(np.degrees(np.arcsin(np.abs(axes.T @ axes - np.eye(axes.shape[1])).max().clip(0, 1))))


def _turns(turn: Turn | None) -> bool:
    return turn is not None and not turn.is_none


def _files(count: int, first: Path) -> str:
    return str(first) if count == 1 else f"{count} files, first {first},"
