"""A raw data set with revised labels: as nnU-Net wants it, and the rest byte for byte."""

import gzip
import json
import os

import nibabel
import numpy as np
import pytest

from drawing import volume
from labelmend.errors import ConfigError, DataError, LabelmendError, MissingDataError, OutputError
from labelmend.io import open_nnunet, write_nnunet

PLAIN = {"background": 0, "PZ": 1, "TZ": 2}
REGIONS = {"whole": [1, 2], "background": 0, "core": 2}
SHAPE = (4, 3, 2)


@pytest.fixture
def source(tmp_path):
    return data_set(tmp_path / "raw" / "Dataset005_Prostate", PLAIN)


def data_set(root, labels, cases="ab", **more):
    (root / "imagesTr").mkdir(parents=True)
    (root / "labelsTr").mkdir()
    affine = np.diag([-1.0, 1.5, 3.0, 1.0])
    for i, case in enumerate(cases):
        array = np.zeros(SHAPE, np.int16)
        array[1:3], array[2] = 1, 1 + i
        volume(root / "labelsTr" / f"{case}.nii.gz", array, affine)
        volume(root / "imagesTr" / f"{case}_0000.nii.gz", array * 2.5, affine)
    content = {"channel_names": {"0": "T2"}, "labels": labels, "numTraining": 9, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps({**content, "name": "Prostate", "licence": "CC", **more}))
    return root


def revised(source, case="a"):
    """The labels of a case with the second class everywhere."""
    given = open_nnunet(source)[0].read(case)
    masks = np.zeros_like(given.masks())
    masks[1] = True
    return given.with_masks(masks)


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_the_new_set_holds_revised_labels_and_all_others_byte_for_byte(source, tmp_path):
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {"a": revised(source)})
    assert sorted(files(out)) == sorted(files(source))
    for name in ("labelsTr/b.nii.gz", "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz"):
        assert files(out)[name] == files(source)[name]
    new, old = (nibabel.load(root / "labelsTr" / "a.nii.gz") for root in (out, source))
    assert np.asarray(new.dataobj).tolist() == np.full(SHAPE, 2).tolist()
    assert new.header.binaryblock == old.header.binaryblock
    assert open_nnunet(out)[0].cases == ("a", "b")


def test_a_label_file_is_copied_byte_for_byte(source, tmp_path):
    file = tmp_path / "drawn.nii.gz"
    volume(file, np.full(SHAPE, 2, np.uint16), np.eye(4))
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", iter([("a", file)]))
    assert (out / "labelsTr" / "a.nii.gz").read_bytes() == file.read_bytes()
    assert files(out)["labelsTr/b.nii.gz"] == files(source)["labelsTr/b.nii.gz"]
    with pytest.raises(MissingDataError, match="case c, which has none"):
        write_nnunet(source, tmp_path / "raw" / "Dataset502_Mended", {"c": file})


def test_dataset_json_has_the_new_name_and_number_and_keeps_the_rest(source, tmp_path):
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {})
    written = json.loads((out / "dataset.json").read_text())
    assert written == {
        "channel_names": {"0": "T2"},
        "labels": PLAIN,
        "numTraining": 2,
        "file_ending": ".nii.gz",
        "name": "Mended",
        "licence": "CC",
    }
    other = write_nnunet(source, tmp_path / "raw" / "Dataset502_Mended", {}, name="Prostate, mended")
    assert json.loads((other / "dataset.json").read_text())["name"] == "Prostate, mended"


def test_regions_keep_their_order_and_are_painted(tmp_path):
    source = data_set(tmp_path / "Dataset005_Regions", REGIONS, regions_class_order=[1, 2])
    out = write_nnunet(source, tmp_path / "Dataset501_Mended", {"a": revised(source)})
    assert list(json.loads((out / "dataset.json").read_text())["labels"]) == ["whole", "background", "core"]
    assert json.loads((out / "dataset.json").read_text())["regions_class_order"] == [1, 2]
    assert (
        np.asarray(nibabel.load(out / "labelsTr" / "a.nii.gz").dataobj).tolist() == np.full(SHAPE, 2).tolist()
    )


