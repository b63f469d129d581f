"""Damaged files at every reader for some minutes, with counts: benchmarks/fuzz_readers.py --minutes 5

A reader passes when each file is read, or refused in one error of labelmend that names it. The first file on
which something else happens is printed, with the traceback, and the script exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from drawn_garbage import READERS, damaged  # noqa: E402
from test_fuzz_readers import attempt  # noqa: E402

ROUND = 20
"""Files a reader gets before the next one has its turn."""


def campaign(name: str, number: int, counts: Counter[str]) -> None:
    """One round of a reader; raises what should not happen."""
    with tempfile.TemporaryDirectory() as folder:
        valid = READERS[name].valid(Path(folder))

        @seed(number)
        @settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(data=st.data())
        def one(data: st.DataObject) -> None:
            READERS[name].valid(Path(folder))
            counts["read" if attempt(name, data.draw(damaged(valid)), Path(folder)) else "refused"] += 1

        one()


def main() -> int:
    """Run until the time is over and write benchmarks/results/fuzz_readers.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    minutes = parser.parse_args().minutes
    counts = {name: Counter[str]() for name in READERS}
    failed: list[str] = []
    start, number = time.monotonic(), 0
    while time.monotonic() - start < 60 * minutes:
        for name in READERS:
            if name in failed or time.monotonic() - start > 60 * minutes:
                continue
            try:
                campaign(name, number, counts[name])
            except Exception:
                traceback.print_exc()
                failed.append(name)
        number += 1
    lines = [f"Damaged files at every reader, {minutes:g} minutes.", "", "| reader | read | refused | else |"]
    lines += ["|---|---:|---:|---:|"]
    for name, found in counts.items():
        lines.append(f"| {name} | {found['read']} | {found['refused']} | {int(name in failed)} |")
    total = sum(sum(found.values()) for found in counts.values())
    lines += ["", f"{total} files; {len(failed)} readers did something else than read or refuse."]
    (HERE / "results" / "fuzz_readers.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
