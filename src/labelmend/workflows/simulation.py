"""Draw noisy masks from clean ones, case by case, on as many machines as there are."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, MissingDataError, OutputError
from labelmend.html.result import Result
from labelmend.io import (
    LabelFolder,
    ManifestRow,
    append_row,
    checksum,
    open_labels,
    read_manifest,
    spacing_notes,
    write_json,
    write_manifest,
)
from labelmend.io.arrays import (
    Arrays,
    ByCase,
    CaseSpacing,
    ClassNames,
    hold_labels,
    kept_like,
    numbered,
    one_spacing,
)
from labelmend.io.cases import wanted_cases
from labelmend.metrics import dice
from labelmend.noise import SEVERITIES, Noise, Rater, case_generator, draw_raters, find_preset
from labelmend.runtime.output_folder import check_output, kept_folder, names_in
from labelmend.runtime.parallel import check_jobs, each
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.runtime.shard import Shard
from labelmend.types import LabelMap

MANIFEST = "manifest.jsonl"
NAMES = "dataset.json"
METHOD = "simulate"


def simulate(
    labels: str | Path | Arrays,
    out: str | Path | None = None,
    *,
    preset: str | None = None,
    noise: Noise | None = None,
    severity: str = "medium",
    raters: int | None = None,
    seed: int = 0,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    cases: str | Path | Sequence[str] | None = None,
    jobs: int = 1,
    backend: str = "loky",
    shard: str = "1/1",
    progress: Progress = no_progress,
) -> SimulateResult:
    """Draw noisy labels: of a label folder a copy in the same structure and format, of arrays new arrays.

    Every case has a generator of its own, made from the seed and the ids of case and rater, so that neither
    order, number of cases, jobs, shards nor machine changes a mask. A row of `out/manifest.jsonl` keeps the
    parameters drawn and the Dice of noisy to clean per class. The same call on a folder that is partly done
    goes on where it stopped. Integer maps get a `dataset.json` that names their classes.

    Args:
        labels: label folder: integer maps, or one folder of boolean maps per class; or arrays, one per case:
            integers `(*space)`, or booleans `(k *space)` of classes that may overlap.
        out: new or empty folder, or one begun by the same call, which continues; not needed for arrays.
        preset: name of a published setting; either this or `noise`.
        noise: a noise with settings of your own.
        severity: `easy`, `medium` (the settings as they are) or `hard`.
        raters: number of annotators, each with a style, whose masks go to `out/rater_1`, `out/rater_2`, ....
            Default: one noisy copy.
        seed: random seed.
        classes: names and values of the classes, for integer maps without names; names of boolean masks.
        ignore: value of pixels nobody annotated, in integer maps; they stay as they are.
        spacing_mm: per array axis, or one number, for arrays and formats that store none; of arrays also one
            a case.
        cases: only these: ids, or a text file of them.
        jobs: worker processes; 1 works in this process, -1 uses every core.
        backend: `loky` for this machine, `ray` for a Ray cluster.
        shard: "i/n": only the i-th of n parts of the cases; all n runs may write to `out` at the same time.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        ConfigError: neither or both of preset and noise, a preset that does not know the classes, or settings
            that make no sense.
        DataError: labels that cannot be read.
        OutputError: `out` holds something else, cannot be written, or another process writes to it.
        WorkerError: workers that died again and again.
    """
    check_jobs(jobs, backend)
    part, people = Shard.parse(shard), (None,) if raters is None else draw_raters(raters, seed)
    chosen, count = choose_noise(preset, noise, severity), counter(progress, "simulating")
    if not isinstance(labels, str | Path):
        if out is not None or shard != "1/1":
            raise ConfigError("noisy arrays come back as arrays, nothing is written: leave out out and shard")
        held = hold_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
        held = held if cases is None else held.only(*wanted_cases(cases, held))
        chosen.draw(case_generator(seed), held.read(held.cases[0]))
        drawn = []
        pairs = ((case, held.read(case), rater) for case in held.cases for rater in people)
        for row in each(partial(_drawn, chosen, seed), pairs, jobs=jobs, backend=backend):
            drawn.append(row)
            count(row.case, len(held.cases) * len(people))
        return _held_result(labels, drawn, raters=raters is not None)
    if out is None:
        raise ConfigError("noisy files need a folder to lie in: name it (out)")
    folder = open_labels(labels, classes=numbered(classes), ignore=ignore, spacing_mm=one_spacing(spacing_mm))
    folder = folder if cases is None else folder.only(*wanted_cases(cases, folder))
    out = Path(out)
    chosen.draw(case_generator(seed), folder.read(folder.cases[0]))  # misfits show before anything is written
    check_output(out, names_in(out), folders=[folder.path])
    own = part.of(folder.cases)
    files = (path for case in own for path in folder.sources(case))
    notes = tuple(spacing_notes(files, one_spacing(spacing_mm)))
    with kept_folder(out, f"{part.number}-of-{part.count}"):
        done = _prepared(folder, out, people, part)
        work = _Work(chosen, out, seed, part, in_one_process=jobs == 1 and backend == "loky")
        tasks = (
            _Task(folder.only(case), case, rater, done.get(_key(case, rater)))
            for case in own
            for rater in people
        )
        for case in each(work, tasks, jobs=jobs, backend=backend):
            count(case, len(own) * len(people))
        _join_manifests(out, part)
        _check_all(out, [(case, rater) for case in own for rater in people])
    return SimulateResult(out, out, _dice_rows(out), notes)


@dataclass(frozen=True, eq=False, repr=False)
class SimulateResult(Result):
    """What `simulate` drew.

    Args:
        folder: where the noisy masks lie, None of arrays.
        labels: the noisy labels: that folder, arrays as they came in, or these by rater.
        dice: a row for each case, rater ("" without raters) and class: its Dice to the clean mask, None where
            both are empty.
        notes: sentences on what headers say.
    """

    folder: Path | None
    labels: Path | ByCase | dict[str, ByCase]
    dice: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> str:
        """How many masks, and where."""
        n = len({(row["case"], row["rater"]) for row in self.dice})
        return f"{n} noisy annotations" + (f" in {self.folder}" if self.folder else "")

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Dice to the clean masks, lowest first."""
        return sorted(self.dice, key=lambda row: 2.0 if row["dice"] is None else row["dice"])


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One noisy annotation in memory."""

    case: str
    rater: str
    labels: LabelMap
    dice: Mapping[str, float | None]


def _drawn(noise: Noise, seed: int, task: tuple[str, LabelMap, Rater | None]) -> _Drawn:
    """The noisy annotation of a case; the same as of a file with the same case id and seed."""
    case, clean, rater = task
    if rater is None:
        rng, name = case_generator(seed, case), ""
    else:
        rng, name, noise = case_generator(seed, case, rater.name), rater.name, rater.styled(noise)
    noisy = noise.apply(clean, noise.draw(rng, clean))
    return _Drawn(case, name, noisy, _dice(noisy, clean))


def _held_result(given: object, drawn: Sequence[_Drawn], *, raters: bool) -> SimulateResult:
    """Arrays as they came in, or these by rater."""
    by_rater: dict[str, dict[str, NDArray[Any]]] = {}
    for row in drawn:
        by_rater.setdefault(row.rater, {})[row.case] = row.labels.array
    kept = {rater: kept_like(given, arrays) for rater, arrays in by_rater.items()}
    dice = (
        {"case": r.case, "rater": r.rater, "class": c, "dice": v} for r in drawn for c, v in r.dice.items()
    )
    return SimulateResult(None, kept if raters else kept[""], tuple(dice))


def _dice_rows(out: Path) -> tuple[Mapping[str, Any], ...]:
    """The Dice of all masks in a folder, from its manifests."""
    return tuple(
        {"case": case, "rater": rater, "class": name, "dice": value}
        for (case, rater), row in _rows(out).items()
        for name, value in row.extra["dice"].items()
    )


def mean_dice(out: str | Path) -> dict[str, float]:
    """Mean Dice of noisy to clean masks per class over a simulated folder; NaN where no case counts."""
    return mean_dice_by_rater(out)[""]


def mean_dice_by_rater(out: str | Path) -> dict[str, dict[str, float]]:
    """`mean_dice` of all masks under "", and that of each rater under the rater's name."""
    values: dict[str, dict[str, list[float]]] = {"": {}}
    for (_, rater), row in _rows(Path(out)).items():
        for of in dict.fromkeys(("", rater)):
            for name, value in row.extra["dice"].items():
                values.setdefault(of, {}).setdefault(name, []).extend([] if value is None else [value])
    return {
        of: {name: float(np.mean(found)) if found else math.nan for name, found in classes.items()}
        for of, classes in values.items()
    }


