"""Transition matrices as scikit-learn estimators: `fit` on wrong labels, and see `transition_matrix_`.

Features are taken as they are, so put a `StandardScaler` in front where columns have different units; the
weighted estimators and `FMIFeatureWeighter` standardise by themselves. Best are features that were not fitted
to these labels: those of a network trained on them agree with their errors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, LabelValueError, MissingExtraError
from labelmend.transition.anchor import anchor_matrix
from labelmend.transition.clusterability import Clusterability, clusterability
from labelmend.transition.fmi import Divergence, Scaling, f_mutual_information, feature_weights
from labelmend.transition.hoc import (
    IntArray,
    TransitionResult,
    bootstrap_weights,
    consensus_counts,
    solve_consensus,
)
from labelmend.transition.local import local_matrices
from labelmend.transition.matrix import noise_rates
from labelmend.transition.neighbours import Backend, Metric, nearest
from labelmend.transition.posterior import class_posterior, drawn_classes, local_prior, predictive_log
from labelmend.types import FloatArray

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data
except ImportError as error:  # pragma: no cover
    raise MissingExtraError(
        "estimators of transition matrices need scikit-learn, which is not installed: "
        "pip install 'labelmend[tabular]'"
    ) from error

Basis = Literal["raw", "whiten"]
RandomState = int | np.random.RandomState | None

COVERAGE = (0.025, 0.975)
"""Quantiles of the bootstrap that bound an interval."""


class FMIFeatureWeighter(TransformerMixin, BaseEstimator):
    """Columns standardised, and multiplied by how much each says about the wrong labels.

    Args:
        f: divergence, see `f_mutual_information`; "tv" keeps the order of columns that true labels would
            give.
        basis: "raw": the columns; "whiten": their principal components, each of variance one.
        scaling: see `feature_weights`.
        floor: least weight, in [0, 1].
        bins: see `f_mutual_information`.
        correction: "permutation" takes the score of chance off, see `f_mutual_information`.
        random_state: seed of the permutations.

    After `fit`, `scores_` `(f)` holds the f-mutual information of each column or component, and `weights_`
    `(f)` what it is multiplied by. A constant column becomes 0.

    Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with
        Lower-Quality Features", ICML 2022.
    Differs: components of the centred covariance instead of the uncentred second moments; new rows are
        standardised as the training rows were; weights are divided by the largest (the program's "minmax"
        drops the weakest column).
    """

    scores_: FloatArray
    weights_: FloatArray
    n_features_in_: int

    def __init__(
        self,
        *,
        f: Divergence = "tv",
        basis: Basis = "raw",
        scaling: Scaling = "max",
        floor: float = 0.0,
        bins: int | Literal["auto", "paper"] = "auto",
        correction: Literal["permutation"] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.f = f
        self.basis = basis
        self.scaling = scaling
        self.floor = floor
        self.bins = bins
        self.correction = correction
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> FMIFeatureWeighter:
        """Score the columns of X `(n f)` by the labels y `(n)`, some of them wrong."""
        if self.basis not in ("raw", "whiten"):
            raise ConfigError(f'basis must be "raw" or "whiten", got {self.basis!r}')
        checked, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.mean_ = checked.mean(axis=0)
        spread = checked.std(axis=0)
        varies = spread > 1e-12 * np.abs(checked).max(axis=0)
        self.scale_ = np.where(varies, spread, np.inf)
        self.components_ = None
        if self.basis == "whiten":
            self.components_ = _whitening(self._coordinates(checked))
        self.scores_ = f_mutual_information(
            self._coordinates(checked),
            y,
            f=self.f,
            bins=self.bins,
            correction=self.correction,
            rng=_generator(self.random_state),
        )
        self.weights_ = feature_weights(self.scores_, scaling=self.scaling, floor=self.floor)
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """`(n f)` weighted columns or components."""
        check_is_fitted(self)
        checked = validate_data(self, X, reset=False, dtype=np.float64)
        return self._coordinates(checked) * self.weights_

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Names of the columns; "component0" and so on if whitened."""
        check_is_fitted(self)
        if self.basis == "whiten":
            return np.array([f"component{i}" for i in range(self.n_features_in_)], object)
        return np.asarray(_check_feature_names_in(self, input_features), object)

    def _coordinates(self, checked: FloatArray) -> FloatArray:
        standard = (checked - self.mean_) / self.scale_
        return standard if self.components_ is None else standard @ self.components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _whitening(standard: FloatArray) -> FloatArray:
    """`(f f)` columns that take standardised features to components of variance one, the largest first."""
    variances, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
    variances, vectors = variances[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(largest))])
    there = variances > 1e-10 * variances[0]
    return np.where(there, vectors / np.sqrt(np.where(there, variances, 1)), 0)


