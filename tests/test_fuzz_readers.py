"""Drawn garbage at every reader: it ends with a result, or with one error that names the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drawn_garbage import READERS, damaged, garbage
from labelmend.errors import LabelmendError

QUICK = settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def attempt(name: str, data: bytes, folder: Path) -> bool:
    """Whether the bytes were read; if not, one error of labelmend names the file or its folder."""
    reader = READERS[name]
    path = folder / reader.file_name
    path.write_bytes(data)
    try:
        reader.read(path)
    except LabelmendError as error:
        told = str(error)
    else:
        return True
    assert path.name in told or path.parent.name in told, told
    return False


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_is_read(name: str, tmp_path: Path) -> None:
    assert attempt(name, READERS[name].valid(tmp_path), tmp_path)


@pytest.mark.parametrize("name", READERS)
@QUICK
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_sentence(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        valid = READERS[name].valid(Path(folder))
        attempt(name, data.draw(damaged(valid)), Path(folder))


@pytest.mark.parametrize(
    "name", [name for name, reader in READERS.items() if reader.file_name.endswith("json")]
)
@QUICK
@given(tree=garbage())
def test_any_json_is_read_or_refused_in_one_sentence(name: str, tree: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        READERS[name].valid(Path(folder))
        attempt(name, json.dumps(tree).encode(), Path(folder))
