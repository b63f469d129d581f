"""Write tables as Parquet, for pandas, DuckDB or Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from labelmend.io.files.atomic import write_bytes
from labelmend.runtime.extras import needed_by


def check_parquet() -> None:
    """Raise a MissingExtraError where pyarrow is not installed, before work is done that ends in a table."""
    with needed_by("writing Parquet"):
        import pyarrow.parquet  # noqa: F401


def write_parquet(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a table as a Parquet file.

    Args:
        path: the file.
        columns: values by column name: all text, all numbers or all lists of one type; None if missing.

    Raises:
        MissingExtraError: pyarrow is not installed. OutputError: the file cannot be written.
    """
    check_parquet()
    import pyarrow
    import pyarrow.parquet

    out = BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), out)
    write_bytes(path, out.getvalue())
