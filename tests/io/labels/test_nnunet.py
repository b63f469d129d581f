"""Raw data sets of nnU-Net: labels, regions, the value to ignore, images by channel."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from labelmend.errors import ConfigError, DataError, MissingDataError, UnreadableFileError
from labelmend.io import LabelFolder, RegionFolder, is_nnunet, open_nnunet, open_probabilities

PLAIN = {"background": 0, "PZ": 1, "TZ": 2}
BRATS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def data_set(root, labels, cases="ab", values=((0, 1, 2),), ending=".png", channels=("T2",), **more):
    """A raw data set of pictures; `more` goes into dataset.json."""
    (root / "imagesTr").mkdir(parents=True)
    (root / "labelsTr").mkdir()
    for case in cases:
        Pillow.fromarray(np.array(values, np.uint8)).save(root / "labelsTr" / f"{case}{ending}")
        for i in range(len(channels)):
            Pillow.fromarray(np.zeros((1, 3), np.uint8)).save(root / "imagesTr" / f"{case}_{i:04d}{ending}")
    content = {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": ending,
        **more,
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_labels_and_channels_are_found_from_the_root_or_its_labels(tmp_path):
    root = data_set(tmp_path / "Dataset005_Prostate", PLAIN, channels=("T2", "ADC"))
    for path in (root, root / "labelsTr"):
        assert is_nnunet(path)
        labels, images, info = open_nnunet(path)
        assert (labels.classes, labels.values, labels.overlapping) == (("PZ", "TZ"), (1, 2), False)
        assert type(labels) is LabelFolder
        assert labels.read("a").array.tolist() == [[0, 1, 2]]
        assert images["b"] == (root / "imagesTr" / "b_0000.png", root / "imagesTr" / "b_0001.png")
        assert (info.root, info.file_ending, info.channel_names) == (root, ".png", ("T2", "ADC"))
        assert (info.regions, info.notes, info.content["numTraining"]) == (False, (), 2)


def test_other_folders_are_no_raw_data_set(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "dataset.json").write_text("{}")
    assert not is_nnunet(tmp_path)
    assert not is_nnunet(tmp_path / "labels")
    with pytest.raises(
        MissingDataError, match=r"is not an nnU-Net raw dataset: expected it to contain dataset.json"
    ):
        open_nnunet(tmp_path)


def test_pixels_to_ignore_are_known_by_their_name(tmp_path):
    root = data_set(tmp_path / "d", {**PLAIN, "ignore": 3}, values=((0, 2, 3),))
    labels = open_nnunet(root)[0]
    assert (labels.ignore, labels.classes) == (3, ("PZ", "TZ"))
    assert labels.read("a").ignored().tolist() == [[False, False, True]]


@pytest.mark.parametrize("value", [2, 1])
def test_the_value_to_ignore_must_be_the_highest(tmp_path, value):
    root = data_set(tmp_path / "d", {**PLAIN, "ignore": value})
    with pytest.raises(
        ConfigError, match=f'"ignore" is {value}, but nnU-Net requires it to be the highest value'
    ):
        open_nnunet(root)


def test_regions_are_overlapping_classes_in_the_order_of_the_file(tmp_path):
    root = data_set(
        tmp_path / "d", {**BRATS, "ignore": 4}, values=((1, 3, 4),), regions_class_order=[1, 2, 3]
    )
    labels, _, info = open_nnunet(root)
    assert isinstance(labels, RegionFolder)
    assert info.regions
    assert labels.classes == ("whole", "core", "enhancing")
    assert (labels.regions, labels.order, labels.ignore) == (((1, 2, 3), (2, 3), (3,)), (1, 2, 3), 4)
    read = labels.read("a")
    assert read.masks()[:, 0].astype(int).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert read.ignored().tolist() == [[False, False, True]]


def test_probabilities_of_regions_have_one_channel_a_region_and_no_background(tmp_path):
    root = data_set(tmp_path / "d", BRATS, "a", regions_class_order=[1, 2, 3])
    probs = np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 1, 1, 3)
    (tmp_path / "validation").mkdir()
    np.savez(tmp_path / "validation" / "a.npz", probabilities=probs)
    labels = open_nnunet(root)[0]
    found = open_probabilities(tmp_path / "validation", labels)
    np.testing.assert_allclose(found.read("a", labels.read("a")), probs[:, 0], atol=1e-6)


def test_lists_of_one_value_are_no_regions(tmp_path):
    labels = open_nnunet(data_set(tmp_path / "d", {"background": 0, "PZ": [1], "TZ": [2]}))[0]
    assert (type(labels), labels.values) == (LabelFolder, (1, 2))


@pytest.mark.parametrize(
    ("labels", "more", "told"),
    [
        (BRATS, {}, 'needs "regions_class_order"'),
        (BRATS, {"regions_class_order": [1, 2]}, "3 regions .* names 2 integers"),
        (BRATS, {"regions_class_order": [1, 2, "x"]}, 'needs "regions_class_order"'),
        ({"background": 0, "PZ": "one"}, {}, "class 'PZ' is 'one', expected a non-negative integer"),
        ({"background": 0, "PZ": []}, {}, r"class 'PZ' is \[\], expected a non-negative integer"),
        ({"background": 0, "PZ": [1, -1]}, {}, "expected a non-negative integer"),
        ({"background": 0, "PZ": 1, "ignore": [2, 3]}, {}, '"ignore" is .2, 3., expected one integer'),
        (PLAIN, {"dataset": {}}, "lists the files of each case"),
    ],
)
def test_names_that_nnunet_would_refuse_are_errors(tmp_path, labels, more, told):
    root = data_set(tmp_path / "d", labels, **more)
    with pytest.raises(ConfigError, match=told):
        open_nnunet(root)


@pytest.mark.parametrize("text", ["{broken", "[]", '{"labels": []}'])
def test_a_file_without_labels_is_told(tmp_path, text):
    root = data_set(tmp_path / "d", PLAIN)
    (root / "dataset.json").write_text(text)
    with pytest.raises(UnreadableFileError, match=r"dataset.json"):
        open_nnunet(root)


def test_formats_that_labelmend_does_not_read_are_told(tmp_path):
    root = data_set(tmp_path / "d", PLAIN)
    for ending in (".nrrd", ".jpg", ""):
        content = json.loads((root / "dataset.json").read_text()) | {"file_ending": ending}
        (root / "dataset.json").write_text(json.dumps(content))
        with pytest.raises(UnreadableFileError, match=f"ending in '{ending}', which labelmend cannot read"):
            open_nnunet(root)


def test_an_earlier_form_of_the_file_is_read_too(tmp_path):
    root = data_set(tmp_path / "d", PLAIN, channels=("T2", "ADC"))
    old = {"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"}}
    (root / "dataset.json").write_text(json.dumps(old))
    labels, images, info = open_nnunet(root)
    assert (labels.classes, info.file_ending, info.channel_names) == (("PZ", "TZ"), ".png", ("T2", "ADC"))
    assert len(images["a"]) == 2


def test_images_without_labels_and_labels_without_images_are_notes(tmp_path):
    root = data_set(tmp_path / "d", PLAIN)
    (root / "imagesTr" / "a_0000.png").rename(root / "imagesTr" / "c_0000.png")
    labels, images, info = open_nnunet(root)
    assert (labels.cases, list(images)) == (("a", "b"), ["b"])
    folder = root / "imagesTr"
    assert info.notes == (
        f"Cases without an image in {folder}: a.",
        f"Cases in {folder} without labels, left out: c.",
    )


@pytest.mark.parametrize("gone", [True, False])
def test_without_images_there_are_none(tmp_path, gone):
    root = data_set(tmp_path / "d", PLAIN)
    for path in (root / "imagesTr").iterdir():
        path.unlink()
    if gone:
        (root / "imagesTr").rmdir()
    labels, images, info = open_nnunet(root)
    assert (labels.cases, images) == (("a", "b"), {})
    assert info.notes[0].endswith("contains no images.")


def test_a_missing_channel_is_an_error(tmp_path):
    root = data_set(tmp_path / "d", PLAIN, channels=("T2", "ADC"))
    (root / "imagesTr" / "b_0000.png").unlink()
    with pytest.raises(
        DataError, match=r"case b has the channels 0001 in .*, expected 0000, 0001: .*T2, ADC"
    ):
        open_nnunet(root)


def test_one_colour_picture_holds_three_channels(tmp_path):
    root = data_set(tmp_path / "d", PLAIN, "a")
    content = json.loads((root / "dataset.json").read_text())
    content["channel_names"] = {"0": "R", "1": "G", "2": "B"}
    (root / "dataset.json").write_text(json.dumps(content))
    assert open_nnunet(root)[1]["a"] == (root / "imagesTr" / "a_0000.png",)


def stacks(root, spacings):
    (root / "labelsTr").mkdir(parents=True)
    for case, spacing in zip("abc", spacings, strict=False):
        tifffile.imwrite(root / "labelsTr" / f"{case}.tif", np.ones((5, 4, 6), np.uint8))
        if spacing:
            (root / "labelsTr" / f"{case}.json").write_text(json.dumps({"spacing": spacing}))
    content = {"channel_names": {"0": "EM"}, "labels": {"background": 0, "cell": 1}, "file_ending": ".tif"}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_spacing_of_tiff_stacks_is_read_from_beside_them(tmp_path):
    labels = open_nnunet(stacks(tmp_path, [(3.0, 1.0, 0.5)] * 2))[0]
    assert (labels.read("a").grid.spacing_mm, labels.read("a").grid.unit) == ((3.0, 1.0, 0.5), "mm")
    assert open_nnunet(tmp_path, spacing_mm=2.0)[0].read("a").grid.spacing_mm == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("spacings", [[(3, 1, 1), (2, 1, 1)], [(3, 1, 1), None]])
def test_spacings_that_differ_are_noted_and_not_used(tmp_path, spacings):
    labels, _, info = open_nnunet(stacks(tmp_path, spacings))
    assert labels.read("a").grid.unit == "px"
    assert "so lengths are in pixels" in info.notes[0]


def test_stacks_without_any_spacing_are_in_pixels(tmp_path):
    assert open_nnunet(stacks(tmp_path, [None, None]))[0].read("a").grid.unit == "px"


def test_a_damaged_spacing_is_named(tmp_path):
    root = stacks(tmp_path, [(3, 1, 1)])
    (root / "labelsTr" / "a.json").write_text("{}")
    with pytest.raises(UnreadableFileError, match=r'a.json gives no "spacing"'):
        open_nnunet(root)


def test_value_0_is_a_class_where_it_is_not_called_background(tmp_path):
    labels, _, _ = open_nnunet(data_set(tmp_path, {"road": 0, "sidewalk": 1, "building": 2}))
    assert (labels.names, labels.classes) == (("road", "sidewalk", "building"), ("sidewalk", "building"))
    labels, _, _ = open_nnunet(data_set(tmp_path / "old", {"0": "road", "1": "sidewalk", "2": "building"}))
    assert labels.background == "road"


def test_value_0_cannot_be_a_class_beside_regions(tmp_path):
    root = data_set(tmp_path, {"road": 0, "all": [1, 2], "core": 2}, regions_class_order=[1, 2])
    with pytest.raises(ConfigError, match="'road' is 0, but with region classes"):
        open_nnunet(root)
