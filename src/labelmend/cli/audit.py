"""`labelmend audit LABELS --probabilities PROBS --out OUT`: which labels look wrong, where and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser
from labelmend.workflows.auditing.audit import audit
from labelmend.workflows.auditing.result import PAGE, AuditResult
from labelmend.workflows.auditing.text import NAMES

RESUMES = True
"""Networks that were trained are kept; the audit itself takes a minute."""

MOST_CASES = 10
SKIP = ("labels", "progress")


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser(
        "audit",
        "Rank the masks of a data set by how wrong they look, and say what looks wrong, where and why, from "
        "out-of-sample predictions: yours, or those of networks trained here. Nothing leaves this machine.",
        essential=(
            "probabilities",
            "images",
            "minutes",
            "groups",
            "classes",
            "calibrate",
            "overwrite",
            "page",
        ),
    )
    made.add_input("labels", "label folder, raw data set of nnU-Net, or COCO file (.json)")
    made.add_settings(audit, SKIP, required=("out",))
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Audit, print the worst cases, and say where the page is."""
    with console.progress() as progress:
        found = audit(
            arguments.labels,
            **settings(arguments, audit, SKIP),
            progress=progress,
        )
    show(found, console)
    if arguments.page:
        console.say(f"\nreview  {Path(arguments.out) / PAGE}")
    return {"folder": arguments.out, "cases": found.cases, **found.facts}


def show(found: AuditResult, console: Console) -> None:
    """Print warnings, the worst cases, the number of findings of each kind, and biases."""
    facts = found.facts
    console.sentences("Use these findings with caution:", facts["warnings"])
    rows = [
        [row["case"], row["reason"], f"{row['score']:.2f}"]
        for row in found.cases[:MOST_CASES]
        if row["n_findings"]
    ]
    if rows:
        console.table(
            f"Look at these first, of {facts['n_cases']} cases", ["case", "why", "score"], rows, keys=2
        )
    else:
        console.say(f"Nothing stands out in {facts['n_cases']} cases.")
    counts: Counter[str] = Counter(finding.kind for own in found.findings.values() for finding in own)
    listed = ", ".join(f"{counts[kind]} {name}" for kind, name in NAMES.items() if counts[kind])
    console.say(f"Findings: {listed or 'none'}.")
    console.sentences(
        "Outlines too wide or too tight throughout:",
        [r["reason"] for r in facts["bias"] if r["systematic"]],
    )
    console.sentences("Assumptions:", facts["assumptions"])
    console.sentences("About the data:", facts["notes"])
