"""Tables from disk: numeric features and one class a row, from CSV or Parquet files."""

from __future__ import annotations

import difflib
import gzip
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, DataError, UnreadableFileError
from labelmend.io.files.csv_table import as_number
from labelmend.io.files.limits import check_declared
from labelmend.io.files.reading import reading_arrays
from labelmend.runtime.extras import needed_by
from labelmend.runtime.text import listed
from labelmend.workflows.class_labels.table import Table, check_classes, coded, refuse, without_constants

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "null", "NULL")
"""CSV texts that mean a missing value. "None" is an ordinary value."""

MOST_NUMERIC_CLASSES = 100
"""A numeric target with more distinct values is a quantity, not a class."""

_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_PARQUET = (".parquet", ".pq")
_BLOCK = 1 << 24

BYTES_A_VALUE = 8
"""Least memory of one table value."""


def read_table(
    path: str | Path,
    target: str,
    *,
    drop: Sequence[str] = (),
    groups: str | None = None,
    max_categories: int = 32,
) -> Table:
    """A CSV, TSV (both also as .gz) or Parquet file; text becomes one-hot, rows without a label are left out.

    Args:
        path: the file. CSV is UTF-8 with a header; what counts as missing is listed in `MISSING`.
        target: the column that holds the labels.
        drop: columns to leave out.
        groups: column with the source of each row; not used as a feature.
        max_categories: most distinct values of a text column.

    Raises:
        ConfigError: an unknown column, or `drop` leaves no feature.
        DataError: the file is missing, damaged or empty, features are missing or infinite, or there are not
            two classes.
        MissingExtraError: pandas or pyarrow is not installed.
    """
    path, left_out = Path(path), (drop,) if isinstance(drop, str) else tuple(drop)
    frame = _frame(path)
    _check_columns(path, list(frame.columns), target, left_out, groups)
    if len(frame) == 0:
        raise DataError(f"{path} holds no rows: expected a header and one line per case")
    notes = []
    counting = [c for c in frame.columns if c.startswith("Unnamed: ") and _numbers_rows(frame[c])]
    if counting and target not in counting and groups not in counting:
        notes.append("The unnamed column of row numbers was left out.")
        left_out += tuple(counting)
    labelled = frame[target].notna().to_numpy(dtype=bool)
    if not labelled.all():
        unlabelled = int((~labelled).sum())
        notes.append(f"Rows without a label were left out: {unlabelled} of {len(frame)}.")
    frame = frame[labelled]
    labels, classes = _target(path, frame[target])
    sources = None if groups is None else _sources(path, frame[groups])
    left_out += () if groups is None else (groups,)
    features = frame[[column for column in frame.columns if column != target and column not in left_out]]
    if features.shape[1] == 0:
        raise ConfigError(f"{path} has no column besides the target {target!r}: there are no features")
    remedy = "fill them in, remove these rows, or leave the columns out with --drop"
    refuse(path, features.isna().to_numpy(dtype=bool), list(features.columns), f"missing values; {remedy}")
    values, names, source, encoded = _encoded(path, features, max_categories)
    refuse(path, np.isinf(values), source, f"infinite values; {remedy}")
    return without_constants(
        path,
        Table(values, names, labels, classes, source, np.flatnonzero(labelled), (*notes, *encoded), sources),
    )


def _frame(path: Path) -> Any:
    """The file as a pandas frame whose columns have different names, all of them text."""
    name = path.name.lower()
    separator = next((sep for suffix, sep in _SEPARATORS.items() if name.endswith(suffix)), None)
    if separator is None and not name.endswith(_PARQUET):
        known = ", ".join((*_SEPARATORS, *_PARQUET))
        raise UnreadableFileError(f"{path} is not a supported table: expected one of {known}")
    pd = _pandas()
    with reading_arrays(path, "a Parquet file" if separator is None else "UTF-8 text with a separator"):
        if separator is not None:
            _check_size(path)
            return _csv(pd, path, separator)
        with needed_by("reading Parquet"):
            from pyarrow import parquet
        about = parquet.read_metadata(path)
        n_values = about.num_rows * about.num_columns
        check_declared(
            BYTES_A_VALUE * n_values, path, f"{about.num_rows} rows of {about.num_columns} columns"
        )
        frame = pd.read_parquet(path, engine="pyarrow")
    frame.columns = _unique(path, [str(column) for column in frame.columns])
    return frame


def _check_size(path: Path) -> None:
    """Refuse text that unpacks to more than the limit per file, unpacking it block by block."""
    if not path.name.lower().endswith(".gz"):
        check_declared(path.stat().st_size, path, "text")
        return
    size = 0
    with gzip.open(path) as text:
        while block := text.read(_BLOCK):
            size += len(block)
            check_declared(size, path, f"at least {size >> 20} MiB of text")


def _csv(pd: Any, path: Path, separator: str) -> Any:
    """A CSV file; pandas alone would rename duplicate columns and take long lines to have an index."""
    how: dict[str, Any] = {
        "sep": separator,
        "encoding": "utf-8-sig",
        "compression": "gzip" if path.name.lower().endswith(".gz") else None,
        "skipinitialspace": True,
        "keep_default_na": False,
    }
    try:
        (header,) = pd.read_csv(path, header=None, nrows=1, dtype=str, **how).to_numpy().tolist()
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty: expected a header and one line per case") from error
    names = _unique(path, [str(name).strip() or f"Unnamed: {i}" for i, name in enumerate(header)])
    how |= {"names": names, "index_col": False, "na_values": list(MISSING), "low_memory": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, header=0, **how)
    except pd.errors.ParserWarning as error:
        raise UnreadableFileError(
            f"{path} has {len(names)} columns in its header, but more in its rows: name all of them"
        ) from error


