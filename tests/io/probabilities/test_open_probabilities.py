"""What lies in a folder of probabilities is told by looking, and what is missing is said."""

import json

import numpy as np
import pytest

from drawing import picture
from labelmend.errors import DataError, LabelValueError, MissingDataError, UnreadableFileError
from labelmend.io import open_labels, open_probabilities

PROBS = np.array([[[0.75, 0.25]], [[0.25, 0.75]]], np.float32)


@pytest.fixture
def labels(tmp_path):
    for case in "ab":
        picture(tmp_path / "labels" / f"{case}.png", [[0, 1]])
    return open_labels(tmp_path / "labels", classes={"lung": 1})


def saved(folder, cases="ab", key="probabilities"):
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        np.savez_compressed(folder / f"{case}.npz", **{key: PROBS[:, None]})
    return folder


def test_arrays_of_one_fold_are_found_beside_other_files(tmp_path, labels):
    folder = saved(tmp_path / "validation")
    (folder / "summary.json").write_text("{}")
    (folder / "a.pkl").write_bytes(b"never opened")
    picture(folder / "a.png", [[0, 1]])
    (folder / ".hidden.npz").write_bytes(b"")
    found = open_probabilities(folder, labels)
    assert (found.kind, found.cases, found.notes) == ("arrays", ("a", "b"), ())
    assert found.checksum_files("a") == (folder / "a.npz",)
    np.testing.assert_array_equal(found.read("a", labels.read("a")), PROBS)


def test_all_folds_are_found_from_the_folder_above(tmp_path, labels):
    trainer = tmp_path / "nnUNetTrainer__nnUNetPlans__2d"
    saved(trainer / "fold_0" / "validation", "a")
    saved(trainer / "fold_1" / "validation", "b")
    saved(trainer / "fold_all" / "validation", "ab")  # was trained on what it predicts
    found = open_probabilities(trainer, labels)
    assert found.checksum_files("b") == (trainer / "fold_1" / "validation" / "b.npz",)
    assert found.notes == ()


def test_fold_all_is_told_not_to_be_out_of_sample(tmp_path, labels):
    (note,) = open_probabilities(saved(tmp_path / "fold_all" / "validation"), labels).notes
    assert "not out-of-sample" in note


def test_a_case_in_two_folds_or_two_files_is_an_error(tmp_path, labels):
    for fold in (0, 1):
        saved(tmp_path / f"fold_{fold}" / "validation")
    with pytest.raises(DataError, match="case a has probabilities twice"):
        open_probabilities(tmp_path, labels)
    folder = saved(tmp_path / "one")
    np.save(folder / "a.npy", PROBS)
    with pytest.raises(DataError, match=r"case a has probabilities twice, .*a.npy and .*a.npz"):
        open_probabilities(folder, labels)


@pytest.mark.parametrize(
    ("reader", "ras"),
    [("SimpleITKIO", False), ("NibabelIOWithReorient", True), ("SimpleITKIOWithReorient", True)],
)
@pytest.mark.parametrize("where", ["", "fold_0/validation"])
def test_the_reader_of_nnunet_is_taken_from_its_plans(tmp_path, labels, reader, ras, where):
    saved(tmp_path / "trainer" / "fold_0" / "validation")
    (tmp_path / "trainer" / "plans.json").write_text(json.dumps({"image_reader_writer": reader}))
    found = open_probabilities(tmp_path / "trainer" / where, labels)
    assert (found.ras, found.notes) == (ras, ())


def test_an_unknown_reader_is_noted(tmp_path, labels):
    saved(tmp_path / "trainer")
    (tmp_path / "trainer" / "plans.json").write_text('{"image_reader_writer": "MyIO"}')
    (note,) = open_probabilities(tmp_path / "trainer", labels).notes
    assert "unknown reader MyIO" in note


@pytest.mark.parametrize("text", ["{broken", "[]", "{}"])
def test_plans_that_say_nothing_are_passed_over(tmp_path, labels, text):
    saved(tmp_path / "trainer")
    (tmp_path / "trainer" / "plans.json").write_text(text)
    assert open_probabilities(tmp_path / "trainer", labels).ras is False


def test_a_missing_case_is_an_error_unless_the_cases_are_named(tmp_path, labels):
    folder = saved(tmp_path / "validation", "a")
    with pytest.raises(MissingDataError, match=r"1 of 2 cases of .* have no probabilities in .*: b. Predict"):
        open_probabilities(folder, labels)
    assert open_probabilities(folder, labels, cases=["a"]).cases == ("a",)


