"""Learn noise from folders: given and clean masks, or several annotators of the same cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from labelmend.errors import ConfigError, MissingDataError
from labelmend.io import LabelFolder, open_labels, spacing_notes, write_json
from labelmend.io.labels.label_pair import asked_for, common_grid, common_unit, open_pair, pair_notes
from labelmend.runtime.output_folder import check_output, whole_folder
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.types import BoolArray, Grid, LabelMap
from labelmend.workflows.noise_fitting.displacement import Displacement, Pair
from labelmend.workflows.noise_fitting.markov import fit_markov, summarise_displacements
from labelmend.workflows.noise_fitting.page import write_noise_page
from labelmend.workflows.noise_fitting.raters import (
    Comparisons,
    compare_raters,
    fit_raters,
    pool_comparisons,
)
from labelmend.workflows.noise_fitting.result import ClassNoise, NoiseFit, RatersFit

RESULT, PAGE = "fit.json", "fit.html"


def fit_noise(
    given: str | Path,
    clean: str | Path,
    *,
    out: str | Path | None = None,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    flip: float = 0.05,
    flips: Sequence[float] | None = None,
    speckle: float | None = None,
    smooth: bool | None = None,
    n_boot: int = 500,
    level: float = 0.95,
    max_cases: int = 200,
    cases: str | Path | Sequence[str] | None = None,
    seed: int = 0,
    page: bool = True,
    progress: Progress = no_progress,
) -> NoiseFit:
    """Measure the errors of given labels and fit the Markov noise, class by class.

    Noise is fitted to each class mask independently; that exclusive classes displace each other is not
    modelled.

    Args:
        given: label folder with the errors to learn.
        clean: label folder with the ground truth; it may hold more cases.
        out: folder for `fit.json`, if anything is to be written.
        classes: value of each class name, for integer maps without a `dataset.json`.
        ignore: value that marks ignored pixels in integer maps.
        spacing_mm: per array axis, or one number, for formats that store none.
        flip: fixed, since it trades off with the number of steps.
        flips: other values for the profile. Default: half and double.
        speckle: fixes it. Default: estimated.
        smooth: fixes it. Default: detected.
        n_boot: bootstrap replicates for intervals.
        level: level of the intervals.
        max_cases: most cases to simulate on.
        cases: only these: ids, or a text file of them.
        seed: random seed.
        page: also write the page fit.html.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        MissingDataError: a folder, or the clean labels of a case, are missing.
        DataError, ConfigError: unusable labels, or a class without any boundary.
        OutputError: `out` holds other files.
    """
    given, clean = Path(given), Path(clean)
    with _result_folder(out, (given, clean), page) as write:
        ours, theirs = open_pair(given, clean, classes, ignore, spacing_mm, cases)
        names, units = theirs.classes, {}
        pairs: dict[str, list[Pair]] = {name: [] for name in names}
        measured: dict[str, list[Displacement]] = {name: [] for name in names}
        count = counter(progress, "measuring")
        for case in ours.cases:
            drawn, truth = ours.read(case), theirs.read(case)
            grid = _grid(drawn, truth, ours, theirs, case)
            units[case] = grid.unit
            ignored = drawn.ignored() | truth.ignored()
            for name in truth.classes:
                mask = truth.mask(name)
                pair = Pair(drawn.mask(name), mask, grid.spacing_mm, ignored if ignored.any() else None)
                pairs[name].append(pair)
                measured[name].append(pair.against_clean(pair.given))
            count(case, len(ours.cases))
        unit = common_unit(units)
        more = (flip / 2, min(2 * flip, 1.0)) if flips is None else tuple(flips)
        found = []
        for name in names:
            if not any(math.isfinite(d.bias_mm) for d in measured[name]):
                raise MissingDataError(
                    f"class {name!r} has no case with a boundary in both {given} and {clean}: leave it out "
                    "with --classes"
                )
            fit = fit_markov(
                pairs[name], measured[name], flip=flip, flips=more, speckle=speckle, smooth=smooth,
                n_boot=n_boot, level=level, max_cases=max_cases, seed=seed,
                count=counter(progress, f"simulating {name}"),
            )  # fmt: skip
            summary = summarise_displacements(measured[name], n_boot=n_boot, level=level, seed=seed)
            found.append(ClassNoise(name, ours.cases, tuple(measured[name]), summary, fit))
        notes = (*asked_for(cases, ours), *pair_notes(ours, theirs, spacing_mm))
        result = NoiseFit(given, clean, unit, level, tuple(found), notes)
        write(result)
    return result


def fit_rater_noise(
    folders: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    n_boot: int = 500,
    level: float = 0.95,
    seed: int = 0,
    page: bool = True,
    progress: Progress = no_progress,
) -> RatersFit:
    """Bias and roughness of each annotator, from label folders of the same cases without ground truth.

    A case counts for the annotators who have it; at least two must. Pixels ignored by either of two
    annotators count as equal.

    Args:
        folders: one label folder per annotator, with the same classes.
        out: folder for `fit.json`, if anything is to be written.
        classes: value of each class name, for integer maps without a `dataset.json`.
        ignore: value that marks ignored pixels in integer maps.
        spacing_mm: per array axis, or one number, for formats that store none.
        n_boot: how many times the cases are drawn for intervals.
        level: of the intervals.
        seed: random seed.
        page: also write the page fit.html.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        ConfigError: fewer than two folders, a duplicate, or differing classes.
        MissingDataError: no two folders share a case.
        DataError: unusable labels, or annotators that cannot be compared.
        OutputError: `out` holds other files.
    """
    paths = tuple(Path(folder) for folder in folders)
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(
            f"got {len(paths)} annotator folders ({', '.join(map(str, paths))}): expected two or more"
        )
    with _result_folder(out, paths, page) as write:
        opened = [_open_shared(path, paths[0], classes, ignore, spacing_mm) for path in paths]
        counts: dict[str, int] = {}
        for folder in opened:
            counts |= {case: counts.get(case, 0) + 1 for case in folder.cases}
        cases = sorted(case for case, n in counts.items() if n > 1)
        if not cases:
            raise MissingDataError(
                f"no case is in two of the folders {', '.join(map(str, paths))}: annotators must share cases "
                "with the same file names"
            )
        names, units = opened[0].classes, {}
        found: dict[str, list[Comparisons]] = {name: [] for name in names}
        count = counter(progress, "comparing")
        for case in cases:
            holders = [folder if case in folder.files else None for folder in opened]
            labels = [None if folder is None else folder.read(case) for folder in holders]
            grid = _one_grid(labels, holders, case)
            units[case] = grid.unit
            for name in names:
                found[name].append(compare_raters(_masks_of(labels, name), grid.spacing_mm))
            count(case, len(cases))
        raters = rater_names(paths)
        fits = {
            name: fit_raters(pool_comparisons(found[name]), raters, n_boot=n_boot, level=level, seed=seed)
            for name in names
        }
        files = (path for f in opened for case in cases if case in f.files for path in f.sources(case))
        notes = spacing_notes(files, spacing_mm)
        result = RatersFit(paths, common_unit(units), level, len(cases), fits, notes)
        write(result)
    return result


def rater_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Folder names; full paths if names repeat.

    >>> rater_names([Path("a/first"), Path("b/second")])
    ('first', 'second')
    """
    names = tuple(path.resolve().name for path in paths)
    return names if len(set(names)) == len(names) else tuple(map(str, paths))


