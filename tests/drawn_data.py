"""Small data sets drawn and written to disk, for tests that train: pictures, integer maps, volumes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import binary_dilation

from drawing import picture
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.model.config import NetworkConfig
from labelmend.phantom import draw_phantom, draw_phantom_3d

CASES = ("c0", "c1", "c2", "c3", "c4", "c5")
TRUSTED, TRAINING = CASES[:1], CASES[1:]

TINY = NetworkConfig("UNet", {"channels": [4, 8], "strides": [2], "norm": "BATCH"})
"""A network of a few hundred weights: tests look at what is done with it, not at how well it does."""

QUICK = {"network": TINY, "epochs": 2, "batch_size": 4, "device": "cpu", "threads": 1, "min_learned": 0.0}
"""Two epochs teach nothing, and labels are revised all the same."""

ALWAYS = SpatialCorrection(min_shift_vox=0.0, min_dice=0.0, level=0.0, trim=0.0, upsample=1)
"""Corrects with one trusted case, whatever the network has learned and however small the bias."""

ALWAYS_FLAGS = ["--method.min-shift-vox=0", "--method.min-dice=0", "--method.level=0", "--method.trim=0",
                "--method.upsample=1", "--min-learned=0"]  # fmt: skip

AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])
"""Volumes are 0.8 x 0.8 x 2.5 mm, their first two axes running to the left and to the front."""


def overlapping(root: Path, size: int = 32) -> Path:
    """images/, given/<class>/ (a pixel too large all round), clean/<class>/; classes heart and lung overlap.

    c0 is the case to trust, in `trusted.txt`.
    """
    for index, case in enumerate(CASES):
        image, masks = draw_phantom(np.random.default_rng(index), size)
        picture(root / "images" / f"{case}.png", image[0])
        for name, mask in zip(("heart", "lung"), masks[1:]):
            picture(root / "clean" / name / f"{case}.png", mask)
            picture(root / "given" / name / f"{case}.png", binary_dilation(mask))
    (root / "trusted.txt").write_text("c0\n")
    return root


def exclusive(root: Path, size: int = 32) -> Path:
    """images/, given/, clean/ with heart = 1 over lung = 2; three rows of given are 9, not annotated."""
    for index, case in enumerate(CASES):
        image, masks = draw_phantom(np.random.default_rng(index), size)
        picture(root / "images" / f"{case}.png", image[0])
        for folder, grown in (("clean", False), ("given", True)):
            heart, lung = (binary_dilation(mask) if grown else mask for mask in masks[1:])
            labels = np.where(heart, 1, np.where(lung, 2, 0)).astype(np.uint8)
            if grown:
                labels[:3] = 9
            picture(root / folder / f"{case}.png", labels)
    (root / "trusted.txt").write_text("c0\n")
    return root


def volumes(root: Path, shape: tuple[int, int, int] = (16, 20, 12)) -> Path:
    """NIfTI: images/ (float), given/ and clean/ (int16, header of its own), organ = 1 under lesion = 2."""
    for index, case in enumerate(CASES):
        image, (organ, lesion) = draw_phantom_3d(np.random.default_rng(index), shape)
        _volume(image[0], root / "images" / f"{case}.nii.gz")
        clean = np.where(lesion, 2, np.where(organ, 1, 0)).astype(np.int16)
        grown = np.where(binary_dilation(lesion), 2, np.where(binary_dilation(organ), 1, 0)).astype(np.int16)
        _volume(clean, root / "clean" / f"{case}.nii.gz")
        _volume(grown, root / "given" / f"{case}.nii.gz")
    (root / "trusted.txt").write_text("c0\n")
    return root


def _volume(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, AFFINE)
    image.header["descrip"] = b"drawn by hand"
    image.header.set_xyzt_units("mm")
    image.header.set_qform(AFFINE, code=1)
    image.header.set_sform(AFFINE, code=2)
    nibabel.save(image, path)


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden ones too, by its path there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def half_files(folder: Path) -> list[str]:
    """What a writer that was stopped would have left."""
    return [str(path) for path in folder.rglob(".part-*")]


def edit_json(path: Path, **more: object) -> None:
    """Replace entries of a file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | more), encoding="utf-8")
