"""How much a feature says about labels, f-mutual information, and weights of features made of it.

    I_f(Z; Y) = D_f(P || Q),   P the joint distribution of feature and label, Q the product of its marginals

Labels are wrong, and what counts is how much a feature says about the true ones. With total variation that
can be estimated from wrong labels, up to a factor that all features share and that leaves their order alone:

* for two classes with flip rates e0 and e1, whatever they are, the factor is |1 - e0 - e1|;
* for k classes and symmetric noise of rate e it is |1 - e k / (k - 1)|.

For other noise among more than two classes (one class taken for the next, say) the order can change. For two
classes chi-squared keeps it, too; Kullback-Leibler does not.

What is measured on few rows is too large: independent columns score above 0, the more so the more bins and
the fewer rows. `correction="permutation"` takes that off.

Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with Lower-Quality
    Features", ICML 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kl_div, rel_entr
from scipy.stats import rankdata

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.types import BoolArray, FloatArray

IntArray = NDArray[np.integer]
Divergence = Literal["tv", "kl", "chi2", "js", "hellinger"]
Scaling = Literal["minmax", "max", "rank", "sqrt", "none"]

PAPER_BINS = 63
"""Bins of equal width in the released program, which draws 64 edges."""

AUTO_BINS = (4, 63)
"""Fewest and most bins that "auto" takes."""

MOST_VALUES = 32
"""Distinct values up to which a column may be discrete."""

ROWS_PER_VALUE = 5
"""A column of three or more values may be discrete if this many rows share a value on average."""

PERMUTATIONS = 10
"""Label permutations over which the score that chance gives is averaged."""

MINMAX_OFFSET = 1e-8
"""What the released program adds so that no weight is 0."""


def _chi2(p: FloatArray, q: FloatArray) -> FloatArray:
    return np.divide((p - q) ** 2, q, out=np.zeros_like(p), where=q > 0)


def _js(p: FloatArray, q: FloatArray) -> FloatArray:
    middle = (p + q) / 2
    return (rel_entr(p, middle) + rel_entr(q, middle)) / 2


CELLS: dict[Divergence, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "tv": lambda p, q: np.abs(p - q) / 2,
    "kl": kl_div,  # p log(p / q) - p + q, which adds up to the same and is never negative
    "chi2": _chi2,
    "js": _js,
    "hellinger": lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2,
}
"""What a cell with joint probability p and product of marginals q adds to each divergence."""

DERIVATIVES: dict[Divergence, Callable[[FloatArray], FloatArray]] = {
    "tv": lambda t: np.sign(t - 1) / 2,
    "kl": lambda t: 1 + np.log(t),
    "chi2": lambda t: 2 * (t - 1),
    "js": lambda t: np.log(2 * t / (t + 1)) / 2,
    "hellinger": lambda t: 1 - 1 / np.sqrt(t),
}
"""f'(t) of each divergence, t = p / q."""

CONJUGATES: dict[Divergence, Callable[[FloatArray], FloatArray]] = {
    "tv": lambda g: g,  # for |g| up to 1/2
    "kl": lambda g: np.exp(g - 1),
    "chi2": lambda g: g + g**2 / 4,
    "js": lambda g: -np.log(2 - np.exp(2 * g)) / 2,
    "hellinger": lambda g: 1 / (1 - g) - 1,
}
"""f*(g) = max_t (g t - f(t)) of each divergence."""


def f_information(joint: ArrayLike, f: Divergence = "tv") -> float:
    """f-mutual information of two variables from their joint table: D_f(P || Q), Q = product of marginals.

    Args:
        joint: `(a b)` probabilities or counts; divided by their sum.
        f: "tv": 1/2 sum |P - Q|. "kl": sum P log(P / Q), in nats. "chi2": sum (P - Q)^2 / Q. "js": half KL of
            P and half that of Q, both from (P + Q) / 2; at most log 2. "hellinger": sum (sqrt P - sqrt Q)^2,
            squared and without a factor 1/2, so below 2.

    Raises:
        ConfigError: no such divergence. GeometryError: not a table. LabelValueError: a number that is
            negative or not finite, or all are 0.

    >>> f_information([[2, 0], [0, 2]])
    0.5
    """
    _check_divergence(f)
    return float(_information(_check_joint(joint), f))


