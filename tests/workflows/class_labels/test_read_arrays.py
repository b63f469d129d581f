"""Tables from NumPy files: whatever can be read becomes numbers and codes, everything else is named."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from labelmend.errors import DataError, GeometryError, MissingDataError, UnreadableFileError
from labelmend.workflows.class_labels.read_arrays import read_arrays


@pytest.fixture
def arrays(tmp_path):
    """Writes features and labels to two .npy files."""

    def write(features, labels) -> tuple[Path, Path]:
        paths = tmp_path / "X.npy", tmp_path / "y.npy"
        for path, array in zip(paths, (features, labels)):
            np.save(path, np.asarray(array))
        return paths

    return write


def test_arrays_are_read_without_pandas(arrays, monkeypatch):
    paths = arrays(np.array([[1, 5], [2, 6], [4, 6]], ">i2"), [3, 30, 3])
    monkeypatch.setitem(sys.modules, "pandas", None)
    read = read_arrays(*paths)
    np.testing.assert_array_equal(read.features, [[1, 5], [2, 6], [4, 6]])
    assert read.features.dtype == np.float64
    assert read.features.dtype.isnative
    assert read.feature_names == read.source == ("x0", "x1")
    assert (read.labels.tolist(), read.classes, read.rows.tolist()) == ([0, 1, 0], ("3", "30"), [0, 1, 2])
    assert read.notes == ()


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        (["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        ([b"b", b"\xc3\xa4", b"b"], ("b", "ä"), [0, 1, 0]),
        (np.array([200, 7, 7], np.uint8), ("7", "200"), [1, 0, 0]),
    ],
)
def test_labels_of_any_plain_kind_become_codes(arrays, labels, classes, codes):
    read = read_arrays(*arrays([[1.5], [2.5], [3.5]], labels))
    assert (read.classes, read.labels.tolist()) == (classes, codes)


def test_constant_features_of_arrays_are_left_out_by_name(arrays):
    read = read_arrays(*arrays([[1, 0, 3], [1, 1, 3]], [0, 1]))
    assert read.feature_names == ("x1",)
    assert read.notes == ("Left out, since they hold one value only: x0, x2.",)


@pytest.mark.parametrize(
    ("features", "labels", "error", "expected"),
    [
        ([1.0, 2.0], [0, 1], GeometryError, r"X\.npy has shape \(2,\): expected features \(n f\)"),
        ([[1.0], [2.0]], [[0], [1]], GeometryError, r"y\.npy has shape \(2, 1\): expected labels \(n\)"),
        ([[1.0], [2.0]], [0, 1, 1], GeometryError, r"X\.npy has 2 rows, but .*y\.npy has 3 labels"),
        ([["u"], ["v"]], [0, 1], DataError, r"X\.npy holds <U1: expected numbers"),
        ([[1j], [2j]], [0, 1], DataError, r"X\.npy holds complex128: expected numbers"),
        ([[1.0], [2.0]], [0j, 1j], DataError, r"y\.npy holds complex128: expected integers"),
        ([[1.0], [2.0]], [0.5, 1], DataError, r"y\.npy: 1 labels are no whole numbers \(such as 0\.5\)"),
        ([[1.0], [2.0]], [np.nan, 1], DataError, r"no whole numbers \(such as nan\)"),
        ([[1.0], [2.0]], [np.inf, 1], DataError, r"no whole numbers \(such as inf\)"),
        ([[1.0], [2.0]], ["", "u"], DataError, r"y\.npy: 1 labels are empty"),
        ([[1.0], [2.0]], [b"\xff", b"u"], DataError, r"y\.npy holds labels that are not UTF-8"),
        ([[1.0], [2.0]], [4, 4], DataError, r"y\.npy holds one class only \(4\)"),
        (np.zeros((0, 3)), [], DataError, r"X\.npy has shape \(0, 3\): there are no rows"),
        (np.zeros((2, 0)), [0, 1], DataError, r"X\.npy has shape \(2, 0\): there are no features"),
        ([[1, np.nan], [2, 3]], [0, 1], DataError, r"X\.npy holds NaN in 1 of 2 rows, column x1: "),
        ([[-np.inf, 1], [2, np.inf]], [0, 1], DataError, r"infinite values in 2 of 2 rows, columns x0, x1: "),
        ([[1, 2], [1, 2]], [0, 1], DataError, r"X\.npy has no features: each column holds one value"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(arrays, features, labels, error, expected):
    with pytest.raises(error, match=expected):
        read_arrays(*arrays(features, labels))


def test_pickled_objects_are_refused(arrays, tmp_path):
    good, labels = arrays([[1.0], [2.0]], [0, 1])
    np.save(labels, np.array(["u", 1], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"y\.npy holds Python objects \(pickled"):
        read_arrays(good, labels)
    parts = {"format": b"csr", "indices": [0], "indptr": [0, 1], "shape": (1, 1)}
    np.savez(tmp_path / "X.npz", data=np.array([{}], object), **parts)
    with pytest.raises(DataError, match=r"X\.npz holds Python objects \(pickled data\)"):
        read_arrays(tmp_path / "X.npz", labels)


def test_files_that_hold_no_array_are_named(arrays, tmp_path):
    features, labels = arrays([[1.0], [2.0]], [0, 1])
    with pytest.raises(MissingDataError, match=r"none\.npy does not exist"):
        read_arrays(features, tmp_path / "none.npy")
    with pytest.raises(MissingDataError, match=r"none\.npz does not exist"):
        read_arrays(tmp_path / "none.npz", labels)
    for data in (pickle.dumps([0, 1]), labels.read_bytes()[:-3], b""):
        labels.write_bytes(data)
        with pytest.raises(UnreadableFileError, match=r"y\.npy cannot be read as a \.npy file"):
            read_arrays(features, labels)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_features_become_dense(arrays, tmp_path, kind):
    dense = np.array([[0, 1.5, 0], [2, 0, 0], [0, 0, 3]])
    paths = arrays(dense, [0, 1, 1])
    sparse.save_npz(tmp_path / "X.npz", kind(dense))
    read = read_arrays(tmp_path / "X.npz", paths[1])
    np.testing.assert_array_equal(read.features, dense)
    assert (read.feature_names, read.labels.tolist()) == (("x0", "x1", "x2"), [0, 1, 1])


def test_sparse_features_too_large_to_be_dense_are_an_error(arrays, tmp_path):
    _, labels = arrays([[1.0]], np.arange(10))
    path = tmp_path / "X.npz"
    sparse.save_npz(path, sparse.csr_matrix((10, 5_000_001)))
    with pytest.raises(DataError, match=r"X\.npz .*shape \(10, 5000001\); dense, it has 50,000,010 entries"):
        read_arrays(path, labels)


def test_an_npz_that_holds_no_sparse_matrix_is_an_error(arrays, tmp_path):
    _, labels = arrays([[1.0]], [0, 1])
    path = tmp_path / "X.npz"
    np.savez(path, X=np.eye(2))
    with pytest.raises(UnreadableFileError, match=r"X\.npz cannot be read as a SciPy sparse matrix"):
        read_arrays(path, labels)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UnreadableFileError, match=r"X\.npz cannot be read as a SciPy sparse matrix"):
        read_arrays(path, labels)


@pytest.mark.parametrize("groups", [["p", "q", "p"], [7, 3, 7], [7.0, 3.0, 7.0]])
def test_groups_become_codes(arrays, tmp_path, groups):
    np.save(tmp_path / "g.npy", groups)
    read = read_arrays(*arrays([[1.5], [2.5], [3.5]], [0, 1, 1]), tmp_path / "g.npy")
    first, second, third = read.groups.tolist()
    assert first == third != second
    assert read_arrays(*arrays([[1.5], [2.5], [3.5]], [0, 1, 1])).groups is None


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([1, 2], r"X\.npy has 3 rows, but .*g\.npy has 2 groups"),
        ([[1], [2], [3]], r"g\.npy has shape \(3, 1\): expected groups \(n\)"),
        (["p", "", "q"], r"g\.npy: 1 groups are empty"),
    ],
)
def test_groups_that_cannot_be_used_are_named(arrays, tmp_path, groups, expected):
    np.save(tmp_path / "g.npy", groups)
    with pytest.raises(DataError, match=expected):
        read_arrays(*arrays([[1.5], [2.5], [3.5]], [0, 1, 1]), tmp_path / "g.npy")
