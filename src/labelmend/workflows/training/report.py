"""One self-contained page for a finished run: what was off, what changed, which cases to look at first."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import GeometryError, MissingDataError
from labelmend.html import text as words
from labelmend.html.figures import CLEAN, CORRECTED, GIVEN, data_uri, grey
from labelmend.html.page import csp_hash, templates
from labelmend.html.slice_view import Plane, choose_plane, svg_path
from labelmend.io import read_image, write_text
from labelmend.workflows.training import report_text
from labelmend.workflows.training.report_changes import (
    CaseChange,
    CaseMasks,
    RunFolders,
    mean,
    measure_all,
    open_folders,
    read_masks,
)
from labelmend.workflows.training.report_charts import bias_axis, slopes
from labelmend.workflows.training.report_summary import ClassBias, RunSummary, read_summary

LONGEST_SIDE = 1024
"""Pixels; larger pictures are shown with every second, third, ... pixel, and the page says so."""


@dataclass(frozen=True)
class Outline:
    """One SVG path: whose it is (given, corrected, clean), of which class (position), and its `d`."""

    kind: str
    class_index: int
    path: str


@dataclass(frozen=True)
class Picture:
    """The overlay of one case."""

    uri: str
    width: int
    height: int
    plane: Plane
    step: int
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class ClassTotals:
    """One class over all cases; Dice means leave out cases where both masks are empty."""

    name: str
    n_changed: int
    n_cases: int
    dice: float | None
    lowest_dice: float | None
    added_vox: float
    removed_vox: float
    displacement: float | None
    given_dice: float | None
    corrected_dice: float | None
    pairs: tuple[tuple[float, float], ...]

    @property
    def n_closer(self) -> int:
        return sum(after > before for before, after in self.pairs)

    @property
    def n_further(self) -> int:
        return sum(after < before for before, after in self.pairs)


def write_report(
    run: Path, *, max_cases: int = 40, on_case: Callable[[str], None] = lambda case: None
) -> Path:
    """Write RUN/report.html from RUN/summary.json and the folders it names; nothing else is read.

    Args:
        run: folder of a finished run.
        max_cases: cases shown with a picture, largest change first; the others are rows of a table.
        on_case: called with each case id once its labels are read.

    Returns:
        The path of the page.

    Raises:
        MissingDataError: the summary, a folder, or the labels or the image of a case is not there.
        UnreadableFileError: the summary cannot be used.
        GeometryError: shapes of one case differ between folders.
    """
    summary = read_summary(Path(run))
    folders = open_folders(summary)
    changes = measure_all(folders, summary, on_case)
    pictures = [_picture(folders, summary, change) for change in changes[:max_cases]]
    page = Path(run) / "report.html"
    write_text(page, render(summary, changes, pictures))
    return page


def render(summary: RunSummary, changes: Sequence[CaseChange], pictures: Sequence[Picture]) -> str:
    """The page as text; names are escaped by the template.

    Args:
        summary: what the run says.
        changes: all cases, in the order in which they are shown.
        pictures: overlays of the first of them.
    """
    environment = templates(
        "labelmend.workflows.training",
        number=words.number,
        signed=words.signed,
        count=words.count,
        csp_hash=csp_hash,
    )
    totals = [_class_totals(summary, changes, index) for index in range(len(summary.classes))]
    biases = [bias for round_ in summary.rounds for bias in round_.bias]
    known = [change for change in changes if change.given_dice is not None]
    n_changed = sum(any(c.added_vox) or any(c.removed_vox) for c in changes)
    return environment.get_template("report.html.jinja").render(
        summary=summary,
        changes=changes,
        pictures=pictures,
        totals=totals,
        axis=bias_axis(biases),
        bias_rows=_bias_rows(summary),
        slopes=slopes([total.pairs for total in totals]),
        n_known=len(known),
        n_worse=sum(change.worse for change in known),
        n_changed=n_changed,
        headline=report_text.headline(summary, n_changed),
        pixel="voxel" if any(change.ndim == 3 for change in changes) else "pixel",
        colours={"given": GIVEN, "corrected": CORRECTED, "clean": CLEAN},
        mean=mean,
    )


def _bias_rows(summary: RunSummary) -> list[dict[str, Any]]:
    """Per class that was measured: the first round's bias, its sentences, and what later rounds found."""
    confidence = summary.parameters.get("confidence")
    sure = float(confidence) if isinstance(confidence, int | float) else None
    found: dict[str, list[tuple[int, ClassBias]]] = {name: [] for name in summary.classes}
    for round_ in summary.rounds:
        for bias in round_.bias:
            found.setdefault(bias.name, []).append((round_.number, bias))
    return [
        {
            "bias": entries[0][1],
            "sentence": report_text.bias_sentence(entries[0][1], summary.unit, sure),
            "decision": report_text.decision(entries[0][1]),
            "later": [(bias, report_text.later_round(bias, n, summary.unit)) for n, bias in entries[1:]],
        }
        for entries in found.values()
        if entries
    ]


