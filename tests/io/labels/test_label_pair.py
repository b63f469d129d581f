import numpy as np
import pytest

from drawing import picture
from labelmend.errors import ConfigError, GeometryError, MissingDataError
from labelmend.io.labels.label_pair import common_grid, common_unit, open_pair
from labelmend.types import Grid


def draw(folder, values, *cases):
    folder.mkdir()
    for case in cases:
        picture(folder / f"{case}.png", np.array([values], np.uint8))
    return folder


def test_names_are_lent_by_the_folder_that_has_some(tmp_path):
    ours, theirs = draw(tmp_path / "a", [0, 1, 2], "x"), draw(tmp_path / "b", [0, 2, 1], "x", "y")
    (theirs / "dataset.json").write_text('{"labels": {"background": 0, "lung": 1, "heart": 2}}')
    pair = open_pair(ours, theirs, None, None, None)
    assert [folder.classes for folder in pair] == [("lung", "heart"), ("lung", "heart")]


def test_folders_without_names_share_those_of_all_their_values(tmp_path):
    ours, theirs = draw(tmp_path / "a", [0, 1], "x"), draw(tmp_path / "b", [0, 3], "x")
    pair = open_pair(ours, theirs, None, None, None)
    assert [folder.values for folder in pair] == [(1, 3), (1, 3)]


def test_a_case_without_a_reference_is_named(tmp_path):
    ours, theirs = draw(tmp_path / "a", [0, 1], "x", "y"), draw(tmp_path / "b", [0, 1], "x")
    with pytest.raises(MissingDataError, match=r"1 of 2 cases .* have no reference in .*b: y"):
        open_pair(ours, theirs, {"lung": 1}, None, None)


def test_other_classes_are_refused_with_both_lists(tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / name, [0, 1], "x")
    (tmp_path / "a" / "dataset.json").write_text('{"labels": {"lung": 1}}')
    (tmp_path / "b" / "dataset.json").write_text('{"labels": {"heart": 1}}')
    with pytest.raises(ConfigError, match=r"has the classes lung, .*b has heart"):
        open_pair(tmp_path / "a", tmp_path / "b", None, None, None)


def test_the_grid_of_a_pair_is_that_of_the_file_that_stores_its_geometry():
    picture = Grid((2, 2), (1.0, 1.0), unit="px")
    slice_ = Grid((2, 2), (0.5, 0.5), np.diag([0.5, 0.5, 1.0, 1.0]))
    assert common_grid(picture, slice_, "both") is slice_
    assert common_grid(slice_, picture, "both") is slice_
    with pytest.raises(GeometryError, match="both differ in shape"):
        common_grid(picture, Grid((2, 3), (1.0, 1.0)), "both")


def test_pixels_and_millimetres_are_not_averaged():
    assert common_unit({"a": "mm", "b": "mm"}) == "mm"
    with pytest.raises(GeometryError, match="case b has no spacing"):
        common_unit({"a": "mm", "b": "px"})
