"""Where results may go, and that they appear whole or not at all, over earlier ones too."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from labelmend.errors import OutputError, UnreadableFileError
from labelmend.runtime.output_folder import (
    DryRunEnded,
    check_output,
    dry_run,
    kept_folder,
    names_in,
    whole_folder,
)

OWN = ("found.json", "page.html")


def test_new_empty_and_earlier_folders_will_do(tmp_path: Path) -> None:
    check_output(None, OWN)
    check_output(tmp_path / "new", OWN)
    check_output(tmp_path, OWN)
    for name in ("found.json", ".part-page.html", ".lock-x"):
        (tmp_path / name).write_text("")
    check_output(tmp_path, OWN)
    assert names_in(tmp_path) == ["found.json"]
    assert not (tmp_path / "new").exists()


def test_anything_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(OutputError, match=r"already holds thesis\.txt"):
        check_output(tmp_path, OWN)
    with pytest.raises(OutputError, match=r"thesis\.txt is a file"):
        check_output(tmp_path / "thesis.txt", OWN)


def test_earlier_results_stay_unless_they_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text("")
    with pytest.raises(OutputError, match=r"already holds results \(found\.json\): .* --overwrite"):
        check_output(tmp_path, OWN, overwrite=False)


def test_results_never_lie_in_a_folder_or_over_a_file_that_is_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is inside the input folder"):
        check_output(tmp_path / "deep" / "down", OWN, folders=[tmp_path])
    (tmp_path / "found.json").write_text("")
    with pytest.raises(OutputError, match=r"found\.json is read and would be replaced"):
        check_output(tmp_path, OWN, files=[tmp_path / "found.json"])
    with pytest.raises(OutputError, match="is read and would be replaced"):
        check_output(tmp_path, OWN, folders=[tmp_path / "found.json" / "inside"])


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_nothing_is_there_before_all_is_there(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "final") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "final").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "a"]


def test_an_error_leaves_nothing_not_even_the_folders_around(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "a").write_text("1")
        raise KeyError

    with pytest.raises(KeyError), whole_folder(tmp_path / "deep" / "final") as folder:
        fail(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_a_link_to_one_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    with whole_folder(tmp_path / "link") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "empty") == {"a": "1"}


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".part-final").mkdir()
    (tmp_path / ".part-final" / "old").write_text("")
    with whole_folder(tmp_path / "final"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["final"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "mine").write_text("1")
    with pytest.raises(OutputError, match="choose a new or empty folder"), whole_folder(tmp_path / "final"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "mine"]


def test_earlier_results_are_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "final"
    for text in ("1", "2"):
        with whole_folder(out, ("a", "b")) as folder:
            (folder / ("a" if text == "1" else "b")).write_text(text)
    assert tree(tmp_path) == {"final/b": "2"}


@pytest.mark.parametrize("n_moves", [0, 1, 2])
def test_a_kill_between_the_two_renames_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_moves: int
) -> None:
    """n_moves: how many of the three steps aside, into place, removal are done when the process ends."""
    out, done = tmp_path / "final", []
    with whole_folder(out, ("a",)) as folder:
        (folder / "a").write_text("1")
    place = tmp_path / "killed"
    replace, rmtree = os.replace, shutil.rmtree

    def snapshot() -> None:  # what a kill now would leave behind
        if len(done) == n_moves and not place.exists():
            shutil.copytree(tmp_path, place, ignore=lambda d, names: [n for n in names if n == "killed"])

    def counted(old: Path, new: Path) -> None:
        snapshot()
        replace(old, new)
        done.append(new)

    def removed(path: Path, **how: bool) -> None:
        if path.name.startswith(".old-"):
            snapshot()
        rmtree(path, **how)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", counted)
        patched.setattr(shutil, "rmtree", removed)
        with whole_folder(out, ("a",)) as folder:
            (folder / "a").write_text("2")
    for lock in place.glob(".lock-*"):
        lock.unlink()  # its process has ended
    assert tree(out) == {"a": "2"}
    assert "1" in tree(place).values()
    with whole_folder(place / "final", ("a",)) as folder:
        assert tree(place / "final") == {"a": "1" if n_moves < 2 else "2"}
        (folder / "a").write_text("2")
    assert tree(place) == {"final/a": "2"}


def test_an_input_that_cannot_be_read_is_not_taken_for_the_output(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"b\.png cannot be read"), whole_folder(tmp_path / "final"):
        (tmp_path / "b.png").read_bytes()
    with (
        pytest.raises(OutputError, match=r"cannot write .*final"),
        whole_folder(tmp_path / "final") as folder,
    ):
        (folder / "none" / "a").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_a_mount_point_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    with (
        pytest.raises(OutputError, match=r"is a mount point.*: name a new folder in it"),
        whole_folder(tmp_path),
    ):
        pytest.fail("work was begun")
    with whole_folder(tmp_path / "inside"):
        pass


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk full"), whole_folder(tmp_path / "final"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_removed_and_made_again_while_it_is_filled_is_told(tmp_path: Path) -> None:
    def lose(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "half").write_text("")

    with pytest.raises(OutputError, match="was removed while"), whole_folder(tmp_path / "final") as folder:
        lose(folder)
    assert list(tmp_path.iterdir()) == []


def test_no_second_process_fills_the_same_folder(tmp_path: Path) -> None:
    with (
        whole_folder(tmp_path / "final"),
        pytest.raises(OutputError, match=f"is being written by process {os.getpid()}"),
        whole_folder(tmp_path / "final"),
    ):
        pytest.fail("two fill it")


def test_a_folder_written_in_place_keeps_others_out_and_no_lock_behind(tmp_path: Path) -> None:
    with kept_folder(tmp_path / "run", "1-of-2"):
        (tmp_path / "run" / "a").write_text("1")
        with kept_folder(tmp_path / "run", "2-of-2"):
            pass
        with pytest.raises(OutputError, match="is being written"), kept_folder(tmp_path / "run", "1-of-2"):
            pytest.fail("two write it")
    assert tree(tmp_path) == {"run/a": "1"}
    with pytest.raises(OutputError, match="a is a file"), kept_folder(tmp_path / "run" / "a"):
        pytest.fail("no folder")


def test_a_folder_written_in_place_and_removed_meanwhile_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="was removed while it was written"), kept_folder(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")


def test_a_dry_run_makes_all_checks_and_no_folder(tmp_path):
    with dry_run(), pytest.raises(DryRunEnded, match="out"), whole_folder(tmp_path / "out"):
        raise AssertionError("nothing is filled")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    with dry_run(), pytest.raises(OutputError, match="already holds"), whole_folder(tmp_path / "taken"):
        raise AssertionError("nothing is filled")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    with whole_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").is_dir()


def filled(out: Path, text: str) -> None:
    with whole_folder(out, OWN, kept=("models",)) as folder:
        (folder / "found.json").write_text(text)


def test_what_is_kept_stays_when_results_are_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "models").mkdir(parents=True)
    (out / "models" / "weights").write_text("w")
    check_output(out, OWN, overwrite=False, kept=("models",))
    for text in ("1", "2"):
        filled(out, text)
        assert tree(out) == {"found.json": text, "models/weights": "w"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_what_is_kept_survives_a_kill_between_two_moves(
    tmp_path: Path, fatal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, moves = tmp_path / "out", 0
    (out / "models").mkdir(parents=True)
    (out / "models" / "weights").write_text("w")
    filled(out, "1")
    move = os.replace

    def die(old: Path, new: Path) -> None:
        nonlocal moves
        moves += 1
        if moves >= fatal:
            raise SystemExit("killed")
        move(old, new)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(SystemExit):
        filled(out, "2")
    monkeypatch.setattr(os, "replace", move)
    filled(out, "3")
    assert tree(out) == {"found.json": "3", "models/weights": "w"}
