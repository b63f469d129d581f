"""Under- and over-segmentation in proportion to size, slice by slice."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from labelmend.errors import ConfigError
from labelmend.noise.segthor import SegthorNoise, resized_morphology
from labelmend.types import BoolArray, Grid, LabelMap


def disc(radius: float, size: int | None = None) -> BoolArray:
    half = size or int(2 * radius) + 8
    return np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= radius


def iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / (a | b).sum())


# Measured on discs with the published settings.
SEVERITY = {
    (True, 2): 0.74,
    (True, 3): 0.62,
    (True, 4): 0.50,
    (False, 2): 0.76,
    (False, 3): 0.68,
    (False, 4): 0.61,
}


@pytest.mark.parametrize(("setting", "expected"), SEVERITY.items())
@pytest.mark.parametrize(("radius", "tolerance"), [(8, 0.05), (12, 0.04), (20, 0.03), (40, 0.02), (80, 0.02)])
def test_discs_lose_and_gain_the_same_share_whatever_their_size(
    setting: tuple[bool, int], expected: float, radius: float, tolerance: float
) -> None:
    under, iterations = setting
    mask = disc(radius)
    noisy = resized_morphology(mask, under=under, iterations=iterations, area_px=1000)
    assert iou(noisy, mask) == pytest.approx(expected, abs=tolerance)


def test_at_its_own_area_a_mask_is_eroded_or_dilated_by_squares() -> None:
    mask = disc(15)
    mask[10, 10] = True
    area = int(mask.sum())
    square = np.ones((3, 3))
    for n in (1, 3):
        grown = resized_morphology(mask, under=False, iterations=n, area_px=area)
        shrunk = resized_morphology(mask, under=True, iterations=n, area_px=area)
        assert np.array_equal(grown, binary_dilation(mask, square, n))
        assert np.array_equal(shrunk, binary_erosion(mask, square, n))


def test_under_only_removes_and_over_only_adds() -> None:
    y, x = np.mgrid[:50, :60]
    for mask in (disc(3), (y + x) % 7 == 0, np.eye(50, dtype=bool), (y == 3) & (x == 4)):
        shrunk = resized_morphology(mask, under=True, iterations=3, area_px=1000)
        grown = resized_morphology(mask, under=False, iterations=3, area_px=1000)
        assert not (shrunk & ~mask).any()
        assert not (mask & ~grown).any()
        # A pixel is made 32 pixels wide; it cannot gain a third of its area, and is kept.
        assert shrunk.sum() <= mask.sum() < grown.sum() or mask.sum() == 1


def test_the_image_border_is_no_boundary() -> None:
    mask = np.zeros((40, 60), bool)
    mask[:, :25] = True
    shrunk = resized_morphology(mask, under=True, iterations=4, area_px=1000)
    assert shrunk[:, :20].all()
    assert not shrunk[:, 22:].any()


def test_a_few_pixels_far_apart_need_no_huge_picture() -> None:
    mask = np.zeros((3000, 3000), bool)
    mask[5, 5] = mask[2900, 2950] = True
    grown = resized_morphology(mask, under=False, iterations=4, area_px=1000)
    assert grown[5, 5]
    assert grown[2900, 2950]
    assert grown.sum() < 20


def organs() -> LabelMap:
    """Two organs two pixels apart, another far off, and pixels nobody annotated."""
    array = np.zeros((60, 80), np.uint8)
    array[10:50, 10:30] = 7
    array[10:50, 32:45] = 4
    array[20:30, 60:70] = 9
    array[55:] = 250
    return LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("a", "b", "c"), (4, 7, 9), ignore=250)


def test_over_claims_background_alone_and_the_first_class_wins() -> None:
    labels = organs()
    noisy = SegthorNoise().apply(labels, SegthorNoise(under=0).draw(np.random.default_rng(0), labels)).array
    clean = labels.array
    assert np.array_equal(noisy[clean > 0], clean[clean > 0])
    assert (noisy[15:45, 30:32] == 4).all()
    assert all((noisy == v).sum() > (clean == v).sum() for v in (4, 7, 9))


def test_under_leaves_background_where_a_class_was() -> None:
    labels = organs()
    noisy = SegthorNoise().apply(labels, SegthorNoise(under=1).draw(np.random.default_rng(0), labels)).array
    changed = noisy != labels.array
    assert (noisy[changed] == 0).all()
    assert all(changed[labels.array == v].any() for v in (4, 7, 9))
    assert np.array_equal(noisy == 250, labels.array == 250)


def test_classes_that_may_overlap_grow_into_each_other() -> None:
    labels = organs()
    stacked = LabelMap(labels.masks(), labels.grid, labels.classes)
    noise = SegthorNoise(under=0)
    noisy = noise.apply(stacked, noise.draw(np.random.default_rng(0), stacked)).array
    assert (noisy[0] & noisy[1]).any()


def test_all_classes_of_an_image_share_one_draw() -> None:
    labels = organs()
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        noisy = SegthorNoise().apply(labels, SegthorNoise().draw(rng, labels)).array
        signs = {
            int(np.sign(float((noisy == v).sum()) - float((labels.array == v).sum()))) for v in (4, 7, 9)
        }
        assert len(signs) == 1
        seen |= signs
    assert seen == {-1, 1}


@pytest.mark.parametrize(
    ("spacing", "axis"), [((1.0, 1.0, 1.0), 0), ((0.5, 5.0, 0.5), 1), ((1.0, 2.0, 3.0), 2)]
)
def test_volumes_are_treated_slice_by_slice_across_the_thickest_axis(
    spacing: tuple[float, ...], axis: int
) -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[3:9, 3:9, 3:9] = True
    labels = LabelMap(mask[None], Grid(mask.shape, spacing), ("a",))
    params = SegthorNoise().draw(np.random.default_rng(1), labels)
    assert params["axis"] == axis
    noisy = SegthorNoise().apply(labels, params).array[0]
    for i in range(12):
        expected = resized_morphology(
            mask.take(i, axis), under=params["under"][i], iterations=params["iterations"][i], area_px=1000
        )
        assert np.array_equal(noisy.take(i, axis), expected)
    assert len({tuple(p) for p in zip(params["under"], params["iterations"])}) > 3


def test_draws_are_uniform_over_iterations_and_as_often_under_as_asked() -> None:
    labels = LabelMap(np.zeros((1, 6000, 1, 1), bool), Grid((6000, 1, 1), (1.0, 1.0, 1.0)), ("a",))
    params = SegthorNoise(under=0.3).draw(np.random.default_rng(0), labels)
    counts = np.bincount(params["iterations"], minlength=6)
    assert counts[[0, 1, 5]].sum() == 0
    assert np.abs(counts[2:5] - 2000).max() < 4 * (2000 * 2 / 3) ** 0.5
    assert abs(np.mean(params["under"]) - 0.3) < 4 * (0.21 / 6000) ** 0.5


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("under", [0, 1])
def test_an_empty_and_a_full_mask_come_back(value: bool, under: int) -> None:
    labels = LabelMap(np.full((1, 1, 9), value), Grid((1, 9), (1.0, 1.0)), ("a",))
    noise = SegthorNoise(under=under)
    noisy = noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    assert np.array_equal(noisy.array, labels.array)


def test_parameters_survive_json_and_alone_fix_the_result() -> None:
    labels, noise = organs(), SegthorNoise(fewest=1, most=6, area_px=500)
    params = noise.draw(np.random.default_rng(0), labels)
    again = json.loads(json.dumps(params))
    assert again == params
    assert params["noise"] == "segthor"
    before = labels.array.copy()
    assert np.array_equal(SegthorNoise().apply(labels, again).array, noise.apply(labels, params).array)
    assert np.array_equal(labels.array, before)


def test_strength_multiplies_iterations_and_bias_the_odds_of_too_large() -> None:
    styled = SegthorNoise().styled(strength=2, bias=np.log(3))
    assert (styled.fewest, styled.most) == (4, 8)
    assert styled.under == pytest.approx(0.25)
    labels, nothing = organs(), SegthorNoise().styled(strength=0)
    assert np.array_equal(
        nothing.apply(labels, nothing.draw(np.random.default_rng(0), labels)).array, labels.array
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"fewest": -1}, "fewest must be a whole number from 0 to 1,000, got -1"),
        ({"most": 2.5}, "most must be a whole number"),
        ({"fewest": 5}, "fewest must not be above most, got 5 and 4"),
        ({"under": -0.1}, r"under must lie in \[0, 1\], got -0.1"),
        ({"area_px": 0}, "area_px must lie from 1 to 10,000 pixels, got 0"),
        ({"area_px": float("nan")}, "area_px"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegthorNoise(**setting)  # type: ignore[arg-type]