def _pandas() -> Any:
    with needed_by("reading a table"):
        import pandas
    return pandas


def _unique(path: Path, names: list[str]) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{path} has more than one column named {listed(twice)}: rename or remove them")
    return names


def _check_columns(
    path: Path, columns: list[str], target: str, drop: tuple[str, ...], groups: str | None
) -> None:
    kept = [("--target", target), *([] if groups is None else [("--groups", groups)])]
    for flag, name in (*kept, *(("--drop", name) for name in drop)):
        if name in columns:
            continue
        lower = {column.lower(): column for column in columns}
        near = [lower[close] for close in difflib.get_close_matches(name.lower(), list(lower), n=3)]
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        if len(columns) == 1 and ";" in columns[0]:
            meant = "; it is separated by semicolons: save it with commas"
        raise ConfigError(f"{flag} {name}: {path} has no such column, it has {listed(columns, 20)}{meant}")
    for flag, name in kept:
        if name in drop:
            raise ConfigError(f"{name} is both {flag} and in --drop: remove it from one")
    if target == groups:
        raise ConfigError(f"{target} is both --target and --groups: remove it from one")


def _numbers_rows(column: Any) -> bool:
    """Whether the column numbers the rows, from 0 or 1."""
    values = column.to_numpy()
    if values.dtype.kind not in "iu":
        return False
    return int(values[0]) in (0, 1) and bool((np.diff(values) == 1).all())


def _kind(column: Any) -> str:
    """ "number", "text" (also categories and booleans), or what else a column of a frame holds."""
    pd = _pandas()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "text"
    found = str(pd.api.types.infer_dtype(column, skipna=True))
    if found in ("string", "boolean"):
        return "text"
    return "number" if found in ("integer", "floating", "mixed-integer-float", "decimal") else found


def _target(path: Path, column: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes and classes of the labels; none is missing."""
    where = f"the target {column.name!r} of {path}"
    if len(column) == 0:
        raise DataError(f"{where} is empty in every row: there are no labels")
    kind = _kind(column)
    if kind not in ("number", "text"):
        raise DataError(f"{where} holds {kind}: expected numbers or text, one value per class")
    labels, classes = coded(*_pandas().factorize(column))
    if kind == "number" and np.isinf(column.to_numpy(dtype=np.float64)).any():
        raise DataError(f"{where} holds infinite values: remove these rows")
    if kind == "number" and len(classes) > MOST_NUMERIC_CLASSES:
        raise DataError(
            f"{where} holds {len(classes)} distinct numbers, more than {MOST_NUMERIC_CLASSES}: "
            "it looks like a quantity, not classes; choose another --target, or bin it"
        )
    check_classes(where, classes)
    return labels, classes


def _sources(path: Path, column: Any) -> NDArray[np.int64]:
    """Integer codes of the groups, without missing values."""
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"column {column.name!r} of {path}, the --groups, is empty in {missing} of {len(column)} rows: "
            "fill it in, with a unique value for a row in no group"
        )
    return np.asarray(_pandas().factorize(column)[0], np.int64)


def _encoded(
    path: Path, frame: Any, max_categories: int
) -> tuple[NDArray[np.float64], tuple[str, ...], tuple[str, ...], list[str]]:
    """Features, their names and sources, and notes: numbers are kept, text is one-hot encoded."""
    blocks: list[NDArray[Any]] = []
    names: list[str] = []
    source: list[str] = []
    one_hot, codes_perhaps = [], []
    for name in frame.columns:
        kind = _kind(frame[name])
        if kind == "number":
            block, values = frame[name].to_numpy(dtype=np.float64)[:, None], None
            if _few_whole(block, max_categories):
                codes_perhaps.append(name)
        elif kind == "text":
            codes, values = coded(*_pandas().factorize(frame[name]))
            if len(values) > max_categories:
                raise DataError(_too_many(path, name, values, max_categories))
            block = codes[:, None] == np.arange(len(values))
            if len(values) > 1:
                one_hot.append(name)
        else:
            raise DataError(
                f"column {name!r} of {path} holds {kind}: expected numbers or text; convert it, or leave it "
                f"out with --drop {name}"
            )
        blocks.append(block)
        names += [name] if values is None else [f"{name}={value}" for value in values]
        source += [name] * block.shape[1]
    notes = []
    if one_hot:
        count = sum(name in one_hot for name in source)
        notes.append(f"Text was one-hot encoded, as {count} columns of 0 and 1: {listed(one_hot)}.")
    if codes_perhaps:
        notes.append(f"Integers that may be category codes were treated as numbers: {listed(codes_perhaps)}.")
    return np.column_stack(blocks).astype(np.float64), tuple(names), tuple(source), notes


def _few_whole(values: NDArray[np.float64], most: int) -> bool:
    """Whether a column holds integers with three to `most` values; two may be either codes or numbers."""
    return bool((values == np.rint(values)).all()) and 3 <= len(np.unique(values)) <= most


def _too_many(path: Path, name: str, values: tuple[str, ...], most: int) -> str:
    words = [value for value in values if as_number(value) is None]
    numbers = len(values) - len(words)
    hint = f" ({numbers} of them numbers, but not {listed(words, 3)})" if numbers > len(words) > 0 else ""
    return (
        f"column {name!r} of {path} holds text with {len(values)} distinct values{hint}, more than the "
        f"{most} that are one-hot encoded: leave it out with --drop {name}, or group its values"
    )
