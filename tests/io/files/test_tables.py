import sys

import pytest

from labelmend.errors import MissingExtraError
from labelmend.io.files.tables import write_parquet


def test_a_table_comes_back_as_it_was(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"case": ["a", "b"], "score": [0.5, None], "box": [[[0, 2], [1, 3]], None]}
    write_parquet(tmp_path / "found.parquet", columns)
    assert parquet.read_table(tmp_path / "found.parquet").to_pydict() == columns


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"labelmend\[tabular\]"):
        write_parquet(tmp_path / "found.parquet", {"case": ["a"]})
    assert not list(tmp_path.iterdir())
