"""Files appear whole or not at all, and logs lose at most the line that was being written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelmend.errors import OutputError
from labelmend.io.files.atomic import (
    append_line,
    plain,
    read_lines,
    whole_file,
    write_json,
    write_text,
)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_finished_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "deep" / "summary.txt"
    write_text(target, "old")
    write_text(target, "new é\n")
    assert target.read_bytes() == "new é\n".encode()
    assert os.listdir(target.parent) == ["summary.txt"]


def test_the_temporary_file_is_hidden_beside_the_target_and_keeps_its_suffix(tmp_path):
    with whole_file(tmp_path / "model.safetensors") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".safetensors"
        temporary.write_bytes(b"x")
        assert not (tmp_path / "model.safetensors").exists()


def test_an_error_in_the_middle_leaves_the_old_file_and_no_part(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as temporary:
        _ = temporary.write_text("half") / 0
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_in_one_sentence_and_leaves_no_part(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match=r"disk full while writing .*mask\.png"):
        write_text(tmp_path / "mask.png", "data")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_while_the_bytes_are_written_leaves_no_part(tmp_path, monkeypatch):
    def half(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OutputError, match="disk full"):
        write_text(tmp_path / "mask.png", "data")
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_the_file_is_an_output_error(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken"):
        write_text(tmp_path / "taken", "data")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_file_in_the_place_of_the_folder_is_an_output_error(tmp_path):
    write_text(tmp_path / "file", "data")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "data")
    with pytest.raises(OutputError, match="cannot write"):
        append_line(tmp_path / "file" / "below", "data")


def test_a_writer_that_is_killed_leaves_the_old_file_and_the_next_writer_clears_up(tmp_path):
    target = tmp_path / "labels.txt"
    write_text(target, "old")
    killed = (
        "import os, signal, sys; from labelmend.io.files.atomic import whole_file\n"
        "with whole_file(sys.argv[1]) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(target)], check=False).returncode == -9
    assert target.read_text() == "old"
    write_text(target, "new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["labels.txt"]


def test_json_holds_plain_values_and_null_for_nan(tmp_path):
    write_json(
        tmp_path / "a.json",
        {
            "bias": np.float32(0.5),
            "low": np.nan,
            "n": np.arange(2),
            "where": Path("x"),
            "ok": np.bool_(True),
            1: "é",
        },
    )
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"bias": 0.5, "low": None, "n": [0, 1], "where": "x", "ok": True, "1": "é"}
    assert "é" in text
    assert text.endswith("}\n")


def test_infinities_inside_arrays_become_null():
    assert plain(np.array([1.0, np.inf, -np.inf])) == [1.0, None, None]
    assert plain({"b", "a"}) == ["a", "b"]


def test_appended_lines_come_back_in_order(tmp_path):
    log = tmp_path / "run" / "metrics.jsonl"
    append_line(log, "one")
    append_line(log, "two é")
    assert read_lines(log) == ["one", "two é"]
    assert read_lines(tmp_path / "absent") == []


@pytest.mark.parametrize("tail", ["tor", "x" * 200_000])
def test_a_torn_last_line_is_passed_over_and_then_cut_off(tmp_path, tail):
    log = tmp_path / "log"
    log.write_text("one\ntwo\n" + tail)
    assert read_lines(log) == ["one", "two"]
    append_line(log, "three")
    assert log.read_text() == "one\ntwo\nthree\n"


def test_a_log_that_is_one_torn_line_starts_afresh(tmp_path):
    log = tmp_path / "log"
    log.write_text("tor")
    append_line(log, "one")
    assert log.read_text() == "one\n"


def test_a_line_that_finds_the_disk_full_is_taken_back(tmp_path, monkeypatch):
    log = tmp_path / "log"
    append_line(log, "one")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(OutputError, match="disk full"):
            append_line(log, "two")
    assert log.read_text() == "one\n"


def test_a_line_with_a_line_break_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one line"):
        append_line(tmp_path / "log", "one\ntwo")
