"""Draw noisy masks from a folder of clean ones, case by case."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from labelmend.errors import ConfigError, MissingDataError, OutputError
from labelmend.io import (
    LabelFolder,
    ManifestRow,
    append_row,
    checksum,
    open_labels,
    read_manifest,
    write_json,
    write_text,
)
from labelmend.metrics import dice
from labelmend.noise import Noise, case_generator, find_preset
from labelmend.types import LabelMap

MANIFEST = "manifest.jsonl"
NAMES = "dataset.json"
METHOD = "simulate"


def simulate(
    labels: str | Path,
    out: str | Path,
    *,
    preset: str | None = None,
    noise: Noise | None = None,
    seed: int = 0,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    on_case: Callable[[str, int], None] = lambda case, n_cases: None,
) -> Path:
    """Write a noisy copy of a label folder, in the same structure and format.

    Every case has a generator of its own, made from the seed and the case id, so that neither the order nor
    the number of the cases changes a mask. A row of `out/manifest.jsonl` keeps the parameters drawn and the
    Dice of noisy to clean per class. The same call on a folder that is partly done goes on where it stopped.
    Integer maps get a `dataset.json` that names their classes.

    Args:
        labels: label folder: integer maps, or one folder of boolean maps a class.
        out: folder to write to; new, empty, or begun by the same call.
        preset: name of a published setting; either this or `noise`.
        noise: a noise with settings of your own.
        seed: of everything random.
        classes: names and values of the classes, for integer maps without `dataset.json`.
        ignore: value of pixels nobody annotated, in integer maps; they stay as they are.
        spacing_mm: per array axis, or one number, for formats that store none.
        on_case: called after each case with its id and the number of cases.

    Returns:
        `out`.

    Raises:
        ConfigError: neither or both of preset and noise, or a preset that does not know the classes.
        DataError: labels that cannot be read.
        OutputError: `out` holds something else, or cannot be written.
    """
    chosen = _choose(preset, noise)
    folder = open_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    out = Path(out)
    chosen.draw(case_generator(seed), folder.read(folder.cases[0]))  # misfits show before anything is written
    done = _prepared(folder, out)
    for case in folder.cases:
        clean, parent = folder.read(case), checksum(*folder.sources(case))
        params = json.loads(json.dumps(chosen.draw(case_generator(seed, case), clean)))
        row = ManifestRow(
            case=case,
            files=tuple(file.relative_to(out).as_posix() for file in folder.target(out, case)),
            checksum="",
            parent=str(folder.path),
            parent_checksum=parent,
            method=METHOD,
            parameters=params,
            version=0,
            seed=seed,
            reason=f"noise {params.get('preset', params.get('noise'))} drawn on clean masks",
        )
        if case not in done or not _is_finished(done[case], row, out):
            noisy = chosen.apply(clean, params)
            written = checksum(*folder.write(out, case, noisy))
            row = dataclasses.replace(row, checksum=written, extra={"dice": _dice(noisy, clean)})
            append_row(out / MANIFEST, row)
        on_case(case, len(folder.cases))
    return out


def mean_dice(out: str | Path) -> dict[str, float]:
    """Mean Dice of noisy to clean masks per class over a simulated folder; NaN where no case counts."""
    rows = {row.case: row for row in read_manifest(Path(out) / MANIFEST)}
    values: dict[str, list[float]] = {}
    for row in rows.values():
        for name, value in row.extra["dice"].items():
            values.setdefault(name, []).extend([] if value is None else [value])
    return {name: float(np.mean(found)) if found else math.nan for name, found in values.items()}


def _choose(preset: str | None, noise: Noise | None) -> Noise:
    if preset is not None and noise is not None:
        raise ConfigError("choose a preset or a noise with settings of your own, not both")
    if preset is not None:
        return find_preset(preset)
    if noise is None:
        raise ConfigError("no noise was chosen: name a preset (--preset J1) or a noise (--noise markov)")
    return noise


def _prepared(folder: LabelFolder, out: Path) -> dict[str, ManifestRow]:
    """The rows of the cases already written to `out`, after making sure that it holds nothing else."""
    home = folder.path.resolve()
    if home in (out.resolve(), *out.resolve().parents):
        raise OutputError(
            f"{out} lies in the folder of the clean labels {folder.path}: choose another folder"
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: name a folder to write to")
    found = (
        sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith("."))
        if out.exists()
        else []
    )
    ours = {out / MANIFEST, out / NAMES, *(t for case in folder.cases for t in folder.target(out, case))}
    strange = [path for path in found if path not in ours or out / MANIFEST not in found]
    if strange:
        raise OutputError(f"{out} already holds {strange[0].relative_to(out)}: choose a new or empty folder")
    if not found:
        write_text(out / MANIFEST, "")
    if not folder.overlapping:
        names = {"background": 0, **folder.class_map()}
        write_json(
            out / NAMES, {"labels": names if folder.ignore is None else {**names, "ignore": folder.ignore}}
        )
    return {row.case: row for row in read_manifest(out / MANIFEST)}


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
    scores = {
        name: dice(a, b, ignored)
        for name, a, b in zip(clean.classes, noisy.masks(), clean.masks(), strict=True)
    }
    return {name: None if math.isnan(score) else round(score, 6) for name, score in scores.items()}
