"""Folders that appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from labelmend.errors import OutputError
from labelmend.io.whole_folder import whole_folder


def test_nothing_is_there_before_all_is_there(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "final") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "final").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "a"]


def write_and_fail(folder: Path) -> None:
    (folder / "a").write_text("1")
    raise KeyError


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_folder(tmp_path / "final") as folder:
        write_and_fail(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with whole_folder(tmp_path / "final") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "final" / "a").read_text() == "1"


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".part-final").mkdir()
    (tmp_path / ".part-final" / "old").write_text("")
    with whole_folder(tmp_path / "final"):
        pass
    assert list((tmp_path / "final").iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "mine").write_text("1")
    with pytest.raises(OutputError, match="choose a new or empty folder"), whole_folder(tmp_path / "final"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "mine"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk full"), whole_folder(tmp_path / "final"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
