"""What the estimators of transition matrices share: `fit`, the score, and two rules for a matrix."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError, LabelValueError
from labelmend.runtime.extras import needed_by
from labelmend.transition.anchor import anchor_matrix
from labelmend.transition.clusterability import Clusterability, clusterability
from labelmend.transition.hoc import (
    IntArray,
    TransitionResult,
    bootstrap_weights,
    consensus_counts,
    solve_consensus,
)
from labelmend.transition.matrix import noise_rates
from labelmend.transition.neighbours import Backend, Metric, nearest
from labelmend.transition.posterior import class_posterior, drawn_classes, local_prior, predictive_log
from labelmend.types import FloatArray
from labelmend.workflows.class_labels.weighter import (
    FMIFeatureWeighter,
    RandomState,
    generator,
)

with needed_by("an estimator of transition matrices"):
    from sklearn.base import BaseEstimator
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data

COVERAGE = (0.025, 0.975)
"""Quantiles of the bootstrap that bound an interval."""


@dataclass(frozen=True)
class HocRule:
    """HOC as a rule: from labels and neighbours to a matrix."""

    n_init: int
    n_neighbors: int
    n_null: int

    def wanted(self, n: int, left: int) -> int:
        """Neighbours to look for: two for the matrix, more for the rest as far as there are many rows.

        Args:
            n: number of rows.
            left: how many neighbours a row can have: other rows, or other groups.
        """
        return max(2, min(self.n_neighbors, max(10, n // 20), left))

    def estimate(
        self, labels: IntArray, rows: IntArray, n_classes: int, rng: np.random.Generator
    ) -> TransitionResult:
        return solve_consensus(*consensus_counts(labels, rows, n_classes), rng=rng, n_init=self.n_init)

    def replicate(
        self, labels: IntArray, rows: IntArray, result: TransitionResult, rng: np.random.Generator
    ) -> TransitionResult:
        """The estimate from randomly weighted rows."""
        weights = bootstrap_weights(rows, rng)
        counts = consensus_counts(labels, rows, len(result.prior), weights=weights)
        return solve_consensus(*counts, rng=rng, n_init=1, start=result)


@dataclass(frozen=True)
class AnchorRule:
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
        """The estimate from resampled labels; randomly weighted rows would vary far too little."""
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
      the estimate; `matrix_low_` and `matrix_high_` `(k k)` their 95 % intervals. They cover sampling error
      only, not violated assumptions;
    * `feature_weights_` and `feature_scores_` `(f)` of the weighted estimators.
    """

    classes_: NDArray[Any]
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
            groups: `(n)` author, image or patient of each row: each neighbour of a row comes from another
                group, as errors within one may go together. As many other groups are needed as neighbours.
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
        rng = generator(self.random_state)
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
        """Mean log-probability of the given labels, each predicted from those of its neighbours.

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
        rows = self._neighbours(self._rule(), features, groups, generator(self.random_state))
        result = TransitionResult(self.transition_matrix_, self.prior_, self.loss_, self.converged_)
        return predictive_log(np.searchsorted(self.classes_, y), rows, result)

    def _rule(self) -> HocRule | AnchorRule:
        """The way to an estimate, made of the settings."""
        raise NotImplementedError

    def _weighter(self) -> FMIFeatureWeighter | None:
        """What weighs the columns. Default: nothing."""
        return None

    def _fit_more(
        self, features: FloatArray, labels: IntArray, rows: IntArray, rng: np.random.Generator
    ) -> None:
        """What else is to be found. Default: nothing."""

    def _fit_features(self, checked: FloatArray, y: NDArray[Any]) -> FloatArray:
        self.weighter_ = self._weighter()
        if self.weighter_ is None:
            return checked
        self.weighter_.fit(checked, y)
        self.feature_weights_, self.feature_scores_ = self.weighter_.weights_, self.weighter_.scores_
        return self.weighter_.transform(checked)

    def _neighbours(
        self,
        rule: HocRule | AnchorRule,
        features: FloatArray,
        groups: ArrayLike | None,
        rng: np.random.Generator,
    ) -> IntArray:
        n = len(features)
        k = rule.wanted(n, (n if groups is None else len(np.unique(np.asarray(groups)))) - 1)
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


def _mixed(found: Clusterability) -> str:
    return (
        "neighbours do not share their true class, so the transition matrix of HOC is too noisy: "
        f"mixed neighbourhoods fit better than pure ones by {found.gap:.4f} nats per row, by chance alone "
        f"{found.gap_if_pure:.4f} (p {found.p_value:.2f}). Take AnchorEstimator, or better features"
    )
