"""The loop: train, let the method revise the labels, train again, write the corrected labels.

    for each round:            fresh networks on the newest labels
        for each epoch:        one pass, method.step on every batch; method.epoch_end may ask to revise now
        method.revise          revised labels become the next version

Everything random comes from (seed, round, epoch, batch), so a run that was killed and started again ends with
the same labels as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast
from numpy.typing import NDArray
from torch import nn

from labelmend.errors import LabelmendError
from labelmend.io import Dataset, Image
from labelmend.methods.base import Method, State
from labelmend.runtime.output_folder import kept_folder
from labelmend.runtime.progress import Tick
from labelmend.types import BoolArray, LabelMap
from labelmend.workflows.training.batches import BatchSource, CaseDataset, batches, epoch_order
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.label_versions import LabelStore
from labelmend.workflows.training.results import RunResult, write_outputs
from labelmend.workflows.training.revising import new_version
from labelmend.workflows.training.run import (
    Run,
    borrowed_network,
    new_networks,
    restore_round,
    save_run,
    seed_of,
    split_cases,
    start,
    weights_of,
)
from labelmend.workflows.training.run_folder import append_metrics, check_out, is_first_process

CHECKPOINT_EVERY_S = 30.0
"""Seconds of training that a killed run may lose."""


WARM_UP_SHARE = 0.1
"""Share of a round over which the learning rate rises to its peak."""


def run_training(
    config: TrainConfig,
    method: Method,
    *,
    network: nn.Module | None = None,
    on_tick: Callable[[Tick], None] = lambda tick: None,
) -> RunResult:
    """Train on given labels and write corrected ones, or go on with a run that was interrupted.

    Args:
        config: all settings.
        method: the learning method.
        network: a module of your own, image `(b c *space)` -> logits `(b k *space)` (k + 1 for exclusive
            classes); every round starts from a copy of it. Default: the MONAI network of `config.network`.
        on_tick: told of progress.

    Returns:
        Where everything lies.

    Raises:
        LabelmendError: bad input or settings, before training starts where it can be known.
    """
    check_out(config, method)
    with kept_folder(config.out) if is_first_process() else nullcontext():
        run = start(config, method, network, on_tick)
        while not run.over:
            fit(run)
            revise(run)
        return write_outputs(run)


def fit(run: Run) -> None:
    """One round: networks from scratch on the newest labels, or on from the last checkpoint."""
    config, accelerator = run.config, run.accelerator
    if run.round == 0 and config.first_round is not None:
        run.networks, run.trained = [borrowed_network(run)], 0
        return
    modules = new_networks(run)
    prepared = [accelerator.prepare_model(net) for net in modules]
    optimizer = accelerator.prepare_optimizer(_optimizer(modules, config))
    cases, held_out = split_cases(run)
    dataset, validation = _dataset(run, cases), _dataset(run, held_out)
    first, best = restore_round(run, modules, optimizer)
    run.trained = first
    saved_at = time.monotonic()
    for epoch in range(first, config.epochs):
        torch.manual_seed(seed_of(run, epoch))
        order, seeds = _order(run, cases, epoch)
        losses = []
        for net in prepared:
            net.train()
        for step, batch in enumerate(_batches(run, dataset, order, seeds, epoch)):
            _set_learning_rate(optimizer, config, epoch + step / len(order))
            with accelerator.autocast():
                loss, _, run.state = run.method.step(run.state, batch, prepared)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            run.tick(
                f"round {run.round + 1}",
                epoch * len(order) + step + 1,
                config.epochs * len(order),
                f"loss {losses[-1]:.3f}",
            )
        row = {"round": run.round + 1, "epoch": epoch + 1, "loss": float(np.mean(losses))}
        if not math.isfinite(row["loss"]):
            raise LabelmendError(f"the loss became {row['loss']} in epoch {epoch + 1}: lower --learning-rate")
        _synchronise(run, modules)
        if held_out:
            best = _validate(run, modules, validation, epoch, row, best)
        run.loss, run.trained = row["loss"], epoch + 1
        run.state, wanted = run.method.epoch_end(_counted(run), epoch)
        if wanted and epoch + 1 < config.epochs:
            row["n_revised"], _ = new_version(run, modules[0], f"revising after epoch {epoch + 1}")
            dataset = _dataset(run, cases)
        append_metrics(run.folder, row, accelerator.is_main_process)
        stop = bool(config.early_stop and epoch - best["epoch"] >= config.early_stop)
        if stop:
            break
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
            save_run(run, modules, optimizer, epoch + 1, best)
            saved_at = time.monotonic()
    if best["networks"]:
        for net, weights in zip(modules, best["networks"], strict=True):
            net.load_state_dict(weights)
        run.trained = best["epoch"] + 1
    run.networks = modules
    save_run(run, modules, optimizer, config.epochs, best)


def revise(run: Run) -> None:
    """End of a round: let the method revise the labels with the networks of this round."""
    # A bias measured on cases that were trained on is too small.
    if not (run.config.clean_repeat and run.round > 0):
        stage = f"revising, round {run.round + 1}"
        n_revised, held = new_version(run, run.networks[0], stage, run.config.average_shift)
        found = [
            row | ({"why": f"not learned ({held[row['class']]}): kept"} if row["class"] in held else {})
            for row in run.method.findings(run.state)
        ]
        run.rows.append({"round": run.round + 1, "loss": run.loss, "bias": found, "n_revised": n_revised})
    run.round += 1
    save_run(run, run.networks, None, None, {})


def _counted(run: Run) -> State:
    """The state with the counts of all processes added up."""
    names = run.method.needs.counts
    if run.accelerator.num_processes == 1 or not names:
        return run.state
    device = run.accelerator.device

    def total(array: NDArray[Any]) -> NDArray[Any]:
        return run.accelerator.reduce(torch.as_tensor(array, device=device), "sum").cpu().numpy()

    return run.state | {name: total(run.state[name]) for name in names if name in run.state}


def _optimizer(modules: Sequence[nn.Module], config: TrainConfig) -> torch.optim.Optimizer:
    parameters = [p for net in modules for p in net.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def _set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, epoch: float) -> None:
    """Linear warm-up, then cosine to zero; a function of the epoch alone, so nothing needs to be saved."""
    progress, warm = epoch / config.epochs, WARM_UP_SHARE
    rise = min(1.0, (progress + 1e-3) / warm)
    fall = 0.5 * (1 + math.cos(math.pi * max(0.0, (progress - warm) / (1 - warm))))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rise * fall


def _order(run: Run, cases: Sequence[str], epoch: int) -> tuple[list[list[str]], list[int]]:
    """Batches of this process in this epoch, and a seed for each."""
    config, accelerator = run.config, run.accelerator
    rng = np.random.default_rng([config.seed, run.round, epoch])
    order = epoch_order(cases, rng, config.batch_size, accelerator.num_processes, config.steps_per_epoch)
    mine = order[accelerator.process_index :: accelerator.num_processes]
    return mine, [seed_of(run, epoch, i) for i in range(len(mine))]


def _batches(
    run: Run, dataset: CaseDataset, order: list[list[str]], seeds: list[int], epoch: int
) -> Iterator[Any]:
    return batches(
        dataset,
        order,
        seeds=seeds,
        epoch=epoch,
        overlapping=run.card.overlapping,
        augment=run.config.augment if epoch >= 0 else None,
        device=run.accelerator.device,
        workers=run.config.workers,
    )


@dataclass(frozen=True, eq=False)
class _Reader:
    """Images and labels of one round; a plain value that can be sent to the processes that load data."""

    training: Dataset
    clean: Dataset | None
    store: LabelStore
    version: int

    def image(self, case: str) -> Image:
        return (self._trusted(case) or self.training).read_image(case)

    def labels(self, case: str) -> LabelMap:
        trusted = self._trusted(case)
        return self.store.read(case, self.version) if trusted is None else trusted.read_labels(case)

    def left_out(self, case: str) -> BoolArray | None:
        return self.store.left_out(case, self.version) if self._trusted(case) is None else None

    def _trusted(self, case: str) -> Dataset | None:
        return self.clean if self.clean is not None and case in self.clean.cases else None


def _dataset(run: Run, cases: Sequence[str]) -> CaseDataset:
    reader = _Reader(run.material.training, run.material.clean, run.store, run.version)
    source = BatchSource(tuple(cases), reader.image, reader.labels, reader.left_out)
    return CaseDataset(source, run.card.resize, run.card.patch, run.config.cache_gib)


def _synchronise(run: Run, modules: Sequence[nn.Module]) -> None:
    """Running statistics of the first process for all: every process goes on with the same networks."""
    if run.accelerator.num_processes > 1:
        for net in modules:
            broadcast(list(net.buffers()))


@torch.no_grad()
def _validate(
    run: Run,
    modules: Sequence[nn.Module],
    held_out: CaseDataset,
    epoch: int,
    row: dict[str, Any],
    best: dict[str, Any],
) -> dict[str, Any]:
    """Loss on held-out given labels; returns the best epoch so far with its weights."""
    from labelmend.losses import dice_ce_loss

    modules[0].eval()
    order = [[case] for case in held_out.source.cases]
    losses = [
        float(dice_ce_loss(modules[0](batch.image), batch.target, valid=batch.valid))
        for batch in _batches(run, held_out, order, [0] * len(order), -1)
    ]
    row["validation_loss"] = _agreed(run, float(np.mean(losses)))
    if not row["validation_loss"] < best["loss"]:
        return best
    return {"loss": row["validation_loss"], "epoch": epoch, "networks": [weights_of(net) for net in modules]}


def _agreed(run: Run, value: float) -> float:
    """The mean over processes, so that all of them stop at the same epoch."""
    if run.accelerator.num_processes == 1:
        return value
    return float(run.accelerator.reduce(torch.tensor(value, device=run.accelerator.device), "mean"))
