"""One generator a case; pixels that several classes claim; odds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmend.errors import LabelValueError
from labelmend.geometry import signed_distance
from labelmend.noise import MissingNoise, MorphologyNoise, case_generator
from labelmend.noise.base import merge, shift_odds
from labelmend.types import Grid, LabelMap


def first(*names: str, seed: int = 0) -> int:
    return int(case_generator(seed, *names).integers(2**62))


def test_the_same_seed_and_case_give_the_same_numbers() -> None:
    assert first("a") == first("a")


def test_seed_and_case_both_matter() -> None:
    assert len({first("a"), first("b"), first("a", seed=1), first(), first("a", "b"), first("ab")}) == 6


def test_the_numbers_are_pinned_so_that_old_manifests_can_be_drawn_again() -> None:
    assert first("JPCLN001", "lung", seed=7) == 809416196587752800


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.sampled_from([(1, 7), (6, 6), (3, 4, 5)]), st.sampled_from([1.0, 2.6]), st.integers(0, 2**32 - 1))
def test_a_contested_pixel_goes_to_the_nearest_clean_region(
    shape: tuple[int, ...], thick: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spacing = (thick, *(1.0,) * (len(shape) - 1))
    labels = LabelMap(rng.choice(5, shape, p=rng.dirichlet(np.ones(5))), Grid(shape, spacing), tuple("abcd"))
    claims = rng.random((4, *shape)) < 0.5
    merged = merge(labels, claims).array
    distance = np.stack([signed_distance(mask, spacing) for mask in labels.masks()])
    for pixel in np.ndindex(*shape):
        claimants = [j for j in range(4) if claims[(j, *pixel)]]
        nearest = min((distance[(j, *pixel)] for j in claimants), default=None)
        if nearest is None:
            assert merged[pixel] == 0
        else:
            # Of regions equally near, one may be measured to another pixel of the same distance in mm.
            assert merged[pixel] - 1 in claimants
            assert distance[(merged[pixel] - 1, *pixel)] <= nearest + (0.5 * thick if thick != 1 else 0)


def test_classes_without_a_clean_region_keep_what_they_claim() -> None:
    # Both claim the middle, and are infinitely far from it: the first of them has it, not background.
    labels = LabelMap(np.array([[1, 0, 0]]), Grid((1, 3), (1.0, 1.0)), ("a", "b", "c"))
    claims = np.array([[[1, 0, 0]], [[0, 1, 0]], [[0, 1, 1]]], bool)
    assert merge(labels, claims).array.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(("probability", "bias"), [(0.5, 1e9), (0.5, -1e9), (5e-324, 1e9), (5e-324, -1e9)])
def test_a_huge_bias_makes_sure_and_does_not_overflow(probability: float, bias: float) -> None:
    assert shift_odds(probability, bias) == pytest.approx(1.0 if bias > 0 else 0.0, abs=1e-9)


def all_at_once(labels: LabelMap, noisy: np.ndarray) -> np.ndarray:
    """Merged labels from all masks on the whole grid, the nearest clean region first."""
    contested = noisy.sum(axis=0) > 1
    nearest_mm, winner = np.full(contested.shape, np.inf), np.full(contested.shape, -1)
    for j, clean in enumerate(labels.masks()):
        claims = noisy[j] & contested
        if claims.any():
            distance_mm = signed_distance(clean, labels.grid.spacing_mm)
            nearer = claims & ((distance_mm < nearest_mm) | (winner < 0))
            winner[nearer], nearest_mm[nearer] = j, distance_mm[nearer]
    order = np.arange(len(noisy)).reshape(-1, *[1] * contested.ndim)
    return labels.with_masks(np.where(contested, winner == order, noisy)).array


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.5, 2.0, 1.0)])
def test_masks_merged_one_after_the_other_are_those_merged_all_at_once(seed, spacing_mm):
    rng = np.random.default_rng(seed)
    shape = (25, 30, 12)[: len(spacing_mm)]
    clean, noisy = np.zeros(shape, np.uint8), np.zeros((5, *shape), bool)
    for j in range(5):  # the fifth is nowhere in the clean labels
        start, size = [int(rng.integers(0, n - 4)) for n in shape], int(rng.integers(2, 9))
        clean[tuple(slice(s, s + size) for s in start)] = (j + 1) % 5
        noisy[j][tuple(slice(max(s - 3, 0), s + size + 2) for s in start)] = True
    clean[rng.random(shape) < 0.02] = 9
    labels = LabelMap(clean, Grid(shape, spacing_mm), tuple("abcde"), ignore=9)
    assert (noisy.sum(axis=0) > 1).any()
    np.testing.assert_array_equal(merge(labels, iter(noisy)).array, all_at_once(labels, noisy))


def test_a_noise_is_called_on_a_mask_with_a_seed_or_a_generator():
    mask = np.zeros((24, 24), bool)
    mask[6:18, 6:18] = True
    noise = MorphologyNoise(low_mm=4.0, high_mm=4.0)
    of_seed = noise(mask, spacing_mm=2.0, rng=5)
    assert (of_seed.dtype, of_seed.shape) == (mask.dtype, mask.shape)
    np.testing.assert_array_equal(noise(mask, spacing_mm=2.0, rng=np.random.default_rng(5)), of_seed)
    assert not np.array_equal(of_seed, mask)
    assert mask.sum() == 144


def test_the_spacing_says_how_many_pixels_a_millimetre_is():
    mask = np.zeros((24, 24), bool)
    mask[6:18, 6:18] = True
    noise = MorphologyNoise(low_mm=4.0, high_mm=4.0)
    changed = [np.count_nonzero(noise(mask, spacing_mm=spacing, rng=5) ^ mask) for spacing in (1.0, 2.0)]
    assert changed[0] > changed[1] > 0


def test_a_noise_called_on_integers_takes_their_values_for_classes():
    labels = np.zeros((24, 24), np.int16)
    labels[4:10, 4:10], labels[14:20, 14:20] = 2, 700
    noisy = MissingNoise(probability=1.0)(labels, rng=0)
    assert (noisy.dtype, noisy.any(), labels.max()) == (np.int16, False, 700)
    assert not MissingNoise(probability=1.0)(labels * 0).any()
    with pytest.raises(LabelValueError, match="integers or booleans"):
        MissingNoise(probability=1.0)(labels * 0.5)
