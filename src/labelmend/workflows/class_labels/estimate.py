"""Estimate how often the class labels of a table are wrong, and which rows to check first."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelmend import __version__
from labelmend.errors import ConfigError
from labelmend.html.result import Result
from labelmend.io import write_csv, write_json
from labelmend.metrics.intervals import percentiles
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.transition.anchor import prior_of
from labelmend.transition.matrix import inverse_matrix
from labelmend.transition.neighbours import Backend
from labelmend.types import FloatArray
from labelmend.workflows.class_labels.fmi import Divergence
from labelmend.workflows.class_labels.page import write_transition_page
from labelmend.workflows.class_labels.read_arrays import read_arrays
from labelmend.workflows.class_labels.read_table import read_table
from labelmend.workflows.class_labels.table import Table
from labelmend.workflows.class_labels.text import ASSUMED, ASSUMED_BY_BOTH, done_to, estimate_doubts

RESULT, MATRIX, SUSPECTS, PAGE = "transition.json", "transition.csv", "suspects.csv", "report.html"
OWN = (RESULT, MATRIX, SUSPECTS, PAGE)

Model = Literal["anchors", "hoc"]
METHODS: tuple[Model, ...] = ("anchors", "hoc")

COUNTED = "Rows are numbered from 0, without the header."


@dataclass(frozen=True)
class Share:
    """A fraction with its bootstrap interval; the ends are NaN without bootstrap."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Feature:
    """The weight of a feature in comparing rows (largest 1), and its information about the labels."""

    name: str
    weight: float
    score: float


@dataclass(frozen=True)
class Suspect:
    """A row for which another class is more likely than the given label.

    Args:
        row: row of the file, from 0, without the header.
        given: its label.
        likeliest: the most likely class.
        given_right: probability that the given label is correct.
    """

    row: int
    given: str
    likeliest: str
    given_right: float


