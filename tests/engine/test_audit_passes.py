"""The passes over one case: at another temperature, and what they leave on disk."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from drawn_findings import CLASSES, GENEROUS, MISSED, disc_set
from labelmend.detection import scaled, typical, usual_layout
from labelmend.engine.audit_passes import Count, Tell, scaled_if
from labelmend.engine.audit_source import Source, open_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    root = disc_set(tmp_path_factory.mktemp("discs"), 5)
    return open_source(root / "labels", root / "probabilities", root / "images", classes=CLASSES)


def test_overlapping_classes_are_scaled_one_by_one_whatever_they_sum_up_to():
    probs = np.array([[0.9, 0.2], [0.1, 0.8]])  # sums of one, as if exclusive
    expected = [[0.75, 1 / 3], [0.25, 2 / 3]]
    np.testing.assert_allclose(scaled_if(probs, 2.0, overlapping=True), expected, rtol=1e-6)
    np.testing.assert_allclose(scaled_if(probs[:1], 2.0, overlapping=True), expected[:1], rtol=1e-6)
    assert scaled_if(probs, 1.0, overlapping=True) is probs


def test_exclusive_classes_are_scaled_together():
    probs = np.array([[0.9, 0.2], [0.1, 0.8]])
    np.testing.assert_array_equal(scaled_if(probs, 2.0, overlapping=False), scaled(probs, 2.0))


def test_numbers_at_a_higher_temperature_are_those_of_a_network_that_is_less_sure(source):
    cold, warm = (Count(t)((source.only(MISSED), None)) for t in (1.0, 4.0))
    sure = [row.numbers.calibration.confidence.sum() for row in (cold, warm)]
    assert sure[0] > sure[1]
    np.testing.assert_array_equal(cold.numbers.n_given, warm.numbers.n_given)
    assert (cold.checksum, cold.step_mm, cold.unit) == (source.checksum(MISSED), 1.0, "px")


def test_only_a_case_with_findings_has_a_proposal_and_only_where_one_is_wanted(source, tmp_path):
    counted = {case: Count()((source.only(case), None)) for case in source.cases}
    usual = typical([row.numbers for row in counted.values()], 1.0)
    places = usual_layout([row.layout for row in counted.values()])
    for home in (None, tmp_path / "home"):
        tell = Tell(1.0, usual, places, home)
        told = {case: tell((source.only(case), row)) for case, row in counted.items()}
        found = {case for case, row in told.items() if row.findings}
        assert found == {MISSED, GENEROUS}
        assert {case for case, row in told.items() if row.proposal} == (found if home else set())
    assert told[MISSED].proposal == (f"proposals/{MISSED}.png",)
    assert {path.name for path in (tmp_path / "home").iterdir()} == {f"{case}.png" for case in found}
    assert np.array(Image.open(tmp_path / "home" / f"{MISSED}.png")).max() == CLASSES["lesion"]
