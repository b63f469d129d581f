"""Folds: balanced, whole groups, as given by nnU-Net, and refused where they cannot be made."""

import json

import pytest

from labelmend.errors import ConfigError, DataError, MissingDataError
from labelmend.workflows.crossfitting.folds import balanced_folds, make_folds

CASES = [f"c{i}" for i in range(10)]


def test_every_case_is_held_out_once_and_folds_differ_by_one_case_at_most():
    folds = make_folds(CASES, 3)
    assert sorted(folds) == CASES
    assert sorted(list(folds.values()).count(k) for k in range(3)) == [3, 3, 4]


def test_the_assignment_depends_on_the_seed_and_on_nothing_else():
    assert make_folds(CASES, 3) == make_folds(CASES[::-1], 3)
    assert make_folds(CASES, 3, seed=1) != make_folds(CASES, 3, seed=2)


def test_cases_of_one_patient_share_a_fold(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("case,group\n" + "".join(f"{case},p{i // 3}\n" for i, case in enumerate(CASES)))
    folds = make_folds(CASES, 3, groups=table)
    for patient in range(3):
        assert len({folds[case] for case in CASES[3 * patient : 3 * patient + 3]}) == 1
    assert set(folds.values()) == {0, 1, 2}


def test_the_largest_group_does_not_share_its_fold_while_another_is_empty():
    folds = balanced_folds({"a1": "a", "a2": "a", "a3": "a", "b": "b", "c": "c"}, 2)
    assert {case for case, fold in folds.items() if fold == folds["a1"]} == {"a1", "a2", "a3"}


def test_a_group_file_that_forgets_a_case_is_refused(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("case,group\nc0,p0\n")
    with pytest.raises(MissingDataError, match="names no group for case c1"):
        make_folds(CASES[:2], 2, groups=table)


@pytest.mark.parametrize(("n_folds", "message"), [(1, "at least 2, got 1"), (11, "10 cases or groups")])
def test_too_few_folds_or_cases_are_refused(n_folds, message):
    with pytest.raises(ConfigError, match=message):
        make_folds(CASES, n_folds)


def splits(tmp_path, content):
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(content))
    return path


def test_folds_of_nnunet_are_taken_as_they_are(tmp_path):
    path = splits(tmp_path, [{"train": ["b", "c"], "val": ["a"]}, {"train": ["a"], "val": ["c", "b"]}])
    assert make_folds(["a", "b", "c"], 5, groups=path) == {"a": 0, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ([{"train": ["b"], "val": ["a"]}], MissingDataError, "no fold of .* holds out case b"),
        ([{"train": ["a", "b"], "val": ["a"]}], DataError, "fold 0 trains on case a and holds it out"),
        ([{"train": [], "val": ["a"]}, {"train": [], "val": ["a", "b"]}], DataError, "folds 0 and 1"),
        ({"val": ["a"]}, DataError, "not a splits_final.json"),
    ],
)
def test_splits_that_do_not_hold_out_each_case_once_are_refused(tmp_path, content, error, message):
    with pytest.raises(error, match=message):
        make_folds(["a", "b"], 5, groups=splits(tmp_path, content))
