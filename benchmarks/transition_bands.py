"""Flip rates by distance from the boundary, estimated from the given labels alone, against the true ones.

    python benchmarks/transition_bands.py [--out runs] [--seeds 0 1 2] [--cases 108]

Reads the finished plain runs of the suite jsrt (`run_suite.py jsrt --only plain`), predicts their training
cases once, and writes results/transition_bands.md. Some two minutes a seed and kind of noise on one core.
"""

from __future__ import annotations

import argparse
import itertools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmend.io import open_dataset, open_labels, write_text
from labelmend.methods.base import tasks
from labelmend.methods.forward_t import anchors_of
from labelmend.model.predictor import load_predictor
from labelmend.transition.bands import (
    MOST_ROWS,
    band_counts,
    banded_transition,
    consensus_rows,
    middle_band,
)
from labelmend.transition.counts import transition_from_anchors
from labelmend.transition.hoc import consensus_counts, solve_consensus
from labelmend.transition.neighbours import nearest
from labelmend.transition.seen_in_bands import bands_of_probs
from labelmend.types import FloatArray, Predicted
from run_suite import Piece, data_root, prepare

HERE = Path(__file__).parent
EDGES = (-12.0, -4.0, -2.0, 0.0, 2.0, 4.0, 12.0)
AROUND_ZERO = tuple(edge for edge in EDGES if edge)
N_BANDS, MIDDLE = len(EDGES) + 1, middle_band(AROUND_ZERO)
WIDER = np.digitize([-13, -5, -3, -1, 1, 3, 5, 13], AROUND_ZERO)
"""The band around zero and the others, for each band of EDGES."""

A_BAND, ALL_BANDS = 60, 100
"""Pixels of a case and class: from each band, and from the whole picture."""

ESTIMATES = {
    "none": "labels are right",
    "anchors": "one matrix: what the surest half of a predicted class is given as",
    "HOC": "one matrix: HOC on pixels of all bands, neighbours from other cases",
    "true one": "one matrix: the true flip rates over all pixels; no estimate",
    "HOC in bands": "HOC on the pixels of each band (around zero there is one) by themselves",
    "bands": "`banded_transition`, an edge at zero: rows as counted on both sides of the boundary",
    "bands, zero apart": "`banded_transition`, one band around zero: HOC if believed, else nearest rows",
}


@dataclass
class Pixels:
    """What is known of one class: counts over all pixels, and some pixels with features."""

    true: FloatArray
    counts: FloatArray
    anchors: FloatArray
    rows: list[tuple[FloatArray, NDArray, NDArray, bool]]

    def drawn(self, band: int | None) -> tuple[FloatArray, NDArray, NDArray]:
        """Features, given classes and cases of the pixels of a band; None: those of the whole picture."""
        parts = [
            (f[here], g[here], np.full(here.sum(), case))
            for case, (f, g, b, whole) in enumerate(self.rows)
            if whole == (band is None)
            for here in [np.ones(len(b), bool) if band is None else b == band]
        ]
        features, given, groups = (np.concatenate(part) for part in zip(*parts))
        return features, given, groups // 2


