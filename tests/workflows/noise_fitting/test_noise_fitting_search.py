"""The search behind a fit: designs stay in their box, surfaces are exact on quadratics."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.errors import DataError
from labelmend.noise import MarkovNoise
from labelmend.workflows.noise_fitting.displacement import Pair
from labelmend.workflows.noise_fitting.search import Cases, Search, _design, _matched, _solve, n_points


def square(shift: int) -> Pair:
    clean = np.zeros((24, 24), bool)
    clean[8:16, 8:16] = True
    given = np.zeros((24, 24), bool)
    given[8 - shift : 16 + shift, 8 - shift : 16 + shift] = True
    return Pair(given, clean)


def test_a_design_lies_in_its_box_and_within_the_range_of_expand() -> None:
    places = _design(40, np.array([1.0, 0.95]), np.array([0.5, 0.2]))
    assert (np.abs(places[:, 0] - 1) <= 0.5).all()
    assert places[:, 1].min() >= 0.75
    assert places[:, 1].max() <= 1
    assert np.ptp(places, axis=0) == pytest.approx([1.0, 0.25], rel=0.15)


def test_matched_moments_are_mean_spread_and_mean_log_roughness() -> None:
    stats = np.array([[1.0, 0.1], [3.0, 0.3], [np.nan, np.nan]])
    found = _matched(stats, np.full((1, 3), 1 / 3), 1e-6)
    np.testing.assert_allclose(found, [[2.0, np.log(1.0), 0.2]], atol=1e-12)


def test_the_place_is_found_where_surfaces_are_quadratic() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(30, 2)) * [0.5, 0.1]
    noise -= noise.mean(axis=0)
    truth, centre, reach = np.array([0.3, 0.1]), np.zeros(2), np.array([1.0, 0.5])

    def at(place: np.ndarray) -> np.ndarray:
        scale = np.exp(place[1])
        mean = np.array([2 * place[0] + place[0] ** 2 + place[1], place[0] - 3 * place[1]])
        return noise * [scale, 1] + mean

    places = _design(20, centre, reach)
    found = _solve(at(truth), places, np.array([at(p) for p in places]), np.empty((0, 30)), centre, reach)
    assert found.best == pytest.approx(truth, abs=0.03)
    assert found.distance < 1


def test_cases_without_boundary_are_left_out() -> None:
    nothing = Pair(np.zeros((24, 24), bool), np.zeros((24, 24), bool))
    assert len(Cases.of([square(1), nothing, square(2)], None, 10, 0).pairs) == 2
    assert len(Cases.of([square(1), square(2), square(3)], None, 2, 0).pairs) == 2
    with pytest.raises(DataError, match="none of 1"):
        Cases.of([nothing], None, 10, 0)


def test_the_coarse_search_takes_the_side_of_the_bias() -> None:
    for shift, side in ((3, 1), (-2, -1)):
        cases = Cases.of([square(shift)] * 4, None, 10, 0)
        seen: list[str] = []
        place = Search(cases, MarkovNoise(steps=0, flip=0.1), 0, seen.append).coarse()
        assert np.sign(place[1]) == side
        assert 0 < len(seen) < n_points(cases, 0.1, 0)
