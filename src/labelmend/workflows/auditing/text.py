"""Sentences of an audit: doubts, assumptions, and a summary for a data-set card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelmend.metrics.calibration import IN_SAMPLE_WARNING
from labelmend.workflows.auditing.findings import Finding, Typical

FEW_CASES = 10

FLAGGED = 0.5
"""Cases with at least this score are to be looked at first."""

CALIBRATED = 1.25
"""Temperatures within this factor of one count as one."""

NAMES = {
    "case": "whole cases",
    "missing": "missing objects",
    "spurious": "spurious objects",
    "wrong_class": "objects of the wrong class",
    "outline": "stretches of outline",
    "fault": "faults",
}


def audit_doubts(usual: Typical, *, calibrated: bool, n_cases: int) -> list[str]:
    """Sentences on why the findings may be wrong."""
    found, calibration = [], usual.calibration
    if calibration.looks_in_sample:
        found.append(IN_SAMPLE_WARNING.format("finding"))
    if max(calibration.temperature, 1 / calibration.temperature) > CALIBRATED and not calibrated:
        side = "overconfident" if calibration.temperature > 1 else "underconfident"
        found.append(
            f"The network is {side}: the given labels are most likely at a temperature of "
            f"{calibration.temperature:.1f}. Scores of objects are less reliable; --calibrate corrects this."
        )
    if n_cases < FEW_CASES:
        found.append(
            f"{n_cases} case{'s are' if n_cases > 1 else ' is'} too few to say what is typical: "
            "scores of cases mean little."
        )
    return found


def assumptions(*, with_images: bool) -> list[str]:
    """Sentences on what the findings rest on."""
    found = [
        "The probabilities of each case come from a network that did not see this case in training.",
        "Most cases are annotated alike: a case is wrong where it differs from the others.",
    ]
    if with_images:
        found.append(
            "In most cases structures end where grey values change most: a case whose outlines lie inside or "
            "outside of such edges throughout counts as drawn too tight or too wide."
        )
    else:
        found.append("No images were given: a bias that the network learned from the labels does not show.")
    return found


def summary(
    facts: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]],
    findings: Mapping[str, Sequence[Finding]],
) -> str:
    """A few lines of Markdown for the card of a data set."""
    counts: Counter[str] = Counter(finding.kind for own in findings.values() for finding in own)
    flagged = sum(1 for case in cases if case["score"] >= FLAGGED)
    lines = [
        f"**Label audit** (labelmend {facts['version']}): {facts['n_cases']} cases, "
        f"{flagged} to look at first.",
        "",
        "| finding | number |",
        "|---|---:|",
        *(f"| {NAMES[kind]} | {counts[kind]} |" for kind in NAMES if counts[kind]),
        "",
        *(f"- {row['reason']}" for row in facts["bias"] if row["systematic"]),
    ]
    dice = [(name, [c["classes"][name]["dice_to_prediction"] for c in cases]) for name in facts["classes"]]
    agreement = [
        f"{name} {np.mean([value for value in values if value is not None]):.3f}"
        for name, values in dice
        if any(value is not None for value in values)
    ]
    if agreement:
        lines.append(f"- Dice of given labels with out-of-sample predictions: {', '.join(agreement)}.")
    return "\n".join(lines) + "\n"
