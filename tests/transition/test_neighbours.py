"""Neighbours: against the plain way, duplicates, groups, zero vectors, ties, blocks, other backends."""

from types import SimpleNamespace

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingExtraError
from labelmend.transition import neighbours
from labelmend.transition.neighbours import nearest


def plain(F, k, metric, groups=None):
    """One row after the other."""
    found = []
    for i, row in enumerate(F):
        if metric == "cosine":
            with np.errstate(invalid="ignore"):
                gaps = 1 - F @ row / (np.linalg.norm(F, axis=1) * np.linalg.norm(row))
            gaps = np.where(np.isnan(gaps), 1.0, gaps)
        else:
            gaps = np.linalg.norm(F - row, axis=1)
        barred = np.arange(len(F)) == i if groups is None else groups == groups[i]
        found.append(np.where(barred, np.inf, gaps).argsort(kind="stable")[:k])
    return np.stack(found)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
def test_they_are_those_that_looking_at_one_row_after_the_other_finds(metric, scale):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(150, 4)) + 3
    groups = rng.integers(0, 20, 150)
    for own in (None, groups):
        found = nearest(points * scale, 7, rng=rng, metric=metric, groups=own)
        np.testing.assert_array_equal(found, plain(points, 7, metric, own))


def test_far_from_the_origin_and_beside_an_outlier_small_distances_still_count():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3))
    expected = plain(points, 5, "euclidean")
    np.testing.assert_array_equal(nearest(points + 1e5, 5, rng=rng), expected)
    found = nearest(np.vstack([points, [1e7, 0, 0]]), 5, rng=rng)
    np.testing.assert_array_equal(found[:200], expected)


def test_blocks_and_single_rows_give_the_same():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3))
    whole = nearest(points, 4, rng=rng)
    for size in (1, 7, 50, 1000):
        np.testing.assert_array_equal(nearest(points, 4, rng=rng, block_rows=size), whole)
    np.testing.assert_array_equal(nearest(points, 4, rng=rng, rows=[3, 40]), whole[[3, 40]])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_no_row_is_its_own_neighbour_and_duplicates_have_different_ones(metric):
    rng = np.random.default_rng(0)
    values = np.array([[1.0, 2.0], [3.0, 1.0], [-1.0, 0.5]])
    which = np.repeat([0, 1, 2], 60)
    points = values[which] / 7
    found = nearest(points, 2, rng=rng, metric=metric)
    assert (found != np.arange(180)[:, None]).all()
    np.testing.assert_array_equal(which[found], np.stack([which, which], axis=1))
    for value in range(3):
        rows = found[which == value].ravel()
        assert np.bincount(rows, minlength=180).max() <= 10  # 120 choices of 60: two on average
    again = nearest(points, 2, rng=rng, metric=metric)
    assert (again != found).any()


def test_all_rows_equal_is_no_trouble():
    found = nearest(np.full((30, 2), 0.1), 3, rng=np.random.default_rng(0))
    assert (found != np.arange(30)[:, None]).all()
    assert all(len(set(row)) == 3 for row in found)


def test_neighbours_come_from_other_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(["ann", "bob", "eve"], 20)
    found = nearest(rng.normal(size=(60, 2)), 5, rng=rng, groups=groups)
    assert (groups[found] != groups[:, None]).all()


def test_a_row_of_zeros_is_at_right_angles_to_all():
    points = np.array([[0.0, 0.0], [1.0, 0.1], [1.0, 0.0], [-1.0, 0.0]])
    rng = np.random.default_rng(0)
    found = nearest(points, 3, rng=rng, metric="cosine")
    assert found[1].tolist() == [2, 0, 3]
    seen = {tuple(nearest(points, 3, rng=rng, metric="cosine")[0]) for _ in range(200)}
    assert len(seen) == 6  # all others are as near: any order


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"k": 4}, ConfigError, "4 neighbours asked for, but 4 rows leave 3 other rows"),
        ({"k": 2, "groups": [0, 0, 0, 1]}, ConfigError, "leave 1 rows of other groups"),
        ({"k": 1, "groups": [0, 0, 0, 0]}, ConfigError, "leave 0 rows"),
        ({"k": 0}, ConfigError, "1 or more"),
        ({"k": 1, "metric": "manhattan"}, ConfigError, "manhattan"),
        ({"k": 1, "backend": "annoy"}, ConfigError, "annoy"),
        ({"k": 1, "groups": [0, 1]}, GeometryError, r"\(4,\) expected"),
        ({"k": 1, "F": np.zeros(4)}, GeometryError, r"\(n f\)"),
        ({"k": 1, "F": [[0.0], [np.nan], [1.0], [2.0]]}, LabelValueError, "NaN"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(settings, error, words):
    with pytest.raises(error, match=words):
        nearest(**{"F": np.arange(4.0)[:, None], "rng": np.random.default_rng(0)} | settings)


@pytest.mark.parametrize(
    ("backend", "words"), [("pynndescent", r"labelmend\[neighbours\]"), ("faiss", "faiss-cpu")]
)
def test_a_backend_that_is_not_installed_is_named(monkeypatch, backend, words):
    monkeypatch.setitem(neighbours.importlib.import_module("sys").modules, backend, None)
    with pytest.raises(MissingExtraError, match=words):
        nearest(np.arange(4.0)[:, None], 1, rng=np.random.default_rng(0), backend=backend)


class Brute:
    """Stands in for both packages: exact, and as they are, with a row among its own neighbours."""

    def __init__(self, points, **settings):
        self.points = points

    def query(self, queries, k):
        gaps = np.linalg.norm(queries[:, None] - self.points, axis=2)
        order = gaps.argsort(axis=1)[:, :k]
        return order, np.take_along_axis(gaps, order, axis=1)


def test_candidates_are_put_back_in_order_and_barred_ones_replaced(monkeypatch):
    monkeypatch.setattr(neighbours, "_extra", lambda name: SimpleNamespace(NNDescent=Brute))
    rng = np.random.default_rng(0)
    points = rng.normal(size=(120, 3))
    found = nearest(points, 5, rng=rng, backend="pynndescent")
    np.testing.assert_array_equal(found, plain(points, 5, "euclidean"))
    groups = np.repeat([0, 1], 60)  # the nearest 38 hold too few of the other group for some rows
    points[60:] += 5
    found = nearest(points, 5, rng=rng, groups=groups, backend="pynndescent")
    np.testing.assert_array_equal(found, plain(points, 5, "euclidean", groups))


@pytest.mark.parametrize("backend", ["pynndescent", "faiss"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_approximate_search_finds_nearly_all(backend, metric):
    pytest.importorskip(backend)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 5))
    found, exact = (nearest(points, 10, rng=rng, metric=metric, backend=b) for b in (backend, "exact"))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)]) > 0.95
    assert (found != np.arange(1000)[:, None]).all()
