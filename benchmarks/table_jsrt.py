"""From results/jsrt_spatial.jsonl to the .md and .png beside it: `python benchmarks/table_jsrt.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "jsrt_spatial.jsonl"
CLASSES = ("lung", "heart", "clavicle")
RIVALS = {
    "spatial correction": "Spatial Correction",
    "spatial correction + clean": "Spatial Correction + clean cases in training",
    "plain, prediction corrected": "plain, only its predictions corrected",
    "plain, fine-tuned on clean": "plain, fine-tuned on the clean cases",
    "clean cases alone": "the clean cases alone",
}

Rows = list[dict]


def main() -> None:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    text = (
        "\n\n".join([HEAD, main_table(rows), few_table(rows), label_table(rows), per_seed(rows), TAIL]) + "\n"
    )
    (HERE / "results" / "jsrt_spatial.md").write_text(text)
    figure(rows, HERE / "results" / "jsrt_spatial.png")
    evidence(main_table(rows).partition("\n\n")[2])
    print(text)


def evidence(table: str) -> None:
    """Put the table between its marks in docs/evidence.md, and the figure next to it."""
    path = HERE.parent / "docs" / "evidence.md"
    shutil.copy(HERE / "results" / "jsrt_spatial.png", path.parent / "images")
    before, _, rest = path.read_text().partition("<!-- table:begin -->")
    after = rest.partition("<!-- table:end -->")[2]
    path.write_text(f"{before}<!-- table:begin -->\n\n{table}\n\n<!-- table:end -->{after}")


def pick(rows: Rows, name: str, n_clean: int | None = None) -> Rows:
    found = [r for r in rows if r["name"] == name and n_clean in (None, r["n_clean"])]
    return sorted(found, key=lambda r: r["seed"])


def mean_dice(row: dict, key: str = "test_dice") -> float:
    return float(np.mean([row[key][c] for c in CLASSES]))


def shown(values: list[float], digits: int = 3) -> str:
    if not values:
        return "-"
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def gaps(rows: Rows, runs: Rows, low: str = "plain on given") -> list[float]:
    """Share of the gap between training on given and on clean masks that is closed, per seed, in percent."""
    base = {r["seed"]: mean_dice(r) for r in pick(rows, low)}
    top = {r["seed"]: mean_dice(r) for r in pick(rows, "plain on clean")}
    return [
        100 * (mean_dice(r) - base[r["seed"]]) / (top[r["seed"]] - base[r["seed"]])
        for r in runs
        if r["seed"] in base
    ]


def table(head: list[str], body: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)])


def main_table(rows: Rows) -> str:
    wanted: list[tuple[str, str, int, str]] = [
        ("(a) plain on given", "plain on given", 0, "plain on given"),
        ("(b) plain on clean", "plain on clean", 0, "plain on given"),
        ("(c) Spatial Correction, 20 clean cases", "spatial correction", 20, "plain on given"),
        ("(c) Spatial Correction, 1 clean case", "spatial correction", 1, "plain on given"),
        ("published logit form, repaired, 20", "logit form, repaired", 20, "plain on given"),
        ("official algorithm as released, 20", "official algorithm", 20, "plain on given"),
        ("hardest noise: plain on given", "hard: plain on given", 0, "hard: plain on given"),
        ("hardest noise: Spatial Correction, 20", "hard: spatial correction", 20, "hard: plain on given"),
    ]
    body = []
    for title, name, m, low in wanted:
        runs = pick(rows, name, m)
        per_class = [shown([r["test_dice"][c] for r in runs]) for c in CLASSES]
        gap = "" if name in ("plain on clean", low) else shown(gaps(rows, runs, low), 1) + " %"
        labels = shown([mean_dice(r, "label_dice") for r in runs if "label_dice" in r])
        body.append([title, *per_class, shown([mean_dice(r) for r in runs]), gap, labels, str(len(runs))])
    head = ["", *CLASSES, "mean test Dice", "gap closed", "Dice of training masks", "seeds"]
    return "## Test Dice to the clean masks\n\n" + table(head, body)


def few_table(rows: Rows) -> str:
    counts = sorted({r["n_clean"] for r in rows if r["n_clean"]})
    cell: Callable[[str, int], str] = lambda name, m: shown([mean_dice(r) for r in pick(rows, name, m)])  # noqa: E731
    body = [[title, *(cell(name, m) for m in counts)] for name, title in RIVALS.items()]
    head = ["mean test Dice with", *(f"{m} clean case{'s' * (m > 1)}" for m in counts)]
    return "## Against the honest rivals that use the same clean cases\n\n" + table(head, body)


def label_table(rows: Rows) -> str:
    body = []
    for m in sorted({r["n_clean"] for r in pick(rows, "spatial correction")}):
        runs = pick(rows, "spatial correction", m)
        cells = [shown([r["label_dice"][c] for r in runs]) for c in CLASSES]
        labels, closed = [mean_dice(r, "label_dice") for r in runs], gaps(rows, runs)
        body.append([str(m), *cells, shown(labels), shown(closed, 1) + " %"])
    head = ["clean cases", *CLASSES, "mean Dice of corrected masks", "test gap closed"]
    title = "## Corrected training masks against the clean ones, by number of clean cases"
    return f"{title}\n\n{table(head, body)}"


def per_seed(rows: Rows) -> str:
    names = sorted({(r["name"], r["n_clean"]) for r in rows})
    body = [[name, str(m), *(f"{mean_dice(r):.4f}" for r in pick(rows, name, m))] for name, m in names]
    width = max(len(row) for row in body)
    body = [row + [""] * (width - len(row)) for row in body]
    return "## Every run: mean test Dice\n\n" + table(
        ["", "clean cases", *(f"seed {i}" for i in range(width - 2))], body
    )


def figure(rows: Rows, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    drawn, axis = plt.subplots(figsize=(7.2, 4.2), dpi=160)
    for (name, title), colour in zip(
        RIVALS.items(), ("#0072b2", "#56b4e9", "#009e73", "#d55e00", "#999999"), strict=True
    ):
        runs = pick(rows, name)
        counts = sorted({r["n_clean"] for r in runs})
        if not counts:
            continue
        values = [[mean_dice(r) for r in runs if r["n_clean"] == m] for m in counts]
        axis.plot(range(len(counts)), [np.mean(v) for v in values], "-o", color=colour, label=title, lw=2)
        for x, v in enumerate(values):
            axis.plot([x] * len(v), v, ".", color=colour, alpha=0.6, ms=5)
    for name, title in (
        ("plain on clean", "trained on 108 clean masks"),
        ("plain on given", "trained on the 108 given masks"),
    ):
        level = np.mean([mean_dice(r) for r in pick(rows, name)])
        axis.axhline(level, color="black", lw=1, ls="--")
        axis.text(
            0.99,
            level + 0.003,
            title,
            va="bottom",
            ha="right",
            fontsize=9,
            transform=axis.get_yaxis_transform(),
        )
    axis.set_xticks(range(4), ["1", "2", "5", "20"])
    axis.set_xlabel("clean cases")
    axis.set_ylabel("mean test Dice")
    axis.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 0.02))
    drawn.tight_layout()
    drawn.savefig(path)


HEAD = """# Spatial Correction on real radiographs (JSRT, published J1 noise)

