"""Findings of drawn errors, with sizes in mm worked out by hand, and proposals that mend exactly these."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from scipy import ndimage

from drawing import box, disc
from drawn_findings import Told, exclusive, overlapping, sure, told
from labelmend.types import FloatArray, LabelMap
from labelmend.workflows.auditing.findings import (
    Finding,
    Frame,
    examine,
    faults,
    find_disagreements,
    layout_of,
    own_findings,
    propose,
    statistics_of,
    typical,
    usual_layout,
)

SHAPE = (80, 80)
LARGE, SMALL = disc(SHAPE, (28, 28), 16.5), disc(SHAPE, (62, 62), 6.5)
BOTH = LARGE * 1 + SMALL * 2


def test_a_missing_disc():
    found = told(exclusive(LARGE, 2, spacing_mm=(0.5, 0.5)), BOTH)
    (finding,) = found.findings
    area_mm2 = SMALL.sum() * 0.25
    assert (finding.kind, finding.class_name, finding.other) == ("missing", "b", "")
    assert finding.size_mm == area_mm2 == 34.25
    assert finding.reason == "b: an object of 34 mm2 seems to be missing."
    assert finding.box == ((56, 69), (56, 69))
    assert np.isnan(finding.offset_mm)
    assert found.reason == finding.reason
    np.testing.assert_array_equal(found.proposal().array, BOTH)


def test_a_spurious_disc():
    found = told(exclusive(BOTH, 2), LARGE * 1)
    (finding,) = found.findings
    assert (finding.kind, finding.class_name) == ("spurious", "b")
    assert finding.reason == "b: an object of 1.4 cm2 seems to be spurious."
    np.testing.assert_array_equal(found.proposal().array, LARGE)


def test_a_disc_of_the_wrong_class():
    given = exclusive(LARGE * 1 + SMALL * 1, 2)
    found = told(given, BOTH)
    (finding,) = found.findings
    assert (finding.kind, finding.class_name, finding.other) == ("wrong_class", "b", "a")
    assert finding.reason == "An object of 1.4 cm2 is annotated as a but looks like b."
    np.testing.assert_array_equal(found.proposal().array, BOTH)


def test_two_classes_that_were_exchanged():
    given = exclusive(LARGE * 2 + SMALL * 1, 2)
    found = told(given, BOTH)
    assert {(f.kind, f.class_name, f.other) for f in found.findings} == {
        ("wrong_class", "a", "b"),
        ("wrong_class", "b", "a"),
    }
    np.testing.assert_array_equal(found.proposal().array, BOTH)


def test_a_shifted_disc_has_two_stretches_of_outline_and_no_object():
    given = exclusive(np.roll(LARGE, 7, axis=1))
    found = told(given, LARGE * 1)
    assert [(f.kind, f.class_name, f.other) for f in found.findings] == [("outline", "a", "")] * 2
    inward, outward = sorted(finding.offset_mm for finding in found.findings)
    assert outward == -inward
    assert 3 < outward < 7
    np.testing.assert_array_equal(found.proposal().array, LARGE)


def test_a_stretch_has_a_length_and_a_width():
    true = box(SHAPE, (20, 60), (20, 40))
    given = exclusive(true | box(SHAPE, (20, 60), (40, 46)), spacing_mm=(2.0, 2.0))
    (finding,) = told(given, true * 1).findings
    # a strip of 40 x 6 px: depths 0.5 1.5 2.5 2.5 1.5 0.5 in a row, in the two rows at each end 6 and 2 less
    assert finding.offset_mm == pytest.approx(2 * 4 * (40 * 9 - 2 * (6 + 2)) / 240)
    assert finding.size_mm * finding.offset_mm == pytest.approx(240 * 4)
    assert re.fullmatch(r"a: outline 11 mm too far out along \d\d mm\.", finding.reason)
    assert finding.box == ((20, 60), (40, 46))


def test_an_outline_that_lies_too_far_in_reads_negative():
    true = box(SHAPE, (20, 60), (20, 40))
    (finding,) = told(exclusive(box(SHAPE, (20, 60), (20, 34))), true * 1).findings
    assert -6 < finding.offset_mm < -5
    assert "too far in along" in finding.reason


def test_an_outline_between_two_classes_is_that_of_the_given_one():
    true = box(SHAPE, (20, 60), (20, 40)) * 1 + box(SHAPE, (20, 60), (40, 60)) * 2
    given = exclusive(np.where(box(SHAPE, (20, 60), (40, 46)), 1, true), 2)
    found = told(given, true)
    (finding,) = found.findings
    assert (finding.kind, finding.class_name, finding.other) == ("outline", "a", "b")
    assert "mm too far out into b along" in finding.reason
    np.testing.assert_array_equal(found.proposal().array, true)


def test_a_sliver_and_a_region_that_nobody_is_sure_of_are_not_told():
    true = box(SHAPE, (20, 60), (20, 40))
    assert told(exclusive(np.roll(true, 2, axis=1)), true * 1).findings == ()
    unsure = told(exclusive(np.roll(true, 8, axis=1)), probs=sure(true * 1, 1, prob=0.6))
    assert unsure.findings == ()


def test_a_case_without_errors():
    found = told(exclusive(BOTH, 2), BOTH)
    assert (found.findings, found.score.score, found.reason) == ((), 0, "Nothing stands out.")
    np.testing.assert_array_equal(found.proposal().array, BOTH)


@pytest.mark.parametrize("fill", [0, 1, 9])
def test_empty_full_and_ignored_annotations_are_examined(fill):
    given = exclusive(np.full(SHAPE, fill), 2, ignore=9)
    found = told(given, BOTH, image=np.ones((1, *SHAPE)))
    proposal = found.proposal().array
    np.testing.assert_array_equal(proposal, np.full(SHAPE, 9) if fill == 9 else BOTH)


def test_the_case_comes_before_its_objects_its_stretches_and_its_faults():
    slips = [Finding("fault", "a", score, "") for score in (0.5, 0.9)]
    given, probs = exclusive(disc(SHAPE, (28, 34), 16.5) * 1, 2), sure(BOTH, 2, prob=0.75)
    found = told(given, probs=probs, others=[exclusive(BOTH, 2)] * 9, slips=slips)
    kinds = [finding.kind for finding in found.findings]
    assert kinds == ["case", "missing", "outline", "outline", "fault", "fault"]
    assert [finding.score for finding in found.findings[-2:]] == [0.9, 0.5]


def test_a_prediction_that_is_surer_than_usual_where_it_contradicts_is_told_where_nothing_else_is():
    teeth = np.any([box(SHAPE, (2 + 8 * i, 6 + 8 * i), (50, 58)) for i in range(9)], axis=0)
    strip = box(SHAPE, (0, 80), (10, 50))
    given = exclusive(strip | teeth)
    numbers, rest = statistics_of(given, find_disagreements(given, sure(strip * 1, 1, 0.99))), []
    for prob in (0.6, 0.61, 0.62, 0.63):
        rest.append(statistics_of(given, find_disagreements(given, sure(strip * 1, 1, prob))))
    found = examine(given, (), numbers, typical([numbers, *rest], 1.0))
    (whole,) = found.findings
    assert (whole.kind, whole.class_name, whole.box) == ("case", "", None)
    assert (
        whole.reason
        == "Where the model disagrees with this mask, it is unusually confident: 99%, typically 61%."
    )
    for own in (Finding("spurious", "a", 0.5, ""), Finding("outline", "a", 0.5, "")):
        assert examine(given, [own], numbers, typical([numbers, *rest], 1.0)).findings == (own,)


def test_a_case_whose_outline_runs_apart_says_how_far():
    found = told(
        exclusive(disc(SHAPE, (28, 28), 20.5) * 1 + SMALL * 2, 2), BOTH, others=[exclusive(BOTH, 2)] * 9
    )
    whole = found.findings[0]
    assert (whole.kind, whole.class_name, whole.box) == ("case", "a", None)
    assert whole.score == found.score.score > 0.5
    assert whole.reason == (
        "a: 100% of the outline differs from the prediction, typically 0%; on average it is "
        f"{whole.offset_mm:.1f} mm too wide."
    )
    assert whole.offset_mm == pytest.approx(4, abs=0.4)


def test_an_outline_that_is_off_by_turns_lies_on_neither_side():
    waves = np.where(np.arange(80)[:, None] % 20 < 10, 44, 36)
    straight, wavy = (np.arange(80) < 40) & (waves > 0), np.arange(80) < waves
    found = told(exclusive(wavy), straight * 1, others=[exclusive(straight)] * 9)
    assert found.findings[0].kind == "case"
    assert found.findings[0].reason.endswith("on average it is neither too wide nor too tight.")


def biased(out_vox: int, prob: float = 0.7) -> Told:
    """A box drawn beside its edge, by somebody whom the network follows, with a probability."""
    true = box(SHAPE, (24, 56), (24, 56))
    drawn = box(SHAPE, (24 - out_vox, 56 + out_vox), (24 - out_vox, 56 + out_vox))
    probs = np.where(drawn != true, sure(drawn * 1, 1, prob), sure(drawn * 1, 1, 0.95))
    return told(exclusive(drawn), probs=probs, image=true[None] * 40.0, others=[exclusive(true)] * 9)


@pytest.mark.parametrize("out_vox", [3, 4, -3])
def test_edges_show_a_bias_that_the_network_shares_and_the_proposal_moves_onto_them(out_vox):
    found = biased(out_vox)
    (finding,) = found.findings
    assert (finding.kind, found.score.main) == ("case", "edges")
    assert finding.offset_mm == pytest.approx(out_vox, abs=0.1)
    side, edges = ("wide", "inside") if out_vox > 0 else ("tight", "outside")
    assert finding.reason == (
        f"a: drawn {abs(finding.offset_mm):.1f} mm too {side} throughout; the edges in the image are {edges} "
        "the outline."
    )
    true = box(SHAPE, (24, 56), (24, 56))
    differ = found.proposal().array != true
    assert differ.sum() <= (0 if out_vox > 0 else 4 * 3)  # outlines that grow round off at corners


@pytest.mark.parametrize("out_vox", [3, -3])
def test_where_the_network_is_sure_an_outline_is_not_moved(out_vox):
    found = biased(out_vox, prob=0.85)
    assert found.findings[0].kind == "case"
    np.testing.assert_array_equal(found.proposal().array, found.given.array)


def test_a_bias_of_one_px_is_not_told():
    assert biased(1).findings == ()


def test_ignored_pixels_stay_and_nothing_is_told_of_them():
    labels = np.where(LARGE, 1, 0)
    labels[50:] = 9
    given = exclusive(labels, 2, ignore=9)
    found = told(given, BOTH)
    assert found.findings == ()
    half = exclusive(np.where(np.arange(80)[:, None] < 12, 9, 0) * np.ones(SHAPE, int), 2, ignore=9)
    proposal = told(half, LARGE * 1).proposal().array
    np.testing.assert_array_equal(proposal, np.where(np.arange(80)[:, None] < 12, 9, LARGE))


def test_of_overlapping_classes_each_is_mended_by_itself():
    masks, true = [LARGE, LARGE], np.stack([LARGE, LARGE | SMALL])
    given = overlapping(masks)
    found = told(given, true)
    (finding,) = found.findings
    assert (finding.kind, finding.class_name) == ("missing", "b")
    proposal = found.proposal()
    assert proposal.array.dtype == bool
    np.testing.assert_array_equal(proposal.array, true)
    np.testing.assert_array_equal(given.array, masks)


def test_without_a_unit_lengths_are_in_pixels():
    given = exclusive(LARGE, 2)
    given = dataclasses.replace(given, grid=dataclasses.replace(given.grid, unit="px"))
    assert told(given, BOTH).reason == "b: an object of 137 px seems to be missing."


def test_a_missing_ball_in_thick_slices_has_a_volume():
    shape, spacing_mm = (12, 40, 40), (4.0, 1.0, 1.0)
    ball = disc(shape, (6, 20, 20), 10, spacing_mm)
    given = exclusive(np.zeros(shape), spacing_mm=spacing_mm)
    found = told(given, ball * 1)
    (finding,) = found.findings
    assert finding.size_mm == ball.sum() * 4
    assert finding.reason == f"a: an object of {finding.size_mm / 1000:.1f} ml seems to be missing."
    np.testing.assert_array_equal(found.proposal().array, ball)


THICK = (5.0, 0.7, 0.7)


def ellipsoid(centre_mm: float) -> np.ndarray:
    """20 by 28 by 28 mm and more in thick slices, its centre so far along the first axis."""
    gaps_mm = (np.indices((12, 60, 60)).T * THICK - (centre_mm, 21, 21)).T
    return np.linalg.norm((gaps_mm.T / (25, 14, 14)).T, axis=0) < 1


@pytest.mark.parametrize("off_mm", [1.0, 2.5])
def test_half_a_slice_is_no_finding(off_mm):
    given, predicted = ellipsoid(27.5), ellipsoid(27.5 + off_mm)
    assert (given != predicted).sum() > 300
    found = told(exclusive(given, spacing_mm=THICK), predicted * 1)
    assert found.findings == ()


def test_two_slices_are_a_finding():
    found = told(exclusive(ellipsoid(27.5), spacing_mm=THICK), ellipsoid(37.5) * 1)
    assert {finding.kind for finding in found.findings} == {"outline"}


def test_3_px_all_round_are_a_finding_in_thick_slices_as_in_a_picture():
    small, large = disc((60, 60), (30, 30), 15), disc((60, 60), (30, 30), 18)
    (flat,) = told(exclusive(large, spacing_mm=THICK[1:]), small * 1).findings
    deep = [np.stack([mask & (2 <= i < 9) for i in range(12)]) for mask in (large, small)]
    (finding,) = told(exclusive(deep[0], spacing_mm=THICK), deep[1] * 1).findings
    assert finding.score == pytest.approx(flat.score, rel=0.05)
    assert finding.offset_mm == pytest.approx(flat.offset_mm, rel=0.05)


def drawn_by_chance(rng: np.random.Generator) -> tuple[LabelMap, FloatArray, FloatArray | None]:
    """Blobs, noise, nothing or everything, in 2-D or 3-D, of one class or more, with ties and 16 bits."""
    ndim, k = int(rng.integers(2, 4)), int(rng.choice([1, 2, 5]))
    shape = tuple(int(n) for n in rng.integers(1, 40 if ndim == 2 else 14, ndim))
    spacing_mm = tuple(rng.choice([0.5, 1.0, 4.0], ndim).tolist())
    smooth = ndimage.gaussian_filter(rng.normal(size=(k + 1, *shape)), (0, *[rng.choice([0, 2])] * ndim))
    probs = np.exp(rng.choice([0, 1, 30]) * smooth)
    probs = (probs / probs.sum(axis=0)).astype(rng.choice([np.float16, np.float32]))
    drawn = np.roll(smooth, int(rng.integers(0, 5)), axis=1).argmax(axis=0)
    array = [drawn, drawn * 0, drawn * 0 + 1, np.where(drawn == k, 9, drawn), drawn * 0 + 9][rng.integers(5)]
    image = None if rng.random() < 0.3 else rng.normal(size=(2, *shape)) * rng.choice([0, 1])
    if rng.random() < 0.5:
        return exclusive(array, k, spacing_mm, ignore=9), probs, image
    masks = [(array == index) | (array == 1) for index in range(1, k + 1)]
    given = overlapping(masks, ignored_mask=(array == 9) if rng.random() < 0.5 else None)
    return given, probs[1:], image


def same_data_set(one: LabelMap, other: LabelMap) -> bool:
    return (one.classes, one.overlapping, one.grid.ndim) == (
        other.classes,
        other.overlapping,
        other.grid.ndim,
    )


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_drawn_is_examined_without_a_warning_and_ignored_pixels_stay(seed):
    rng = np.random.default_rng(seed)
    cases = [drawn_by_chance(rng) for _ in range(40)]
    for given, probs, image in cases[:12]:
        others = [case for case in cases if same_data_set(case[0], given)]
        usual = typical([statistics_of(g, find_disagreements(g, p), i) for g, p, i in others], 1.0)
        layouts = usual_layout([layout_of(g) for g, _, _ in others])
        seen = find_disagreements(given, probs)
        slips = faults(given, layout_of(given), layouts)
        own = [found.finding for found in own_findings(given, seen)]
        found = examine(given, own, statistics_of(given, seen, image), usual, slips=slips)
        proposal = propose(given, seen, found.inward_mm)
        assert 0 <= found.score.score <= 1
        assert all(np.isfinite(f.size_mm) or f.kind in ("case", "fault") for f in found.findings)
        ignored = given.ignored()
        np.testing.assert_array_equal(proposal.masks()[:, ignored], given.masks()[:, ignored])
        np.testing.assert_array_equal(proposal.ignored(), ignored)
        for finding in found.findings:
            ends = finding.box or ()
            assert all(0 <= a < b <= n for (a, b), n in zip(ends, given.grid.shape, strict=False))
            assert "nan" not in finding.reason


def test_the_frame_of_an_annotation_says_as_much_as_its_pixels():
    given = exclusive(disc(SHAPE, (28, 28), 20.5) * 1 + SMALL * 2, 2)
    seen = find_disagreements(given, sure(BOTH, 2))
    right = exclusive(BOTH, 2)
    numbers, others = (
        statistics_of(given, seen),
        statistics_of(right, find_disagreements(right, sure(BOTH, 2))),
    )
    frame, usual = Frame(given.classes, given.grid), typical([numbers, others, others], 1.0)
    with_pixels, without = (examine(known, (), numbers, usual) for known in (given, frame))
    assert with_pixels.findings[0].kind == "case"
    assert str(with_pixels.findings) == str(without.findings)  # NaN equals nothing, not even itself