@dataclass(frozen=True)
class _Hoc:
    """HOC as a rule: from labels and neighbours to a matrix."""

    n_init: int
    n_neighbors: int
    n_null: int

    def wanted(self, n: int, left: int) -> int:
        """Neighbours to look for: two for the matrix, more for the rest as far as there are many rows."""
        return max(2, min(self.n_neighbors, max(10, n // 20), left))

    def estimate(
        self, labels: IntArray, rows: IntArray, n_classes: int, rng: np.random.Generator
    ) -> TransitionResult:
        return solve_consensus(*consensus_counts(labels, rows, n_classes), rng=rng, n_init=self.n_init)

    def replicate(
        self, labels: IntArray, rows: IntArray, result: TransitionResult, rng: np.random.Generator
    ) -> TransitionResult:
        """The estimate from rows weighted by lot."""
        weights = bootstrap_weights(rows, rng)
        counts = consensus_counts(labels, rows, len(result.prior), weights=weights)
        return solve_consensus(*counts, rng=rng, n_init=1, start=result)


@dataclass(frozen=True)
class _Anchors:
    """Anchors as a rule."""

    n_neighbors: int
    alpha: float
    n_null: int = 0

    def wanted(self, n: int, left: int) -> int:
        return self.n_neighbors

    def estimate(
        self, labels: IntArray, rows: IntArray, n_classes: int, rng: np.random.Generator
    ) -> TransitionResult:
        return anchor_matrix(labels, rows, n_classes, alpha=self.alpha)

    def replicate(
        self, labels: IntArray, rows: IntArray, result: TransitionResult, rng: np.random.Generator
    ) -> TransitionResult:
        """The estimate from labels drawn anew; that from rows weighted by lot varies far too little."""
        drawn = drawn_classes(local_prior(labels, rows, result) @ result.matrix, rng)
        return anchor_matrix(drawn, rows, len(result.prior), alpha=self.alpha)


class TransitionEstimator(BaseEstimator):
    """Base of the estimators here: what `fit` does around an estimate, and what it leaves.

    After `fit`:

    * `classes_` `(k)` the labels, in the order of all that follows;
    * `transition_matrix_` `(k k)` row i: probabilities of the labels given to a case of class i;
      `prior_` `(k)` of the true classes; `noise_rates_` `(k)` share of wrong labels in each true class;
      `noise_rate_` in all;
    * `given_probability_` `(n)` for each training row the probability that its given label is right, from its
      own and its neighbours' labels: look at the lowest first; `class_probability_` `(n k)` that each class
      is the true one;
    * `clusterability_` whether neighbours share their true class (tested for HOC only);
    * `loss_`, `converged_` of the search;
    * with `n_boot`, `bootstrap_` `(n_boot k k)` replicates with neighbours kept, moved so that their mean is
      the estimate; `matrix_low_` and `matrix_high_` `(k k)` the 95 % intervals of them. They hold chance, not
      the error of an assumption that fails;
    * `feature_weights_` and `feature_scores_` `(f)` of the weighted estimators.
    """

    classes_: NDArray
    transition_matrix_: FloatArray
    prior_: FloatArray
    noise_rates_: FloatArray
    noise_rate_: float
    given_probability_: FloatArray
    class_probability_: FloatArray
    clusterability_: Clusterability
    loss_: float
    converged_: bool
    n_features_in_: int

    metric: Metric
    backend: Backend
    n_boot: int
    random_state: RandomState

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate how the labels go wrong.

        Args:
            X: `(n f)` features, dense and finite.
            y: `(n)` given labels, some of them wrong; two classes or more.
            groups: `(n)` author, image or patient of each row: neighbours come from other groups, as errors
                within one may go together. Two neighbours may still share a group.
        """
        if self.n_boot < 0:
            raise ConfigError(f"n_boot must be 0 or more, got {self.n_boot}")
        rule = self._rule()
        checked, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise LabelValueError(
                f"two classes or more are needed, all {len(labels)} labels are {self.classes_[0]!r}"
            )
        rng = _generator(self.random_state)
        features = self._fit_features(checked, self.classes_[labels])
        rows = self._neighbours(rule, features, groups, rng)
        result = rule.estimate(labels, rows, len(self.classes_), rng)
        self._keep(result, labels, rows)
        self.clusterability_ = clusterability(labels, rows, result, rng=rng, n_null=rule.n_null)
        if self.clusterability_.doubtful:
            warnings.warn(_mixed(self.clusterability_), UserWarning, stacklevel=2)
        if self.n_boot:
            self._keep_intervals([rule.replicate(labels, rows, result, rng) for _ in range(self.n_boot)])
        self._fit_more(features, labels, rows, rng)
        return self

    def score(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> float:
        """Mean log-probability of the given labels of these rows, each foretold from those of its neighbours.

        The higher, the more neighbours say about the class of a row. The residual of the consensus equations
        would be no score: it is as small where neighbours say nothing.

        Args:
            X: `(n f)` features; neighbours come from among these rows.
            y: `(n)` given labels.
            groups: `(n)` as for `fit`.
        """
        check_is_fitted(self)
        checked, y = validate_data(self, X, y, reset=False, dtype=np.float64)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise LabelValueError(
                f"labels of the classes {self.classes_.tolist()} expected, as in fit, got {unknown[0]!r}"
            )
        features = checked if self.weighter_ is None else self.weighter_.transform(checked)
        rows = self._neighbours(self._rule(), features, groups, _generator(self.random_state))
        result = TransitionResult(self.transition_matrix_, self.prior_, self.loss_, self.converged_)
        return predictive_log(np.searchsorted(self.classes_, y), rows, result)

    def _rule(self) -> _Hoc | _Anchors:
        """The way to an estimate, made of the settings."""
        raise NotImplementedError

    def _weighter(self) -> FMIFeatureWeighter | None:
        """What weighs the columns. Default: nothing."""
        return None

    def _fit_more(
        self, features: FloatArray, labels: IntArray, rows: IntArray, rng: np.random.Generator
    ) -> None:
        """What else is to be found. Default: nothing."""

    def _fit_features(self, checked: FloatArray, y: NDArray) -> FloatArray:
        self.weighter_ = self._weighter()
        if self.weighter_ is None:
            return checked
        self.weighter_.fit(checked, y)
        self.feature_weights_, self.feature_scores_ = self.weighter_.weights_, self.weighter_.scores_
        return self.weighter_.transform(checked)

    def _neighbours(
        self, rule: _Hoc | _Anchors, features: FloatArray, groups: ArrayLike | None, rng: np.random.Generator
    ) -> IntArray:
        n, largest = len(features), 1
        if groups is not None:
            largest = int(np.unique(np.asarray(groups), return_counts=True)[1].max())
        k = rule.wanted(n, n - largest)
        return nearest(features, k, rng=rng, metric=self.metric, groups=groups, backend=self.backend)

    def _keep(self, result: TransitionResult, labels: IntArray, rows: IntArray) -> None:
        self.transition_matrix_, self.prior_ = result.matrix, result.prior
        self.noise_rates_, self.noise_rate_ = noise_rates(result.matrix, result.prior)
        self.loss_, self.converged_ = result.loss, result.converged
        self.class_probability_ = class_posterior(labels, rows, result)
        self.given_probability_ = self.class_probability_[np.arange(len(labels)), labels]

    def _keep_intervals(self, replicates: list[TransitionResult]) -> None:
        matrices = np.stack([result.matrix for result in replicates])
        # About the estimate: replicates have its bias once more.
        self.bootstrap_ = np.clip(matrices - matrices.mean(axis=0) + self.transition_matrix_, 0, 1)
        self.matrix_low_, self.matrix_high_ = np.quantile(self.bootstrap_, COVERAGE, axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class HOCEstimator(TransitionEstimator):
    """HOC: the transition matrix from the labels of each row and its two nearest neighbours.

    For features in which a row and its neighbours nearly always share the true class, as embeddings of good
    networks are; a warning says where that is surely not so. For most tables it is not: see
    `AnchorEstimator`.

    Args:
        metric: "cosine" or "euclidean".
        n_init: starts of the search.
        n_neighbors: most neighbours that `given_probability_`, the score and the test of clusterability look
            at; fewer than that, a twentieth of the rows, where rows are few.
        n_null: simulations of the test; 0: no test.
        n_boot: replicates for intervals; 0: none.
        backend: search for neighbours, see `nearest`.
        random_state: seed of everything random.

    See `TransitionEstimator` for what `fit` leaves.

    Paper: Zhu, Song, Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy
        Labels", ICML 2021.
    Differs: see `solve_consensus` and `consensus_counts`.
    """

    def __init__(
        self,
        *,
        metric: Metric = "cosine",
        n_init: int = 5,
        n_neighbors: int = 49,
        n_null: int = 19,
        n_boot: int = 0,
        backend: Backend = "exact",
        random_state: RandomState = None,
    ) -> None:
        self.metric = metric
        self.n_init = n_init
        self.n_neighbors = n_neighbors
        self.n_null = n_null
        self.n_boot = n_boot
        self.backend = backend
        self.random_state = random_state

    def _rule(self) -> _Hoc:
        return _Hoc(self.n_init, self.n_neighbors, self.n_null)


class AnchorEstimator(TransitionEstimator):
    """The transition matrix from the purest neighbourhoods of each class; classes may overlap.

    Args:
        n_neighbors: rows of a neighbourhood beside its own; fewer rows are an error.
        alpha: share of rows that are anchors, see `anchor_matrix`.
        metric: "euclidean" or "cosine".
        n_boot: replicates for intervals; 0: none.
        backend: search for neighbours, see `nearest`.
        random_state: seed of everything random.

    See `TransitionEstimator` for what `fit` leaves.

    Paper: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach",
        CVPR 2017; see `labelmend.transition.anchor`.
    Differs: anchors are neighbourhoods instead of the outputs of a network.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 30,
        alpha: float = 0.03,
        metric: Metric = "euclidean",
        n_boot: int = 0,
        backend: Backend = "exact",
        random_state: RandomState = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.metric = metric
        self.n_boot = n_boot
        self.backend = backend
        self.random_state = random_state

    def _rule(self) -> _Anchors:
        return _Anchors(self.n_neighbors, self.alpha)


class WeightedHOC(TransitionEstimator):
    """`HOCEstimator` on columns that `FMIFeatureWeighter` standardised and weighted.

    Args:
        f: divergence of the weights.
        basis: "raw" or "whiten".
        scaling: of the weights.
        floor: least weight.
        metric: "cosine" or "euclidean".
        n_init: starts of the search.
        n_neighbors: see `HOCEstimator`.
        n_null: simulations of the test of clusterability; 0: no test.
        n_boot: replicates for intervals; 0: none. The weights are kept.
        backend: search for neighbours, see `nearest`.
        random_state: seed of everything random.

    Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with
        Lower-Quality Features", ICML 2022.
    Differs: see `FMIFeatureWeighter`, `solve_consensus` and `consensus_counts`.
    """

    feature_weights_: FloatArray
    feature_scores_: FloatArray

    def __init__(
        self,
        *,
        f: Divergence = "tv",
        basis: Basis = "raw",
        scaling: Scaling = "max",
        floor: float = 0.0,
        metric: Metric = "cosine",
        n_init: int = 5,
        n_neighbors: int = 49,
        n_null: int = 19,
        n_boot: int = 0,
        backend: Backend = "exact",
        random_state: RandomState = None,
    ) -> None:
        self.f = f
        self.basis = basis
        self.scaling = scaling
        self.floor = floor
        self.metric = metric
        self.n_init = n_init
        self.n_neighbors = n_neighbors
        self.n_null = n_null
        self.n_boot = n_boot
        self.backend = backend
        self.random_state = random_state

    def _rule(self) -> _Hoc:
        return _Hoc(self.n_init, self.n_neighbors, self.n_null)

    def _weighter(self) -> FMIFeatureWeighter:
        return FMIFeatureWeighter(f=self.f, basis=self.basis, scaling=self.scaling, floor=self.floor)


class WeightedAnchor(TransitionEstimator):
    """`AnchorEstimator` on columns that `FMIFeatureWeighter` standardised and weighted.

    Args:
        f: divergence of the weights.
        basis: "raw" or "whiten".
        scaling: of the weights.
        floor: least weight.
        n_neighbors: rows of a neighbourhood beside its own.
        alpha: share of rows that are anchors, see `anchor_matrix`.
        metric: "euclidean" or "cosine".
        n_boot: replicates for intervals; 0: none. The weights are kept.
        backend: search for neighbours, see `nearest`.
        random_state: seed of everything random.

    Paper: see `FMIFeatureWeighter` and `AnchorEstimator`.
    """

    feature_weights_: FloatArray
    feature_scores_: FloatArray

    def __init__(
        self,
        *,
        f: Divergence = "tv",
        basis: Basis = "raw",
        scaling: Scaling = "max",
        floor: float = 0.0,
        n_neighbors: int = 30,
        alpha: float = 0.03,
        metric: Metric = "euclidean",
        n_boot: int = 0,
        backend: Backend = "exact",
        random_state: RandomState = None,
    ) -> None:
        self.f = f
        self.basis = basis
        self.scaling = scaling
        self.floor = floor
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.metric = metric
        self.n_boot = n_boot
        self.backend = backend
        self.random_state = random_state

    def _rule(self) -> _Anchors:
        return _Anchors(self.n_neighbors, self.alpha)

    def _weighter(self) -> FMIFeatureWeighter:
        return FMIFeatureWeighter(f=self.f, basis=self.basis, scaling=self.scaling, floor=self.floor)


class LocalHOC(TransitionEstimator):
    """`HOCEstimator`, and beside the matrix for all rows one for the rows around each of some centres.

    After `fit` also `transition_matrices_` `(c k k)`, and `assignment_` `(n)` the centre of each training
    row, -1 where the matrix for all holds.

    Args:
        n_local: rows that a centre covers; fewer rows in all are an error.
        n_centres: most centres.
        metric: "cosine" or "euclidean", of the two neighbours; what a centre covers is Euclidean.
        n_init: starts of the search.
        n_neighbors: see `HOCEstimator`.
        n_null: simulations of the test of clusterability; 0: no test.
        n_boot: replicates for intervals of the matrix for all; 0: none.
        backend: search for neighbours, see `nearest`.
        random_state: seed of everything random.

    Paper: Zhu, Song, Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy
        Labels", ICML 2021.
    Differs: see `local_matrices`.
    """

    transition_matrices_: FloatArray
    assignment_: IntArray

    def __init__(
        self,
        *,
        n_local: int = 250,
        n_centres: int = 300,
        metric: Metric = "cosine",
        n_init: int = 5,
        n_neighbors: int = 49,
        n_null: int = 19,
        n_boot: int = 0,
        backend: Backend = "exact",
        random_state: RandomState = None,
    ) -> None:
        self.n_local = n_local
        self.n_centres = n_centres
        self.metric = metric
        self.n_init = n_init
        self.n_neighbors = n_neighbors
        self.n_null = n_null
        self.n_boot = n_boot
        self.backend = backend
        self.random_state = random_state

    def _rule(self) -> _Hoc:
        return _Hoc(self.n_init, self.n_neighbors, self.n_null)

    def _fit_more(
        self, features: FloatArray, labels: IntArray, rows: IntArray, rng: np.random.Generator
    ) -> None:
        result = TransitionResult(self.transition_matrix_, self.prior_, self.loss_, self.converged_)
        self.transition_matrices_, self.assignment_ = local_matrices(
            features, labels, rows, result, rng=rng, n_local=self.n_local, n_centres=self.n_centres
        )


def _generator(random_state: RandomState) -> np.random.Generator:
    """A generator from what scikit-learn takes for a seed."""
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def _mixed(found: Clusterability) -> str:
    return (
        "neighbours do not share their true class, so the transition matrix of HOC is too noisy: "
        f"mixed neighbourhoods fit better than pure ones by {found.gap:.4f} nats a row, by chance alone "
        f"{found.gap_if_pure:.4f} (p {found.p_value:.2f}). Take AnchorEstimator, or better features"
    )
