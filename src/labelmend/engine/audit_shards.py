"""An audit in shards: several runs count and examine a share of the cases each, and one of them joins all.

OUT/parts/counted-2-of-4.jsonl holds what shard 2 of 4 keeps of its cases: a line that says of which audit it
is, then a line a case. Numbers come back as they were, to the last bit (NaN and infinity are written as
Python's json does). A part appears whole or not at all; what a killed run had not finished is done again.

No lock can be left behind, as there is none. Where two runs find all parts there, each writes the same result
into a folder of its own and moves it into place, audit.json last. Whoever then takes the first part away is
the one that joined.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from labelmend.engine.audit_result import AuditResult, read_result, what_was_audited
from labelmend.engine.audit_rows import counted_from, decoded, digest, encoded, told_from
from labelmend.engine.audit_source import Source
from labelmend.engine.shard import Shard
from labelmend.errors import LabelmendError, OutputError, UnreadableFileError
from labelmend.io import write_text
from labelmend.io.atomic import plain
from labelmend.io.audit_folder import AUDIT, PROPOSALS
from labelmend.io.reading import read_json_lines
from labelmend.io.table_base import listed

PARTS = "parts"
KIND = "part of a label audit"

Row = TypeVar("Row")


@dataclass(frozen=True)
class Waiting:
    """A shard has done its share of a pass, and others have not yet done theirs.

    Args:
        folder: of the audit.
        stage: the pass: "counting", "counting again" or "examining".
        n_done: cases that the shards have done so far.
        n_cases: cases of the data set.
        missing: numbers of the shards that have yet to do the pass.
        n_shards: number of all shards.
    """

    folder: Path
    stage: str
    n_done: int
    n_cases: int
    missing: tuple[int, ...]
    n_shards: int

    def __str__(self) -> str:
        done = {stage.doing: stage.done for stage in STAGES}[self.stage]
        shards = f"shard{'s' if len(self.missing) > 1 else ''} {listed([str(n) for n in self.missing])}"
        return (
            f"{done} {self.n_done} of {self.n_cases} cases; run the same command again when {shards} of "
            f"{self.n_shards} ha{'ve' if len(self.missing) > 1 else 's'} {done}"
        )


@dataclass(frozen=True)
class Stage(Generic[Row]):
    """A pass over the cases, at whose end the shards meet.

    Args:
        doing: what it does in one word, or two.
        done: the same when it is done.
        row_from: a row from the dictionary that `decoded` gives.
    """

    doing: str
    done: str
    row_from: Callable[[Mapping[str, Any]], Row]

    def part(self, shard: Shard) -> str:
        """The name of the file of a shard."""
        return shard.named(f"{self.done.replace(' ', '-')}.jsonl")


class JoinedError(Exception):
    """The parts are no longer there, since another run has joined them: the audit is whole."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of an audit, as one of its shards sees them.

    Args:
        out: folder of the audit.
        shard: which one this is, of two or more.
        source: what is audited.
        settings: what the runs must have in common beside what is audited, `calibrate` among it.
    """

    out: Path
    shard: Shard
    source: Source
    settings: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return self.out / PARTS

    @property
    def home(self) -> Path:
        """Where proposals lie until all is joined."""
        return self.folder / PROPOSALS

    def check(self) -> None:
        """Look at what is there before the work begins.

        Raises:
            OutputError: the folder holds parts of another audit, or what no audit in shards left there.
            JoinedError: the audit is whole.
        """
        there, parts = _names(self.out), _names(self.folder)
        if there and not there & {PARTS, AUDIT}:
            raise OutputError(
                f"{self.out} holds {min(there)} of an audit that did not finish: choose a new or empty folder"
            )
        for name in sorted(parts):
            if not name.startswith(".") and name != PROPOSALS:
                self._check_head(self.folder / name, _first_line(self.folder / name))
        self._stop_if_joined()

    def met(
        self, stage: Stage[Row], work: Callable[[], list[Row]], *, after: Sequence[Any] = ()
    ) -> list[Row] | Waiting:
        """The rows of all cases, once all shards have done theirs.

        Args:
            stage: the pass.
            work: makes the rows of this shard; called where its part is not there.
            after: rows of all cases from the pass before, which these rows rest on.

        Returns:
            Rows in the order of the cases, or who is waited for.

        Raises:
            OutputError: a part is of another audit, or rests on other numbers. JoinedError: see there.
        """
        cases, own = self.source.cases, self.shard.number
        shards = [Shard(number, self.shard.count) for number in range(1, self.shard.count + 1)][: len(cases)]
        rests_on = digest(after)
        found: dict[int, list[Row]] = {}
        if stage.part(self.shard) not in _names(self.folder):
            self._stop_if_joined()
            found[own] = self._done(stage, work, rests_on)
        there = _names(self.folder)
        missing = tuple(s.number for s in shards if s.number not in found and stage.part(s) not in there)
        if missing:
            self._stop_if_joined()
            n_left = sum(len(shards[number - 1].of(cases)) for number in missing)
            done = len(cases) - n_left
            return Waiting(self.out, stage.doing, done, len(cases), missing, self.shard.count)
        rows: dict[str, Row] = {}
        for shard in shards:
            part = found[shard.number] if shard.number in found else self._read(stage, shard, rests_on)
            rows.update(zip(shard.of(cases), part, strict=True))
        return [rows[case] for case in cases]

    def joined(self, write: Callable[[Path], AuditResult], proposals: Iterable[str]) -> AuditResult:
        """Put the whole result into the folder of the audit, and take the parts away.

        Args:
            write: writes all files but the proposals into a folder.
            proposals: files below the folder of the audit, as cases.jsonl lists them.

        Raises:
            OutputError: what is asked for cannot be written. JoinedError: see there.
        """
        self._stop_if_joined()
        try:
            own = Path(tempfile.mkdtemp(prefix=".joining-", dir=self.folder))
            result = write(own)
            self._move_proposals(proposals)
            for path in sorted(own.iterdir(), key=lambda path: path.name == AUDIT):
                os.replace(path, self.out / path.name)
        except (OSError, OutputError) as error:
            self._stop_if_joined()
            if isinstance(error, OSError):
                raise OutputError(
                    f"cannot join {self.folder} ({error.strerror}): mend that and run the same command again"
                ) from error
            raise
        return dataclasses.replace(result, folder=self.out, written=self._taken_away())

    def result(self) -> AuditResult:
        """The result that another run has joined.

        Raises:
            OutputError: it is that of another audit.
        """
        found, advice = read_result(self.out), "choose another folder, or remove it"
        about = plain(self._audited)
        other = [name for name, value in about.items() if found.facts.get(name) != value]
        if other:
            raise OutputError(f"{self.out} holds a finished audit with other {listed(other)}: {advice}")
        audited = {row["case"]: row["checksum"] for row in found.cases}
        for case in self.shard.of(self.source.cases):
            if audited.get(case) != self.source.checksum(case):
                raise OutputError(
                    f"{self.out} holds a finished audit of other labels than now, case {case}: {advice}"
                )
        shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def _done(self, stage: Stage[Row], work: Callable[[], list[Row]], rests_on: str) -> list[Row]:
        """Do the work of this shard and keep it."""
        cases = self.shard.of(self.source.cases)
        stamps = [self._stamp(case) for case in cases]
        rows = work()
        head = {"kind": KIND, "stage": stage.doing, "audit": self._settings, "rests_on": rests_on}
        lines = [head] + [
            {"case": case, "stamp": stamp, "row": encoded(row)}
            for case, stamp, row in zip(cases, stamps, rows, strict=True)
        ]
        write_text(self.folder / stage.part(self.shard), "".join(json.dumps(line) + "\n" for line in lines))
        return rows

    def _read(self, stage: Stage[Row], shard: Shard, rests_on: str) -> list[Row]:
        """The rows of a shard from its part."""
        path = self.folder / stage.part(shard)
        head = self._check_head(path, _first_line(path))
        if head.get("rests_on") != rests_on:
            raise OutputError(
                f"{path} was made with other numbers than those that lie beside it now: remove {self.folder} "
                "and run all shards again"
            )
        try:
            entries = read_json_lines(path)[1:]
            rows = [stage.row_from(decoded(entry["row"])) for entry in entries]
            cases = [entry["case"] for entry in entries]
            if head["stage"] != stage.doing or cases != list(shard.of(self.source.cases)):
                raise ValueError("other cases")
        except (ValueError, TypeError, LookupError, OSError, LabelmendError) as error:
            self._stop_if_joined()
            raise UnreadableFileError(
                f"{path} is damaged ({type(error).__name__}: {error}): remove it and run shard "
                f"{shard.number} again"
            ) from error
        for entry in entries if shard == self.shard else ():
            if entry["stamp"] != self._stamp(entry["case"]):
                raise OutputError(
                    f"labels, probabilities or image of case {entry['case']} changed since {path} was "
                    f"written: remove {self.folder} and run all shards again"
                )
        return rows

    def _check_head(self, path: Path, line: str) -> dict[str, Any]:
        """The first line of a part, or an OutputError if it is of another audit."""
        try:
            head = json.loads(line)
            if head["kind"] != KIND:
                raise ValueError("another kind")
            audit = dict(head["audit"])
        except (ValueError, TypeError, LookupError) as error:
            self._stop_if_joined()
            raise OutputError(f"{path} is no part of an audit: choose a new or empty folder") from error
        own = self._settings
        other = [name for name in own if audit.get(name) != own[name]]
        if other:
            said = [f"{name}{_told(audit.get(name), own[name])}" for name in other]
            raise OutputError(
                f"{path} is of an audit with other {listed(said)}: run all shards with the same settings, "
                f"choose another folder, or remove {self.folder}"
            )
        return dict(head)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        about = {name: value for name, value in self._audited.items() if name != "settings"}
        cases = digest(self.source.cases)
        return dict(plain({"shards": self.shard.count, **about, "cases": cases, **self.settings}))

    @property
    def _audited(self) -> dict[str, Any]:
        return what_was_audited(self.source, calibrated=self.settings["calibrate"])

    def _stamp(self, case: str) -> list[list[int]]:
        """Size and time of the files of a case, which show that one was changed between two runs."""
        source = self.source
        images = source.image_files.get(case, ())
        files = (*source.label_files(case), *source.probs.checksum_files(case), *images)
        return [[told.st_size, told.st_mtime_ns] for told in (path.stat() for path in files if path.exists())]

    def _stop_if_joined(self) -> None:
        if AUDIT in _names(self.out):
            raise JoinedError

    def _move_proposals(self, proposals: Iterable[str]) -> None:
        for name in proposals:
            target = self.out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # moved already, by a run that joins too or was killed
                os.replace(self.folder / name, target)
            if not target.exists():
                raise OutputError(f"{self.folder / name} is gone: remove {self.folder}, run all shards again")

    def _taken_away(self) -> bool:
        """Remove the parts; whether this run was the first to do so."""
        first = True
        try:
            (self.folder / EXAMINING.part(Shard(1, self.shard.count))).unlink()
        except OSError:
            first = False
        shutil.rmtree(self.folder, ignore_errors=True)
        return first


def _names(folder: Path) -> set[str]:
    """What a folder lists: asked of the folder itself, as a shared disk may remember that a file was not
    there."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _first_line(path: Path) -> str:
    """Empty where there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline()
    except (FileNotFoundError, IsADirectoryError):
        return ""


def _told(there: Any, here: Any) -> str:
    """Two settings in words, where they are short enough to be read."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (there, here)]
    return f" ({texts[0]}, here {texts[1]})" if max(map(len, texts)) <= 60 else ""


COUNTING = Stage("counting", "counted", counted_from)
COUNTING_AGAIN = Stage("counting again", "counted again", counted_from)
EXAMINING = Stage("examining", "examined", told_from)
STAGES: tuple[Stage[Any], ...] = (COUNTING, COUNTING_AGAIN, EXAMINING)
