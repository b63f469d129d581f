"""Cases come out of a folder as LabelMaps and go into another one as they were stored."""

import dataclasses
import errno
import os

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from drawing import picture
from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError, OutputError
from labelmend.io import grid_difference, open_labels, read_label_array
from labelmend.types import Grid, LabelMap


def stored(path):
    with Pillow.open(path) as picture:
        return np.array(picture).tolist()


@pytest.fixture
def maps(tmp_path):
    picture(tmp_path / "labels" / "a.png", [[0, 1], [2, 9]])
    picture(tmp_path / "labels" / "b.png", [[0, 0], [0, 0]])
    return open_labels(tmp_path / "labels", classes={"lung": 1, "heart": 2}, ignore=9)


@pytest.fixture
def masks(tmp_path):
    """Lung stored as 255, heart as 1; the heart of case b is empty, the lung of case b full."""
    root = tmp_path / "labels"
    picture(root / "lung" / "a.png", [[0, 255, 255]])
    picture(root / "lung" / "b.png", [[255, 255, 255]])
    picture(root / "heart" / "a.png", [[0, 0, 1]])
    picture(root / "heart" / "b.png", [[0, 0, 0]])
    picture(root / "ignore" / "a.png", [[1, 0, 0]])
    return open_labels(root)


def test_an_integer_map_has_its_names_values_and_ignored_pixels(maps):
    labels = maps.read("a")
    assert labels.array.tolist() == [[0, 1], [2, 9]]
    assert labels.classes == ("lung", "heart")
    assert labels.masks().astype(int).tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    assert labels.ignored().tolist() == [[False, False], [False, True]]
    assert maps.class_map() == {"lung": 1, "heart": 2}


def test_overlapping_masks_are_stacked_in_the_order_of_the_classes(masks):
    labels = masks.read("a")
    assert labels.classes == ("heart", "lung")
    assert labels.array.astype(int).tolist() == [[[0, 0, 1]], [[0, 1, 1]]]
    assert labels.ignored().tolist() == [[True, False, False]]
    assert masks.read("b").array.astype(int).tolist() == [[[0, 0, 0]], [[1, 1, 1]]]
    assert not masks.read("b").ignored().any()
    assert masks.class_map() == {"heart": 1, "lung": 2}


def test_a_value_outside_the_names_is_named_with_its_case_and_file(maps):
    picture(maps.path / "b.png", [[0, 7], [8, 0]])
    with pytest.raises(
        LabelValueError, match=r"case b: .*b\.png holds values 7, 8, .*lung = 1, heart = 2 .*ignore 9"
    ):
        maps.read("b")


def test_a_boolean_file_with_two_foreground_values_is_an_error(masks):
    picture(masks.path / "lung" / "a.png", [[0, 128, 255]])
    with pytest.raises(LabelValueError, match=r"case a: .*lung/a\.png holds values 0, 128, 255"):
        masks.read("a")


def test_masks_of_one_case_on_different_grids_are_an_error(masks):
    picture(masks.path / "lung" / "a.png", [[0, 255]])
    with pytest.raises(GeometryError, match=r"case a: .*heart/a\.png and .*lung/a\.png differ in shape"):
        masks.read("a")


def test_an_unknown_case_is_missing(maps):
    with pytest.raises(MissingDataError, match="case z has no labels in"):
        maps.read("z")


def test_a_map_is_written_where_target_says_like_its_source(maps, tmp_path):
    labels = maps.read("a")
    new = labels.with_masks(labels.masks()[:, ::-1])
    written = maps.write(tmp_path / "run", "a", new)
    assert written == maps.target(tmp_path / "run", "a") == (tmp_path / "run" / "a.png",)
    assert stored(written[0]) == [[2, 0], [0, 9]]
    assert stored(maps.path / "a.png") == [[0, 1], [2, 9]]


def test_masks_are_written_with_the_foreground_value_of_their_source(masks, tmp_path):
    labels = masks.read("a")
    written = masks.write(tmp_path / "run", "a", dataclasses.replace(labels, array=~labels.array))
    assert [str(path.relative_to(tmp_path / "run")) for path in written] == [
        "heart/a.png",
        "lung/a.png",
        "ignore/a.png",
    ]
    assert [stored(path) for path in written] == [[[1, 1, 0]], [[255, 0, 0]], [[1, 0, 0]]]
    assert written[-1].read_bytes() == masks.sources("a")[-1].read_bytes()
    again = open_labels(tmp_path / "run")
    assert again.read("a").array.tolist() == (~labels.array).tolist()


def test_an_empty_source_takes_the_foreground_value_of_its_class(masks, tmp_path):
    labels = masks.read("b")
    written = masks.write(tmp_path / "run", "b", dataclasses.replace(labels, array=~labels.array))
    assert [stored(path) for path in written] == [[[1, 1, 1]], [[0, 0, 0]]]


def test_the_own_class_decides_before_the_others(tmp_path):
    for name, value in (("heart", 1), ("lung", 255), ("rib", 3)):
        picture(tmp_path / "in" / name / "a.png", [[0, 0]])
        picture(tmp_path / "in" / name / "b.png", [[0, value]])
    folder = open_labels(tmp_path / "in")
    labels = folder.read("a")
    written = folder.write(tmp_path / "out", "a", dataclasses.replace(labels, array=~labels.array))
    assert [stored(path) for path in written] == [[[1, 1]], [[255, 255]], [[3, 3]]]


def test_a_class_that_is_empty_everywhere_takes_the_value_of_another_class(tmp_path):
    picture(tmp_path / "in" / "heart" / "a.png", [[0, 0]])
    picture(tmp_path / "in" / "lung" / "a.png", [[0, 200]])
    folder = open_labels(tmp_path / "in")
    labels = folder.read("a")
    heart, _ = folder.write(tmp_path / "out", "a", dataclasses.replace(labels, array=~labels.array))
    assert stored(heart) == [[200, 200]]


def test_a_folder_of_empty_pictures_is_written_with_255(tmp_path):
    picture(tmp_path / "in" / "heart" / "a.png", [[0, 0]])
    folder = open_labels(tmp_path / "in")
    labels = dataclasses.replace(folder.read("a"), array=np.array([[[True, False]]]))
    assert stored(folder.write(tmp_path / "out", "a", labels)[0]) == [[255, 0]]


def test_0_and_255_over_the_whole_folder_read_as_0_and_1_and_are_written_back(tmp_path):
    picture(tmp_path / "in" / "a.png", [[0, 255]])
    picture(tmp_path / "in" / "b.png", [[0, 0]])
    folder = open_labels(tmp_path / "in", classes={"lung": 1})
    labels = folder.read("a")
    assert labels.array.tolist() == [[0, 1]]
    assert folder.class_map() == {"lung": 1}
    written = folder.write(tmp_path / "out", "b", labels)
    assert stored(written[0]) == [[0, 255]]
    picture(tmp_path / "in" / "b.png", [[0, 1]])
    with pytest.raises(LabelValueError, match=r"case b: .*holds the value 1, but the classes are lung = 255"):
        folder.read("b")


def test_1_bit_masks_stay_1_bit(tmp_path):
    (tmp_path / "in/lung").mkdir(parents=True)
    Pillow.fromarray(np.array([[False, True]])).save(tmp_path / "in/lung/a.png")
    folder = open_labels(tmp_path / "in")
    labels = folder.read("a")
    written = folder.write(tmp_path / "out", "a", dataclasses.replace(labels, array=~labels.array))
    assert stored(written[0]) == [[True, False]]


def test_volumes_keep_their_header_and_spacing(tmp_path):
    affine = np.diag([0.7, 0.5, 3.0, 1.0])
    array = np.arange(24).reshape(4, 3, 2) % 3
    image = nibabel.Nifti1Image(array.astype("i2"), affine)
    (tmp_path / "in").mkdir()
    image.to_filename(tmp_path / "in" / "a.nii.gz")
    folder = open_labels(tmp_path / "in")
    labels = folder.read("a")
    np.testing.assert_allclose(labels.grid.spacing_mm, (0.7, 0.5, 3.0), rtol=1e-6)
    written = folder.write(tmp_path / "out", "a", labels.with_masks(labels.masks()[::-1]))
    new = nibabel.load(written[0])
    assert new.header == image.header
    assert np.asarray(new.dataobj).tolist() == np.array([0, 2, 1])[array].tolist()


