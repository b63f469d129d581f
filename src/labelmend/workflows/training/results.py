"""What a finished run leaves in its folder: model, corrected labels, manifest and summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend import __version__
from labelmend.errors import OutputError
from labelmend.html.result import Result, changed_cases
from labelmend.io import (
    ManifestRow,
    append_row,
    checksum,
    read_manifest,
    write_json,
)
from labelmend.io.files.reading import read_object
from labelmend.methods.base import hyper_parameters
from labelmend.methods.registry import method_name
from labelmend.model.files import save_model
from labelmend.model.predictor import card_to_json
from labelmend.workflows.training.run import Plan, RunState
from labelmend.workflows.training.run_folder import MANIFEST, missing_labels


@dataclass(frozen=True, eq=False, repr=False)
class RunResult(Result):
    """Where a finished run lies.

    Args:
        folder: the plan.
        labels: corrected labels, in the structure and format of the given ones.
        summary: what was measured and changed, the content of summary.json.
        is_main: False in the helper processes of a run on several processes; they report nothing.
    """

    folder: Path
    labels: Path
    summary: dict[str, Any]
    is_main: bool = True

    def headline(self) -> str:
        """How many cases were corrected, and where the run lies."""
        cases = self.summary["cases"]
        n_corrected = sum(case["version"] > 0 for case in cases)
        return f"{n_corrected} of {len(cases)} cases corrected, run in {self.folder}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The cases, those with most changed pixels first."""
        return changed_cases(self.summary["cases"])

    def remarks(self) -> Sequence[str]:
        """What was noted on the way."""
        return list(self.summary["notes"])


def write_outputs(plan: Plan, state: RunState) -> RunResult:
    """Model, corrected labels, manifest and summary of a finished run; parts that are there already stay."""
    folder, summary_path = plan.folder, plan.folder / "summary.json"
    if plan.accelerator.is_main_process and not (summary_path.exists() and not missing_labels(folder)):
        save_model(folder, state.networks[0], card_to_json(plan.card, _final_correction(plan, state)))
        cases = _write_labels(plan, state)
        if len(read_manifest(folder / MANIFEST)) < len(cases) or missing_labels(folder):
            raise OutputError(
                f"labels in {folder} were removed while others were written: run the same command again"
            )
        write_json(summary_path, _summary(plan, state, cases))
    plan.accelerator.wait_for_everyone()
    summary = read_object(
        summary_path, ("cases", "rounds", "notes"), "remove it and give the train command again"
    )
    return RunResult(folder, folder / "labels", summary, plan.accelerator.is_main_process)


def _final_correction(plan: Plan, state: RunState) -> dict[str, Any] | None:
    """What undoes the bias of the last network; None if it was not measured on cases new to it."""
    if not state.rows or state.rows[-1]["round"] != state.round:
        return None
    settings = plan.method.correction(state.method)
    if settings is None:
        return None
    return {
        "method": method_name(plan.method),
        "parameters": hyper_parameters(plan.method),
        "settings": settings,
    }


def _write_labels(plan: Plan, state: RunState) -> list[dict[str, Any]]:
    """Corrected labels of every training case with their manifest rows; returns what the revisions said."""
    training, target, manifest = plan.data.training, plan.folder / "labels", plan.folder / MANIFEST
    written = {row.case: row for row in read_manifest(manifest)}
    name, parameters = method_name(plan.method), hyper_parameters(plan.method)
    cases = []
    for done, case in enumerate(training.cases, start=1):
        given = training.read_labels(case)
        final = plan.store.read(case, state.version, given)
        left_out = plan.store.left_out(case, state.version)
        revised = not np.array_equal(final.array, given.array) or (left_out is not None and left_out.any())
        note = plan.store.note(case, state.version) if revised else None  # back as given: never revised
        cases.append(_case_row(case, note, len(given.names)))
        if not _is_written(written.get(case), plan.folder):
            files = training.write_labels(target, case, final)
            sources = training.labels.sources(case)
            row = ManifestRow(
                case=case,
                files=tuple(str(path.relative_to(plan.folder)) for path in files),
                checksum=checksum(*files),
                parent=str(training.labels.path if training.labels.overlapping else sources[0]),
                parent_checksum=checksum(*sources),
                method=name,
                parameters=parameters,
                version=cases[-1]["version"],
                seed=plan.config.seed,
                reason=cases[-1]["reason"],
            )
            append_row(manifest, row)
        plan.tick("writing labels", done, len(training.cases), case)
    return cases


def _is_written(row: ManifestRow | None, folder: Path) -> bool:
    if row is None or not all((folder / name).exists() for name in row.files):
        return False
    return checksum(*(folder / name for name in row.files)) == row.checksum


def _case_row(case: str, note: dict[str, Any] | None, n_classes: int) -> dict[str, Any]:
    if note is None:
        zeros = [0] * n_classes
        note = {"version": 0, "reason": "kept as given", "added_vox": zeros, "removed_vox": zeros,
                "displacement_mm": [0.0] * n_classes, "confidence": 1.0}  # fmt: skip
    note["displacement_mm"] = [
        d if d is not None and np.isfinite(d) else None for d in note["displacement_mm"]
    ]
    return {"case": case} | {key: value for key, value in note.items() if key != "case"}


def _summary(plan: Plan, state: RunState, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """What RUN/summary.json says: everything the report needs beside the label files themselves."""
    config, training, clean = plan.config, plan.data.training, plan.data.clean
    labels = training.labels
    grid = training.read_labels(training.cases[0]).grid
    doc = (type(plan.method).__doc__ or "").partition("Paper:")[2].partition("Differs:")[0]
    reference = Path(config.reference) if config.reference else None
    return {
        "labelmend_version": __version__,
        "method": method_name(plan.method),
        "parameters": hyper_parameters(plan.method),
        "paper": " ".join(doc.split()),
        "classes": labels.names,
        "overlapping": labels.overlapping,
        "unit": grid.unit,
        "images": (training.root / "images").resolve(),
        "given": labels.path.resolve(),
        "corrected": "labels",
        "reference": reference and reference.resolve(),
        "spacing_mm": config.spacing_mm,
        "label_values": None if labels.overlapping else labels.class_map(),
        "ignore": labels.ignore,
        "clean_cases": [] if clean is None else clean.cases,
        "rounds": state.rows,
        "cases": cases,
        "notes": state.notes,
    }
