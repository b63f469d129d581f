"""What verbs show on a terminal: text, tables, and progress with the time left.

Text goes to standard output. Progress goes to standard error: bars on a terminal, and elsewhere, as in the
log file of a cluster job, a line now and then.
"""

from __future__ import annotations

import shlex
import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from labelmend.runtime.progress import Progress, Tick

SECONDS_BETWEEN_LINES = 30.0
"""Time between two lines of progress where there is no terminal."""

_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


@dataclass(frozen=True)
class Console:
    """Where a verb prints.

    Args:
        quiet: print no text and no progress.
        verbose: log every step of progress.
        dry_run: whether the verb ends before it writes anything.
    """

    quiet: bool = False
    verbose: bool = False
    dry_run: bool = False

    def say(self, *lines: str) -> None:
        """Print lines, which may hold names of files, cases or classes."""
        if not self.quiet:
            for line in lines:
                print(inert(line))

    def sentences(self, title: str, sentences: Sequence[str]) -> None:
        """Print sentences under their title, one per bullet; nothing if there are none."""
        if sentences:
            self.say(f"\n{title}")
            for sentence in sentences:
                self.say(textwrap.fill(sentence, 100, initial_indent="- ", subsequent_indent="  "))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, keys: int = 1
    ) -> None:
        """Print a table under its title; the first `keys` columns are text, the others numbers."""
        if self.quiet:
            return
        terminal = Terminal(markup=False, highlight=False, emoji=False)
        shown = Table(
            box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
        )
        for i, name in enumerate(columns):
            shown.add_column(_cell(name), justify="left" if i < keys else "right", overflow="fold")
        for row in rows:
            shown.add_row(*map(_cell, row))
        terminal.print(Text(f"\n{inert(title)}", style="bold"), soft_wrap=True)
        terminal.print(shown)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show the progress of a job: yields the callable to hand to it."""
        terminal = Terminal(stderr=True)
        if self.quiet:
            yield lambda tick: None
        elif terminal.is_terminal and not self.verbose:
            with _bars(terminal) as bars:
                yield _OnBars(bars)
        else:
            yield _AsLines(0.0 if self.verbose else SECONDS_BETWEEN_LINES)


class _OnBars:
    """One bar per stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, tick: Tick) -> None:
        if tick.stage not in self._tasks:
            self._tasks[tick.stage] = self._bars.add_task(
                inert(tick.stage), total=tick.total or None, text=""
            )
        task = self._tasks[tick.stage]
        self._bars.update(task, completed=tick.done, total=tick.total or None, text=inert(tick.text))


class _AsLines:
    """A line for the log every so often, with the time left in its stage."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()
        self._begun: dict[str, tuple[float, int]] = {}

    def __call__(self, tick: Tick) -> None:
        now = time.monotonic()
        begun, before = self._begun.setdefault(tick.stage, (now, tick.done))
        if now - self._last < self._seconds:
            return
        self._last = now
        print(inert(log_line(tick, now - begun, tick.done - before)), file=sys.stderr, flush=True)


def log_line(tick: Tick, seconds: float, steps: int) -> str:
    """A line of a log: stage, steps done, time left.

    Args:
        tick: where the job stands.
        seconds: time since the first step of the stage that was seen.
        steps: steps done in that time.

    >>> log_line(Tick("segmenting", 30, 120, "patient_7"), seconds=60.0, steps=30)
    'segmenting 30/120 patient_7, about 3 min left'
    """
    line = f"{tick.stage} {tick.done}" + (f"/{tick.total}" if tick.total else "")
    line += f" {tick.text}" if tick.text else ""
    if steps <= 0 or tick.total <= tick.done:
        return line
    left = seconds / steps * (tick.total - tick.done)
    return f"{line}, about {f'{left / 60:.0f} min' if left >= 90 else f'{left:.0f} s'} left"


def inert(text: str) -> str:
    """Text that a terminal only shows: control characters and lone surrogates are spelled out.

    >>> inert("lung \\x1b[31m")
    'lung \\\\x1b[31m'
    """
    shown = "".join(f"{character!a}"[1:-1] if _acts(character) else character for character in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = shown if encoding.lower().startswith("utf") else shown.replace("±", "+-")
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def nnunet_command(dataset: Path) -> str:
    """What to run next on a raw data set of nnU-Net, DatasetXXX_Name."""
    number = int(dataset.name[len("Dataset") :].partition("_")[0])
    raw = shlex.quote(str(dataset.parent))
    return f"nnUNet_raw={raw} nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity"


def _bars(terminal: Terminal) -> Bars:
    return Bars(
        TextColumn("{task.description:24}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=terminal,
        transient=True,
    )


def _cell(text: str) -> Text:
    """Text for a cell of a table; brackets in it are no markup."""
    return Text(inert(text))


def _acts(character: str) -> bool:
    """Whether a terminal obeys a character: controls, half characters, and those that turn the direction."""
    if character == "\n" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING
