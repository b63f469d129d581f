"""What an audit says in words: doubts, assumptions, and a summary for a data-set card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelmend.metrics.calibration import IN_SAMPLE_WARNING
from labelmend.workflows.auditing.findings import Finding, Typical

FEW_CASES = 10

FLAGGED = 0.5
"""Score from which on a case is to be looked at first."""

CALIBRATED = 1.25
"""Temperatures within this factor of one are as good as one."""

NAMES = {
    "case": "whole cases",
    "missing": "missing objects",
    "spurious": "objects too much",
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
        side = "too sure of itself" if calibration.temperature > 1 else "less sure than it could be"
        found.append(
            f"The network is {side}: the given labels are likeliest at a temperature of "
            f"{calibration.temperature:.1f}. Scores of objects suffer; --calibrate scales them."
        )
    if n_cases < FEW_CASES:
        found.append(
            f"With {n_cases} case{'s' if n_cases > 1 else ''} there is little to say what is usual; "
            "scores of cases mean little."
        )
    return found


def assumptions(*, with_images: bool) -> list[str]:
    """Sentences on what all of it rests on."""
    found = [
        "The probabilities of each case come from a network that did not see this case in training.",
        "Most cases are annotated alike: a case is wrong where it differs from the others.",
    ]
    if with_images:
        found.append(
            "Structures end where grey values change most, in most cases: a case whose outlines lie beside "
            "such edges all along is taken to be drawn too far out or in."
        )
    else:
        found.append(
            "No images were given: a bias that the network has learned from the labels does not show."
        )
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
    told = [
        f"{name} {np.mean([value for value in values if value is not None]):.3f}"
        for name, values in dice
        if any(value is not None for value in values)
    ]
    if told:
        lines.append(f"- Dice of given labels to out-of-sample predictions: {', '.join(told)}.")
    return "\n".join(lines) + "\n"
