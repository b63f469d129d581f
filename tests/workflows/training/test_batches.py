"""Cases as tensors: shares of a pixel, crops, order, and image and labels that change together."""

import collections
import dataclasses
import math

import numpy as np
import pytest
import torch

from labelmend.io import Image
from labelmend.types import Grid, LabelMap
from labelmend.workflows.training.batches import (
    BatchSource,
    CaseDataset,
    Sample,
    augmented,
    batches,
    crop,
    epoch_order,
    exclusive_target,
    to_sample,
)
from labelmend.workflows.training.config import AugmentConfig

STILL = AugmentConfig(rotate_deg=0, scale=0, shift=0, intensity=0)
CPU = torch.device("cpu")


def image_and_labels(array: list[list[int]], ignore: int | None = None) -> tuple[Image, LabelMap]:
    labels = np.array(array, np.uint8)
    grid = Grid(labels.shape, (1.0, 2.0))
    pixels = np.arange(labels.size, dtype=np.float32).reshape(1, *labels.shape)
    return Image(pixels, grid), LabelMap(labels, grid, ("a", "b"), ignore=ignore)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- a case on the training grid


def test_a_coarser_grid_keeps_the_share_of_each_class():
    sample = to_sample("x", *image_and_labels([[1, 1, 2, 0], [1, 0, 2, 0]]), resize=(1, 2))
    assert sample.masks[:, 0, :2].tolist() == [[0.75, 0.0], [0.0, 0.5]]


def test_a_coarser_grid_has_a_wider_spacing():
    sample = to_sample("x", *image_and_labels([[1, 1, 2, 0], [1, 0, 2, 0]]), resize=(1, 2))
    assert sample.spacing_mm == (2.0, 4.0)


def test_a_pixel_that_an_ignored_one_reaches_into_is_not_valid():
    sample = to_sample("x", *image_and_labels([[1, 9, 2, 0], [1, 0, 2, 0]], ignore=9), resize=(1, 2))
    assert sample.valid[0, :2].tolist() == [False, True]


def test_the_padding_is_not_valid():
    sample = to_sample("x", *image_and_labels([[1, 1, 2, 0], [1, 0, 2, 0]]), resize=None)
    assert sample.valid.shape == (16, 16)
    assert sample.valid.sum() == 8
    assert sample.valid[:2, :4].all()


def test_the_image_is_normalised_before_it_is_padded():
    sample = to_sample("x", *image_and_labels([[1, 1, 2, 0], [1, 0, 2, 0]]), resize=None)
    assert sample.image[0, :2, :4].mean() == pytest.approx(0, abs=1e-6)
    assert sample.image[0, 2:].abs().sum() == 0


# ---- crops


def sample_of(shape: tuple[int, ...], voxel: tuple[int, ...] | None) -> Sample:
    """One class that holds one voxel; the image counts voxels."""
    masks = torch.zeros(1, *shape)
    if voxel is not None:
        masks[(0, *voxel)] = 1
    count = torch.arange(math.prod(shape), dtype=torch.float32).reshape(1, *shape)
    return Sample("x", count, masks, torch.ones(shape, dtype=torch.bool), (1.0,) * len(shape))


@pytest.mark.parametrize(("shape", "size"), [((20, 30), (8, 12)), ((10, 20, 30), (4, 8, 30))])
def test_a_crop_has_the_size_asked_for(shape, size, rng):
    cropped = crop(sample_of(shape, None), size, rng)
    assert (cropped.image.shape[1:], cropped.masks.shape[1:], cropped.valid.shape) == (size, size, size)


def test_a_case_smaller_than_the_crop_is_filled_up_with_pixels_that_are_not_valid(rng):
    cropped = crop(sample_of((4, 20), None), (8, 8), rng)
    assert cropped.valid.shape == (8, 8)
    assert cropped.valid[:4].all()
    assert not cropped.valid[4:].any()


def test_a_crop_takes_image_and_labels_from_the_same_place(rng):
    sample = sample_of((20, 30), (7, 11))
    for _ in range(20):
        cropped = crop(sample, (8, 8), rng)
        found = cropped.image[0][cropped.masks[0] > 0]
        assert found.tolist() in ([], [7 * 30 + 11])


