"""Limit the memory one file may need, checked against its header before unpacking.

A few kilobytes can declare terabytes (compressed volumes, headers of 100,000 x 100,000 pixels). Readers ask
`check_declared` first, with the unpacked size that the header declares.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from labelmend.errors import ConfigError, UnreadableFileError

MAX_GIB = "LABELMEND_MAX_GIB"
"""Environment variable that overrides the limit, in GiB per file."""

SHARE_OF_MEMORY = 0.5
"""Fraction of the free memory per unpacked file: labels, probabilities and image are held together."""

_UNKNOWN_MEMORY = 16 * 2**30


def check_declared(n_bytes: int, path: str | Path, what: str) -> None:
    """Raise an error unless an array of this size may be unpacked.

    Args:
        n_bytes: size of the unpacked array as the header declares it.
        path: the file, for the message.
        what: what the header declares, such as "100000 x 100000 pixels of uint8".

    Raises:
        UnreadableFileError: the size exceeds the limit.
        ConfigError: LABELMEND_MAX_GIB is not a positive number.
    """
    limit = limit_bytes()
    if n_bytes > limit:
        raise UnreadableFileError(
            f"{path} declares {what}, {gib(n_bytes)} GiB unpacked, more than the limit of {gib(limit)} GiB "
            f"per file: check the file, or set {MAX_GIB} in the environment to read it anyway"
        )


def limit_bytes() -> int:
    """Most memory one unpacked file may take: LABELMEND_MAX_GIB, otherwise half of the free memory."""
    setting = os.environ.get(MAX_GIB, "").strip()
    if not setting:
        return int(free_memory_bytes() * SHARE_OF_MEMORY)
    try:
        limit_gib = float(setting)
    except ValueError:
        limit_gib = math.nan
    if not (math.isfinite(limit_gib) and limit_gib > 0):
        raise ConfigError(f"{MAX_GIB} is {setting!r}, expected a positive number of GiB, such as 40")
    return int(limit_gib * 2**30)


def free_memory_bytes() -> int:
    """Currently free memory, within the container if there is one; 16 GiB if unknown."""
    free = [_UNKNOWN_MEMORY]
    with suppress(OSError, ValueError, AttributeError):  # no sysconf on Windows
        free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))]
    with suppress(OSError, ValueError):  # "max" if the container has no limit
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(min(free), 0)


def gib(n_bytes: int) -> str:
    """Bytes in GiB, to three digits.

    >>> gib(3 * 2**30), gib(10 * 2**20)
    ('3', '0.00977')
    """
    return f"{n_bytes / 2**30:.3g}"
