"""Levels of probabilities: positive where a class is predicted."""

import numpy as np

from labelmend.geometry import class_levels, resolve


def test_levels_are_positive_where_a_class_is_predicted(rng):
    probs = rng.dirichlet(np.ones(4), size=(5, 6)).transpose(2, 0, 1)
    masks = resolve(class_levels(probs, overlapping=False), overlapping=False)
    np.testing.assert_array_equal(masks, [probs.argmax(0) == j for j in (1, 2, 3)])
    np.testing.assert_array_equal(class_levels(probs, overlapping=True) > 0, probs > 0.5)
