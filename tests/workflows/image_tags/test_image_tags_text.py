"""The sentences of `seed`: which numbers raise a doubt, and what is said where nothing can be known."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labelmend.workflows.image_tags.text import assumed, tag_doubts

GOOD = {
    "name": "lung", "n_tagged": 100, "n_without_seed": 0, "seeded": 0.2, "unsure": 0.3,
    "auc": 0.9, "on_background": 0.1,
}  # fmt: skip
SETTINGS = {"resize": 128, "flips": True, "measure": "set"}


def told(classes: list[dict[str, Any]], **more: Any) -> tuple[str, ...]:
    return tag_doubts(classes, **{"everywhere": (), "inseparable": (), "n_held_out": 40, **more})


def test_good_numbers_raise_no_doubt():
    assert told([GOOD]) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_without_seed": 100}, "No pixel of any image is lung"),
        ({"n_without_seed": 21}, "21 of 100 images with lung have no pixel of it"),
        ({"on_background": 0.4}, "40 % of the evidence for lung falls on held-out images without it"),
        ({"auc": 0.6}, "barely predicts which images show lung: its held-out AUC is 60 %"),
        ({"seeded": 0.8}, "On images with lung, 80 % of the pixels are assigned"),
        ({"auc": None, "on_background": None}, "Too few held-out images with or without lung"),
    ],
)
def test_each_bad_number_raises_one_doubt(change, words):
    (sentence,) = told([{**GOOD, **change}])
    assert re.search(words, sentence)


def test_numbers_just_inside_the_limits_raise_none():
    assert told([{**GOOD, "n_without_seed": 20, "on_background": 0.33, "auc": 0.75, "seeded": 0.49}]) == ()


def test_the_gravest_doubt_comes_first_and_every_class_is_named():
    heart = {**GOOD, "name": "heart", "n_without_seed": 100, "auc": 0.5}
    found = told([{**GOOD, "on_background": 0.5}, heart])
    assert [sentence.split(":")[0] for sentence in found] == [
        "No pixel of any image is heart",
        "Evidence on background",
        "The network barely predicts which images show heart",
    ]


def test_tags_that_cannot_tell_classes_apart_are_told():
    body = {**GOOD, "name": "body", "auc": None, "on_background": None}
    found = told([GOOD, body], everywhere=("body",), inseparable=(("a", "b"),))
    assert len(found) == 2  # a class that is everywhere is not also called too rare to judge
    assert found[0].startswith("body is on every image")
    assert found[1].startswith("a and b have the same tags on every image")


def test_without_held_out_images_that_is_said_once():
    unknown = {**GOOD, "auc": None, "on_background": None}
    (sentence,) = told([unknown, {**unknown, "name": "heart"}], n_held_out=0)
    assert sentence.startswith("No image was held out")


def test_assumptions_follow_the_settings():
    full = assumed(SETTINGS, (128, 96), 40)
    assert any("128 x 96 pixels" in sentence for sentence in full)
    assert any("mirror" in sentence for sentence in full)
    assert any("Grey values have the same meaning" in sentence for sentence in full)
    assert any("patient" in sentence for sentence in full)
    few = assumed({"resize": None, "flips": False, "measure": "image"}, (128, 96), 0)
    assert few == full[:4]
