"""The tables of a suite: results/NAME.md from results/NAME.jsonl; rows that are not there yet show as dashes.

python benchmarks/table_suite.py jsrt [--name jsrt_256]
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from run_suite import pieces

HERE = Path(__file__).parent
Row = dict[str, Any]
NONE = "–"


def mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def spread(values: list[float], digits: int = 3, scale: float = 1) -> str:
    """Mean and standard deviation over seeds."""
    if not values:
        return NONE
    found = np.array(values) * scale
    error = f" ± {found.std(ddof=1):.{digits}f}" if len(found) > 1 else ""
    return f"{found.mean():.{digits}f}{error}"


def gaps(rows: list[Row], noise: str, name: str) -> list[float]:
    """Per seed, the share of the way from plain on noisy to plain on clean masks, of mean test Dice."""
    by = {(r["noise"], r["name"], r["seed"]): mean(r["test_dice"]) for r in rows}
    found = []
    for seed in sorted({r["seed"] for r in rows}):
        low, high = by.get((noise, "plain", seed)), by.get(("clean", "plain on clean", seed))
        here = by.get((noise, name, seed))
        if low is not None and high is not None and here is not None:
            found.append((here - low) / (high - low))
    return found


def overview(suite: Row, rows: list[Row], cell: Callable[[str, str], str], title: str) -> list[str]:
    """Methods down, noises across."""
    noises = list(suite["noise"])
    lines = [f"## {title}", "", f"| | {' | '.join(noises)} |", f"|---|{'---|' * len(noises)}"]
    for run in suite["run"]:
        if run.get("labels") != "clean":
            lines.append(f"| {run['name']} | {' | '.join(cell(noise, run['name']) for noise in noises)} |")
    return [*lines, ""]


def details(suite: Row, rows: list[Row]) -> list[str]:
    lines = ["## Every number", ""]
    classes = sorted(rows[0]["test_dice"])
    for noise, setting in {"clean": {"about": "training on clean masks"}, **suite["noise"]}.items():
        here = [r for r in rows if r["noise"] == noise]
        if not here:
            continue
        head = [f"Dice {c}" for c in classes] + [f"NSD {c}" for c in classes]
        head += [
            "Dice of labels",
            "clean pixels damaged, %",
            "wrong pixels repaired, %",
            "seeds",
        ]
        lines += [
            f"### {noise}: {setting['about']}",
            "",
            f"| | {' | '.join(head)} |",
            f"|---|{'---|' * len(head)}",
        ]
        for run in suite["run"]:
            own = [r for r in here if r["name"] == run["name"]]
            if not own:
                continue
            cells = [spread([r[key][c] for r in own]) for key in ("test_dice", "test_nsd") for c in classes]
            cells.append(spread([mean(r["label_dice"]) for r in own if "label_dice" in r]))
            for key in ("clean_pixels_damaged", "wrong_pixels_repaired"):
                cells.append(spread([r[key] for r in own if key in r], 2, 100))
            cells.append(str(len(own)))
            lines.append(f"| {run['name']} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite")
    parser.add_argument("--name", help="name of the result file; default that of the suite")
    options = parser.parse_args()
    name = options.name or options.suite
    suite = tomllib.loads((HERE / "suites" / f"{options.suite}.toml").read_text())
    path = HERE / "results" / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    def of(noise: str, run: str, value: Callable[[Row], float]) -> list[float]:
        return [value(r) for r in rows if (r["noise"], r["name"]) == (noise, run)]

    settings = ", ".join(f"{key} {value}" for key, value in suite["settings"].items())
    n_test = suite["test"][1] - suite["test"][0]
    clean = spread(of("clean", "plain on clean", lambda r: mean(r["test_dice"])))
    lines = [
        f"# Which method for which error: {name}",
        "",
        f"Made by `run_suite.py {options.suite}` and `table_suite.py` in benchmarks/; mean ± sd",
        f"over seeds, {n_test} test cases never trained on, native grid.",
        f"Settings of all: {settings}. Methods run with the defaults of their files,",
        "unless the suite says otherwise.",
        f"Plain training on clean masks: mean test Dice {clean}.",
        f"{len(rows)} of {len(list(pieces(suite)))} runs are in. A cell without ± is one seed,",
        "which ranks nothing. Time of a step: [time_methods.md](time_methods.md), measured by itself, since",
        "these runs shared their two cores.",
        "",
        *(f"- **{noise}**: {setting['about']}" for noise, setting in suite["noise"].items()),
        "",
        *overview(
            suite, rows, lambda n, m: spread(of(n, m, lambda r: mean(r["test_dice"]))), "Mean test Dice"
        ),
        *overview(
            suite,
            rows,
            lambda n, m: spread(gaps(rows, n, m), 0, 100),
            "Gap closed to training on clean masks, %",
        ),
        *overview(
            suite,
            rows,
            lambda n, m: spread(of(n, m, lambda r: mean(r["label_dice"]))),
            "Dice of the final labels",
        ),
        *details(suite, rows),
    ]
    path.with_suffix(".md").write_text("\n".join(lines))
    print("\n".join(lines[: 14 + len(suite["noise"]) + len(suite["run"])]))


if __name__ == "__main__":
    main()
