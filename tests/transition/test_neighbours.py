"""Neighbours: against the plain way, duplicates, groups, zero vectors, ties, blocks, other backends."""

from types import SimpleNamespace

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingExtraError
from labelmend.transition import neighbours
from labelmend.transition.neighbours import nearest


def plain(F, k, metric, groups=None):
    """One row after the other, and one candidate after the other."""
    own = np.arange(len(F)) if groups is None else np.asarray(groups)
    found = []
    for i, row in enumerate(F):
        if metric == "cosine":
            with np.errstate(invalid="ignore"):
                gaps = 1 - F @ row / (np.linalg.norm(F, axis=1) * np.linalg.norm(row))
            gaps = np.where(np.isnan(gaps), 1.0, gaps)
        else:
            gaps = np.linalg.norm(F - row, axis=1)
        seen, mine = {own[i]}, []
        for j in gaps.argsort(kind="stable"):
            if own[j] not in seen:
                seen.add(own[j])
                mine.append(j)
        found.append(mine[:k])
    return np.array(found)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
@pytest.mark.parametrize("n", [150, 700])  # few rows are sorted as they are, many by what can be near
def test_they_are_those_that_looking_at_one_row_after_the_other_finds(metric, scale, n):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, 4)) + 3
    groups = rng.integers(0, 20, n)
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
@pytest.mark.parametrize(("n_values", "copies"), [(3, 60), (3, 200), (40, 12)])  # ties: many or few
def test_no_row_is_its_own_neighbour_and_duplicates_have_different_ones(metric, n_values, copies):
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 6, n_values)
    which = np.repeat(np.arange(n_values), copies)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)[which] * np.pi
    found = nearest(points, 2, rng=rng, metric=metric)
    assert (found != np.arange(len(points))[:, None]).all()
    assert (found[:, 0] != found[:, 1]).all()
    np.testing.assert_array_equal(which[found], np.stack([which, which], axis=1))
    chosen = np.bincount(found.ravel(), minlength=len(points))
    assert chosen.max() <= 10  # two on average
    assert np.mean(chosen == 0) < 0.25  # by chance 14 %
    again = nearest(points, 2, rng=rng, metric=metric)
    assert (again != found).any()


def test_all_rows_equal_is_no_trouble():
    found = nearest(np.full((30, 2), 0.1), 3, rng=np.random.default_rng(0))
    assert (found != np.arange(30)[:, None]).all()
    assert all(len(set(row)) == 3 for row in found)


def test_each_neighbour_comes_from_another_group():
    """On a line, 0 to 6: ann, ann, bob, bob, ann, eve, eve."""
    groups = ["ann", "ann", "bob", "bob", "ann", "eve", "eve"]
    points = np.array([0.0, 1, 2, 3.1, 4.3, 5.6, 7])[:, None]
    found = nearest(points, 2, rng=np.random.default_rng(0), groups=groups)
    assert found.tolist() == [[2, 5], [2, 5], [1, 5], [4, 5], [3, 5], [4, 3], [4, 3]]


@pytest.mark.parametrize("block_rows", [1, 7, None])
def test_a_group_that_lies_in_front_of_all_others_gives_one_neighbour(block_rows):
    """300 rows of one group around a few rows of others: many candidates have to be passed over."""
    rng = np.random.default_rng(0)
    groups = np.append(np.zeros(300, int), np.arange(1, 21))
    points = np.append(rng.normal(size=300), rng.normal(size=20) * 9)[:, None]
    found = nearest(points, 6, rng=rng, groups=groups, block_rows=block_rows)
    np.testing.assert_array_equal(found, plain(points, 6, "euclidean", groups))
    every = nearest(points, 20, rng=rng, groups=groups, block_rows=block_rows, rows=[0, 319])
    assert (np.sort(groups[every], axis=1) == [np.arange(1, 21), np.arange(20)]).all()


def test_groups_of_one_row_each_are_as_none():
    points = np.random.default_rng(0).normal(size=(80, 3))
    one, two = (nearest(points, 9, rng=np.random.default_rng(1), groups=g) for g in (None, np.arange(80)))
    np.testing.assert_array_equal(one, two)


def test_copies_in_a_group_are_drawn_by_lot():
    """Three groups of 20 rows, all at one place: each row is asked for."""
    groups = np.repeat([0, 1, 2], 20)
    found = nearest(np.ones((60, 1)), 2, rng=np.random.default_rng(0), groups=groups)
    assert (np.sort(groups[np.column_stack([np.arange(60), found])], axis=1) == [0, 1, 2]).all()
    assert np.bincount(found.ravel(), minlength=60).max() <= 10


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
        ({"k": 2, "groups": [0, 1, 1, 1]}, ConfigError, "needs 2 other groups, there are 1"),
        ({"k": 1, "groups": [0, 0, 0, 0]}, ConfigError, "needs 1 other groups, there are 0"),
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
    ("backend", "words"), [("pynndescent", r"labelmend\[tabular\]"), ("faiss", "faiss-cpu")]
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
    groups = np.repeat(np.arange(40), 3)  # found among the candidates
    found = nearest(points, 5, rng=rng, groups=groups, backend="pynndescent")
    np.testing.assert_array_equal(found, plain(points, 5, "euclidean", groups))
    groups = np.append(np.zeros(100, int), np.arange(1, 21))  # the candidates hold too few groups
    points[100:] += 5
    found = nearest(points, 5, rng=rng, groups=groups, backend="pynndescent")
    np.testing.assert_array_equal(found, plain(points, 5, "euclidean", groups))


@pytest.mark.slow  # PyNNDescent compiles itself at first use: half a minute and more
@pytest.mark.parametrize("backend", ["pynndescent", "faiss"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_approximate_search_finds_nearly_all(backend, metric):
    pytest.importorskip(backend)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 5))
    found, exact = (nearest(points, 10, rng=rng, metric=metric, backend=b) for b in (backend, "exact"))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)]) > 0.95
    assert (found != np.arange(1000)[:, None]).all()
    groups = np.repeat(np.arange(50), 20)
    found, exact = (
        nearest(points, 10, rng=rng, metric=metric, groups=groups, backend=b) for b in (backend, "exact")
    )
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)]) > 0.95
    apart = np.sort(groups[np.column_stack([np.arange(1000), found])], axis=1)
    assert (np.diff(apart, axis=1) > 0).all()