@contextmanager
def _result_folder(
    out: str | Path | None, sources: Sequence[Path], page: bool
) -> Iterator[Callable[[NoiseFit | RatersFit], None]]:
    """The function that writes the result: to a new or empty folder, over an earlier fit, or nowhere."""
    if out is None:
        yield lambda result: None
        return
    check_output(out, (RESULT, PAGE), folders=sources)
    with whole_folder(out, (RESULT, PAGE)) as folder:

        def write(result: NoiseFit | RatersFit) -> None:
            write_json(folder / RESULT, result.as_dict())
            if page:
                write_noise_page(folder)

        yield write


def _open_shared(
    path: Path,
    first: Path,
    classes: Mapping[str, int] | None,
    ignore: int | None,
    spacing_mm: Sequence[float] | float | None,
) -> LabelFolder:
    """A folder with the classes of the first one, whatever its cases."""
    folder = open_labels(path, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    other = open_labels(first, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    if set(folder.classes) != set(other.classes):
        raise ConfigError(
            f"{path} has classes {', '.join(folder.classes)}, {first} has {', '.join(other.classes)}: "
            "rename the class folders, or give the classes with their values"
        )
    return folder


def _grid(one: LabelMap, other: LabelMap, ours: LabelFolder, theirs: LabelFolder, case: str) -> Grid:
    files = f"{ours.sources(case)[0]} and {theirs.sources(case)[0]}"
    return common_grid(one.grid, other.grid, f"case {case}: {files}")


def _one_grid(labels: Sequence[LabelMap | None], holders: Sequence[LabelFolder | None], case: str) -> Grid:
    """The grid that all annotators of a case share, or an error that names two files."""
    there = [(m, h) for m, h in zip(labels, holders, strict=True) if m is not None and h is not None]
    grid = there[0][0].grid
    for other, folder in there[1:]:
        files = f"{there[0][1].sources(case)[0]} and {folder.sources(case)[0]}"
        grid = common_grid(grid, other.grid, f"case {case}: {files}")
    return grid


def _masks_of(labels: Sequence[LabelMap | None], name: str) -> list[BoolArray | None]:
    """The masks of a class; pixels ignored by any annotator are background in all."""
    ignored = np.logical_or.reduce([m.ignored() for m in labels if m is not None])
    return [None if m is None else m.mask(name) & ~ignored for m in labels]
