"""Whether predictions say anything of a class at all, asked before they may change a label.

A network that predicts nothing, everything, or one mean shape whatever the picture can agree well with
labels. What gives it away: predictions of other cases agree as well with them. The two are compared by the
phi coefficient, the correlation of two masks. Single wrong pixels and outlines drawn too wide lower both and
leave a difference; predictions that do not depend on the picture leave none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.metrics.bias import SURE_ERRORS
from labelmend.types import BoolArray, FloatArray, LabelMap

SAMPLED = 16
"""Cases that are looked at."""

LEAST_CASES = 4
"""Fewer trusted cases say too little: one alone gives 0.15 to a network that was never trained."""

FEW_MUST_REACH = 0.5
"""What fewer trusted cases must reach to count where they are the only ones that agree with predictions."""

TOO_ALIKE = 0.8
"""Mean correlation from which saved predictions pass by themselves: organs that look the same in all cases
cannot be distinguished by comparing cases."""

MOST_POINTS = {1: 4096, 2: 128, 3: 40}
"""Points along each axis at which masks are compared, by number of axes."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One case at points that lie at the same places of every case.

    Args:
        labels: `(k n)` booleans, given or trusted.
        predicted: `(k n)` booleans.
        counted: `(n)` booleans, False where labels are to be ignored.
    """

    labels: BoolArray
    predicted: BoolArray
    counted: BoolArray


def seen(labels: LabelMap, predicted: Iterable[BoolArray]) -> Seen:
    """A case at no more than `MOST_POINTS` along each axis.

    Args:
        labels: given or trusted ones.
        predicted: k masks.
    """
    most = MOST_POINTS.get(labels.grid.ndim, 8)
    at = np.ix_(*[((np.arange(most) + 0.5) / most * n).astype(int) for n in labels.grid.shape])
    return Seen(
        np.stack([labels.mask(name)[at].ravel() for name in labels.classes]),
        np.stack([mask[at].ravel() for mask in predicted]),
        ~labels.ignored()[at].ravel(),
    )


def predicted_masks(given: LabelMap, probs: FloatArray) -> Iterator[BoolArray]:
    """The mask of each class where it is likelier than not, or the likeliest of exclusive ones."""
    if given.overlapping:
        return (of_class > 0.5 for of_class in probs)
    likeliest = probs.argmax(axis=0)
    return (likeliest == index for index in range(1, len(probs)))


def above_chance(cases: Sequence[Seen], others: Sequence[Seen] = ()) -> list[float]:
    """Per class, how much better predictions agree with the labels of their own case; NaN: none holds it.

    0: no better than predictions of other cases, or not surely; 1: perfectly. With a single case, 0 is a
    prediction that lies anywhere.

    Args:
        cases: that are asked.
        others: further cases, whose predictions serve for comparison only.
    """
    found = []
    for index in range(len(cases[0].labels)):
        predicted = np.stack([case.predicted[index] for case in (*cases, *others)]).astype(float)
        gained, possible = [], 0.0
        for row, case in enumerate(cases):
            agreement = phi(predicted[:, case.counted], case.labels[index, case.counted])
            if np.isnan(agreement[row]):
                continue
            rest = np.delete(agreement, row)
            usual = rest.mean() if rest.size else 0.0
            gained.append(float(agreement[row] - usual))
            possible += 1 - usual
        found.append(_surely(gained) * sum(gained) / possible if possible > 0 else float("nan"))
    return found


def saying_nothing(
    classes: Sequence[str],
    given: Sequence[Seen],
    where: str,
    trusted: Sequence[Seen],
    least: float,
    *,
    alike: float = float("inf"),
) -> dict[str, str]:
    """By class, in words, how little predictions agree with labels; classes where they agree are left out.

    One kind of labels is enough. Fewer than `LEAST_CASES` trusted cases count only if they agree very well.
    With `alike`, each of fewer given cases is asked by itself: saved probabilities of a few may be right.

    Args:
        classes: their names.
        given: cases with given labels.
        where: what these cases are called.
        trusted: cases with trusted labels.
        least: what `above_chance` must reach.
        alike: mean correlation with given labels that is enough without any comparison.
    """
    alone = _each_alone(given)
    by_itself = len(given) < LEAST_CASES and alike <= 1
    of_given = alone if by_itself else above_chance(given, trusted)
    measured = [(f"{len(given)} {where}", of_given, least)]
    if trusted:
        enough = least if len(trusted) >= LEAST_CASES else max(least, FEW_MUST_REACH)
        kind = "trusted case" if len(trusted) == 1 else "trusted cases"
        measured.append((f"{len(trusted)} {kind}", above_chance(trusted, given), enough))
    found = {}
    for index, name in enumerate(classes):
        if alone[index] >= alike:
            continue
        if not any(values[index] >= enough for _, values, enough in measured):  # NaN: no case holds the class
            said = [
                f"{cases} without it"
                if np.isnan(values[index])
                else f"agreement {max(0.0, values[index]):.2f} above chance on {cases}"
                for cases, values, _ in measured
            ]
            found[name] = f"{', '.join(said)}; {least:g} needed"
    return found


def _each_alone(cases: Sequence[Seen]) -> list[float]:
    """Per class, the mean correlation of predictions with labels over the cases that hold it; NaN: none."""
    values = np.array([above_chance([case]) for case in cases])
    known = np.isfinite(values)
    n, total = known.sum(axis=0), np.where(known, values, 0).sum(axis=0)
    return [float(t / m) if m else float("nan") for t, m in zip(total, n, strict=True)]


def _surely(gained: Sequence[float]) -> bool:
    """Whether the mean of what cases gained lies above zero for certain; two of them or one cannot tell."""
    if len(gained) < 3:
        return True
    return bool(np.mean(gained) > SURE_ERRORS * np.std(gained, ddof=1) / len(gained) ** 0.5)


def phi(predicted: FloatArray, labels: BoolArray) -> FloatArray:
    """The correlation of several masks with one: 0 for an empty or full mask, NaN if that one is such.

    Args:
        predicted: `(m n)`, 0 or 1.
        labels: `(n)` booleans.

    >>> phi(np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1.0]]), np.array([True, True, False, False]))
    array([ 1., -1.,  0.])
    """
    n, inside = labels.size, labels.sum()
    if inside in (0, n):
        return np.full(len(predicted), np.nan)
    both, size = predicted @ labels.astype(float), predicted.sum(axis=1)
    spread = np.sqrt(size * (n - size) * float(inside) * float(n - inside))
    return np.where(spread > 0, (n * both - size * inside) / np.where(spread > 0, spread, 1), 0.0)
