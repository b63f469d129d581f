"""Config files and flags of every kind end in settings or in one sentence with exit code 2."""

import os

import pytest

from labelmend.cli import main
from labelmend.cli.parser import VerbParser


def parsed(*arguments):
    made = VerbParser("x", "Do x.")
    made.add_flag("worst", int, 5, "how many")
    return made.parse_args([str(argument) for argument in arguments]).worst


@pytest.mark.parametrize(
    "data", [b"worst: 1\n", b"\xef\xbb\xbfworst: 1\n", b'{"worst": 1}', b"# one\n\nworst: 1"]
)
def test_settings_are_read_from_a_file(tmp_path, data):
    (tmp_path / "c.yaml").write_bytes(data)
    assert parsed("--config", tmp_path / "c.yaml") == 1
    assert parsed(f"--config={tmp_path / 'c.yaml'}", "--worst", 2) == 2
    assert parsed("--config", "worst: 3") == 3


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    "data",
    [
        b"worst: \xff",
        "worst: 1".encode("utf-16"),
        b"- 1",
        b"",
        b"# nothing",
        b"[" * 5000,
        b"worst: !!python/object/apply:os.getcwd []",
        BOMB.encode(),
        b"worst: &a [*a]",
        b"worst: 1\nworst: 2",
        b"worst: " + b"9" * 5000,
        b"worst: 2020-99-99",
        b"1: 2",
        b"\x00",
        b"wrost: 1",
        b"worst: many",
        b'worst: "\\ud800"',
    ],
)
def test_a_config_that_cannot_be_used_is_one_sentence_with_its_name(tmp_path, capsys, data):
    path = tmp_path / "odd.yaml"
    path.write_bytes(data)
    with pytest.raises(SystemExit) as stopped:
        parsed("--config", path)
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told.startswith("labelmend x: ")
    assert told.count("\n") == 1
    assert str(path) in told


def test_a_pipe_is_no_config_and_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", "/dev/zero"):
        with pytest.raises(SystemExit):
            parsed("--config", path)
        assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["9" * 5000, "many", "²", "[" * 2000])
def test_flags_are_refused_in_one_sentence_too(capsys, value):
    with pytest.raises(SystemExit) as stopped:
        parsed("--worst", value)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_verb_reads_its_config_this_way(tmp_path, capsys):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    for verb in (
        "train",
        "evaluate",
        "simulate",
        "fit-noise",
        "pseudo-masks",
        "audit",
        "correct",
        "estimate-transition",
    ):
        with pytest.raises(SystemExit) as stopped:
            main([verb, "--config", str(tmp_path / "c.yaml")])
        assert stopped.value.code == 2
        assert "c.yaml is UTF-16 or UTF-32 text" in capsys.readouterr().err, verb
