"""Which integer means which class."""

import json

import numpy as np
import pytest

from drawing import picture
from labelmend.errors import ConfigError, LabelValueError, MissingDataError, UnreadableFileError
from labelmend.io.labels import class_names as names_module
from labelmend.io.labels.class_names import Names, names_found, names_given, names_in_json, with_255_as_1


@pytest.fixture
def draw(tmp_path):
    """Writes one 8-bit PNG for each list of values and returns their paths."""

    def write(*rows, dtype=np.uint8):
        for i, row in enumerate(rows):
            picture(tmp_path / f"{i}.png", np.array([row], dtype))
        return sorted(tmp_path.glob("*.png"))

    return write


def test_classes_come_in_the_order_of_their_values_without_background_and_ignore():
    given = {"heart": 2, "ignore": 9, "background": 0, "lung": 1}
    assert names_given(given, None, "x") == Names(("lung", "heart"), (1, 2), 9)


def test_a_value_to_ignore_given_by_hand_is_stronger_and_takes_its_class_away():
    given = {"lung": 1, "void": 255, "ignore": 9}
    assert names_given(given, 255, "x") == Names(("lung",), (1,), 255)


@pytest.mark.parametrize(
    "bad",
    [{"a": 1, "b": 1}, {"a": "1"}, {"a": [1, 2]}, {"a": -1}, {"a": True}, {"a": 1.0}, {}, {"background": 0}],
)
def test_names_that_mean_nothing_or_two_things_are_an_error_with_their_origin(bad):
    with pytest.raises(ConfigError, match=r"dataset\.json"):
        names_given(bad, None, "dataset.json")


def test_background_cannot_be_ignored(draw):
    with pytest.raises(ConfigError, match="0 is the background"):
        names_given({"a": 1}, 0, "classes")
    with pytest.raises(ConfigError, match="0 is the background"):
        names_found(draw([1]), 0, "labels")


@pytest.mark.parametrize("where", [".", ".."])
@pytest.mark.parametrize("labels", [{"background": 0, "lung": 1}, {"0": "background", "1": "lung"}])
def test_names_are_found_in_a_dataset_json_in_the_folder_or_its_parent(tmp_path, where, labels):
    folder = tmp_path / "labelsTr"
    folder.mkdir()
    (folder / where / "dataset.json").write_text(json.dumps({"labels": labels}))
    found, path = names_in_json(folder)
    assert found == {"background": 0, "lung": 1}
    assert path.samefile(folder / where / "dataset.json")


@pytest.mark.parametrize("content", ["{}", "[]", '{"labels": {}}', '{"labels": 3}'])
def test_a_dataset_json_without_labels_names_nothing(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    assert names_in_json(tmp_path) is None


def test_a_broken_dataset_json_is_unreadable(tmp_path):
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UnreadableFileError, match=r"dataset\.json is not valid JSON"):
        names_in_json(tmp_path)


def test_values_that_nobody_named_are_named_by_themselves(draw, tmp_path):
    assert names_found(draw([0, 3], [1, 0], [0, 0]), None, tmp_path) == Names(("1", "3"), (1, 3), None)


def test_a_folder_of_0_and_255_reads_as_0_and_1(draw, tmp_path):
    expected = Names(("1",), (1,), None, stored_foreground=255)
    assert names_found(draw([0, 0], [0, 255]), None, tmp_path) == expected


def test_255_beside_other_values_must_be_explained(draw, tmp_path):
    paths = draw([0, 255], [1, 2])
    with pytest.raises(LabelValueError, match="255 as well as 1, 2"):
        names_found(paths, None, tmp_path)
    assert names_found(paths, 255, tmp_path) == Names(("1", "2"), (1, 2), 255)


def test_0_and_255_with_255_ignored_hold_no_class(draw, tmp_path):
    with pytest.raises(LabelValueError, match=r"every label file in .* is empty"):
        names_found(draw([0, 255]), 255, tmp_path)


