import pytest
import torch
import torch.nn.functional as F

from drawn_tensors import normal
from labelmend.errors import ConfigError, GeometryError
from labelmend.workflows.image_tags.attention import (
    affinity,
    bounded_grid,
    propagate,
    resized,
)
from largest_tensor import Largest

KINDS = [(s, sigma) for s in ("softmax", "relu_cosine") for sigma in (None, 2.0)]


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
