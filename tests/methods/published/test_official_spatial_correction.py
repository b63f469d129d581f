"""The released program of Spatial Correction: its defects, pinned by hand."""

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.geometry import boundary_bias, signed_distance
from labelmend.methods.published.official_spatial_correction import (
    OfficialSpatialCorrection,
    official_bias_vox,
)
from labelmend.types import Grid, LabelMap, Predicted

GRID = Grid((40, 40), (1.0, 1.0))
OFFICIAL = OfficialSpatialCorrection()


def predicted(case: str, truth: np.ndarray, shown: np.ndarray, given: np.ndarray | None = None) -> Predicted:
    labels = LabelMap((truth if given is None else given)[None], GRID, ("organ",))
    probs = 1 / (1 + np.exp(signed_distance(shown)[None])).astype(np.float32)
    return Predicted(case, labels, labels, probs)


def disc(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:40, :40] - 19.5
    return np.hypot(rows, columns) <= radius


def test_the_official_code_reads_outward_and_inward_shifts_differently():
    clean, larger, smaller = np.zeros((3, 20), bool), np.zeros((3, 20), bool), np.zeros((3, 20), bool)
    clean[:, 6:14], larger[:, 4:16], smaller[:, 8:12] = True, True, True
    assert official_bias_vox(larger, clean) == -3  # -(r + 1)
    assert official_bias_vox(smaller, clean) == 2  # +r
    assert boundary_bias(larger, clean) == -2
    assert boundary_bias(smaller, clean) == 2
    assert official_bias_vox(clean & False, clean) == 1
    assert official_bias_vox(clean, clean & False) == -1


def test_the_official_bias_is_divided_by_the_number_of_classes():
    masks = np.stack([disc(10), disc(6), disc(4)])
    labels = LabelMap(masks, GRID, ("a", "b", "c"))
    probs = np.stack([disc(13), disc(6), disc(4)]).astype(np.float32) * 0.8 + 0.1
    clean = [Predicted("c", labels, labels, probs)]
    rows = OFFICIAL.findings(OFFICIAL.revise({}, [], clean)[0])
    assert rows[0]["mean_mm"] == pytest.approx(official_bias_vox(disc(13), disc(10)) / 3)


def test_the_official_code_puts_the_raw_prediction_where_the_bias_is_small():
    clean = [predicted("c", disc(10), disc(10) & ~np.eye(40, dtype=bool))]
    case = predicted("t", disc(12), disc(11), disc(12))
    (revised,) = OFFICIAL.revise({}, [case], clean)[1]
    np.testing.assert_array_equal(revised.labels.array[0], case.probs[0] > 0.5)


def test_the_official_bias_is_in_mm_of_the_finest_spacing():
    level, clean = np.where(disc(13), 1.0, -1.0), disc(10)
    assert OFFICIAL._case(level, clean, (0.5, 2.0)).bias_mm == official_bias_vox(disc(13), clean) * 0.5


def test_the_logit_move_uses_the_official_distance():
    """Levels 1 inside, -1 outside; the rim has distance -1, not -1/2, and stays."""
    levels = np.array([[-1.0, 1, 1, 1, 1, 1, -1]] * 3)
    moved = OFFICIAL.corrected(levels, 0.0, -1.0, (1.0, 1.0))
    assert moved[1, 1] == pytest.approx(1 - np.exp(-0.5))
    assert moved[1, 3] == pytest.approx(1 - np.exp(-4.5))


@pytest.mark.parametrize("wrong", [{"move": "distance"}, {"level": 1.0}, {"trim": 0.25}])
def test_what_the_program_fixes_cannot_be_set(wrong):
    with pytest.raises(ConfigError, match="leave them"):
        OfficialSpatialCorrection(**wrong)
