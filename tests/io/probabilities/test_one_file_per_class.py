"""Probabilities of one class in a picture: floats as they are, integers by their full scale."""

import gzip

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from drawing import volume
from labelmend.errors import DataError, GeometryError, LabelValueError, UnreadableFileError
from labelmend.io.probabilities.one_file_per_class import (
    integer_step,
    read_picture,
    refuse_masks,
)
from labelmend.types import Grid

GRID = Grid((2, 3), (1.0, 1.0))
VALUES = [[0, 51, 255], [255, 0, 0]]


def probabilities(path, grid=GRID):
    array, step = read_picture(path, grid)
    return np.round(array * (step or 1), 4).tolist()


def test_8_bit_pictures_are_shares_of_255(tmp_path):
    Pillow.fromarray(np.array(VALUES, np.uint8)).save(tmp_path / "a.png")
    assert probabilities(tmp_path / "a.png") == [[0, np.float32(0.2), 1], [1, 0, 0]]
    assert read_picture(tmp_path / "a.png", GRID)[1] == 1 / 255


def test_16_bit_pictures_are_shares_of_65535(tmp_path):
    Pillow.fromarray(np.array(VALUES, np.uint16) * 257).save(tmp_path / "a.png")
    assert probabilities(tmp_path / "a.png") == [[0, np.float32(0.2), 1], [1, 0, 0]]
    tifffile.imwrite(tmp_path / "a.tif", np.array(VALUES, np.uint16) * 257)
    assert probabilities(tmp_path / "a.tif") == [[0, np.float32(0.2), 1], [1, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_stay_as_they_are(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 0.5, 1], [0.25, 0, 0]], dtype))
    array, step = read_picture(tmp_path / "a.tif", GRID)
    assert (array.tolist(), step) == ([[0, 0.5, 1], [0.25, 0, 0]], 0)


def test_nifti_is_read_with_its_scaling_or_by_full_scale(tmp_path):
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    grid = Grid((2, 3), (1.0, 2.0), affine)
    volume(tmp_path / "a.nii.gz", np.array(VALUES, np.uint8), affine)
    assert probabilities(tmp_path / "a.nii.gz", grid) == [[0, np.float32(0.2), 1], [1, 0, 0]]
    scaled = nibabel.Nifti1Image(np.array(VALUES) / 255, affine)
    scaled.header.set_data_dtype(np.int16)  # stored with a slope in the header
    nibabel.save(scaled, tmp_path / "b.nii")
    assert probabilities(tmp_path / "b.nii", grid) == [[0, np.float32(0.2), 1], [1, 0, 0]]
    assert read_picture(tmp_path / "b.nii", grid)[1] == 0
    with pytest.raises(GeometryError, match="differ in spacing"):
        read_picture(tmp_path / "a.nii.gz", Grid((2, 3), (1.0, 1.0), np.eye(4)))


def test_nifti_stored_in_another_orientation_is_brought_to_the_labels(tmp_path):
    values = np.array([[0, 0.5, 1], [0.25, 0, 0]], np.float32)
    flipped = np.diag([-1.0, 2.0, 3.0, 1.0])
    flipped[0, 3] = 1
    volume(tmp_path / "a.nii", values[::-1], flipped)
    grid = Grid((2, 3), (1.0, 2.0), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert read_picture(tmp_path / "a.nii", grid)[0].tolist() == values.tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_nifti_whose_suffix_says_the_wrong_thing_of_its_compression_is_read(tmp_path, packed):
    data = nibabel.Nifti1Image(np.array(VALUES, np.uint8), np.diag([1.0, 2.0, 3.0, 1.0])).to_bytes()
    path = tmp_path / ("a.nii" if packed else "a.nii.gz")
    path.write_bytes(gzip.compress(data) if packed else data)
    array, step = read_picture(path, Grid((2, 3), (1.0, 2.0)))
    assert (array.tolist(), step) == (VALUES, 1 / 255)


def test_another_shape_is_an_error(tmp_path):
    Pillow.fromarray(np.zeros((3, 2), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(GeometryError, match=r"a.png and the labels differ in shape, \(3, 2\) and \(2, 3\)"):
        read_picture(tmp_path / "a.png", GRID)


def test_colours_bits_and_lossy_formats_are_errors(tmp_path):
    Pillow.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(GeometryError, match="3 channels: expected one greyscale file per class"):
        read_picture(tmp_path / "a.png", GRID)
    Pillow.fromarray(np.zeros((2, 3), bool)).save(tmp_path / "b.png")
    with pytest.raises(LabelValueError, match=r"b.png: it holds masks, not probabilities"):
        read_picture(tmp_path / "b.png", GRID)
    Pillow.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "c.jpg")
    with pytest.raises(LabelValueError, match="cannot store probabilities"):
        read_picture(tmp_path / "c.jpg", GRID)
    volume(tmp_path / "d.nii", np.zeros((2, 3), np.int16), np.eye(4))
    with pytest.raises(LabelValueError, match=r"d.nii: it holds int16 numbers: expected"):
        read_picture(tmp_path / "d.nii", GRID)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises((UnreadableFileError, LabelValueError), match=name):
        read_picture(tmp_path / name, GRID)


def test_integers_of_0_and_1_in_all_first_cases_are_masks(tmp_path):
    paths = [tmp_path / f"{case}.png" for case in "abc"]
    for path in paths:
        Pillow.fromarray(np.array([[0, 1, 1]], np.uint8)).save(path)
    with pytest.raises(DataError, match="so they are masks"):
        refuse_masks([(path,) for path in paths])
    Pillow.fromarray(np.array([[0, 1, 2]], np.uint8)).save(paths[2])
    refuse_masks([(path,) for path in paths])  # one value above 1: certainly no mask
    refuse_masks([])


def test_floats_of_0_and_1_may_be_probabilities(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1, 1]], np.float32))
    refuse_masks([(tmp_path / "a.tif",)])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint32, bool])
def test_other_integers_have_no_full_scale(dtype):
    with pytest.raises(LabelValueError, match="it holds"):
        integer_step(np.dtype(dtype))
