"""Settings: refused where they cannot be used, written as YAML, and read back as the same."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from labelmend.errors import ConfigError
from labelmend.methods.plain import Plain
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.workflows.training.config import (
    AugmentConfig,
    TrainConfig,
    differing,
    read_settings,
    to_yaml,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", -1),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("steps_per_epoch", 0),
        ("rounds", 0),
        ("clean_repeat", -1),
        ("average_shift", -1),
        ("early_stop", -1),
        ("workers", -1),
        ("threads", -1),
        ("seed", -1),
        ("weight_decay", float("nan")),
        ("cache_gib", -0.5),
        ("validation_share", 1.0),
        ("mixed_precision", "fp8"),
        ("device", "gpu"),
        ("network", "UNet"),
        ("augment", {"scale": 0.1}),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotate_deg", -1.0), ("scale", 1.0), ("shift", float("nan")), ("intensity", -0.1), ("flip_axes", (3,))],
)
def test_an_augmentation_that_cannot_be_used_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        AugmentConfig(**{name: value})


def test_resize_and_patch_exclude_each_other():
    with pytest.raises(ConfigError, match="not both"):
        TrainConfig(resize=64, patch=32)


def test_paths_tuples_and_numpy_numbers_from_python_become_plain_yaml():
    config = TrainConfig(data=Path("a/b"), resize=(8, np.int64(9)), classes={"x": np.int16(3)})  # type: ignore[arg-type]
    settings = yaml.safe_load(to_yaml(config, Plain()))
    assert (settings["data"], settings["resize"], settings["classes"]) == ("a/b", [8, 9], {"x": 3})


def test_the_method_is_written_beside_the_settings():
    settings = yaml.safe_load(to_yaml(TrainConfig(), SpatialCorrection(gamma=0.5)))
    assert settings["method"]["name"] == "spatial_correction"
    assert settings["method"]["gamma"] == 0.5


@pytest.mark.parametrize("text", [None, "a: [", "- 1\n- 2\n"])
def test_a_folder_without_readable_settings_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        read_settings(tmp_path)


def test_differing_settings_are_told_with_their_path_and_both_values():
    old = {"epochs": 2, "network": {"name": "UNet", "args": {}}, "seed": 0}
    new = {"epochs": 3, "network": {"name": "UNet", "args": {"a": 1}}, "seed": 0, "more": True}
    assert differing(old, new) == ["epochs: 2 -> 3", "network.args.a: None -> 1", "more: None -> True"]


def test_equal_settings_differ_in_nothing():
    assert differing({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) == []
