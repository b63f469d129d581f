"""Several annotators: each has a style that stays the same from case to case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from labelmend.errors import ConfigError
from labelmend.noise.base import Noise, check_size, is_whole, quoted
from labelmend.runtime.randomness import case_generator

N = TypeVar("N", bound=Noise)

SEVERITIES = {"easy": 0.5, "medium": 1.0, "hard": 2.0}
"""How many times as strong as its settings a noise is drawn."""


@dataclass(frozen=True)
class Rater:
    """One annotator's hand.

    Args:
        name: also the folder of the annotator's masks.
        strength: how many times as large, or as frequent, the errors are; above 1 is careless.
        bias: how generous; the odds of outward to inward errors are multiplied by exp(bias).
    """

    name: str
    strength: float
    bias: float

    def styled(self, noise: N) -> N:
        """A noise in this annotator's hand."""
        return noise.styled(strength=self.strength, bias=self.bias)


def draw_raters(
    count: int, seed: int = 0, *, strength_spread: float = 0.3, bias_spread: float = 0.5
) -> tuple[Rater, ...]:
    """Annotators `rater_1`, `rater_2`, ...; who they are depends on the seed and their number in the row.

    Args:
        count: how many, 1 or more.
        seed: of their styles.
        strength_spread: sd of the logarithm of their strengths, whose median is 1.
        bias_spread: sd of their biases, whose mean is 0.

    Raises:
        ConfigError: a count below 1, a negative spread, a seed that is no whole number.

    >>> [rater.name for rater in draw_raters(2)]
    ['rater_1', 'rater_2']
    >>> draw_raters(2)[1] == draw_raters(3)[1]
    True
    """
    if not is_whole(count) or count < 1:
        raise ConfigError(f"the number of raters must be 1 or more, got {quoted(count)}")
    if not is_whole(seed):
        raise ConfigError(f"the raters' seed must be a whole number, got {quoted(seed)}")
    check_size("raters'", strength_spread=strength_spread, bias_spread=bias_spread)
    raters = []
    for number in range(1, count + 1):
        # Three ids, so that no case of any name shares the generator.
        rng = case_generator(seed, "", "style", f"rater_{number}")
        strength, bias = rng.lognormal(0.0, strength_spread), rng.normal(0.0, bias_spread)
        raters.append(Rater(f"rater_{number}", float(strength), float(bias)))
    return tuple(raters)
