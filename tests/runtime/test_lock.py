"""One process at a time: who is refused, and which locks count as left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labelmend.errors import OutputError
from labelmend.runtime import lock as locks
from labelmend.runtime.lock import locked

HOLD = """
import sys, time
from labelmend.runtime.lock import locked
with locked(sys.argv[1], "OUT"):
    print("held", flush=True)
    time.sleep(100)
"""


def hold(lock: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def edit(lock: Path, **more: Any) -> None:
    lock.write_text(json.dumps(json.loads(lock.read_text()) | more))


def test_the_lock_is_there_while_the_block_runs_and_gone_after_it(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "down" / ".lock-x"
    with locked(lock, "OUT"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
        assert [path.name for path in lock.parent.iterdir()] == [".lock-x"]
    assert list(tmp_path.iterdir()) == []


def test_an_error_takes_the_lock_away_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / ".lock-x", "OUT"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_told_who_writes_and_since_when(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    other = hold(lock)
    since = json.loads(lock.read_text())["since"]
    try:
        with pytest.raises(OutputError) as told, locked(lock, "OUT"):
            pytest.fail("two hold the lock")
        assert str(told.value) == (
            f"OUT is being written by process {other.pid} since {since}: wait until it has ended, or choose "
            "another folder"
        )
        assert [path.name for path in tmp_path.iterdir()] == [".lock-x"]
    finally:
        end(other)


def test_a_lock_cannot_be_taken_twice_in_one_process(tmp_path: Path) -> None:
    with (
        locked(tmp_path / ".lock-x", "OUT"),
        pytest.raises(OutputError, match=f"process {os.getpid()}"),
        locked(tmp_path / ".lock-x", "OUT"),
    ):
        pytest.fail("held twice")


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    end(hold(lock))
    assert lock.exists()
    with locked(lock, "OUT"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say how it is")
def test_a_killed_process_that_its_parent_has_not_taken_note_of_is_dead(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    other = hold(lock)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    with locked(lock, "OUT"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    end(other)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say when it started")
def test_a_recycled_number_is_another_process(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    end(hold(lock))
    edit(lock, pid=os.getpid(), started="1")
    with locked(lock, "OUT"):
        assert json.loads(lock.read_text())["started"] != "1"


def test_a_lock_of_another_machine_counts_until_it_has_been_silent(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    end(hold(lock))
    edit(lock, host="node7")
    with pytest.raises(
        OutputError, match=r"on node7 since .*: .*; if it has died, remove .*\.lock-x or wait"
    ):
        locked(lock, "OUT").__enter__()
    silent = lock.stat().st_mtime - locks.SILENT_S - 60
    os.utime(lock, (silent, silent))
    with locked(lock, "OUT"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_held_lock_is_touched_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    lock = tmp_path / ".lock-x"
    with locked(lock, "OUT"):
        os.utime(lock, (0, 0))
        for _ in range(500):
            if lock.stat().st_mtime > 0:
                break
            locks.time.sleep(0.01)
        assert lock.stat().st_mtime > 0


def test_a_removed_folder_is_told_at_the_end(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    with pytest.raises(OutputError, match="OUT was removed while it was written"), locked(lock, "OUT"):
        lock.unlink()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write OUT"), locked(tmp_path / "file" / ".lock-x", "OUT"):
        pytest.fail("no folder there")


def test_garbage_in_the_place_of_a_lock_is_told_how_to_be_removed(tmp_path: Path) -> None:
    (tmp_path / ".lock-x").write_text("[" * 10)
    with pytest.raises(OutputError, match=r"remove .*\.lock-x"), locked(tmp_path / ".lock-x", "OUT"):
        pytest.fail("not ours")


RACE = """
import sys, time
from labelmend.errors import OutputError
from labelmend.runtime.lock import locked
time.sleep(max(0, float(sys.argv[2]) - time.time()))
try:
    with locked(sys.argv[1], "OUT"):
        time.sleep(1)
except OutputError:
    sys.exit(2)
"""


def test_of_eight_that_find_a_lock_left_behind_one_takes_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock-x"
    end(hold(lock))
    at = str(locks.time.time() + 2)
    racers = [subprocess.Popen([sys.executable, "-c", RACE, str(lock), at]) for _ in range(8)]
    assert sorted(racer.wait() for racer in racers) == [0] + [2] * 7
    assert list(tmp_path.iterdir()) == []
