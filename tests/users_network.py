"""A network as a user has it, for tests of what reads its layers."""

from collections import OrderedDict

import torch
from torch import nn


def users_own(classes=10):
    """A network as somebody else would write it: named stages, pooling and a linear layer at the end."""
    torch.manual_seed(0)
    block = lambda a, b, stride: nn.Sequential(  # noqa: E731
        nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)
    )
    parts = {
        "stem": block(3, 4, 2),
        "layer1": nn.Sequential(block(4, 4, 1), block(4, 4, 1)),
        "layer2": nn.Sequential(block(4, 6, 2), block(6, 6, 1)),
        "layer3": nn.Sequential(block(6, 8, 2), block(8, 8, 1)),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "fc": nn.Linear(8, classes),
    }
    return nn.Sequential(OrderedDict(parts))


def hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())