def gather(run: Path, data: Path, noise: str, cases: Sequence[str]) -> dict[str, Pixels]:
    """One pass over the cases with the network of a run."""
    predictor, rng = load_predictor(run), np.random.default_rng(0)
    dataset, clean = open_dataset(data, noise, cases=cases), open_labels(data / "clean")
    found: dict[str, Pixels] = {}
    for case in dataset.cases:
        image, given = dataset.read_image(case), dataset.read_labels(case)
        predicted = Predicted(case, given, given, predictor.probs(image))
        anchors, truths = anchors_of(predicted), clean.read(case).masks().astype(int)
        for k, (labels, probs) in enumerate(tasks(given, predicted.probs)):
            bands = bands_of_probs(probs, EDGES, given.grid.spacing_mm)
            shares = {"n_classes": 2, "n_bands": N_BANDS}
            pair = [
                band_counts(who.ravel(), labels.ravel(), bands.ravel(), **shares)
                for who in (truths[k], probs.argmax(axis=0))
            ]
            here = found.setdefault(given.classes[k], Pixels(*np.zeros((2, 1)), np.zeros(1), []))  # type: ignore[arg-type]
            here.true, here.counts, here.anchors = (
                here.true + pair[0],
                here.counts + pair[1],
                here.anchors + anchors[k],
            )
            in_bands = [np.flatnonzero(WIDER[bands.ravel()] == band) for band in range(N_BANDS - 1)]
            chosen = np.concatenate([rng.permutation(at)[:A_BAND] for at in in_bands])
            whole = rng.choice(bands.size, ALL_BANDS, replace=False)
            features = predictor.features(image, np.concatenate([chosen, whole]))
            for at, part, all_bands in (
                (chosen, features[: len(chosen)], False),
                (whole, features[len(chosen) :], True),
            ):
                here.rows.append((part, labels.ravel()[at], WIDER[bands.ravel()[at]], all_bands))
    return found


def hoc(
    features: FloatArray, given: NDArray, groups: NDArray, rng: np.random.Generator, base: FloatArray
) -> FloatArray:
    """Plain HOC with neighbours from other cases, believed whatever it says; `base` with too few pixels."""
    if len(given) < 10 or len(np.unique(groups)) < 3:
        return base
    at = rng.permutation(len(given))[:MOST_ROWS]
    features, given, groups = features[at], given[at], groups[at]
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    neighbours = nearest(standard, 2, rng=rng, metric="cosine", groups=groups)
    return solve_consensus(*consensus_counts(given, neighbours, 2), rng=rng).matrix


def rows_of(counts: FloatArray) -> FloatArray:
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)


def estimates(pixels: Pixels) -> tuple[dict[str, FloatArray], bool]:
    """`(n_bands 2 2)` by each estimate, and whether HOC was believed in the middle."""
    rng = np.random.default_rng(0)
    anchors = transition_from_anchors(pixels.anchors[None], 0.5)[0]
    pooled = hoc(*pixels.drawn(None), rng, anchors)
    consensus = consensus_rows(*pixels.drawn(MIDDLE), 2, rng=rng)
    one = {
        "none": np.eye(2),
        "anchors": anchors,
        "HOC": pooled,
        "true one": rows_of(pixels.true.sum(axis=0)),
    }
    found = {name: np.repeat(matrix[None], N_BANDS, axis=0) for name, matrix in one.items()}
    found["HOC in bands"] = np.stack([hoc(*pixels.drawn(b), rng, pooled) for b in range(N_BANDS - 1)])[WIDER]
    found["bands"] = banded_transition(pixels.counts, anchors)
    wider = np.stack([pixels.counts[band == WIDER].sum(axis=0) for band in range(N_BANDS - 1)])
    apart = banded_transition(wider, anchors, middle=MIDDLE, consensus=consensus)
    found["bands, zero apart"] = apart[WIDER]
    return found, bool(np.isfinite(consensus).any())


def errors(found: FloatArray, pixels: Pixels) -> list[float]:
    """Mean over pixels of how far the flip rate of their band and true class is off, in percent.

    Over all, over those 2 to 4 px from the predicted boundary, and over those less than 2 px from it.
    """
    mass, off = pixels.true.sum(axis=-1), abs(found - rows_of(pixels.true))[..., 0]
    parts = (range(N_BANDS), (2, 5), (3, 4))
    return [100 * float((mass[list(p)] * off[list(p)]).sum() / mass[list(p)].sum()) for p in parts]


