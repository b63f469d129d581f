"""What headers of volumes say that a reader should know: sizes that disagree, axes that run otherwise."""

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
"""Angle beyond which axes are told to be oblique; registration and gantry tilt make such files."""


def spacing_notes(files: Iterable[Path], spacing_mm: Spacing = None) -> tuple[str, ...]:
    """Sentences on files whose pixdim is not the voxel size of their affine, or whose size is not that given.

    Only headers are read; files that cannot be read are passed over.

    Args:
        files: images and labels; those that are no NIfTI are passed over.
        spacing_mm: given by hand, or None.
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
            continue  # told by whoever reads the file
        if given is not None and not np.allclose(given, found.spacing_mm, rtol=SAME_SIZE, atol=0):
            replaced.append((path, found.spacing_mm, given))
    notes = []
    if oblique:
        notes.append(
            f"The axes of {_files(len(oblique), oblique[0][0])} are {oblique[0][1]:.3g} degrees off right "
            "angles: distances are measured as if they were at right angles."
        )
    if unlike:
        path, pixdim, affine = unlike[0]
        notes.append(
            f"In {_files(len(unlike), path)} pixdim gives the voxel size {size_text(pixdim)} mm, the affine "
            f"{size_text(affine)} mm: the affine counts."
        )
    if replaced:
        path, stored, given = replaced[0]
        notes.append(
            f"The spacing given by hand, {size_text(given)} mm, replaces that of the header in "
            f"{_files(len(replaced), path)}, which is {size_text(stored)} mm."
        )
    return tuple(notes)


def common_orientation(
    images: Mapping[str, Path], labels: Mapping[str, Path]
) -> tuple[str | None, tuple[str, ...]]:
    """The orientation that most images are stored in, and sentences on those that are stored otherwise.

    Args:
        images: per case its image file.
        labels: per case its (first) label file.

    Returns:
        Three letters such as "RAS", or None where no image says how it lies; the first case decides ties.
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
            f"{len(turned)} of {len(images)} volumes are not stored as {usual} but as {others}, first "
            f"{images[first]}: in memory all are turned to {usual} by their affine, and labels are turned "
            "back when they are written.",
        )
    return usual, (*notes, *stored_apart(images, labels))


def stored_apart(images: Mapping[str, Path], labels: Mapping[str, Path]) -> tuple[str, ...]:
    """A sentence on cases whose image and labels are stored in unlike orientation; none without any.

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
        f"Image and labels of {len(apart)} cases are stored in unlike orientations, first {apart[0]}: they "
        "are brought together by their affine.",
    )


def _grid(path: Path) -> Grid | None:
    return stored_grid(path) if suffix_of(path).startswith(".nii") else None


def _most_oblique_deg(affine: NDArray[np.float64]) -> float:
    """By how much the angle between two axes differs from a right one, at most."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3][:, lengths > 0] / lengths[lengths > 0]
    return float(np.degrees(np.arcsin(np.abs(axes.T @ axes - np.eye(axes.shape[1])).max().clip(0, 1))))


def _turns(turn: Turn | None) -> bool:
    return turn is not None and not turn.is_none


def _files(count: int, first: Path) -> str:
    return str(first) if count == 1 else f"{count} files, first {first},"
