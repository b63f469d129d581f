from __future__ import annotations

from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.model.config import NetworkConfig
from labelmend.workflows.training.config import (
    AugmentConfig,
    TrainConfig,
    config_from,
    read_settings,
    to_yaml,
)


def test_settings_come_back_from_yaml_as_the_same_values(tmp_path):
    config = TrainConfig(
        data="d",
        out="o",
        classes={"heart": 2, "lung": 1},
        resize=[64, 48],
        spacing_mm=[0.7, 1.4],
        network=NetworkConfig("BasicUNet", {"features": [4, 4, 8, 8, 8, 4]}),
        augment=AugmentConfig(flip_axes=(0, 1)),
    )
    method = SpatialCorrection(gamma=0.8, upsample=1)
    (tmp_path / "config.yaml").write_text(to_yaml(config, method))
    assert config_from(read_settings(tmp_path)) == (config, method)