def test_images_taken_for_labels_are_found_out(draw, tmp_path):
    with pytest.raises(LabelValueError, match="are these images"):
        names_found(draw(list(range(300)), dtype=np.uint16), None, tmp_path)


def test_one_named_class_stored_as_255_reads_as_1(draw):
    lung = Names(("lung",), (1,), None)
    assert with_255_as_1(lung, draw([0, 0], [0, 255], [255, 255])).stored_foreground == 255


@pytest.mark.parametrize("rows", [[[0, 1], [0, 1]], [[0, 255], [0, 1]], [[0, 0], [0, 0]]])
def test_one_file_with_another_value_keeps_the_whole_folder_as_stored(draw, rows):
    lung = Names(("lung",), (1,), None)
    assert with_255_as_1(lung, draw(*rows)) == lung


@pytest.mark.parametrize("names", [Names(("lung",), (255,), None), Names(("lung",), (1,), 255)])
def test_a_255_that_is_named_or_ignored_stays_255_and_nothing_is_read(draw, names, monkeypatch):
    monkeypatch.delattr(names_module, "read_label_array")
    assert with_255_as_1(names, draw([0, 255])) == names


def test_only_one_file_is_read_when_it_settles_the_question(draw, monkeypatch):
    paths, seen = draw([0, 1], [0, 1], [0, 1]), []
    read = names_module.read_label_array
    monkeypatch.setattr(names_module, "read_label_array", lambda path: seen.append(path) or read(path))
    with_255_as_1(Names(("lung",), (1,), None), paths)
    assert seen == paths[:1]


def test_two_names_do_not_fit_a_folder_of_0_and_255(draw):
    with pytest.raises(LabelValueError, match=r"only 0 and 255, .*\{'a': 1, 'b': 2\}"):
        with_255_as_1(Names(("a", "b"), (1, 2), None), draw([0, 255]))


@pytest.mark.parametrize("name", ["road", "Sky", "healthy tissue", "class 0", "other", "wasser"])
def test_value_0_is_a_class_where_its_name_says_so(name):
    found = names_given({"sidewalk": 1, name: 0, "ignore": 255}, None, "x")
    assert found == Names(("sidewalk",), (1,), 255, background=name)


@pytest.mark.parametrize(
    "name",
    ["background", "Background", "_background_", "BG", "un-labelled", "Unlabeled", "Clear Label", "0", ""],
)
def test_value_0_is_no_class_where_its_name_says_that_there_is_nothing(name):
    assert names_given({name: 0, "lung": 1}, None, "x") == Names(("lung",), (1,), None)


@pytest.mark.parametrize(
    ("mapping", "ignore", "told"),
    [
        ({"road": 0}, None, "'road' = 0 is the only class"),
        ({"road": 0, "void": 255}, 255, "'road' = 0 is the only class"),
        ({"road": 0, "sidewalk": 1}, 0, "0 is the class 'road' and cannot be the ignore value"),
        (
            {"road": 0, "ignore": 0, "sidewalk": 1},
            None,
            "0 is the class 'road' and cannot be the ignore value",
        ),
        ({"road": 0, "street": 0, "sidewalk": 1}, None, "value 0 has 2 names, road and street: keep one"),
        ({"background": 0, "road": 0, "sidewalk": 1}, None, "value 0 has 2 names, background and road"),
    ],
)
def test_a_value_0_that_means_nothing_or_two_things_is_told_in_one_sentence(mapping, ignore, told):
    with pytest.raises(ConfigError, match=rf"dataset\.json: {told}"):
        names_given(mapping, ignore, "dataset.json")


def test_a_named_value_0_stays_where_255_reads_as_1(draw):
    found = with_255_as_1(names_given({"road": 0, "sidewalk": 1}, None, "x"), draw([0, 255]))
    assert found == Names(("sidewalk",), (1,), None, stored_foreground=255, background="road")


def test_a_dataset_json_that_is_a_link_to_nowhere_does_not_lose_its_names(tmp_path):
    (tmp_path / "dataset.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(MissingDataError, match=r"dataset\.json does not exist"):
        names_in_json(tmp_path)
