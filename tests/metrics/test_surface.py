"""NSD, HD95 and signed bias of masks drawn by hand, with every convention for missing boundaries."""

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError
from labelmend.geometry import boundary_bias
from labelmend.metrics import hd95, known_boundary_bias, nsd, surface_distances

EMPTY = np.zeros((6, 7), bool)
FULL = np.ones((6, 7), bool)


def bar(columns: slice, shape: tuple[int, ...] = (1, 12)) -> np.ndarray:
    """A mask of the given columns (last axis), over all other axes."""
    mask = np.zeros(shape, bool)
    mask[..., columns] = True
    return mask


def block(*slices: slice, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[slices] = True
    return mask


# A 3x3 square and the same square moved two columns; the boundary of each is its 8 outer pixels.
SQUARE = block(slice(1, 4), slice(1, 4), shape=(6, 8))
MOVED = block(slice(1, 4), slice(3, 6), shape=(6, 8))


def test_distances_of_a_square_moved_by_two_pixels():
    distances = surface_distances(SQUARE, MOVED)
    # columns 1 and 2 of the square lie 2 and 1 pixels from column 3, where the moved square starts
    assert sorted(distances.to_reference_mm) == [0, 0, 0, 1, 1, 2, 2, 2]
    assert sorted(distances.to_mask_mm) == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(("tolerance_mm", "expected"), [(0, 6 / 16), (0.99, 6 / 16), (1, 10 / 16), (2, 1)])
def test_nsd_counts_boundary_voxels_up_to_and_including_the_tolerance(tolerance_mm, expected):
    assert nsd(SQUARE, MOVED, tolerance_mm=tolerance_mm) == expected


def test_hd95_interpolates_between_sorted_distances():
    # 8 distances 0 0 0 1 1 2 2 2: position 0.95 * 7 = 6.65 lies among the twos
    assert hd95(SQUARE, MOVED) == 2
    # the boundary of a bar in one row is its two ends: columns 0 and 6 of the mask lie 0 and 2 pixels from
    # the ends 0 and 4 of the reference: position 0.95 -> 1.9, and so back
    assert hd95(bar(slice(0, 7)), bar(slice(0, 5))) == pytest.approx(1.9)


def test_hd95_is_the_larger_of_the_two_directions():
    # in two rows every pixel touches the border: mask to reference 0 five times, 1 and 2, all twice: position
    # 0.95 * 13 = 12.35 among the twos; back all 0
    one, other = bar(slice(0, 5), (2, 12)), bar(slice(0, 7), (2, 12))
    assert hd95(one, other) == hd95(other, one) == 2


@pytest.mark.parametrize(("spacing_mm", "tolerance_mm"), [(0.1, 0.3), (0.7, 2.1), (1.4, 4.2), (3.3, 9.9)])
def test_a_boundary_exactly_at_the_tolerance_is_right_whatever_the_rounding(spacing_mm, tolerance_mm):
    one, other = bar(slice(2, 3)), bar(slice(5, 6))  # three pixels apart
    assert nsd(one, other, tolerance_mm=tolerance_mm, spacing_mm=spacing_mm) == 1
    assert nsd(one, other, tolerance_mm=tolerance_mm * 0.999, spacing_mm=spacing_mm) == 0


def test_anisotropic_spacing_counts_millimetres_along_each_axis():
    point = block(slice(1, 2), slice(1, 2), shape=(6, 8))
    down = block(slice(2, 3), slice(1, 2), shape=(6, 8))
    across = block(slice(1, 2), slice(2, 3), shape=(6, 8))
    both = block(slice(2, 3), slice(2, 3), shape=(6, 8))
    spacing_mm = (4.0, 3.0)
    assert hd95(point, down, spacing_mm=spacing_mm) == 4
    assert hd95(point, across, spacing_mm=spacing_mm) == 3
    assert hd95(point, both, spacing_mm=spacing_mm) == 5
    assert nsd(point, down, tolerance_mm=3.5, spacing_mm=spacing_mm) == 0
    assert nsd(point, across, tolerance_mm=3.5, spacing_mm=spacing_mm) == 1


def test_three_dimensions_with_thick_slices():
    cube = block(slice(1, 4), slice(1, 4), slice(1, 4), shape=(7, 6, 6))
    raised = block(slice(2, 5), slice(1, 4), slice(1, 4), shape=(7, 6, 6))
    distances = surface_distances(cube, raised, spacing_mm=(5.0, 1.0, 1.0))
    # 26 boundary voxels each (27 less the middle). The 9 of the lowest slice are 5 mm below the raised cube,
    # the 8 of the middle slice lie on its lowest slice, the 9 of the top slice on its middle slice, whose
    # centre is no boundary voxel and 1 mm from one.
    assert sorted(distances.to_reference_mm) == pytest.approx([0] * 16 + [1] + [5] * 9)
    assert nsd(cube, raised, tolerance_mm=1, spacing_mm=(5.0, 1.0, 1.0)) == pytest.approx(34 / 52)
    assert hd95(cube, raised, spacing_mm=(5.0, 1.0, 1.0)) == 5


@pytest.mark.parametrize("single", [0, 1, 2])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (2.5, 0.7)])
@pytest.mark.parametrize("with_ignored", [False, True])
def test_a_single_slice_scores_the_same_whichever_axis_has_length_one(rng, single, spacing_mm, with_ignored):
    ignore = np.zeros((17, 19), bool)
    ignore[3:5, 8:12] = with_ignored
    mask, reference = block(slice(2, 9), slice(3, 12), shape=(17, 19)), rng.random((17, 19)) < 0.4
    flat = {"spacing_mm": spacing_mm, "ignore": ignore}
    thick = {
        "spacing_mm": tuple(np.insert(spacing_mm, single, 5.0)),
        "ignore": np.expand_dims(ignore, single),
    }
    masks = (np.expand_dims(mask, single), np.expand_dims(reference, single))
    assert nsd(*masks, tolerance_mm=1, **thick) == nsd(mask, reference, tolerance_mm=1, **flat) < 1
    assert hd95(*masks, **thick) == hd95(mask, reference, **flat) > 0
    assert known_boundary_bias(*masks, **thick) == pytest.approx(known_boundary_bias(mask, reference, **flat))


