"""Label noise that varies across feature space: HOC on the rows around a few centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labelmend.errors import ConfigError
from labelmend.transition.hoc import IntArray, TransitionResult, consensus_counts, solve_consensus
from labelmend.transition.neighbours import nearest
from labelmend.types import FloatArray


def local_matrices(
    F: ArrayLike,
    y: ArrayLike,
    neighbours: ArrayLike,
    result: TransitionResult,
    *,
    rng: np.random.Generator,
    n_local: int = 250,
    n_centres: int = 300,
) -> tuple[FloatArray, IntArray]:
    """A transition matrix for the rows around each of some centres, drawn to the one for all.

    Centres are drawn at random among the rows that no centre covers yet; each covers itself and its nearest
    rows. With q the prior of the classes there, row i of its matrix is

        q_i T_local_i + (1 - q_i) T_global_i.

    A matrix from 250 rows is wrong by about ten points even if neighbours are pure: it is worth it only where
    labels go wrong very differently in different places.

    Args:
        F: `(n f)` features; places are near in the Euclidean distance.
        y: `(n)` given labels, 0 to k - 1.
        neighbours: `(n m)` numbers of rows, nearest first, two or more.
        result: the estimate of HOC for all rows.
        rng: draws the centres.
        n_local: rows that a centre covers, 3 or more.
        n_centres: most centres.

    Returns:
        `(c k k)` matrices; and `(n)` the number of each row's centre, the one to which it is nearest by rank
        among those that cover it, -1 where none does and the matrix for all holds.

    Raises:
        ConfigError: a setting, or fewer rows than a centre covers.

    Paper: Zhu, Song, Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy
        Labels", ICML 2021 (local HOC).
    Differs: each centre counts its rows once, with neighbours among all rows, and starts from the matrix for
        all; the program takes 30 rounds of 100 of its rows, and adds a term that evens the prior out.
    """
    points, labels, rows = np.asarray(F, float), np.asarray(y), np.asarray(neighbours)
    if n_local < 3 or n_centres < 1:
        raise ConfigError(f"n_local of 3 and n_centres of 1 or more expected, got {n_local} and {n_centres}")
    rank = np.full(len(points), n_local)
    assignment = np.full(len(points), -1)
    matrices: list[FloatArray] = []
    while len(matrices) < n_centres and (assignment < 0).any():
        centre = rng.choice(np.flatnonzero(assignment < 0))
        covered = np.append(centre, nearest(points, n_local - 1, rows=[centre], rng=rng)[0])
        inside = np.zeros(len(points))
        inside[covered] = 1
        counts = consensus_counts(labels, rows, len(result.prior), weights=inside)
        found = solve_consensus(*counts, rng=rng, n_init=1, start=result)
        own = found.prior[:, None]
        nearer = np.arange(n_local) < rank[covered]
        rank[covered[nearer]] = np.flatnonzero(nearer)
        assignment[covered[nearer]] = len(matrices)
        matrices.append(own * found.matrix + (1 - own) * result.matrix)
    return np.stack(matrices), assignment
