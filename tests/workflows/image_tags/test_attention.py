import math

import pytest
import torch
import torch.nn.functional as F

from drawn_tensors import normal
from labelmend.errors import ConfigError, GeometryError
from labelmend.workflows.image_tags.attention import (
    SelfAttention2d,
    affinity,
    bounded_grid,
    propagate,
    resized,
)
from largest_tensor import Largest

KINDS = [(s, sigma) for s in ("softmax", "relu_cosine") for sigma in (None, 2.0)]


def block(channels=4, g=0.7, **options):
    torch.manual_seed(1)
    made = SelfAttention2d(channels, **options)
    torch.nn.init.constant_(made.gate, g)
    return made


def by_loops(attention, x):
    """What the block should give for one image without pooling, cell by cell."""
    q, k, v = (
        layer(x)[0].flatten(1).T.tolist() for layer in (attention.query, attention.key, attention.value)
    )
    w = x.shape[3]
    out = x.clone()
    for i in range(len(q)):
        weights = []
        for j in range(len(k)):
            dot = sum(a * b for a, b in zip(q[i], k[j]))
            squared = (i // w - j // w) ** 2 + (i % w - j % w) ** 2
            near = 1 if attention.locality is None else math.exp(-squared / 2 / attention.locality**2)
            if attention.similarity == "softmax":
                weights.append(math.exp(dot / math.sqrt(len(q[i]))) * near)
            else:
                weights.append(max(0, dot / math.hypot(*q[i]) / math.hypot(*k[j])) * near)
        for c in range(x.shape[1]):
            mean = sum(a * cell[c] for a, cell in zip(weights, v)) / sum(weights)
            out[0, c, i // w, i % w] += attention.strength() * mean
    return out


# --- grids ----------------------------------------------------------------------------------------


def test_a_grid_never_has_more_cells_than_allowed_and_uses_most_of_them():
    for h in range(1, 80, 3):
        for w in range(1, 80):
            for most in (1, 7, 64, 1000):
                rows, columns = bounded_grid(h, w, most)
                assert 1 <= rows <= h
                assert 1 <= columns <= w
                assert rows * columns <= most
                assert rows * columns > min(h * w, most) / 2
                assert h == w or bounded_grid(w, h, most) == (columns, rows)


def test_a_grid_keeps_about_the_shape_of_the_map():
    for h, w in ((512, 512), (300, 517), (512, 64)):
        rows, columns = bounded_grid(h, w, 1024)
        assert rows / columns == pytest.approx(h / w, rel=0.15)


def test_axes_that_shrink_are_averaged_and_axes_that_grow_are_interpolated():
    maps = torch.tensor([[[[0.0, 2.0, 4.0, 8.0]]]])
    torch.testing.assert_close(resized(maps, (1, 2)), torch.tensor([[[[1.0, 6.0]]]]))
    torch.testing.assert_close(resized(maps, (2, 2)), torch.tensor([[[[1.0, 6.0], [1.0, 6.0]]]]))
    torch.testing.assert_close(resized(maps[..., :2], (1, 4)), torch.tensor([[[[0.0, 0.5, 1.5, 2.0]]]]))


# --- the block ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("similarity", "locality"), KINDS)
@pytest.mark.parametrize("max_tokens", [4096, 6])
@pytest.mark.parametrize("gate", ["free", "nonnegative"])
def test_a_new_block_passes_the_map_on_unchanged(similarity, locality, max_tokens, gate):
    attention = SelfAttention2d(4, similarity=similarity, locality=locality, max_tokens=max_tokens, gate=gate)
    x = normal(2, 4, 5, 7)
    assert (attention(x) - x).abs().max() < 1e-6


@pytest.mark.parametrize(("similarity", "locality"), KINDS)
def test_it_agrees_with_a_double_loop(similarity, locality):
    attention = block(similarity=similarity, locality=locality)
    x = normal(1, 4, 5, 7)
    torch.testing.assert_close(attention(x), by_loops(attention, x), rtol=0, atol=1e-5)


def test_it_agrees_with_torch_where_values_are_wider_than_queries_and_where_not():
    for channels in (4, 100):
        attention, x = block(channels), normal(2, channels, 5, 7)
        q, k, v = (layer(x).flatten(2).mT for layer in (attention.query, attention.key, attention.value))
        expected = F.scaled_dot_product_attention(q, k, v).mT.unflatten(2, (5, 7))
        torch.testing.assert_close(attention(x), x + 0.7 * expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("similarity", "locality"), KINDS)
def test_each_row_of_weights_sums_to_one(similarity, locality):
    weights = block(similarity=similarity, locality=locality).weights(normal(2, 4, 5, 7))
    assert weights.shape == (2, 35, 35)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 35))


