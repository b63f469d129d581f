"""What a run says about itself: RUN/summary.json as frozen values, checked once, here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmend.errors import MissingDataError, UnreadableFileError
from labelmend.io.files.reading import read_json

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class ClassBias:
    """The bias of one class after one round, in the unit of the run; negative: the outlines run too large.

    Args:
        name: class name.
        mean: mean signed distance from clean to predicted boundary, None where nothing could be measured.
        low: lower end of its interval, or None.
        high: upper end of its interval, or None.
        n_cases: trusted cases it was measured on.
        moved: whether the outlines of this class were moved by it.
        why: one sentence on that decision.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    n_cases: int
    moved: bool
    why: str


@dataclass(frozen=True)
class RoundFacts:
    """One round: a training from scratch and the revision after it."""

    number: int
    loss: float | None
    bias: tuple[ClassBias, ...]
    n_revised: int


@dataclass(frozen=True)
class CaseFacts:
    """What the method said about one case; the masks themselves are read from the label folders.

    Args:
        case: case id.
        version: version of the labels that were written last; 0 = never revised.
        reason: one sentence.
        displacement: per class, mean displacement of the outline, positive outward, in the unit of the run.
        confidence: in [0, 1], or None.
    """

    case: str
    version: int
    reason: str
    displacement: Values
    confidence: float | None


@dataclass(frozen=True)
class RunSummary:
    """RUN/summary.json; paths are resolved against the run.

    Args:
        run: folder of the run.
        labelmend_version: version that wrote it.
        method: name of the method.
        parameters: its hyper-parameters.
        paper: where the method comes from.
        classes: names of the k foreground classes.
        overlapping: whether a pixel may belong to several classes.
        unit: "mm" or "px", the unit of all lengths.
        images: folder of the training images.
        given: folder of the labels as delivered.
        corrected: folder of the labels that the run wrote.
        reference: folder of the clean labels, where they are known.
        spacing_mm: spacing that was set for formats without one, or None.
        label_values: value of each class in integer maps, or None.
        ignore: value that marks pixels nobody annotated, or None.
        clean_cases: ids of the trusted cases.
        rounds: what each round measured.
        cases: what was said about each training case.
        notes: sentences for the reader.
    """

    run: Path
    labelmend_version: str
    method: str
    parameters: Mapping[str, Any]
    paper: str
    classes: tuple[str, ...]
    overlapping: bool
    unit: str
    images: Path
    given: Path
    corrected: Path
    reference: Path | None
    spacing_mm: tuple[float, ...] | float | None
    label_values: Mapping[str, int] | None
    ignore: int | None
    clean_cases: tuple[str, ...]
    rounds: tuple[RoundFacts, ...]
    cases: tuple[CaseFacts, ...]
    notes: tuple[str, ...] = ()


def read_summary(run: Path) -> RunSummary:
    """The summary of a finished run.

    Args:
        run: folder that `labelmend train` wrote.

    Raises:
        MissingDataError: there is no summary.json.
        UnreadableFileError: it is no JSON, or an entry is missing or of the wrong kind.
    """
    path = Path(run) / "summary.json"
    if not path.is_file():
        raise MissingDataError(
            f"no finished run in {run}: {path} is not there; let `labelmend train` end first"
        )
    try:
        raw = read_json(path)
        return _summary(Path(run), raw)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        what = f"entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise UnreadableFileError(
            f"cannot use {path}: {what}; run `labelmend train` again to write it"
        ) from error


def _summary(run: Path, raw: Mapping[str, Any]) -> RunSummary:
    classes = tuple(str(name) for name in raw["classes"])
    return RunSummary(
        run=run,
        labelmend_version=str(raw["labelmend_version"]),
        method=str(raw["method"]),
        parameters=dict(raw["parameters"]),
        paper=str(raw.get("paper") or ""),
        classes=classes,
        overlapping=bool(raw["overlapping"]),
        unit=str(raw["unit"]),
        images=run / raw["images"],
        given=run / raw["given"],
        corrected=run / raw["corrected"],
        reference=run / raw["reference"] if raw.get("reference") else None,
        spacing_mm=_spacing(raw.get("spacing_mm")),
        label_values={str(k): int(v) for k, v in raw["label_values"].items()}
        if raw.get("label_values")
        else None,
        ignore=None if raw.get("ignore") is None else int(raw["ignore"]),
        clean_cases=tuple(str(case) for case in raw["clean_cases"]),
        rounds=tuple(_round(entry) for entry in raw["rounds"]),
        cases=tuple(_case(entry, len(classes)) for entry in raw["cases"]),
        notes=tuple(str(note) for note in raw.get("notes") or ()),
    )


def _spacing(raw: Any) -> tuple[float, ...] | float | None:
    if raw is None:
        return None
    return float(raw) if isinstance(raw, int | float) else tuple(float(value) for value in raw)


def _round(raw: Mapping[str, Any]) -> RoundFacts:
    """One round; findings of a method that measures no bias have no `mean_mm` and are passed over."""
    bias = tuple(
        ClassBias(
            name=str(entry["class"]),
            mean=_number(entry["mean_mm"]),
            low=_number(entry.get("low_mm")),
            high=_number(entry.get("high_mm")),
            n_cases=int(entry.get("n_cases") or 0),
            moved=bool(entry.get("moved")),
            why=str(entry.get("why") or ""),
        )
        for entry in raw.get("bias") or ()
        if "mean_mm" in entry
    )
    return RoundFacts(int(raw["round"]), _number(raw.get("loss")), bias, int(raw["n_revised"]))


def _case(raw: Mapping[str, Any], n_classes: int) -> CaseFacts:
    displacement = tuple(_number(value) for value in raw["displacement_mm"])
    if len(displacement) != n_classes:
        raise ValueError(
            f"case {raw['case']!r} has {len(displacement)} displacements for {n_classes} classes"
        )
    return CaseFacts(
        case=str(raw["case"]),
        version=int(raw["version"]),
        reason=str(raw.get("reason") or ""),
        displacement=displacement,
        confidence=_number(raw.get("confidence")),
    )


def _number(value: Any) -> float | None:
    """A finite float, or None for null, NaN and infinity."""
    return None if value is None or not math.isfinite(value) else float(value)
