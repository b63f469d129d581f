"""`labelmend audit`: which labels of a data set look wrong, where and why, from saved probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, say, sentences, table
from labelmend.io.probabilities.axes import ORDER_HELP, OrderSetting
from labelmend.workflows.auditing.audit import audit
from labelmend.workflows.auditing.result import PAGE, AuditResult
from labelmend.workflows.auditing.text import NAMES

MOST_CASES = 10


def parser() -> ArgumentParser:
    """The settings of the verb."""
    new = ArgumentParser(
        prog="labelmend audit",
        description="Which labels of a data set look wrong, where and why, from out-of-sample probabilities. "
        "Nothing is trained, and nothing leaves this machine.",
    )
    add = new.add_argument
    add("labels", type=str, help="label folder, raw data set of nnU-Net, or COCO file (.json)")
    add("--probabilities", type=str, required=True, help="nnU-Net's .npz, .npy, or one folder a class")
    add("--out", type=str, required=True, help="folder for findings, proposals and the review page")
    add(
        "--images",
        type=str | None,
        default=None,
        help="folder of images; a bias that the network has learned shows only beside them",
    )
    add("--config", action="config", help="YAML file with settings; later flags win over it")
    add("--annotators", type=str | None, default=None, help="CSV file with the columns case and annotator")
    add(
        "--calibrate",
        type=bool,
        default=False,
        help="scale probabilities by the temperature at which the given labels are likeliest",
    )
    add(
        "--classes",
        type=dict[str, int] | None,
        default=None,
        help="names and values in integer maps, as {lung: 1, heart: 2}",
    )
    add("--ignore", type=int | None, default=None, help="value of pixels nobody annotated, in integer maps")
    add(
        "--spacing_mm",
        type=float | list[float] | None,
        default=None,
        help="spacing of files that store none, or instead of what they store, in mm",
    )
    add("--order", type=OrderSetting, default="auto", help=ORDER_HELP)
    add(
        "--cases",
        type=list[str] | str | None,
        default=None,
        help="only these: a text file of case ids, or ids as [a, b]",
    )
    add("--proposals", type=bool, default=True, help="write labels that mend what was found")
    add("--page", type=bool, default=True, help="write the review page")
    add("--parquet", type=bool, default=False, help="write the findings as Parquet too")
    add("--jobs", type=int, default=1, help="worker processes; -1 takes every core")
    add("--backend", type=str, default="loky", help="loky: this machine; ray: the Ray cluster at RAY_ADDRESS")
    add(
        "--overwrite",
        type=bool,
        default=False,
        help="replace an audit that --out holds; verdicts on it stay good where labels and proposal stay",
    )
    return new


def run(arguments: Namespace) -> int:
    """Audit, print the worst cases, and say where the page is."""
    names = (
        "probabilities", "out", "images", "classes", "ignore", "spacing_mm", "order", "cases", "annotators",
        "calibrate", "parquet", "proposals", "jobs", "backend", "overwrite", "page",
    )  # fmt: skip
    with Bars(transient=True) as bars:
        counts: dict[str, Callable[[str, int], None]] = {}
        found = audit(
            arguments.labels,
            **{name: arguments[name] for name in names},
            on_case=lambda stage, case, n: counts.setdefault(stage, bars.counting(stage))(case, n),
        )
    show(found)
    if arguments.page:
        say(f"\nreview  {Path(arguments.out) / PAGE}")
    return 0


def show(found: AuditResult) -> None:
    """Print doubts, biases, the worst cases, and how many findings of each kind there are."""
    facts = found.facts
    sentences("Be careful with these findings:", facts["warnings"])
    rows = [
        [str(row["rank"]), row["case"], f"{row['score']:.2f}", row["reason"]]
        for row in found.cases[:MOST_CASES]
        if row["n_findings"]
    ]
    if rows:
        table(f"Look at first, of {facts['n_cases']} cases", ["", "case", "score", "why"], rows)
    else:
        say(f"Nothing stands out in {facts['n_cases']} cases.")
    counts: Counter[str] = Counter(finding.kind for own in found.findings.values() for finding in own)
    told = ", ".join(f"{counts[kind]} {name}" for kind, name in NAMES.items() if counts[kind])
    say(f"Found: {told or 'nothing'}.")
    sentences("Drawn too far out or in throughout:", [r["reason"] for r in facts["bias"] if r["systematic"]])
    sentences("What was assumed:", facts["assumptions"])
    sentences("About the data:", facts["notes"])
