"""Transition matrices as scikit-learn estimators: `fit` on wrong labels, and see `transition_matrix_`.

Features are taken as they are, so put a `StandardScaler` in front where columns have different units; the
weighted estimators and `FMIFeatureWeighter` standardise by themselves. Best are features that were not fitted
to these labels: those of a network trained on them agree with their errors.
"""

from __future__ import annotations

import numpy as np

from labelmend.transition.hoc import IntArray, TransitionResult
from labelmend.transition.neighbours import Backend, Metric
from labelmend.types import FloatArray
from labelmend.workflows.class_labels.estimator_base import AnchorRule, HocRule, TransitionEstimator
from labelmend.workflows.class_labels.fmi import Divergence, Scaling
from labelmend.workflows.class_labels.local import local_matrices
from labelmend.workflows.class_labels.weighter import Basis, FMIFeatureWeighter, RandomState


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
        random_state: seed random seed.

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

    def _rule(self) -> HocRule:
        return HocRule(self.n_init, self.n_neighbors, self.n_null)


class AnchorEstimator(TransitionEstimator):
    """The transition matrix from the purest neighbourhoods of each class; classes may overlap.

    Args:
        n_neighbors: rows of a neighbourhood beside its own; fewer rows are an error.
        alpha: share of rows that are anchors, see `anchor_matrix`.
        metric: "euclidean" or "cosine".
        n_boot: replicates for intervals; 0: none.
        backend: search for neighbours, see `nearest`.
        random_state: seed random seed.

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

    def _rule(self) -> AnchorRule:
        return AnchorRule(self.n_neighbors, self.alpha)


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
        random_state: seed random seed.

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

    def _rule(self) -> HocRule:
        return HocRule(self.n_init, self.n_neighbors, self.n_null)

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
        random_state: seed random seed.

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

    def _rule(self) -> AnchorRule:
        return AnchorRule(self.n_neighbors, self.alpha)

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
        random_state: seed random seed.

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

    def _rule(self) -> HocRule:
        return HocRule(self.n_init, self.n_neighbors, self.n_null)

    def _fit_more(
        self, features: FloatArray, labels: IntArray, rows: IntArray, rng: np.random.Generator
    ) -> None:
        result = TransitionResult(self.transition_matrix_, self.prior_, self.loss_, self.converged_)
        self.transition_matrices_, self.assignment_ = local_matrices(
            features, labels, rows, result, rng=rng, n_local=self.n_local, n_centres=self.n_centres
        )