def test_two_crops_in_three_hold_foreground_and_the_rest_lie_anywhere(rng):
    sample = sample_of((64, 64), (40, 9))
    share = np.mean([float(crop(sample, (8, 8), rng).masks.sum()) for _ in range(600)])
    # 2/3 are centred on the voxel; of the others about (8 * 8) / (57 * 57) hold it: together 0.673 +- 0.019
    assert 0.61 < share < 0.74


def test_a_foreground_crop_has_its_voxel_in_the_middle(rng):
    crops = [crop(sample_of((64, 64), (40, 30)), (8, 8), rng) for _ in range(60)]
    places = [tuple((c.masks[0] > 0).nonzero()[0].tolist()) for c in crops if c.masks.sum()]
    assert collections.Counter(places).most_common(1)[0][0] == (4, 4)
    assert places.count((4, 4)) >= len(places) - 3


def test_a_crop_at_the_border_stays_inside(rng):
    sample = sample_of((64, 64), (0, 63))
    cropped = next(c for c in (crop(sample, (8, 8), rng) for _ in range(50)) if c.masks.sum())
    assert cropped.valid.all()
    assert (cropped.masks[0] > 0).nonzero().tolist() == [[0, 7]]


def test_a_case_without_foreground_is_cropped_anywhere(rng):
    starts = {float(crop(sample_of((16, 16), None), (8, 8), rng).image[0, 0, 0]) for _ in range(30)}
    assert len(starts) > 5


def test_the_same_seed_gives_the_same_crop():
    sample = sample_of((40, 40), (9, 9))
    one, two = (crop(sample, (8, 8), np.random.default_rng(3)).image for _ in range(2))
    assert torch.equal(one, two)


# ---- order


def flat(order: list[list[str]]) -> list[str]:
    return [case for batch in order for case in batch]


def test_an_epoch_holds_every_case():
    order = epoch_order("abcdefg", np.random.default_rng(0), 2, 1, None)
    assert [len(batch) for batch in order] == [2, 2, 2, 2]
    assert set().union(*order) == set("abcdefg")


def test_no_case_comes_twice_before_every_case_came_once():
    order = flat(epoch_order("abcde", np.random.default_rng(1), 2, 1, 5))
    assert sorted(order[:5]) == sorted(order[5:]) == list("abcde")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_process_gets_the_same_number_of_full_batches(processes):
    order = epoch_order("abcde", np.random.default_rng(0), 2, processes, None)
    assert len(order) % processes == 0
    assert all(len(batch) == 2 for batch in order)
    assert set().union(*order) == set("abcde")


def test_the_number_of_steps_may_be_set():
    assert len(epoch_order("abc", np.random.default_rng(0), 2, 2, 4)) == 8


def test_fewer_cases_than_a_batch_are_repeated():
    assert sorted(epoch_order("ab", np.random.default_rng(0), 4, 1, None)[0]) == list("aabb")


def test_a_case_that_is_listed_twice_comes_twice():
    order = flat(epoch_order(("a", "b", "b", "c"), np.random.default_rng(0), 4, 1, None))
    assert sorted(order) == ["a", "b", "b", "c"]


def test_the_order_depends_on_the_seed_alone():
    first = epoch_order("abcdef", np.random.default_rng(5), 2, 1, None)
    assert first == epoch_order("abcdef", np.random.default_rng(5), 2, 1, None)
    assert first != epoch_order("abcdef", np.random.default_rng(6), 2, 1, None)


# ---- exclusive targets


def test_the_largest_share_wins_a_pixel_and_background_has_what_is_left():
    masks = torch.tensor([[[[0.6, 0.3, 0.2, 0.0]], [[0.4, 0.5, 0.2, 0.1]]]])
    # background shares: 0, 0.2, 0.6, 0.9
    assert exclusive_target(masks).tolist() == [[[1, 2, 0, 0]]]


def test_whole_masks_come_back_as_integers_in_3d():
    labels = torch.arange(8).reshape(1, 2, 2, 2) % 3
    masks = torch.stack([labels == 1, labels == 2], dim=1).float()
    assert torch.equal(exclusive_target(masks), labels)