@pytest.mark.parametrize(("similarity", "locality"), KINDS)
def test_what_is_added_is_the_weights_times_the_values_of_the_pooled_map(similarity, locality):
    attention, x = block(similarity=similarity, locality=locality, max_tokens=20), normal(2, 4, 8, 10)
    small = F.avg_pool2d(x, 2)  # 4 x 5
    assert bounded_grid(8, 10, 20) == (4, 5)
    values = attention.value(small).flatten(2)
    added = (values @ attention.weights(x).mT).unflatten(2, (4, 5))
    expected = x + 0.7 * F.interpolate(added, size=(8, 10), mode="bilinear")
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("similarity", ["softmax", "relu_cosine"])
def test_permuting_cells_permutes_what_comes_out(similarity):
    attention, x = block(similarity=similarity), normal(2, 4, 5, 7)
    order = torch.randperm(35, generator=torch.Generator().manual_seed(2))
    mixed = x.flatten(2)[..., order].unflatten(2, (5, 7))
    expected = attention(x).flatten(2)[..., order].unflatten(2, (5, 7))
    torch.testing.assert_close(attention(mixed), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("similarity", ["softmax", "relu_cosine"])
@pytest.mark.parametrize(("w", "cells"), [(3, 1), (6, 2)])
def test_locality_is_a_gaussian_in_cells_of_the_map_also_where_it_is_pooled(similarity, w, cells):
    attention = block(similarity=similarity, locality=2.0, max_tokens=3)
    for layer in (attention.query, attention.key):  # all cells alike
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.ones_(layer.bias)
    near = [math.exp(-((cells * i) ** 2) / 8) for i in range(3)]
    weights = attention.weights(normal(1, 4, 1, w))[0, 0]
    torch.testing.assert_close(weights, torch.tensor(near) / sum(near))


@pytest.mark.parametrize(("similarity", "locality"), KINDS)
def test_gradients_are_those_of_the_matrix_formula(similarity, locality):
    attention, x = block(similarity=similarity, locality=locality), normal(2, 4, 5, 7).requires_grad_()
    values = attention.value(x).flatten(2)
    formula = x + attention.strength() * (values @ attention.weights(x).mT).unflatten(2, (5, 7))
    wanted = [x, *attention.parameters()]
    aim = normal(2, 4, 5, 7, seed=3)
    ours = torch.autograd.grad((attention(x) * aim).sum(), wanted)
    theirs = torch.autograd.grad((formula * aim).sum(), wanted)
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_where_no_cell_is_alike_nothing_is_added():
    attention = block(similarity="relu_cosine")
    for layer, bias in ((attention.query, 1.0), (attention.key, -1.0)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    x = normal(1, 4, 5, 7)
    assert torch.equal(attention(x), x)


def test_a_gate_kept_from_being_negative_can_come_back():
    x = normal(1, 4, 5, 7)
    free, kept = block(g=-0.5), block(g=-0.5, gate="nonnegative")
    assert not torch.equal(free(x), x)
    assert torch.equal(kept(x), x)
    (kept(x) - x).sum().backward()
    (free(x) - x).sum().backward()
    torch.testing.assert_close(kept.gate.grad, free.gate.grad)
    assert kept.gate.grad != 0
    torch.testing.assert_close(block(g=0.5, gate="nonnegative")(x), block(g=0.5)(x))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 3), (31, 32)])
