"""Drawn pictures hold what the demo and other tests count on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from labelmend.errors import ConfigError
from labelmend.phantom import PHANTOM_3D_CLASSES, PHANTOM_CLASSES, draw_phantom, draw_phantom_3d


def drawn(n: int = 12, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    pictures = [draw_phantom(np.random.default_rng(seed), size) for seed in range(n)]
    return np.stack([image for image, _ in pictures]), np.stack([masks for _, masks in pictures])


def test_shapes_types_and_range() -> None:
    image, masks = draw_phantom(np.random.default_rng(0), size=64)
    assert (image.shape, image.dtype) == ((1, 64, 64), np.float32)
    assert (masks.shape, masks.dtype) == ((len(PHANTOM_CLASSES), 64, 64), bool)
    assert -0.3 < image.min() < 0.2
    assert 0.6 < image.max() < 1.5


def test_the_same_seed_draws_the_same_picture_and_another_another() -> None:
    one, again, other = (draw_phantom(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(one[1], again[1])
    assert not np.array_equal(one[1], other[1])


@pytest.mark.parametrize("size", [48, 96, 160])
def test_there_are_two_clavicles_one_heart_and_two_lungs_at_every_size(size: int) -> None:
    for seed in range(6):
        _, masks = draw_phantom(np.random.default_rng(seed), size)
        assert [label(mask)[1] for mask in masks] == [2, 1, 2]


def test_structures_overlap() -> None:
    _, masks = drawn()
    clavicle, heart, lung = masks.transpose(1, 0, 2, 3)
    left = np.arange(96) >= 48  # the patient's left is on the right of the picture
    for overlap, whole in ((clavicle & lung, clavicle), (heart & lung & left, heart)):
        share = overlap.sum(axis=(1, 2)) / whole.sum(axis=(1, 2))
        assert share.min() > 0.15
        assert share.max() < 0.9


def test_sizes_vary_from_picture_to_picture() -> None:
    _, masks = drawn()
    area = masks.mean(axis=(2, 3))
    assert (area.std(axis=0) / area.mean(axis=0) > 0.05).all()
    assert area.min() > 0.02


def test_no_threshold_on_brightness_finds_the_structures() -> None:
    images, masks = drawn()
    best = []
    for j in range(len(PHANTOM_CLASSES)):
        scores = []
        for cut in np.linspace(0, 1, 41):
            for found in (images[:, 0] > cut, images[:, 0] < cut):
                both = found.sum() + masks[:, j].sum()
                scores.append(2 * (found & masks[:, j]).sum() / both)
        best.append(max(scores))
    clavicle, heart, lung = best
    assert clavicle < 0.4
    assert heart < 0.5
    assert lung < 0.85


def test_a_tiny_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16 pixels"):
        draw_phantom(np.random.default_rng(0), size=8)


def test_the_volume_holds_two_blobs_of_which_one_lies_across_the_surface_of_the_other() -> None:
    for seed in range(8):
        image, masks = draw_phantom_3d(np.random.default_rng(seed))
        assert (image.shape, image.dtype) == ((1, 24, 32, 32), np.float32)
        assert (masks.shape, masks.dtype) == ((len(PHANTOM_3D_CLASSES), 24, 32, 32), bool)
        organ, lesion = masks
        assert organ.sum() > 4 * lesion.sum() > 100
        assert 0 < (organ & lesion).sum() < lesion.sum()
        assert image[0][organ].mean() - image[0][~organ & ~lesion].mean() > 0.1


def test_a_volume_of_another_shape() -> None:
    image, masks = draw_phantom_3d(np.random.default_rng(0), shape=(8, 20, 12))
    assert image.shape[1:] == masks.shape[1:] == (8, 20, 12)
    with pytest.raises(ConfigError, match="at least 8 voxels"):
        draw_phantom_3d(np.random.default_rng(0), shape=(4, 20, 12))
