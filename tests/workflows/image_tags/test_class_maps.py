import copy
import io
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drawn_tensors import normal
from labelmend.errors import ConfigError, GeometryError
from labelmend.workflows.image_tags.attention import propagate, resized
from labelmend.workflows.image_tags.class_maps import MultiLayerCAM, TinyBackbone, class_maps
from labelmend.workflows.image_tags.layer_outputs import LayerTap
from labelmend.workflows.image_tags.pooling import weights_by_rank
from largest_tensor import Largest
from users_network import hooks, users_own

STAGES = ("stage2", "stage3", "stage4")
MODES = ["none", "propagate"]


def network(mode="propagate", *, layers=STAGES, k=3, seed=0, **options):
    """A small network whose weights do not depend on the mode, in evaluation mode."""
    torch.manual_seed(seed)
    backbone = TinyBackbone(1, widths=(4, 6, 8, 10))
    plain = MultiLayerCAM(backbone, k, layers=layers, mode="none", proj=5)
    made = MultiLayerCAM(copy.deepcopy(backbone), k, layers=layers, mode=mode, proj=5, **options)
    made.load_state_dict(plain.state_dict(), strict=False)
    return made.eval()


# --- layers of a backbone -------------------------------------------------------------------------


def test_hooks_go_after_an_error_too():
    model = network()
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.zeros(1, 2, 16, 16))
    assert hooks(model) == 0


@pytest.mark.parametrize("layers", [(), "stage2", ("stage2", "stage2")])
def test_layers_are_a_list_of_different_names(layers):
    with pytest.raises(ConfigError, match="list of different names"):
        MultiLayerCAM(TinyBackbone(1), 2, layers=layers)


def test_a_backbone_that_takes_other_images_says_so_and_learns_from_an_example():
    class FixedSize(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.zeros(1, 1, 48, 48))
            self.conv = nn.Conv2d(1, 2, 3, stride=2)

        def forward(self, x):
            return self.conv(x + self.place)

    with pytest.raises(ConfigError, match=r"FixedSize does not accept images \(1, 1, 64, 64\): .*`example`"):
        MultiLayerCAM(FixedSize(), 2, layers=("conv",))
    model = MultiLayerCAM(FixedSize(), 2, layers=("conv",), example=torch.zeros(1, 1, 48, 48))
    assert model(torch.zeros(2, 1, 48, 48)).maps.shape == (2, 2, 23, 23)
    with pytest.raises(ConfigError, match="ReLU has no layer"):
        MultiLayerCAM(nn.ReLU(), 2, layers=("conv",))
    with pytest.raises(ConfigError, match=r"no convolution: .*`example`"):
        MultiLayerCAM(nn.Sequential(nn.ReLU()), 2, layers=("0",))


def test_the_trial_changes_nothing_in_the_backbone():
    net = users_own()
    net.layer1.eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    MultiLayerCAM(net, 2, layers=("layer1", "layer3"))
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "inside"}, '"propagate" or "none"'),
        ({"grid": 32}, '"finest" or "coarsest"'),
        ({"proj": 0}, "proj"),
        ({"n_classes": 0}, "n_classes"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options, words):
    settings = {"n_classes": 2, "layers": STAGES} | options
    with pytest.raises(ConfigError, match=words):
        MultiLayerCAM(TinyBackbone(1), **settings)


def test_the_tiny_backbone_has_four_strides_and_a_tenth_of_a_million_weights():
    net = TinyBackbone(3)
    assert 80_000 < sum(p.numel() for p in net.parameters()) < 130_000
    names = [f"stage{i}" for i in (1, 2, 3, 4)]
    with LayerTap(net, names) as tap:
        net(torch.zeros(2, 3, 64, 40))
    assert [tuple(tap[n].shape[2:]) for n in names] == [(64, 40), (32, 20), (16, 10), (8, 5)]