@dataclass(frozen=True, eq=False, repr=False)
class TransitionEstimate(Result):
    """The result of `estimate_transition`.

    Args:
        source: the input files, and the column or file of labels and of groups.
        classes: the `k` classes.
        n_given: `(k)` number of rows with each label.
        matrix: `(k k)` row i holds the probabilities of the given labels for rows of class i.
        low: `(k k)` lower ends of intervals; None without bootstrap.
        high: `(k k)` upper ends.
        prior: `(k)` true class frequencies.
        rates: `k` fractions of wrong labels among rows of each true class.
        rate: overall fraction of wrong labels.
        given_right: `(k)` fraction of correct labels among those of each class.
        features: all features used, in file order.
        suspects: suspicious labels, least likely to be correct first.
        row_numbers: `(n)` row of the file, from 0, without the header.
        right: `(n)` probability that the label of each row is correct.
        clusterability: statistics on whether neighbours share their true class.
        settings: the settings.
        assumptions: sentences on the assumptions.
        warnings: sentences on why these numbers may be wrong.
        notes: sentences on how the data were processed.
    """

    source: Mapping[str, Any]
    classes: tuple[str, ...]
    n_given: tuple[int, ...]
    matrix: FloatArray
    low: FloatArray | None
    high: FloatArray | None
    prior: FloatArray
    rates: tuple[Share, ...]
    rate: Share
    given_right: FloatArray
    features: tuple[Feature, ...]
    suspects: tuple[Suspect, ...]
    row_numbers: NDArray[np.integer]
    right: FloatArray
    clusterability: Mapping[str, Any]
    settings: Mapping[str, Any]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def headline(self) -> str:
        """How many labels are wrong."""
        rate = self.rate
        return f"{rate.value:.1%} of {self.n_rows} labels are wrong ({rate.low:.1%} to {rate.high:.1%})"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The suspects, least likely to be right first."""
        return [dataclasses.asdict(suspect) for suspect in self.suspects]

    def remarks(self) -> Sequence[str]:
        """Why these numbers may be wrong."""
        return self.warnings

    @property
    def level(self) -> float:
        """Of the intervals."""
        return float(self.settings["level"])

    @property
    def n_rows(self) -> int:
        return len(self.right)

    def heaviest(self, count: int) -> tuple[Feature, ...]:
        """The features with the largest weights, in descending order."""
        return tuple(sorted(self.features, key=lambda feature: -feature.weight)[:count])

    def as_dict(self) -> dict[str, Any]:
        """Everything but the rows, as JSON types."""
        left_out = ("suspects", "row_numbers", "right", "rates", "rate")
        fields = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        return {
            "kind": "transition",
            "version": __version__,
            "level": self.level,
            "rows_counted": COUNTED,
            "n_rows": self.n_rows,
            "n_suspects": len(self.suspects),
            "noise_rate": dataclasses.asdict(self.rate),
            "noise_rates": [dataclasses.asdict(rate) for rate in self.rates],
            **{name: getattr(self, name) for name in fields if name != "features"},
            "features": [dataclasses.asdict(feature) for feature in self.features],
        }

    def write(self, out: str | Path) -> None:
        """Write transition.json, transition.csv and suspects.csv atomically.

        Args:
            out: a folder that is new, empty, or holds an earlier estimate.
        """
        with whole_folder(out, OWN) as folder:
            self.fill(folder)

    def fill(self, out: Path) -> None:
        """Write the files into a folder."""
        rows = zip(self.classes, self.matrix.tolist(), strict=True)
        write_csv(out / MATRIX, ("true", *self.classes), ([name, *row] for name, row in rows))
        columns = [f.name for f in dataclasses.fields(Suspect)]
        write_csv(out / SUSPECTS, columns, (dataclasses.astuple(suspect) for suspect in self.suspects))
        write_json(out / RESULT, self.as_dict())


def estimate_transition(
    table: str | Path | None = None,
    *,
    target: str | None = None,
    features: str | Path | None = None,
    labels: str | Path | None = None,
    drop: Sequence[str] = (),
    groups: str | Path | None = None,
    out: str | Path | None = None,
    method: Model = "anchors",
    f: Divergence = "tv",
    n_neighbors: int | None = None,
    backend: Backend = "exact",
    n_boot: int = 100,
    level: float = 0.95,
    seed: int = 0,
    page: bool = True,
) -> TransitionEstimate:
    """Estimate the label transition matrix, and which labels are wrong, without any trusted labels.

    Args:
        table: .csv, .tsv (both also .gz) or .parquet file.
        target: its label column.
        features: instead of a table, .npy `(n f)` or .npz with a SciPy sparse matrix.
        labels: their labels, .npy `(n)`.
        drop: columns to leave out.
        groups: column, or .npy `(n)` with `features`, of the source of each row: rows of one source are not
            compared with each other, a row is compared with at most one row of each other source, and the
            column is not a feature.
        out: folder for `transition.json`, `transition.csv` and `suspects.csv`, or None to write nothing.
        method: "anchors" if classes may overlap, or "hoc" if neighbours share their true class.
        f: divergence that weighs the features, see `labelmend.workflows.class_labels.fmi`.
        n_neighbors: neighbours of each row: 30 for "anchors", at most 49 for "hoc".
        backend: neighbour search: "exact", or for very many rows "pynndescent" or "faiss".
        n_boot: bootstrap replicates for intervals; 0: none.
        level: level of the intervals.
        seed: random seed.
        page: also write the page report.html.

    Raises:
        DataError: unusable data. ConfigError: an invalid setting. OutputError: `out` holds other files.
    """
    if method not in METHODS:
        raise ConfigError(f"no method {method!r}: choose from {', '.join(METHODS)}")
    if n_boot < 0 or n_boot == 1:
        raise ConfigError(f"n_boot must be 0 (no intervals) or at least 2, got {n_boot}")
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}")
    sources = _sources(table, target, features, labels, drop)
    files = [*sources, *([Path(groups)] if groups is not None and table is None else [])]
    check_output(out, OWN, files=files)
    with whole_folder(out, OWN) if out is not None else nullcontext() as folder:
        if table is not None:
            data = read_table(table, str(target), drop=drop, groups=None if groups is None else str(groups))
        else:
            data = read_arrays(sources[0], sources[1], groups)
        settings = {
            "method": method, "f": f, "n_neighbors": n_neighbors, "backend": backend, "n_boot": n_boot,
            "level": level, "seed": seed,
        }  # fmt: skip
        source = {
            "files": [str(path.resolve()) for path in sources],
            "target": target,
            "groups": None if groups is None else str(groups),
        }
        found = _estimated(data, source, settings)
        if folder is not None:
            found.fill(folder)
            if page:
                write_transition_page(folder)
    return found


def _sources(
    table: str | Path | None,
    target: str | None,
    features: str | Path | None,
    labels: str | Path | None,
    drop: Sequence[str],
) -> list[Path]:
    """The files to read, or a ConfigError."""
    if (table is None) == (features is None):
        raise ConfigError("give either a table with --target, or --features and --labels")
    if table is not None and (target is None or labels is not None):
        raise ConfigError("a table needs --target, the column of its labels, and no --labels")
    if table is None and (labels is None or target is not None or drop):
        raise ConfigError("--features need --labels, and neither --target nor --drop")
    return [Path(path) for path in (table, features, labels) if path is not None]


def _estimated(data: Table, source: Mapping[str, Any], settings: Mapping[str, Any]) -> TransitionEstimate:
    """Fit, and assemble the result."""
    model = _fitted(data, settings)
    order = np.argsort(model.given_probability_, kind="stable")
    likeliest = model.class_probability_.argmax(axis=1)
    suspects = tuple(
        Suspect(
            int(data.rows[i]),
            data.classes[data.labels[i]],
            data.classes[likeliest[i]],
            float(model.given_probability_[i]),
        )
        for i in order
        if likeliest[i] != data.labels[i]
    )
    matrix, n_given, level = model.transition_matrix_, np.bincount(data.labels), settings["level"]
    low, high = _intervals(model, level) or (None, None)
    scored = zip(data.feature_names, model.feature_weights_, model.feature_scores_, strict=True)
    return TransitionEstimate(
        source=source,
        classes=data.classes,
        n_given=tuple(n_given.tolist()),
        matrix=matrix,
        low=low,
        high=high,
        prior=model.prior_,
        rates=_rates(matrix, low, high),
        rate=_rate(model, n_given / n_given.sum(), level),
        given_right=np.diag(inverse_matrix(matrix, model.prior_)),
        features=tuple(Feature(name, float(weight), float(score)) for name, weight, score in scored),
        suspects=suspects,
        row_numbers=data.rows,
        right=model.given_probability_,
        clusterability=dataclasses.asdict(model.clusterability_),
        settings={**settings, "n_neighbors": model.n_neighbors},
        assumptions=(*ASSUMED[settings["method"]], *ASSUMED_BY_BOTH),
        warnings=tuple(estimate_doubts(data, model, settings["method"])),
        notes=(*data.notes, *done_to(data, source["groups"])),
    )


def _fitted(data: Table, settings: Mapping[str, Any]) -> Any:
    """The fitted estimator; `estimate_doubts` reports its warning about mixed neighbourhoods."""
    from labelmend.workflows.class_labels.estimators import WeightedAnchor, WeightedHOC

    chosen = {"anchors": WeightedAnchor, "hoc": WeightedHOC}[settings["method"]]
    names = ("f", "n_neighbors", "n_boot", "backend")
    values = {name: settings[name] for name in names if settings[name] is not None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "neighbours do not share their true class", UserWarning)
        model = chosen(**values, random_state=settings["seed"])
        return model.fit(data.features, data.labels, groups=data.groups)


def _intervals(model: Any, level: float) -> tuple[FloatArray, FloatArray] | None:
    """`(k k)` interval ends that include the estimate; None without bootstrap."""
    if not model.n_boot:
        return None
    low, high = percentiles(model.bootstrap_, level)
    return np.minimum(low, model.transition_matrix_), np.maximum(high, model.transition_matrix_)


def _rates(matrix: FloatArray, low: FloatArray | None, high: FloatArray | None) -> tuple[Share, ...]:
    """The fraction of wrong labels in each class: one minus the diagonal."""
    values = (1 - np.diag(matrix)).clip(0, 1).tolist()
    if low is None or high is None:
        return tuple(map(Share, values))
    ends = ((1 - np.diag(end)).clip(0, 1).tolist() for end in (high, low))
    return tuple(Share(*row) for row in zip(values, *ends, strict=True))


def _rate(model: Any, given: FloatArray, level: float) -> Share:
    """The overall fraction of wrong labels: for each replicate, with the class frequencies it implies."""
    value = float(model.noise_rate_)
    if not model.n_boot:
        return Share(value)
    drawn = np.array([prior_of(matrix, given) @ (1 - np.diag(matrix)) for matrix in model.bootstrap_])
    low, high = percentiles(drawn, level)
    return Share(value, min(float(low), value), max(float(high), value))
