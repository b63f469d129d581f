"""The main jobs in one call each, from Python; the command line is a thin layer over these."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmend.errors import ConfigError
from labelmend.runtime.extras import needed_by
from labelmend.runtime.progress import Progress, no_progress

if TYPE_CHECKING:
    from torch import nn

    from labelmend.methods.base import Method
    from labelmend.model.config import NetworkConfig
    from labelmend.workflows.training.config import TrainConfig
    from labelmend.workflows.training.results import RunResult


def train(
    data: str | Path = "",
    *,
    out: str | Path = "",
    method: Method | str = "spatial_correction",
    network: nn.Module | NetworkConfig | str | None = None,
    config: TrainConfig | None = None,
    progress: Progress = no_progress,
    **settings: Any,
) -> RunResult:
    """Train on noisy masks, write corrected ones and a report; go on where an interrupted run stopped.

    Args:
        data: folder with images/ and label folders.
        out: folder of the run.
        method: a Method, or the name of one with its default settings.
        network: a torch module of your own, or a MONAI network by its name or with its arguments.
        config: settings to start from; `data`, `out` and `settings` win over it.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.
        settings: fields of `training.config.TrainConfig`: labels, clean, epochs, resize, ...

    Returns:
        RunResult: the folder, the corrected labels, and the summary.

    Raises:
        LabelmendError: bad input or settings.
    """
    from labelmend.methods.registry import METHODS
    from labelmend.model.config import NetworkConfig
    from labelmend.workflows.training.config import TrainConfig
    from labelmend.workflows.training.report import write_report

    with needed_by("training"):
        from labelmend.workflows.training.loop import run_training

    unknown = sorted(set(settings) - {f.name for f in dataclasses.fields(TrainConfig)})
    if unknown:
        near = difflib.get_close_matches(unknown[0], [f.name for f in dataclasses.fields(TrainConfig)], n=1)
        meant = f"did you mean {near[0]}?" if near else "see labelmend.workflows.training.config.TrainConfig"
        raise ConfigError(f"no setting called {unknown[0]!r}: {meant}")
    values: dict[str, Any] = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    values |= {key: str(value) for key, value in (("data", data), ("out", out)) if str(value)}
    if isinstance(network, str | NetworkConfig):
        values["network"] = NetworkConfig(network) if isinstance(network, str) else network
        network = None
    config = dataclasses.replace(config or TrainConfig(), **values)
    if isinstance(method, str):
        if method not in METHODS:
            raise ConfigError(f"no method called {method!r}; there are {', '.join(METHODS)}")
        method = METHODS[method]()
    result = run_training(config, method, network=network, progress=progress)
    if result.is_main and not (result.folder / "report.html").exists():
        write_report(result.folder)
    return result
