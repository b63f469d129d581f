from __future__ import annotations

import pytest
import torch
from torch import nn

from labelmend.errors import UnreadableFileError
from labelmend.model.files import read_model, save_model


def test_weights_and_description_of_a_model_come_back(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    save_model(tmp_path, network, {"classes": ("a", "b"), "bias_mm": [float("nan")]})
    weights, description = read_model(tmp_path)
    assert description == {"classes": ["a", "b"], "bias_mm": [None]}
    assert weights.keys() == network.state_dict().keys()
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())


def test_tied_weights_are_saved(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    save_model(tmp_path, network, {})
    assert torch.equal(read_model(tmp_path)[0]["1.weight"], network[0].weight)


@pytest.mark.parametrize("damaged", ["model.safetensors", "model.json"])
def test_a_model_that_is_absent_or_damaged_is_no_finished_model(tmp_path, damaged):
    with pytest.raises(UnreadableFileError, match="no finished model"):
        read_model(tmp_path)
    save_model(tmp_path, nn.Linear(2, 2), {"a": 1})
    path = tmp_path / damaged
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UnreadableFileError, match="no finished model"):
        read_model(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "null", "{", "[" * 100_000])
def test_a_card_that_is_none_is_named(tmp_path, content):
    save_model(tmp_path, torch.nn.Linear(2, 1), {"a": 1})
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(UnreadableFileError, match=r"holds no finished model \(.*model\.json"):
        read_model(tmp_path)
