"""Manifest rows come back as they were written, and a torn line costs only itself."""

import hashlib

import numpy as np
import pytest

from labelmend import __version__
from labelmend.errors import MissingDataError, UnreadableFileError
from labelmend.io import ManifestRow, append_row, checksum, read_manifest

ROW = ManifestRow(
    case="a",
    files=("lung/a.png", "heart/a.png"),
    checksum="sha256:1",
    parent="given/lung/a.png",
    parent_checksum="sha256:0",
    method="spatial_correction",
    parameters={"move": "distance", "gamma": 1.0, "bias_mm": [1.5, None]},
    version=1,
    seed=7,
    reason="boundary moved by 1.5 mm",
    extra={"added_vox": [1, 2]},
)


def test_rows_come_back_as_written(tmp_path):
    path = tmp_path / "run" / "manifest.jsonl"
    append_row(path, ROW)
    append_row(path, ROW)
    assert read_manifest(path) == [ROW, ROW]
    assert ROW.labelmend_version == __version__


def test_numpy_parameters_become_plain_numbers_and_nan_null(tmp_path):
    row = ManifestRow("a", ("a.png",), "", "", "", "markov", {"steps": np.int64(3), "x": np.nan}, 0, 0)
    append_row(tmp_path / "m.jsonl", row)
    assert read_manifest(tmp_path / "m.jsonl")[0].parameters == {"steps": 3, "x": None}


def test_a_torn_last_line_is_passed_over_and_replaced(tmp_path):
    path = tmp_path / "m.jsonl"
    append_row(path, ROW)
    whole = path.read_bytes()
    for cut in (1, 5, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert read_manifest(path) == [ROW]
        append_row(path, ROW)
        assert path.read_bytes() == whole + whole


def test_no_manifest_has_no_rows(tmp_path):
    assert read_manifest(tmp_path / "m.jsonl") == []


@pytest.mark.parametrize("line", ["[]", '{"case": "a"}', '{"files": [], "strange": 1}'])
def test_a_finished_line_that_is_no_row_is_named(tmp_path, line):
    path = tmp_path / "m.jsonl"
    append_row(path, ROW)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UnreadableFileError, match=r"m\.jsonl, line 2 is not a manifest row"):
        read_manifest(path)


def test_the_checksum_is_sha256_of_the_bytes_one_file_after_the_other(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert checksum(tmp_path / "a") == "sha256:" + hashlib.sha256(b"one").hexdigest()
    assert checksum(tmp_path / "a", tmp_path / "b") == "sha256:" + hashlib.sha256(b"onetwo").hexdigest()
    assert checksum(tmp_path / "b", tmp_path / "a") != checksum(tmp_path / "a", tmp_path / "b")


def test_a_file_that_is_not_there_has_no_checksum(tmp_path):
    with pytest.raises(MissingDataError, match="cannot compute its checksum"):
        checksum(tmp_path / "none")
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        checksum(tmp_path)