def test_a_single_voxel_has_a_boundary():
    one = np.ones((1, 1, 1), bool)
    assert nsd(one, one, tolerance_mm=0) == 1
    assert hd95(one, ~one) == np.inf


def test_equal_masks_have_no_distance():
    assert nsd(SQUARE, SQUARE, tolerance_mm=0) == 1
    assert hd95(SQUARE, SQUARE) == 0
    assert known_boundary_bias(SQUARE, SQUARE) == 0


def test_two_empty_masks_measure_nothing():
    assert np.isnan(nsd(EMPTY, EMPTY, tolerance_mm=2))
    assert np.isnan(hd95(EMPTY, EMPTY))
    assert np.isnan(known_boundary_bias(EMPTY, EMPTY))


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_mask_has_no_surface_in_common_and_is_infinitely_far(swap):
    one, other = (EMPTY, ~EMPTY) if swap else (~EMPTY, EMPTY)
    assert nsd(one, other, tolerance_mm=1000) == 0
    assert hd95(one, other) == np.inf
    assert np.isnan(known_boundary_bias(one, other))


def test_the_image_border_bounds_a_full_mask_for_nsd_and_hd95_but_not_for_the_bias():
    assert nsd(FULL, FULL, tolerance_mm=0) == 1
    assert hd95(FULL, FULL) == 0
    assert surface_distances(FULL, FULL).to_mask_mm.size == 42 - 20
    assert np.isnan(known_boundary_bias(FULL, FULL))


def test_a_mask_cut_by_the_image_border_has_its_boundary_there():
    half = bar(slice(0, 3), shape=(5, 7))
    assert (
        surface_distances(half, half).to_mask_mm.size == 15 - 3
    )  # all but the middle column's three inner pixels


# These two functions of MONAI 1.6 call its `get_mask_edges` with an argument it has deprecated; ours do not.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("shape", [(17, 19), (7, 9, 8)])
@pytest.mark.parametrize("spacing", ["isotropic", "anisotropic"])
def test_monai_agrees(rng, shape, spacing):
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    from scipy.ndimage import gaussian_filter

    spacing_mm = (1.4,) * len(shape) if spacing == "isotropic" else (3.0, 0.7, 1.1)[: len(shape)]
    for _ in range(5):
        mask, reference = (gaussian_filter(rng.normal(size=shape), 1.5) > 0.02 for _ in range(2))
        ours = surface_distances(mask, reference, spacing_mm=spacing_mm)
        a, b = (torch.from_numpy(m[None, None]) for m in (mask, reference))
        theirs = compute_surface_dice(
            a, b, class_thresholds=[2.0], include_background=True, spacing=list(spacing_mm)
        )
        assert ours.nsd(2.0) == pytest.approx(float(theirs), abs=1e-6)
        theirs = compute_hausdorff_distance(
            a, b, include_background=True, percentile=95, spacing=list(spacing_mm)
        )
        assert ours.hausdorff(95) == pytest.approx(float(theirs), abs=1e-5)


def slow_boundary(mask, ignore):
    """Voxels of the mask beside known background or the image border, one at a time."""
    found = []
    for voxel in np.ndindex(mask.shape):
        if not mask[voxel] or ignore[voxel]:
            continue
        for axis in range(mask.ndim):
            for step in (-1, 1):
                beside = tuple(v + step * (a == axis) for a, v in enumerate(voxel))
                outside = not all(0 <= v < size for v, size in zip(beside, mask.shape, strict=True))
                if outside or not (mask[beside] or ignore[beside]):
                    found.append(voxel)
    return np.array(sorted(set(found)))


