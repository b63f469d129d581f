"""Local matrices: places that differ, how far they are drawn to the matrix for all, and who is covered."""

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.transition.hoc import consensus_counts, solve_consensus
from labelmend.transition.neighbours import nearest
from labelmend.transition.posterior import drawn_classes
from labelmend.workflows.class_labels.local import local_matrices

CAREFUL = np.array([[0.98, 0.02], [0.02, 0.98]])
CARELESS = np.array([[0.6, 0.4], [0.1, 0.9]])


def two_places(n=3000, seed=0):
    """Classes far apart from each other in each of two places, where labels go wrong differently."""
    rng = np.random.default_rng(seed)
    classes, place = rng.integers(0, 2, n), rng.integers(0, 2, n)
    points = rng.normal(size=(n, 2)) + np.column_stack([12 * classes, 1000 * place])
    given = np.where(place, drawn_classes(CARELESS[classes], rng), drawn_classes(CAREFUL[classes], rng))
    neighbours = nearest(points, 2, rng=rng)
    found = solve_consensus(*consensus_counts(given, neighbours, 2), rng=rng, n_init=1)
    return points, given, neighbours, found, place


def test_places_with_different_errors_have_different_matrices():
    points, given, neighbours, found, place = two_places()
    centres = {"n_local": 700, "n_centres": 50, "rng": np.random.default_rng(0)}
    matrices, assignment = local_matrices(points, given, neighbours, found, **centres)
    assert (assignment >= 0).all()
    np.testing.assert_allclose(matrices.sum(axis=2), 1)
    own = matrices[assignment]
    for where, truth in enumerate([CAREFUL, CARELESS]):
        local = np.abs(own[place == where] - truth).sum(axis=(1, 2)).mean()
        assert local < 0.8 * np.abs(found.matrix - truth).sum()


def test_rows_that_no_centre_covers_have_the_matrix_for_all():
    points, given, neighbours, found, _ = two_places(600)
    settings = {"n_local": 50, "n_centres": 3}
    matrices, assignment = local_matrices(
        points, given, neighbours, found, rng=np.random.default_rng(0), **settings
    )
    assert matrices.shape == (3, 2, 2)
    assert set(assignment) == {-1, 0, 1, 2}
    assert (assignment >= 0).sum() <= 150


def test_the_row_of_a_class_that_is_not_there_is_that_for_all():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 100)
    points = rng.normal(size=(200, 2)) + 1000 * classes[:, None]
    neighbours = nearest(points, 2, rng=rng)
    found = solve_consensus(*consensus_counts(classes, neighbours, 2), rng=rng)
    found.matrix[:] = CARELESS
    matrices, assignment = local_matrices(points, classes, neighbours, found, rng=rng, n_local=50)
    first = matrices[np.unique(assignment[:100])]
    np.testing.assert_allclose(first[:, 1], np.tile(CARELESS[1], (len(first), 1)))
    np.testing.assert_allclose(first[:, 0], np.tile([1.0, 0.0], (len(first), 1)), atol=1e-6)


def test_the_same_generator_gives_the_same_matrices():
    points, given, neighbours, found, _ = two_places(600)
    one, two = (
        local_matrices(points, given, neighbours, found, rng=np.random.default_rng(3), n_local=100)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_settings_that_make_no_sense_are_refused():
    points, given, neighbours, found, _ = two_places(100)
    for wrong, words in [
        ({"n_local": 2}, "n_local"),
        ({"n_centres": 0}, "n_centres"),
        ({"n_local": 101}, "100 "),
    ]:
        with pytest.raises(ConfigError, match=words):
            local_matrices(points, given, neighbours, found, rng=np.random.default_rng(0), **wrong)
