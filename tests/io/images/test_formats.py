"""What holds for all formats: names, missing and unknown files, originals that are never touched."""

import dataclasses
import os

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from drawing import volume
from labelmend.errors import LabelValueError, MissingDataError, OutputError, UnreadableFileError
from labelmend.io import (
    FORMATS,
    Format,
    case_id,
    read_image,
    read_label_array,
    write_label_array,
    write_new_labels,
)
from labelmend.io.images.formats import suffix_of, write_checked
from labelmend.types import Grid


@pytest.fixture
def label(tmp_path):
    path = tmp_path / "a.png"
    Pillow.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("a.png", "a"),
        ("x/y/case.07.nii.gz", "case.07"),
        ("case_01.NII", "case_01"),
        ("b.tif", "b"),
        ("b.TIFF", "b"),
        ("c.jpg", "c"),
        ("d.v1.csv", "d.v1"),
        (".png", ".png"),
    ],
)
def test_the_case_id_is_the_file_name_without_its_suffix(name, case):
    assert case_id(name) == case


def test_every_format_is_found_under_each_of_its_suffixes():
    assert set(FORMATS) == {".png", ".tif", ".tiff", ".nii", ".nii.gz", ".jpg", ".jpeg", ".bmp"}
    assert all(isinstance(form, Format) and suffix in form.suffixes for suffix, form in FORMATS.items())
    assert suffix_of("scan.nii.gz") == ".nii.gz"


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"a\.xyz .*\.png"):
        read_image(tmp_path / "a.xyz")


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingDataError, match=r"a\.png does not exist"):
        read_label_array(tmp_path / "a.png")


def test_an_empty_file_is_unreadable(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(UnreadableFileError, match="0 bytes"):
        read_image(tmp_path / "a.png")


def test_a_folder_named_like_a_file_is_unreadable(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UnreadableFileError, match=r"a\.png cannot be read"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_noise_under_a_known_suffix_is_unreadable_and_the_file_is_named(tmp_path, suffix, rng):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(rng.bytes(2000))
    with pytest.raises(UnreadableFileError, match="a" + suffix):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_images_may_be_jpeg_or_bmp_but_labels_may_not(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Pillow.fromarray(np.full((8, 8), 100, np.uint8)).save(path)
    assert read_image(path).array.tolist() == np.full((1, 8, 8), 100.0).tolist()
    with pytest.raises(LabelValueError, match="cannot store labels"):
        read_label_array(path)
    with pytest.raises(LabelValueError, match="cannot store labels"):
        write_label_array(tmp_path / f"b{suffix}", np.zeros((8, 8), int), path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_image_with_nan_or_infinity_is_an_error_that_counts_the_pixels(tmp_path, bad):
    array = np.ones((3, 4), np.float32)
    array[1, 2] = bad
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(LabelValueError, match=r"a\.tif: 1 pixels"):
        read_image(tmp_path / "a.tif")


def test_the_source_itself_is_never_written_to(label, tmp_path):
    before = label.read_bytes()
    os.link(label, tmp_path / "hard.png")
    (tmp_path / "soft.png").symlink_to(label)
    for target in (label, tmp_path / "x" / ".." / "a.png", tmp_path / "hard.png", tmp_path / "soft.png"):
        with pytest.raises(OutputError, match="never overwritten"):
            write_label_array(target, np.zeros((2, 2), int), label)
    assert label.read_bytes() == before


def test_a_target_with_another_suffix_is_refused(label, tmp_path):
    with pytest.raises(OutputError, match="suffixes differ"):
        write_label_array(tmp_path / "b.tif", np.zeros((2, 2), int), label)


def test_booleans_are_written_as_zero_and_one(label, tmp_path):
    write_label_array(tmp_path / "out" / "a.png", np.array([[True, False], [False, True]]), label)
    assert read_label_array(tmp_path / "out" / "a.png")[0].tolist() == [[1, 0], [0, 1]]


def test_labels_that_do_not_fit_leave_no_file(label, tmp_path):
    with pytest.raises(LabelValueError, match="do not fit"):
        write_label_array(tmp_path / "out" / "a.png", np.full((2, 2), 256), label)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("write", [write_label_array, write_new_labels])
def test_a_label_file_that_reads_back_otherwise_never_takes_its_name(tmp_path, monkeypatch, name, write):
    source, target = tmp_path / name, tmp_path / "out" / name
    array = np.array([[0, 1], [2, 3]], np.uint8)
    if ".nii" in name:
        volume(source, array, np.eye(4))
    elif name == "a.tif":
        tifffile.imwrite(source, array)
    else:
        Pillow.fromarray(array).save(source)
    form = FORMATS[suffix_of(name)]

    def mistaken(data, spacing_mm=None):
        labels, grid = form.labels(data, spacing_mm)
        return np.minimum(labels, 1), grid

    monkeypatch.setitem(FORMATS, suffix_of(name), dataclasses.replace(form, labels=mistaken))
    with pytest.raises(
        OutputError, match=rf"out/{name} was not written: it reads back with different values"
    ):
        write(target, array, source)
    assert list(target.parent.iterdir()) == []


def test_a_label_file_that_lies_elsewhere_in_space_never_takes_its_name(tmp_path):
    volume(tmp_path / "a.nii", np.zeros((2, 2), np.uint8), np.diag([2, 1, 1, 1]))
    data = (tmp_path / "a.nii").read_bytes()
    grid = Grid((2, 2), (1, 1), np.eye(4))
    with pytest.raises(OutputError, match="different geometry"):
        write_checked(tmp_path / "b.nii", data, np.zeros((2, 2)), grid)
    with pytest.raises(OutputError, match="could not be read back"):
        write_checked(tmp_path / "b.nii", data[:-1], np.zeros((2, 2)), grid)
    assert not (tmp_path / "b.nii").exists()
