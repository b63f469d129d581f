from __future__ import annotations

from types import SimpleNamespace

import torch

from labelmend.methods.plain import Plain
from labelmend.runtime.progress import Tick
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.run import Run


def run_at(tmp_path, *, round_index=0, process=0, clean=None, told=None, **settings) -> Run:
    """A run that stands somewhere, without data: only what the functions under test look at."""
    accelerator = SimpleNamespace(
        process_index=process,
        is_main_process=process == 0,
        scaler=None,
        num_processes=1,
        device=torch.device("cpu"),
    )
    training = SimpleNamespace(cases=tuple(f"c{i}" for i in range(20)))
    material = SimpleNamespace(training=training, clean=clean)
    config = TrainConfig(out=str(tmp_path), **settings)
    on_tick = (lambda tick: None) if told is None else told.append
    run = Run(config, Plain(), material, None, accelerator, None, None, on_tick)
    run.round = round_index
    return run


def test_only_the_main_process_tells_of_progress(tmp_path):
    told: list[Tick] = []
    run_at(tmp_path, process=1, told=told).tick("round 1", 1, 2)
    assert told == []
    run_at(tmp_path, told=told).tick("round 1", 1, 2, "loss 0.5")
    assert told == [Tick("round 1", 1, 2, "loss 0.5")]
