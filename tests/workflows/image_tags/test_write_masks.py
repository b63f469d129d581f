"""From scores to the mask of one case: thresholds, refining on a bounded grid, and what is written."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import picture
from labelmend.workflows.image_tags import write_masks as seed_masks
from labelmend.workflows.image_tags.write_masks import seed_mask

SETTINGS = {"foreground": 0.5, "background": 0.1, "conflict": "argmax", "refine": "none"}


@pytest.fixture
def image(tmp_path):
    """Dark to the left of column 4, bright from there on."""
    array = np.zeros((6, 8), np.uint8)
    array[:, 4:] = 200
    picture(tmp_path / "a.png", array)
    return tmp_path / "a.png"


@pytest.fixture
def scores():
    """Class 1 of 2 is sure in the last column, absent in the first, and in doubt between."""
    made = np.zeros((2, 6, 8), np.float32)
    made[0] = np.linspace(0, 1, 8).round(1)
    made[0, :, 1:7] = 0.3
    return made


def test_pixels_between_the_thresholds_are_unsure(image, scores):
    mask = seed_mask(scores, np.array([True, False]), image, SETTINGS)
    np.testing.assert_array_equal(mask, np.repeat([[0, *[255] * 6, 1]], 6, axis=0))
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("refine", ["grow", "random_walk"])
def test_unsure_pixels_follow_the_edges_of_the_image(image, scores, refine):
    pytest.importorskip("skimage")
    mask = seed_mask(scores, np.array([True, False]), image, {**SETTINGS, "refine": refine})
    np.testing.assert_array_equal(mask, np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 6, axis=0))


def test_a_large_image_is_refined_on_a_smaller_grid_and_its_mask_keeps_its_size(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    monkeypatch.setattr(seed_masks, "LONGEST_REFINED", 8)
    seen = []
    walk = seed_masks.random_walk

    def watched(labels, image, **ways):
        seen.append((labels.shape, image.shape, ways["spacing_mm"]))
        return walk(labels, image, **ways)

    monkeypatch.setattr(seed_masks, "random_walk", watched)
    array = np.zeros((20, 32), np.uint8)
    array[:, 16:] = 200
    picture(tmp_path / "a.png", array)
    scores = np.full((1, 20, 32), 0.3, np.float32)
    scores[0, :, :4], scores[0, :, -4:] = 0, 1
    mask = seed_mask(scores, np.array([True]), tmp_path / "a.png", {**SETTINGS, "refine": "random_walk"})
    assert seen == [((5, 8), (1, 5, 8), [4.0, 4.0])]
    np.testing.assert_array_equal(mask, np.repeat([[*[0] * 16, *[1] * 16]], 20, axis=0))


def test_an_image_without_a_tag_is_background_whatever_is_asked_for(image, scores):
    mask = seed_mask(scores, np.array([False, False]), image, {**SETTINGS, "refine": "random_walk"})
    assert not mask.any()