def test_extra_cases_are_a_note(tmp_path, labels):
    found = open_probabilities(saved(tmp_path / "validation", "abc"), labels)
    assert found.cases == ("a", "b")
    assert found.notes == ("Cases with probabilities but without labels, left out: c.",)


def test_folders_of_classes_are_found_with_and_without_background(tmp_path, labels):
    for case in "ab":
        picture(tmp_path / "probs" / "lung" / f"{case}.png", [[51, 255]])
    found = open_probabilities(tmp_path / "probs", labels)
    assert (found.kind, found.channels) == ("pictures", ("lung",))
    np.testing.assert_allclose(found.read("a", labels.read("a"))[:, 0], [[0.8, 0], [0.2, 1]], atol=1e-6)
    for case in "ab":
        picture(tmp_path / "probs" / "background" / f"{case}.png", [[204, 0]])
    found = open_probabilities(tmp_path / "probs", labels)
    assert found.channels == ("background", "lung")
    assert [path.parent.name for path in found.checksum_files("b")] == ["background", "lung"]
    np.testing.assert_allclose(found.read("a", labels.read("a"))[:, 0], [[0.8, 0], [0.2, 1]], atol=1e-6)


def test_background_of_overlapping_classes_is_not_needed(tmp_path):
    for name in ("lung", "heart"):
        picture(tmp_path / "labels" / name / "a.png", [[0, 255]])
        picture(tmp_path / "probs" / name / "a.png", [[9, 255]])
    picture(tmp_path / "probs" / "background" / "a.png", [[246, 0]])
    labels = open_labels(tmp_path / "labels")
    found = open_probabilities(tmp_path / "probs", labels)
    assert found.channels == ("heart", "lung")
    assert found.notes[0].endswith("background is not used, since the classes overlap.")
    assert found.read("a", labels.read("a")).shape == (2, 1, 2)


def test_a_class_without_folder_or_file_is_named(tmp_path, labels):
    picture(tmp_path / "probs" / "heart" / "a.png", [[9, 9]])
    with pytest.raises(MissingDataError, match=r"no folder for class 'lung' \(its folders: heart\).*--npz"):
        open_probabilities(tmp_path / "probs", labels)
    for name, case in (("lung", "a"), ("background", "a"), ("background", "b")):
        picture(tmp_path / "probs" / name / f"{case}.png", [[9, 9]])
    with pytest.raises(MissingDataError, match=r"case b has probabilities below .*, but none in .*lung"):
        open_probabilities(tmp_path / "probs", labels)


def test_a_folder_of_segmentations_only_is_told_how_to_get_probabilities(tmp_path, labels):
    picture(tmp_path / "validation" / "a.png", [[0, 1]])
    with pytest.raises(MissingDataError, match=r"holds no .npz or .npy.*its folders: none.*--val --npz"):
        open_probabilities(tmp_path / "validation", labels)


def test_masks_are_no_probabilities(tmp_path, labels):
    for case in "ab":
        picture(tmp_path / "probs" / "lung" / f"{case}.png", [[0, 1]])
    with pytest.raises(DataError, match="hold only the integers 0 and 1, so they are masks"):
        open_probabilities(tmp_path / "probs", labels)


def test_a_place_that_is_no_folder_is_an_error(tmp_path, labels):
    with pytest.raises(MissingDataError, match="nowhere does not exist"):
        open_probabilities(tmp_path / "nowhere", labels)
    (tmp_path / "file").touch()
    with pytest.raises(MissingDataError, match="file is a file"):
        open_probabilities(tmp_path / "file", labels)


def test_opening_reads_no_array(tmp_path, labels):
    folder = tmp_path / "validation"
    folder.mkdir()
    for case in "ab":
        (folder / f"{case}.npz").write_bytes(b"damaged")
    found = open_probabilities(folder, labels)
    with pytest.raises(UnreadableFileError, match=r"case a: .*a.npz cannot be read"):
        found.read("a", labels.read("a"))


def test_the_order_of_axes_is_handed_on(tmp_path, labels):
    found = open_probabilities(saved(tmp_path / "validation"), labels, order="array")
    assert found.order == "array"
    np.savez(tmp_path / "validation" / "a.npz", probabilities=PROBS * 3)
    with pytest.raises(LabelValueError, match="look scaled"):
        found.read("a", labels.read("a"))
