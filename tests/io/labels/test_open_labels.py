"""What lies in a folder, and what must not lie there."""

import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image as Pillow

from drawing import picture
from labelmend.errors import ConfigError, DataError, LabelValueError, MissingDataError, UnreadableFileError
from labelmend.io import open_images, open_labels, read_case_list


def draw(path, values=((0, 1), (0, 2))):
    picture(path, values)


@pytest.fixture
def classes(tmp_path):
    """Folders of two classes with two cases each."""
    for name in ("lung", "heart"):
        for case in ("b", "a"):
            draw(tmp_path / name / f"{case}.png", [[0, 255]])
    return tmp_path


def test_files_are_integer_maps(tmp_path):
    draw(tmp_path / "b.png")
    draw(tmp_path / "a.png")
    labels = open_labels(tmp_path)
    assert labels.cases == ("a", "b")
    assert not labels.overlapping
    assert labels.classes == ("1", "2")
    assert labels.values == (1, 2)
    assert labels.files["a"] == (tmp_path / "a.png",)


def test_sub_folders_are_boolean_maps_in_alphabetical_order(classes):
    labels = open_labels(classes)
    assert labels.overlapping
    assert labels.classes == ("heart", "lung")
    assert labels.values is None
    assert labels.cases == ("a", "b")
    assert labels.files["a"] == (classes / "heart" / "a.png", classes / "lung" / "a.png")


def test_classes_given_by_hand_pick_and_order_the_sub_folders(classes):
    assert open_labels(classes, classes={"lung": 1, "heart": 2}).classes == ("lung", "heart")
    assert open_labels(classes, classes={"lung": 1, "background": 0}).classes == ("lung",)
    with pytest.raises(MissingDataError, match="no folder for class 'liver'; it has heart, lung"):
        open_labels(classes, classes={"liver": 1})


def test_a_sub_folder_called_ignore_is_no_class(classes):
    draw(classes / "ignore" / "a.png", [[0, 1]])
    labels = open_labels(classes)
    assert labels.classes == ("heart", "lung")
    assert dict(labels.ignore_files) == {"a": classes / "ignore" / "a.png"}


def test_a_value_to_ignore_makes_no_sense_for_sub_folders(classes):
    with pytest.raises(ConfigError, match=r"boolean maps in .*ignore"):
        open_labels(classes, ignore=255)


def test_a_mask_that_is_missing_in_one_class_is_named(classes):
    (classes / "lung" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"case b has .*heart/b\.png but no file in .*lung"):
        open_labels(classes)


def test_only_an_ignore_folder_or_only_empty_folders_hold_no_class(tmp_path):
    (tmp_path / "ignore").mkdir()
    with pytest.raises(MissingDataError, match="no class"):
        open_labels(tmp_path)
    (tmp_path / "lung").mkdir()
    with pytest.raises(MissingDataError, match=r"lung holds no labels"):
        open_labels(tmp_path)


def test_files_and_folders_mixed_are_an_error(classes):
    draw(classes / "a.png")
    with pytest.raises(DataError, match=r"both files \(a\.png\) and folders \(heart\)"):
        open_labels(classes)


def test_one_case_in_two_files_is_an_error(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "a.tif")
    for opened in (open_labels, open_images):
        with pytest.raises(DataError, match=r"case a has two files, .*a\.png and .*a\.tif"):
            opened(tmp_path)