@dataclass(frozen=True)
class _Task:
    """One mask to draw: all that a worker needs, and no more than one case of the folder."""

    folder: LabelFolder
    case: str
    rater: Rater | None
    done: ManifestRow | None


@dataclass(frozen=True)
class _Work:
    """What is done to each task; it writes files and row, and leaves a finished case alone."""

    noise: Noise
    out: Path
    seed: int
    shard: Shard
    in_one_process: bool

    def __call__(self, task: _Task) -> str:
        folder, case, rater = task.folder, task.case, task.rater
        home = self.out if rater is None else self.out / rater.name
        noise = self.noise if rater is None else rater.styled(self.noise)
        clean, parent = folder.read(case), checksum(*folder.sources(case))
        rng = (
            case_generator(self.seed, case) if rater is None else case_generator(self.seed, case, rater.name)
        )
        drawn = json.loads(json.dumps(noise.draw(rng, clean)))
        row = ManifestRow(
            case=case,
            files=tuple(file.relative_to(self.out).as_posix() for file in folder.target(home, case)),
            checksum="",
            parent=str(folder.path),
            parent_checksum=parent,
            method=METHOD,
            parameters=drawn if rater is None else {**drawn, "rater": dataclasses.asdict(rater)},
            version=0,
            seed=self.seed,
            reason=f"noise {drawn.get('preset', drawn.get('noise'))} drawn on clean masks",
        )
        if task.done is None or not _is_finished(task.done, row, self.out):
            noisy = noise.apply(clean, drawn)
            written = checksum(*folder.write(home, case, noisy))
            row = dataclasses.replace(row, checksum=written, extra={"dice": _dice(noisy, clean)})
            append_row(self.manifest(), row)
        return case

    def manifest(self) -> Path:
        """The manifest of this process: no two ever append to one file."""
        if self.in_one_process:
            return self.out / self.shard.named(MANIFEST)
        return self.out / f".{platform.node()}-{os.getpid()}-{self.shard.named(MANIFEST)}"


