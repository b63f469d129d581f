"""Edges in the image say how far a drawn outline lies from them, in mm and with its sign."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import box, disc
from labelmend.workflows.auditing.findings import edge_profile, peak_mm, step_mm
from labelmend.workflows.auditing.findings.image_edges import REACH_VOX

MM, SHAPE, CENTRE = (1.0, 1.0), (96, 96), (48.3, 47.1)


def edge_mm(image: np.ndarray, mask: np.ndarray, spacing_mm=MM, known=None) -> float:
    image = image if image.ndim > mask.ndim else image[None]
    return peak_mm(edge_profile(image.astype(np.float32), mask, spacing_mm, known), step_mm(spacing_mm))


@pytest.mark.parametrize("out_vox", [-5, -2, 0, 1, 3, 6])
@pytest.mark.parametrize(("spacing_mm", "dark"), [((1.0, 1.0), False), ((0.4, 0.4), True)])
def test_a_disc_drawn_r_px_too_far_out_has_its_edge_at_minus_r(out_vox, spacing_mm, dark):
    image = disc(SHAPE, CENTRE, 20) * (-50.0 if dark else 50.0)
    found = edge_mm(image, disc(SHAPE, CENTRE, 20 + out_vox), spacing_mm)
    assert found == pytest.approx(-out_vox * spacing_mm[0], abs=0.25 * spacing_mm[0])


@pytest.mark.parametrize("out_vox", [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5])
def test_straight_outlines_are_measured_as_well_as_round_ones(out_vox):
    # all their pixels lie half-way between two steps
    image = box(SHAPE, (30, 66), (30, 66)) * 9.0
    mask = box(SHAPE, (30 - out_vox, 66 + out_vox), (30 - out_vox, 66 + out_vox))
    assert edge_mm(image, mask) == pytest.approx(-out_vox, abs=0.1)


@pytest.mark.parametrize("out_vox", [-3, 0, 4])
def test_a_tube_through_thick_slices(out_vox):
    spacing_mm = (5.0, 1.0, 1.0)
    image, mask = (np.stack([disc((48, 48), (24.2, 23.6), radius)] * 6) for radius in (14, 14 + out_vox))
    assert edge_mm(image * 1.0, mask, spacing_mm) == pytest.approx(-out_vox, abs=0.25)


def test_the_channel_with_the_steepest_edge_counts(rng):
    noise = rng.normal(size=(2, *SHAPE))
    channels = np.stack([noise[0], disc(SHAPE, CENTRE, 20) * 30.0, noise[1]])
    assert edge_mm(channels, disc(SHAPE, CENTRE, 23)) == pytest.approx(-3, abs=0.25)


def test_of_an_edge_that_runs_beside_one_half_only_the_known_half_is_asked():
    mask = disc(SHAPE, CENTRE, 20)
    left = np.arange(96) < 48
    image = np.where(left, disc(SHAPE, CENTRE, 16), disc(SHAPE, CENTRE, 25)) * 10.0
    known = np.broadcast_to(left, SHAPE)
    assert edge_mm(image, mask, known=known) == pytest.approx(-4, abs=0.3)
    assert edge_mm(image, mask, known=~known) == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize(
    ("image", "mask", "known"),
    [
        (disc(SHAPE, CENTRE, 9), np.zeros(SHAPE, bool), None),
        (disc(SHAPE, CENTRE, 9), np.ones(SHAPE, bool), None),
        (np.full(SHAPE, 7), disc(SHAPE, CENTRE, 9), None),
        (disc(SHAPE, CENTRE, 9), disc(SHAPE, CENTRE, 9), np.zeros(SHAPE, bool)),
    ],
    ids=["empty", "full", "flat image", "nothing known"],
)
def test_where_there_is_no_outline_or_no_slope_there_is_no_edge(image, mask, known):
    assert np.isnan(edge_mm(image * 1.0, mask, known=known))


def test_a_single_slice_is_a_picture():
    image, mask = disc(SHAPE, CENTRE, 20) * 1.0, disc(SHAPE, CENTRE, 22)
    flat, deep = edge_profile(image[None], mask, MM), edge_profile(image[None, None], mask[None], (1.0, *MM))
    assert peak_mm(flat, 1.0) == pytest.approx(-2, abs=0.25)
    assert peak_mm(deep, 1.0) == pytest.approx(-2, abs=0.25)


def test_a_profile_is_relative_to_its_mean_and_runs_from_inside_to_outside():
    profile = edge_profile(disc(SHAPE, CENTRE, 20)[None] * 5.0, disc(SHAPE, CENTRE, 20), MM)
    assert profile.shape == (2 * REACH_VOX + 1,)
    assert np.abs(profile).mean() == pytest.approx(1)
    assert profile[REACH_VOX] == profile.min() < -4  # grey values fall outward


def test_outlines_at_the_border_of_the_image_are_looked_at_within_it():
    mask = box(SHAPE, (0, 96), (0, 40))
    assert edge_mm(box(SHAPE, (0, 96), (0, 37)) * 1.0, mask) == pytest.approx(-3, abs=0.1)


def test_bytes_and_16_bit_floats_are_images_too():
    mask, image = disc(SHAPE, CENTRE, 22), disc(SHAPE, CENTRE, 20) * 200
    profiles = [edge_profile(image[None].astype(t), mask, MM) for t in (np.uint8, np.float16, np.float64)]
    np.testing.assert_allclose(profiles[0], profiles[2], atol=1e-4)
    np.testing.assert_allclose(profiles[1], profiles[2], atol=1e-4)


@pytest.mark.parametrize(
    ("profile", "mm"),
    [([0, 0, 5, 0, 0], 0.0), ([0, 0, -4, -4, 0], 1.0), ([9, 0, 0, 0, 0], -4.0), ([1, 1, 1, 1, 1], -4.0)],
)
def test_the_peak_by_hand(profile, mm):
    assert peak_mm(np.array(profile, float), 2.0) == mm


def test_no_profile_has_no_peak():
    assert np.isnan(peak_mm(np.array([np.nan]), 1.0))


@pytest.mark.parametrize("mm", [0.25, 4.0])
def test_edges_are_looked_for_eight_steps_out_whatever_a_step_is_in_mm(mm):
    mask = box(SHAPE, (30, 66), (30, 66))
    profile = edge_profile(box(SHAPE, (24, 72), (24, 72))[None] * 9.0, mask, (mm, mm))
    assert len(profile) == 2 * REACH_VOX + 1
    assert peak_mm(profile, mm) == pytest.approx(6 * mm, abs=0.1 * mm)
    np.testing.assert_allclose(profile, edge_profile(box(SHAPE, (24, 72), (24, 72))[None] * 9.0, mask, MM))


def test_without_an_outline_or_a_slope_there_is_no_profile():
    for image, mask in (
        (disc(SHAPE, CENTRE, 20), np.zeros(SHAPE)),
        (np.ones(SHAPE), disc(SHAPE, CENTRE, 20)),
    ):
        profile = edge_profile(image[None] * 1.0, mask, MM)
        assert profile.shape == (2 * REACH_VOX + 1,)
        assert np.isnan(profile).all()
