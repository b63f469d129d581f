"""NIfTI: geometry from the header, headers back bit for bit, values whole, files whole."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io import read_image, read_label_array, write_label_array
from labelmend.io.images.nifti import decode_nifti_labels, encode_nifti_labels, stored_grid

AFFINE = np.array([[0, -0.5, 0, 10], [0.7, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
LABELS = np.arange(4 * 3 * 2).reshape(4, 3, 2) % 5


def nifti(array, *, kind=nibabel.Nifti1Image, affine=AFFINE, slope=None, **fields):
    """Bytes of an uncompressed NIfTI file with some header fields set by hand."""
    image = kind(array, affine)
    image.header["descrip"] = b"drawn by hand"
    image.header.set_xyzt_units("mm")
    image.header.set_sform(affine, code=2)
    image.header.set_qform(affine, code=1)
    for name, value in fields.items():
        image.header[name] = value
    data = bytearray(image.to_bytes())
    if slope is not None and kind is nibabel.Nifti1Image:
        data[112:120] = struct.pack("<ff", *slope)
    return bytes(data)


def saved(tmp_path, data, name="a.nii"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_labels_keep_nibabels_axis_order_and_take_spacing_and_affine_from_the_header(tmp_path, name, kind):
    path = saved(tmp_path, nifti(LABELS.astype("u1"), kind=kind), name)
    array, grid = read_label_array(path)
    assert array.tolist() == LABELS.tolist()
    assert array.dtype == np.uint8
    assert array.flags.writeable
    assert grid.shape == (4, 3, 2)
    np.testing.assert_allclose(grid.spacing_mm, (0.7, 0.5, 3.0), rtol=1e-6)
    np.testing.assert_allclose(grid.affine, AFFINE, rtol=1e-6)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_everything_but_the_data_is_written_back_bit_for_bit(tmp_path, kind):
    source = kind(LABELS.astype("i2"), AFFINE)
    source.header["descrip"] = b"drawn by hand"
    source.header["cal_max"] = 7
    source.header["intent_name"] = b"odd"
    source.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"kept too"))
    path = saved(tmp_path, source.to_bytes() + b"behind the data")
    write_label_array(tmp_path / "b.nii", LABELS[::-1], path)
    old, new = path.read_bytes(), (tmp_path / "b.nii").read_bytes()
    start = len(old) - LABELS.size * 2 - len(b"behind the data")
    assert new[:start] == old[:start]
    assert new.endswith(b"behind the data")
    assert len(new) == len(old)
    assert np.asarray(nibabel.load(tmp_path / "b.nii").dataobj).tolist() == LABELS[::-1].tolist()


def test_a_big_endian_file_stays_big_endian(tmp_path):
    image = nibabel.Nifti1Image(LABELS.astype(">i2"), AFFINE)
    header = image.header.as_byteswapped(">")
    data = nibabel.Nifti1Image(LABELS.astype(">i2"), AFFINE, header=header).to_bytes()
    assert struct.unpack(">i", data[:4]) == (348,)
    array, _ = decode_nifti_labels(data)
    assert array.tolist() == LABELS.tolist()
    assert array.dtype.isnative
    new = encode_nifti_labels(LABELS[:, ::-1], data)
    assert new[:352] == data[:352]
    assert decode_nifti_labels(new)[0].tolist() == LABELS[:, ::-1].tolist()


def test_compressed_labels_are_the_same_bytes_every_time_without_name_and_time(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1")), "a.nii.gz")
    write_label_array(tmp_path / "b.nii.gz", LABELS, path)
    write_label_array(tmp_path / "other.nii.gz", LABELS, path)
    data = (tmp_path / "b.nii.gz").read_bytes()
    assert data == (tmp_path / "other.nii.gz").read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert gzip.decompress(data) == gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 1, 1)])
def test_trailing_axes_of_length_one_are_dropped_and_come_back(tmp_path, shape):
    flat = LABELS[..., 0]
    path = saved(tmp_path, nifti(flat.reshape(shape).astype("u1")))
    array, grid = read_label_array(path)
    assert array.tolist() == flat.tolist()
    np.testing.assert_allclose(grid.spacing_mm, (0.7, 0.5), rtol=1e-6)
    write_label_array(tmp_path / "b.nii", flat[::-1], path)
    assert nibabel.load(tmp_path / "b.nii").shape == nibabel.load(path).shape
    assert read_label_array(tmp_path / "b.nii")[0].tolist() == flat[::-1].tolist()
    assert read_image(path).array.shape == (1, 4, 3)


@pytest.mark.parametrize("shape", [(1, 4, 3), (4, 1, 3), (4, 1, 3, 1), (4, 3, 1)])
def test_a_single_slice_is_flat_whichever_axis_has_length_one(tmp_path, shape):
    axis, flat = shape.index(1), LABELS[..., 0]
    path = saved(tmp_path, nifti(flat.reshape(shape).astype("u1")))
    array, grid = read_label_array(path)
    assert array.tolist() == flat.tolist()
    kept = [a for a in range(3) if a != axis]
    np.testing.assert_allclose(grid.spacing_mm, np.array([0.7, 0.5, 3.0])[kept], rtol=1e-6)
    np.testing.assert_allclose(grid.affine[:, :2], AFFINE[:, kept], rtol=1e-6)
    assert stored_grid(path) == grid
    write_label_array(tmp_path / "b.nii", flat[::-1], path)
    assert nibabel.load(tmp_path / "b.nii").shape == nibabel.load(path).shape
    assert read_label_array(tmp_path / "b.nii")[0].tolist() == flat[::-1].tolist()


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (4, 3, 2, 1, 2)])
def test_the_channels_of_a_4_d_image_come_first(tmp_path, shape):
    channels = np.stack([LABELS, 10 * LABELS], axis=-1).reshape(shape)
    image = read_image(saved(tmp_path, nifti(channels.astype("f4"))))
    assert image.array.dtype == np.float32
    assert image.array.tolist() == np.stack([LABELS, 10 * LABELS]).astype(float).tolist()
    assert image.grid.shape == (4, 3, 2)


def test_the_channels_of_a_single_slice_come_first(tmp_path):
    slices = np.stack([LABELS[..., :1], 10 * LABELS[..., :1]], axis=-1)
    image = read_image(saved(tmp_path, nifti(slices.astype("f4"))))
    assert image.array.shape == (2, 4, 3)
    assert image.array[1].tolist() == (10.0 * LABELS[..., 0]).tolist()


def test_labels_with_four_axes_are_an_error(tmp_path):
    path = saved(tmp_path, nifti(np.zeros((4, 3, 2, 2), "u1")))
    with pytest.raises(GeometryError, match=r"a\.nii: labels must be 2-D or 3-D, .*\(4, 3, 2, 2\)"):
        read_label_array(path)


def test_an_image_with_channels_and_time_is_an_error(tmp_path):
    path = saved(tmp_path, nifti(np.zeros((4, 3, 2, 2, 2), "u1")))
    with pytest.raises(GeometryError, match="at most one channel axis"):
        read_image(path)


def test_a_header_that_scales_255_to_1_gives_labels_0_and_1_and_is_kept(tmp_path):
    mask = (LABELS > 2).astype("u1")
    path = saved(tmp_path, nifti(255 * mask, slope=(1 / 255, 0)))
    assert read_label_array(path)[0].tolist() == mask.tolist()
    write_label_array(tmp_path / "b.nii", 1 - mask, path)
    assert read_label_array(tmp_path / "b.nii")[0].tolist() == (1 - mask).tolist()
    assert (tmp_path / "b.nii").read_bytes() == nifti(255 * (1 - mask), slope=(1 / 255, 0))


def scaled(values, dtype):
    """A file of whole numbers as nibabel stores them under a float array and an integer header."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    return nibabel.Nifti1Image(np.asarray(values, float), AFFINE, header).to_bytes()