# --- maps and logits ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grid", ["finest", "coarsest"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pooled_share", [None, 0.2])
def test_logits_are_means_of_maps_and_both_are_sums_of_shares(mode, grid, training, pooled_share):
    model = network(mode, grid=grid, pooled_share=pooled_share).train(training)
    output = model(normal(2, 1, 45, 30))
    assert output.maps.shape == {"finest": (2, 3, 23, 15), "coarsest": (2, 3, 6, 4)}[grid]
    near = {"rtol": 0, "atol": 1e-5}
    weights = weights_by_rank(output.maps, pooled_share)
    torch.testing.assert_close(output.logits, (weights * output.maps).sum((2, 3)), **near)
    assert list(output.shares) == list(output.layer_maps) == list(output.features) == list(STAGES)
    torch.testing.assert_close(sum(output.layer_maps.values()), output.maps, **near)
    torch.testing.assert_close(sum(output.shares.values()), output.logits, **near)
    for name in STAGES:
        torch.testing.assert_close(
            (weights * output.layer_maps[name]).sum((2, 3)), output.shares[name], **near
        )


def test_maps_are_one_convolution_of_the_stacked_and_resized_projections():
    model, images = network("none"), normal(2, 1, 33, 40)
    output = model(images)
    stack = [
        F.interpolate(project(f), size=(17, 20), mode="bilinear")
        for project, f in zip(model.projections, output.features.values())
    ]
    torch.testing.assert_close(output.maps, model.head(torch.cat(stack, 1)), rtol=0, atol=1e-5)


def test_the_last_layer_alone_is_a_class_activation_map():
    model, images = network("none", layers=("stage4",)), normal(2, 1, 33, 40)
    output = model(images)
    torch.testing.assert_close(output.maps, model.head(model.projections[0](model.backbone(images))))
    assert torch.equal(output.shares["stage4"], output.logits)


@pytest.mark.parametrize("mode", MODES)
def test_a_network_of_the_user_works_with_layers_deep_inside(mode):
    model = MultiLayerCAM(users_own(), 2, layers=("layer1", "layer2.0", "layer3"), mode=mode)
    images = normal(2, 3, 37, 50)
    model(images).logits.square().sum().backward()
    assert model.backbone.stem[0].weight.grad.abs().sum() > 0
    maps = class_maps(model, images, torch.tensor([[True, False], [True, True]]))
    assert maps.fused.shape == (2, 2, 37, 50)
    assert list(maps.per_layer) == ["layer1", "layer2.0", "layer3"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (17, 16), (50, 33)])
def test_images_of_any_size_give_maps_of_their_size(mode, size):
    maps = class_maps(network(mode), normal(2, 1, *size), scales=(1.0, 0.5))
    for found in (maps.fused, *maps.per_layer.values()):
        assert found.shape == (2, 3, *size)
        assert found.min() >= 0
        assert found.max() <= 1
    assert maps.logits.shape == maps.shares["stage2"].shape == (2, 3)


def test_images_without_a_batch_axis_are_refused():
    for call in (network(), lambda x: class_maps(network(), x)):
        with pytest.raises(GeometryError, match=r"images must be \(b c h w\), got \(1, 16, 16\)"):
            call(torch.zeros(1, 16, 16))


def test_the_state_holds_backbone_projections_and_head():
    names = {name.partition(".")[0] for name in network().state_dict()}
    assert names == {"backbone", "projections", "head"}


@pytest.mark.parametrize("mode", MODES)
def test_a_used_network_can_be_copied_and_stored_and_holds_no_hook(mode):
    model, images = network(mode), normal(2, 1, 20, 20)
    expected = model(images).logits
    assert hooks(model) == 0
    assert torch.equal(copy.deepcopy(model)(images).logits, expected)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(images).logits, expected)
    other = network(mode, seed=5)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images).logits, expected)


