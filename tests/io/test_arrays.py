"""Cases given as arrays: what they are taken for, and the sentence that says what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError
from labelmend.io.arrays import as_path, hold_cases, hold_labels, is_held, numbered, one_spacing
from labelmend.types import LabelMap

MAP = np.array([[0, 1, 1], [0, 0, 7]], np.uint8)
PROBS = np.stack([value == MAP for value in (0, 1, 7)]).astype(np.float32)
MASKS = np.stack([MAP == 1, MAP > 0])


def test_integers_without_names_have_the_classes_that_occur_in_any_case():
    held = hold_labels({"b": MAP, "a": np.where(MAP == 7, 9, MAP)}, ignore=9)
    assert (held.cases, held.classes, held.class_map()) == (("a", "b"), ("1", "7"), {"1": 1, "7": 7})
    assert held.read("a").ignored().sum() == 1
    assert held.read("a").grid.unit == "px"


def test_a_list_and_a_first_axis_are_numbered_with_as_many_digits_each():
    assert hold_labels([MAP] * 11).cases[:2] == ("00", "01")
    assert hold_labels(np.stack([MAP, MAP])).cases == ("0", "1")


def test_booleans_are_one_mask_a_class_in_the_order_of_the_names():
    held = hold_labels([MASKS], classes=["lung", "body"])
    assert (held.overlapping, held.classes) == (True, ("lung", "body"))
    np.testing.assert_array_equal(held.read("0").mask("body"), MAP > 0)
    by_value = hold_labels([MASKS], classes={"body": 2, "lung": 1})
    assert by_value.classes == ("lung", "body")


def test_value_0_is_a_class_where_its_name_says_so():
    held = hold_labels([MAP], classes={"road": 0, "car": 1, "house": 7})
    assert (held.background, held.classes, held.names) == ("road", ("car", "house"), ("road", "car", "house"))


def test_spacing_is_one_for_all_or_one_a_case():
    cases = {"a": MAP, "b": MAP}
    assert hold_labels(cases, spacing_mm=2).read("a").grid.spacing_mm == (2.0, 2.0)
    assert hold_labels(cases, spacing_mm=(1, 3)).read("b").grid.spacing_mm == (1.0, 3.0)
    held = hold_labels(cases, spacing_mm={"a": (1, 3), "b": 2.0})
    assert [held.read(case).grid.spacing_mm for case in "ab"] == [(1.0, 3.0), (2.0, 2.0)]
    held = hold_labels([MAP, MAP], spacing_mm=[(1, 3), (2, 2)])
    assert [held.read(case).grid.spacing_mm for case in "01"] == [(1.0, 3.0), (2.0, 2.0)]
    assert held.read("0").grid.unit == "mm"


def test_a_label_map_is_taken_as_it_is():
    labels = LabelMap.from_array(MAP, classes={"a": 1, "b": 7}, spacing_mm=0.5)
    assert hold_labels({"c": labels}).read("c") is labels


@pytest.mark.parametrize(
    ("labels", "settings", "error", "sentence"),
    [
        ({"a": MAP * 0.5}, {}, LabelValueError, "case a: labels are integers or booleans, got float64"),
        ({"a": MAP[0]}, {}, GeometryError, r"case a: integers of shape \(3,\) are no annotation"),
        ([MASKS], {}, ConfigError, r"need classes=\[...\], the name of each"),
        (
            [MASKS],
            {"classes": ["a"]},
            GeometryError,
            r"case 0: booleans of shape \(2, 2, 3\) are no annotation",
        ),
        ([MASKS], {"classes": ["a", "b"], "ignore": 9}, ConfigError, "have no value to ignore"),
        (
            {"a": MAP},
            {"classes": {"x": 1}},
            LabelValueError,
            "case a: labels hold 7, but the classes are x = 1",
        ),
        ([MAP * 0], {}, LabelValueError, "every array of labels is empty"),
        ([MAP, MASKS], {}, ConfigError, "case 0 holds integers and case 1 does not"),
        ({}, {}, MissingDataError, "There are none"),
        ({"a": MAP}, {"cases": ["b"]}, MissingDataError, "no labels of cases asked for: b. There are a"),
        ({"a": MAP}, {"spacing_mm": {"b": 1}}, MissingDataError, "spacing_mm has no entry for case a"),
        ([MAP, MAP], {"spacing_mm": [(1, 1)]}, MissingDataError, "spacing_mm has 1 entries for 2 cases"),
        ({"a": MAP}, {"spacing_mm": (1, 1, 1)}, GeometryError, "case a: 2 axes but 3 spacings"),
        (3, {}, ConfigError, "labels: one array a case was expected"),
    ],
)
def test_what_is_no_annotation_is_refused(labels, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        hold_labels(labels, **settings)


def test_a_label_map_has_its_own_settings():
    labels = LabelMap.from_array(MAP, classes={"a": 1, "b": 7})
    with pytest.raises(ConfigError, match="leave these out"):
        hold_labels([labels], spacing_mm=1)


@pytest.mark.parametrize(
    ("probabilities", "images", "error", "sentence"),
    [
        ("PROBS", None, ConfigError, "labels are arrays, but probabilities a path"),
        (
            {"a": PROBS, "b": PROBS},
            None,
            ConfigError,
            "probabilities are kept by case id, labels one after the",
        ),
        ([PROBS], None, MissingDataError, "2 cases have labels and 1 have probabilities: case 1 has no prob"),
        ([PROBS] * 3, None, MissingDataError, "2 cases have labels and 3 have probabilities"),
        ([PROBS] * 2, [MAP], MissingDataError, "case 1 has no image"),
    ],
)
def test_every_case_has_its_partners_kept_alike(probabilities, images, error, sentence):
    with pytest.raises(error, match=sentence):
        hold_cases([MAP, MAP], probabilities, images)


def test_only_some_cases_need_partners_where_only_these_are_asked_for():
    source = hold_cases({"a": MAP, "b": MAP}, {"b": PROBS}, cases=["b"])
    assert source.cases == ("b",)
    assert source.notes == ("Only 1 of 2 cases were looked at, as asked for.",)


def test_small_helpers_say_what_is_a_path():
    assert (is_held("x"), is_held(Path("x")), is_held(None), is_held([MAP])) == (False, False, False, True)
    assert numbered(["b", "a"]) == {"b": 1, "a": 2}
    assert as_path("x", "images") == Path("x")
    with pytest.raises(ConfigError, match="images are arrays, but labels a path"):
        as_path([MAP], "images")
    assert one_spacing([1, 2]) == [1, 2]
    with pytest.raises(ConfigError, match="one spacing_mm for all"):
        one_spacing({"a": 1})