@pytest.mark.parametrize("images", ["link", "copy"])
def test_images_are_linked_or_copied(source, tmp_path, images):
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {}, images=images)
    image = out / "imagesTr" / "a_0000.nii.gz"
    assert image.is_symlink() == (images == "link")
    assert image.resolve() == (source if images == "link" else out) / "imagesTr" / "a_0000.nii.gz"
    assert not (out / "labelsTr" / "a.nii.gz").is_symlink()


def test_labels_may_come_one_at_a_time(source, tmp_path):
    pairs = ((case, revised(source, case)) for case in "ba")
    out = write_nnunet(source / "labelsTr", tmp_path / "raw" / "Dataset501_Mended", pairs)
    for case in "ab":
        assert (open_nnunet(out)[0].read(case).array == 2).all()


def test_labels_that_did_not_change_are_copied_byte_for_byte(source, tmp_path):
    path = source / "labelsTr" / "a.nii.gz"
    before = gzip.compress(gzip.decompress(path.read_bytes()), 1)  # labelmend would pack it otherwise
    path.write_bytes(before)
    given = open_nnunet(source)[0].read("a")
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {"a": given})
    assert (out / "labelsTr" / "a.nii.gz").read_bytes() == before


def test_a_case_without_labels_is_left_out_since_nnunet_would_stop_at_it(source, tmp_path):
    (source / "labelsTr" / "b.nii.gz").unlink()
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {})
    assert sorted(path.name for path in (out / "imagesTr").iterdir()) == ["a_0000.nii.gz"]
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 1


def test_an_earlier_form_becomes_the_one_of_version_2(source, tmp_path):
    old = {
        "modality": {"0": "T2"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
        "numTest": 3,
    }
    (source / "dataset.json").write_text(json.dumps(old))
    out = write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {})
    assert json.loads((out / "dataset.json").read_text()) == {
        "labels": PLAIN,
        "name": "Mended",
        "channel_names": {"0": "T2"},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }


@pytest.mark.parametrize("name", ["mended", "Dataset1_Mended", "Dataset501", "Dataset501_"])
def test_a_name_that_nnunet_does_not_find_is_an_error(source, tmp_path, name):
    with pytest.raises(ConfigError, match="name the folder DatasetXXX_Name"):
        write_nnunet(source, tmp_path / "raw" / name, {})


def test_a_number_that_is_taken_is_an_error(source, tmp_path):
    with pytest.raises(ConfigError, match=r"already holds Dataset005_Prostate.* a number other than 005"):
        write_nnunet(source, tmp_path / "raw" / "Dataset005_Mended", {})


def test_given_data_are_never_written_to(source, tmp_path):
    before = files(source)
    for out in (source, source / "Dataset501_Mended", source / "labelsTr" / "Dataset501_Mended"):
        with pytest.raises(OutputError, match="is inside the input folder"):
            write_nnunet(source, out, {})
    full = tmp_path / "raw" / "Dataset501_Mended"
    full.mkdir()
    (full / "mine").touch()
    with pytest.raises(OutputError, match="already holds mine"):
        write_nnunet(source, full, {})
    assert files(source) == before


def test_an_empty_folder_may_be_there(source, tmp_path):
    (tmp_path / "raw" / "Dataset501_Mended").mkdir()
    assert open_nnunet(write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {}))[0].cases == (
        "a",
        "b",
    )


@pytest.mark.parametrize("wrong", ["unknown", "twice", "classes"])
def test_an_error_leaves_nothing_behind(source, tmp_path, wrong):
    labels = revised(source)
    other = open_nnunet(data_set(tmp_path / "Dataset006_X", {"background": 0, "x": 1}, "a"))[0]
    pairs = {
        "unknown": [("z", labels)],
        "twice": [("a", labels), ("a", labels)],
        "classes": [("b", labels), ("a", other.read("a"))],
    }[wrong]
    expected = {"unknown": MissingDataError, "twice": DataError, "classes": ConfigError}[wrong]
    with pytest.raises(expected, match="case"):
        write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", pairs)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Dataset005_Prostate"]


def test_a_set_without_images_cannot_be_trained_on(source, tmp_path):
    for path in (source / "imagesTr").iterdir():
        path.unlink()
    with pytest.raises(MissingDataError, match="holds no images, which nnU-Net needs"):
        write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {})


def test_a_place_without_links_is_told_as_such(source, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "links are not allowed here")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(LabelmendError, match="links are not allowed here"):
        write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {})
    write_nnunet(source, tmp_path / "raw" / "Dataset501_Mended", {}, images="copy")
