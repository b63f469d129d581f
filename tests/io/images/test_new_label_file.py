"""Labels for images that have none: on their grid, under their header, in a format that keeps integers."""

import gzip
import os

import nibabel
import numpy as np
import pytest
import tifffile

from drawing import picture
from labelmend.errors import GeometryError, LabelValueError, OutputError
from labelmend.io import new_label_name, read_image, read_label_array, write_new_labels

AFFINE = np.array([[0, -0.5, 0, 10], [0.7, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
MAP = np.array([[0, 1, 2], [3, 0, 1]], np.int64)


@pytest.fixture
def photo(tmp_path):
    picture(tmp_path / "photo.png", np.full((2, 3, 3), 90, np.uint8))
    return tmp_path / "photo.png"


def scan(path, array, *, kind=nibabel.Nifti1Image, sform=2, qform=1):
    image = kind(array, None)
    image.header["descrip"] = b"scanner nine"
    image.header["cal_max"] = 400
    image.header.set_slope_inter(2.0, -1.0)
    image.header.set_xyzt_units("mm")
    image.header.set_sform(AFFINE, code=sform)
    image.header.set_qform(AFFINE, code=qform)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a/scan.nii.gz", "scan.nii.gz"),
        ("scan.NII", "scan.NII"),
        ("slice.tif", "slice.tif"),
        ("x.png", "x.png"),
        ("photo.jpg", "photo.png"),
        ("v1.2.bmp", "v1.2.png"),
    ],
)
def test_labels_are_named_after_their_image_where_its_format_keeps_integers(image, name):
    assert new_label_name(image) == name


@pytest.mark.parametrize("name", ["out.png", "out.tif", "deep/er/out.tiff"])
def test_pictures_come_back_as_written(tmp_path, photo, name):
    write_new_labels(tmp_path / name, MAP, photo)
    assert read_label_array(tmp_path / name)[0].tolist() == MAP.tolist()


@pytest.mark.parametrize(
    ("highest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_small_values_take_8_bits_and_larger_ones_16(tmp_path, photo, highest, dtype):
    for name in ("out.png", "out.tif"):
        write_new_labels(tmp_path / name, MAP * 0 + highest, photo)
        array, _ = read_label_array(tmp_path / name)
        assert (array.dtype, np.unique(array).tolist()) == (dtype, [highest])


def test_booleans_are_written_as_0_and_1(tmp_path, photo):
    write_new_labels(tmp_path / "out.png", MAP > 1, photo)
    assert read_label_array(tmp_path / "out.png")[0].tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_volumes_take_affine_codes_and_units_from_their_image(tmp_path, suffix, kind):
    source = scan(tmp_path / f"scan{suffix}", np.zeros((4, 3, 2), np.int16), kind=kind)
    labels = np.arange(24).reshape(4, 3, 2) % 5
    write_new_labels(tmp_path / f"out{suffix}", labels, source)
    new, old = nibabel.load(tmp_path / f"out{suffix}"), nibabel.load(source)
    assert type(new) is type(old)
    np.testing.assert_array_equal(new.affine, old.affine)
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert int(new.header[code]) == int(old.header[code])
    np.testing.assert_array_equal(new.header.get_qform(), old.header.get_qform())
    assert new.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(new.dataobj), labels)
    array, grid = read_label_array(tmp_path / f"out{suffix}")
    assert np.array_equal(array, labels)
    assert grid == read_image(source).grid


def test_scaling_and_display_range_of_the_image_do_not_reach_the_labels(tmp_path):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 2), np.int16))
    write_new_labels(tmp_path / "out.nii", np.full((4, 3, 2), 7), source)
    header = nibabel.load(tmp_path / "out.nii").header
    assert header.get_slope_inter() in ((1.0, 0.0), (None, None))
    assert float(header["cal_max"]) == 0
    assert np.asarray(nibabel.load(tmp_path / "out.nii").dataobj).max() == 7


@pytest.mark.parametrize(("sform", "qform"), [(0, 1), (1, 0), (4, 4)])
def test_an_orientation_that_the_image_does_not_code_is_not_made_up(tmp_path, sform, qform):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 2), np.int16), sform=sform, qform=qform)
    write_new_labels(tmp_path / "out.nii", np.ones((4, 3, 2), np.uint8), source)
    for path in (source, tmp_path / "out.nii"):
        header = nibabel.load(path).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (sform, qform)