def test_it_takes_the_precision_of_the_backbone():
    model = MultiLayerCAM(TinyBackbone(1).double(), 2, layers=STAGES)
    assert model(normal(1, 1, 16, 16).double()).logits.dtype == torch.double


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("build", [lambda: TinyBackbone(1, widths=(4, 6, 8, 10)), users_own])
def test_checkpointing_gives_the_same_gradients_and_statistics_and_keeps_less(mode, build):
    layers = STAGES if isinstance(build(), TinyBackbone) else ("layer1.0", "layer2")
    images, found = normal(2, 1 if layers == STAGES else 3, 31, 22), []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = MultiLayerCAM(build(), 3, layers=layers, mode=mode, checkpointing=checkpointing)
        model.load_state_dict({n: v if "gate" not in n else v + 0.5 for n, v in model.state_dict().items()})
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.setdefault(x.untyped_storage().data_ptr(), x.numel()) and x,
            lambda x: x,
        ):
            loss = F.multilabel_soft_margin_loss(model(images).logits, torch.ones(2, 3))
        loss.backward()
        found.append((model, sum(sizes.values())))
    (plain, kept), (again, kept_again) = found
    named = dict(again.named_parameters())
    assert {n for n, p in named.items() if p.grad is None} == {
        n for n, p in plain.named_parameters() if p.grad is None
    }
    for name, parameter in plain.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(named[name].grad, parameter.grad)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    assert not any("forward" in vars(module) for module in again.modules())
    assert kept_again < 0.7 * kept


@pytest.mark.parametrize("side", [128, 256, 512])
def test_propagation_in_large_images_stays_within_its_tokens(side):
    with Largest() as largest:
        class_maps(network(), normal(1, 1, side, side), flip=False)
    assert largest.numbers == max(4 * side**2, 1024**2)  # the first stage, or a matrix


# --- class maps -----------------------------------------------------------------------------------


def test_one_view_is_the_plain_pass_over_its_maximum():
    model, images = network("none"), normal(2, 1, 24, 31)
    found, output = class_maps(model, images, torch.ones(2, 3, dtype=torch.bool), flip=False), model(images)
    assert torch.equal(found.logits, output.logits)
    expected = {"fused": output.maps, **output.layer_maps}
    for name, maps in expected.items():
        positive = F.interpolate(maps, size=(24, 31), mode="bilinear").clamp_min(0)
        top = positive.amax((2, 3), keepdim=True)
        assert top.max() > 0
        gated = torch.where(top > 0, positive / top, 0.0)
        torch.testing.assert_close(found.fused if name == "fused" else found.per_layer[name], gated)
        if name != "fused":
            assert torch.equal(found.shares[name], output.shares[name])


def test_in_mode_propagate_the_maps_are_spread_over_the_features():
    model, images = network("propagate"), normal(2, 1, 24, 31)
    tags = torch.ones(2, 3, dtype=torch.bool)
    found = class_maps(model, images, tags, flip=False, steps=2, power=3, max_tokens=60)
    output = model(images)
    spread = propagate(output.maps, list(output.features.values()), steps=2, power=3, max_tokens=60)
    spread = resized(spread, (24, 31))
    torch.testing.assert_close(found.fused, spread / spread.amax((2, 3), keepdim=True))
    plain = class_maps(network("none"), images, tags, flip=False)
    assert not torch.allclose(found.fused, plain.fused, atol=0.05)
    for name in STAGES:  # of the layers themselves
        assert torch.equal(found.per_layer[name], plain.per_layer[name])


@pytest.mark.parametrize("mode", MODES)
def test_mirrored_images_give_exactly_mirrored_maps(mode):
    model, images = network(mode), normal(2, 1, 21, 27)
    found, mirrored = class_maps(model, images), class_maps(model, images.flip(-1))
    assert torch.equal(mirrored.fused, found.fused.flip(-1))
    assert torch.equal(mirrored.logits, found.logits)
    for name in STAGES:
        assert torch.equal(mirrored.per_layer[name], found.per_layer[name].flip(-1))
    alone = class_maps(model, images, flip=False), class_maps(model, images.flip(-1), flip=False)
    assert not torch.allclose(alone[1].fused, alone[0].fused.flip(-1))


