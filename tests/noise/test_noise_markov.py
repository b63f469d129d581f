"""The law of Markov noise: one step by hand, many steps by brute force, and the published masks."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt
from scipy.stats import chisquare

from drawing import box, disc
from labelmend.errors import ConfigError
from labelmend.noise import PRESETS, MarkovNoise, case_generator, markov_noise
from labelmend.types import Grid, LabelMap

Law = dict[bytes, float]


def neighbours(mask: np.ndarray, place: tuple[int, ...]) -> list[bool]:
    found = []
    for axis, offset in itertools.product(range(mask.ndim), (-1, 1)):
        other = list(place)
        other[axis] += offset
        if 0 <= other[axis] < mask.shape[axis]:
            found.append(bool(mask[tuple(other)]))
    return found


def slow_frontier(mask: np.ndarray, growing: bool) -> list[tuple[int, ...]]:
    places = [tuple(map(int, p)) for p in np.argwhere(mask != growing)]
    return [p for p in places if growing in neighbours(mask, p)]


def one_step(mask: np.ndarray, expand: float, flip: float) -> Law:
    law: Law = Counter()  # type: ignore[assignment]
    for growing, p_growing in ((True, expand), (False, 1 - expand)):
        places = slow_frontier(mask, growing)
        for flips in itertools.product((True, False), repeat=len(places)):
            after = mask.copy()
            for place, flipped in zip(places, flips):
                after[place] ^= flipped
            law[after.tobytes()] += p_growing * np.prod([flip if f else 1 - flip for f in flips])
    return law


def exact_law(mask: np.ndarray, steps: int, expand: float, flip: float) -> Law:
    law: Law = {mask.tobytes(): 1.0}
    for _ in range(steps):
        after: Law = Counter()  # type: ignore[assignment]
        for state, p in law.items():
            step = one_step(np.frombuffer(state, bool).reshape(mask.shape), expand, flip)
            for result, q in step.items():
                after[result] += p * q
        law = after
    return law


def test_the_brute_force_law_of_one_step_is_that_worked_out_by_hand() -> None:
    e, f = 0.7, 0.3
    by_hand = {
        (0, 1, 1, 0): e * (1 - f) ** 2 + (1 - e) * (1 - f) ** 2,
        (1, 1, 1, 0): e * f * (1 - f),
        (0, 1, 1, 1): e * f * (1 - f),
        (1, 1, 1, 1): e * f**2,
        (0, 0, 1, 0): (1 - e) * f * (1 - f),
        (0, 1, 0, 0): (1 - e) * f * (1 - f),
        (0, 0, 0, 0): (1 - e) * f**2,
    }
    law = exact_law(np.array([[0, 1, 1, 0]], bool), 1, e, f)
    assert law == pytest.approx({np.array(k, bool).tobytes(): p for k, p in by_hand.items()})


CORNER = np.zeros((2, 2, 2), bool)
CORNER[0, 0, 0] = True


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("mask", [np.array([[0, 1, 1, 0]], bool), np.array([1, 0, 1], bool), CORNER])
def test_drawn_masks_follow_the_law(mask: np.ndarray, steps: int, rng: np.random.Generator) -> None:
    n, expand, flip = 4000, 0.6, 0.4
    law = exact_law(mask, steps, expand, flip)
    drawn = Counter(
        markov_noise(mask, rng, steps=steps, expand=expand, flip=flip).tobytes() for _ in range(n)
    )
    assert set(drawn) <= set(law)
    likely = [s for s, p in law.items() if n * p >= 5]
    counts = [drawn[s] for s in likely] + [n - sum(drawn[s] for s in likely)]
    expected = [n * law[s] for s in likely] + [n - sum(n * law[s] for s in likely)]
    if expected[-1] < 1e-6:
        counts, expected = counts[:-1], expected[:-1]
    assert chisquare(counts, expected).pvalue > 1e-3


def shapes() -> dict[str, np.ndarray]:
    blobs = disc((40, 50), (12, 10), 30**0.5) | disc((40, 50), (30, 41), 4)
    border = box((40, 50), (0, 40), (0, 3))
    volume = box((9, 14, 11), (3, 6), (4, 9), (5, 7))
    line = np.arange(60) == 31
    return {"blobs": blobs, "border": border, "hole": ~blobs, "line": line, "volume": volume}


@pytest.mark.parametrize("name", list(shapes()))
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_certain_expansion_is_repeated_dilation_by_a_cross(
    name: str, steps: int, rng: np.random.Generator
) -> None:
    mask = shapes()[name]
    grown = markov_noise(mask, rng, steps=steps, expand=1, flip=1)
    assert np.array_equal(grown, binary_dilation(mask, iterations=steps))
    shrunk = markov_noise(mask, rng, steps=steps, expand=0, flip=1)
    assert np.array_equal(shrunk, binary_erosion(mask, iterations=steps, border_value=1))


@pytest.mark.parametrize("name", list(shapes()))
def test_expansion_never_removes_and_shrinkage_never_adds(name: str, rng: np.random.Generator) -> None:
    mask = shapes()[name]
    grown = markov_noise(mask, rng, steps=30, expand=1, flip=0.2)
    shrunk = markov_noise(mask, rng, steps=30, expand=0, flip=0.2)
    assert np.array_equal(grown & mask, mask)
    assert np.array_equal(shrunk & mask, shrunk)
    assert grown.sum() > mask.sum() > shrunk.sum()


@pytest.mark.parametrize("setting", [{"flip": 0.0, "steps": 50}, {"flip": 0.5, "steps": 0}])
@pytest.mark.parametrize("name", list(shapes()))
def test_without_flips_or_steps_nothing_changes(
    name: str, setting: dict[str, float], rng: np.random.Generator
) -> None:
    mask = shapes()[name]
    assert np.array_equal(markov_noise(mask, rng, expand=0.5, **setting), mask)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [False, True])
def test_an_empty_and_a_full_mask_have_no_boundary_to_walk(value: bool, rng: np.random.Generator) -> None:
    mask = np.full((6, 7), value)
    assert np.array_equal(markov_noise(mask, rng, steps=50, expand=0.5, flip=1), mask)


def test_the_mask_given_is_left_alone(rng: np.random.Generator) -> None:
    mask = shapes()["blobs"]
    before = mask.copy()
    markov_noise(mask, rng, steps=10, expand=0.8, flip=0.5, speckle=0.3, smooth=True)
    assert np.array_equal(mask, before)


def test_speckle_flips_every_pixel_alike(rng: np.random.Generator) -> None:
    mask = np.zeros((200, 200), bool)
    mask[:, :100] = True
    flipped = markov_noise(mask, rng, steps=0, expand=0.5, flip=0, speckle=0.2) != mask
    error = (0.2 * 0.8 / 20000) ** 0.5
    assert abs(flipped[mask].mean() - 0.2) < 4 * error
    assert abs(flipped[~mask].mean() - 0.2) < 4 * error


def test_a_front_drifts_by_the_flip_probability_at_first_and_faster_later(rng: np.random.Generator) -> None:
    front = np.zeros((4000, 40), bool)
    front[:, :10] = True
    first = markov_noise(front, rng, steps=1, expand=1, flip=0.1).sum() / 4000 - 10
    assert abs(first - 0.1) < 4 * (0.1 * 0.9 / 4000) ** 0.5
    later = markov_noise(front, rng, steps=60, expand=1, flip=0.1).sum() / 4000 - 10
    assert 1.2 * 60 * 0.1 < later < 3 * 60 * 0.1


def test_smoothing_in_2d_is_a_mirrored_gaussian_of_five_by_five_pixels(rng: np.random.Generator) -> None:
    mask = rng.random((9, 12)) < 0.5
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 8)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    padded = np.pad(
        mask.astype(float), 2, mode="reflect"
    )  # d c b | a b c d: the border pixel is not repeated
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    by_hand = (windows * kernel).sum(axis=(2, 3)) > 0.5
    assert np.array_equal(markov_noise(mask, rng, steps=0, expand=0, flip=0, smooth=True), by_hand)


def test_smoothing_in_3d_keeps_a_large_box_and_removes_a_single_voxel(rng: np.random.Generator) -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[:, :, :6] = True
    dusty = mask.copy()
    dusty[6, 6, 10] = True
    assert np.array_equal(markov_noise(dusty, rng, steps=0, expand=0, flip=0, smooth=True), mask)


def test_smoothing_leaves_seven_of_ten_thousand_speckled_pixels_wrong(rng: np.random.Generator) -> None:
    mask = np.ones((800, 800), bool)
    left = markov_noise(mask, rng, steps=0, expand=0, flip=0, speckle=0.2, smooth=True)
    assert abs((~left).mean() - 0.00068) < 0.00015


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": -1}, "steps must be a whole number from 0 to 1,000,000, got -1"),
        ({"steps": 10**6 + 1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"expand": 1.01}, "expand is a probability and must lie in \\[0, 1\\], got 1.01"),
        ({"flip": -0.1}, "flip"),
        ({"speckle": float("nan")}, "speckle"),
    ],
)
def test_parameters_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    good = {"steps": 1, "expand": 0.5, "flip": 0.5, "speckle": 0.0}
    with pytest.raises(ConfigError, match=message):
        markov_noise(np.ones((2, 2), bool), np.random.default_rng(0), **{**good, **setting})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        MarkovNoise(**setting)  # type: ignore[arg-type]


def test_smoothing_a_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="2-D and 3-D"):
        markov_noise(np.ones(5, bool), np.random.default_rng(0), steps=1, expand=1, flip=1, smooth=True)


def exclusive(ignore: int | None = None) -> LabelMap:
    array = np.zeros((20, 30), np.uint16)
    array[5:15, 5:14] = 3
    array[5:15, 16:25] = 7
    array[0:4, 12:20] = 250
    return LabelMap(array, Grid(array.shape, (1.0, 2.0)), ("a", "b"), (3, 7), ignore)


def overlapping() -> LabelMap:
    masks = np.zeros((2, 6, 20, 20), bool)
    masks[0, 2:4, 5:12, 5:12] = True
    masks[1, 2:5, 8:16, 8:16] = True
    ignored = np.zeros((6, 20, 20), bool)
    ignored[:, :, 10:13] = True
    return LabelMap(masks, Grid(masks.shape[1:], (3.0, 1.0, 1.0)), ("x", "y"), ignored_mask=ignored)


HEAVY = MarkovNoise(steps=12, expand=0.7, flip=0.4, speckle=0.1)


def test_the_same_parameters_give_the_same_labels_and_another_seed_gives_others() -> None:
    labels = overlapping()
    params = HEAVY.draw(np.random.default_rng(0), labels)
    other = HEAVY.draw(np.random.default_rng(1), labels)
    assert params == HEAVY.draw(np.random.default_rng(0), labels)
    once, twice = HEAVY.apply(labels, params), HEAVY.apply(labels, params)
    assert np.array_equal(once.array, twice.array)
    assert not np.array_equal(once.array, HEAVY.apply(labels, other).array)


def test_the_parameters_alone_fix_the_result() -> None:
    labels = overlapping()
    params = HEAVY.draw(np.random.default_rng(0), labels)
    assert np.array_equal(MarkovNoise().apply(labels, params).array, HEAVY.apply(labels, params).array)


def test_the_noise_of_a_class_does_not_depend_on_the_other_classes() -> None:
    labels = overlapping()
    alone = LabelMap(labels.array[1:], labels.grid, ("y",), ignored_mask=labels.ignored_mask)
    both = HEAVY.apply(labels, HEAVY.draw(np.random.default_rng(0), labels))
    single = HEAVY.apply(alone, HEAVY.draw(np.random.default_rng(0), alone))
    assert np.array_equal(both.array[1], single.array[0])


def test_ignored_pixels_are_untouched_in_overlapping_masks() -> None:
    labels = overlapping()
    noisy = HEAVY.apply(labels, HEAVY.draw(np.random.default_rng(0), labels))
    ignored = labels.ignored()
    assert np.array_equal(noisy.array[:, ignored], labels.array[:, ignored])
    assert np.array_equal(noisy.ignored(), ignored)
    assert not np.array_equal(noisy.array, labels.array)


def test_ignored_pixels_and_the_dtype_are_untouched_in_integer_maps() -> None:
    labels = exclusive(ignore=250)
    noisy = HEAVY.apply(labels, HEAVY.draw(np.random.default_rng(0), labels))
    assert np.array_equal(noisy.array == 250, labels.array == 250)
    assert noisy.array.dtype == np.uint16
    assert set(np.unique(noisy.array)) == {0, 3, 7, 250}


def test_a_pixel_claimed_twice_goes_to_the_nearest_clean_region() -> None:
    row = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 2, 2, 0]])
    labels = LabelMap(row, Grid(row.shape, (1.0, 1.0)), ("a", "b"))
    grow = MarkovNoise(steps=8, expand=1, flip=1)
    noisy = grow.apply(labels, grow.draw(np.random.default_rng(0), labels))
    assert noisy.array.tolist() == [
        [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    ]  # the middle pixel is a tie: first class


def test_a_pixel_that_no_class_claims_becomes_background() -> None:
    labels = exclusive()
    shrink = MarkovNoise(steps=3, expand=0, flip=1)
    noisy = shrink.apply(labels, shrink.draw(np.random.default_rng(0), labels))
    assert (noisy.array == 3).sum() == 4 * 3
    assert (noisy.array == 0).sum() == 600 - 2 * 4 * 3


def test_parameters_of_other_classes_are_refused() -> None:
    params = HEAVY.draw(np.random.default_rng(0), overlapping())
    with pytest.raises(ConfigError, match="no class 'a', only x, y"):
        HEAVY.apply(exclusive(ignore=250), params)


def read_mask(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) > 0


def measures(noisy: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    """Dice and area ratio."""
    both = noisy.sum() + clean.sum()
    return 2 * (noisy & clean).sum() / both, noisy.sum() / clean.sum()


def z_scores(simulated: np.ndarray, published: np.ndarray) -> tuple[float, float]:
    """z of the difference in mean (paired by case) and in the logarithm of the spread (independent draws)."""
    gap, n = simulated - published, len(published)
    z_mean = gap.mean() / (gap.std(ddof=1) / n**0.5)
    centred = [values - values.mean() for values in (simulated, published)]
    variance = sum(((c**4).mean() / (c**2).mean() ** 2 - 1) / (4 * n) for c in centred)
    z_spread = np.log(simulated.std(ddof=1) / published.std(ddof=1)) / variance**0.5
    return float(z_mean), float(z_spread)


def compare(jsrt: Path, name: str, noise: MarkovNoise) -> list[float]:
    """z-scores of mean and spread of Dice, then of area ratio, over every fourth training case."""
    files = sorted((jsrt / "train" / "clean" / name).iterdir())[::4]
    simulated, published = [], []
    for file in files:
        clean = read_mask(file)
        rng = case_generator(0, file.stem, name)
        simulated.append(measures(markov_noise(clean, rng, **dataclasses.asdict(noise)), clean))
        published.append(measures(read_mask(jsrt / "train" / "given_J1" / name / file.name), clean))
    pairs = zip(np.transpose(simulated), np.transpose(published))
    return [z for one, other in pairs for z in z_scores(one, other)]


@pytest.mark.parametrize("name", ["lung", "heart", "clavicle"])
def test_simulated_j1_agrees_with_the_published_masks_within_their_standard_error(
    name: str, jsrt: Path
) -> None:
    assert np.abs(compare(jsrt, name, PRESETS["J1"].per_class[name])).max() < 3


def test_the_published_masks_hold_as_much_speckle_inside_as_smoothing_leaves(jsrt: Path) -> None:
    wrong = inside = 0
    for file in sorted((jsrt / "train" / "clean" / "lung").iterdir())[::4]:
        deep = distance_transform_edt(read_mask(file)) > 12
        inside += int(deep.sum())
        wrong += int((deep & ~read_mask(jsrt / "train" / "given_J1" / "lung" / file.name)).sum())
    assert abs(wrong / inside - 0.00068) < 0.00015


@pytest.mark.parametrize("change", [{"flip": 0.06}, {"expand": 0.75}, {"steps": 150}])
def test_another_setting_does_not_agree_with_the_published_masks(
    change: dict[str, float], jsrt: Path
) -> None:
    wrong = dataclasses.replace(PRESETS["J1"].per_class["lung"], **change)  # type: ignore[arg-type]
    assert np.abs(compare(jsrt, "lung", wrong)).max() > 4


def test_without_strength_there_is_neither_speckle_nor_smoothing() -> None:
    noise = MarkovNoise(steps=9, speckle=0.2, smooth=True)
    assert noise.styled(strength=0) == MarkovNoise(steps=0, speckle=0.0, smooth=False)
    assert noise.styled(strength=0.5) == MarkovNoise(steps=4, speckle=0.1, smooth=True)
    assert noise.styled(strength=2) == MarkovNoise(steps=18, speckle=0.2, smooth=True)
