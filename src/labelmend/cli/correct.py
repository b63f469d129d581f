"""`labelmend correct LABELS --probabilities DIR --out OUT --method METHOD --clean CLEAN`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from labelmend.cli.choice import ChoiceParser, chosen
from labelmend.cli.screen import Bars, nnunet_command, say
from labelmend.io.probabilities.axes import ORDER_HELP, OrderSetting
from labelmend.methods.registry import METHODS
from labelmend.workflows.correction.correct import correct
from labelmend.workflows.correction.result import CorrectResult

SETTINGS = (
    "probabilities", "out", "clean", "clean_probabilities", "classes", "ignore", "spacing_mm", "order",
    "cases", "dataset", "copy_images", "min_learned",
)  # fmt: skip


def parser() -> ChoiceParser:
    """The arguments of the verb."""
    made = ChoiceParser(
        prog="labelmend correct",
        description="Correct masks with out-of-sample probabilities that you have already, such as nnU-Net "
        "saves them in cross-validation; nothing is trained. Of nnU-Net data a new raw data set is made.",
    )
    made.add_argument(
        "labels", type=str, help="label folder, raw data set of nnU-Net (DatasetXXX_Name), or COCO file"
    )
    made.add_argument(
        "--probabilities",
        type=str,
        required=True,
        help="folder: <case>.npz of nnU-Net (or the folder of a trainer, with all folds), <case>.npy, or "
        "<class>/<case>.png",
    )
    made.add_argument(
        "--out", type=str, required=True, help="new folder for corrected labels and their records"
    )
    made.add_choice(
        "method",
        METHODS,
        default="spatial_correction",
        help="the method; spatial_correction, adele and confident need no training",
    )
    made.add_argument(
        "--clean",
        type=str | None,
        help="trusted cases, which spatial_correction needs: masks for some of the cases, kept like LABELS, "
        "or a text file of the ids of cases whose given labels are right",
    )
    made.add_argument(
        "--clean_probabilities", type=str | None, help="of the trusted cases, if they lie elsewhere"
    )
    _add_label_flags(made)
    made.add_argument(
        "--dataset",
        type=str | None,
        help="of nnU-Net data: name of the new data set, DatasetXXX_Name; default the old name with _mended "
        "and the next free number",
    )
    made.add_argument(
        "--copy_images",
        type=bool,
        default=False,
        help="of nnU-Net data: copy the images, do not link to them",
    )
    made.add_argument(
        "--min_learned",
        type=float,
        default=0.05,
        help="labels of a class stay as given unless predictions agree this much better with them than those "
        "of other cases do; 0: revise anyway",
    )
    return made


def _add_label_flags(made: ChoiceParser) -> None:
    """How labels and probabilities are read, and which."""
    made.add_argument(
        "--classes",
        type=dict[str, int] | None,
        help="names and values in integer maps, as {lung: 1, heart: 2}",
    )
    made.add_argument("--ignore", type=int | None, help="value of pixels nobody annotated, in integer maps")
    made.add_argument(
        "--spacing_mm",
        type=float | list[float] | None,
        help="spacing of files that store none, or instead of what they store, in mm",
    )
    made.add_argument("--order", type=OrderSetting, default="auto", help=ORDER_HELP)
    made.add_argument(
        "--cases",
        type=list[str] | str | None,
        help="only these: a text file of case ids, or ids as [a, b]",
    )


def run(arguments: Namespace) -> int:
    """Correct the labels and say what was done."""
    method = chosen(arguments.method, METHODS)
    with Bars(transient=True) as bars:
        shown: dict[str, Callable[[str, int], None]] = {}

        def on_case(stage: str, case: str, n_cases: int) -> None:
            shown.setdefault(stage, bars.counting(stage))(case, n_cases)

        settings = {name: arguments[name] for name in SETTINGS}
        done = correct(arguments.labels, method=method, on_case=on_case, **settings)
    show(done)
    return 0


def show(done: CorrectResult) -> None:
    """Print what was found and decided, and where the labels are."""
    lines = [f"{row['class']:12} {row['why']}" for row in done.summary["findings"]]
    lines += [f"warning: {sentence}" for sentence in done.warnings]
    lines += [f"note: {sentence}" for sentence in done.summary["notes"]]
    trusted = f", {done.n_trusted} trusted" if done.n_trusted else ""
    lines.append(f"{done.n_corrected} of {done.n_cases} cases corrected{trusted}")
    lines.append(f"corrected labels  {done.labels}")
    if done.summary["layout"] == "nnunet" and isinstance(done.labels, Path):
        lines.append(f"next              {nnunet_command(done.labels)}")
    for line in lines:
        say(line)
