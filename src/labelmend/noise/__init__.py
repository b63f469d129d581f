"""Models of how annotations go wrong: draw parameters from a generator, then apply them."""

from labelmend.noise.affine import AffineNoise
from labelmend.noise.base import MaskNoise, Noise, Params
from labelmend.noise.class_flip import ClassFlipNoise, pair_matrix
from labelmend.noise.compose import Compose, OneOf, make_noise
from labelmend.noise.confusion import ConfusionNoise
from labelmend.noise.deformation import DeformationNoise
from labelmend.noise.instance import InstanceFlipNoise
from labelmend.noise.markov import MarkovNoise, markov_noise
from labelmend.noise.missing import MissingNoise
from labelmend.noise.missing_slices import MissingSlicesNoise
from labelmend.noise.morphology import MorphologyNoise
from labelmend.noise.polygon import PolygonNoise
from labelmend.noise.presets import PRESETS, Preset, find_preset
from labelmend.noise.rand_annotation_noise import RandAnnotationNoise
from labelmend.noise.raters import SEVERITIES, Rater, draw_raters
from labelmend.noise.segthor import SegthorNoise
from labelmend.noise.slice_steps import SliceStepsNoise
from labelmend.noise.spurious import SpuriousNoise
from labelmend.runtime.randomness import case_generator

NOISES: dict[str, type[Noise]] = {
    noise.name: noise
    for noise in (
        MarkovNoise,
        MorphologyNoise,
        AffineNoise,
        DeformationNoise,
        PolygonNoise,
        SegthorNoise,
        ConfusionNoise,
        MissingNoise,
        SpuriousNoise,
        MissingSlicesNoise,
        SliceStepsNoise,
        Compose,
        OneOf,
    )
}
"""Kinds of error in masks by the name that `labelmend simulate --noise NAME` knows them by."""

__all__ = [
    "NOISES",
    "PRESETS",
    "SEVERITIES",
    "AffineNoise",
    "ClassFlipNoise",
    "Compose",
    "ConfusionNoise",
    "DeformationNoise",
    "InstanceFlipNoise",
    "MarkovNoise",
    "MaskNoise",
    "MissingNoise",
    "MissingSlicesNoise",
    "MorphologyNoise",
    "Noise",
    "OneOf",
    "Params",
    "PolygonNoise",
    "Preset",
    "RandAnnotationNoise",
    "Rater",
    "SegthorNoise",
    "SliceStepsNoise",
    "SpuriousNoise",
    "case_generator",
    "draw_raters",
    "find_preset",
    "make_noise",
    "markov_noise",
    "pair_matrix",
]
