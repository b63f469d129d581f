"""Confusion noise: objects that are given to another class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.ndimage import find_objects, label

from labelmend.errors import ConfigError
from labelmend.noise.base import SEED_LIMIT, Noise, Params, check_probability, check_style, quoted
from labelmend.runtime.randomness import case_generator
from labelmend.types import BoolArray, LabelMap, class_index


@dataclass(frozen=True)
class ConfusionNoise(Noise):
    """Each object is, with some probability, taken for one of another class.

    An object is a part of a class's mask that hangs together across pixel faces. Its outline stays.

    Args:
        probability: that an object is given to another class.
        pairs: which class each class is taken for, by name; classes that are no key are never confused.
            None: any other class, each as likely.
    """

    name: ClassVar[str] = "confusion"

    probability: float = 0.1
    pairs: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability(self.name, probability=self.probability)
        if self.pairs is not None and not (
            isinstance(self.pairs, Mapping)
            and all(isinstance(name, str) for pair in self.pairs.items() for name in pair)
        ):
            raise ConfigError(
                f"confusion noise: pairs must be class names by class name, such as {{left: right}}, "
                f"or None, got {quoted(self.pairs)}"
            )
        for true, taken_for in (self.pairs or {}).items():
            if true == taken_for:
                raise ConfigError(f"confusion noise: pairs takes class {true!r} for itself")

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """By class, the objects that are confused: `[number, class taken for]`, numbered in array order.

        Raises:
            ConfigError: there is but one class, or `pairs` names one that the labels do not have.
        """
        if len(labels.names) < 2:
            only = ", ".join(labels.names)
            raise ConfigError(f"confusion noise needs two classes or more, got only {only}: leave it out")
        for name in [name for pair in (self.pairs or {}).items() for name in pair]:
            class_index(labels.names, name)
        base = int(rng.integers(SEED_LIMIT))
        drawn: dict[str, list[list[Any]]] = {}
        for name in labels.names:
            own = case_generator(base, name)
            confused = 1 + np.flatnonzero(own.random(label(labels.mask(name))[1]) < self.probability)
            others = self._others(name, labels.names)
            drawn[name] = [[int(i), others[own.integers(len(others))]] for i in confused if others]
        return {"noise": self.name, "classes": drawn}

    def _others(self, name: str, classes: tuple[str, ...]) -> list[str]:
        """The classes that a class may be taken for."""
        if self.pairs is None:
            return [other for other in classes if other != name]
        return [self.pairs[name]] if name in self.pairs else []

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        if labels.overlapping:
            return labels.with_masks(_confused_masks(labels, params["classes"]))
        numbers = {labels.background: 0} | {name: j for j, name in enumerate(labels.classes, start=1)}
        indices = np.zeros(labels.grid.shape, np.int32)
        for name in labels.classes:
            indices[labels.mask(name)] = numbers[name]
        for thing, box, _, taken_for in _confused(labels, params["classes"]):
            class_index(labels.names, taken_for)
            indices[box][thing] = numbers[taken_for]
        return labels.with_indices(indices)

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> ConfusionNoise:
        """So many times the probability, at most 1; confusion has no direction, `bias` changes nothing."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(self, probability=min(1.0, self.probability * strength))


def _confused(
    labels: LabelMap, drawn: Mapping[str, list[list[Any]]]
) -> Iterator[tuple[BoolArray, tuple[slice, ...], str, str]]:
    """Each object that is confused, in its box; the box; its class, and the one that it is taken for."""
    for name, confused in drawn.items():
        objects, _ = label(labels.mask(name))
        boxes = find_objects(objects) if confused else []
        for number, taken_for in confused:
            box = boxes[number - 1]
            yield objects[box] == number, box, name, taken_for


def _confused_masks(labels: LabelMap, drawn: Mapping[str, list[list[Any]]]) -> BoolArray:
    """`(k *space)`: of overlapping classes, whose objects may lie on each other."""
    kept, given = labels.array.copy(), np.zeros_like(labels.array)
    for thing, box, name, taken_for in _confused(labels, drawn):
        kept[class_index(labels.classes, name)][box] &= ~thing
        given[class_index(labels.classes, taken_for)][box] |= thing
    return kept | given
