"""The label store: versions on top of the given labels, and what a revision may not do."""

import dataclasses

import numpy as np
import pytest

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.methods.base import check_revision
from labelmend.types import Grid, LabelMap, Revision
from labelmend.workflows.training.label_versions import LabelStore

GRID = Grid((2, 3), (1.0, 2.0))
GIVEN = LabelMap(np.array([[0, 1, 9], [0, 2, 9]], np.uint8), GRID, ("a", "b"), ignore=9)


def revision(labels: LabelMap, case: str = "x", reason: str = "why") -> Revision:
    return Revision(case, labels, reason, (1, 0), (0, 1), (0.5, float("nan")), 0.75)


def revised(array: list[list[int]]) -> LabelMap:
    return dataclasses.replace(GIVEN, array=np.array(array, np.uint8))


FIRST, SECOND = revised([[1, 1, 9], [0, 2, 9]]), revised([[1, 1, 9], [1, 2, 9]])


@pytest.fixture
def store(tmp_path) -> LabelStore:
    """x is revised in versions 1 and 3, y never."""
    made = LabelStore(tmp_path / "labels", lambda case: GIVEN)
    made.commit(revision(FIRST), 1, GIVEN)
    made.commit(revision(SECOND, reason="why again"), 3, GIVEN)
    return made


@pytest.mark.parametrize(("at", "expected"), [(0, GIVEN), (1, FIRST), (2, FIRST), (3, SECOND), (9, SECOND)])
def test_a_version_holds_the_newest_revision_that_is_not_newer(store, at, expected):
    assert store.read("x", at).array.tolist() == expected.array.tolist()


def test_a_case_that_was_never_revised_is_the_given_one_in_every_version(store):
    assert store.read("y", 3) is GIVEN
    assert store.version_of("y", 3) == 0


def test_versions_share_unchanged_cases_on_disk(store):
    assert sorted(str(p.relative_to(store.folder)) for p in store.folder.rglob("*.npz")) == [
        "v1/x.npz",
        "v3/x.npz",
    ]


def test_revised_labels_keep_grid_names_and_ignore_value_of_the_given_ones(store):
    labels = store.read("x", 1)
    assert (labels.grid, labels.classes, labels.ignore, labels.array.dtype) == (GRID, ("a", "b"), 9, np.uint8)


def test_given_labels_that_are_at_hand_are_not_read_again(tmp_path):
    def fail(case):
        raise AssertionError("read again")

    assert LabelStore(tmp_path, fail).read("x", 2, GIVEN) is GIVEN


def test_the_note_of_a_case_is_that_of_its_newest_revision(store):
    note = store.note("x", 3)
    assert (note["version"], note["reason"], note["confidence"]) == (3, "why again", 0.75)
    assert (note["added_vox"], note["removed_vox"]) == ([1, 0], [0, 1])
    assert note["displacement_mm"][0] == 0.5
    assert np.isnan(note["displacement_mm"][1])


def test_a_case_that_was_never_revised_has_no_note(store):
    assert store.note("y", 3) is None


def test_committing_again_replaces_a_revision(store):
    store.commit(revision(SECOND), 1, GIVEN)
    assert store.read("x", 1).array.tolist() == SECOND.array.tolist()


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_a_damaged_revision_is_named_with_its_case(store, keep):
    path = store.folder / "v3" / "x.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableFileError, match=r"case x: .*v3/x\.npz"):
        store.read("x", 3)
    with pytest.raises(UnreadableFileError, match=r"case x: .*v3/x\.npz"):
        store.note("x", 3)


def test_a_revision_may_not_change_an_ignored_pixel():
    with pytest.raises(LabelValueError, match=r"case x: .*ignored"):
        check_revision(revision(revised([[0, 1, 1], [0, 2, 9]])), GIVEN)


def test_a_revision_may_not_ignore_more_pixels():
    with pytest.raises(LabelValueError, match=r"case x: .*ignored"):
        check_revision(revision(revised([[9, 1, 9], [0, 2, 9]])), GIVEN)


def test_a_revision_may_not_mark_an_ignored_pixel_of_overlapping_classes():
    ignored = np.array([[True, False, False]])
    given = LabelMap(np.zeros((1, 1, 3), bool), Grid((1, 3), (1, 1)), ("a",), ignored_mask=ignored)
    bad = dataclasses.replace(given, array=np.ones((1, 1, 3), bool))
    with pytest.raises(LabelValueError, match="ignored"):
        check_revision(Revision("x", bad, "", (3,), (0,), (0.0,), 1.0), given)


def test_a_revision_may_not_change_the_shape():
    other = LabelMap(np.zeros((3, 2), np.uint8), Grid((3, 2), (1, 1)), ("a", "b"), ignore=9)
    with pytest.raises(GeometryError, match=r"\(3, 2\)"):
        check_revision(revision(other), GIVEN)


def test_a_revision_may_not_change_the_dtype():
    with pytest.raises(GeometryError, match="int32"):
        check_revision(revision(dataclasses.replace(GIVEN, array=GIVEN.array.astype(np.int32))), GIVEN)


def test_a_revision_may_not_rename_classes():
    with pytest.raises(LabelValueError, match="classes"):
        check_revision(revision(dataclasses.replace(GIVEN, classes=("a", "c"))), GIVEN)


def test_a_refused_revision_is_not_kept(tmp_path):
    store = LabelStore(tmp_path / "labels", lambda case: GIVEN)
    with pytest.raises(LabelValueError):
        store.commit(revision(revised([[0, 1, 1], [0, 2, 9]])), 1, GIVEN)
    assert not store.folder.exists()


def test_pixels_to_leave_out_of_training_are_kept_beside_the_labels(store):
    upper = np.array([[True] * 3, [False] * 3])
    store.commit(dataclasses.replace(revision(SECOND), left_out=upper), 4, GIVEN)
    assert [store.left_out("x", at) is None for at in (0, 1, 3)] == [True] * 3
    assert np.array_equal(store.left_out("x", 4), upper)


@pytest.mark.parametrize("wrong", [np.zeros((3, 2), bool), np.zeros((2, 3), np.uint8)])
def test_left_out_pixels_must_be_booleans_on_the_grid(wrong):
    with pytest.raises(GeometryError, match=r"case x: left_out is .* booleans of shape \(2, 3\)"):
        check_revision(dataclasses.replace(revision(SECOND), left_out=wrong), GIVEN)


def test_a_revision_that_changes_neither_labels_nor_what_is_left_out_is_none(store):
    """x is FIRST in version 1; leaving pixels out is a change, leaving out none is not."""
    some, none = np.eye(2, 3, dtype=bool), np.zeros((2, 3), bool)
    same = revision(FIRST)
    assert not store.differs(same, 1, GIVEN)
    assert not store.differs(dataclasses.replace(same, left_out=none), 1, GIVEN)
    assert store.differs(dataclasses.replace(same, left_out=some), 1, GIVEN)
    assert store.differs(revision(SECOND), 1, GIVEN)
    assert store.differs(revision(GIVEN), 1, GIVEN)
    store.commit(dataclasses.replace(same, left_out=some), 4, GIVEN)
    assert not store.differs(dataclasses.replace(same, left_out=some), 4, GIVEN)
    assert store.differs(same, 4, GIVEN)
