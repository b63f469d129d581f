"""Networks by name: sizes filled in, wrong names and arguments told apart, and tried out before training."""

import pytest
import torch
from torch import nn

from labelmend.errors import ConfigError
from labelmend.model.config import NetworkConfig
from labelmend.model.network import build_network, padded_size, try_out

SMALL = {
    "UNet": {"channels": (4, 8, 8), "strides": (2, 2)},
    "AttentionUnet": {"channels": (4, 8), "strides": (2,)},
    "BasicUNet": {"features": (4, 4, 4, 8, 8, 4)},
    "DynUNet": {
        "kernel_size": (3, 3, 3),
        "strides": (1, 2, 2),
        "upsample_kernel_size": (2, 2),
        "filters": (4, 8, 8),
    },
    "SegResNet": {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
}


def build(name: str, ndim: int = 2, **args) -> nn.Module:
    return build_network(NetworkConfig(name, args), ndim=ndim, in_channels=2, out_channels=3).eval()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_gives_one_channel_a_class_on_the_grid_of_the_image(name, ndim):
    image = torch.zeros(1, 2, *(32,) * ndim)
    assert build(name, ndim, **SMALL[name])(image).shape == (1, 3, *(32,) * ndim)


@pytest.mark.parametrize("name", SMALL)
def test_the_default_arguments_take_any_padded_grid(name):
    assert build(name)(torch.zeros(2, 2, 48, 32)).shape == (2, 3, 48, 32)


def test_another_spelling_of_monai_has_the_same_default_arguments():
    assert build("Unet")(torch.zeros(1, 2, 16, 16)).shape == (1, 3, 16, 16)


def test_arguments_that_are_given_win_over_those_filled_in():
    assert build("UNet", in_channels=1)(torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)


def test_a_network_that_must_know_its_image_size_is_told(monkeypatch):
    class Sized(nn.Module):
        def __init__(self, img_size, out_channels):
            super().__init__()
            self.known = (img_size, out_channels)

    monkeypatch.setattr("monai.networks.nets.Sized", Sized, raising=False)
    spec = NetworkConfig("Sized")
    network = build_network(spec, ndim=2, in_channels=1, out_channels=5, shape=(16, 24))
    assert network.known == ((16, 24), 5)


@pytest.mark.parametrize(
    ("name", "near"), [("UNett", "UNet"), ("segresnet", "SegResNet"), ("unetr", "UNETR")]
)
def test_an_unknown_name_comes_with_a_near_one(name, near):
    with pytest.raises(ConfigError, match=f"'{name}'; near: .*{near}"):
        build(name)


def test_a_name_like_no_other_comes_with_none():
    with pytest.raises(ConfigError, match="near: none"):
        build("qqqqq")


@pytest.mark.parametrize(
    ("name", "args"),
    [("UNet", {"chanels": (4, 8)}), ("UNet", {"channels": (4,)}), ("SegResNet", {"norm": "no such norm"})],
)
def test_arguments_that_the_network_refuses_are_shown(name, args):
    with pytest.raises(ConfigError, match=f"{name} cannot be built with .*{next(iter(args))}"):
        build(name, **args)


def test_a_grid_is_padded_to_multiples_of_sixteen():
    assert padded_size((16, 17, 1)) == (16, 32, 16)


def test_a_network_that_fits_the_data_passes():
    try_out(build("UNet", **SMALL["UNet"]), shape=(2, 2, 16, 16), out_channels=3)


def test_a_network_that_refuses_the_grid_is_named_with_the_grid():
    unet = build("UNet", channels=(4, 4, 4), strides=(2, 2))
    with pytest.raises(ConfigError, match=r"UNet cannot take a batch of shape \(1, 2, 18, 18\).*--patch"):
        try_out(unet, shape=(1, 2, 18, 18), out_channels=3)


def test_a_network_with_other_channels_than_classes_is_refused():
    with pytest.raises(ConfigError, match=r"into \(1, 5, 8, 8\), expected logits of shape \(1, 3, 8, 8\)"):
        try_out(nn.Conv2d(2, 5, 1), shape=(1, 2, 8, 8), out_channels=3)


def test_a_network_that_gives_no_tensor_is_refused():
    class Pair(nn.Module):
        def forward(self, image):
            return image, image

    with pytest.raises(ConfigError, match="into tuple"):
        try_out(Pair(), shape=(1, 2, 8, 8), out_channels=2)


def test_trying_out_leaves_no_gradient():
    network = nn.Conv2d(2, 3, 1)
    try_out(network, shape=(1, 2, 8, 8), out_channels=3)
    assert network.weight.grad is None
