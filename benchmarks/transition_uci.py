"""How well the noise transition matrix of a table is estimated without clean labels: ours, HOC, cleanlab.

    python benchmarks/transition_uci.py [--minutes 9] [--share 0/2]      until nothing is left; then
    python benchmarks/transition_uci.py --table

Five binary UCI tables, three settings of noise, ten seeds. Errors are mean row total variation x 100 against
the flip frequencies that were drawn. Estimators run with their defaults.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelmend.transition import best_symmetric, realised_matrix, transition_error
from labelmend.workflows.class_labels.estimators import (
    AnchorEstimator,
    HOCEstimator,
    WeightedAnchor,
    WeightedHOC,
)
from run_suite import data_root

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "transition_uci.jsonl"
TABLES = ("banana", "titanic", "splice", "twonorm", "flare-solar")
CATEGORICAL = ("splice", "flare-solar")
NOISES = ((0.4, 0.2), (0.1, 0.3), (0.3, 0.3))
SEEDS = range(10)
Matrix = NDArray[np.floating]


def read(name: str) -> tuple[Matrix, NDArray[np.integer]]:
    """Features and labels; codes of the categorical tables as one column a value."""
    values = np.genfromtxt(data_root("uci") / f"{name}.csv", delimiter=",", skip_header=1)
    features, labels = (values[:, :-1], values[:, -1]) if name == "banana" else (values[:, 1:], values[:, 0])
    if name in CATEGORICAL:
        features = np.hstack([(column[:, None] == np.unique(column)).astype(float) for column in features.T])
    return features, labels.astype(int)


def flipped(labels: NDArray, rates: tuple[float, float], rng: np.random.Generator) -> NDArray:
    """Exactly the rounded-down share of each class flipped, as in the released code."""
    noisy = labels.copy()
    for index, rate in enumerate(rates):
        rows = rng.permutation(np.flatnonzero(labels == index))
        noisy[rows[: int(len(rows) * rate)]] = 1 - index
    return noisy


def cleanlab_matrix(features: Matrix, labels: NDArray, classifier: object) -> Matrix:
    from cleanlab.count import compute_confident_joint, estimate_latent

    probs = cross_val_predict(classifier, features, labels, cv=5, method="predict_proba")
    joint = compute_confident_joint(labels, probs)
    _, given_true, _ = estimate_latent(joint, labels)  # columns are true classes
    return np.asarray(given_true).T


def estimators() -> dict[str, Callable[[Matrix, NDArray], Matrix]]:
    def ours(model: object) -> Callable[[Matrix, NDArray], Matrix]:
        return lambda x, y: model.fit(x, y).transition_matrix_  # type: ignore[attr-defined]

    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    found = {
        "cleanlab, logistic regression": lambda x, y: cleanlab_matrix(x, y, linear),
        "cleanlab, boosted trees": lambda x, y: cleanlab_matrix(x, y, HistGradientBoostingClassifier()),
        "HOC": ours(make_scaled(HOCEstimator(n_neighbors=2, n_null=0, random_state=0))),
    }
    for f in ("tv", "kl", "chi2", "js", "hellinger"):
        for basis in ("raw", "whiten"):
            found[f"HOC, {f}, {basis}"] = ours(
                WeightedHOC(f=f, basis=basis, n_neighbors=2, n_null=0, random_state=0)
            )
    found["anchors"] = ours(make_scaled(AnchorEstimator(random_state=0)))
    for f in ("tv", "kl"):
        found[f"anchors, {f}"] = ours(WeightedAnchor(f=f, random_state=0))
    return found


def make_scaled(model: object) -> object:
    """The estimator on standardised columns, seen as the last step of a pipeline."""

    class Scaled:
        def fit(self, x: Matrix, y: NDArray) -> object:
            return model.fit(StandardScaler().fit_transform(x), y)  # type: ignore[attr-defined]

    return Scaled()


def errors_of(features: Matrix, clean: NDArray, given: NDArray) -> dict[str, float]:
    """Error x 100 of every estimator, and of the matrices that need no data."""
    k = int(clean.max()) + 1
    truth = realised_matrix(clean, given, k)
    found = {
        "identity": np.eye(k),
        "uniform": np.full((k, k), 1 / k),
        "best symmetric": best_symmetric(truth),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found |= {name: estimate(features, given) for name, estimate in estimators().items()}
    return {name: 100 * transition_error(truth, matrix) for name, matrix in found.items()}


def pieces() -> Iterator[tuple[str, tuple[float, float], int]]:
    for seed in SEEDS:
        for rates in NOISES:
            for name in TABLES:
                yield name, rates, seed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th piece, for n processes side by side")
    parser.add_argument("--table", action="store_true", help="write the table")
    options = parser.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if options.table:
        return table(rows)
    done = {(row["table"], tuple(row["rates"]), row["seed"]) for row in rows}
    began, tables = time.monotonic(), {name: read(name) for name in TABLES}
    first, step = map(int, options.share.split("/"))
    left = [piece for piece in list(pieces())[first::step] if piece not in done]
    while left and time.monotonic() - began < 60 * options.minutes:
        name, rates, seed = left.pop(0)
        features, clean = tables[name]
        given = flipped(clean, rates, np.random.default_rng([seed, TABLES.index(name)]))
        errors = {key: round(error, 3) for key, error in errors_of(features, clean, given).items()}
        with RESULTS.open("a") as file:
            file.write(json.dumps({"table": name, "rates": rates, "seed": seed, "errors": errors}) + "\n")
    print(f"{len(left)} pieces left" if left else "nothing left: python benchmarks/transition_uci.py --table")
    return None


def table(rows: list[dict]) -> None:
    lines = [
        "# The noise transition matrix of five UCI tables",
        "",
        "Made by `python benchmarks/transition_uci.py`. Error of T x 100 (mean row total variation), mean ±",
        "standard deviation over seeds. `best symmetric` knows the truth and is no estimator.",
        "",
    ]
    for rates in NOISES:
        here = [row for row in rows if tuple(row["rates"]) == rates]
        if not here:
            continue
        n_seeds = len({row["seed"] for row in here})
        lines += [f"## Class 0 flipped {rates[0]:.0%}, class 1 {rates[1]:.0%}; {n_seeds} seeds", ""]
        lines += [f"| | {' | '.join(TABLES)} | mean |", f"|---|{'---|' * (len(TABLES) + 1)}"]
        for key in here[0]["errors"]:
            of = {t: np.array([r["errors"][key] for r in here if r["table"] == t]) for t in TABLES}
            cells = [f"{v.mean():.1f} ± {v.std(ddof=1):.1f}" if len(v) > 1 else "–" for v in of.values()]
            mean = np.mean([v.mean() for v in of.values() if len(v)])
            lines.append(f"| {key} | {' | '.join(cells)} | {mean:.2f} |")
        lines.append("")
    RESULTS.with_suffix(".md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
