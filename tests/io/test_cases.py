"""Labels of every layout with their probabilities and images: what is found, read and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawing import picture
from drawn_findings import CLASSES, arrays, discs, soft
from labelmend.errors import ConfigError, GeometryError, MissingDataError
from labelmend.io import open_coco
from labelmend.io.cases import Source, open_source

TRUE, IMAGE = discs(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases as a label folder."""
    for case in ("a", "b"):
        picture(tmp_path / "labels" / f"{case}.png", TRUE)
        picture(tmp_path / "images" / f"{case}.png", IMAGE)
        arrays(tmp_path / "probs" / f"{case}.npz", probs=soft(TRUE, 2))
    return tmp_path


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    """The same as a raw data set of nnU-Net with two channels."""
    root = tmp_path / "Dataset001_Discs"
    for case in ("a", "b"):
        picture(root / "labelsTr" / f"{case}.png", TRUE)
        for channel in range(2):
            picture(root / "imagesTr" / f"{case}_{channel:04d}.png", IMAGE + channel)
        arrays(tmp_path / "probs" / f"{case}.npz", probabilities=soft(TRUE, 2)[:, None])
    content = {
        "labels": {"background": 0, **CLASSES},
        "channel_names": {"0": "one", "1": "two"},
        "file_ending": ".png",
        "numTraining": 2,
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """One image with a square of each of two classes."""
    pytest.importorskip("pycocotools")
    square = [[8, 8, 24, 8, 24, 24, 8, 24]]
    content = {
        "images": [{"id": 5, "file_name": "sub/p.png", "height": 64, "width": 64}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 1, "segmentation": square, "iscrowd": 0, "area": 256},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    picture(tmp_path / "images" / "sub" / "p.png", IMAGE)
    arrays(tmp_path / "probs" / "p.npz", probs=np.full((2, 64, 64), 0.5, np.float32))
    return tmp_path


def opened(root: Path, **more: object) -> Source:
    settings: dict = {"images": root / "images", "classes": CLASSES} | more
    return open_source(root / "labels", root / "probs", settings.pop("images"), **settings)


def test_a_folder_is_read_case_by_case(folder):
    source = opened(folder, spacing_mm=0.5)
    assert (source.layout, source.cases, source.classes) == ("folder", ("a", "b"), tuple(CLASSES))
    given, probs, image, misplaced = source.read("a")
    assert misplaced == ""
    np.testing.assert_array_equal(given.array, TRUE)
    assert given.grid.spacing_mm == (0.5, 0.5)
    np.testing.assert_allclose(probs, soft(TRUE, 2), atol=1e-6)
    assert image is not None
    np.testing.assert_array_equal(image, IMAGE[None])
    assert source.image_name("a") == "a.png"
    assert source.label_files("a") == (folder / "labels" / "a.png",)


def test_images_are_read_as_shown_and_labels_with_another_orientation_tag_are_refused(folder):
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(IMAGE[::-1, ::-1].astype(np.uint8)).save(folder / "images" / "a.png", exif=exif)
    source = opened(folder)
    np.testing.assert_array_equal(source.read("a")[2], IMAGE[None])
    Image.fromarray(TRUE.astype(np.uint8)).save(folder / "labels" / "b.png", exif=exif)
    with pytest.raises(GeometryError, match=r"case b, .*b\.png: the labels have orientation tag 3"):
        source.read("b")


def test_images_can_be_left_out(folder):
    source = opened(folder, images=None)
    assert source.read("a")[2] is None
    assert source.image_name("a") is None
    assert source.description()["images"] is None


def test_one_case_is_all_that_a_worker_gets(folder):
    one = opened(folder).only("b")
    assert (one.cases, one.probs.cases, tuple(one.image_files)) == (("b",), ("b",), ("b",))
    np.testing.assert_array_equal(one.read("b")[0].array, TRUE)
    assert one.description() == opened(folder).description()
    assert one.checksum("b") == opened(folder).checksum("b")


def test_a_checksum_changes_with_the_labels_alone(folder):
    before = opened(folder).checksum("a")
    picture(folder / "images" / "a.png", IMAGE * 0)
    assert opened(folder).checksum("a") == before
    picture(folder / "labels" / "a.png", TRUE * 0)
    assert opened(folder).checksum("a") != before


def test_the_description_is_plain_enough_for_json(folder):
    said = opened(folder, spacing_mm=(0.5, 0.25), ignore=9).description()
    assert json.loads(json.dumps(said)) == said
    assert (said["spacing_mm"], said["ignore"], said["values"]) == ([0.5, 0.25], 9, CLASSES)
    assert said["labels"] == str((folder / "labels").resolve())


def test_a_data_set_of_nnunet_brings_its_images(nnunet):
    for named in (nnunet, nnunet / "labelsTr"):
        source = open_source(named, nnunet.parent / "probs")
        assert (source.layout, source.cases, source.classes) == ("nnunet", ("a", "b"), tuple(CLASSES))
        image = source.read("a")[2]
        assert image is not None
        np.testing.assert_array_equal(image, np.stack([IMAGE, IMAGE + 1]))
        assert source.image_name("a") == "a_0000.png"
        assert source.description()["images"] == str(nnunet / "imagesTr")


def test_its_own_images_may_be_named_in_any_spelling(nnunet, monkeypatch):
    monkeypatch.chdir(nnunet.parent)
    for spelling in ("Dataset001_Discs/imagesTr", "Dataset001_Discs/labelsTr/../imagesTr"):
        source = open_source(nnunet, nnunet.parent / "probs", spelling)
        assert source.image_name("b") == "b_0000.png"
        image = source.read("a")[2]
        assert image is not None
        assert len(image) == 2


def test_other_images_of_an_nnunet_data_set_are_taken_from_where_they_are_named(nnunet):
    for case in ("a", "b"):
        picture(nnunet.parent / "other" / f"{case}.png", IMAGE + 3)
    source = open_source(nnunet, nnunet.parent / "probs", nnunet.parent / "other")
    image = source.read("a")[2]
    assert image is not None
    np.testing.assert_array_equal(image, IMAGE[None] + 3)
    assert source.image_name("a") == "a.png"


def test_an_nnunet_data_set_may_lack_images_of_some_cases_or_all(nnunet):
    for path in (nnunet / "imagesTr").glob("b_*.png"):
        path.unlink()
    source = open_source(nnunet, nnunet.parent / "probs")
    assert (source.image_name("a"), source.image_name("b")) == ("a_0000.png", None)
    assert source.read("b")[2] is None
    assert any(note.startswith("Cases without an image") and note.endswith(": b.") for note in source.notes)
    shutil.rmtree(nnunet / "imagesTr")
    assert open_source(nnunet, nnunet.parent / "probs").images is None


def test_a_coco_file_has_one_case_an_image(coco):
    source = open_source(coco / "coco.json", coco / "probs", coco / "images")
    assert (source.layout, source.cases, source.classes) == ("coco", ("p",), ("cat", "dog"))
    given, probs, image, misplaced = source.only("p").read("p")
    assert misplaced == ""
    assert (given.overlapping, probs.shape) == (True, (2, 64, 64))
    assert given.masks().sum(axis=(1, 2)).tolist() == [256, 0]
    assert image is not None
    assert source.image_name("p") == "sub/p.png"
    assert source.label_files("p") == (coco / "coco.json",)
    assert source.description()["values"] is None
    assert source.checksum("p").startswith("sha256:")


def test_other_labels_of_a_coco_case_are_written_to_a_file_of_their_own(coco, tmp_path):
    source = open_source(coco / "coco.json", coco / "probs")
    given = source.given.read("p")
    (file,) = source.write(tmp_path / "out", "p", given.with_masks(given.masks()[::-1]))
    assert file == tmp_path / "out" / "p.json"
    assert open_coco(file).read("p").masks().sum(axis=(1, 2)).tolist() == [0, 256]


def test_a_folder_of_images_that_is_not_there_is_named(coco):
    with pytest.raises(MissingDataError, match=r"nowhere is not a folder: expected the images of"):
        open_source(coco / "coco.json", coco / "probs", coco / "nowhere")


@pytest.mark.parametrize("more", [{"classes": CLASSES}, {"ignore": 9}])
def test_names_are_not_given_to_a_data_set_that_has_its_own(nnunet, more):
    with pytest.raises(ConfigError, match="defines its own classes: leave out classes and ignore"):
        open_source(nnunet, nnunet.parent / "probs", **more)


def test_a_case_without_an_image_is_named(folder):
    (folder / "images" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 2 cases of .*labels have no image in .*images: b\."):
        opened(folder)


def test_a_case_without_probabilities_is_named(folder):
    (folder / "probs" / "a.npz").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 2 cases .*: a"):
        opened(folder)


def test_an_image_on_another_grid_is_refused_when_it_is_read(folder):
    picture(folder / "images" / "a.png", IMAGE[:-1])
    source = opened(folder)
    with pytest.raises(GeometryError, match=r"case a: the image .*a\.png has shape \(63, 64\), its labels"):
        source.read("a")
    np.testing.assert_array_equal(source.read_labels("a")[0].array, TRUE)


def test_folders_that_are_absent_are_named(folder):
    with pytest.raises(MissingDataError, match="nowhere"):
        open_source(folder / "labels", folder / "nowhere", classes=CLASSES)
    with pytest.raises(MissingDataError, match="nowhere"):
        opened(folder, images=folder / "nowhere")


def test_only_the_cases_asked_for_need_probabilities_and_images(folder, tmp_path):
    (folder / "probs" / "b.npy").unlink(missing_ok=True)
    (folder / "probs" / "b.npz").unlink(missing_ok=True)
    (folder / "images" / "b.png").unlink()
    given = (folder / "labels", folder / "probs", folder / "images")
    with pytest.raises(MissingDataError, match=r"no probabilities in .*: b\..* Also, 1 of 2 .* no image"):
        open_source(*given, classes=CLASSES)
    (tmp_path / "cases.txt").write_text("a.png\n")
    for cases in (["a"], "a", str(tmp_path / "cases.txt"), tmp_path / "cases.txt"):
        source = open_source(*given, classes=CLASSES, cases=cases)
        assert source.cases == ("a",)
        assert "Only 1 of 2 cases were selected." in source.notes
    with pytest.raises(MissingDataError, match=r"no labels for the requested cases: x, y\. It has a, b"):
        open_source(*given, classes=CLASSES, cases=["x", "a", "y"])
