"""The theorem of the paper as a test, and the pieces of the method against results worked out by hand."""

import dataclasses

import numpy as np
import pytest

from labelmend.errors import CleanCasesError, ConfigError
from labelmend.geometry import boundary_bias, signed_distance
from labelmend.methods.published.official_spatial_correction import OfficialSpatialCorrection
from labelmend.methods.spatial_correction import SpatialCorrection, spatial_correction
from labelmend.metrics import Bias, estimate_bias
from labelmend.noise import markov_noise
from labelmend.types import Grid, LabelMap, Predicted


def ellipsoid(shape, radii_mm, spacing_mm) -> np.ndarray:
    axes = [(np.arange(n) - (n - 1) / 2) * s / r for n, s, r in zip(shape, spacing_mm, radii_mm)]
    return sum(np.square(grid) for grid in np.meshgrid(*axes, indexing="ij")) <= 1


def posterior(mask, rng, averaged, **noise) -> np.ndarray:
    """The noisy posterior of one shape: the share of simulated annotators who mark each voxel."""
    return np.mean([markov_noise(mask, rng, **noise) for _ in range(averaged)], axis=0)


def boundary_error_mm(mask, clean, spacing_mm) -> float:
    """Mean unsigned distance between boundaries."""
    from labelmend.geometry import face_values

    values, areas = face_values(np.abs(signed_distance(mask, spacing_mm)), clean, spacing_mm)
    return float(np.average(values, weights=areas))


# ---- the theorem: draw noise of a known bias; the estimator reads it, the correction undoes it ----

