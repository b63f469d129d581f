"""Images and labels are paired by case, and every gap is named."""

import numpy as np
import pytest
from PIL import Image as Pillow

from labelmend.errors import MissingDataError
from labelmend.io import open_dataset


def draw(path, values=((0, 1), (2, 0))):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.array(values, np.uint8)).save(path)


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
    with pytest.raises(MissingDataError, match="no case called 'z'"):
        open_dataset(root, cases=["a", "z"])


def test_a_folder_that_is_not_there_is_named(root):
    with pytest.raises(MissingDataError, match="none is no folder"):
        open_dataset(root / "none")
    with pytest.raises(MissingDataError, match="given_J1 does not exist"):
        open_dataset(root, "given_J1")


def test_a_subset_shares_everything_but_its_cases(root):
    dataset = open_dataset(root)
    subset = dataset.subset(["c", "a"])
    assert subset.cases == ("a", "c")
    assert subset.labels is dataset.labels
    with pytest.raises(MissingDataError, match="no case called 'z'"):
        dataset.subset(["z"])
    with pytest.raises(MissingDataError, match="case z has no image"):
        dataset.read_image("z")