def _key(case: str, rater: Rater | None) -> tuple[str, str]:
    return case, "" if rater is None else rater.name


def _rows(out: Path, pattern: str = "*manifest*.jsonl") -> dict[tuple[str, str], ManifestRow]:
    """The newest row of each case and rater in all manifests of a folder, sorted."""
    # Parts of workers, whose names begin with a dot, come last: they are newer than what was joined before.
    paths = sorted(out.glob(pattern), key=lambda path: (path.name.startswith("."), path))
    rows = [row for path in paths for row in read_manifest(path)]
    found = {(row.case, row.parameters.get("rater", {}).get("name", "")): row for row in rows}
    return dict(sorted(found.items()))


def _join_manifests(out: Path, shard: Shard) -> None:
    """Put the rows that the workers of a shard wrote into its manifest, sorted, one a mask."""
    name = shard.named(MANIFEST)
    rows = list(_rows(out, f"*{name}").values())
    if rows != list(read_manifest(out / name)):
        write_manifest(out / name, rows)
    for path in sorted(out.glob(f".*-{name}")):
        path.unlink()


def choose_noise(preset: str | None, noise: Noise | None, severity: str) -> Noise:
    """The noise that a preset or a noise of the user stands for, at a severity."""
    if severity not in SEVERITIES:
        raise ConfigError(f"no severity called {severity!r}: choose from {', '.join(SEVERITIES)}")
    if preset is not None and noise is not None:
        raise ConfigError("choose a preset or a noise with settings of your own, not both")
    found = find_preset(preset) if preset is not None else noise
    if found is None:
        raise ConfigError("no noise was chosen: name a preset (--preset J1) or a noise (--noise markov)")
    return found if severity == "medium" else found.styled(strength=SEVERITIES[severity])