def test_scales_are_averaged_before_the_maximum_is_taken():
    model, images = network("none"), normal(1, 1, 24, 32)
    found = class_maps(model, images, torch.ones(1, 3, dtype=torch.bool), flip=False, scales=(1.0, 0.5))
    small = F.avg_pool2d(images, 2)
    views = [resized(model(seen).maps, (24, 32)) for seen in (images, small)]
    positive = (sum(views) / 2).clamp_min(0)
    top = positive.amax((2, 3), keepdim=True)
    torch.testing.assert_close(found.fused, torch.where(top > 0, positive / top, 0.0))
    torch.testing.assert_close(found.logits, (model(images).logits + model(small).logits) / 2)


@pytest.mark.parametrize("mode", MODES)
def test_a_class_without_tag_has_an_empty_map_and_a_tagged_one_reaches_one(mode):
    model, images = network(mode), normal(2, 1, 24, 31)
    tags = torch.tensor([[True, False, True], [False, False, False]])
    found = class_maps(model, images, tags)
    for maps in (found.fused, *found.per_layer.values()):
        assert (maps[~tags] == 0).all()
    everywhere = class_maps(model, images, torch.ones_like(tags))
    assert torch.equal(found.fused[tags], everywhere.fused[tags])
    assert everywhere.fused.amax((2, 3)).max() == 1


def test_a_tagged_class_without_evidence_stays_empty():
    model = network("none")
    with torch.no_grad():
        model.head.weight[1].clamp_max_(-0.1)
    found = class_maps(model, normal(2, 1, 24, 31), torch.ones(2, 3, dtype=torch.bool))
    assert (found.fused[:, 1] == 0).all()
    assert found.fused.isfinite().all()


def test_without_tags_a_map_is_as_high_as_the_class_is_probable():
    model, images = network("none"), normal(2, 1, 24, 31)
    with torch.no_grad():
        model.head.weight.mul_(6000)
    found = class_maps(model, images)
    tagged = class_maps(model, images, torch.ones(2, 3, dtype=torch.bool))
    p = found.logits.sigmoid()
    assert p.min() < 0.2
    assert p.max() > 0.8
    torch.testing.assert_close(found.fused, tagged.fused * p[..., None, None])


def test_every_part_keeps_its_mode_and_no_gradient_is_kept():
    model = network().train()
    model.backbone.stage1.eval()
    modes = [m.training for m in model.modules()]
    found = class_maps(model, normal(2, 1, 16, 16))
    assert [m.training for m in model.modules()] == modes
    assert not found.fused.requires_grad
    assert torch.equal(found.fused, class_maps(model.eval(), normal(2, 1, 16, 16)).fused)


def test_the_mode_comes_back_after_an_error():
    model = network().train()
    with pytest.raises(RuntimeError):
        class_maps(model, torch.zeros(2, 5, 16, 16))
    assert all(m.training for m in model.modules())


def test_tags_of_another_shape_and_scales_that_are_none_are_refused():
    images = normal(2, 1, 16, 16)
    with pytest.raises(GeometryError, match=r"\(2, 3\), got \(3,\)"):
        class_maps(network(), images, torch.ones(3, dtype=torch.bool))
    for scales in ((), (0.0,), (1.0, math.inf)):
        with pytest.raises(ConfigError, match="scales"):
            class_maps(network(), images, scales=scales)


def test_after_learning_tags_the_maps_lie_on_the_object():
    generator = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(48, 1, 32, 32, generator=generator)
    tags = torch.arange(48)[:, None] % 2 == 0
    corners = torch.randint(0, 24, (48, 2), generator=generator).tolist()
    mask = torch.zeros(48, 1, 32, 32, dtype=torch.bool)
    for i, (top, left) in enumerate(corners):
        mask[i, 0, top : top + 8, left : left + 8] = bool(tags[i])
    images = images + mask
    model = network("none", k=1, layers=("stage1", "stage2", "stage3")).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        F.multilabel_soft_margin_loss(model(images).logits, tags.float()).backward()
        optimizer.step()
    for mode in ("none", "propagate"):
        model.mode = mode
        found = class_maps(model, images, tags, flip=False, max_tokens=256)
        assert ((found.logits > 0) == tags).float().mean() > 0.9
        tagged = tags[:, 0]
        inside, outside = (found.fused[tagged][m[tagged]].mean() for m in (mask, ~mask))
        assert inside > 2.5 * outside