@pytest.mark.parametrize(("dtype", "top"), [("u1", 2), ("u1", 24), ("i2", 104), ("u2", 2), ("i2", 5000)])
def test_labels_moved_by_the_rounding_of_their_scaling_are_moved_back(tmp_path, dtype, top):
    whole = np.where(LABELS == 3, top, np.minimum(LABELS, 2))
    data = scaled(whole, dtype)
    assert nibabel.Nifti1Image.from_bytes(data).dataobj.slope != 1
    path = saved(tmp_path, data)
    assert read_label_array(path)[0].tolist() == whole.tolist()
    write_label_array(tmp_path / "b.nii", whole[::-1], path)
    assert read_label_array(tmp_path / "b.nii")[0].tolist() == whole[::-1].tolist()
    assert nibabel.load(tmp_path / "b.nii").dataobj.slope == nibabel.load(path).dataobj.slope


def test_a_value_beyond_what_the_scaling_can_hold_is_not_written(tmp_path):
    path = saved(tmp_path, scaled(np.minimum(LABELS, 2), "u1"))
    with pytest.raises(
        LabelValueError, match=r"0 to 4 cannot be stored under the header's scaling \(scl_slope"
    ):
        write_label_array(tmp_path / "b.nii", LABELS, path)
    assert not (tmp_path / "b.nii").exists()


