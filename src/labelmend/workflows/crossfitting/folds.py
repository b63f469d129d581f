"""Which case is predicted by which network: folds that keep the cases of one patient together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import ConfigError, DataError, MissingDataError
from labelmend.io.files.case_column import read_case_column
from labelmend.io.files.reading import read_json

GROUP = "group"
"""Column of the CSV file that says which cases belong together."""


def make_folds(
    cases: Sequence[str], n_folds: int, *, groups: str | Path | None = None, seed: int = 0
) -> dict[str, int]:
    """Per case the fold that holds it out, 0 to n - 1.

    Args:
        cases: case ids.
        n_folds: number of folds; ignored if `groups` is a splits_final.json, which has its own.
        groups: CSV file with the columns `case` and `group` (a patient, a site), or nnU-Net's
            splits_final.json. Cases of one group share a fold.
        seed: random seed of the assignment.

    Raises:
        ConfigError: fewer than two folds, or fewer groups than folds.
        DataError, MissingDataError: a file that does not describe these cases.
    """
    if groups is not None and Path(groups).suffix == ".json":
        return _from_splits(Path(groups), cases)
    group_of = dict(zip(cases, cases, strict=True))
    if groups is not None:
        named = read_case_column(groups, GROUP, cases)
        without = [case for case in cases if not named.get(case)]
        if without:
            raise MissingDataError(f"{groups} names no group for case {without[0]}: add a line for it")
        group_of = named
    return balanced_folds(group_of, n_folds, seed=seed)


def balanced_folds(group_of: Mapping[str, str], n_folds: int, *, seed: int = 0) -> dict[str, int]:
    """Spread groups over folds of similar size: larger groups first, each into the smallest fold so far.

    Args:
        group_of: per case its group.
        n_folds: number of folds.
        seed: random seed; it decides on the order of groups of one size.

    >>> balanced_folds({"a1": "a", "a2": "a", "b": "b", "c": "c"}, 2)
    {'a1': 0, 'a2': 0, 'b': 1, 'c': 1}
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for case in sorted(group_of):
        members[group_of[case]].append(case)
    if n_folds < 2:
        raise ConfigError(f"folds must be at least 2, got {n_folds}: each case is predicted by a network "
                          "that was trained on other folds")  # fmt: skip
    if len(members) < n_folds:
        raise ConfigError(
            f"there are {len(members)} cases or groups, too few for {n_folds} folds: choose fewer folds"
        )
    names = sorted(members)
    names = [names[i] for i in np.random.default_rng([seed, 29]).permutation(len(names))]
    sizes, fold_of = [0] * n_folds, dict[str, int]()
    for name in sorted(names, key=lambda name: -len(members[name])):
        fold = min(range(n_folds), key=sizes.__getitem__)
        sizes[fold] += len(members[name])
        fold_of |= dict.fromkeys(members[name], fold)
    return dict(sorted(fold_of.items()))


def _from_splits(path: Path, cases: Sequence[str]) -> dict[str, int]:
    """Folds of nnU-Net: a list of objects with the case ids of `train` and `val`."""
    content: Any = read_json(path)
    if not isinstance(content, list) or not all(
        isinstance(split, dict) and isinstance(split.get("val"), list) for split in content
    ):
        raise DataError(f"{path} is not a splits_final.json of nnU-Net: expected a list of train and val ids")
    fold_of: dict[str, int] = {}
    for fold, split in enumerate(content):
        for case in split["val"]:
            if fold_of.setdefault(case, fold) != fold:
                raise DataError(f"{path} holds out case {case} in folds {fold_of[case]} and {fold}")
            if case in split.get("train", ()):
                raise DataError(f"{path}: fold {fold} trains on case {case} and holds it out")
    without = [case for case in cases if case not in fold_of]
    if without:
        raise MissingDataError(f"no fold of {path} holds out case {without[0]}: add it to a val list")
    return {case: fold_of[case] for case in cases}
