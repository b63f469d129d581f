"""Published settings by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.noise import PRESETS, MarkovNoise, Preset, find_preset
from labelmend.noise.segthor import SegthorNoise
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


@pytest.mark.parametrize(
    ("name", "class_name", "low", "high"),
    [
        ("J3", "lung", 7, 9),
        ("J3", "heart", 7, 9),
        ("J3", "clavicle", 3, 5),
        ("B3", "tumour", 3, 5),
        ("I3", "lesion", 7, 9),
    ],
)
def test_presets_by_dilation_move_a_face_by_the_whole_pixels_of_the_published_radius(
    name: str, class_name: str, low: int, high: int
) -> None:
    noise = find_preset(name).settings((class_name,))[class_name]
    mask = np.repeat((np.arange(60) < 30)[None], 2, axis=0)
    rng = np.random.default_rng(0)
    spacing = (0.5, 3.0)
    steps = [
        int(noise.apply_mask(mask, noise.draw_mask(rng, mask, spacing), spacing)[0].sum()) - 30
        for _ in range(2000)
    ]
    # A radius r reaches the centres of pixels nearer than r: the whole part of r, each half of the time.
    expected = [-high + 1, -low, low, high - 1]
    assert set(steps) == set(expected)
    assert np.abs([steps.count(step) - 500 for step in expected]).max() < 4 * (2000 * 3 / 16) ** 0.5


def test_the_preset_of_adele_treats_all_classes_alike() -> None:
    preset = find_preset("SegTHOR")
    labels = chest(("oesophagus", "heart"))
    params = json.loads(json.dumps(preset.draw(np.random.default_rng(0), labels)))
    assert params["preset"] == "SegTHOR"
    assert params["noise"] == "segthor"
    assert (len(params["under"]), params["iterations"][0] in (2, 3, 4), params["area_px"]) == (1, True, 1000)
    noisy = preset.apply(labels, params).array
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy, labels.array)


def test_a_preset_keeps_its_name_in_another_hand() -> None:
    styled = find_preset("SegTHOR").styled(strength=0)
    params = styled.draw(np.random.default_rng(0), chest())
    assert params["preset"] == "SegTHOR"
    assert np.array_equal(styled.apply(chest(), params).array, chest().array)


def test_a_noise_of_whole_label_maps_cannot_stand_in_for_one_class() -> None:
    preset = Preset("mixed", "none", SegthorNoise(), {"lung": MarkovNoise()})
    with pytest.raises(ConfigError, match="preset mixed is for the classes lung, not for 'heart'"):
        preset.draw(np.random.default_rng(0), chest(("lung", "heart")))


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match="no preset called 'X9': choose from J1, J2, J3, J1-hard, B1, B2, B3, I1, I2, I3, SegTHOR",
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
