"""Messages for failed writes."""

from __future__ import annotations

import errno
from pathlib import Path

from labelmend.errors import OutputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def is_disk_full(error: BaseException) -> bool:
    """True for an error that says there is no room left, also where a library turned it into its own."""
    return getattr(error, "errno", None) in _FULL or "No space left on device" in str(error)


def output_error(path: Path, error: BaseException) -> OutputError:
    """The sentence for an error that came up while `path` was written."""
    if is_disk_full(error):
        return OutputError(f"disk full while writing {path}: free some space and run the same command again")
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"cannot write {path} ({reason}): choose a place that can be written")
