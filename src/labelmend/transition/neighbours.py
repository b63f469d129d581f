"""The nearest rows of each row: exact, without itself, ties broken at random, each of another group.

Three things go wrong in other programs, and all spoil estimates of label noise. Where rows repeat, a row that
is left out because it is the first at distance zero is often another one, so that a row stays its own
neighbour. All rows of a set of duplicates share the same few neighbours, so that few labels are looked at
many times. And two neighbours come from one source: where errors are shared within it they agree, and wrong
labels look right.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingExtraError
from labelmend.runtime.extras import needed_by
from labelmend.types import FloatArray

Metric = Literal["euclidean", "cosine"]
Backend = Literal["exact", "pynndescent", "faiss"]
IntArray = NDArray[np.integer]

BLOCK_BYTES, BLOCK_ROWS = 32e6, 64
"""Memory that the distances of one block of rows take, copies counted, as caches hold little more; and the
fewest rows of a block, as each block reads all features."""

TIE = 1e-11
"""Squared distances closer than this, relative to the squared length of a row, count as equal."""

SPARE = 32
"""Candidates beyond k that an approximate search is asked for: to draw ties from, and to bar some."""

MOST_CANDIDATES = 200
"""Candidates that an approximate search is asked for at most because of groups."""


def nearest(
    F: ArrayLike,
    k: int,
    *,
    rng: np.random.Generator,
    metric: Metric = "euclidean",
    groups: ArrayLike | None = None,
    rows: ArrayLike | None = None,
    backend: Backend = "exact",
    block_rows: int | None = None,
) -> IntArray:
    """The k nearest other rows of each row, nearest first.

    Args:
        F: `(n f)` features, finite.
        k: number of neighbours, 1 or more.
        rng: draws the order of rows at the same distance, anew for each row.
        metric: "euclidean", or "cosine": one minus the cosine of the angle; a row of zeros is at right angles
            to every row.
        groups: `(n)` author, image or patient of each row: neighbours come from groups other than the row's
            own and than each other's, of each the nearest row.
        rows: `(q)` numbers of the rows whose neighbours are asked for; None: all.
        backend: "exact" compares all rows, in blocks. "pynndescent" and "faiss" are approximate and for many
            rows; they draw ties only among the nearest k + 32 or, with groups, some more. The first call of
            "pynndescent" in a process compiles for a minute or so.
        block_rows: rows that are compared with all others at once; None: as many as take 32 MB, or 64 if
            that is more.

    Returns:
        `(q k)` numbers of rows.

    Raises:
        ConfigError: fewer than k other rows or other groups. GeometryError: a shape. LabelValueError: NaN or
            infinity. MissingExtraError: the backend is not installed.

    >>> nearest([[0.0], [1.0], [3.0], [3.5]], 2, rng=np.random.default_rng(0)).tolist()
    [[1, 2], [0, 2], [3, 1], [2, 1]]
    >>> groups = ["ann", "bob", "eve", "eve"]
    >>> nearest([[0.0], [1.0], [3.0], [3.5]], 2, rng=np.random.default_rng(0), groups=groups).tolist()
    [[1, 2], [0, 2], [1, 0], [1, 0]]
    """
    points = _checked(F)
    own = None if groups is None else _checked_groups(groups, len(points))
    asked = np.arange(len(points)) if rows is None else np.asarray(rows, np.intp)
    if metric not in ("euclidean", "cosine"):
        raise ConfigError(f'metric must be "euclidean" or "cosine", got {metric!r}')
    _check_enough(len(points), k, own)
    points = _centred(points) if metric == "euclidean" else _unit(points)
    if backend == "exact":
        return _exact(points, asked, k, rng=rng, groups=own, block_rows=block_rows)
    if backend not in ("pynndescent", "faiss"):
        raise ConfigError(f'backend must be "exact", "pynndescent" or "faiss", got {backend!r}')
    return _approximate(points, asked, k, rng=rng, groups=own, backend=backend)


def _checked(F: ArrayLike) -> FloatArray:
    points = np.array(F, np.float64)  # the one copy, worked on in place: large tables fit but once
    if points.ndim != 2:
        raise GeometryError(f"features (n f) expected, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise LabelValueError("features must be finite, got NaN or infinity: drop or fill those rows")
    return points


def _checked_groups(groups: ArrayLike, n: int) -> IntArray:
    own = np.asarray(groups)
    if own.shape != (n,):
        raise GeometryError(f"groups must name one group a row, ({n},) expected, got shape {own.shape}")
    return np.unique(own, return_inverse=True)[1].reshape(-1)


def _check_enough(n: int, k: int, groups: IntArray | None) -> None:
    if k < 1:
        raise ConfigError(f"the number of neighbours must be 1 or more, got {k}")
    if groups is None:
        if n - 1 < k:
            raise ConfigError(
                f"{k} neighbours asked for, but {n} rows leave {max(n - 1, 0)} other rows: "
                "ask for fewer neighbours or give more rows"
            )
    elif (others := len(np.unique(groups)) - 1) < k:
        raise ConfigError(
            f"{k} neighbours asked for, each of another group: needs {k} other groups, there are "
            f"{max(others, 0)}: ask for fewer neighbours or give rows of more groups"
        )


def _centred(points: FloatArray) -> FloatArray:
    """Points about their median, largest coordinate 1, in place: small numbers lose least in a product."""
    _scale(points)
    for column in points.T:
        column -= np.median(column)
    _scale(points)
    return points


def _scale(points: FloatArray) -> None:
    """Make the largest coordinate 1, in place."""
    largest = max(points.max(initial=0), -points.min(initial=0))
    if largest > 0:
        points /= largest


def _unit(points: FloatArray) -> FloatArray:
    """Rows of length one, in place; rows that are zero but for rounding become zero."""
    largest = np.maximum(points.max(axis=1, initial=0), -points.min(axis=1, initial=0))
    zero = largest <= 1e-12 * largest.max(initial=0)
    points[zero] = 0
    points /= np.where(zero, 1, largest)[:, None]
    points /= np.where(zero, 1, np.sqrt(np.einsum("nf,nf->n", points, points)))[:, None]
    return points


def _exact(
    points: FloatArray,
    asked: IntArray,
    k: int,
    *,
    rng: np.random.Generator,
    groups: IntArray | None,
    block_rows: int | None,
) -> IntArray:
    copies = 2 if groups is None else 4
    size = block_rows or max(BLOCK_ROWS, int(BLOCK_BYTES // (copies * points.itemsize * len(points))))
    squares = np.einsum("nf,nf->n", points, points)
    typical = float(np.median(squares)) or float(squares.mean()) or 1.0
    by_group = None if groups is None else groups.argsort(kind="stable")
    found = np.empty((len(asked), k), np.intp)
    for start in range(0, len(asked), size):
        block = asked[start : start + size]
        gaps = points[block] @ points.T
        gaps *= -2
        gaps += squares
        gaps += squares[block, None]
        unit = TIE * np.maximum(squares[block], typical)[:, None]
        gaps[np.arange(len(block)), block] = np.inf
        if groups is not None and by_group is not None:
            _draw_ties(gaps, unit, rng)
            gaps[groups[block, None] == groups] = np.inf
            found[start : start + size] = _of_groups(gaps, groups, by_group, k)
        else:
            found[start : start + size] = _smallest_drawn(gaps, unit, k, rng)
    return found


def _smallest_drawn(gaps: FloatArray, unit: FloatArray, k: int, rng: np.random.Generator) -> IntArray:
    """Columns of the k smallest values of each row, smallest first, ties broken at random.

    Few values are looked at closely: the k-th smallest of minima over parts bounds the k-th smallest of all.
    """
    n_rows, n = gaps.shape
    n_parts = 4 * (k + 1)
    if n >= 8 * n_parts:
        in_parts = gaps[:, : n - n % n_parts].reshape(n_rows, -1, n_parts).min(axis=1)
        bound = np.partition(in_parts, k - 1, axis=1)[:, k - 1 : k] + unit
        flat = np.flatnonzero(gaps <= bound)
        if len(flat) <= n_parts * n_rows:  # else many tie, and the plain way is as short
            rows, columns = np.divmod(flat, n)
            close = gaps.reshape(-1)[flat]
            _draw_ties(close, unit[rows, 0], rng)
            order = np.lexsort((close, rows))
            begin = np.searchsorted(rows, np.arange(n_rows))
            return columns[order[begin[:, None] + np.arange(k)]]
    _draw_ties(gaps, unit, rng)
    return _smallest(gaps, k)


def _draw_ties(gaps: FloatArray, unit: FloatArray, rng: np.random.Generator) -> None:
    """Round squared distances to units and add less than half a unit at random, in place; inf stays inf."""
    gaps /= unit
    np.rint(gaps, out=gaps)
    gaps += rng.random(gaps.shape, dtype=np.float32) / 2


def _smallest(gaps: FloatArray, k: int) -> IntArray:
    """Columns of the k smallest values of each row, smallest first."""
    columns = np.argpartition(gaps, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(gaps, columns, axis=1).argsort(axis=1)
    return np.take_along_axis(columns, order, axis=1)


def _of_groups(gaps: FloatArray, groups: IntArray, by_group: IntArray, k: int) -> IntArray:
    """Columns of the k smallest values of each row, one a group at most, smallest first.

    Args:
        gaps: `(q n)`, infinite in columns that are barred.
        groups: `(n)` numbers of groups from 0 on, k of them or more in the columns that are left to each row.
        by_group: `(n)` columns, those of group 0 first.
        k: number of columns.
    """
    sizes = np.bincount(groups)
    gaps = gaps[:, by_group]
    least = np.minimum.reduceat(gaps, np.cumsum(sizes) - sizes, axis=1)
    rows, places = np.nonzero(gaps == np.repeat(least, sizes, axis=1))
    columns = by_group[places]
    of_least = np.empty(least.shape, np.intp)
    of_least[rows, groups[columns]] = columns
    return np.take_along_axis(of_least, _smallest(least, k), axis=1)


def _firsts(gaps: FloatArray, groups: IntArray, k: int) -> tuple[IntArray, NDArray[np.bool_]]:
    """Places `(q k)` of the first finite values of k groups in each row; and `(q)` whether it holds as many.

    Args:
        gaps: `(q m)` values, rising in each row.
        groups: `(q m)` number of the group of each; all or none of a group are finite.
        k: number of places.
    """
    order = groups.argsort(axis=1, kind="stable")
    in_order = np.take_along_axis(groups, order, axis=1)
    first = np.ones(groups.shape, bool)
    np.put_along_axis(first, order[:, 1:], in_order[:, 1:] != in_order[:, :-1], axis=1)
    first &= np.isfinite(gaps)
    return (~first).argsort(axis=1, kind="stable")[:, :k], first.sum(axis=1) >= k


def _approximate(
    points: FloatArray,
    asked: IntArray,
    k: int,
    *,
    rng: np.random.Generator,
    groups: IntArray | None,
    backend: Backend,
) -> IntArray:
    n = len(points)
    own = np.arange(n) if groups is None else groups
    a_group = -(-n // len(np.unique(own)))
    n_candidates = max(k + 1, min((k + 1) * a_group, MOST_CANDIDATES)) + SPARE
    # Passed in random order, and restored afterwards: ties then do not go to the rows that come first.
    order = rng.permutation(n)
    search = _pynndescent if backend == "pynndescent" else _faiss
    shuffled, gaps = search(points[order], points[asked], min(n, n_candidates), rng)
    columns = np.where(shuffled >= 0, order[shuffled], asked[:, None])
    gaps = gaps.astype(np.float64)
    _draw_ties(gaps, np.full((len(asked), 1), 1e-6 * max(float(np.median(gaps)), 1e-30)), rng)
    gaps[own[columns] == own[asked, None]] = np.inf
    rising = gaps.argsort(axis=1)
    columns, gaps = (np.take_along_axis(values, rising, axis=1) for values in (columns, gaps))
    places, enough = _firsts(gaps, own[columns], k)
    found = np.take_along_axis(columns, places, axis=1)
    if not enough.all():
        found[~enough] = _exact(points, asked[~enough], k, rng=rng, groups=groups, block_rows=None)
    return found


def _pynndescent(
    points: FloatArray, queries: FloatArray, k: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Numbers and distances of about the k nearest points of each query; -1 where fewer were found."""
    module = _extra("pynndescent")
    # Building the graph costs the square of its neighbours; more of them are then found by asking it.
    index = module.NNDescent(
        points.astype(np.float32), n_neighbors=min(k, 40), random_state=int(rng.integers(2**31 - 1))
    )
    return index.query(queries.astype(np.float32), k=k)


def _faiss(
    points: FloatArray, queries: FloatArray, k: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Numbers and squared distances of about the k nearest points of each query; -1 where none was found."""
    module = _extra("faiss")
    index = module.IndexHNSWFlat(points.shape[1], 32)
    index.hnsw.efConstruction = 100
    index.hnsw.efSearch = max(100, 2 * k)
    index.add(np.ascontiguousarray(points, np.float32))
    gaps, columns = index.search(np.ascontiguousarray(queries, np.float32), k)
    return columns, gaps


def _extra(name: Backend) -> Any:
    try:
        with needed_by(f'backend "{name}"', instead='take backend "exact"'):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:  # no extra: faiss comes as several packages, for processors and GPUs
        raise MissingExtraError(
            'backend "faiss" needs faiss: pip install faiss-cpu, or take backend "exact"'
        ) from error