def variational_f_information(joint: ArrayLike, f: Divergence = "tv") -> float:
    """`f_information` by its variational form: sum P g - sum Q f*(g), with the best g = f'(P / Q).

    Args:
        joint: `(a b)` probabilities or counts; divided by their sum.
        f: as for `f_information`, with the same errors.

    >>> variational_f_information([[2, 0], [0, 2]])
    0.5
    """
    _check_divergence(f)
    p, q = _joint_and_product(_check_joint(joint))
    p, q = p[q > 0], q[q > 0]
    with np.errstate(divide="ignore"):  # g may be -inf where p is 0; f* of that is finite
        g = DERIVATIVES[f](p / q)
    gained = np.multiply(p, g, out=np.zeros_like(p), where=p > 0)
    return float(gained.sum() - (q * CONJUGATES[f](g)).sum())


def f_mutual_information(
    X: ArrayLike,
    y: ArrayLike,
    *,
    f: Divergence = "tv",
    bins: int | Literal["auto", "paper"] = "auto",
    discrete: Literal["auto"] | BoolArray = "auto",
    clip: tuple[float, float] = (0.5, 99.5),
    correction: Literal["permutation"] | None = None,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """f-mutual information between each feature, cut into bins, and the labels.

    Args:
        X: `(n f)` features, finite.
        y: `(n)` labels of any kind that can be sorted (numbers, strings), two classes or more.
        f: divergence, see `f_information`.
        bins: of a continuous column. "auto": quantile bins, the cube root of n of them, between 4 and 63. A
            number: that many quantile bins. Equal values always share a bin, and a value that is so frequent
            that two quantiles fall on it has its own. "paper": 63 bins of equal width between the `clip`
            percentiles, without the rows outside, for every column, as in the released program.
        discrete: `(f)` booleans, True for columns with a bin for each distinct value. "auto": those with two
            values at most, or with up to 32 that come five times or more on average.
        clip: percentiles between which "paper" bins lie, unused otherwise.
        correction: "permutation": take off the mean score for ten permutations of the labels, down to 0.
        rng: draws the permutations.

    Returns:
        `(f)` scores, 0 or more; 0 for a constant column.

    Raises:
        ConfigError: a setting cannot be used. GeometryError: shapes do not belong together. LabelValueError:
            a feature or label that is NaN, infinite or no number, or labels of a single class.

    >>> f_mutual_information([[0, 7], [0, 7], [1, 7], [1, 7]], ["cat", "cat", "dog", "dog"])
    array([0.5, 0. ])

    Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with
        Lower-Quality Features", ICML 2022.
    Differs: bins are quantiles or distinct values, since with bins of equal width columns of 240 rows that
        say nothing score a TV of 0.18, and a column of rare ones scores 0: both of its percentiles are 0.
        The closed form takes the place of the variational one, which equals it. Every class has its own
        column of the table; the program cuts labels into two.
    """
    _check_divergence(f)
    columns, classes = _check_data(X, y)
    _check_settings(bins, clip, correction, rng)
    is_discrete = _check_discrete(discrete, columns.shape[1])
    labels = classes[None]
    if correction is not None and rng is not None:
        shuffled = rng.permuted(np.tile(classes, (PERMUTATIONS, 1)), axis=1)
        labels = np.concatenate([labels, shuffled])
    scores = np.zeros((columns.shape[1], len(labels)))
    for j, column in enumerate(columns.T):
        known = None if is_discrete is None else bool(is_discrete[j])
        codes = _equal_width_codes(column, clip) if bins == "paper" else _codes(column, bins, known)
        scores[j] = _information(_tables(codes, labels), f)
    if correction is None:
        return scores[:, 0]
    return np.maximum(scores[:, 0] - scores[:, 1:].mean(axis=1), 0)


def feature_weights(scores: ArrayLike, *, scaling: Scaling = "max", floor: float = 0.0) -> FloatArray:
    """Weights of features in [floor, 1], the largest 1, from how much each says.

    Args:
        scores: `(f)` m, 0 or more.
        scaling: "max": m / max m. "sqrt": its square root. "rank": rank from the bottom over that of the top,
            ties averaged. "minmax": m - min m + 1e-8 over the largest of these, which blanks out the weakest
            column whatever it says. "none": 1 for all.
        floor: weights under it are raised to it, in [0, 1].

    Returns:
        `(f)` weights; ones if all scores are 0.

    Raises:
        ConfigError: a setting cannot be used. GeometryError: not one score a feature. LabelValueError: a
            score that is negative or not finite.

    >>> feature_weights([0.1, 0.2, 0.4], scaling="max", floor=0.3)
    array([0.3, 0.5, 1. ])

    Paper: Zhu, Wang, Liu, "Beyond Images: Label Noise Transition Matrix Estimation for Tasks with
        Lower-Quality Features", ICML 2022.
    Differs: the released program scales by "minmax".
    """
    m = np.asarray(scores, float)
    if m.ndim != 1 or not m.size:
        raise GeometryError(f"one score a feature (f) expected, got shape {m.shape}")
    if not (np.isfinite(m) & (m >= 0)).all():
        raise LabelValueError(f"scores must be finite numbers >= 0, got {m.tolist()}")
    if not 0 <= floor <= 1:
        raise ConfigError(f"a floor in [0, 1] expected, got {floor}")
    if scaling == "minmax":
        weights = m - m.min() + MINMAX_OFFSET
    elif scaling == "rank":
        weights = rankdata(m)
    elif scaling == "none" or (scaling in ("max", "sqrt") and not m.any()):
        weights = np.ones_like(m)
    elif scaling in ("max", "sqrt"):
        weights = m / m.max()
    else:
        raise ConfigError(f'scaling must be "minmax", "max", "rank", "sqrt" or "none", got {scaling!r}')
    weights = weights / weights.max()
    return np.maximum(np.sqrt(weights) if scaling == "sqrt" else weights, floor)


def _joint_and_product(tables: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P and Q of tables `(*m a b)`; a table without any entry is left as it is."""
    total = tables.sum(axis=(-2, -1), keepdims=True)
    total = np.where(total > 0, total, 1)
    rows, columns = tables.sum(axis=-1, keepdims=True) / total, tables.sum(axis=-2, keepdims=True) / total
    return tables / total, rows * columns


def _information(tables: FloatArray, f: Divergence) -> FloatArray:
    """`(*m)` f-mutual informations of tables `(*m a b)`; rounding does not make them negative."""
    return np.maximum(CELLS[f](*_joint_and_product(tables)).sum(axis=(-2, -1)), 0)


def _tables(codes: IntArray, labels: IntArray) -> FloatArray:
    """`(m a b)` counts of bins `(n)` and `m` versions of the labels `(m n)`; rows in bin -1 are left out."""
    m, a, b = len(labels), int(codes.max()) + 1, int(labels.max()) + 1
    if a == 0:
        return np.zeros((m, 1, b))
    kept = codes >= 0
    flat = (np.arange(m)[:, None] * a + codes[kept]) * b + labels[:, kept]
    return np.bincount(flat.ravel(), minlength=m * a * b).reshape(m, a, b).astype(float)


def _codes(column: FloatArray, bins: int | str, discrete: bool | None) -> IntArray:
    """`(n)` numbers of the bins of a column: distinct values or quantiles."""
    n, ordered = len(column), np.sort(column)
    values = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    if discrete is None:
        few = len(values) <= MOST_VALUES and n >= ROWS_PER_VALUE * len(values)
        discrete = few or len(values) <= 2
    if discrete:
        return np.searchsorted(values, column)
    k = int(np.clip(round(n ** (1 / 3)), *AUTO_BINS)) if bins == "auto" else int(bins)
    edges, times = np.unique(ordered[-(-np.arange(1, k) * n // k) - 1], return_counts=True)
    before = np.nextafter(edges[times > 1], -np.inf)
    return np.searchsorted(np.union1d(edges, before), column)  # a bin reaches up to its edge, that included


def _equal_width_codes(column: FloatArray, clip: tuple[float, float]) -> IntArray:
    """`(n)` numbers of bins of equal width between two percentiles, -1 outside."""
    low, high = np.percentile(column, clip)
    edges = np.linspace(low, high, PAPER_BINS + 1)
    codes = np.minimum(np.searchsorted(edges, column, side="right") - 1, PAPER_BINS - 1)
    return np.where(column <= edges[-1], codes, -1)


def _check_data(X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Features `(n f)` as floats and labels `(n)` as class numbers, or an error."""
    try:
        columns = np.asarray(X, float)
    except (TypeError, ValueError) as error:
        raise LabelValueError(f"X must hold numbers in rows of one length: {error}") from None
    labels = np.asarray(y)
    if columns.ndim != 2 or not columns.shape[1] or labels.shape != columns.shape[:1]:
        raise GeometryError(f"X (n f) and y (n) expected, got shapes {columns.shape} and {labels.shape}")
    wrong = np.flatnonzero(~np.isfinite(columns).all(axis=0))
    if wrong.size:
        raise LabelValueError(
            f"X must be finite, column {wrong[0]} holds NaN or infinity: fill in or leave out what is missing"
        )
    if labels.dtype.kind in "fc" and not np.isfinite(labels).all():
        raise LabelValueError("y holds NaN or infinity: leave rows without a label out")
    try:
        names, classes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise LabelValueError(f"labels of one kind expected, all numbers or all strings: {error}") from None
    if len(names) < 2:
        raise LabelValueError(f"y must hold two classes or more, got {names.tolist()}")
    return columns, classes


def _check_divergence(f: str) -> None:
    if f not in CELLS:
        raise ConfigError(f"f must be one of {', '.join(CELLS)}, got {f!r}")


def _check_joint(joint: ArrayLike) -> FloatArray:
    table = np.asarray(joint, float)
    if table.ndim != 2:
        raise GeometryError(f"a joint table (a b) expected, got shape {table.shape}")
    if not (np.isfinite(table) & (table >= 0)).all() or not table.any():
        raise LabelValueError("a joint table must hold finite numbers >= 0, not all of them 0")
    return table


def _check_settings(
    bins: int | str, clip: tuple[float, float], correction: str | None, rng: np.random.Generator | None
) -> None:
    is_number = isinstance(bins, int | np.integer) and not isinstance(bins, bool) and bins >= 2
    if not is_number and bins not in ("auto", "paper"):
        raise ConfigError(f'bins must be "auto", "paper" or a whole number from 2 up, got {bins!r}')
    if not 0 <= clip[0] < clip[1] <= 100:
        raise ConfigError(f"two rising percentiles expected for clip, got {clip}")
    if correction not in (None, "permutation"):
        raise ConfigError(f'correction must be "permutation" or None, got {correction!r}')
    if correction and rng is None:
        raise ConfigError('correction="permutation" draws permutations: pass rng, a numpy Generator')


def _check_discrete(discrete: str | BoolArray, n_columns: int) -> BoolArray | None:
    """`(f)` booleans, or None for "auto"."""
    if isinstance(discrete, str) and discrete == "auto":
        return None
    flags = np.asarray(discrete)
    if flags.dtype != bool or flags.shape != (n_columns,):
        raise GeometryError(
            f'discrete must be "auto" or {n_columns} booleans, one a column, got {flags.dtype} of shape '
            f"{flags.shape}"
        )
    return flags
