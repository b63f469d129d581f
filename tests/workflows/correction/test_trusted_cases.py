"""Trusted cases of every layout are found, checked, and told from the given ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from drawn_correct import CASES, RADII, TRUSTED, disc, generous, likely, raw, saved, softmax
from labelmend.errors import CleanCasesError, GeometryError, LabelmendError, MissingDataError
from labelmend.io.cases import Source, open_source
from labelmend.workflows.correction.trusted_cases import open_trusted

ONE = {"disc": 1}


def opened(root: Path) -> Source:
    return open_source(root / "labels", root / "probs", classes=ONE)


def listed(root: Path, *cases: str) -> Path:
    path = root / "trusted.txt"
    path.write_text("\n".join(cases))
    return path


def by_class(root: Path, names: tuple[str, ...] = ("disc",)) -> Path:
    for name in names:
        for case in TRUSTED:
            picture(root / "classes" / name / f"{case}.png", disc(9) * 255)
    return root / "classes"


def test_a_folder_of_masks_is_held_out_and_read_as_truth(tmp_path: Path) -> None:
    trusted = open_trusted(opened(generous(tmp_path)), tmp_path / "clean")
    assert trusted is not None
    assert (trusted.cases, trusted.held_out) == (TRUSTED, frozenset(TRUSTED))
    first, second = trusted.predicted()
    np.testing.assert_array_equal(first.given.masks()[0], disc(RADII["a"]))
    assert first.current is first.given
    np.testing.assert_allclose(second.probs, softmax(likely(disc(RADII["b"]))), atol=1e-3)
    assert [trusted.replaces(case) for case in TRUSTED] == [True, True]
    truth, given, _ = next(trusted.beside_given())
    assert given.masks().sum() > truth.masks().sum()


def test_a_list_names_cases_that_are_right_as_given(tmp_path: Path) -> None:
    trusted = open_trusted(opened(generous(tmp_path)), listed(tmp_path, "b"))
    assert trusted is not None
    (only,) = trusted.predicted()
    np.testing.assert_array_equal(only.given.masks()[0], disc(RADII["b"] + 3))
    assert list(trusted.beside_given()) == []
    assert not trusted.replaces("b")


def test_good_masks_that_were_chosen_say_nothing_of_the_others(tmp_path: Path) -> None:
    source = opened(generous(tmp_path, by=0))
    trusted = open_trusted(source, tmp_path / "clean")
    assert trusted is not None
    assert list(trusted.beside_given()) == []
    picture(tmp_path / "clean" / "b.png", disc(4) * 1)
    assert len(list(trusted.beside_given())) == 2


def test_probabilities_of_trusted_cases_may_lie_elsewhere(tmp_path: Path) -> None:
    """z has no given labels: it is measured on, and nothing is held out for it."""
    source = opened(generous(tmp_path))
    picture(tmp_path / "more" / "z.png", disc(8) * 1)
    saved(tmp_path / "more_probs", "z", softmax(likely(disc(8))))
    trusted = open_trusted(source, tmp_path / "more", tmp_path / "more_probs")
    assert trusted is not None
    assert (trusted.cases, trusted.held_out) == (("z",), frozenset())
    assert [predicted.case for predicted in trusted.predicted()] == ["z"]
    assert list(trusted.beside_given()) == []
    with pytest.raises(MissingDataError, match=r"no probabilities .*: z"):
        open_trusted(source, tmp_path / "more")


def test_without_trusted_cases_there_are_none(tmp_path: Path) -> None:
    source = opened(generous(tmp_path))
    assert open_trusted(source, None) is None
    with pytest.raises(CleanCasesError, match="but no trusted cases: give --clean"):
        open_trusted(source, None, tmp_path / "probs")


def test_regions_of_nnunet_are_trusted_as_integer_maps_or_as_a_data_set(tmp_path: Path) -> None:
    regions = {"background": 0, "whole": [1, 2], "core": 2}
    home = raw(tmp_path, regions, regions_class_order=[1, 2])
    for case in CASES:
        whole = likely(disc(RADII[case]))
        saved(tmp_path / "probs", case, np.stack([whole, whole * 0.01]))
    source = open_source(home, tmp_path / "probs")
    other = tmp_path / "other" / "Dataset009_Redrawn"
    (other / "labelsTr").mkdir(parents=True)
    (other / "dataset.json").write_bytes((home / "dataset.json").read_bytes())
    picture(other / "labelsTr" / "c.png", disc(5) * 2)
    for clean, cases in ((tmp_path / "clean", TRUSTED), (other, ("c",))):
        trusted = open_trusted(source, clean)
        assert trusted is not None
        assert trusted.cases == cases
    np.testing.assert_array_equal(trusted.truth("c").array, [disc(5), disc(5)])
    content = json.loads((other / "dataset.json").read_text()) | {"regions_class_order": [2, 1]}
    (other / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(CleanCasesError, match=r"kept in different ways \(order"):
        open_trusted(source, other)


def test_other_classes_other_kinds_and_nothing_left_are_told(tmp_path: Path) -> None:
    source = opened(generous(tmp_path))
    named = tmp_path / "other" / "Dataset001_X"
    (named / "labelsTr").mkdir(parents=True)
    picture(named / "labelsTr" / "a.png", disc(5) * 1)
    content = {"labels": {"background": 0, "lung": 1}, "file_ending": ".png", "channel_names": {}}
    (named / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "coco.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    cases = {
        named: "have the classes lung, given labels .* have disc",
        by_class(tmp_path): r"kept in different ways \(overlapping: True and False\)",
        tmp_path / "labels": "all 6 cases of .* are trusted",
        tmp_path / "true": "all 6 cases of .* are trusted",
        tmp_path / "coco.json": "is a COCO file, but the given labels are a folder",
        tmp_path / "absent": "does not exist",
        tmp_path / "empty": "holds no labels",
        listed(tmp_path, "a", "nobody"): "trusted case nobody .* has no labels",
    }
    for clean, told in cases.items():
        with pytest.raises(LabelmendError, match=told):
            open_trusted(source, clean)


def test_a_trusted_mask_on_another_grid_is_told_with_its_case(tmp_path: Path) -> None:
    source = opened(generous(tmp_path))
    picture(tmp_path / "clean" / "b.png", disc(9)[:40] * 1)
    with pytest.raises(GeometryError, match=r"case b: trusted labels .* differ in shape, \(40, 48\)"):
        open_trusted(source, tmp_path / "clean")


def test_coco_files_are_trusted_as_coco_files(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")

    def written(name: str, images: dict[int, str]) -> Path:
        square = [[1, 1, 5, 1, 5, 5, 1, 5]]
        content = {
            "images": [
                {"id": i, "file_name": f"{c}.png", "height": 8, "width": 8} for i, c in images.items()
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "segmentation": square} for i in images
            ],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    for case in "ab":
        saved(tmp_path / "probs", case, np.full((1, 8, 8), 0.5))
    source = open_source(written("given.json", {1: "a", 2: "b"}), tmp_path / "probs")
    trusted = open_trusted(source, written("clean.json", {7: "b"}))
    assert trusted is not None
    assert (trusted.cases, trusted.held_out) == (("b",), frozenset("b"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(CleanCasesError, match="is a folder, but the given labels are a COCO file"):
        open_trusted(source, tmp_path / "folder")
