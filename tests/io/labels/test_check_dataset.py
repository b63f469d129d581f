"""One reading tells everything that would spoil a training."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from drawing import picture, volume
from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io import check_dataset, checksum, open_dataset


@pytest.fixture
def root(tmp_path):
    """Two pictures of four pixels; lung 2 of 7 annotated pixels, heart 1 of 7; one pixel is ignored."""
    picture(tmp_path / "images" / "a.png", [[10, 20], [30, 40]])
    picture(tmp_path / "images" / "b.png", [[10, 20, 30, 40]])
    picture(tmp_path / "labels" / "a.png", [[0, 1], [1, 9]])
    picture(tmp_path / "labels" / "b.png", [[0, 0, 0, 2]])
    return tmp_path


def check(root, **options):
    return check_dataset(open_dataset(root, classes={"lung": 1, "heart": 2}, ignore=9, **options))


def test_the_facts_are_counted_over_annotated_pixels(root):
    facts = check(root)
    assert (facts.n_cases, facts.n_channels, facts.ndim) == (2, 1, 2)
    assert facts.class_frequency == pytest.approx((2 / 7, 1 / 7))
    assert facts.shapes == {(2, 2), (1, 4)}


def test_checksums_are_those_of_the_image_files(root):
    facts = check(root)
    data = (root / "images" / "a.png").read_bytes()
    assert facts.checksums["a"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert facts.checksums["b"] == checksum(root / "images" / "b.png")


def test_ignored_pixels_count_for_no_overlapping_class(tmp_path):
    picture(tmp_path / "images" / "a.png", [[1, 2, 3, 4]])
    picture(tmp_path / "labels" / "lung" / "a.png", [[255, 255, 0, 0]])
    picture(tmp_path / "labels" / "heart" / "a.png", [[0, 255, 255, 255]])
    picture(tmp_path / "labels" / "ignore" / "a.png", [[0, 255, 0, 0]])
    facts = check_dataset(open_dataset(tmp_path))
    assert facts.class_frequency == pytest.approx((2 / 3, 1 / 3))


def test_every_case_is_reported_once_in_order(root):
    seen = []
    check_dataset(open_dataset(root, classes={"lung": 1, "heart": 2}, ignore=9), seen.append)
    assert seen == ["a", "b"]


def test_every_file_is_read_once(root, monkeypatch):
    dataset = open_dataset(root, classes={"lung": 1, "heart": 2}, ignore=9)
    read, seen = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen.append(path) or read(path))
    check_dataset(dataset)
    assert sorted(seen) == sorted([*(root / "images").iterdir(), *(root / "labels").iterdir()])


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_truncated_file_is_found(root, kind):
    path = root / kind / "b.png"
    dataset = open_dataset(root, classes={"lung": 1, "heart": 2}, ignore=9)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match=rf"{kind}/b\.png"):
        check_dataset(dataset)


def test_an_image_and_labels_of_different_shape_are_named(root):
    picture(root / "images" / "b.png", [[10, 20, 30]])
    with pytest.raises(
        GeometryError, match=r"case b: image .*images/b\.png and labels .*labels/b\.png differ in shape"
    ):
        check(root)


def test_a_value_outside_the_names_is_found(root):
    picture(root / "labels" / "b.png", [[0, 3, 0, 2]])
    with pytest.raises(LabelValueError, match=r"case b: .*holds the value 3"):
        check(root)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_nan_and_infinite_pixels_are_found(root, bad):
    (root / "images" / "b.png").unlink()
    tifffile.imwrite(root / "images" / "b.tif", np.array([[1, bad, 2, 3]], np.float32))
    with pytest.raises(LabelValueError, match=r"b\.tif: 1 pixels of the image are NaN or infinite"):
        check(root)


def test_a_class_that_is_empty_in_every_case_is_named(root):
    picture(root / "labels" / "b.png", [[0, 0, 0, 0]])
    with pytest.raises(LabelValueError, match="class heart is absent from all 2 cases"):
        check(root)


def test_a_class_that_is_empty_only_among_the_cases_asked_for_is_named_too(root):
    with pytest.raises(LabelValueError, match="class heart is absent from all 1 cases"):
        check(root, cases=["a"])


def test_different_channel_counts_are_named(root):
    Pillow.new("RGB", (4, 1)).save(root / "images" / "b.png")
    with pytest.raises(GeometryError, match=r"case b: .*3 channels in 2-D, but case a has 1 channels in 2-D"):
        check(root)


def test_volumes_beside_pictures_are_named(root):
    (root / "images" / "b.png").unlink()
    (root / "labels" / "b.png").unlink()
    stack = np.ones((3, 4, 4), np.uint8)
    for kind in ("images", "labels"):
        tifffile.imwrite(root / kind / "b.tif", stack, photometric="minisblack")
    with pytest.raises(GeometryError, match=r"case b: .*1 channels in 3-D, but case a"):
        check(root)


AFFINE = np.diag([0.7, 0.5, 3.0, 1.0])


@pytest.mark.parametrize(
    ("affine", "word"),
    [
        (np.diag([0.7, 0.5, 2.0, 1.0]), "spacing"),
        (np.diag([-0.7, 0.5, 3.0, 1.0]), "affine"),
        (AFFINE + np.array([[0, 0, 0, 0.1]] * 3 + [[0] * 4]), "affine"),
    ],
)
def test_a_volume_and_labels_that_lie_differently_in_space_are_named(tmp_path, affine, word):
    labels = np.arange(24).reshape(4, 3, 2) % 2
    volume(tmp_path / "images" / "a.nii.gz", labels.astype("f4"), AFFINE)
    volume(tmp_path / "labels" / "a.nii.gz", labels.astype("u1"), affine)
    with pytest.raises(GeometryError, match=rf"case a: .* differ in {word}"):
        check_dataset(open_dataset(tmp_path))


def test_a_volume_with_channels_passes_if_its_labels_lie_alike(tmp_path):
    labels = np.arange(24).reshape(4, 3, 2) % 2
    volume(tmp_path / "images" / "a.nii.gz", np.stack([labels, labels], -1).astype("f4"), AFFINE)
    volume(tmp_path / "labels" / "a.nii.gz", labels.astype("u1"), AFFINE + 1e-5)
    facts = check_dataset(open_dataset(tmp_path))
    assert (facts.n_channels, facts.ndim, facts.shapes) == (2, 3, {(4, 3, 2)})


def test_no_case_at_all_is_an_error(root):
    with pytest.raises(LabelValueError, match="no case"):
        check_dataset(open_dataset(root, classes={"lung": 1}, ignore=9).subset([]))


def test_the_published_noisy_radiographs_pass(jsrt):
    dataset = open_dataset(jsrt / "train", "given_J1")
    assert dataset.labels.classes == ("clavicle", "heart", "lung")
    assert len(dataset.cases) == 148
    facts = check_dataset(dataset.subset(dataset.cases[:5]))
    assert facts.shapes == {(256, 256)}
    assert 0.3 < facts.class_frequency[2] < 0.6


def turned(path, values, tag):
    exif = Pillow.Exif()
    exif[274] = tag
    Pillow.fromarray(np.array(values, np.uint8)).save(path, exif=exif)


def test_labels_belong_to_the_image_as_it_is_shown(root):
    turned(root / "images" / "b.png", [[10], [20], [30], [40]], 6)
    assert check(root).shapes == {(2, 2), (1, 4)}
    picture(root / "labels" / "b.png", [[0], [0], [0], [2]])
    with pytest.raises(GeometryError, match=r"case b, .*tag 6 and is displayed as \(1, 4\), .*\(4, 1\)"):
        check(root)


def test_labels_with_another_orientation_tag_than_their_image_are_refused(root):
    turned(root / "labels" / "a.png", [[0, 1], [1, 9]], 6)
    with pytest.raises(GeometryError, match=r"case a, .*the labels have orientation tag 6, .*has none"):
        check(root)
    turned(root / "images" / "a.png", [[10, 20], [30, 40]], 6)
    assert check(root).n_cases == 2
