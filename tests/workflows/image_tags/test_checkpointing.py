import pytest
import torch
from torch import nn

from labelmend.workflows.image_tags.checkpointing import recomputed, segments


def part(*layers):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), *layers, nn.Conv2d(2, 1, 3))


def images():
    return torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(1))


def test_parts_run_again_for_the_gradient_and_statistics_move_once():
    one, other, runs = part(nn.ReLU()), part(nn.ReLU()), []
    other[0].register_forward_hook(lambda *_: runs.append(other[1].momentum))
    one(images()).square().sum().backward()
    with recomputed([other]):
        loss = other(images()).square().sum()
    assert runs == [0.1]
    loss.backward()
    assert runs == [0.1, 0.0]
    assert other[1].momentum == 0.1
    for a, b in zip(one.parameters(), other.parameters()):
        torch.testing.assert_close(a.grad, b.grad)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_the_gradient_can_be_taken_twice():
    net = part(nn.ReLU())
    with recomputed([net]):
        loss = net(images()).square().sum()
    first, second = (torch.autograd.grad(loss, net[0].weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert net[1].num_batches_tracked == 1


def test_normalisation_that_is_frozen_or_keeps_no_statistics_stays_so():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    net[1].eval()
    with recomputed([net]):
        loss = net(images()).square().sum()
    loss.backward()
    assert net[1].num_batches_tracked == 0
    assert torch.equal(net[1].running_mean, torch.zeros(2))
    assert net[2].num_batches_tracked is None


def test_dropout_drops_the_same_again():
    net = part(nn.Dropout(0.5))
    torch.manual_seed(3)
    expected = torch.autograd.grad(net(images()).square().sum(), net[0].weight)[0]
    torch.manual_seed(3)
    with recomputed([net]):
        loss = net(images()).square().sum()
    torch.manual_seed(4)
    torch.testing.assert_close(torch.autograd.grad(loss, net[0].weight)[0], expected)


def test_an_input_changed_in_place_is_an_error_and_no_wrong_gradient():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Sequential(nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(2, 1, 3))
    )
    with recomputed([net[1]]):
        loss = net(images()).square().sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_forward_is_put_back_after_an_error_and_where_a_part_has_its_own():
    plain, own = part(nn.ReLU()), part(nn.ReLU())
    mine = own.forward
    own.forward = mine
    with pytest.raises(RuntimeError), recomputed([plain, own, plain]):
        plain(torch.zeros(1, 5, 9, 9))
    assert "forward" not in vars(plain)
    assert own.forward is mine


def test_segments_are_the_largest_parts_that_hold_no_layer_inside():
    net = nn.ModuleDict({"a": part(), "b": nn.ReLU(), "c": nn.Sequential(part(), part())})
    assert list(segments(net, ["a", "c"])) == [net["a"], net["c"]]
    assert list(segments(net, ["a.0", "c.1"])) == [*net["a"], net["c"][0], net["c"][1]]
    assert list(segments(net, ["aa.0"])) == [net["a"], net["c"]]
