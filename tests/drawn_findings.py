"""Discs and boxes with predictions drawn by hand: for tests of what looks wrong, in arrays and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drawing import disc, picture
from labelmend.geometry import signed_distance
from labelmend.types import BoolArray, FloatArray, Grid, LabelMap
from labelmend.workflows.auditing.findings import (
    CaseScore,
    Disagreements,
    Examined,
    Finding,
    examine,
    find_disagreements,
    own_findings,
    propose,
    statistics_of,
    typical,
)


def sure(predicted: np.ndarray, k: int, prob: float = 0.9) -> FloatArray:
    """`(k+1 *space)`: `prob` for the class predicted in a pixel, the rest in equal parts for the others."""
    probs = np.full((k + 1, *predicted.shape), (1 - prob) / k, np.float32)
    np.put_along_axis(probs, predicted[None].astype(np.intp), prob, axis=0)
    return probs


def exclusive(
    array: np.ndarray, k: int = 1, spacing_mm: Sequence[float] | None = None, **more: Any
) -> LabelMap:
    """An integer map with the classes a, b, c, ..."""
    array = array.astype(np.uint8)
    grid = Grid(array.shape, tuple(spacing_mm or (1.0,) * array.ndim), unit="mm")
    return LabelMap(array, grid, tuple("abcdefgh"[:k]), **more)


def overlapping(masks: Sequence[BoolArray], **more: Any) -> LabelMap:
    """Boolean masks with the classes a, b, c, ... on pixels of 1 mm."""
    array = np.stack(masks)
    grid = Grid(array.shape[1:], (1.0,) * (array.ndim - 1))
    return LabelMap(array, grid, tuple("abcdefgh"[: len(array)]), **more)


def arrays(path: Path, **named: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **named)


CLASSES = {"liver": 1, "lesion": 2}
MISSED, GENEROUS, EXTRA = "c01", "c04", "c07"
"""Cases of `disc_set` with an error: no lesion; a liver drawn 4 px too far out; a second lesion."""


def soft(true: np.ndarray, k: int, power: float = 1.0) -> FloatArray:
    """`(k+1 *space)`: probabilities that fall off over some pixels beside the outlines of an integer map."""
    logits = np.stack([-signed_distance(true == index) for index in range(k + 1)]).clip(-8, 8) * power
    probs = np.exp(logits - logits.max(axis=0))
    return (probs / probs.sum(axis=0)).astype(np.float32)


def discs(index: int) -> tuple[np.ndarray, np.ndarray]:
    """The true integer map `(64 64)` of case number `index`, and its image `(64 64)` in bytes."""
    rng = np.random.default_rng(index)
    centre, radius = rng.uniform(27, 31, 2), rng.uniform(13, 15)
    true = disc((64, 64), centre, radius) * 1
    true[disc((64, 64), centre + 25, 6)] = 2
    return true, np.array([30, 120, 200])[true] + rng.integers(0, 8, (64, 64))


def disc_set(root: Path, n: int = 12, *, power: float = 1.0) -> Path:
    """labels/, truth/, images/ and probabilities/ of n cases c00, c01, ..., three of them with an error."""
    for index in range(n):
        case, (true, image) = f"c{index:02d}", discs(index)
        given = true.copy()
        if case == MISSED:
            given[given == 2] = 0
        if case == GENEROUS:
            given[(signed_distance(true == 1) < 4) & (given == 0)] = 1
        if case == EXTRA:
            given[disc((64, 64), (54, 8), 5)] = 2
        picture(root / "labels" / f"{case}.png", given)
        picture(root / "truth" / f"{case}.png", true)
        picture(root / "images" / f"{case}.png", image)
        arrays(root / "probabilities" / f"{case}.npz", probs=soft(true, 2, power).astype(np.float16))
    return root


@dataclass(frozen=True, eq=False)
class Told:
    """A case, and what is told of it."""

    given: LabelMap
    seen: Disagreements
    examined: Examined

    @property
    def score(self) -> CaseScore:
        return self.examined.score

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.examined.findings

    @property
    def reason(self) -> str:
        return self.examined.reason

    def proposal(self) -> LabelMap:
        return propose(self.given, self.seen, self.examined.inward_mm)


def told(
    given: LabelMap, predicted: np.ndarray | None = None, *, probs: FloatArray | None = None,
    image: np.ndarray | None = None, others: Sequence[LabelMap] = (), slips: Sequence[Finding] = (),
) -> Told:  # fmt: skip
    """A case among others, all of the same image, whose predictions say what they say."""
    if probs is None:
        assert predicted is not None
        sigmoid = np.where(predicted, 0.95, 0.05)
        probs = sigmoid if given.overlapping else sure(predicted, len(given.classes), 0.95)
    seen = find_disagreements(given, probs)
    numbers = statistics_of(given, seen, image)
    rest = [
        statistics_of(other, find_disagreements(other, sure(other.array, len(other.classes))), image)
        for other in others
    ]
    own = [found.finding for found in own_findings(given, seen)]
    return Told(given, seen, examine(given, own, numbers, typical([numbers, *rest], 1.0), slips=slips))


def crowded(seed: int, shape: Sequence[int], k: int, **more: Any) -> tuple[LabelMap, FloatArray]:
    """Blocks of k classes, some of them nowhere, a few pixels ignored, and unsure probabilities of them."""
    rng = np.random.default_rng(seed)
    true = np.zeros(shape, np.uint8)
    for value in rng.permutation(np.arange(1, k)):
        start = [int(rng.integers(0, n - 3)) for n in shape]
        true[tuple(slice(s, s + int(rng.integers(3, 14))) for s in start)] = value
    given = np.roll(true, int(rng.integers(-2, 3)), axis=int(rng.integers(len(shape))))
    given[tuple(slice(n // 2, n // 2 + 5) for n in shape)] = 1
    given[rng.random(shape) < 0.01] = 9
    logits = 3 * (np.arange(k + 1).reshape(-1, *[1] * len(shape)) == true) + rng.normal(size=(k + 1, *shape))
    probs = np.exp(logits)
    spacing_mm = (2.5, 0.8, 1.2)[: len(shape)]
    return exclusive(given, k, spacing_mm, ignore=9, **more), (probs / probs.sum(axis=0)).astype(np.float32)
