"""Standard output that is closed or full: the work goes on, and the exit code says what matters."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from labelmend.cli.patient_stream import PatientStream


class Failing(io.StringIO):
    """A stream on which writing fails from the third time on."""

    n = 0

    def write(self, text: str) -> int:
        self.n += 1
        if self.n > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_the_first_error_is_kept_and_nothing_is_written_after_it() -> None:
    below = Failing()
    stream = PatientStream(below)
    stream.writelines(["a", "b", "c", "d"])
    stream.flush()
    assert (below.getvalue(), below.n) == ("ab", 3)
    assert stream.error is not None
    assert stream.error.errno == errno.ENOSPC


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for case in "abc":
        (tmp_path / "clean").mkdir(exist_ok=True)
        picture(tmp_path / "clean" / f"{case}.png", np.pad(np.ones((6, 6), np.uint8), 5))
    return tmp_path


def command(masks: Path, *more: str) -> list[str]:
    place = [str(masks / "clean"), "--out", str(masks / "OUT")]
    return [sys.executable, "-m", "labelmend", "simulate", *place, "--noise", "affine", *more]


def drawn(masks: Path) -> list[str]:
    return sorted(path.name for path in (masks / "OUT").glob("*.png"))


def test_a_reader_that_went_away_neither_stops_the_work_nor_spoils_the_exit_code(masks: Path) -> None:
    with subprocess.Popen(
        command(masks, "--classes", "{box: 1}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=100)) == ("", 0)
    assert drawn(masks) == ["a.png", "b.png", "c.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_device_is_one_sentence_and_all_files_are_there(masks: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(masks, "--classes", "{box: 1}"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
        )
    assert done.stderr == (
        "labelmend: standard output cannot be written (No space left on device); all files are written\n"
    )
    assert done.returncode == 2
    assert drawn(masks) == ["a.png", "b.png", "c.png"]
