"""Several kinds of error in one annotation: one after the other, or one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.noise.base import Noise, Params, check_probability, check_size, check_style, quoted
from labelmend.types import LabelMap

Part = Noise | str | Mapping[str, Any]


def make_noise(settings: Part) -> Noise:
    """A noise from its name, or from a mapping with its name and settings.

    Args:
        settings: a noise (comes back as it is), `"markov"`, or `{"name": "markov", "steps": 50}`.

    Raises:
        ConfigError: no such noise, or settings that it does not have.

    >>> make_noise({"name": "markov", "steps": 50}).steps
    50
    """
    from labelmend.noise import NOISES  # the registry holds the noises of this file too

    if isinstance(settings, Noise):
        return settings
    if not isinstance(settings, str | Mapping):
        raise ConfigError(
            f"a noise is given by its name, or by {{name: markov, steps: 50}}, got {quoted(settings)}"
        )
    fields = {"name": settings} if isinstance(settings, str) else dict(settings)
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in NOISES:
        raise ConfigError(f"no noise called {name!r}: choose from {', '.join(NOISES)}")
    try:
        return NOISES[name](**fields)
    except TypeError as error:
        raise ConfigError(f"{name} noise cannot be made from {fields}: {error}") from error


@dataclass(frozen=True)
class Compose(Noise):
    """Errors one after the other, each of them by chance.

    Args:
        parts: the noises, or mappings as `make_noise` takes them; applied in this order.
        probability: of each part in a case: one number for all, or one a part.

    >>> both = Compose(parts=["polygon", {"name": "missing", "probability": 0.2}], probability=0.5)
    >>> [part.name for part in both.noises]
    ['polygon', 'missing']
    """

    name: ClassVar[str] = "compose"

    parts: Sequence[Any] = ()
    probability: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "parts", _parts(self.name, self.parts))
        for chance in self.chances:
            check_probability(self.name, probability=chance)
        if len(self.chances) != len(self.parts):
            raise ConfigError(f"compose noise: {len(self.parts)} parts but {len(self.chances)} probabilities")

    @property
    def noises(self) -> tuple[Noise, ...]:
        """The parts as noises."""
        return tuple(self.parts)

    @property
    def chances(self) -> tuple[float, ...]:
        """The probability of each part."""
        if isinstance(self.probability, Sequence):
            return tuple(self.probability)
        return (self.probability,) * len(self.parts)

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Per part its parameters, drawn on what the parts before it left, or None where it is left out."""
        drawn: list[dict[str, Any] | None] = []
        for noise, chance, own in zip(self.noises, self.chances, rng.spawn(len(self.parts)), strict=True):
            if own.random() >= chance:
                drawn.append(None)
                continue
            params = noise.draw(own, labels)
            labels = noise.apply(labels, params)
            drawn.append(params)
        return {"noise": self.name, "parts": drawn}

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Labels after all parts that were drawn."""
        labels = replace(labels, array=labels.array.copy())
        for noise, drawn in zip(self.noises, params["parts"], strict=True):
            labels = labels if drawn is None else noise.apply(labels, drawn)
        return labels

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> Compose:
        """Every part in that hand; how often a part occurs stays."""
        check_style(self.name, strength=strength, bias=bias)
        return replace(self, parts=[noise.styled(strength=strength, bias=bias) for noise in self.noises])


@dataclass(frozen=True)
class OneOf(Noise):
    """One kind of error a case.

    Args:
        parts: the noises, or mappings as `make_noise` takes them.
        weights: how often each is chosen, relative to the others; None: all alike.
    """

    name: ClassVar[str] = "one_of"

    parts: Sequence[Any] = ()
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "parts", _parts(self.name, self.parts))
        if self.weights is None:
            return
        if not isinstance(self.weights, Sequence | np.ndarray):
            raise ConfigError(
                f"one_of noise: weights must be a list, one number a part, got {quoted(self.weights)}"
            )
        for weight in self.weights:
            check_size(self.name, weights=weight)
        if len(self.weights) != len(self.parts):
            raise ConfigError(f"one_of noise: {len(self.parts)} parts but {len(self.weights)} weights")
        if not sum(self.weights) > 0:
            raise ConfigError(f"one_of noise: weights must be not all 0, got {list(self.weights)}")

    @property
    def noises(self) -> tuple[Noise, ...]:
        """The parts as noises."""
        return tuple(self.parts)

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Which part it is, and its parameters."""
        weights = np.ones(len(self.parts)) if self.weights is None else np.asarray(self.weights, float)
        choice = int(rng.choice(len(self.parts), p=weights / weights.sum()))
        return {"noise": self.name, "choice": choice, "part": self.noises[choice].draw(rng, labels)}

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Labels after the part that was chosen."""
        return self.noises[params["choice"]].apply(labels, params["part"])

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> OneOf:
        """Every part in that hand."""
        check_style(self.name, strength=strength, bias=bias)
        return replace(self, parts=[noise.styled(strength=strength, bias=bias) for noise in self.noises])


def _parts(name: str, parts: Sequence[Part]) -> tuple[Noise, ...]:
    if isinstance(parts, str) or not isinstance(parts, Sequence) or not parts:
        raise ConfigError(
            f"{name} noise needs a list of parts, such as [{{name: markov, steps: 50}}, polygon], "
            f"got {quoted(parts)}"
        )
    return tuple(make_noise(part) for part in parts)
