"""`labelmend review`: what to do with the verdicts of a review page, and how to write that page again."""

from __future__ import annotations

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser
from labelmend.cli.screen import Bars, nnunet_command, say

DEEDS = {
    "keep": "kept as given",
    "take": "proposal taken",
    "redrawn": "drawn again, taken",
    "redraw": "to draw again, left as given",
    "skip": "skipped, left as given",
    "unreviewed": "not looked at, left as given",
}


def parser() -> ArgumentParser:
    """The two deeds and their settings."""
    made = ArgumentParser(
        prog="labelmend review",
        description="The verdicts of a review: write the final labels, or the page itself again.",
    )
    deeds = made.add_subcommands(dest="deed")
    apply = ArgumentParser(description="Write the final labels, their manifest, and worklists to redraw.")
    apply.add_argument("out", type=str, help="folder of labelmend audit")
    apply.add_argument("verdicts", type=str, help="the JSON file that its report.html downloads")
    apply.add_argument("--to", type=str, required=True, help="new folder for the final labels")
    apply.add_argument(
        "--redrawn",
        type=str | None,
        help="folder of labels drawn anew, named and kept as the given ones: taken for the cases that were "
        "to be drawn again; those that are not in it stay on the worklist",
    )
    apply.add_argument(
        "--dataset",
        type=str | None,
        help="of nnU-Net data: name of the new raw data set, DatasetXXX_Name; default the old name with "
        "_mended and the next free number",
    )
    apply.add_argument(
        "--copy_images",
        type=bool,
        default=False,
        help="of nnU-Net data: copy the images, do not link to them",
    )
    deeds.add_subcommand("apply", apply, help="write the final labels of a review")
    page = ArgumentParser(description="Write OUT/report.html again; verdicts in the browser are kept.")
    page.add_argument("out", type=str, help="folder of labelmend audit")
    page.add_argument("--max_side_px", type=int, default=512, help="longest side of a picture")
    page.add_argument("--max_slices", type=int, default=40, help="of a volume")
    page.add_argument("--max_megabytes", type=float, default=200.0, help="about so much for all pictures")
    deeds.add_subcommand("page", page, help="write the review page again")
    return made


def run(arguments: Namespace) -> int:
    """Do one of the two and say what was written."""
    if arguments.deed == "page":
        from labelmend.workflows.auditing.page import write_review

        chosen = arguments.page
        with Bars(transient=True) as bars:
            page = write_review(
                chosen.out,
                max_side_px=chosen.max_side_px,
                max_slices=chosen.max_slices,
                max_megabytes=chosen.max_megabytes,
                on_case=bars.counting("drawing"),
            )
        say(f"{page}: {page.stat().st_size / 1e6:.1f} MB, open it in a browser")
        return 0
    from labelmend.workflows.reviewing.apply import apply_review

    chosen = arguments.apply
    with Bars(transient=True) as bars:
        done = apply_review(
            chosen.out,
            chosen.verdicts,
            chosen.to,
            redrawn=chosen.redrawn,
            dataset=chosen.dataset,
            copy_images=chosen.copy_images,
            on_case=bars.counting("copying"),
        )
    for verdict, words in DEEDS.items():
        if done.counts.get(verdict):
            say(f"{done.counts[verdict]:6d}  {words}")
    say(f"final labels  {done.labels}")
    if done.worklist is not None:
        say(f"to draw again {done.worklist}")
    if done.dataset is not None:
        say(f"next          {nnunet_command(done.dataset)}")
    return 0