# ---- augmentation


def drawn(shape: tuple[int, ...], n: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A smooth random picture whose positive part is the mask; all valid."""
    coarse = torch.rand(n, 1, *(max(2, s // 8) for s in shape), generator=generator(4)) - 0.5
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    image = torch.nn.functional.interpolate(coarse, shape, mode=mode)
    return image, (image > 0).float(), torch.ones(n, *shape, dtype=torch.bool)


def test_no_change_leaves_everything_as_it_is():
    image, masks, valid = drawn((16, 24), n=2)
    out = augmented(image, masks, valid, STILL, [(1, 1)] * 2, generator())
    assert torch.allclose(out[0], image, atol=1e-5)
    assert torch.allclose(out[1], masks, atol=1e-4)
    assert out[2].all()


@pytest.mark.parametrize("shape", [(48, 64), (16, 32, 48)])
def test_image_and_masks_move_together(shape):
    image, masks, valid = drawn(shape, n=3)
    config = AugmentConfig(rotate_deg=30, scale=0.2, shift=0.1, intensity=0, flip_axes=(0, 1))
    moved, moved_masks, seen = augmented(image, masks, valid, config, [(1.0,) * len(shape)] * 3, generator())
    assert not torch.allclose(moved, image, atol=0.05)
    agree = ((moved > 0) == (moved_masks > 0.5))[:, 0][seen].float().mean()
    assert agree > 0.97


def test_intensity_changes_the_image_only():
    image, masks, valid = drawn((16, 16))
    config = dataclasses.replace(STILL, intensity=0.3)
    brighter, same, seen = augmented(image, masks, valid, config, [(1, 1)], generator())
    assert torch.allclose(same, masks, atol=1e-4)
    assert seen.all()
    # a gain and an offset, the same for all pixels
    gain, offset = np.polyfit(image.flatten(), brighter.flatten(), 1)
    assert torch.allclose(brighter, image * gain + offset, atol=1e-4)
    assert 0.7 <= gain <= 1.3
    assert 0 < abs(offset) <= 0.3


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 1.0), (0.5, 2.0)])
def test_a_rotation_is_a_rotation_in_mm(spacing):
    """A disc in mm around the centre stays where it is, whatever the spacing (drawn: 46 degrees)."""
    config = dataclasses.replace(STILL, rotate_deg=90)
    shape = tuple(round(mm / s) for mm, s in zip((60, 84), spacing))
    axes = [(torch.arange(n) + 0.5 - n / 2) * s for n, s in zip(shape, spacing)]
    far = torch.hypot(*torch.meshgrid(*axes, indexing="ij"))
    disc = (20 - far).sigmoid()[None, None]
    turned = augmented(disc, disc, torch.ones(1, *shape, dtype=torch.bool), config, [spacing], generator(1))[
        1
    ]
    inside = far[None, None] < 28
    assert (turned - disc)[inside].abs().max() < 0.2


def test_a_bar_turns_by_its_angle_in_mm_on_an_anisotropic_grid():
    shape, spacing = (32, 96), (2.0, 1.0)
    y, x = torch.meshgrid(
        *[(torch.arange(n) + 0.5 - n / 2) * s for n, s in zip(shape, spacing)], indexing="ij"
    )
    bar = ((y.abs() < 4) & (x.abs() < 30)).float()[None, None]
    config = dataclasses.replace(STILL, rotate_deg=40)
    angle = math.radians(40) * float(torch.rand(1, generator=generator(1)) * 2 - 1)
    turned = augmented(bar, bar, torch.ones(1, *shape, dtype=torch.bool), config, [spacing], generator(1))[1][
        0, 0
    ]
    # principal axis of the moved bar, from its second moments in mm
    found = 0.5 * torch.atan2(2 * (turned * x * y).sum(), (turned * (x**2 - y**2)).sum())
    assert abs(angle) > math.radians(5)
    assert abs(float(found)) == pytest.approx(abs(angle), abs=math.radians(1))


def test_cases_of_one_batch_turn_each_by_its_own_spacing():
    image, masks, valid = drawn((24, 24), n=1)
    config = dataclasses.replace(STILL, rotate_deg=60)
    pair = (image.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1), valid.repeat(2, 1, 1))
    together = augmented(*pair, config, [(1, 1), (3, 1)], generator(2))[0]
    alike = augmented(*pair, config, [(1, 1), (1, 1)], generator(2))[0]
    other = augmented(*pair, config, [(3, 1), (3, 1)], generator(2))[0]
    assert torch.equal(together[0], alike[0])
    assert torch.equal(together[1], other[1])
    assert not torch.equal(together[1], alike[1])


def test_pixels_that_come_from_outside_are_not_valid_and_hold_no_class():
    shape = (20, 20)
    config = dataclasses.replace(STILL, shift=0.25)
    ones = torch.ones(1, 1, *shape)
    _, masks, valid = augmented(ones, ones, ones[:, 0] > 0, config, [(1, 1)], generator())
    lost = ~valid[0]
    assert 0 < lost.sum() < lost.numel()
    assert (masks[0, 0][~lost] > 0.999).all()
    # whole rows and columns come from outside, nothing else
    assert torch.equal(lost, lost.all(1, keepdim=True) | lost.all(0, keepdim=True))


def test_an_ignored_pixel_stays_ignored_where_it_goes():
    image, masks, valid = drawn((32, 32))
    valid[:, :, 16:] = False
    config = AugmentConfig(rotate_deg=0, scale=0, shift=0, intensity=0, flip_axes=(1,))
    seeds = range(8)
    sides = {
        augmented(image, masks, valid, config, [(1, 1)], generator(s))[2][0, :, :15].all().item()
        for s in seeds
    }
    assert sides == {True, False}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirror_reverses_its_axis_or_nothing(axis):
    image, masks, valid = drawn((16, 16, 32))
    config = dataclasses.replace(STILL, flip_axes=(axis,))
    outcomes = set()
    for seed in range(8):
        moved = augmented(image, masks, valid, config, [(1, 1, 1)], generator(seed))[0]
        mirrored = torch.allclose(moved, image.flip(axis + 2), atol=1e-4)
        assert mirrored or torch.allclose(moved, image, atol=1e-4)
        outcomes.add(mirrored)
    assert outcomes == {True, False}


def test_rotations_lie_in_the_plane_of_the_last_two_axes():
    slices = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 16, 16)
    config = dataclasses.replace(STILL, rotate_deg=90)
    turned = augmented(
        slices, slices, torch.ones(1, 6, 16, 16, dtype=torch.bool), config, [(1, 1, 1)], generator()
    )
    assert torch.allclose(turned[0], slices, atol=1e-4)


def test_the_same_seed_gives_the_same_change():
    image, masks, valid = drawn((16, 16), n=2)
    spacing = [(1, 1)] * 2
    one, two, other = (
        augmented(image, masks, valid, AugmentConfig(), spacing, generator(s))[0] for s in (7, 7, 8)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_cases_of_a_batch_change_each_in_its_own_way():
    image, masks, valid = drawn((16, 16))
    moved = augmented(image.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1), valid.repeat(2, 1, 1),
                      AugmentConfig(), [(1, 1)] * 2, generator())[0]  # fmt: skip
    assert not torch.allclose(moved[0], moved[1])


def test_inputs_are_never_changed():
    image, masks, valid = drawn((16, 16))
    before = (image.clone(), masks.clone(), valid.clone())
    augmented(image, masks, valid, AugmentConfig(), [(1, 1)], generator())
    assert all(torch.equal(a, b) for a, b in zip(before, (image, masks, valid)))


# ---- batches


class Reader:
    """Four cases of 16 x 16 with two overlapping or exclusive classes; counts how often a case is read."""

    def __init__(self, overlapping: bool) -> None:
        self.overlapping, self.read = overlapping, collections.Counter()

    def image(self, case: str) -> Image:
        self.read[case] += 1
        pixels = np.random.default_rng(ord(case)).normal(size=(1, 16, 16)).astype(np.float32)
        return Image(pixels, Grid((16, 16), (1.0, 1.0)))

    def labels(self, case: str) -> LabelMap:
        grid = Grid((16, 16), (1.0, 1.0))
        if self.overlapping:
            masks = np.zeros((2, 16, 16), bool)
            masks[0, :8], masks[1, :, :8] = True, True
            return LabelMap(masks, grid, ("a", "b"))
        array = np.zeros((16, 16), np.uint8)
        array[:4], array[4:6] = 1, 2
        return LabelMap(array, grid, ("a", "b"))


def run_batches(reader: Reader, *, patch=None, augment=None, cache_gib=1.0, seeds=(1, 2)):
    dataset = CaseDataset(BatchSource(tuple("abcd"), reader.image, reader.labels), None, patch, cache_gib)
    order = [["a", "b"], ["c", "a"]]
    return list(
        batches(
            dataset, order, seeds=seeds, epoch=3, overlapping=reader.overlapping, augment=augment, device=CPU
        )
    )


def test_a_batch_of_overlapping_classes_has_shares_and_knows_its_cases():
    first, second = run_batches(Reader(overlapping=True))
    assert (first.image.shape, first.target.shape, first.valid.shape) == (
        (2, 1, 16, 16),
        (2, 2, 16, 16),
        (2, 16, 16),
    )
    assert first.target[0, :, 0, 0].tolist() == [1.0, 1.0]
    assert (first.cases, second.cases, first.epoch) == (("a", "b"), ("c", "a"), 3)


def test_a_batch_of_exclusive_classes_has_integers():
    first, _ = run_batches(Reader(overlapping=False))
    assert first.target.shape == (2, 16, 16)
    assert first.target[0, :, 0].tolist() == [1] * 4 + [2] * 2 + [0] * 10


def test_a_case_is_read_once_while_memory_lasts():
    reader = Reader(overlapping=True)
    run_batches(reader)
    assert reader.read == {"a": 1, "b": 1, "c": 1}


def test_without_memory_a_case_is_read_every_time():
    reader = Reader(overlapping=True)
    run_batches(reader, cache_gib=0.0)
    assert reader.read == {"a": 2, "b": 1, "c": 1}


def test_batches_depend_on_their_seeds_alone():
    one, two, other = (
        run_batches(Reader(overlapping=True), patch=(8, 8), augment=AugmentConfig(), seeds=seeds)
        for seeds in ((1, 2), (1, 2), (1, 3))
    )
    assert all(torch.equal(a.image, b.image) and torch.equal(a.target, b.target) for a, b in zip(one, two))
    assert torch.equal(one[0].image, other[0].image)
    assert not torch.equal(one[1].image, other[1].image)


def test_patches_of_one_batch_are_cut_in_different_places():
    reader = Reader(overlapping=True)
    dataset = CaseDataset(BatchSource(("a",), reader.image, reader.labels), None, (4, 4), 1.0)
    batch = next(
        batches(dataset, [["a"] * 4], seeds=[0], epoch=0, overlapping=True, augment=None, device=CPU)
    )
    assert len({tuple(image.flatten().tolist()) for image in batch.image}) > 1


def test_a_batch_knows_the_spacing_of_each_case_on_its_grid():
    first, _ = run_batches(Reader(overlapping=True))
    assert first.spacing_mm == ((1.0, 1.0), (1.0, 1.0))


def test_where_classes_share_a_pixel_alike_the_first_wins_as_with_argmax():
    masks = (torch.rand(2, 3, 9, 10, 11, generator=torch.Generator().manual_seed(0)) * 3).round() / 9
    shares = torch.cat([1 - masks.sum(1, keepdim=True), masks], dim=1)
    assert (shares.topk(2, dim=1).values.diff(dim=1) == 0).any()  # there are ties
    assert torch.equal(exclusive_target(masks), shares.argmax(1))


def test_a_patch_holds_no_more_memory_than_its_own():
    masks = torch.zeros(1, 40, 40)
    sample = Sample("x", torch.zeros(1, 40, 40), masks, torch.ones(40, 40, dtype=torch.bool), (1.0, 1.0))
    cut = crop(sample, (8, 8), np.random.default_rng(0))
    assert cut.image.untyped_storage().nbytes() == 8 * 8 * 4
