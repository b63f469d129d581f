"""Tables from NumPy files: features (may be sparse) in one, labels (may be text) in another."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError, GeometryError
from labelmend.io.files.limits import check_declared
from labelmend.io.files.reading import reading_arrays
from labelmend.io.probabilities.npz import read_npy
from labelmend.workflows.class_labels.table import (
    Table,
    check_classes,
    coded,
    refuse,
    without_constants,
)

MOST_DENSE = 50_000_000
"""Most entries of sparse features when made dense (400 MB)."""


def read_arrays(features: str | Path, labels: str | Path, groups: str | Path | None = None) -> Table:
    """Features and labels from NumPy files; features are named x0, x1 and so on.

    Args:
        features: .npy with numbers `(n f)`, or .npz with a SciPy sparse matrix, which becomes dense.
        labels: .npy `(n)` with integers, booleans, whole floats or text.
        groups: .npy `(n)` of the same types: the source of each row.

    Raises:
        DataError: a file is missing, damaged or holds Python objects, shapes disagree, features are NaN or
            infinite, or there are fewer than two classes.
    """
    path, labels_path = Path(features), Path(labels)
    values = _sparse(path) if path.suffix.lower() == ".npz" else _array(path)
    given = _array(labels_path)
    if values.ndim != 2:
        raise GeometryError(f"{path} has shape {values.shape}: expected features (n f), one row per case")
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} holds {values.dtype}: expected numbers")
    _check_length(labels_path, given, "labels", path, len(values))
    if values.size == 0:
        what = "features" if len(given) else "rows"
        raise DataError(f"{path} has shape {values.shape}: there are no {what}")
    sources = None if groups is None else _sources(Path(groups), path, len(values))
    kept, codes = np.unique(_plain_labels(labels_path, given), return_inverse=True)
    numbered, classes = coded(codes.reshape(-1), kept)
    check_classes(f"{labels_path}", classes)
    values = np.ascontiguousarray(values, dtype=np.float64)
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    refuse(path, np.isnan(values), names, "NaN; fill them in, or leave these rows or columns out")
    refuse(path, np.isinf(values), names, "infinite values; leave these rows or columns out")
    rows = np.arange(len(values))
    return without_constants(path, Table(values, names, numbered, classes, names, rows, (), sources))


def _array(path: Path) -> NDArray[Any]:
    with reading_arrays(path, "a .npy file"):
        return read_npy(path)


def _sparse(path: Path) -> NDArray[Any]:
    from scipy import sparse

    with reading_arrays(path, "a SciPy sparse matrix (.npz)"):
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
        check_declared(n_bytes, path, "a sparse matrix")
        with open(path, "rb") as file:
            matrix = sparse.load_npz(file)
        if hasattr(matrix, "check_format"):  # an index outside the matrix would write out of bounds
            matrix.check_format(full_check=True)
    entries = math.prod(matrix.shape)
    if entries > MOST_DENSE:
        raise DataError(
            f"{path} is a sparse matrix of shape {matrix.shape}; dense, it has {entries:,} entries, more "
            f"than {MOST_DENSE:,}: reduce the features first, for example by a truncated SVD"
        )
    with reading_arrays(path, "a SciPy sparse matrix (.npz)"):
        return np.asarray(matrix.toarray())


def _sources(path: Path, features: Path, n_rows: int) -> NDArray[np.int64]:
    """Integer codes of the groups."""
    given = _array(path)
    _check_length(path, given, "groups", features, n_rows)
    return np.asarray(np.unique(_plain_labels(path, given, "groups"), return_inverse=True)[1], np.int64)


def _check_length(path: Path, given: NDArray[Any], what: str, features: Path, n_rows: int) -> None:
    if given.ndim != 1:
        raise GeometryError(f"{path} has shape {given.shape}: expected {what} (n), one per case")
    if len(given) != n_rows:
        raise GeometryError(f"{features} has {n_rows} rows, but {path} has {len(given)} {what}")


def _plain_labels(path: Path, given: NDArray[Any], what: str = "labels") -> NDArray[Any]:
    """Labels as integers, booleans, whole floats or text, or an error."""
    kind = given.dtype.kind
    if kind == "S":
        try:
            given, kind = np.char.decode(given, "utf-8"), "U"
        except UnicodeError as error:
            raise DataError(f"{path} holds {what} that are not UTF-8: save them as text") from error
    if kind not in "biufU":
        raise DataError(f"{path} holds {given.dtype}: expected integers, booleans, whole floats or text")
    if kind == "f":
        bad = ~np.isfinite(given) | (np.rint(given) != given)
    else:
        bad = np.char.strip(given) == "" if kind == "U" else np.zeros(len(given), bool)
    if bad.any():
        shown = "empty" if kind == "U" else f"no whole numbers (such as {given[bad][0]:g})"
        raise DataError(f"{path}: {int(bad.sum())} {what} are {shown}; leave these rows out of all files")
    return given