@pytest.mark.parametrize("values", [LABELS * 0.3, LABELS / 7, np.sqrt(LABELS)])
def test_fractions_under_a_scaling_are_refused_and_the_scaling_named(tmp_path, values):
    with pytest.raises(LabelValueError, match=r"labels must be whole numbers.*scl_slope \d"):
        read_label_array(saved(tmp_path, scaled(values, "i2")))


def test_two_stored_numbers_that_come_to_one_label_are_refused(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1"), slope=(0.4, 0)))  # 2 and 3 are 0.8 and 1.2
    with pytest.raises(LabelValueError, match=r"scl_slope 0\.4"):
        read_label_array(path)


def test_a_spacing_below_a_micrometre_is_not_lost(tmp_path):
    small = np.diag([5e-4, 5e-4, 1e-3, 1.0])
    _, grid = read_label_array(saved(tmp_path, nifti(LABELS.astype("u1"), affine=small)))
    np.testing.assert_allclose(grid.spacing_mm, (5e-4, 5e-4, 1e-3), rtol=1e-6)


def test_an_intercept_is_undone_on_writing(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("i2"), slope=(2, -4)))
    assert read_label_array(path)[0].tolist() == (2 * LABELS - 4).tolist()
    assert read_image(path).array[0].tolist() == (2.0 * LABELS - 4).tolist()
    write_label_array(tmp_path / "b.nii", 4 - 2 * LABELS, path)
    assert read_label_array(tmp_path / "b.nii")[0].tolist() == (4 - 2 * LABELS).tolist()
    with pytest.raises(LabelValueError, match="scaling"):
        write_label_array(tmp_path / "c.nii", LABELS, path)


