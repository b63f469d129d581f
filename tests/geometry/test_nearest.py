"""The nearest pixel by blocks is that of one transform of the whole image."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from labelmend.geometry.nearest import nearest_offsets


def distances(there, places, spacing, small):
    found = np.full(len(places), np.nan)
    for which, offsets in nearest_offsets(there, places, spacing, small=small):
        found[which] = np.sqrt(((offsets.T * spacing).T ** 2).sum(axis=0))
    return found


@pytest.mark.parametrize("shape", [(150, 90), (70, 20, 80)])
@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (3.0, 0.3, 0.1), (0.1, 1.4, 5.0)])
@pytest.mark.parametrize("share", [0.3, 0.001])
def test_blocks_give_the_distances_of_the_whole_to_the_last_bit(rng, shape, spacing, share):
    spacing = spacing[: len(shape)]
    there = gaussian_filter(rng.normal(size=shape), 2)
    there = there > np.quantile(there, 1 - share)
    places = rng.choice(there.size, 500, replace=False)
    whole = distance_transform_edt(~there, sampling=spacing).ravel()[places]
    assert np.array_equal(distances(there, places, spacing, small=0), whole)
    assert np.array_equal(distances(there, places, spacing, small=there.size), whole)


def test_what_lies_far_beyond_the_margin_is_found():
    there = np.zeros((300, 3), bool)
    there[0, 0] = True
    assert distances(there, np.array([3 * 299 + 2]), (1.0, 2.0), small=0).tolist() == [np.hypot(299, 4)]


def test_a_near_pixel_does_not_hide_a_nearer_one_outside_of_the_margin():
    # reach is 6 * sqrt(10 * 1) = 19 mm, so 2 rows and 19 columns are looked at first
    there = np.zeros((100, 100), bool)
    there[52, 50] = there[50, 70] = True
    assert distances(there, np.array([5050]), (10.0, 1.0), small=0).tolist() == [20.0]
    there[52, 50], there[52, 60], there[50, 70] = False, True, False  # 22.4 mm, in the box beyond reach
    there[50, 72] = True
    assert distances(there, np.array([5050]), (10.0, 1.0), small=0).tolist() == [22.0]


def test_no_places_have_no_distances():
    assert distances(np.ones((3, 3), bool), np.array([], int), (1.0, 1.0), small=0).size == 0