def test_volumes_without_spacing_take_the_one_given(tmp_path):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(
        tmp_path / "in" / "a.tif", np.eye(3, dtype="u1")[None].repeat(2, 0), photometric="minisblack"
    )
    assert open_labels(tmp_path / "in", spacing_mm=(3, 1, 1)).read("a").grid.spacing_mm == (3.0, 1.0, 1.0)


@pytest.mark.parametrize("where", [".", "below", "../labels"])
def test_the_folder_of_the_given_labels_is_never_written_to(maps, where):
    before = sorted(maps.path.iterdir())
    with pytest.raises(OutputError, match="choose another folder"):
        maps.write(maps.path / where, "a", maps.read("a"))
    assert sorted(maps.path.iterdir()) == before


def test_labels_with_other_classes_are_not_written(maps, tmp_path):
    labels = LabelMap(np.zeros((2, 2), int), Grid((2, 2), (1.0, 1.0)), ("liver",))
    with pytest.raises(ConfigError, match=r"case a: labels with classes \('liver',\)"):
        maps.write(tmp_path / "run", "a", labels)


def test_a_disk_that_fills_leaves_no_half_mask(masks, tmp_path, monkeypatch):
    labels = masks.read("a")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"disk full while writing .*heart/a\.png"):
        masks.write(tmp_path / "run", "a", labels)
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == []


