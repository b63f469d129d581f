"""Models of how annotations go wrong: draw parameters from a generator, then apply them."""

from labelmend.noise.base import MaskNoise, Noise, Params, case_generator
from labelmend.noise.compose import Compose, OneOf, make_noise
from labelmend.noise.markov import MarkovNoise, markov_noise
from labelmend.noise.presets import PRESETS, Preset, find_preset
from labelmend.noise.raters import SEVERITIES, Rater, draw_raters

NOISES: dict[str, type[Noise]] = {noise.name: noise for noise in (Compose, MarkovNoise, OneOf)}

__all__ = [
    "NOISES",
    "PRESETS",
    "SEVERITIES",
    "Compose",
    "MarkovNoise",
    "MaskNoise",
    "Noise",
    "OneOf",
    "Params",
    "Preset",
    "Rater",
    "case_generator",
    "draw_raters",
    "find_preset",
    "make_noise",
    "markov_noise",
]
