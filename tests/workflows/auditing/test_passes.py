"""The passes over one case: at another temperature, and what they leave on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn_findings import CLASSES, GENEROUS, MISSED, disc_set
from labelmend.io.cases import Source, open_source
from labelmend.workflows.auditing.case_rows import StatisticsRow
from labelmend.workflows.auditing.findings import Typical, UsualLayout, scaled, typical, usual_layout
from labelmend.workflows.auditing.passes import FindingsPass, StatisticsPass, scaled_if


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
    cold, warm = (StatisticsPass(t)((source.only(MISSED), None)) for t in (1.0, 4.0))
    sure = [row.statistics.calibration.confidence.sum() for row in (cold, warm)]
    assert sure[0] > sure[1]
    np.testing.assert_array_equal(cold.statistics.n_given, warm.statistics.n_given)
    assert (cold.checksum, cold.step_mm, cold.unit) == (source.checksum(MISSED), 1.0, "px")


def test_a_case_keeps_its_own_findings_and_its_grid_without_where_it_lies(source):
    counted = StatisticsPass()((source.only(MISSED), None))
    (finding,) = counted.own
    assert (finding.kind, finding.class_name) == ("missing", "lesion")
    assert (counted.grid, counted.grid.affine) == (source.given.read(MISSED).grid, None)


Numbers = tuple[dict[str, StatisticsRow], Typical, UsualLayout]


def all_counted(source: Source, home: Path | None = None, proposals: bool | None = None) -> Numbers:
    count = StatisticsPass(home=home, proposals=home is not None if proposals is None else proposals)
    counted = {case: count((source.only(case), None)) for case in source.cases}
    usual = typical([row.statistics for row in counted.values()], 1.0)
    return counted, usual, usual_layout([row.layout for row in counted.values()])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cases in the order in which their labels and probabilities are read."""
    read_labels, seen = Source.read_labels, []

    def spied(self: Source, case: str) -> Any:
        seen.append(case)
        return read_labels(self, case)

    monkeypatch.setattr(Source, "read_labels", spied)
    return seen


@pytest.mark.parametrize("wanted", [True, False])
def test_each_case_is_read_once_with_its_proposal_and_without(source, tmp_path, reads, wanted):
    home = tmp_path if wanted else None
    counted, usual, places = all_counted(source, home, proposals=wanted)
    assert reads == list(source.cases)
    assert {case for case, row in counted.items() if row.own} == {MISSED, GENEROUS}
    reads.clear()
    told = {
        case: FindingsPass(1.0, usual, places, home, wanted)((source.only(case), counted[case]))
        for case in source.cases
    }
    assert reads == []
    mended = {case for case, row in told.items() if row.proposal.files}
    assert mended == ({MISSED, GENEROUS} if wanted else set())


def test_the_last_pass_writes_the_proposals_that_the_first_was_not_asked_for(source, tmp_path, reads):
    counted, usual, places = all_counted(source)
    early, *_ = all_counted(source, tmp_path / "early")
    reads.clear()
    tell = FindingsPass(1.0, usual, places, tmp_path / "late")
    told = {case: tell((source.only(case), counted[case])) for case in source.cases}
    assert reads == [MISSED, GENEROUS]
    for case in reads:
        assert told[case].proposal.files == early[case].proposal.files != ()
        files = [tmp_path / home / f"{case}.png" for home in ("early", "late")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_case_with_nothing_but_a_fault_is_not_read_again(source, tmp_path, reads):
    counted, usual, places = all_counted(source)
    right = next(case for case, row in counted.items() if not row.own)
    reads.clear()
    apart = dataclasses.replace(counted[right], misplaced="spacing")
    told = FindingsPass(1.0, usual, places, tmp_path)((source.only(right), apart))
    assert [finding.kind for finding in told.findings] == ["fault"]
    assert "they differ in spacing" in told.reason
    assert (reads, told.proposal.files) == ([], ())


def test_a_case_whose_outlines_are_to_be_moved_is_read_again_without_findings_of_its_own(
    source, tmp_path, reads
):
    counted, usual, places = all_counted(source)
    right = next(case for case, row in counted.items() if not row.own)
    reads.clear()
    beside = dataclasses.replace(counted[right].statistics, edge_mm=usual.edge_mm - 9.0)
    strict = dataclasses.replace(usual, edge_spread=np.full(2, 0.7))
    tell = FindingsPass(1.0, strict, places, tmp_path)
    told = tell((source.only(right), dataclasses.replace(counted[right], statistics=beside)))
    assert [finding.kind for finding in told.findings] == ["case"]
    assert reads == [right]


def test_a_proposal_that_becomes_what_is_given_is_taken_away(source, tmp_path, monkeypatch):
    counted, usual, places = all_counted(source, tmp_path)
    assert (tmp_path / f"{MISSED}.png").exists()
    beside = dataclasses.replace(counted[MISSED].statistics, edge_mm=usual.edge_mm - 9.0, wrong_object=0.0)
    strict = dataclasses.replace(usual, edge_spread=np.full(2, 0.7))
    monkeypatch.setattr("labelmend.workflows.auditing.passes.propose", lambda given, seen, inward_mm: given)
    row = dataclasses.replace(counted[MISSED], statistics=beside)
    assert FindingsPass(1.0, strict, places, tmp_path)((source.only(MISSED), row)).proposal.files == ()
    assert not (tmp_path / f"{MISSED}.png").exists()


def test_only_a_case_with_findings_has_a_proposal_and_only_where_one_is_wanted(source, tmp_path):
    counted, usual, places = all_counted(source)
    for home in (None, tmp_path / "home"):
        tell = FindingsPass(1.0, usual, places, home, proposals=home is not None)
        told = {case: tell((source.only(case), row)) for case, row in counted.items()}
        found = {case for case, row in told.items() if row.findings}
        assert found == {MISSED, GENEROUS}
        assert {case for case, row in told.items() if row.proposal.files} == (found if home else set())
    assert told[MISSED].proposal.files == (f"proposals/{MISSED}.png",)
    assert {path.name for path in (tmp_path / "home").iterdir()} == {f"{case}.png" for case in found}
    assert np.array(Image.open(tmp_path / "home" / f"{MISSED}.png")).max() == CLASSES["lesion"]


def test_a_proposal_is_kept_in_memory_where_nothing_is_written(source, tmp_path):
    written, *_ = all_counted(source, tmp_path)
    held, *_ = all_counted(source, proposals=True)
    labels = held[MISSED].proposal.labels
    np.testing.assert_array_equal(labels.array, np.array(Image.open(tmp_path / f"{MISSED}.png")))
    assert (held[MISSED].proposal.files, written[MISSED].proposal.labels) == ((), None)