SETTINGS = {
    "2-D, too large": ((72, 72), (20.0, 16.0), (1.0, 1.0), 0.9),
    "2-D, too small": ((72, 72), (28.0, 24.0), (1.0, 1.0), 0.1),
    "2-D, anisotropic": ((48, 72), (26.0, 16.0), (1.5, 1.0), 0.9),
    "3-D, too large": ((28, 36, 36), (16.0, 10.0, 10.0), (2.0, 1.0, 1.0), 0.9),
    "3-D, too small": ((28, 36, 36), (20.0, 13.0, 13.0), (2.0, 1.0, 1.0), 0.1),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_correction_by_the_estimated_bias_recovers_the_boundary(name, rng):
    shape, radii_mm, spacing_mm, expand = SETTINGS[name]
    noise = {"steps": 60 if len(shape) == 2 else 30, "expand": expand, "flip": 0.08}
    clean = [ellipsoid(shape, np.array(radii_mm) * scale, spacing_mm) for scale in (0.85, 0.92, 1.0)]
    noisy = [posterior(mask, rng, 40, **noise) for mask in clean]
    biases = [boundary_bias(p > 0.5, mask, spacing_mm) for p, mask in zip(noisy[:2], clean[:2])]
    bias_mm = estimate_bias(biases).mean_mm
    assert (bias_mm < -1) if expand > 0.5 else (bias_mm > 1)
    corrected = spatial_correction(noisy[2] - 0.5, bias_mm, spacing_mm) > 0
    before, after = (boundary_error_mm(m, clean[2], spacing_mm) for m in (noisy[2] > 0.5, corrected))
    assert after < 0.35 * before
    assert after < max(
        spacing_mm
    )  # what is left: fronts of face neighbours run faster along axes than diagonals


def test_the_error_of_the_bias_falls_as_one_over_the_root_of_the_clean_cases(rng):
    """m clean cases estimate the mean of all cases with an error sd / sqrt(m)."""
    truth, noise = ellipsoid((40, 40), (11, 10), (1, 1)), {"steps": 30, "expand": 0.8, "flip": 0.1}
    biases = np.array([boundary_bias(markov_noise(truth, rng, **noise), truth) for _ in range(240)])
    errors = {m: np.std(biases[: 240 // m * m].reshape(-1, m).mean(axis=1)) for m in (1, 4, 16)}
    for m in (4, 16):
        assert errors[m] == pytest.approx(errors[1] / np.sqrt(m), rel=0.45)


def test_the_corrected_boundary_comes_closer_with_more_averaged_masks(rng):
    truth, noise = ellipsoid((64, 64), (18, 16), (1, 1)), {"steps": 50, "expand": 0.8, "flip": 0.1}
    errors = []
    for averaged in (1, 5, 60):
        drawn = [posterior(truth, rng, averaged, **noise) for _ in range(6)]
        reference = posterior(truth, rng, 60, **noise) > 0.5
        bias_mm = boundary_bias(reference, truth)
        errors.append(
            np.mean([boundary_error_mm(spatial_correction(p - 0.5, bias_mm) > 0, truth, 1.0) for p in drawn])
        )
    assert errors[0] > 1.15 * errors[1] > 1.15**2 * errors[2]


def test_the_corrected_boundary_comes_closer_with_more_clean_cases(rng):
    """Annotators differ in how generous they are; a clean case shows one of them, sixteen show their mean."""
    truth = ellipsoid((72, 72), (18, 17), (1, 1))
    generosity = rng.uniform(0.5, 0.95, size=32)
    cases = [posterior(truth, rng, 24, steps=50, expand=expand, flip=0.1) for expand in generosity]
    level = np.mean(cases, axis=0) - 0.5
    biases = np.array([boundary_bias(p > 0.5, truth) for p in cases])

    def error(m: int) -> float:
        estimates = biases.reshape(-1, m).mean(axis=1)
        corrected = [spatial_correction(level, b) > 0 for b in estimates]
        return float(np.mean([boundary_error_mm(mask, truth, 1.0) for mask in corrected]))

    assert error(1) > 1.5 * error(4)
    assert error(4) > 1.03 * error(16)


def test_unbiased_noise_is_left_alone(rng):
    truth = ellipsoid((48, 48), (14, 14), (1, 1))
    biases = [
        boundary_bias(posterior(truth, rng, 30, steps=30, expand=0.5, flip=0.1) > 0.5, truth)
        for _ in range(6)
    ]
    assert abs(estimate_bias(biases).mean_mm) < 0.5


# ---- the pure function ----


def test_a_slab_shrinks_and_grows_by_the_bias_exactly():
    levels = np.full((5, 21), -1.0)
    levels[:, 6:15] = 1.0
    for bias_mm, first, last in ((-4.0, 8, 12), (4.0, 4, 16), (-2.0, 7, 13)):
        columns = np.flatnonzero((spatial_correction(levels, bias_mm, (1.0, 2.0)) > 0).any(axis=0))
        assert (columns[0], columns[-1]) == (first, last)


def test_the_published_form_shrinks_by_about_the_bias():
    levels = -signed_distance(ellipsoid((64, 64), (20, 20), (1, 1)))
    shrunk = spatial_correction(levels, -6.0, move="logit") > 0
    grown = spatial_correction(levels, 6.0, move="logit") > 0
    assert boundary_bias(levels > 0, shrunk) < -2
    assert boundary_bias(levels > 0, grown) > 2


def test_the_published_form_equals_its_formula_by_hand():
    levels = np.array([-2.0, -1, 1, 3, 1, -1, -2])
    # distances .5 1.5 at the centre; band for s = -1: inside voxels at most 1 deep, levels 1 and 1, so A = 1
    distance = np.array([1.5, 0.5, -0.5, -1.5, -0.5, 0.5, 1.5])
    expected = levels - np.exp(-(distance**2) / 2)
    np.testing.assert_allclose(spatial_correction(levels, -1.0, move="logit"), expected)


@pytest.mark.parametrize("levels", [np.full((4, 4), -1.0), np.full((4, 4), 2.0)])
def test_a_prediction_without_boundary_comes_back_as_it_is(levels):
    np.testing.assert_array_equal(spatial_correction(levels, -3.0), levels)


def test_a_finer_grid_finds_the_boundary_below_the_voxel():
    """A ramp crosses zero a quarter voxel from where the mask says."""
    levels = np.tile(np.linspace(4.25, -4.75, 10), (4, 1))
    coarse, fine = (spatial_correction(levels, -0.01, upsample=n)[1, 4] for n in (1, 4))
    assert coarse == pytest.approx(0.49)
    assert fine == pytest.approx(0.25, abs=0.15)


def test_two_clean_cases_that_agree_are_enough_to_correct():
    """Their t interval, 12.7 standard errors wide, holds zero; a bias of three voxels is corrected still."""
    clean = [predicted("a", disc(9), disc(11)), predicted("b", disc(11), disc(14))]
    state, revisions = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(15))], clean)
    (found,) = SpatialCorrection().findings(state)
    assert found["low_mm"] < 0 < found["high_mm"]
    assert len(list(revisions)) == 1


# ---- the method ----

GRID = Grid((40, 40), (1.0, 1.0))


def predicted(case: str, truth: np.ndarray, shown: np.ndarray, given: np.ndarray | None = None) -> Predicted:
    labels = LabelMap((truth if given is None else given)[None], GRID, ("organ",))
    probs = 1 / (1 + np.exp(signed_distance(shown)[None])).astype(np.float32)
    return Predicted(case, labels, labels, probs)


def disc(radius: float) -> np.ndarray:
    return ellipsoid((40, 40), (radius, radius), (1, 1))


def test_a_generous_network_is_corrected_to_the_truth():
    clean = [predicted(f"c{r}", disc(r), disc(r + 3)) for r in (9, 10, 11)]
    state, revisions = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(15), disc(14.4))], clean)
    (revised,) = revisions
    assert revised.case == "t"
    half_a_voxel_all_around = 0.5 * 2 * np.pi * 12
    assert (revised.labels.array[0] ^ disc(12)).sum() <= half_a_voxel_all_around
    assert revised.displacement_mm[0] == pytest.approx(-2.4, abs=0.4)
    assert "organ: predicted boundary moved inward by" in revised.reason
    (found,) = SpatialCorrection().findings(state)
    assert found["moved"]
    assert found["mean_mm"] == pytest.approx(-3, abs=0.3)


