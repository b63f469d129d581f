"""Time and memory of the search for neighbours, the step of a transition matrix that grows with the square.

    python benchmarks/transition_cost.py [--minutes 9] [--only 768]      until nothing is left; then
    python benchmarks/transition_cost.py --table

Rows are drawn around 10 centres; 30 neighbours each, as AnchorEstimator asks for, one thread. Every piece
runs in a process of its own, so that its memory is its own. The exact search is timed on at most 2000 rows
against all n: its cost is the same for each row, and the time for all rows is projected. Beside it, in the
same process and for the same rows, scikit-learn's exact search on float64.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "transition_cost.jsonl"
SIZES = (10**3, 10**4, 10**5, 10**6)
FEATURES = (20, 768)
BACKENDS = ("exact", "pynndescent", "faiss")
K, N_TIMED, N_CHECKED = 30, 2000, 200
LIMIT_S = 560


def measure(n: int, f: int, backend: str) -> dict[str, float]:
    """Seconds for all rows, GiB beyond the features, and the share of the nearest rows found."""
    from labelmend.transition.neighbours import nearest

    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, f), np.float32)  # nothing larger before, or it would hide what is used
    centres, own = 4 / np.sqrt(f) * rng.standard_normal((10, f), np.float32), rng.integers(10, size=n)
    for number, centre in enumerate(centres):
        np.add(features, centre, out=features, where=(own == number)[:, None])
    rows = rng.permutation(n)[:N_TIMED]
    nearest(features[:500], K, rng=rng, backend=backend)  # compiles and imports
    before, began = peak_gib(), time.perf_counter()
    asked = rows if backend == "exact" else None
    found = nearest(features, K, rng=rng, rows=asked, backend=backend)
    seconds, used = time.perf_counter() - began, peak_gib() - before
    if backend == "exact":
        return {"seconds": seconds * n / len(rows), "gib": used, "of_rival": seconds / rival(features, rows)}
    exact = nearest(features, K, rng=rng, rows=rows[:N_CHECKED])
    hit = [np.isin(a, b).mean() for a, b in zip(found[rows[:N_CHECKED]], exact)]
    return {"seconds": seconds, "gib": used, "found": float(np.mean(hit))}


def rival(features: np.ndarray, rows: np.ndarray) -> float:
    """Seconds of scikit-learn's brute force for the same rows."""
    from sklearn.neighbors import NearestNeighbors

    wide = features.astype(np.float64)
    began = time.perf_counter()
    model = NearestNeighbors(n_neighbors=K + 1, algorithm="brute", n_jobs=1).fit(wide)
    model.kneighbors(wide[rows], return_distance=False)
    return time.perf_counter() - began


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--only", default="", help="regular expression for `BACKEND N F`")
    parser.add_argument("--table", action="store_true", help="write the table")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.piece:
        backend, n, f = options.piece.split()
        print(json.dumps(measure(int(n), int(f), backend)))
        return
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if options.table:
        return table(rows)
    done, began = {row["piece"] for row in rows}, time.monotonic()
    pieces = [f"{backend} {n} {f}" for n in SIZES for f in FEATURES for backend in BACKENDS]
    left = [piece for piece in pieces if piece not in done and re.search(options.only, piece)]
    while left and time.monotonic() - began < 60 * options.minutes:
        piece = left.pop(0)
        with RESULTS.open("a") as file:
            file.write(json.dumps({"piece": piece, **in_a_process(piece)}) + "\n")
    print(
        f"{len(left)} pieces left" if left else "nothing left: python benchmarks/transition_cost.py --table"
    )
    return None


def in_a_process(piece: str) -> dict[str, object]:
    """What `measure` finds, or why it found nothing."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--piece", piece],
            env=os.environ | one,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {LIMIT_S} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed: out of memory"])[-1]}
    return json.loads(done.stdout)


def table(rows: list[dict]) -> None:
    lines = [
        "# Cost of the search for neighbours",
        "",
        "Made by `python benchmarks/transition_cost.py` on one thread; 30 neighbours of every row; rows",
        "around 10 centres. Seconds tell only how cost grows: they are of one busy machine. Time of the",
        f"exact search is projected from {N_TIMED} rows where n is larger; `x sklearn` is its time over that",
        'of `NearestNeighbors(algorithm="brute")` for the same rows in the same process. Memory is the peak',
        "beyond the features, which are float32. `found` is the share of the true 30 nearest that an",
        f"approximate search found, of {N_CHECKED} rows.",
        "",
        "| n | f | exact s | GiB | x sklearn | pynndescent s | GiB | found | faiss s | GiB | found |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    by = {row["piece"]: row for row in rows}
    for n in SIZES:
        for f in FEATURES:
            cells = [f"{n:,}", str(f)]
            for backend, last in zip(BACKENDS, ("of_rival", "found", "found")):
                row = by.get(f"{backend} {n} {f}", {"failed": "not run"})
                if "failed" in row:
                    cells += [row["failed"], "–", "–"]
                else:
                    cells += [f"{row['seconds']:.3g}", f"{row['gib']:.2f}", f"{row[last]:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    RESULTS.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
