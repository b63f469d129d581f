"""One array of a .npy or .npz: found by its header, never unpickled, never extracted."""

import io
import os
import zipfile

import numpy as np
import pytest

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.probabilities.npz import open_array


class Trap:
    """Unpickling it makes a folder called trapped."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def as_npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_a_npy_is_mapped_from_the_disk_and_cannot_be_written_to(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float16).reshape(1, 2, 3))
    found = open_array(tmp_path / "a.npy")
    assert (found.shape, found.dtype, found.from_nnunet) == ((1, 2, 3), np.float16, False)
    array = found.read()
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert array.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_an_array_in_fortran_order_reads_the_same(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(open_array(tmp_path / name).read(), array)


@pytest.mark.parametrize("key", ["probabilities", "softmax"])
def test_of_several_arrays_that_of_nnunet_is_taken(tmp_path, key):
    np.savez_compressed(tmp_path / "a.npz", **{key: np.ones((2, 3)), "other": np.zeros(4)})
    found = open_array(tmp_path / "a.npz")
    assert (found.key, found.shape, found.from_nnunet) == (key, (2, 3), True)
    assert found.read().tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_single_array_may_have_any_name(tmp_path):
    np.savez(tmp_path / "a.npz", whatever=np.ones((2, 3)))
    found = open_array(tmp_path / "a.npz")
    assert (found.key, found.from_nnunet) == ("whatever", False)


def test_several_arrays_without_the_name_are_an_error(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(2), y=np.ones(2))
    with pytest.raises(DataError, match=r"a.npz holds the arrays x, y: expected one array"):
        open_array(tmp_path / "a.npz")
    archive(tmp_path / "b.npz", {"readme.txt": b"hello"})
    with pytest.raises(DataError, match=r"b.npz holds no array"):
        open_array(tmp_path / "b.npz")


def test_pickled_objects_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], object)
    np.save("a.npy", trap)
    np.savez("b.npz", probabilities=trap)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(
            DataError, match=f"{name} holds Python objects .pickled data., which can run any code"
        ):
            open_array(name)
    np.load("a.npy", allow_pickle=True)
    assert (tmp_path / "trapped").is_dir()  # it would have been made


@pytest.mark.parametrize(
    "name", ["/etc/x.npy", "../x.npy", "a/../../x.npy", "..\\x.npy", "C:\\x.npy", "C:x.npy"]
)
def test_a_member_that_leads_out_of_the_archive_is_refused_and_nothing_written(tmp_path, name):
    folder = tmp_path / "inside"
    folder.mkdir()
    archive(folder / "a.npz", {"probabilities.npy": as_npy(np.ones((2, 3))), name: as_npy(np.ones(1))})
    with pytest.raises(UnreadableFileError, match="points outside the archive"):
        open_array(folder / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in folder.iterdir()] == ["a.npz"]


def test_a_header_that_announces_more_than_there_is_is_refused_before_memory_is_taken(tmp_path):
    small, header = as_npy(np.ones(4)), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 1000)}
    )
    archive(tmp_path / "a.npz", {"x.npy": header.getvalue() + small[-32:]})
    with pytest.raises(UnreadableFileError, match="header declares 8000000000000 bytes"):
        open_array(tmp_path / "a.npz")


def test_damaged_and_absent_files_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((20, 20)))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(UnreadableFileError, match=r"a.npz cannot be read as a NumPy array"):
        open_array(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.ones((20, 20)))
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:200])
    with pytest.raises(UnreadableFileError, match=r"b.npy cannot be read"):
        open_array(tmp_path / "b.npy").read()
    (tmp_path / "c.npy").write_bytes(b"no array at all")
    with pytest.raises(UnreadableFileError, match=r"c.npy cannot be read"):
        open_array(tmp_path / "c.npy")
    with pytest.raises(MissingDataError, match=r"d.npy does not exist"):
        open_array(tmp_path / "d.npy")


def test_an_encrypted_member_is_refused(tmp_path):
    archive(tmp_path / "a.npz", {"x.npy": as_npy(np.ones(4))})
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    (tmp_path / "a.npz").write_bytes(bytes(data))
    with pytest.raises(UnreadableFileError, match="is encrypted"):
        open_array(tmp_path / "a.npz")


def test_text_and_empty_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["a"]))
    with pytest.raises(DataError, match=r"a.npy holds <U1: expected numbers"):
        open_array(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.ones((2, 0)))
    with pytest.raises(DataError, match=r"b.npy has shape \(2, 0\), which is empty"):
        open_array(tmp_path / "b.npy")
    record = np.zeros(2, [("größe", float)])  # needs the third version of the format
    with open(tmp_path / "c.npy", "wb") as file:
        np.lib.format.write_array(file, record, version=(3, 0))
    with pytest.raises(UnreadableFileError, match=r"version 3.0 of the format"):
        open_array(tmp_path / "c.npy")
