"""One process at a time writes to a folder: a lock file says who, where and since when.

The file appears with its content or not at all. A process that was killed leaves it behind; the next one on
that machine sees that nobody answers to it and takes it over. Whoever writes from another machine cannot be
asked: its lock counts as long as it is touched, every BEAT_S seconds.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from labelmend.errors import OutputError
from labelmend.runtime.disk import output_error

PREFIX = ".lock-"
"""How the names of locks begin."""

BEAT_S, SILENT_S = 20.0, 300.0
"""Seconds between two touches of a lock, and after which one of another machine counts as left behind."""


@contextmanager
def locked(lock: str | Path, folder: str | Path) -> Iterator[None]:
    """Keep a folder to this process until the block is left.

    Args:
        lock: the lock file; missing folders around it are made, and taken away again if they stay empty.
        folder: what is locked, for messages.

    Raises:
        OutputError: another process holds the lock, it cannot be written, or somebody removed it meanwhile.
    """
    lock, folder = Path(lock), Path(folder)
    own = {
        **_myself(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "id": uuid.uuid4().hex,
    }
    missing = [parent for parent in lock.parents if not parent.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        _take(lock, folder, own)
    except OSError as error:
        _remove_empty(missing)
        raise output_error(folder, error) from error
    ended = threading.Event()
    threading.Thread(target=_beat, args=(lock, ended), daemon=True).start()
    try:
        yield
        if _holder(lock).get("id") != own["id"]:
            raise OutputError(f"{folder} was removed while it was written: run the same command again")
    finally:
        ended.set()
        if _holder(lock).get("id") == own["id"]:
            with suppress(OSError):
                lock.unlink()
        _remove_empty(missing)


def _take(lock: Path, folder: Path, own: Mapping[str, Any]) -> None:
    """Create the lock, over one that was left behind; only one process of this machine does so at a time."""
    new = lock.with_name(f"{lock.name}-{own['id']}")
    with _alone_in(lock.parent):
        new.write_text(json.dumps(own))
        try:
            if lock.exists() and _is_left_behind(lock, new):
                with suppress(FileNotFoundError):
                    lock.unlink()
            _create(lock, new)
        except FileExistsError:
            raise OutputError(_told(folder, lock, _holder(lock), own)) from None
        finally:
            new.unlink()


def _create(lock: Path, new: Path) -> None:
    """Give a finished file the name of the lock unless it is taken; in one step where links can be made."""
    try:
        os.link(new, lock)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with open(lock, "x") as file:
            file.write(new.read_text())


def _is_left_behind(lock: Path, new: Path) -> bool:
    """Whether nobody holds a lock any more.

    Args:
        lock: the lock.
        new: a file written just now: the clock of a shared disk is its own.
    """
    found, here = _holder(lock), _myself()
    if any(found.get(name) != here[name] for name in ("host", "boot", "space")):
        with suppress(FileNotFoundError):
            return new.stat().st_mtime - lock.stat().st_mtime > SILENT_S
        return True
    pid = found.get("pid")
    return not (isinstance(pid, int) and _is_alive(pid) and found.get("started") == _started(pid))


def _told(folder: Path, lock: Path, found: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    who = f"process {found.get('pid', '?')}"
    if all(found.get(name) == here[name] for name in ("host", "boot", "space")):
        where, advice = "", "wait until it has ended, or choose another folder"
    else:
        where = f" on {found.get('host', 'another machine')}"
        advice = (
            f"wait until it has ended, or choose another folder; if it has died, remove {lock} or wait "
            f"{SILENT_S / 60:.0f} minutes"
        )
    return f"{folder} is being written by {who}{where} since {found.get('since', 'just now')}: {advice}"


def _holder(lock: Path) -> dict[str, Any]:
    """The content of a lock; empty if it cannot be read."""
    try:
        found = json.loads(lock.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _myself() -> dict[str, Any]:
    """What tells this process from all others, on this machine and elsewhere, before and after a restart."""
    boot, space = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):  # containers count their processes each for itself
        space = os.readlink("/proc/self/ns/pid")
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "host": platform.node(), "boot": boot, "space": space}


def _started(pid: int) -> str:
    """When a process started, in ticks since the machine did; empty where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "ended, and nobody took note" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _beat(lock: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with suppress(OSError):
            os.utime(lock)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine waiting, where the system offers that."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_empty(folders: list[Path]) -> None:
    """Take folders away that were made for the lock and hold nothing; innermost first."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