def _class_totals(summary: RunSummary, changes: Sequence[CaseChange], index: int) -> ClassTotals:
    dice = [c.dice[index] for c in changes]
    before = [c.given_dice[index] for c in changes if c.given_dice is not None]
    after = [c.corrected_dice[index] for c in changes if c.corrected_dice is not None]
    pairs = tuple((b, a) for b, a in zip(before, after, strict=True) if b is not None and a is not None)
    changed = [c for c in changes if c.added_vox[index] or c.removed_vox[index]]
    return ClassTotals(
        name=summary.classes[index],
        n_changed=len(changed),
        n_cases=len(changes),
        dice=mean(dice),
        lowest_dice=min((d for d in dice if d is not None), default=None),
        added_vox=statistics.median([c.added_vox[index] for c in changes] or [0]),
        removed_vox=statistics.median([c.removed_vox[index] for c in changes] or [0]),
        displacement=mean([c.facts.displacement[index] for c in changed]),
        given_dice=mean([b for b, _ in pairs]),
        corrected_dice=mean([a for _, a in pairs]),
        pairs=pairs,
    )


def _picture(folders: RunFolders, summary: RunSummary, change: CaseChange) -> Picture:
    """The overlay of one case: its image on the plane with the largest change, and all outlines there."""
    case = change.facts.case
    if case not in folders.images:
        raise MissingDataError(f"case {case!r} of the summary has no image in {summary.images}")
    masks = read_masks(folders, summary, change.facts)
    image = read_image(folders.images[case], spacing_mm=summary.spacing_mm).onto(masks.grid).array
    if image.shape[1:] != masks.grid.shape:
        raise GeometryError(
            f"case {case!r}: image has shape {image.shape[1:]}, its labels {masks.grid.shape}"
        )
    plane = choose_plane(masks.grid, _weight(masks))
    flat = np.stack([plane.take(channel) for channel in image])
    step = -(-max(flat.shape[1:]) // LONGEST_SIDE)
    pixels = grey(flat)[::step, ::step]
    kinds = {"given": masks.given, "corrected": masks.corrected, "clean": masks.clean}
    paths = tuple(
        Outline(kind, index, svg_path(plane.take(mask)[::step, ::step]))
        for kind, stack in kinds.items()
        if stack is not None
        for index, mask in enumerate(stack)
    )
    height, width = pixels.shape
    return Picture(data_uri(pixels), width, height, plane, step, tuple(p for p in paths if p.path))


def _weight(masks: CaseMasks) -> np.ndarray:
    """Number of classes that changed at each pixel; where none did, the number of given ones."""
    changed, given = np.zeros(masks.grid.shape, int), np.zeros(masks.grid.shape, int)
    for old, new in zip(masks.given, masks.corrected, strict=True):
        changed += (old != new) & masks.valid
        given += old
    return changed if changed.any() else given