@pytest.mark.parametrize("shape", [(9, 8), (5, 6, 4)])
def test_a_slow_search_finds_the_same_distances_beside_ignored_pixels(rng, shape):
    spacing_mm = (2.5, 1.0, 0.8)[: len(shape)]
    mask, reference, ignore = rng.random((3, *shape)) < np.array([0.6, 0.6, 0.3]).reshape(
        3, *[1] * len(shape)
    )
    ours, theirs = slow_boundary(mask, ignore), slow_boundary(reference, ignore)
    between = np.sqrt((((ours[:, None] - theirs[None]) * spacing_mm) ** 2).sum(axis=-1))
    distances = surface_distances(mask, reference, spacing_mm=spacing_mm, ignore=ignore)
    assert distances.to_reference_mm == pytest.approx(between.min(axis=1), abs=1e-6)
    assert distances.to_mask_mm == pytest.approx(between.min(axis=0), abs=1e-6)


def test_a_boundary_that_leads_into_ignored_pixels_is_none():
    # columns:              0  1  2  3  4  5  6  7  8  9 10 11
    # mask                        x  x  x  x  x
    # reference                   x  x  ?  ?  ?            the right end is unknown
    mask, reference = bar(slice(2, 7), shape=(12,)), bar(slice(2, 4), shape=(12,))
    ignore = bar(slice(4, 9), shape=(12,))
    distances = surface_distances(mask, reference, ignore=ignore)
    assert distances.to_reference_mm.tolist() == [0]  # column 2 only: column 3 of the reference is no end
    assert distances.to_mask_mm.tolist() == [0]
    assert hd95(mask, reference) == pytest.approx(
        0.95 * 3
    )  # without `ignore`: ends at 6 and 3, other ends agree


def test_slices_annotated_here_and_there_are_compared_within_their_plane():
    mask = block(slice(0, 5), slice(2, 5), slice(2, 5), shape=(5, 8, 8))
    reference = block(slice(2, 3), slice(2, 5), slice(2, 6), shape=(5, 8, 8))
    ignore = np.ones((5, 8, 8), bool)
    ignore[2] = False
    distances = surface_distances(mask, reference, ignore=ignore)
    flat = surface_distances(mask[2], reference[2])
    assert sorted(distances.to_reference_mm) == sorted(flat.to_reference_mm)
    assert sorted(distances.to_mask_mm) == sorted(flat.to_mask_mm)
    assert distances.to_reference_mm.size == 8
    assert known_boundary_bias(mask, reference, ignore=ignore) == pytest.approx(
        boundary_bias(np.repeat(mask[2:3], 5, 0), np.repeat(reference[2:3], 5, 0))
    )


def test_a_structure_that_is_ignored_altogether_measures_nothing():
    assert np.isnan(nsd(SQUARE, EMPTY_8, tolerance_mm=1, ignore=SQUARE))
    assert np.isnan(hd95(SQUARE, EMPTY_8, ignore=SQUARE))
    assert np.isnan(known_boundary_bias(SQUARE, MOVED, ignore=SQUARE | MOVED))


EMPTY_8 = np.zeros_like(SQUARE)


def test_labels_that_are_too_large_have_negative_bias():
    reference, large = bar(slice(4, 8)), bar(slice(2, 10))
    assert known_boundary_bias(large, reference, spacing_mm=1.4) == pytest.approx(-2.8)
    assert known_boundary_bias(reference, large, spacing_mm=1.4) == pytest.approx(2.8)


def test_bias_leaves_out_the_faces_beside_ignored_pixels():
    # left face 2 pixels too far out, right face 1 too far out; the right one is ignored
    mask, reference = bar(slice(2, 9)), bar(slice(4, 8))
    assert known_boundary_bias(mask, reference) == -1.5
    assert known_boundary_bias(mask, reference, ignore=bar(slice(8, 12))) == -2


def test_ignored_pixels_away_from_every_boundary_do_not_change_the_bias():
    reference = block(slice(2, 9), slice(2, 9), shape=(12, 12))
    mask = block(slice(1, 9), slice(3, 11), shape=(12, 12))
    inside = block(slice(5, 6), slice(5, 7), shape=(12, 12))
    spacing_mm = (2.0, 0.5)
    assert known_boundary_bias(mask, reference, spacing_mm=spacing_mm, ignore=inside) == pytest.approx(
        boundary_bias(mask, reference, spacing_mm)
    )


def test_cropping_changes_nothing(rng):
    mask, reference = (np.pad(m, ((20, 3), (0, 30))) for m in rng.random((2, 6, 7)) < 0.5)
    expected = boundary_bias(mask, reference, (3.0, 1.0))
    assert known_boundary_bias(mask, reference, spacing_mm=(3.0, 1.0)) == pytest.approx(expected)


def test_a_tolerance_below_zero_or_infinite_is_refused():
    for tolerance_mm in (-1, np.inf, np.nan):
        with pytest.raises(ConfigError, match="tolerance"):
            nsd(SQUARE, MOVED, tolerance_mm=tolerance_mm)


def test_shapes_and_spacings_must_fit():
    with pytest.raises(GeometryError, match="must be equal"):
        nsd(SQUARE, EMPTY, tolerance_mm=1)
    with pytest.raises(GeometryError, match="2 positive spacings"):
        hd95(SQUARE, MOVED, spacing_mm=(1, 1, 1))
