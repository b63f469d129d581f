import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.workflows.image_tags.class_maps import MultiLayerCAM, TinyBackbone
from labelmend.workflows.image_tags.pooling import weights_by_rank


def test_the_mean_is_the_limit_of_a_large_share_and_the_maximum_of_a_small_one():
    maps = torch.tensor([[[[0.0, 3.0, 1.0], [2.0, -5.0, 7.0]]]])
    assert torch.equal(weights_by_rank(maps, None), torch.full((1, 1, 2, 3), 1 / 6))
    torch.testing.assert_close(weights_by_rank(maps, 1e6), torch.full((1, 1, 2, 3), 1 / 6))
    torch.testing.assert_close(weights_by_rank(maps, 1e-3), (maps == 7).float())


def test_each_map_has_its_own_order_and_weights_that_sum_to_one():
    maps = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    weights = weights_by_rank(maps, 0.2)
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones(2, 3))
    for one, own in zip(maps.flatten(0, 1), weights.flatten(0, 1)):
        falling = own.flatten()[one.flatten().argsort(descending=True)]
        torch.testing.assert_close(falling[1:] / falling[:-1], torch.full((19,), torch.tensor(-0.25).exp()))


def test_63_percent_of_the_weight_is_in_the_upper_share():
    weights = weights_by_rank(torch.arange(10_000.0).view(1, 1, 100, 100), 0.05)
    assert weights.flatten()[-500:].sum() == pytest.approx(1 - 1 / torch.e, abs=1e-3)


def test_equal_cells_are_ranked_in_the_same_order_each_time():
    maps = torch.zeros(1, 1, 40, 40)
    assert torch.equal(weights_by_rank(maps, 0.1), weights_by_rank(maps.clone(), 0.1))


def test_the_gradient_of_a_logit_at_a_cell_is_its_weight():
    maps = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]], requires_grad=True)
    weights = weights_by_rank(maps, 0.5)
    (weights * maps).sum().backward()
    assert not weights.requires_grad
    assert torch.equal(maps.grad, weights)


@pytest.mark.parametrize("share", [0, -0.1, float("nan"), float("inf")])
def test_a_share_that_is_not_above_zero_is_refused(share):
    with pytest.raises(ConfigError, match="pooled_share must be None or a number above 0"):
        weights_by_rank(torch.zeros(1, 1, 2, 2), share)
    with pytest.raises(ConfigError, match="pooled_share must be None or a number above 0"):
        MultiLayerCAM(TinyBackbone(1), 1, layers=("stage4",), pooled_share=share)