def test_grids_differ_in_shape_spacing_or_where_their_corners_lie():
    one = Grid((2, 2), (1.0, 1.0), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 0.5
    assert grid_difference(one, one) == ""
    assert grid_difference(one, Grid((2, 2), (1.0005, 1.0), np.diag([1.0005, 1, 1, 1]))) == ""
    assert grid_difference(one, Grid((2, 3), (1.0, 1.0), np.eye(4))).startswith("shape")
    assert grid_difference(one, Grid((2, 2), (1.0, 1.1), np.eye(4))).startswith("spacing")
    assert grid_difference(one, Grid((2, 2), (1.0, 1.0), moved)).startswith("affine, by up to 0.5 voxels")
    assert grid_difference(one, Grid((2, 2), (5.0, 5.0))) == ""


def test_a_named_value_0_is_carried_by_all_that_a_folder_says(tmp_path):
    Pillow.fromarray(np.array([[0, 1, 255]], np.uint8)).save(tmp_path / "a.png")
    folder = open_labels(tmp_path, classes={"road": 0, "sidewalk": 1}, ignore=255)
    assert (folder.classes, folder.names, folder.background) == (("sidewalk",), ("road", "sidewalk"), "road")
    assert folder.class_map() == {"road": 0, "sidewalk": 1}
    assert folder.dataset_json() == {"labels": {"road": 0, "sidewalk": 1, "ignore": 255}}
    assert folder.only("a").read("a").mask("road").tolist() == [[True, False, False]]
    plain = open_labels(tmp_path, classes={"sidewalk": 1}, ignore=255)
    assert plain.dataset_json() == {"labels": {"background": 0, "sidewalk": 1, "ignore": 255}}


def test_a_strange_value_is_told_with_the_name_of_value_0(tmp_path):
    Pillow.fromarray(np.array([[0, 1, 7]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(LabelValueError, match="the classes are road = 0, sidewalk = 1: name it"):
        open_labels(tmp_path, classes={"road": 0, "sidewalk": 1}).read("a")


@pytest.mark.parametrize("kind", ["palette", "1 bit", "2 bits", "tiff of 1 bit"])
def test_an_empty_class_file_of_any_kind_is_written_with_the_foreground_of_its_siblings(tmp_path, kind):
    root = tmp_path / "labels" / "lung"
    suffix = ".tif" if kind.startswith("tiff") else ".png"
    picture(root / "a.png", [[0, 255, 255]])
    empty = Pillow.new("P" if kind == "palette" else "1" if kind == "1 bit" else "L", (3, 1))
    if kind == "palette":
        empty.putpalette([0, 0, 0])
    if suffix == ".tif":
        tifffile.imwrite(root / "b.tif", np.zeros((1, 3), bool))
    else:
        empty.save(root / "b.png", bits=2 if kind == "2 bits" else 8)
    folder = open_labels(tmp_path / "labels")
    labels = dataclasses.replace(folder.read("b"), array=np.array([[[True, False, True]]]))
    for which in (folder, folder.only("b")):
        written = which.write(tmp_path / f"out{which is folder}", "b", labels)[0]
        assert read_label_array(written)[0].tolist() == [[255, 0, 255]]


def test_faded_edges_are_said_to_be_no_classes(tmp_path):
    square = Pillow.fromarray(np.pad(np.full((12, 14), 255, np.uint8), 6))
    faded = np.array(square.resize((40, 37), Pillow.Resampling.BILINEAR))
    picture(tmp_path / "maps" / "a.png", faded)
    with pytest.raises(LabelValueError, match=r"maps/a\.png holds .*: its edges are blurred.*threshold it"):
        open_labels(tmp_path / "maps")
    with pytest.raises(LabelValueError, match=r"maps/a\.png holds .*: its edges are blurred.*threshold it"):
        open_labels(tmp_path / "maps", classes={"lung": 255}).read("a")
    picture(tmp_path / "masks" / "lung" / "a.png", faded)
    with pytest.raises(LabelValueError, match=r"a\.png holds .*: its edges are blurred.*threshold it"):
        open_labels(tmp_path / "masks").read("a")
    picture(tmp_path / "dim" / "a.png", faded // 2)
    with pytest.raises(LabelValueError, match=r"dim/a\.png holds .*: its edges are blurred"):
        open_labels(tmp_path / "dim")


def test_foreground_written_in_two_ways_is_not_advised_to_be_ignored(tmp_path):
    picture(tmp_path / "maps" / "a.png", [[0, 1]])
    picture(tmp_path / "maps" / "b.png", [[0, 255]])
    with pytest.raises(
        LabelValueError, match=r"a\.png holds 1 and .*b\.png holds 255: use one foreground value"
    ):
        open_labels(tmp_path / "maps")
    folder = open_labels(tmp_path / "maps", classes={"lung": 1})
    with pytest.raises(LabelValueError, match="write 1 instead of 255 for foreground"):
        folder.read("b")


def test_files_of_one_case_must_have_the_same_orientation_tag(tmp_path):
    exif = Pillow.Exif()
    exif[274] = 3
    picture(tmp_path / "heart" / "a.png", [[0, 1]])
    (tmp_path / "lung").mkdir()
    Pillow.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "lung" / "a.png", exif=exif)
    with pytest.raises(GeometryError, match="orientation tag, 1 and 3"):
        open_labels(tmp_path).read("a")


def test_the_rounding_of_headers_is_no_difference_and_a_turn_that_moves_corners_is():
    side = 512
    one = Grid((side, side), (0.5, 0.5), np.diag([0.5, 0.5, 3.0, 1.0]))
    rounded, turned = one.affine.copy(), one.affine.copy()
    rounded[:3, 3] = 0.0015  # mm
    assert grid_difference(one, Grid(one.shape, one.spacing_mm, rounded)) == ""
    angle = np.deg2rad(0.05)
    turned[:2, :2] = 0.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # the far corner lies 511 sqrt(2) voxels from the origin
    told = grid_difference(one, Grid(one.shape, one.spacing_mm, turned))
    assert told.startswith("affine, by up to 0.631 voxels")


def test_voxels_below_a_micrometre_are_compared_in_relation_to_their_size():
    small, larger = (Grid((2, 2), (s, s), np.diag([s, s, s, 1.0])) for s in (4e-4, 8e-4))
    assert grid_difference(small, larger).startswith("spacing")
