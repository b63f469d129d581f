"""A signal that asks to stop becomes an exception, so that everything is cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from labelmend.runtime.stopping import SIGNALS, StoppedError, stoppable


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_once_and_the_handlers_come_back(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # cleaning up is not stopped

    with pytest.raises(StoppedError) as told, stoppable():
        work()
    assert told.value.number == number
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def children(pid: int) -> set[int]:
    """All processes below one."""
    found, waiting = set[int](), {pid}
    while waiting:
        parent = waiting.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            own = set(map(int, task.read_text().split()))
            found |= own
            waiting |= own
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system lists no children")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_with_two_workers_it_leaves_neither_processes_nor_shared_memory(
    tmp_path: Path, number: int
) -> None:
    (tmp_path / "clean").mkdir()
    for case in range(400):
        picture(tmp_path / "clean" / f"{case}.png", np.pad(np.ones((80, 80), np.uint8), 40))
    line = [
        sys.executable,
        "-m",
        "labelmend",
        "simulate",
        str(tmp_path / "clean"),
        "--out",
        str(tmp_path / "OUT"),
    ]
    line += ["--noise", "markov", "--noise.steps", "3000", "--classes", "{box: 1}", "--jobs", "2"]
    shared = Path("/dev/shm")
    before = set(shared.iterdir()) if shared.is_dir() else set()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list((tmp_path / "OUT").glob("*.png"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    helpers = children(process.pid)
    assert len(helpers) >= 2
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (
        128 + number,
        "labelmend simulate: stopped; run the same command again to continue\n",
    )
    until = time.time() + 10
    while (left := [pid for pid in helpers if alive(pid)]) and time.time() < until:
        time.sleep(0.1)
    assert left == []
    ours = [path for path in (set(shared.iterdir()) - before) if str(process.pid) in path.name]
    assert ours == []
    assert not list((tmp_path / "OUT").glob(".lock-*"))
