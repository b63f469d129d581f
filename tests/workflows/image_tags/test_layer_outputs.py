import pytest
import torch
from torch import nn

from drawn_tensors import normal
from labelmend.errors import ConfigError
from labelmend.workflows.image_tags.class_maps import MultiLayerCAM, TinyBackbone
from labelmend.workflows.image_tags.layer_outputs import LayerTap
from users_network import hooks, users_own


def test_layers_of_any_module_are_read_and_the_hooks_go():
    net, images = users_own(), normal(2, 3, 32, 24)
    with LayerTap(net, ["layer3", "layer1.0"]) as tap:
        net(images)
    assert hooks(net) == 0
    assert torch.equal(tap["layer1.0"], net.layer1[0](net.stem(images)))
    assert tap["layer3"].shape == (2, 8, 4, 3)
    before = tap["layer3"]
    net(images + 1)
    assert tap["layer3"] is before


def test_a_wrong_name_of_a_layer_gets_the_near_ones():
    with pytest.raises(ConfigError, match=r"TinyBackbone has no layer 'stag3'; similar: .*stage3"):
        MultiLayerCAM(TinyBackbone(1), 2, layers=("stage2", "stag3"))
    with pytest.raises(ConfigError, match="Sequential has no layer 'xyz'; similar: stem, layer1, layer2"):
        LayerTap(users_own(), ["xyz"])


def test_a_layer_that_gives_no_map_is_refused():
    with pytest.raises(
        ConfigError, match=r"layer 'fc' of Sequential gives \(1, 10\), expected a map \(b c h w\)"
    ):
        MultiLayerCAM(users_own(), 2, layers=("layer2", "fc"))

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pair = nn.Conv2d(1, 2, 1), Pair()

        def forward(self, x):
            return self.pair(self.conv(x))[0]

    with pytest.raises(ConfigError, match="layer 'pair' of Net gives a tuple"):
        MultiLayerCAM(Net(), 2, layers=("pair",))


def test_a_layer_that_does_not_run_is_refused():
    net = users_own()
    net[1].spare = nn.Conv2d(4, 4, 1)
    net[1].forward = lambda x: x
    with pytest.raises(ConfigError, match=r"layer 'layer1\.spare' of Sequential did not run"):
        MultiLayerCAM(net, 2, layers=("layer1.spare",))
