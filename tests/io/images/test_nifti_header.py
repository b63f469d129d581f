"""Headers before voxels: geometry by the affine, sizes that are refused before anything is unpacked."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

from labelmend.errors import GeometryError, UnreadableFileError
from labelmend.io.files.limits import MAX_GIB
from labelmend.io.images.nifti_header import LONGEST, TAIL_BYTES, geometry, parsed, read_header, unpacked

AFFINE = np.diag([0.5, 0.5, 3.0, 1.0])
VOXELS = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
QFORM = 252
SFORM = 254


def file(*, sform=2, qform=0, affine=AFFINE, pixdim=None, array=VOXELS) -> bytes:
    """A file with codes and pixdim as told; an affine of None leaves both forms unset."""
    image = nibabel.Nifti1Image(array, affine)
    if affine is not None:
        image.header.set_sform(affine, sform)
        image.header.set_qform(affine, qform)
    data = bytearray(image.to_bytes())
    struct.pack_into("<hh", data, QFORM, qform, sform)
    if pixdim is not None:
        struct.pack_into("<3f", data, 80, *pixdim)
    return bytes(data)


def found(data: bytes, axes=(0, 1, 2), **more):
    return geometry(parsed(data[:LONGEST]), axes, **more)


@pytest.mark.parametrize(
    "pixdim", [(1, 1, 1), (3, 0.5, 0.5), (0, 0, 0), (np.nan,) * 3, (-0.5, 0.5, 3), (np.inf, 1, 1)]
)
def test_the_affine_counts_where_pixdim_says_something_else(pixdim):
    told = found(file(pixdim=pixdim))
    assert told.spacing_mm == (0.5, 0.5, 3.0)
    np.testing.assert_array_equal(told.pixdim_mm, pixdim)


def test_where_pixdim_agrees_its_numbers_are_taken():
    turned = np.eye(4)
    turned[:2, :2] = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    told = found(file(affine=turned))
    assert told.spacing_mm == (1.0, 1.0, 1.0)
    assert told.pixdim_mm is None


def test_the_sform_comes_before_the_qform_and_the_qform_before_pixdim():
    both = bytearray(file(sform=2, qform=1))
    struct.pack_into("<4f", both, 280, 2.0, 0, 0, 0)
    assert found(bytes(both)).spacing_mm == (2.0, 0.5, 3.0)
    struct.pack_into("<h", both, SFORM, 0)
    assert found(bytes(both)).spacing_mm == (0.5, 0.5, 3.0)


def test_an_sform_that_is_no_space_gives_way_to_the_qform():
    data = bytearray(file(sform=1, qform=1))
    struct.pack_into("<12f", data, 280, *[0.0] * 12)
    assert found(bytes(data)).spacing_mm == (0.5, 0.5, 3.0)


@pytest.mark.parametrize("column", [[0, 0, 0], [0.5, 0, 0], [np.nan, 0, 0]])
def test_an_affine_that_is_no_space_is_refused(column):
    affine = AFFINE.copy()
    affine[:3, 2] = column
    data = bytearray(file())
    struct.pack_into("<12f", data, 280, *affine[:3].ravel())
    with pytest.raises(GeometryError, match="correct sform and qform, or set the codes of both to 0"):
        found(bytes(data))
    struct.pack_into("<h", data, SFORM, 0)  # as the message says
    assert found(bytes(data)).spacing_mm == (0.5, 0.5, 3.0)


def test_pixdim_counts_where_there_is_no_affine_and_is_refused_where_it_makes_no_sense():
    data = file(sform=0, pixdim=(0.5, 0.5, 3))
    assert found(data).spacing_mm == (0.5, 0.5, 3.0)
    image = nibabel.Nifti1Image.from_bytes(data)
    np.testing.assert_allclose(found(data).affine, image.affine)
    for pixdim in ((0, 0.5, 3), (np.nan, 0.5, 3), (-0.5, 0.5, 3)):
        senseless = file(sform=0, pixdim=pixdim)
        with pytest.raises(GeometryError, match=r"no affine, and its pixdim .* set the spacing yourself"):
            found(senseless)
        assert np.isfinite(found(senseless, given=True).affine).all()


def test_a_slice_needs_no_third_axis():
    data = bytearray(file(array=VOXELS[..., :1]))
    struct.pack_into("<f", data, 88, 0.0)
    struct.pack_into("<12f", data, 280, 0.5, 0, 0, 0, 0, 0.7, 0, 0, 0, 0, 0, 0)
    told = found(bytes(data), (0, 1))
    np.testing.assert_allclose(told.spacing_mm, (0.5, 0.7))
    assert np.linalg.det(told.affine) == pytest.approx(0.35)


@pytest.mark.parametrize(("code", "factor"), [(1, 1e3), (2, 1), (3, 1e-3), (0, 1), (7, 1)])
def test_units_scale_the_affine_and_the_spacing(code, factor):
    affine = AFFINE.copy()
    affine[:3, 3] = [10, -20, 30]
    data = bytearray(file(affine=affine))
    data[123] = code
    told = found(bytes(data))
    np.testing.assert_allclose(told.spacing_mm, np.array([0.5, 0.5, 3.0]) * factor)
    np.testing.assert_allclose(told.affine[:3], affine[:3] * factor)


def declaring(*dims: int, filled: int = 400) -> bytes:
    """A small file that declares as many voxels as told."""
    data = bytearray(file()[:352] + bytes(filled))
    struct.pack_into("<8h", data, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    return bytes(data)


def test_a_bomb_is_refused_by_what_its_header_declares(monkeypatch):
    monkeypatch.setenv(MAX_GIB, "0.01")
    with pytest.raises(UnreadableFileError, match=r"declares 3000 x 3000 x 3000 voxels of uint8, 25.1 GiB"):
        unpacked(gzip.compress(declaring(3000, 3000, 3000)))


def test_a_file_that_goes_on_far_behind_its_voxels_is_not_unpacked_to_its_end():
    whole = declaring(4, 3, 2, filled=24 + TAIL_BYTES)
    assert unpacked(gzip.compress(whole, 1))[0] == whole
    with pytest.raises(UnreadableFileError, match="continues for more than 16 MiB"):
        unpacked(gzip.compress(whole + b"0", 1))


@pytest.mark.parametrize("dims", [(-4, 3, 2), (0, 3, 2), (4, 3, -32768)])
def test_a_shape_without_voxels_is_an_error(dims):
    with pytest.raises(GeometryError, match="contains no voxels"):
        unpacked(declaring(*dims))


@pytest.mark.parametrize("n_axes", [-1, 0, 8, 300])
def test_a_number_of_axes_that_makes_no_sense_is_an_error(n_axes):
    data = bytearray(file())
    struct.pack_into("<h", data, 40, n_axes)
    with pytest.raises(UnreadableFileError, match=f"declares {n_axes} axes"):
        unpacked(bytes(data))


@pytest.mark.parametrize("offset", [np.nan, np.inf, -1, 10])
def test_an_offset_that_makes_no_sense_is_an_error(offset):
    data = bytearray(file())
    struct.pack_into("<f", data, 108, offset)
    with pytest.raises(UnreadableFileError, match="puts the voxels at byte"):
        unpacked(bytes(data))


def test_a_huge_nifti_2_shape_does_not_overflow():
    data = bytearray(nibabel.Nifti2Image(VOXELS, AFFINE).to_bytes())
    struct.pack_into("<3q", data, 24, 2**40, 2**40, 2**40)
    with pytest.raises(UnreadableFileError, match="truncated"):
        unpacked(bytes(data))
    with pytest.raises(UnreadableFileError, match="the header declares"):
        unpacked(gzip.compress(bytes(data)))


def test_gzip_in_several_members_padded_or_with_garbage_behind_it_is_read():
    whole = file()
    members = gzip.compress(whole[:200]) + gzip.compress(whole[200:])
    for packed in (members, members + bytes(500), members + b"garbage"):
        assert unpacked(packed)[0] == whole


def test_gzip_that_is_cut_off_or_damaged_is_not_read():
    packed = gzip.compress(file())
    with pytest.raises(EOFError):
        unpacked(packed[:-1])
    with pytest.raises(Exception, match="incorrect data check"):
        unpacked(packed[:-8] + b"abcd" + packed[-4:])


@pytest.mark.parametrize("packed", [False, True])
def test_the_header_alone_is_read_whatever_the_file_is_called(tmp_path, packed):
    path = tmp_path / ("a.nii" if packed else "a.nii.gz")
    path.write_bytes(gzip.compress(file()) if packed else file())
    assert read_header(path).shape == (4, 3, 2)
    path.write_bytes(b"no volume")
    assert read_header(path) is None
    assert read_header(tmp_path) is None


@pytest.mark.parametrize("start", [b"", b"\x5c\x01", file()[:300]])
def test_a_header_that_is_cut_off_is_no_nifti(start):
    with pytest.raises(UnreadableFileError, match=f"truncated after {len(start)} bytes"):
        unpacked(start)


def test_a_data_type_that_there_is_not_is_named():
    data = bytearray(file())
    struct.pack_into("<h", data, 70, 999)
    with pytest.raises(UnreadableFileError, match="data type 999"):
        unpacked(bytes(data))
