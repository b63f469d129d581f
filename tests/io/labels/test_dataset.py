"""Images and labels are paired by case, and every gap is named."""

import dataclasses

import nibabel
import numpy as np
import pytest

from drawing import picture, volume
from labelmend.errors import MissingDataError
from labelmend.io import open_dataset


def draw(path, values=((0, 1), (2, 0))):
    picture(path, values)


@pytest.fixture
def root(tmp_path):
    for case in ("c", "a", "b"):
        draw(tmp_path / "images" / f"{case}.jpg", [[100, 100], [100, 100]])
        draw(tmp_path / "labels" / f"{case}.png")
    return tmp_path


def test_images_and_labels_are_paired_in_the_order_of_their_ids(root):
    dataset = open_dataset(root)
    assert dataset.cases == ("a", "b", "c")
    assert dataset.images["a"] == root / "images" / "a.jpg"
    assert dataset.read_image("a").array.shape == (1, 2, 2)
    assert dataset.read_labels("a").array.tolist() == [[0, 1], [2, 0]]


def test_names_and_spacing_reach_images_and_labels(root):
    dataset = open_dataset(root, "labels", classes={"lung": 1, "heart": 2}, spacing_mm=(1.4, 1.4))
    assert dataset.labels.classes == ("lung", "heart")
    assert dataset.read_image("b").grid.spacing_mm == (1.4, 1.4)
    assert dataset.read_labels("b").grid.spacing_mm == (1.4, 1.4)


def test_labels_may_lie_anywhere(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for case in "abc":
        draw(elsewhere / f"{case}.png")
    assert open_dataset(root, elsewhere).labels.path == elsewhere


def test_an_image_without_label_is_named(root):
    (root / "labels" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"case b has an image \(.*b\.jpg\) but no label in .*labels"):
        open_dataset(root)


def test_a_label_without_image_is_named(root):
    (root / "images" / "b.jpg").unlink()
    with pytest.raises(MissingDataError, match=r"case b has labels \(.*b\.png\) but no image in .*images"):
        open_dataset(root)


def test_a_gap_outside_the_cases_asked_for_does_not_matter(root):
    (root / "labels" / "b.png").unlink()
    assert open_dataset(root, cases=["c", "a", "c"]).cases == ("a", "c")
    with pytest.raises(MissingDataError, match="case b"):
        open_dataset(root, cases=["b"])


def test_a_case_that_is_nowhere_is_named(root):
    with pytest.raises(MissingDataError, match="no case 'z'"):
        open_dataset(root, cases=["a", "z"])


def test_a_folder_that_is_not_there_is_named(root):
    with pytest.raises(MissingDataError, match="none is not a folder"):
        open_dataset(root / "none")
    with pytest.raises(MissingDataError, match="given_J1 does not exist"):
        open_dataset(root, "given_J1")


def test_a_subset_shares_everything_but_its_cases(root):
    dataset = open_dataset(root)
    subset = dataset.subset(["c", "a"])
    assert subset.cases == ("a", "c")
    assert subset.labels is dataset.labels
    with pytest.raises(MissingDataError, match="no case 'z'"):
        dataset.subset(["z"])
    with pytest.raises(MissingDataError, match="case z has no image"):
        dataset.read_image("z")


def stored(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    volume(path, array, affine)


@pytest.fixture
def turned(tmp_path):
    """A volume stored as RAS with labels stored as LAS, at the same place in the world."""
    ras, las = np.diag([0.5, 1.0, 3.0, 1.0]), np.diag([-0.5, 1.0, 3.0, 1.0])
    las[0, 3] = 1.5
    values = np.arange(24).reshape(4, 3, 2)
    stored(tmp_path / "images" / "a.nii", values.astype("f4"), ras)
    stored(tmp_path / "labels" / "a.nii", (values % 3)[::-1].astype("u1"), las)
    return tmp_path


@pytest.mark.parametrize("codes", ["RAS", "LAS", "SRA", "PIR"])
def test_volumes_and_labels_are_read_in_one_orientation_and_written_back_in_their_own(
    turned, tmp_path, codes
):
    dataset = dataclasses.replace(open_dataset(turned), orientation=codes)
    image, labels = dataset.read_image("a"), dataset.read_labels("a")
    assert "".join(nibabel.aff2axcodes(image.grid.affine)) == codes
    assert labels.array.tolist() == (image.array[0] % 3).tolist()
    assert labels.grid.spacing_mm == image.grid.spacing_mm
    np.testing.assert_allclose(labels.grid.affine, image.grid.affine)
    new = dataclasses.replace(labels, array=(labels.array + (image.array[0] > 11)).astype("u1") % 3)
    (path,) = dataset.write_labels(tmp_path / "out", "a", new)
    values = np.arange(24).reshape(4, 3, 2)
    assert np.asarray(nibabel.load(path).dataobj).tolist() == ((values + (values > 11)) % 3)[::-1].tolist()
    np.testing.assert_array_equal(nibabel.load(path).affine, nibabel.load(turned / "labels" / "a.nii").affine)


def test_without_an_orientation_all_is_read_as_stored(turned):
    dataset = open_dataset(turned)
    assert dataset.read_labels("a").array.tolist() == (dataset.read_image("a").array[0] % 3)[::-1].tolist()


def test_a_spacing_an_axis_given_by_hand_belongs_to_the_turned_axes(turned):
    dataset = dataclasses.replace(open_dataset(turned, spacing_mm=[1, 2, 3]), orientation="SRA")
    assert dataset.read_image("a").grid.spacing_mm == (1, 2, 3)
    assert dataset.read_labels("a").grid.spacing_mm == (1, 2, 3)