def test_a_bias_under_a_voxel_changes_nothing():
    clean = [predicted(f"c{r}", disc(r), disc(r)) for r in (9, 10, 11)]
    state, revisions = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(12))], clean)
    assert list(revisions) == []
    assert not SpatialCorrection().findings(state)[0]["moved"]


def test_an_interval_that_holds_zero_changes_nothing():
    clean = [predicted("a", disc(10), disc(13)), predicted("b", disc(12), disc(10.5))]
    state, revisions = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(15))], clean)
    assert list(revisions) == []
    assert "standard errors of zero" in SpatialCorrection().findings(state)[0]["why"]


def test_a_class_that_the_network_does_not_find_is_kept_and_said_so():
    clean = [predicted(f"c{r}", disc(r), disc(r + 3)) for r in (9, 10)]
    (revised,) = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(0.1) & False)], clean)[1]
    np.testing.assert_array_equal(revised.labels.array[0], disc(12))
    assert "kept" in revised.reason


def test_where_two_structures_run_together_a_higher_level_still_shows_the_gap():
    """Two discs 8 apart, outlines 6 too wide: merged at level 0; the network is less sure between them."""

    def two(radius: float) -> np.ndarray:
        y, x = np.mgrid[:48, :80]
        return (np.hypot(y - 24, x - 22) <= radius) | (np.hypot(y - 24, x - 58) <= radius)

    grid, truth = Grid((48, 80), (1.0, 1.0)), two(14)
    labels = LabelMap(truth[None], grid, ("lungs",))
    logits = -signed_distance(truth)
    logits = np.where(truth, 6.0, 6.0 + logits)  # falls by one a pixel from the true boundary, zero 6 px out
    probs = (1 / (1 + np.exp(-logits)))[None].astype(np.float32)
    cases = [Predicted("c", labels, labels, probs)]
    free, fixed = SpatialCorrection(), SpatialCorrection(level=0)
    (mended,) = free.revise({}, cases, cases)[1]
    (published,) = fixed.revise({}, cases, cases)[1]
    assert free.findings(free.revise({}, [], cases)[0])[0]["level"] > 0
    assert (mended.labels.array[0] ^ truth).sum() < 0.5 * (published.labels.array[0] ^ truth).sum()


def test_a_network_that_has_not_learned_a_class_corrects_nothing():
    clean = [
        predicted(f"c{r}", np.roll(disc(r), 14, axis=0), np.roll(disc(r + 3), -6, axis=0)) for r in (8, 9, 10)
    ]
    state, revisions = SpatialCorrection().revise({}, [predicted("t", disc(12), disc(15))], clean)
    assert list(revisions) == []
    assert "has not learned it" in SpatialCorrection().findings(state)[0]["why"]