def test_hidden_files_and_notes_are_passed_over(tmp_path):
    draw(tmp_path / "a.png")
    for name in (".part-b.png", "._a.png", "manifest.jsonl", "README.md", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    assert open_labels(tmp_path).cases == ("a",)
    assert open_images(tmp_path) == {"a": tmp_path / "a.png"}


def test_a_file_of_unknown_kind_is_an_error(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "b.nrrd").write_text("x")
    with pytest.raises(UnreadableFileError, match=r"b\.nrrd has an unsupported suffix"):
        open_labels(tmp_path)


def test_jpeg_labels_are_refused_on_opening(tmp_path):
    draw(tmp_path / "a.jpg")
    with pytest.raises(LabelValueError, match=r"a\.jpg: JPEG cannot store labels, .*alters"):
        open_labels(tmp_path)
    assert open_images(tmp_path) == {"a": tmp_path / "a.jpg"}


def test_a_folder_that_is_not_there_is_missing_and_a_file_is_no_folder(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist: expected a folder of labels"):
        open_labels(tmp_path / "none")
    draw(tmp_path / "a.png")
    with pytest.raises(MissingDataError, match="is a file: expected a folder of images"):
        open_images(tmp_path / "a.png")


def test_an_empty_folder_is_missing_its_data(tmp_path):
    with pytest.raises(MissingDataError, match="holds no labels"):
        open_labels(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(MissingDataError, match=r"holds no images \(only the folder train\)"):
        open_images(tmp_path)


def test_names_given_by_hand_are_stronger_than_dataset_json(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "dataset.json").write_text(
        '{"labels": {"background": 0, "lung": 1, "heart": 2, "ignore": 3}}'
    )
    labels = open_labels(tmp_path)
    assert labels.classes == ("lung", "heart")
    assert labels.ignore == 3
    assert open_labels(tmp_path, classes={"left": 1, "right": 2}).classes == ("left", "right")


def test_a_case_list_holds_one_id_a_line(tmp_path):
    path = tmp_path / "clean.txt"
    path.write_text("\ufeff# trusted\nb\n\n  a.png  # checked twice\r\ncase.01.nii.gz\n", encoding="utf-8")
    assert read_case_list(path) == ("b", "a", "case.01")


@pytest.mark.parametrize(("text", "message"), [("a\nb\na.png\n", "case a twice"), ("# none\n", "no case")])
def test_a_case_list_with_a_case_twice_or_none_is_an_error(tmp_path, text, message):
    (tmp_path / "clean.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_case_list(tmp_path / "clean.txt")


def test_a_case_list_that_is_no_text_or_not_there_is_an_error(tmp_path):
    (tmp_path / "clean.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableFileError, match="UTF-8"):
        read_case_list(tmp_path / "clean.txt")
    with pytest.raises(MissingDataError, match=r"none\.txt does not exist"):
        read_case_list(tmp_path / "none.txt")


def test_a_named_value_0_beside_folders_of_masks_is_refused_in_one_sentence(tmp_path):
    for name in ("road", "sidewalk"):
        (tmp_path / name).mkdir()
        Pillow.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / name / "a.png")
    with pytest.raises(ConfigError, match=r"class 'road' has the value 0, but .* has one folder per class"):
        open_labels(tmp_path, classes={"road": 0, "sidewalk": 1})
    assert open_labels(tmp_path, classes={"background": 0, "sidewalk": 1}).classes == ("sidewalk",)


COMPOSED, PARTED = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def test_names_in_composed_and_in_parted_characters_are_the_same_case(tmp_path):
    for folder, name in (("images", COMPOSED), ("labels", PARTED)):
        (tmp_path / folder).mkdir()
        Pillow.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    assert (
        list(open_images(tmp_path / "images")) == list(open_labels(tmp_path / "labels").files) == [COMPOSED]
    )
    (tmp_path / "cases.txt").write_text(PARTED)
    assert read_case_list(tmp_path / "cases.txt") == (COMPOSED,)


def test_two_files_whose_names_only_look_alike_are_refused(tmp_path):
    for name in (COMPOSED, PARTED):
        (tmp_path / f"{name}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="the names look alike but differ in their characters, NFC and NFD"):
        open_images(tmp_path)


def test_only_what_systems_and_people_leave_beside_pictures_is_passed_over(tmp_path):
    junk = [".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "a.xml", "a.json", "notes.docx", "__MACOSX"]
    for name in (*junk, "__a.png", "_b.png"):
        (tmp_path / name).write_bytes(b"x")
    assert list(open_images(tmp_path)) == ["__a", "_b"]
    (tmp_path / "scan.dcm").write_bytes(b"x")
    with pytest.raises(UnreadableFileError, match=r"scan\.dcm has an unsupported suffix"):
        open_images(tmp_path)


def test_a_name_that_is_no_text_is_told(tmp_path):
    (tmp_path / os.fsdecode(b"a\xff.png")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\\udcff\.png' has a name that is not valid UTF-8"):
        open_images(tmp_path)


def test_a_folder_that_may_not_be_listed_is_told(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(UnreadableFileError, match=r"cannot be listed \(Permission denied\)"):
        open_images(tmp_path)


def test_a_folder_of_annotators_is_told_from_one_of_classes(tmp_path):
    for rater in ("rater_1", "rater_2"):
        (tmp_path / rater / "lung").mkdir(parents=True)
        Pillow.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / rater / "lung" / "a.png")
    with pytest.raises(
        DataError, match=r"several annotators \(rater_1, rater_2\).* pass one of them, such as"
    ):
        open_labels(tmp_path)
    for rater in ("rater_1", "rater_2"):
        shutil.rmtree(tmp_path / rater / "lung")
        Pillow.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / rater / "a.png")
        (tmp_path / rater / "dataset.json").write_text('{"labels": {"lung": 1}}')
    with pytest.raises(DataError, match="several annotators"):
        open_labels(tmp_path)
