"""The folder that a job writes to: new, empty, or one with its own earlier results; never what it reads.

Jobs that are done in one go fill a hidden folder beside it, which takes its name when it is whole
(`whole_folder`). Jobs that can go on after an interruption write in place (`kept_folder`). Either way no
second process writes to it meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from labelmend.errors import OutputError, UnreadableFileError
from labelmend.runtime.disk import is_disk_full, output_error
from labelmend.runtime.lock import PREFIX, locked

_DRY: ContextVar[bool] = ContextVar("dry", default=False)

PART, OLD = ".part-", ".old-"
"""How the names of files and folders begin that are not whole yet, or about to be replaced."""


class DryRunEnded(Exception):
    """A dry run came to the point where it would begin to write.

    Args:
        out: where it would have written.
    """

    def __init__(self, out: object) -> None:
        super().__init__(f"a dry run ends before it writes to {out}")
        self.out = str(out)


@contextmanager
def dry_run() -> Iterator[None]:
    """Within this block a job ends with a DryRunEnded where it would begin to write, after all its checks."""
    token = _DRY.set(True)
    try:
        yield
    finally:
        _DRY.reset(token)


def about_to_write(out: str | Path) -> None:
    """End a dry run here.

    Raises:
        DryRunEnded: in a dry run.
    """
    if _DRY.get():
        raise DryRunEnded(out)


def check_output(
    out: str | Path | None,
    own: Sequence[str] = (),
    *,
    folders: Sequence[Path] = (),
    files: Sequence[Path] = (),
    overwrite: bool = True,
    kept: Sequence[str] = (),
) -> None:
    """Raise an OutputError unless `out` is new, empty, or holds results of its own only; writes nothing.

    Args:
        out: the folder; None needs no check.
        own: names of the files and folders that are written into it, and may be replaced.
        folders: folders that are read: `out` must neither lie in them nor hold them.
        files: files that are read: none of them may be replaced.
        overwrite: whether earlier results may be replaced.
        kept: names in it that stay as they are.
    """
    if out is None:
        return
    out = Path(out)
    home = out.resolve()
    for folder in folders:
        if folder.resolve() in (home, *home.parents):
            raise OutputError(f"{out} is inside the input folder {folder}: choose another folder")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: name a folder to write to")
    for place in (*folders, *files):
        if any((home / name) in (place.resolve(), *place.resolve().parents) for name in own):
            raise OutputError(f"{place} is read and would be replaced in {out}: choose another folder")
    found = [name for name in names_in(out) if name not in kept]
    strange = [name for name in found if name not in own]
    if strange:
        raise OutputError(f"{out} already holds {strange[0]}: choose a new or empty folder")
    if found and not overwrite:
        raise OutputError(
            f"{out} already holds results ({found[0]}): choose another folder, or replace them with "
            "--overwrite"
        )


def names_in(out: Path) -> list[str]:
    """What a folder holds, sorted, but for locks and what a killed process left half-written."""
    if not out.is_dir():
        return []
    try:
        return sorted(name for name in os.listdir(out) if not name.startswith((PREFIX, PART)))
    except OSError as error:
        raise OutputError(f"{out} cannot be read ({error.strerror}): choose another folder") from error


@contextmanager
def whole_folder(
    out: str | Path, own: Sequence[str] = (), *, overwrite: bool = True, kept: Sequence[str] = ()
) -> Iterator[Path]:
    """Fill the hidden folder this yields; on leaving, it takes the place of `out`.

    Results of an earlier call lie there until then, and are put aside before they are removed: a process that
    is killed in between leaves them whole, and the next call puts them back. What else a killed process left
    is replaced. Nobody else can do the same for the same folder meanwhile.

    Args:
        out: a folder that is new, empty, or holds nothing but earlier results.
        own: names of what may be replaced.
        overwrite: whether it may.
        kept: names in `out` that stay as they are, such as a folder that another job fills.

    Raises:
        DryRunEnded: in a dry run, after the checks.
        OutputError: see `check_output`; another process writes to the folder, or it is a mount point; the
            disk is full, or the place cannot be written. UnreadableFileError: an input cannot be read.
    """
    out = Path(out)
    home = Path(os.path.realpath(out))
    if _DRY.get():
        check_output(out, own, overwrite=overwrite, kept=kept)
        about_to_write(out)
    if os.path.ismount(home):
        raise OutputError(f"{out} is a mount point, which cannot be renamed: name a new folder in it")
    part, old = home.with_name(PART + home.name), home.with_name(OLD + home.name)
    with locked(home.with_name(PREFIX + home.name), out):
        try:
            _recover(home, old, kept)
            check_output(out, own, overwrite=overwrite, kept=kept)
            _remove(part)
            part.mkdir()
            with _same_folder(part, out):
                yield part
            _swap(part, home, old, kept)
        except Exception as error:
            if isinstance(error, OSError) and not is_disk_full(error) and _is_elsewhere(error, home):
                raise UnreadableFileError(f"{error.filename} cannot be read ({error.strerror})") from error
            if is_disk_full(error) or isinstance(error, OSError):
                raise output_error(out, error) from error
            raise
        finally:
            _remove(part)


@contextmanager
def kept_folder(out: str | Path, part: str = "run") -> Iterator[None]:
    """Keep a folder that is written in place, and may be half filled, to this process.

    Args:
        out: the folder.
        part: name of what this process writes in it: others may write other parts at the same time.

    Raises:
        OutputError: another process writes to it; it cannot be written, or was removed meanwhile.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: name a folder to write to")
    if _DRY.get():
        yield
        return
    with locked(out / f"{PREFIX}{part}", out):
        yield


def _is_elsewhere(error: OSError, home: Path) -> bool:
    """Whether an error names a file that is not part of what is written."""
    if not isinstance(error.filename, str):
        return False
    own = (home, *(home.with_name(prefix + home.name) for prefix in (PART, OLD, PREFIX)))
    return not any(place in (Path(error.filename), *Path(error.filename).parents) for place in own)


def _recover(home: Path, old: Path, kept: Sequence[str]) -> None:
    """Finish, or take back, what was killed between putting old results aside and removing them."""
    if not old.exists():
        return
    if names_in(home):
        _take_over(kept, old, home)
        _remove(old)
    else:
        os.replace(old, home)


def _take_over(kept: Sequence[str], old: Path, home: Path) -> None:
    """Move what is kept from the old folder into the new one."""
    for name in kept:
        if (old / name).exists():
            os.replace(old / name, home / name)


def _swap(part: Path, home: Path, old: Path, kept: Sequence[str]) -> None:
    """Give a full folder its name, in place of what has it."""
    if not names_in(home):
        _remove_leftovers(home)
        os.replace(part, home)
        return
    os.replace(home, old)
    try:
        os.replace(part, home)
    except BaseException:
        os.replace(old, home)
        raise
    _take_over(kept, old, home)
    _remove(old)


def _remove_leftovers(home: Path) -> None:
    """Half-written files of a killed process in a folder that is otherwise empty."""
    if home.is_dir():
        for path in list(home.iterdir()):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _same_folder(part: Path, out: Path) -> Iterator[None]:
    """Raise an OutputError if a folder was removed, and perhaps made again, while it was filled."""
    try:
        descriptor = os.open(part, os.O_RDONLY)
    except OSError:  # a system that opens no folders
        yield
        return
    try:
        yield
        if not part.exists() or not os.path.samestat(os.fstat(descriptor), os.stat(part)):
            raise OutputError(f"{part} was removed while {out} was made: run the same command again")
    finally:
        os.close(descriptor)
