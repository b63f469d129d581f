"""`labelmend review`: apply the decisions of a review, or write its page again."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from labelmend.cli.console import Console, nnunet_command
from labelmend.cli.parameters import settings
from labelmend.cli.parser import VerbParser

VERDICTS = {
    "keep": "kept as given",
    "take": "proposal taken",
    "redrawn": "redrawn, and taken",
    "redraw": "to be redrawn, left as given",
    "skip": "skipped, left as given",
    "unreviewed": "not reviewed, left as given",
}
APPLY = ("audit", "verdicts", "progress")
PAGE = ("audit", "progress")


def parser() -> VerbParser:
    """The two sub-verbs and their settings."""
    from labelmend.workflows.auditing.page import write_review
    from labelmend.workflows.reviewing.apply import apply_review

    made = VerbParser("review", "Write the final labels of a review, or its page again.")
    verbs = made.add_subcommands(dest="verb", metavar="VERB")
    apply = VerbParser(
        "review apply",
        "Write the final labels, a manifest, and worklists of what is left to redraw.",
        essential=("redrawn", "dataset"),
    )
    apply.add_input("audit", "folder that labelmend audit wrote")
    apply.add_input("verdicts", "the JSON file that its page downloads")
    apply.add_settings(apply_review, APPLY)
    verbs.add_subcommand("apply", apply, help="write the final labels")
    page = VerbParser("review page", "Write AUDIT/report.html again; decisions in the browser are kept.")
    page.add_input("audit", "folder that labelmend audit wrote")
    page.add_settings(write_review, PAGE)
    verbs.add_subcommand("page", page, help="write the page again")
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Do one of the two and say what was written."""
    return (_apply if arguments.verb == "apply" else _page)(arguments[arguments.verb], console)


def _page(arguments: Namespace, console: Console) -> dict[str, Any]:
    from labelmend.workflows.auditing.page import write_review

    with console.progress() as progress:
        page = write_review(arguments.audit, **settings(arguments, write_review, PAGE), progress=progress)
    console.say(f"{page}: {page.stat().st_size / 1e6:.1f} MB, open it in a browser")
    return {"page": page}


def _apply(arguments: Namespace, console: Console) -> dict[str, Any]:
    from labelmend.workflows.reviewing.apply import apply_review

    with console.progress() as progress:
        done = apply_review(
            arguments.audit,
            arguments.verdicts,
            **settings(arguments, apply_review, APPLY),
            progress=progress,
        )
    for verdict, text in VERDICTS.items():
        if done.counts.get(verdict):
            console.say(f"{done.counts[verdict]:6d}  {text}")
    console.say(f"final labels  {done.labels}")
    if done.worklist is not None:
        console.say(f"to redraw     {done.worklist}")
    if done.dataset is not None:
        console.say(f"next          {nnunet_command(done.dataset)}")
    return {"folder": done.folder, "labels": done.labels, "counts": done.counts, "worklist": done.worklist}