def test_labels_of_a_single_slice_keep_its_third_axis(tmp_path):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 1), np.int16))
    write_new_labels(tmp_path / "out.nii", np.ones((4, 3), np.uint8), source)
    assert nibabel.load(tmp_path / "out.nii").shape == (4, 3, 1)
    assert read_label_array(tmp_path / "out.nii")[0].shape == (4, 3)


def test_labels_of_an_image_with_channels_have_none(tmp_path):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 2, 5), np.int16))
    write_new_labels(tmp_path / "out.nii", np.ones((4, 3, 2), np.uint8), source)
    assert nibabel.load(tmp_path / "out.nii").shape == (4, 3, 2)


def test_a_stack_of_pages_stays_a_stack(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 4, 3), np.uint16), photometric="minisblack")
    labels = np.arange(60).reshape(5, 4, 3) % 4
    write_new_labels(tmp_path / "out.tif", labels, tmp_path / "stack.tif")
    assert np.array_equal(read_label_array(tmp_path / "out.tif")[0], labels)


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out.nii", "out.nii.gz"])
def test_the_same_labels_give_the_same_bytes_whatever_the_clock_says(tmp_path, monkeypatch, name):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3), np.int16))
    written = []
    for second in (0.0, 2e9):
        monkeypatch.setattr("time.time", lambda second=second: second)
        write_new_labels(tmp_path / name, np.arange(12).reshape(4, 3), source)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_a_gzip_header_holds_neither_name_nor_time_nor_system(tmp_path):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 2), np.int16))
    write_new_labels(tmp_path / "out.nii.gz", np.ones((4, 3, 2), np.uint8), source)
    data = (tmp_path / "out.nii.gz").read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert data[9] == 255
    assert nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).shape == (4, 3, 2)


def links(tmp_path, photo):
    """The image by its own name and by three others."""
    (tmp_path / "soft.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    return [photo, tmp_path / "soft.png", tmp_path / "hard.png", tmp_path / "sub" / ".." / "photo.png"]


@pytest.mark.parametrize("which", range(4), ids=["itself", "soft link", "hard link", "detour"])
def test_the_image_itself_is_never_written_to(tmp_path, photo, which):
    before = photo.read_bytes()
    with pytest.raises(OutputError, match="is the image itself"):
        write_new_labels(links(tmp_path, photo)[which], MAP, photo)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("value", [-1, 65536])
def test_values_that_no_file_keeps_are_refused(tmp_path, photo, value):
    with pytest.raises(LabelValueError, match=f"0..65535, got .*{value}"):
        write_new_labels(tmp_path / "out.png", np.array([[0, 0, 0], [0, 0, value]]), photo)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 1), (6,)])
def test_labels_on_another_grid_are_refused(tmp_path, photo, shape):
    with pytest.raises(GeometryError, match=r"of shape \(2, 3\)"):
        write_new_labels(tmp_path / "out.png", np.zeros(shape, np.uint8), photo)


def test_a_volume_does_not_fit_a_picture_file(tmp_path):
    source = scan(tmp_path / "scan.nii", np.zeros((4, 3, 2), np.int16))
    with pytest.raises(GeometryError, match="PNG stores only 2-D labels"):
        write_new_labels(tmp_path / "out.png", np.zeros((4, 3, 2), np.uint8), source)


@pytest.mark.parametrize("packed", [False, True])
def test_labels_of_a_volume_whose_suffix_says_the_wrong_thing_of_its_compression(tmp_path, packed):
    data = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.float32), np.diag([1.0, 2.0, 3.0, 1.0])).to_bytes()
    image = tmp_path / ("a.nii" if packed else "a.nii.gz")
    image.write_bytes(gzip.compress(data) if packed else data)
    array = np.arange(24).reshape(4, 3, 2)
    out = tmp_path / "out" / image.name
    write_new_labels(out, array, image)
    assert np.asarray(nibabel.load(out).dataobj).tolist() == array.tolist()
