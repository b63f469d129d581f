"""The same command twice at once: one does the work, the other is refused, and the result is that of one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drawn_correct import generous
from drawn_data import contents
from drawn_findings import disc_set

SERVER = """
import json, os, sys, time
from labelmend.cli import VERBS, cli_module, main
for verb in VERBS:
    cli_module(verb)
import labelmend.workflows.correction.correct
import labelmend.workflows.reviewing.apply
import labelmend.workflows.auditing.page

def child(argv, at):
    pid = os.fork()
    if pid == 0:
        time.sleep(max(0.0, at - time.time()))
        os._exit(main(argv))
    return pid

for line in sys.stdin:
    argv, n = json.loads(line)
    at = time.time() + 0.05
    pids = [child(argv, at) for _ in range(n)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps(["done", *codes]), flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """Forks children that run a command; the libraries are loaded once."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def start(server: subprocess.Popen[str], argv: list[str], n: int) -> list[int]:
    """Exit codes of n simultaneous starts, sorted."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([argv, n]) + "\n")
    server.stdin.flush()
    while not (line := server.stdout.readline()).startswith('["done"'):
        assert line
    return sorted(json.loads(line)[1:])


def commands(root: Path) -> dict[str, list[str]]:
    """A command a verb, but for the folder to write to, which comes last."""
    discs = disc_set(root / "discs", 12)
    masks = generous(root / "masks")
    names = "{liver: 1, lesion: 2}"
    probs = ["--probabilities", str(discs / "probabilities"), "--classes", names]
    return {
        "audit": ["audit", str(discs / "labels"), *probs, "--no-page", "--out"],
        "simulate": [
            "simulate", str(discs / "labels"), "--noise", "markov", "--noise.steps", "2000",
            "--classes", names, "--out",
        ],
        "correct": [
            "correct", str(masks / "labels"), "--probabilities", str(masks / "probs"), "--clean",
            str(masks / "clean"), "--classes", "{disc: 1}", "--out",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["audit", "simulate", "correct"])
def test_of_ten_pairs_of_simultaneous_starts_one_each_works(
    server: subprocess.Popen[str], tmp_path: Path, verb: str
) -> None:
    argv = commands(tmp_path)[verb]
    assert start(server, [*argv, str(tmp_path / "alone" / "out")], 1) == [0]
    for i in range(10):
        assert start(server, [*argv, str(tmp_path / f"pair{i}" / "out")], 2) == [0, 2]
        assert contents(tmp_path / f"pair{i}") == contents(tmp_path / "alone")
        assert [path.name for path in (tmp_path / f"pair{i}").iterdir()] == ["out"]
        shutil.rmtree(tmp_path / f"pair{i}")