def test_labels_that_scale_to_fractions_are_an_error(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1"), slope=(0.5, 0)))
    with pytest.raises(LabelValueError, match=r"a\.nii: labels must be whole numbers, .*such as 0\.5, 1\.5"):
        read_label_array(path)


@pytest.mark.parametrize("slope", [(0, 0), (np.nan, np.nan), (0, 3)])
def test_a_slope_of_zero_or_nan_means_no_scaling(tmp_path, slope):
    path = saved(tmp_path, nifti(LABELS.astype("u1"), slope=slope))
    assert read_label_array(path)[0].tolist() == LABELS.tolist()
    write_label_array(tmp_path / "b.nii", LABELS, path)
    assert (tmp_path / "b.nii").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_labels_stored_as_whole_floats_are_integers_and_stay_floats_on_disk(tmp_path, dtype):
    path = saved(tmp_path, nifti(LABELS.astype(dtype)))
    assert read_label_array(path)[0].dtype == np.int32
    write_label_array(tmp_path / "b.nii", LABELS, path)
    assert (tmp_path / "b.nii").read_bytes() == path.read_bytes()


def test_labels_with_nan_are_an_error(tmp_path):
    array = LABELS.astype("f4")
    array[0, 0, 0] = np.nan
    with pytest.raises(LabelValueError, match=r"1 pixels are not \(such as nan\)"):
        read_label_array(saved(tmp_path, nifti(array)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_cut_off_anywhere_is_unreadable(tmp_path, name, rng):
    path = saved(tmp_path, nifti(rng.integers(0, 5, (9, 8, 7), np.uint8)), name)
    whole = path.read_bytes()
    for length in [*range(1, len(whole), 23), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableFileError, match=name):
            read_label_array(path)


def test_a_nifti_that_is_cut_off_tells_how_much_is_missing(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1"))[:-4])
    with pytest.raises(UnreadableFileError, match=r"a\.nii: the file is truncated to 372 of 376 bytes"):
        read_label_array(path)


def test_a_compressed_file_with_a_flipped_byte_is_unreadable(tmp_path, rng):
    path = saved(tmp_path, nifti(rng.integers(0, 5, (9, 8, 7), np.uint8)), "a.nii.gz")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    path.write_bytes(damaged)
    with pytest.raises(UnreadableFileError, match=r"a\.nii\.gz"):
        read_label_array(path)


def test_half_of_a_header_image_pair_says_to_convert(tmp_path):
    data = bytearray(nifti(LABELS.astype("u1")))
    data[344:348] = b"ni1\0"
    with pytest.raises(UnreadableFileError, match=r"half of a \.hdr/\.img pair"):
        read_label_array(saved(tmp_path, bytes(data)))


def test_something_else_under_the_suffix_is_no_nifti(tmp_path):
    with pytest.raises(UnreadableFileError, match="not a NIfTI file"):
        read_image(saved(tmp_path, b"hello, this is text"))


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_colour_and_complex_voxels_are_refused(tmp_path, dtype):
    path = saved(tmp_path, nifti(np.zeros((4, 3, 2), dtype)))
    with pytest.raises(LabelValueError, match="one number per voxel"):
        read_image(path)


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1), ("unknown", 1)])
def test_spacing_is_told_in_mm_whatever_unit_the_header_uses(tmp_path, unit, factor):
    image = nibabel.Nifti1Image(LABELS.astype("u1"), AFFINE)
    image.header.set_xyzt_units(unit)
    _, grid = read_label_array(saved(tmp_path, image.to_bytes()))
    np.testing.assert_allclose(grid.spacing_mm, np.array([0.7, 0.5, 3.0]) * factor, rtol=1e-6)


def test_a_spacing_given_by_hand_replaces_that_of_the_header_and_leaves_the_affine(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1")))
    _, grid = read_label_array(path, spacing_mm=(1.0, 2.0, 4.0))
    assert grid.spacing_mm == (1.0, 2.0, 4.0)
    np.testing.assert_allclose(grid.affine, AFFINE, rtol=1e-6)
    with pytest.raises(GeometryError, match=r"a\.nii: expected 3 positive spacings"):
        read_label_array(path, spacing_mm=(1.0, 2.0))


def test_labels_of_another_shape_are_not_written(tmp_path):
    path = saved(tmp_path, nifti(LABELS.astype("u1")))
    with pytest.raises(GeometryError, match=r"\(3, 4, 2\).*\(4, 3, 2\)"):
        write_label_array(tmp_path / "b.nii", np.zeros((3, 4, 2), int), path)
    assert not (tmp_path / "b.nii").exists()


@pytest.mark.parametrize("slope", [1e-30, 1e-6])
def test_a_slope_that_turns_classes_into_one_is_named(tmp_path, slope):
    data = bytearray(nibabel.Nifti1Image(np.array([[[0], [1], [2]]], np.uint8), np.eye(4)).to_bytes())
    data[112:120] = np.array([slope, 0], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(
        LabelValueError, match=r"3 different stored values map to a single label.*scl_slope 1e-"
    ):
        read_label_array(tmp_path / "a.nii")
