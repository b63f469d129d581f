"""How errors of the disk are told."""

from __future__ import annotations

import errno
from pathlib import Path

from labelmend.runtime.disk import is_disk_full, output_error


def test_a_full_disk_is_told_from_a_place_that_cannot_be_written() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "no space"))
    assert is_disk_full(RuntimeError("zip: No space left on device"))
    assert not is_disk_full(OSError(errno.EACCES, "not allowed"))
    assert str(output_error(Path("a"), OSError(errno.ENOSPC, "x"))).startswith("disk full while writing a")
    assert "cannot write a (not allowed)" in str(
        output_error(Path("a"), OSError(errno.EACCES, "not allowed"))
    )
