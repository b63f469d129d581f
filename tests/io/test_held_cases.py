"""Cases in memory offer what folders do: labels, probabilities and images, and copies of them as files."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.errors import GeometryError, LabelValueError
from labelmend.io import open_labels
from labelmend.io.arrays import hold_cases
from labelmend.io.held_cases import HeldLabels, HeldProbabilities
from labelmend.types import LabelMap

MAP = np.array([[0, 1, 1], [0, 0, 2]], np.uint8)
PROBS = np.stack([value == MAP for value in range(3)]).astype(np.float16)
LABELS = LabelMap.from_array(MAP, classes=["a", "b"])
ONE = LabelMap.from_array(MAP // 2, classes=["a"])
MASKS = LabelMap.from_array(np.stack([MAP == 1, MAP > 0]), classes=["a", "b"])


def read(array: np.ndarray, labels: LabelMap) -> np.ndarray:
    return HeldProbabilities({"c": array}).read("c", labels)


def test_probabilities_of_integer_maps_have_the_background_first():
    found = read(PROBS, LABELS)
    assert (found.dtype, found.shape) == (np.float32, (3, 2, 3))
    np.testing.assert_array_equal(found.argmax(axis=0), MAP)


def test_what_comes_back_is_a_copy():
    array = PROBS.astype(np.float32)
    found = read(array, LABELS)
    found[:] = 0
    np.testing.assert_array_equal(array, PROBS)


def test_of_one_class_its_own_probability_will_do():
    for array in (PROBS[2], PROBS[2:]):
        np.testing.assert_array_equal(read(array, ONE), np.stack([1 - PROBS[2], PROBS[2]]))


def test_overlapping_classes_have_no_background():
    assert read(PROBS[1:], MASKS).shape == (2, 2, 3)
    with pytest.raises(GeometryError, match=r"case c: .* shape \(3, .*, expected \(2, 2, 3\).*for a, b$"):
        read(PROBS, MASKS)


@pytest.mark.parametrize(
    ("array", "error", "sentence"),
    [
        (
            PROBS[1:],
            GeometryError,
            r"expected \(3, 2, 3\): one channel each for background, a, b, the first for",
        ),
        (PROBS[:, :1], GeometryError, r"case c: probabilities have the shape \(3, 1, 3\)"),
        (PROBS * 255, LabelValueError, "case c: the values range from 0 to 255"),
        (
            PROBS * 0.5,
            LabelValueError,
            "case c: the probabilities of 100.0% of the pixels do not sum to one",
        ),
        (PROBS * np.nan, LabelValueError, "case c: 18 probabilities are NaN"),
    ],
)
def test_what_can_be_no_probabilities_of_the_labels_is_refused(array, error, sentence):
    with pytest.raises(error, match=sentence):
        read(array, LABELS)


def test_an_image_has_its_channels_in_front_or_none():
    for image in (MAP, np.stack([MAP, MAP])):
        _, _, found, apart = hold_cases([MAP], [PROBS], [image]).read("0")
        assert (found.dtype, found.shape[1:], apart) == (np.float32, MAP.shape, "")
    assert hold_cases([MAP], [PROBS]).read("0")[2] is None


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (MAP.T, GeometryError, r"case 0: the image has the shape \(3, 2\), its labels \(2, 3\)"),
        (np.full(MAP.shape, np.inf), LabelValueError, "case 0: 6 pixels of the image are NaN or infinite"),
    ],
)
def test_an_image_lies_on_the_grid_of_its_labels_and_is_finite(image, error, sentence):
    with pytest.raises(error, match=sentence):
        hold_cases([MAP], [PROBS], [image]).read("0")


def test_a_checksum_is_of_values_shape_and_type():
    arrays = {"a": MAP, "b": MAP.copy(), "c": MAP.astype(np.int16), "d": MAP.reshape(3, 2), "e": MAP[::-1]}
    held = HeldLabels({name: LabelMap.from_array(x, classes=["a", "b"]) for name, x in arrays.items()})
    sums = [held.checksum(name) for name in arrays]
    assert sums[0] == sums[1]
    assert len(set(sums)) == 4


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("overlapping", [False, True])
def test_saved_cases_read_back_as_they_were(tmp_path, ndim, overlapping):
    labels = MASKS.array if overlapping else MAP
    probs = PROBS[1:] if overlapping else PROBS
    image = np.linspace(-5, 5, 6).reshape(MAP.shape)
    if ndim == 3:
        stack = 1 if overlapping else 0
        labels, image = np.stack([labels] * 4, axis=stack), np.stack([image] * 4)
        probs = np.stack([probs] * 4, axis=1)
    source = hold_cases({"x": labels}, {"x": probs}, {"x": image}, classes=["a", "b"], spacing_mm=2)
    saved = source.save(tmp_path)
    facts = saved.description()
    assert (facts["labels"], facts["images"], facts["spacing_mm"]) == (
        "given/labels",
        "given/images",
        [2.0] * ndim,
    )
    folder = open_labels(tmp_path / facts["labels"], classes={"a": 1, "b": 2}, spacing_mm=facts["spacing_mm"])
    np.testing.assert_array_equal(folder.read("x").array, labels)
    assert saved.image_name("x") == ("x.png" if ndim == 2 else "x.tif")
    assert (tmp_path / "given" / "images" / saved.image_name("x")).is_file()
    assert all((tmp_path / file).is_file() for file in saved.label_files("x"))
    assert (source.label_files("x"), source.image_name("x"), source.description()["labels"]) == (
        (),
        None,
        None,
    )
