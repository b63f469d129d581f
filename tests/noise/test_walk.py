"""The compiled walk: its lists keep every frontier pixel once, and its work is that of the flips."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.stats import ks_2samp

from labelmend.geometry import boundary_bias
from labelmend.noise import walk as module
from labelmend.noise.walk import IN_INNER, IN_OUTER, INSIDE, OUTSIDE, walk


def drawn(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A blob with ragged edges, holes and islands, some of them at the border."""
    rng = np.random.default_rng(seed)
    centre = [n / 2 for n in shape]
    inside = sum((a - c) ** 2 for a, c in zip(np.indices(shape), centre)) < (min(shape) / 3) ** 2
    return inside ^ (rng.random(shape) < 0.1)


def after(mask: np.ndarray, **settings: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """State bytes and lists after a walk, by running the compiled code on arrays of our own."""
    walled = np.pad(np.where(mask, INSIDE, OUTSIDE), 1, constant_values=module.WALL)
    state = walled.ravel()
    strides = [s // walled.itemsize for s in walled.strides]
    neighbours = tuple(o for s in strides for o in (-s, s))
    lists = [np.full(state.size + 1, -1, np.int32) for _ in range(3)]
    places = module._frontier_places(state, neighbours)
    rng = np.random.default_rng(4)
    module._walk(state, neighbours, places, rng, 30, settings["expand"], settings["flip"], *lists)
    return state.reshape(walled.shape), lists


@pytest.mark.parametrize("shape", [(1, 9), (17, 12), (7, 8, 9)])
@pytest.mark.parametrize("expand", [0.0, 0.5, 0.9])
def test_every_frontier_pixel_is_listed_exactly_once(shape: tuple[int, ...], expand: float) -> None:
    state, (inner, outer, _) = after(drawn(shape, 1), expand=expand, flip=0.3)
    image = (slice(1, -1),) * len(shape)
    for side, flag, entries in ((INSIDE, IN_INNER, inner), (OUTSIDE, IN_OUTER, outer)):
        listed = (state & flag > 0) & (state & (INSIDE | OUTSIDE) > 0)
        entries = entries[: int(listed.sum())]
        assert sorted(entries) == sorted(np.flatnonzero(listed))
        mask = state[image] & side > 0
        frontier = np.zeros(shape, bool)
        for axis, shift in itertools.product(range(len(shape)), (-1, 1)):
            there = np.pad(~mask, 1, constant_values=False)
            frontier |= mask & np.roll(there, shift, axis)[image]
        assert not (frontier & ~listed[image]).any()


def published(
    mask: np.ndarray, rng: np.random.Generator, steps: int, expand: float, flip: float
) -> np.ndarray:
    """The process as the paper's code has it: one distance transform a step."""
    noisy = mask.copy()
    for _ in range(steps):
        growing = bool(rng.random() < expand)
        if noisy.all() or not noisy.any():
            return noisy
        frontier = distance_transform_edt(~noisy if growing else noisy) == 1
        noisy[frontier & (rng.random(noisy.shape) < flip)] = growing
    return noisy


@pytest.mark.parametrize(("shape", "steps"), [((40, 40), 40), ((16, 16, 16), 15)])
@pytest.mark.parametrize(("expand", "flip"), [(0.8, 0.05), (0.3, 0.3), (0.5, 1.0)])
def test_many_steps_have_the_published_law(
    shape: tuple[int, ...], steps: int, expand: float, flip: float
) -> None:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(n // 4, -n // 4) for n in shape)] = True
    rng = np.random.default_rng(5)
    n = 300
    ours = [walk(mask, rng, steps=steps, expand=expand, flip=flip) for _ in range(n)]
    theirs = [published(mask, rng, steps, expand, flip) for _ in range(n)]

    def faces(noisy: np.ndarray) -> int:
        return sum(int((np.diff(noisy.astype(int), axis=a) != 0).sum()) for a in range(noisy.ndim))

    def displacement(noisy: np.ndarray) -> float:
        return float(np.nan_to_num(boundary_bias(noisy, mask), nan=99.0))  # nothing is left

    def dice(noisy: np.ndarray) -> float:
        return 2 * (noisy & mask).sum() / (noisy.sum() + mask.sum())

    for measure in (np.sum, faces, dice, displacement):
        a, b = [measure(m) for m in ours], [measure(m) for m in theirs]
        assert ks_2samp(a, b).pvalue > 1e-3


def test_the_work_is_that_of_the_flips() -> None:
    """List entries looked at stay a small multiple of the flips, however long the walk and large the mask."""
    ratios = []
    for size, steps in ((64, 50), (128, 400), (256, 100)):
        mask = np.zeros((size, size), bool)
        mask[size // 4 : -size // 4, size // 4 : -size // 4] = True
        walled = np.pad(np.where(mask, INSIDE, OUTSIDE), 1, constant_values=module.WALL)
        neighbours = (-size - 2, size + 2, -1, 1)
        places = module._frontier_places(walled.ravel(), neighbours)
        lists = [np.empty(walled.size + 1, np.int32) for _ in range(3)]
        rng = np.random.default_rng(0)
        flips, looks = module._walk(walled.ravel(), neighbours, places, rng, steps, 0.7, 0.05, *lists)
        ratios.append(looks / flips)
    assert max(ratios) < 1.6


def test_the_mask_given_stays_as_it_is() -> None:
    mask = drawn((12, 12), 0)
    before = mask.copy()
    walk(mask, np.random.default_rng(0), steps=20, expand=0.5, flip=0.5)
    assert np.array_equal(mask, before)


def test_a_flip_too_rare_for_64_bits_never_happens() -> None:
    mask = drawn((12, 12), 0)
    assert np.array_equal(walk(mask, np.random.default_rng(0), steps=1000, expand=0.5, flip=1e-300), mask)


def test_where_no_cache_can_be_written_the_walk_is_compiled_without_one(tmp_path):
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"  # as if package, HOME and temporary folder were read-only
        "import numpy as np\n"
        "from labelmend.noise.walk import walk\n"
        "mask = np.pad(np.ones((6, 6), bool), 5)\n"
        "assert walk(mask, np.random.default_rng(0), steps=3, expand=1.0, flip=1.0).sum() > 36\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
