"""Reversed axes of probabilities are suspected where only the agreement with the labels can tell them."""

import numpy as np
import pytest

from drawing import volume
from labelmend.io.cases import open_source
from labelmend.io.reversed_axes import reversed_axes


def data(root, shape, *, turned, affine=True):
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:4, 6:9] = 1
    for folder in ("labels", "probs"):
        (root / folder).mkdir(parents=True)
    for case in "ab":
        volume(root / "labels" / f"{case}.nii", labels, np.eye(4))
        inside = np.where(labels, 0.9, 0.1).astype(np.float32)
        probs = np.stack([1 - inside, inside])
        np.save(root / "probs" / f"{case}.npy", probs.transpose(0, 3, 2, 1) if turned else probs)
    return root


def told(root, order="auto"):
    source = open_source(root / "labels", root / "probs", classes={"a": 1}, order=order)
    return reversed_axes(source, source.cases)


@pytest.mark.parametrize("shape", [(9, 9, 9), (9, 5, 9)])
def test_reversed_axes_that_no_shape_shows_are_told_with_the_setting_that_mends_them(tmp_path, shape):
    root = data(tmp_path, shape, turned=True)
    (sentence,) = told(root)
    assert "Dice between labels and predictions is 0.00, but 1.00 with reversed axes" in sentence
    assert "use --order sitk" in sentence
    assert told(root, "sitk") == []


def test_an_order_that_was_set_wrong_is_told_too(tmp_path):
    (sentence,) = told(data(tmp_path, (9, 9, 9), turned=False), "sitk")
    assert "use --order array" in sentence


def test_axes_that_are_right_or_that_shapes_tell_are_not_suspected(tmp_path):
    assert told(data(tmp_path / "right", (9, 9, 9), turned=False)) == []
    assert told(data(tmp_path / "told", (9, 5, 10), turned=False)) == []
