"""The review page of an audit: one self-contained file for deciding every case, with one-handed shortcuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from labelmend.errors import DataError, GeometryError
from labelmend.html import text
from labelmend.html.figures import CORRECTED, GIVEN
from labelmend.html.page import csp_hash, json_block, templates
from labelmend.io import Image, grid_difference, read_image, whole_file
from labelmend.io.images.orientation_tag import turned_apart
from labelmend.runtime.output_folder import about_to_write
from labelmend.runtime.progress import Count, Progress, counter, no_progress
from labelmend.types import LabelMap
from labelmend.workflows.auditing.audit_folder import (
    Audit,
    AuditedCase,
    Given,
    Proposed,
    open_given,
    open_proposals,
    read_audit,
    spacing_of,
)
from labelmend.workflows.auditing.page_pictures import Limits, Shown, case_block

PAGE = "report.html"


def write_review(
    audit: str | Path,
    *,
    max_side_px: int = 512,
    max_slices: int = 40,
    max_megabytes: float = 200.0,
    progress: Progress = no_progress,
) -> Path:
    """Write AUDIT/report.html from the results of `labelmend audit` and the labels and images they refer to.

    The browser stores verdicts under the id of the audit, so they survive rewriting the page. A case whose
    labels or image cannot be read shows the reason instead.

    Args:
        audit: the folder that `labelmend audit` wrote.
        max_side_px: longest side of a picture.
        max_slices: slices per volume, those with findings first.
        max_megabytes: approximate total size of all pictures; volumes keep fewer slices to stay below it.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Returns:
        The path of the page.

    Raises:
        MissingDataError, UnreadableFileError: no finished audit, or its labels are gone.
        DataError: the categories of the COCO file have changed since the audit.
        OutputError: the page cannot be written.
    """
    audited = read_audit(audit)
    given = open_given(audited)
    limits = Limits(max_side_px, max_slices, max_megabytes * 1e6 / max(1, len(audited.cases)))
    page = Path(audit) / PAGE
    about_to_write(page)
    with whole_file(page) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(render_review(audited, _blocks(audited, given, limits, counter(progress, "drawing"))))
    return page


def render_review(audit: Audit, blocks: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the page in pieces, so that the pictures are never all in memory at once.

    Args:
        audit: facts and cases.
        blocks: per case, in the order of `audit.cases`, the result of `case_block`, or `{"error": reason}`.
    """
    environment = templates("labelmend.workflows.auditing")
    picture, main, style = (
        _source(environment, name) for name in ("review_picture.js", "review.js", "review.css")
    )
    script = f'"use strict";\n(() => {{\n{picture}\n{main}}})();\n'
    style = style.replace("GIVEN_COLOUR", GIVEN).replace("PROPOSED_COLOUR", CORRECTED)
    yield from environment.get_template("review.html.jinja").generate(
        facts=audit.facts,
        biases=[row["reason"] for row in audit.facts["bias"] if row.get("systematic", True)],
        name=Path(audit.facts["labels"]).name,
        n_cases=text.count(len(audit.cases), "case"),
        index=json_block(_index(audit)),
        blocks=map(json_block, blocks),
        script=Markup(script),
        style=Markup(style),
        script_hash=csp_hash(script),
        style_hash=csp_hash(style),
    )


def _source(environment: Environment, name: str) -> str:
    """The text of a file in this package."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _index(audit: Audit) -> dict[str, Any]:
    """What the page needs about all cases when it opens."""
    return {
        "id": audit.id,
        "classes": audit.classes,
        "cases": [
            {
                "case": row.case,
                "rank": row.rank,
                "score": round(row.score, 4),
                "reason": row.reason,
                "annotator": row.annotator,
                "proposal": bool(row.proposal),
                "given": row.checksum,
                "proposed": row.proposal_checksum,
                "findings": [
                    {"kind": f.kind, "class": f.class_name, "other": f.other, "reason": f.reason}
                    for f in row.findings
                ],
            }
            for row in audit.cases
        ],
    }


def _blocks(audit: Audit, given: Given, limits: Limits, count: Count) -> Iterator[dict[str, Any]]:
    proposals = open_proposals(audit, given)
    for row in audit.cases:
        try:
            block = _block(audit, row, given, proposals, limits)
        except DataError as error:
            block = {"error": _without_folders(str(error), audit)}
        yield block
        count(row.case, len(audit.cases))


def _block(
    audit: Audit, row: AuditedCase, given: Given, proposals: Proposed, limits: Limits
) -> dict[str, Any]:
    labels = given.read(row.case)
    proposed = proposals.read(row.case) if row.proposal else None
    if proposed is not None and grid_difference(labels.grid, proposed.grid):
        problem = grid_difference(labels.grid, proposed.grid)
        raise GeometryError(f"case {row.case}: given and proposed labels differ in {problem}")
    image, note = None, ""
    try:
        image = _image(audit, row, labels)
    except DataError as error:
        note = _without_folders(str(error), audit)
    block = case_block(Shown(labels, proposed, image), [finding.box for finding in row.findings], limits)
    return {**block, "note": note}


def _image(audit: Audit, row: AuditedCase, labels: LabelMap) -> Image | None:
    """The image of a case; only its shape must match the labels, other grid differences are accepted."""
    if row.image is None:
        return None
    image = read_image(row.image, spacing_of(audit)).onto(labels.grid)
    turned = turned_apart(image.grid, labels.grid)
    if turned:
        raise GeometryError(f"case {row.case}, {row.image}: {turned}")
    if image.grid.shape != labels.grid.shape:
        raise GeometryError(
            f"case {row.case}: the image {row.image} has shape {image.grid.shape}, its labels "
            f"{labels.grid.shape}"
        )
    return image


def _without_folders(text: str, audit: Audit) -> str:
    """A sentence without folder paths, since the page may be shared; file names stay."""
    labels = Path(audit.facts["labels"])
    home = labels.parent if audit.facts["layout"] == "coco" else labels
    for folder in (home, audit.facts["images"], audit.folder):
        text = text.replace(f"{folder}/", "") if folder else text
    return text
