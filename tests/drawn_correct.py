"""Discs with probabilities, written to disk in every layout: for tests of `labelmend correct`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from drawing import picture
from labelmend.geometry import signed_distance

SHAPE = (48, 48)
CASES = ("a", "b", "c", "d", "e", "f")
TRUSTED = CASES[:2]
RADII = dict(zip(CASES, (9, 10, 11, 12, 10, 11)))


def disc(radius: float, centre: tuple[float, float] = (24, 24)) -> np.ndarray:
    rows, columns = np.indices(SHAPE)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def likely(mask: np.ndarray, width_px: float = 1.0) -> np.ndarray:
    """Probability of a mask: a half at its outline, sure a few pixels from it."""
    return (1 / (1 + np.exp(signed_distance(mask, 1.0) / width_px))).astype(np.float32)


def softmax(*foreground: np.ndarray) -> np.ndarray:
    """Background in front of foreground probabilities that share the rest."""
    total = np.clip(sum(foreground), 1, None)
    shared = [p / total for p in foreground]
    return np.stack([1 - sum(shared), *shared]).astype(np.float32)


def saved(folder: Path, case: str, probs: np.ndarray) -> None:
    """Probabilities as nnU-Net saves those of a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{case}.npz", probabilities=probs[:, None].astype(np.float16))


def generous(root: Path, *, by: int = 3, predicted_by: int = 0, file_ending: str = ".png") -> Path:
    """labels/ drawn `by` px too generous, probs/ of a network that is `predicted_by` px too generous, and
    clean/ with the true discs of the two trusted cases, true/ with all."""
    for case, radius in RADII.items():
        picture(root / "labels" / f"{case}{file_ending}", disc(radius + by) * 1)
        picture(root / "true" / f"{case}{file_ending}", disc(radius) * 1)
        saved(root / "probs", case, softmax(likely(disc(radius + predicted_by))))
        if case in TRUSTED:
            picture(root / "clean" / f"{case}{file_ending}", disc(radius) * 1)
    return root


def raw(root: Path, labels: dict[str, object] | None = None, **more: object) -> Path:
    """The same as a raw data set of nnU-Net, root/Dataset005_Discs, beside root/probs and root/clean."""
    generous(root)
    home = root / "Dataset005_Discs"
    home.mkdir()
    (root / "labels").rename(home / "labelsTr")
    for case in CASES:
        picture(home / "imagesTr" / f"{case}_0000.png", disc(RADII[case]) * 200)
    content = {"channel_names": {"0": "light"}, "labels": labels or {"background": 0, "disc": 1}}
    content |= {"numTraining": len(CASES), "file_ending": ".png", "licence": "CC", **more}
    (home / "dataset.json").write_text(json.dumps(content))
    return home


def swapped(root: Path) -> Path:
    """labels/ with two discs, nut 1 and bolt 2; in case c the bolt is given as a nut. probs/ know better."""
    nut, bolt = disc(7, (14, 14)), disc(7, (33, 33))
    for case in CASES:
        array = np.where(nut, 1, np.where(bolt, 2, 0))
        saved(root / "probs", case, softmax(likely(nut), likely(bolt)))
        picture(root / "labels" / f"{case}.png", np.where(array == 2, 1, array) if case == "c" else array)
    return root


NAMES = {"nut": 1, "bolt": 2}
BOLT = disc(7, (33, 33))