def _prepared(
    folder: LabelFolder, out: Path, raters: Sequence[Rater | None], shard: Shard
) -> dict[tuple[str, str], ManifestRow]:
    """The rows of the masks already written to `out`, after making sure that it holds nothing else."""
    copies = [out if rater is None else out / rater.name for rater in raters]
    ours = {copy / NAMES for copy in copies}
    ours |= {file for copy in copies for case in folder.cases for file in folder.target(copy, case)}
    found = sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith("."))
    begun = any(_is_manifest(path, out) for path in found)
    strange = [path for path in found if not (begun and (path in ours or _is_manifest(path, out)))]
    if strange:
        raise OutputError(f"{out} already holds {strange[0].relative_to(out)}: choose a new or empty folder")
    if not (out / shard.named(MANIFEST)).exists():
        write_manifest(out / shard.named(MANIFEST), [])
    if not folder.overlapping:
        for copy in copies:
            _write_once(copy / NAMES, folder.dataset_json())
    return _rows(out)


def _is_manifest(path: Path, out: Path) -> bool:
    return path.parent == out and path.name.startswith("manifest") and path.suffix == ".jsonl"


def _check_all(out: Path, masks: Sequence[tuple[str, Rater | None]]) -> None:
    """Raise an OutputError if files were removed while others were drawn."""
    rows = _rows(out)
    found = [rows.get(_key(case, rater)) for case, rater in masks]
    gone = sum(row is None or not all((out / file).is_file() for file in row.files) for row in found)
    if gone:
        raise OutputError(
            f"{gone} of {len(masks)} masks in {out} were removed while others were drawn: run the same "
            "command again"
        )


def _write_once(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that other shards may be writing at the same time."""
    try:
        if not path.exists():
            write_json(path, content)
    except OutputError:
        if not path.exists():
            raise


def _is_finished(done: ManifestRow, row: ManifestRow, out: Path) -> bool:
    """True if a case was written by this very call; False if its files have gone since.

    Args:
        done: the row found in the manifest.
        row: the row to be written, as yet without checksum.
        out: folder of the manifest.

    Raises:
        OutputError: the files come from other settings or other clean labels, or were changed since.
    """
    where = f"case {row.case} in {out}"
    if (done.method, done.parameters, done.seed) != (row.method, row.parameters, row.seed):
        raise OutputError(f"{where} was written with other settings: choose another folder")
    if done.parent_checksum != row.parent_checksum:
        raise OutputError(f"{where} was drawn from other clean labels than now: choose another folder")
    try:
        found = checksum(*(out / file for file in row.files))
    except MissingDataError:
        return False
    if found != done.checksum:
        raise OutputError(f"{where} was changed after it was written: choose another folder")
    return True


def _dice(noisy: LabelMap, clean: LabelMap) -> dict[str, float | None]:
    """Dice per class outside ignored pixels, None where both masks are empty."""
    ignored = clean.ignored()
    scores = {name: dice(noisy.mask(name), clean.mask(name), ignored) for name in clean.names}
    return {name: None if math.isnan(score) else round(score, 6) for name, score in scores.items()}
