"""Columns weighted by what they say about the labels, as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmend.errors import ConfigError
from labelmend.runtime.extras import needed_by
from labelmend.types import FloatArray
from labelmend.workflows.class_labels.fmi import Divergence, Scaling, f_mutual_information, feature_weights

with needed_by("weighting of features"):
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

Basis = Literal["raw", "whiten"]
RandomState = int | np.random.RandomState | None


def generator(random_state: RandomState) -> np.random.Generator:
    """A generator from what scikit-learn takes for a seed."""
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


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
            rng=generator(self.random_state),
        )
        self.weights_ = feature_weights(self.scores_, scaling=self.scaling, floor=self.floor)
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """`(n f)` weighted columns or components."""
        check_is_fitted(self)
        checked = validate_data(self, X, reset=False, dtype=np.float64)
        return self._coordinates(checked) * self.weights_

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
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
