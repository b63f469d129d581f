"""What the verbs show on a terminal: progress with time left, and tables; silent progress when piped."""

from __future__ import annotations

import itertools
import shlex
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


class Bars:
    """One progress bar a stage, fed by `on_tick` or `counting`; nothing when the output is no terminal.

    Args:
        transient: take the bars away when the work is done.
    """

    def __init__(self, *, transient: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:24}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_tick(self, tick: Any) -> None:
        """Show where a stage stands; the total 0 means that nobody knows it yet."""
        self._show(tick.stage, tick.done, tick.total, tick.text)

    def counting(self, stage: str) -> Callable[[str, int], None]:
        """An `on_case(case, n_cases)` that counts its calls in one bar."""
        count = itertools.count(1)
        return lambda case, n_cases: self._show(stage, next(count), n_cases, case)

    def done(self, stage: str) -> int:
        """How far a stage has come."""
        return int(self._progress.tasks[self._tasks[stage]].completed) if stage in self._tasks else 0

    def _show(self, stage: str, done: int, total: int, text: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(inert(stage), total=total or None, text="")
        self._progress.update(self._tasks[stage], completed=done, total=total or None, text=inert(text))


def say(*lines: str) -> None:
    """Print lines that may hold names of files, cases or classes: all of `labelmend` prints through this."""
    for line in lines:
        print(inert(line))


def cell(text: str) -> Text:
    """Text for a cell of a table; brackets in it are no markup."""
    return Text(inert(text))


def inert(text: str) -> str:
    """Text that does nothing to a terminal but appear: control characters and half ones are spelled out.

    >>> inert("lung \\x1b[31m")
    'lung \\\\x1b[31m'
    """
    shown = "".join(f"{character!a}"[1:-1] if _acts(character) else character for character in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _acts(character: str) -> bool:
    """Whether a terminal obeys a character: controls, half characters, and those that turn the direction."""
    if character == "\n" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING


def print_run(result: Any) -> None:
    """What a finished run measured and where its results lie."""
    summary, lines = result.summary, []
    unit = summary["unit"]
    for row in summary["rounds"]:
        for found in row["bias"]:
            lines.append(f"round {row['round']}  {found['class']:12} {_bias(found, unit)}{found['why']}")
    lines += [f"note: {note}" for note in summary.get("notes", [])]
    changed = sum(case["version"] > 0 for case in summary["cases"])
    lines.append(f"{changed} of {len(summary['cases'])} cases corrected")
    lines.append(f"corrected labels  {result.labels}")
    lines.append(f"report            {result.folder / 'report.html'}")
    say(*lines)


def _bias(found: dict[str, Any], unit: str) -> str:
    """`bias -1.20 mm [-1.50, -0.90]: `, or nothing for a method that measures no bias."""
    if "mean_mm" not in found:
        return ""
    if found["mean_mm"] is None:
        return "bias none: "
    low, high = found.get("low_mm"), found.get("high_mm")
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"bias {found['mean_mm']:.2f} {unit}{interval}: "


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A plain table under its title: names to the left, numbers to the right."""
    console = Console()
    made = Table(header_style="bold")
    for index, name in enumerate(columns):
        made.add_column(cell(name), justify="left" if index == 0 else "right")
    for row in rows:
        made.add_row(*map(cell, row))
    console.print(Text(f"\n{inert(title)}", style="bold"), soft_wrap=True)
    console.print(made)


def sentences(title: str, told: Sequence[str]) -> None:
    """Sentences under their title, one a point; nothing where there are none."""
    if not told:
        return
    say(f"\n{title}")
    for sentence in told:
        say(textwrap.fill(sentence, 100, initial_indent="- ", subsequent_indent="  "))


def nnunet_command(dataset: Path) -> str:
    """What to run next on a raw data set of nnU-Net, DatasetXXX_Name."""
    number = int(dataset.name[len("Dataset") :].partition("_")[0])
    raw = shlex.quote(str(dataset.parent))
    return f"nnUNet_raw={raw} nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity"
