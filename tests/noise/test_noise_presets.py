"""Published settings by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise import PRESETS, find_preset
from labelmend.types import Grid, LabelMap


def chest(classes: tuple[str, ...] = ("clavicle", "heart", "lung")) -> LabelMap:
    masks = np.zeros((len(classes), 40, 40), bool)
    masks[:, 10:30, 12:28] = True
    return LabelMap(masks, Grid((40, 40), (1.0, 1.0)), classes)


@pytest.mark.parametrize(
    ("name", "class_name", "steps", "expand", "flip", "speckle"),
    [
        ("J1", "lung", 180, 0.8, 0.05, 0.2),
        ("J1", "heart", 180, 0.8, 0.05, 0.2),
        ("J1", "clavicle", 100, 0.8, 0.02, 0.2),
        ("J2", "lung", 180, 0.2, 0.05, 0.2),
        ("J2", "clavicle", 100, 0.2, 0.02, 0.2),
        ("J1-hard", "lung", 400, 0.8, 0.05, 0.2),
        ("J1-hard", "heart", 400, 0.8, 0.05, 0.2),
        ("J1-hard", "clavicle", 300, 0.8, 0.02, 0.2),
        ("B1", "tumour", 80, 0.7, 0.05, 0.0),
        ("B2", "tumour", 80, 0.3, 0.05, 0.0),
        ("I1", "lesion", 200, 0.2, 0.05, 0.2),
        ("I2", "lesion", 200, 0.8, 0.05, 0.2),
    ],
)
def test_presets_hold_the_published_settings(
    name: str, class_name: str, steps: int, expand: float, flip: float, speckle: float
) -> None:
    noise = find_preset(name).settings((class_name,))[class_name]
    found = (noise.steps, noise.expand, noise.flip, noise.speckle, noise.smooth)
    assert found == (steps, expand, flip, speckle, True)


def test_a_chest_preset_refuses_other_classes_and_says_what_to_do() -> None:
    with pytest.raises(
        ConfigError, match=r"not for 'liver': give your own with `--noise markov --noise.steps"
    ):
        PRESETS["J1"].draw(np.random.default_rng(0), chest(("lung", "liver")))


@pytest.mark.parametrize("name", ["J3", "B3", "I3"])
def test_presets_that_cannot_be_drawn_yet_say_so(name: str) -> None:
    with pytest.raises(ConfigError, match=f"preset {name} is noise by dilation and erosion.*cannot draw yet"):
        find_preset(name)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no preset called 'X9': choose from J1, J2, J1-hard, B1, B2, I1, I2"
    ):
        find_preset("X9")


def test_parameters_survive_json_and_name_the_preset() -> None:
    labels, preset = chest(), PRESETS["J1"]
    params = preset.draw(np.random.default_rng(0), labels)
    again = json.loads(json.dumps(params))
    assert again == params
    assert params["preset"] == "J1"
    assert np.array_equal(preset.apply(labels, again).array, preset.apply(labels, params).array)


def test_j1_makes_masks_larger_and_j2_smaller() -> None:
    labels = chest()
    for name, sign in (("J1", 1), ("J2", -1)):
        preset = PRESETS[name]
        noisy = preset.apply(labels, preset.draw(np.random.default_rng(0), labels))
        assert all(sign * (a.sum() - b.sum()) > 0 for a, b in zip(noisy.array, labels.array))
