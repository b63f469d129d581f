"""Published noise settings by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from labelmend.errors import ConfigError
from labelmend.noise.base import MaskNoise, Noise, Params, apply_by_class, check_style, draw_by_class
from labelmend.noise.markov import MarkovNoise
from labelmend.noise.morphology import MorphologyNoise
from labelmend.noise.segthor import SegthorNoise
from labelmend.types import LabelMap


@dataclass(frozen=True)
class Preset(Noise):
    """A published setting: one noise for all classes, or one for each class by name.

    Args:
        label: its name in the paper or its code.
        data: the data set it was made for.
        noise: the noise of all classes; where `per_class` names any, a `MaskNoise` for the others, or None.
        per_class: noise by class name.

    Paper: Yao et al., "Learning to Segment from Noisy Annotations: A Spatial Correction Approach", ICLR 2023
        (J1 to I3); Liu et al., "Adaptive Early-Learning Correction for Segmentation from Noisy Annotations",
        CVPR 2022 (SegTHOR).
    """

    name: ClassVar[str] = "preset"

    label: str
    data: str
    noise: Noise | None = None
    per_class: Mapping[str, MaskNoise] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of the noise, and the name of the preset.

        Raises:
            ConfigError: the preset has no setting for a class of the labels.
        """
        if self.noise is not None and not self.per_class:
            return {**self.noise.draw(rng, labels), "preset": self.label}
        return {**draw_by_class(rng, labels, self.settings(labels.classes)), "preset": self.label}

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        if self.noise is not None and not self.per_class:
            return self.noise.apply(labels, params)
        return apply_by_class(labels, params, self.settings(labels.classes))

    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> Preset:
        """Every noise of the preset in that hand."""
        check_style(self.name, strength=strength, bias=bias)
        return dataclasses.replace(
            self,
            noise=self.noise and self.noise.styled(strength=strength, bias=bias),
            per_class={n: o.styled(strength=strength, bias=bias) for n, o in self.per_class.items()},
        )

    def settings(self, classes: tuple[str, ...]) -> dict[str, MaskNoise]:
        """The noise of each class, or a ConfigError that names the class without one."""
        found = {}
        for name in classes:
            noise = self.per_class.get(name, self.noise)
            if not isinstance(noise, MaskNoise):
                raise ConfigError(
                    f"preset {self.label} is for the classes {', '.join(self.per_class)}, not for {name!r}: "
                    f"give your own with `--noise markov --noise.steps 180 --noise.flip 0.05 ...`"
                )
            found[name] = noise
        return found


def _chest(name: str, expand: float, steps: int, steps_clavicle: int) -> Preset:
    large = MarkovNoise(steps=steps, expand=expand, flip=0.05, speckle=0.2, smooth=True)
    clavicle = MarkovNoise(steps=steps_clavicle, expand=expand, flip=0.02, speckle=0.2, smooth=True)
    return Preset(name, "JSRT", per_class={"lung": large, "heart": large, "clavicle": clavicle})


def _brain(name: str, expand: float) -> Preset:
    return Preset(
        name, "BraTS 2020", MarkovNoise(steps=80, expand=expand, flip=0.05, speckle=0.0, smooth=True)
    )


def _skin(name: str, expand: float) -> Preset:
    return Preset(
        name, "ISIC 2017", MarkovNoise(steps=200, expand=expand, flip=0.05, speckle=0.2, smooth=True)
    )


def _radius(low_px: float, high_px: float) -> MorphologyNoise:
    """Radii as the paper counts them, from pixel centres: half a pixel more than from the outline."""
    return MorphologyNoise(low_mm=low_px - 0.5, high_mm=high_px - 0.5, dilate=0.5, in_pixels=True)


PRESETS: dict[str, Preset] = {
    preset.label: preset
    for preset in (
        _chest("J1", expand=0.8, steps=180, steps_clavicle=100),
        _chest("J2", expand=0.2, steps=180, steps_clavicle=100),
        Preset(
            "J3",
            "JSRT",
            per_class={"lung": _radius(7, 9), "heart": _radius(7, 9), "clavicle": _radius(3, 5)},
        ),
        _chest("J1-hard", expand=0.8, steps=400, steps_clavicle=300),
        _brain("B1", expand=0.7),
        _brain("B2", expand=0.3),
        Preset("B3", "BraTS 2020", _radius(3, 5)),
        _skin("I1", expand=0.2),
        _skin("I2", expand=0.8),
        Preset("I3", "ISIC 2017", _radius(7, 9)),
        Preset("SegTHOR", "SegTHOR", SegthorNoise()),
    )
}


def find_preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ConfigError: no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset called {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]