def lines(results: dict[str, dict[str, list[tuple[FloatArray, Pixels]]]]) -> Iterator[str]:
    """Rows of the tables of errors: estimates by kinds of noise and by part."""
    kinds = list(results)
    for part, title in enumerate(
        ("all pixels", "2 to 4 px from the predicted boundary", "less than 2 px from it")
    ):
        yield f"\n### {title}\n\n| estimate | {' | '.join(kinds)} | mean |\n|---|{'---|' * (len(kinds) + 1)}"
        for name in ESTIMATES:
            cells = [np.mean([errors(f, p)[part] for f, p in results[kind][name]]) for kind in kinds]
            yield f"| {name} | {' | '.join(f'{cell:.2f}' for cell in [*cells, np.mean(cells)])} |"


def rate_table(found: dict[str, FloatArray], pixels: Pixels) -> Iterator[str]:
    """True and estimated flip rates of a class, band by band."""
    names = [
        f"to {EDGES[0]:g}",
        *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(EDGES)),
        f"{EDGES[-1]:g} on",
    ]
    true, mass = rows_of(pixels.true), pixels.true.sum(axis=-1)
    yield f"| px from the boundary | {' | '.join(names)} |\n|---|{'---|' * N_BANDS}"
    for cls, word in ((1, "of the class, left out"), (0, "of the rest, added")):
        for source, matrices in (
            ("true", true),
            *((n, m) for n, m in found.items() if n.startswith("bands")),
        ):
            rates = matrices[:, cls, 1 - cls]
            cells = [f"{100 * r:.1f}" if n else "–" for r, n in zip(rates, mass[:, cls])]
            yield f"| {word}, {source} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="jsrt")
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cases", type=int, help="only the first so many training cases")
    parser.add_argument("--noise", nargs="+", help="only these kinds")
    parser.add_argument("--result", type=Path, default=HERE / "results" / "transition_bands.md")
    options = parser.parse_args()
    suite = tomllib.loads((HERE / "suites" / f"{options.suite}.toml").read_text())
    out = options.out / options.suite
    prepare(suite, data_root(suite["data"]), out)
    cases = (out / "train.txt").read_text().split()[: options.cases]
    results: dict[str, dict[str, list[tuple[FloatArray, Pixels]]]] = {}
    examples, believed = [], []
    for noise in options.noise or suite["noise"]:
        by_name = results.setdefault(noise, {name: [] for name in ESTIMATES})
        for seed in options.seeds:
            run = out / Piece(noise, {"name": "plain"}, seed).folder
            for cls, pixels in gather(run, out / "data", noise, cases).items():
                found, trusted = estimates(pixels)
                believed.append(trusted)
                for name, matrices in found.items():
                    by_name[name].append((matrices, pixels))
                if seed == options.seeds[0]:
                    examples.append(f"\n### {noise}, {cls}\n\n" + "\n".join(rate_table(found, pixels)))
            print(
                noise,
                seed,
                {n: round(float(np.mean([errors(*r)[0] for r in v])), 2) for n, v in by_name.items()},
            )
    seeds = ", ".join(map(str, options.seeds))
    text = "\n".join(
        [
            "# Flip rates by distance from the boundary",
            f"\nSuite {options.suite} (128 px; pictures of 256 px), {len(cases)} training cases, seeds "
            f"{seeds}: the network of the finished plain run predicts them once. Distances from the "
            f"predicted boundary, edges {', '.join(f'{e:g}' for e in EDGES)} px. True rates: "
            "clean against given labels there.",
            f"\nCommand: `python benchmarks/transition_bands.py --seeds {seeds.replace(',', '')}`.",
            "\nHOC was believed in the band around zero for "
            f"{sum(believed)} of {len(believed)} (kinds of noise, classes and seeds).\n",
            *(f"- {name}: {what}" for name, what in ESTIMATES.items()),
            "\n## How far flip rates are off, percentage points, mean over pixels, classes and seeds",
            *lines(results),
            f"\n## Flip rates in percent, seed {options.seeds[0]}",
            *examples,
        ]
    )
    write_text(options.result, text + "\n")


if __name__ == "__main__":
    main()