Made by `make bench` (`benchmarks/run_jsrt.py`, then `benchmarks/table_jsrt.py`) on two cores of a shared
virtual machine, no GPU. Every run: MONAI UNet (16-32-64-128-256, batch norm, 1.6 M parameters), AdamW,
50 epochs of 108 cases at 128 px, masks written and scored on the native 256 px grid. Test: the last 40 of the
148 cases, never trained on. Numbers are means ± standard deviation over seeds. "Gap closed" is the share of
the distance between (a) and (b), seed by seed."""

TAIL = """Settings: `benchmarks/suites/jsrt_spatial.toml`. How the recipe was chosen: network, rate and
epochs by training on cases 1-88 and scoring 89-108; averaging over shifts and upsampling by the Dice of
corrected labels of training cases, seeds 0 and 1; the choice of the level set and the trimmed mean
(`--method.level`, `--method.trim`) after a first run on the hardest noise had closed about 80 %, by the
Dice of corrected masks of trusted cases and of labels of training cases, seed 0. No setting was chosen by
test Dice. One rule was changed after a look at results: with two clean cases the t interval left a heart
bias of ten pixels uncorrected (seed 1), and a class is now corrected when its bias lies two standard
errors from zero; this changes no decision with 1, 5 or 20 clean cases, and the runs with two were made
again. Spatial Correction trains two networks one after the other, the plain runs one; the first of the
two is run (a) itself, and the second learns from smoother labels than an expert draws, which is why it
can come as close to (b) as it does."""


if __name__ == "__main__":
    main()
