"""The run folder before and during training: taken or refused, its settings, its log of epochs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from labelmend.errors import ConfigError, OutputError
from labelmend.io import append_line, read_lines, read_manifest, write_text
from labelmend.io.files.reading import reading
from labelmend.methods.base import Method
from labelmend.runtime.output_folder import check_output, names_in
from labelmend.workflows.training.config import TrainConfig, differing, read_settings, to_yaml

MANIFEST = "manifest.jsonl"


MACHINE_SETTINGS = ("out", "workers", "cache_gib")
"""Settings that may change between an interrupted start and the next: no bit of the result depends on them.

It does on `device` and `threads`: sums are taken in another order, and labels differ by single pixels.
"""


def check_out(config: TrainConfig, method: Method) -> None:
    """Refuse a folder that is neither new, nor empty, nor holds this very run; writes nothing.

    Raises:
        ConfigError: no folder was named.
        OutputError: the folder holds something else, or a run with other settings.
    """
    if not config.out:
        raise ConfigError("no output folder was given: say --out RUN")
    folder = Path(config.out)
    check_output(folder, names_in(folder))
    if (folder / "config.yaml").exists():
        import yaml

        old, new = read_settings(folder), yaml.safe_load(to_yaml(config, method))
        changed = [line for line in differing(old, new) if line.partition(":")[0] not in MACHINE_SETTINGS]
        if changed:
            raise OutputError(
                f"{folder} holds a run with other settings ({'; '.join(changed[:5])}): choose another --out"
            )
    else:
        check_output(folder)


def is_first_process() -> bool:
    """Whether this is the process that writes, of those that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def open_run(config: TrainConfig, method: Method) -> None:
    """Take the folder of `check_out` for this run, once all that can be known beforehand is checked."""
    check_out(config, method)
    settings = Path(config.out) / "config.yaml"
    if not settings.exists():
        write_text(settings, to_yaml(config, method))


def append_metrics(folder: Path, row: dict[str, Any], is_main: bool) -> None:
    """One JSON line an epoch in RUN/metrics.jsonl."""
    if is_main:
        append_line(folder / "metrics.jsonl", json.dumps(row))


def trim_metrics(folder: Path, round_number: int, epochs_done: int, is_main: bool) -> None:
    """Forget rows of epochs that will be trained again after an interruption."""
    path = folder / "metrics.jsonl"
    if not is_main or not path.exists():
        return
    lines = read_lines(path)
    with reading(path, "the log of a run"):
        kept = [
            line
            for line in lines
            if (row := json.loads(line)) and (row["round"], row["epoch"]) <= (round_number, epochs_done)
        ]
    write_text(path, "".join(line + "\n" for line in kept))


def missing_labels(folder: Path) -> list[str]:
    """Label files that the manifest lists and that are not there."""
    return [
        name
        for row in read_manifest(folder / MANIFEST)
        for name in row.files
        if not (folder / name).is_file()
    ]
