"""The noise transition matrix of a text set: Debian packages, labelled by their section.

    python benchmarks/transition_text.py        on a Debian machine; needs nothing but its package lists

Four sections, at most 600 packages each: name, short description, dependencies. Words by TF-IDF,
truncated to 50 singular vectors, fitted without labels. Class-dependent noise, five seeds; error of T x 100
(mean row total variation).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import Normalizer

from transition_uci import errors_of

HERE = Path(__file__).parent
SECTIONS = ("games", "science", "mail", "fonts")
A_SECTION, SEEDS = 600, range(5)
NOISE = np.array(
    [[0.7, 0.2, 0.05, 0.05], [0.05, 0.8, 0.1, 0.05], [0.05, 0.05, 0.6, 0.3], [0.1, 0.05, 0.05, 0.8]]
)


def packages(rng: np.random.Generator) -> tuple[list[str], NDArray[np.integer]]:
    """At most `A_SECTION` packages of each section as texts, and their classes."""
    found: dict[str, list[str]] = {section: [] for section in SECTIONS}
    listing = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    for record in listing.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in record.split("\n") if ": " in line[:40])
        if fields.get("Section") in found:
            text = " ".join(fields.get(name, "") for name in ("Package", "Description", "Depends"))
            found[fields["Section"]].append(re.sub(r"[^a-zA-Z]+", " ", text))
    if not all(found.values()):
        raise SystemExit("no package descriptions are here: run this where apt-cache has lists")
    texts, classes = [], []
    for index, kept in enumerate(found.values()):
        chosen = rng.permutation(sorted(set(kept)))[:A_SECTION].tolist()
        texts += chosen
        classes += [index] * len(chosen)
    return texts, np.array(classes)


def main() -> None:
    texts, clean = packages(np.random.default_rng(0))
    words = TfidfVectorizer(min_df=3, stop_words="english", sublinear_tf=True).fit_transform(texts)
    features = Normalizer().fit_transform(TruncatedSVD(50, random_state=0).fit_transform(words))
    errors: dict[str, list[float]] = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        given = (rng.random(len(clean))[:, None] > NOISE[clean].cumsum(axis=1)).sum(axis=1)
        for name, error in errors_of(features, clean, given).items():
            errors.setdefault(name, []).append(error)
    counts = ", ".join(f"{name} {n}" for name, n in zip(SECTIONS, np.bincount(clean)))
    lines = [
        "# The noise transition matrix of a text set",
        "",
        "Made by `python benchmarks/transition_text.py`: Debian packages by section",
        f"({counts}), name, short description and dependencies, TF-IDF and 50 singular vectors;",
        f"{1 - np.diag(NOISE)[clean].mean():.0%} of the labels wrong, {len(SEEDS)} seeds.",
        "Error of T x 100, mean ± standard deviation.",
        "",
        "| | error |",
        "|---|---|",
        *(f"| {name} | {np.mean(v):.1f} ± {np.std(v, ddof=1):.1f} |" for name, v in errors.items()),
    ]
    (HERE / "results" / "transition_text.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
