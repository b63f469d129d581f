"""Real annotation errors: how well each rule ranks the masks of nuclei that volunteers corrected later.

    python benchmarks/real_errors.py OUT [--minutes 18]

Data: dsb2018 below $LABELMEND_DATA (stage 1 of the 2018 Data Science Bowl, BBBC038, with the published
corrections). `labelmend crossfit` predicts every image out of sample with its default settings, within the
minutes; the same command continues after an interruption. Every rule sees the same labels and probabilities,
ours the images too. A wrong mask is a matter of definition: five are counted, each with the images that were
withdrawn. AUPRC with bootstrap intervals over images (2,000 draws). Writes results/real_errors.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.metrics import average_precision_score

from labelmend import __version__
from labelmend.io import read_label_array
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.auditing.audit import audit
from labelmend.workflows.crossfitting.crossfit import crossfit

RESULTS = Path(__file__).parent / "results"
N_DRAWS, LEAST_PX, WORST_SHARE, TEMPERATURE = 2000, 20, 0.01, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=18.0)
    arguments = parser.parse_args()
    root = Path(os.environ.get("LABELMEND_DATA", "../shared/data")) / "dsb2018"
    fitted = crossfit(
        root / "original", root / "images", out=arguments.out / "crossfit", minutes=arguments.minutes
    )
    found = audit(
        root / "original", fitted.probabilities, root / "images", out=arguments.out / "audit", page=False,
        overwrite=True,
    )  # fmt: skip
    ours = {row["case"]: row["score"] for row in found.cases}
    cases = sorted(ours)
    labels = {case: read_mask(root / "original" / "nucleus", case) for case in cases}
    scores = {
        name: [] for name in ("softmin, as cleanlab", "cross-entropy", "1 - Dice", "worst 1 % of pixels")
    }
    for case in cases:
        probs = np.load(fitted.probabilities / f"{case}.npz")["probs"][0].astype(np.float64)
        for name, value in rules(labels[case], probs).items():
            scores[name].append(value)
    scores = {"labelmend audit": [ours[case] for case in cases], **scores}
    scores["rank mean of audit and worst 1 %"] = rank(scores["labelmend audit"]) + rank(
        scores["worst 1 % of pixels"]
    )
    wrong = definitions(root, cases, labels)
    rows = table({name: np.array(values) for name, values in scores.items()}, wrong)
    facts = {"version": __version__, "minutes": arguments.minutes, "notes": fitted.sentences(), "rows": rows}
    (RESULTS / "real_errors.json").write_text(json.dumps(facts, indent=1) + "\n")
    (RESULTS / "real_errors.md").write_text(page(facts, wrong))
    print(page(facts, wrong))


def read_mask(folder: Path, case: str) -> BoolArray:
    return read_label_array(folder / f"{case}.png")[0] > 0


def rules(given: BoolArray, probs: FloatArray) -> dict[str, float]:
    """Scores of an image by rules without training, from the probability of the class; higher is worse."""
    right = np.where(given, probs, 1 - probs).clip(1e-6, 1)
    weights = np.exp((1 - right) / TEMPERATURE)
    loss = -np.log(right)
    worst = np.sort(loss, axis=None)[-max(1, int(WORST_SHARE * loss.size)) :]
    both = 2 * (given & (probs > 0.5)).sum()
    total = given.sum() + (probs > 0.5).sum()
    return {
        "softmin, as cleanlab": 1 - float((weights * right).sum() / weights.sum()),
        "cross-entropy": float(loss.mean()),
        "1 - Dice": 1 - float(both / total) if total else 0.0,
        "worst 1 % of pixels": float(worst.mean()),
    }


def rank(values: Sequence[float]) -> FloatArray:
    return np.argsort(np.argsort(values)) / len(values)


def definitions(root: Path, cases: Sequence[str], labels: Mapping[str, BoolArray]) -> dict[str, BoolArray]:
    """Per definition which images are wrong; images that were withdrawn always are."""
    found: dict[str, list[bool]] = {}
    for case in cases:
        path = root / "fixed" / "nucleus" / f"{case}.png"
        gone = not path.exists()
        given = labels[case]
        fixed = given if gone else read_mask(path.parent, case)
        changed = given != fixed
        objects = [given & unmatched(given, fixed), fixed & unmatched(fixed, given)]
        total = given.sum() + fixed.sum()
        thick = ndimage.binary_opening(changed, np.ones((2, 2)))
        for name, is_wrong in {
            "thick object": any(
                size >= LEAST_PX for side in objects for size in sizes(side, thick_only=True)
            ),
            "thick change": thick.sum() >= LEAST_PX,
            "Dice < .999": bool(total) and 2 * (given & fixed).sum() / total < 0.999,
            "object of 20 px": any(size >= LEAST_PX for side in objects for size in sizes(side)),
            "any pixel": bool(changed.any()),
        }.items():
            found.setdefault(name, []).append(bool(is_wrong) or gone)
    return {name: np.array(values) for name, values in found.items()}


def unmatched(mask: BoolArray, other: BoolArray) -> BoolArray:
    """Components of a mask that do not touch the other mask."""
    numbers, n = ndimage.label(mask, np.ones((3, 3)))
    met = np.bincount(numbers[other & mask], minlength=n + 1) > 0
    return (numbers > 0) & ~met[numbers]


def sizes(mask: BoolArray, *, thick_only: bool = False) -> list[int]:
    """Pixels of each component; with `thick_only` of those that hold a square of 2 x 2."""
    numbers, n = ndimage.label(mask, np.ones((3, 3)))
    thick = ndimage.binary_opening(mask, np.ones((2, 2)))
    return [int((numbers == k).sum()) for k in range(1, n + 1) if not thick_only or thick[numbers == k].any()]


def table(scores: Mapping[str, FloatArray], wrong: Mapping[str, BoolArray]) -> list[dict]:
    """AUPRC of every rule under every definition, with the 95 % interval of 2,000 bootstrap draws."""
    rng = np.random.default_rng(0)
    n = len(next(iter(scores.values())))
    draws = [rng.integers(0, n, n) for _ in range(N_DRAWS)]
    rows = []
    for name, values in scores.items():
        for kind, positives in wrong.items():
            drawn = [average_precision_score(positives[d], values[d]) for d in draws if positives[d].any()]
            low, high = np.quantile(drawn, (0.025, 0.975))
            value = average_precision_score(positives, values)
            rows.append(
                {
                    "rule": name,
                    "definition": kind,
                    "n": int(positives.sum()),
                    "auprc": round(float(value), 4),
                    "low": round(float(low), 4),
                    "high": round(float(high), 4),
                }
            )
    return rows


def page(facts: Mapping, wrong: Mapping[str, BoolArray]) -> str:
    kinds = list(wrong)
    names = list(dict.fromkeys(row["rule"] for row in facts["rows"]))
    cell = {(row["rule"], row["definition"]): row for row in facts["rows"]}
    lines = [
        "# Real errors: nuclei whose masks were corrected later",
        "",
        f"{len(wrong[kinds[0]])} images of dsb2018, predicted by `labelmend crossfit --minutes "
        f"{facts['minutes']:g}`. AUPRC of wrong images under five definitions (number of wrong images in "
        "brackets), 95 % bootstrap interval.",
        "",
        "| rule | " + " | ".join(f"{kind} ({int(wrong[kind].sum())})" for kind in kinds) + " |",
        "|---|" + "---|" * len(kinds),
        *(
            f"| {name} | "
            + " | ".join("{auprc:.2f} ({low:.2f} to {high:.2f})".format(**cell[name, kind]) for kind in kinds)
            + " |"
            for name in names
        ),
        "",
        *(f"- {note}" for note in facts["notes"]),
        "- Softmin as in cleanlab.segmentation, temperature 0.1; cross-entropy and the worst 1 % of pixels "
        "are means of the log loss.",
        "- Nothing was chosen by this table. Positives are few: intervals overlap almost everywhere.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
