"""Polygons of few vertices: they keep the area, err as told, and know holes and borders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from labelmend.errors import ConfigError
from labelmend.geometry import outlines, rasterise
from labelmend.metrics import dice
from labelmend.noise.polygon import PolygonNoise, face_midpoints, fewer_vertices, moved_outward
from labelmend.types import Grid, LabelMap

Y, X = np.mgrid[:110, :120]


def disc(radius: float, y: float = 52.3, x: float = 60.1) -> np.ndarray:
    return (Y - y) ** 2 + (X - x) ** 2 < radius**2


SHAPES = {
    "disc": disc(40),
    "ellipse": ((Y - 50) / 20) ** 2 + ((X - 60) / 45) ** 2 < 1,
    "half disc": disc(40) & (Y < 50),
    "rectangle": (abs(Y - 50) < 30) & (abs(X - 60) < 21),
    "crescent": disc(40) & ~disc(30, x=85),
    "ring": disc(45) & ~disc(25),
}


def noisy(
    noise: PolygonNoise, mask: np.ndarray, seed: int = 0, spacing: tuple[float, ...] | None = None
) -> np.ndarray:
    spacing = spacing or (1.0,) * mask.ndim
    params = noise.draw_mask(np.random.default_rng(seed), mask, spacing)
    return PolygonNoise().apply_mask(mask, json.loads(json.dumps(params)), spacing)


def area(points: np.ndarray) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


@settings(max_examples=200, deadline=None, database=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_face_midpoints_enclose_every_mask_and_lose_half_a_pixel(mask: np.ndarray) -> None:
    wide = np.pad(mask, 1)
    for corners in outlines(wide):
        smooth = face_midpoints(corners)
        assert abs(area(smooth)) == pytest.approx(abs(area(np.array(corners, float))) - 0.5)
    assert np.array_equal(rasterise(map(face_midpoints, outlines(wide)), wide.shape), wide)


@settings(max_examples=200, deadline=None, database=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_with_all_vertices_and_no_error_every_mask_comes_back(mask: np.ndarray) -> None:
    assert np.array_equal(noisy(PolygonNoise().styled(strength=0), mask), mask)


@pytest.mark.parametrize("count", [3, 4, 7, 12, 30])
@pytest.mark.parametrize("name", list(SHAPES))
def test_fewer_vertices_enclose_the_same_area(name: str, count: int) -> None:
    for corners in outlines(SHAPES[name]):
        points = face_midpoints(corners)
        fewer = fewer_vertices(points, count)
        assert len(fewer) == min(count, len(points))
        assert area(fewer) == pytest.approx(area(points))


@pytest.mark.parametrize("name", list(SHAPES))
def test_twelve_vertices_without_error_lose_less_than_one_percent_of_the_area(name: str) -> None:
    mask = SHAPES[name]
    drawn = noisy(PolygonNoise(vertices=12, jitter_mm=0), mask)
    assert drawn.sum() == pytest.approx(mask.sum(), rel=0.01)
    assert 0.95 < dice(drawn, mask) <= 1


def test_without_moving_the_neighbours_a_disc_would_shrink_to_the_inscribed_polygon() -> None:
    turn = np.linspace(0, 2 * np.pi, 1200, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert area(circle[::100]) / area(circle) == pytest.approx(0.955, abs=0.001)
    assert area(fewer_vertices(circle, 12)) / area(circle) == pytest.approx(1)


def test_corners_are_kept_and_points_on_straight_lines_given_up() -> None:
    square = np.array([[0, 0], [1, 0], [3, 0], [6, 0], [6, 6], [4, 6], [0, 6], [0, 2]], float)
    assert fewer_vertices(square, 4).tolist() == [[0, 0], [6, 0], [6, 6], [0, 6]]


def test_fewer_vertices_fit_worse() -> None:
    fits = [dice(noisy(PolygonNoise(v, 0), SHAPES["crescent"]), SHAPES["crescent"]) for v in (48, 12, 6, 3)]
    assert fits == sorted(fits, reverse=True)
    assert fits[0] > 0.99
    assert fits[-1] < 0.9


def test_clicks_err_without_bias_and_by_the_given_deviation() -> None:
    mask = (abs(Y - 50) < 30) & (abs(X - 60) < 30)
    drawn = [noisy(PolygonNoise(4, 2.0), mask, seed) for seed in range(200)]
    areas = np.array([d.sum() / mask.sum() for d in drawn])
    assert areas.mean() == pytest.approx(1, abs=3 * areas.std() / 200**0.5 + 0.002)
    # d area = sum of (diagonal / 2) * error at each corner, whatever its direction.
    expected = 4**0.5 * (59 * 2**0.5 / 2) * 2.0 / 59**2
    assert areas.std() == pytest.approx(expected, rel=0.15)


def test_jitter_is_in_mm_along_each_axis() -> None:
    mask = (abs(Y - 50) < 30) & (abs(X - 60) < 30)
    spans = np.array(
        [
            [
                np.ptp(np.flatnonzero(noisy(PolygonNoise(4, 4.0), mask, s, (1.0, 8.0)).any(axis=a)))
                for a in (1, 0)
            ]
            for s in range(60)
        ]
    )
    rows, columns = spans.std(axis=0)
    assert rows > 4 * columns


@pytest.mark.parametrize("offset", [-4.0, 3.0, 6.0])
def test_an_offset_moves_every_side_by_its_length_in_mm(offset: float) -> None:
    mask = (abs(Y - 50) < 30) & (abs(X - 60) < 20)
    drawn = noisy(PolygonNoise(4, 0, offset), mask, spacing=(0.5, 1.0))
    rows, columns = (np.flatnonzero(drawn.any(axis=a)) for a in (1, 0))
    assert len(rows) == pytest.approx(59 + 2 * offset / 0.5, abs=1)
    assert len(columns) == pytest.approx(39 + 2 * offset, abs=1)


def test_a_generous_hand_fills_holes_and_a_strict_one_widens_them() -> None:
    mask = SHAPES["ring"]
    outward, inward = (noisy(PolygonNoise(40, 0, offset), mask) for offset in (5, -5))
    assert outward.sum() == pytest.approx(np.pi * (50**2 - 20**2), rel=0.02)
    assert inward.sum() == pytest.approx(np.pi * (40**2 - 30**2), rel=0.02)


def test_what_an_inward_offset_leaves_nothing_of_vanishes() -> None:
    mask = disc(6) | (disc(20, 80, 30))
    assert np.array_equal(noisy(PolygonNoise(30, 0, -9), mask) & disc(12), np.zeros_like(mask))
    assert noisy(PolygonNoise(30, 0, -9), mask).any()
    assert len(moved_outward(np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]]), -3)) == 0


def test_a_hole_that_grows_beyond_its_object_leaves_nothing_of_it() -> None:
    assert not noisy(PolygonNoise(30, 0, -5), disc(45) & ~disc(41)).any()


def test_a_hole_that_an_outward_offset_closes_is_closed() -> None:
    mask = disc(40) & ~disc(4)
    assert noisy(PolygonNoise(30, 0, 8), mask)[disc(39)].all()


def test_the_offset_at_a_sharp_corner_is_bounded() -> None:
    needle = np.array([[0.0, 0], [100, 0.5], [0, 1]])
    assert np.linalg.norm(moved_outward(needle, 1) - needle, axis=1).max() <= 2


def test_objects_keep_their_vertices_each_and_overlap_without_a_gap() -> None:
    mask = disc(12, 30, 30) | disc(12, 30, 56)
    alone = noisy(PolygonNoise(12, 0), disc(12, 30, 30)) | noisy(PolygonNoise(12, 0), disc(12, 30, 56))
    assert np.array_equal(noisy(PolygonNoise(12, 0), mask), alone)
    grown = noisy(PolygonNoise(12, 0, 3), mask)
    assert grown[30, 30:57].all()


def test_an_island_in_a_hole_is_kept() -> None:
    mask = SHAPES["ring"] | disc(10)
    drawn = noisy(PolygonNoise(16, 0), mask)
    assert drawn[52, 60]
    assert not drawn[52, 78]
    assert drawn.sum() == pytest.approx(mask.sum(), rel=0.01)


def test_the_image_border_is_no_outline() -> None:
    mask = X < 40
    for seed in range(5):
        drawn = noisy(PolygonNoise(12, 3.0), mask, seed)
        assert drawn[:, :25].all()
        assert not drawn[:, 55:].any()
    full = np.ones((9, 14), bool)
    assert noisy(PolygonNoise(12, 3.0, -2.0), full).all()


def test_volumes_are_drawn_slice_by_slice_across_the_thickest_axis() -> None:
    volume = np.zeros((40, 8, 40), bool)
    volume[10:30, 2:5, 8:31] = True
    drawn = noisy(PolygonNoise(6, 1.5), volume, spacing=(1.0, 5.0, 1.0))
    assert drawn.any(axis=(0, 2)).tolist() == [False] * 2 + [True] * 3 + [False] * 3
    assert not np.array_equal(drawn[:, 2], drawn[:, 3])
    other = noisy(PolygonNoise(6, 1.5, axis=2), volume, spacing=(1.0, 5.0, 1.0))
    assert not other[..., :8].any()
    assert not other[..., 31:].any()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_an_object_beside_the_image_border_is_not_drawn_to_it(turns: int) -> None:
    mask = np.rot90(disc(39.5, 52.5, 40.5), turns)
    assert not np.rot90(mask, -turns)[:, 0].any()
    drawn = np.rot90(noisy(PolygonNoise(5, 1.0), mask), -turns)
    assert drawn[:, 0].sum() < 22


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (7, 8), (3, 1, 6), (2, 5, 6)])
def test_small_empty_and_full_masks_can_be_drawn(shape: tuple[int, ...]) -> None:
    one = np.zeros(shape, bool)
    one[tuple(n // 2 for n in shape)] = True
    for spacing in ((0.5, 5.0, 0.5)[: len(shape)], (1.0,) * len(shape)):
        assert not noisy(PolygonNoise(), np.zeros(shape, bool), spacing=spacing).any()
        assert noisy(PolygonNoise(), np.ones(shape, bool), spacing=spacing).all()
        assert noisy(PolygonNoise(jitter_mm=0), one, spacing=spacing).sum() == 1
        assert noisy(PolygonNoise(), one, spacing=spacing).shape == shape


def test_ignored_pixels_stay_and_classes_stay_exclusive() -> None:
    array = np.where(disc(30, 40, 40), 3, np.where(disc(30, 40, 80), 7, 0)).astype(np.uint8)
    array[30:35] = 255
    labels = LabelMap(array, Grid(array.shape, (1.0, 1.0)), ("a", "b"), (3, 7), ignore=255)
    noise = PolygonNoise(6, 3.0)
    result = noise.apply(labels, noise.draw(np.random.default_rng(0), labels))
    assert np.array_equal(result.array == 255, array == 255)
    assert not np.array_equal(result.array, array)


def test_another_hand_has_fewer_vertices_and_larger_errors() -> None:
    noise = PolygonNoise(12, 1.5)
    assert noise.styled(strength=2) == PolygonNoise(6, 3.0)
    assert noise.styled(strength=0.5, bias=1) == PolygonNoise(24, 0.75, 0.75)
    assert noise.styled(strength=100).vertices == 3
    fits = [
        np.mean([dice(noisy(noise.styled(strength=s), disc(40), i), disc(40)) for i in range(8)])
        for s in (0, 0.5, 1, 2)
    ]
    assert fits[0] == 1
    assert fits == sorted(fits, reverse=True)


def test_a_generous_hand_draws_more_and_a_strict_one_less() -> None:
    ratio = [
        np.mean([noisy(PolygonNoise().styled(bias=b), disc(40), i).sum() for i in range(10)]) / disc(40).sum()
        for b in (-1, 0, 1)
    ]
    assert ratio[0] < 0.95 < 0.98 < ratio[1] < 1.02 < 1.05 < ratio[2]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"vertices": 2}, "vertices must be a whole number from 3"),
        ({"vertices": 7.5}, "got 7.5"),
        ({"jitter_mm": -1}, "jitter_mm must be a number from 0 up"),
        ({"jitter_mm": float("nan")}, "jitter_mm"),
        ({"offset_mm": float("inf")}, "offset_mm must be a finite number"),
        ({"axis": 3}, "axis must be 0, 1, 2 or None"),
    ],
)
def test_absurd_settings_are_refused(setting: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        PolygonNoise(**setting)  # type: ignore[arg-type]