def test_an_exclusive_class_that_is_not_moved_keeps_its_pixels():
    """Class a is shown 4 too narrow and grows towards its neighbour b, which is shown where it is."""

    def case(name: str, start: int) -> Predicted:
        truth, shown = np.zeros((12, 40), np.uint8), np.zeros((12, 40), int)
        truth[:, start : start + 14], truth[:, start + 14 : start + 26] = 1, 2
        shown[:, start + 4 : start + 10], shown[:, start + 14 : start + 26] = 1, 2
        labels = LabelMap(truth, Grid((12, 40), (1.0, 1.0)), ("a", "b"))
        probs = np.where(shown == np.arange(3)[:, None, None], 0.9, 0.05).astype(np.float32)
        return Predicted(name, labels, labels, probs)

    (revised,) = SpatialCorrection(level=0).revise({}, [case("t", 6)], [case("c", 3), case("d", 4)])[1]
    np.testing.assert_array_equal(revised.labels.array, case("t", 6).given.array)


def test_gamma_undoes_that_share_of_the_bias():
    clean = [predicted(f"c{r}", disc(r), disc(r + 4)) for r in (9, 10, 11)]
    state, _ = SpatialCorrection(gamma=0.5, level=0).revise({}, [], clean)
    found = SpatialCorrection().findings(state)[0]
    assert found["shift_mm"] == pytest.approx(found["mean_mm"] / 2)


def test_without_clean_cases_the_method_says_that_it_needs_them():
    with pytest.raises(CleanCasesError, match="clean cases"):
        SpatialCorrection().revise({}, [], [])


@pytest.mark.parametrize(
    "wrong", [{"gamma": 0.0}, {"gamma": 1.5}, {"upsample": 0}, {"move": "far"}, {"confidence": 1.0}]
)
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ConfigError):
        dataclasses.replace(SpatialCorrection(), **wrong)


@pytest.mark.parametrize("method", [SpatialCorrection(), OfficialSpatialCorrection()])
def test_a_class_that_no_trusted_case_shows_is_left_as_given_and_said_so(method):
    nothing = disc(10) & False
    clean = [predicted(f"c{r}", nothing, disc(r)) for r in (9, 10)]
    state, revisions = method.revise({}, [predicted("t", disc(12), disc(15))], clean)
    assert list(revisions) == []
    (row,) = method.findings(state)
    assert row["why"] == "no trusted case shows it, so its labels are left as given"
    assert method.correction(state) == {"undo": [None]}


def test_a_boundary_between_pixels_is_undone_from_where_it_lies():
    """Logits -1 and 3 cross zero a quarter of a pixel behind the first: 0.75 to the second, not 0.5."""
    levels = np.array([[[-1.0, -1, 3, 3, 3, 3, -1, -1]] * 3])
    probs = 1 / (1 + np.exp(-levels))
    for upsample, width in ((1, 2), (4, 4)):
        method = SpatialCorrection(upsample=upsample)
        undone = method.correct_prediction(
            {"undo": [[0.0, -0.6]]}, probs, overlapping=True, spacing_mm=(9.0, 1.0)
        )
        assert undone[0].sum(axis=1).tolist() == [width] * 3


@pytest.mark.parametrize(("more", "level"), [(0.0009, 0.0), (0.0012, 2.0)])
def test_another_level_must_be_better_by_a_thousandth_of_dice(more, level):
    reached = {-3.0: 0.9 + more, 0.0: 0.9, 2.0: 0.9 + more, 4.0: 0.9 + more}
    assert SpatialCorrection()._best_level(reached) == level


def test_classes_that_are_held_back_do_not_move_and_others_do_not_start_to():
    rows = [{"class": "a", "moved": True}, {"class": "b", "moved": False}, {"class": "c", "moved": True}]
    state = SpatialCorrection().held_back({"bias": rows}, {"a"})
    assert [row["moved"] for row in state["bias"]] == [False, False, True]


def test_a_bias_of_just_the_least_shift_is_undone():
    bias = Bias("organ", 1.0, 0.9, 1.1, 0.1, 3)
    assert SpatialCorrection(min_shift_vox=0.5)._decide(bias, 0.9, 2.0, "mm")[0]
    assert not SpatialCorrection(min_shift_vox=0.51)._decide(bias, 0.9, 2.0, "mm")[0]
