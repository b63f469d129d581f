"""The main jobs in one call each, from Python; the command line is a thin layer over these."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmend.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from labelmend.engine.config import TrainConfig
    from labelmend.engine.outputs import RunResult
    from labelmend.engine.train import Tick
    from labelmend.methods.base import Method


def train(
    data: str | Path = "",
    *,
    out: str | Path = "",
    method: Method | str = "spatial_correction",
    network: nn.Module | None = None,
    config: TrainConfig | None = None,
    on_tick: Callable[[Tick], None] = lambda tick: None,
    **settings: Any,
) -> RunResult:
    """Train on noisy masks, write corrected ones and a report; go on where an interrupted run of the same settings stopped.

    Args:
        data: folder with images/ and label folders.
        out: folder of the run.
        method: a Method, or the name of one with its default settings.
        network: a torch module of your own; default: the MONAI network that the settings name.
        config: all settings at once, instead of `settings`.
        on_tick: called with progress.
        settings: fields of `labelmend.engine.config.TrainConfig`: labels, clean, epochs, resize, ...

    Returns:
        RunResult: the folder, the corrected labels, and the summary.

    Raises:
        LabelmendError: bad input or settings.
    """
    from labelmend.audit import write_report
    from labelmend.engine.config import TrainConfig
    from labelmend.engine.train import train as run_training
    from labelmend.methods.registry import METHODS

    if config is None:
        unknown = sorted(set(settings) - {f.name for f in dataclasses.fields(TrainConfig)})
        if unknown:
            raise ConfigError(f"no setting called {unknown[0]!r}; see labelmend.engine.config.TrainConfig")
        config = TrainConfig(
            data=str(data),
            out=str(out),
            **{k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        )
    if isinstance(method, str):
        if method not in METHODS:
            raise ConfigError(f"no method called {method!r}; there are {', '.join(METHODS)}")
        method = METHODS[method]()
    result = run_training(config, method, network=network, on_tick=on_tick)
    if not (result.folder / "report.html").exists():
        write_report(result.folder)
    return result
