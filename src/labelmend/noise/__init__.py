"""Models of how annotations go wrong: draw parameters from a generator, then apply them."""

from labelmend.noise.base import Noise, Params, case_generator
from labelmend.noise.markov import MarkovNoise, markov_noise
from labelmend.noise.presets import PRESETS, Preset, find_preset

NOISES: dict[str, type[Noise]] = {"markov": MarkovNoise}

__all__ = [
    "NOISES",
    "PRESETS",
    "MarkovNoise",
    "Noise",
    "Params",
    "Preset",
    "case_generator",
    "find_preset",
    "markov_noise",
]