@pytest.mark.parametrize(("similarity", "locality"), KINDS)
def test_a_map_of_any_size_keeps_its_size(shape, similarity, locality):
    attention = block(similarity=similarity, locality=locality, max_tokens=50)
    y = attention(normal(2, 4, *shape))
    assert y.shape == (2, 4, *shape)
    assert y.isfinite().all()


@pytest.mark.parametrize("side", [64, 128, 256])
def test_no_more_tokens_attend_than_allowed_and_softmax_never_makes_their_matrix(side, monkeypatch):
    lengths = []
    plain = F.scaled_dot_product_attention

    def spy(q, k, v, **options):
        lengths.extend((q.shape[-2], k.shape[-2], v.shape[-2]))
        return plain(q, k, v, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    attention, x = block(), normal(1, 4, side, side).requires_grad_()
    with Largest() as largest:
        attention(x).sum().backward()
    assert lengths == [64 * 64] * 3  # 4096 is the default
    assert largest.numbers <= max(4 * side**2, 8 * 4096)


@pytest.mark.parametrize("side", [32, 128, 256])
def test_cosines_make_no_matrix_larger_than_that_of_one_image(side):
    attention, x = block(similarity="relu_cosine", max_tokens=1024), normal(3, 4, side, side).requires_grad_()
    with Largest() as largest:
        attention(x).sum().backward()
    assert largest.numbers == max(1024**2, 3 * 4 * side**2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduction": 0}, "reduction"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"similarity": "cosine"}, '"softmax" or "relu_cosine"'),
        ({"gate": "zero"}, '"free" or "nonnegative"'),
        ({"locality": 0.0}, "locality"),
        ({"locality": math.nan}, "locality"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        SelfAttention2d(4, **options)


def test_a_map_with_other_channels_or_axes_is_refused():
    with pytest.raises(GeometryError, match=r"4 channels got \(1, 5, 2, 2\)"):
        SelfAttention2d(4)(torch.zeros(1, 5, 2, 2))
    with pytest.raises(GeometryError, match=r"\(b c h w\), got \(4, 2, 2\)"):
        SelfAttention2d(4)(torch.zeros(4, 2, 2))


# --- affinity and propagation ---------------------------------------------------------------------


def test_columns_of_an_affinity_sum_to_one():
    for shape in ((2, 3, 5, 7), (1, 8, 40, 31)):
        found = affinity(normal(*shape), max_tokens=100)
        assert found.shape[1] <= 100
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(1), torch.ones(found.shape[0], found.shape[2]))


def test_an_affinity_worked_out_by_hand():
    # the mean is (0, 0); cosines to the first are 1, 1 / sqrt 2, 0 (after -1), and so on
    features = torch.tensor([[1.0, 1.0, -2.0], [0.0, 1.0, -1.0]])
    a, b = (2**-0.5) ** 2, 0.0  # power 2
    alike = torch.tensor([[1.0, a, b], [a, 1.0, b], [b, b, 1.0]])
    expected = alike / alike.sum(0)
    torch.testing.assert_close(affinity(features[None, :, None, :], power=2)[0], expected)


def test_an_affinity_agrees_with_a_double_loop():
    features = normal(1, 3, 5, 7)
    cells = [torch.tensor(c) for c in (features[0].flatten(1).T - features.mean((2, 3))).tolist()]
    alike = [[max(0.0, float(F.cosine_similarity(a, b, dim=0))) ** 4 for b in cells] for a in cells]
    expected = torch.tensor(alike) / torch.tensor(alike).sum(0)
    torch.testing.assert_close(affinity(features)[0], expected, rtol=0, atol=1e-5)


def test_a_scale_and_an_offset_of_the_features_change_no_affinity():
    features = normal(1, 3, 5, 7)
    torch.testing.assert_close(affinity(features), affinity(9 * features + 2), rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_cells_of_an_even_image_are_alike_to_themselves_alone(value):
    found = affinity(torch.full((1, 3, 5, 7), value))
    assert torch.equal(found[0], torch.eye(35))


def test_an_even_map_stays_even():
    maps = torch.full((2, 1, 6, 9), 0.3)
    torch.testing.assert_close(propagate(maps, [normal(2, 3, 6, 9), normal(2, 5, 3, 4)], steps=3), maps)


def test_evidence_spreads_to_cells_that_look_alike_and_nowhere_else():
    features = torch.tensor([1.0, 1.0, -1.0, -1.0]).reshape(1, 1, 1, 4)
    maps = torch.tensor([4.0, 0.0, -7.0, 0.0]).reshape(1, 1, 1, 4)
    expected = torch.tensor([2.0, 2.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    torch.testing.assert_close(propagate(maps, [features]), expected)


def test_affinities_of_stages_are_averaged():
    first = torch.tensor([1.0, 1.0, -1.0, -1.0]).reshape(1, 1, 1, 4)
    second = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(1, 1, 1, 4)
    maps = torch.tensor([4.0, 0.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    expected = torch.tensor([2.0, 1.0, 1.0, 0.0]).reshape(1, 1, 1, 4)
    torch.testing.assert_close(propagate(maps, [first, second]), expected)


def test_steps_are_repeats_and_no_step_only_cuts_what_is_negative():
    maps, stages = normal(2, 3, 6, 9), [normal(2, 4, 6, 9), normal(2, 4, 3, 5)]
    once = propagate(maps, stages)
    torch.testing.assert_close(propagate(maps, stages, steps=2), propagate(once, stages), rtol=0, atol=1e-5)
    assert torch.equal(propagate(maps, stages, steps=0), maps.clamp_min(0))


def test_no_value_leaves_the_range_of_the_maps():
    maps = normal(2, 3, 30, 41)
    spread = propagate(maps, [normal(2, 4, 30, 41), normal(2, 4, 8, 11)], max_tokens=200, steps=2)
    assert spread.shape == maps.shape
    assert spread.min() >= 0
    assert (spread.amax((2, 3)) <= maps.amax((2, 3)) + 1e-6).all()


def test_images_of_a_batch_do_not_see_each_other():
    maps, stages = normal(2, 3, 6, 9), [normal(2, 4, 6, 9)]
    alone = propagate(maps[1:], [stages[0][1:]])
    torch.testing.assert_close(propagate(maps, stages)[1:], alone)


def test_coarse_maps_are_spread_on_the_grid_of_the_finest_stage():
    features = torch.tensor([1.0, 1.0, -1.0, -1.0]).reshape(1, 1, 1, 4)
    maps = torch.tensor([3.0, 1.0]).reshape(1, 1, 1, 2)  # on four cells: 3, 2.5, 1.5, 1
    expected = torch.tensor([2.75, 1.25]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(propagate(maps, [features]), expected)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_propagation_makes_no_matrix_larger_than_that_of_one_image(side):
    stages = [normal(2, 4, side, side), normal(2, 8, side // 2, side // 2)]
    with Largest() as largest:
        propagate(normal(2, 1, side, side), stages, max_tokens=256)
    assert largest.numbers == max(256**2, 2 * side**2)  # a matrix, or the maps


def test_what_propagation_cannot_use_is_refused():
    maps, stage = torch.ones(2, 1, 4, 4), torch.ones(2, 3, 4, 4)
    with pytest.raises(ConfigError, match="one stage or more"):
        propagate(maps, [])
    with pytest.raises(ConfigError, match="steps"):
        propagate(maps, [stage], steps=-1)
    with pytest.raises(ConfigError, match="max_tokens"):
        propagate(maps, [stage], max_tokens=0)
    with pytest.raises(ConfigError, match="power"):
        propagate(maps, [stage], power=0)
    with pytest.raises(GeometryError, match="2 images but features of 1"):
        propagate(maps, [stage[:1]])
    with pytest.raises(GeometryError, match=r"\(b c h w\)"):
        affinity(stage[0])
