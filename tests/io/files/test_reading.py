"""Text files: JSON, YAML, lines, and what is refused before it is read."""

import json
import os

import pytest

from labelmend.errors import DataError, MissingDataError, UnreadableFileError
from labelmend.io.files.limits import MAX_GIB
from labelmend.io.files.reading import (
    MOST_NESTED,
    read_bytes,
    read_json,
    read_json_lines,
    read_object,
    read_text,
    read_yaml,
    reading,
    reading_arrays,
)


def test_text_has_a_byte_order_mark_or_not(tmp_path):
    for data in (b"\xc3\xa4", b"\xef\xbb\xbf\xc3\xa4"):
        (tmp_path / "t.txt").write_bytes(data)
        assert read_text(tmp_path / "t.txt") == "ä"


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff{}", "is not UTF-8 text"),
        ("{}".encode("utf-16"), "is UTF-16 or UTF-32 text"),
        (nested(MOST_NESTED + 1).encode(), "nested too deeply"),
        (nested(100_000).encode(), "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 500 + b"1" + b"}" * 500, "nested too deeply"),
        (b'["\\ud800"]', "an incomplete character"),
        (b"9" * 5000, "is not valid JSON"),
        (b'{"a": 1, "a": 2}', "'a' is set twice"),
        (b"", "is empty"),
    ],
)
def test_json_that_cannot_be_used_names_the_file(tmp_path, data, told):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(UnreadableFileError, match=rf"x\.json.*{told}"):
        read_json(tmp_path / "x.json")


def test_brackets_in_text_and_pairs_of_half_characters_are_no_trouble(tmp_path):
    value = {"a": "[" * 1000 + "{" * 1000, "b": "\U0001f600", "c": [nested(300)] * 3, "d": [[[1]]]}
    (tmp_path / "x.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "x.json") == value
    (tmp_path / "deep.json").write_text(nested(MOST_NESTED - 1))
    assert read_json(tmp_path / "deep.json") == json.loads(nested(MOST_NESTED - 1))


def test_lines_end_at_the_last_newline_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read_json_lines(path) == []
    path.write_bytes(b"")
    assert read_json_lines(path) == []
    path.write_bytes(b'1\n{"a": 2}\n{"torn": "\xc3')
    assert read_json_lines(path) == [1, {"a": 2}]
    path.write_bytes(b"1\n{torn}\n")
    with pytest.raises(UnreadableFileError, match=r"log\.jsonl, line 2, is not valid JSON"):
        read_json_lines(path)


def test_yaml_keeps_small_aliases(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n")
    assert read_yaml(tmp_path / "c.yaml") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize("read", [read_bytes, read_text, read_json, read_json_lines, read_yaml])
def test_only_regular_files_are_opened(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            read(path)
    with pytest.raises(UnreadableFileError, match="it is a folder"):
        read(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match="gone does not exist"):
        read(tmp_path / "gone")


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_text("x")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(UnreadableFileError, match=r"x\.txt cannot be read \(Permission denied\)"):
        read_text(tmp_path / "x.txt")


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with open(tmp_path / "big.json", "wb") as file:
        file.truncate(2**21)  # holes: takes no room
    monkeypatch.setenv(MAX_GIB, str(2**-10))
    for read in (read_text, read_json):
        with pytest.raises(UnreadableFileError, match=r"big\.json declares 2097152 bytes"):
            read(tmp_path / "big.json")


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), OverflowError(), MemoryError(), IndexError()]
)
def test_the_boundary_turns_whatever_is_raised_into_one_error(error):
    with pytest.raises(UnreadableFileError, match=r"f\.bin"), reading("f.bin", "a picture"):
        raise error


def test_the_boundary_lets_errors_of_labelmend_through():
    with pytest.raises(MissingDataError, match="gone"), reading("f.bin", "a picture"):
        raise MissingDataError("gone")


def test_what_libraries_raise_names_the_file(tmp_path):
    path = tmp_path / "t.csv"
    with pytest.raises(MissingDataError, match=r"t\.csv does not exist"), reading_arrays(path, "text"):
        pass
    path.write_text("")
    with (
        pytest.raises(UnreadableFileError, match=r"t\.csv cannot be read as text \(ValueError: odd\)"),
        reading_arrays(path, "text"),
    ):
        raise ValueError("odd")
    with pytest.raises(DataError, match=r"t\.csv holds Python objects"), reading_arrays(path, "text"):
        raise ValueError("allow_pickle=False")
    with (
        pytest.raises(UnreadableFileError, match=r"t\.csv .*ZeroDivisionError"),
        reading_arrays(path, "text"),
    ):
        raise ZeroDivisionError


def test_an_object_must_be_one_and_hold_the_names_asked_for(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text('{"cases": [], "notes": []}')
    assert read_object(path, ("cases",)) == {"cases": [], "notes": []}
    with pytest.raises(UnreadableFileError, match=r"summary\.json lacks rounds: write it anew"):
        read_object(path, ("cases", "rounds"))
    for content in ("[1, 2]", "null", "3"):
        path.write_text(content)
        with pytest.raises(UnreadableFileError) as told:
            read_object(path, remedy="remove it")
        assert str(told.value) == f"{path} holds {content}, expected a JSON object: remove it"
