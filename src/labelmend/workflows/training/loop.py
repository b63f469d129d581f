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
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from labelmend.runtime.progress import Progress, no_progress
from labelmend.types import BoolArray, LabelMap
from labelmend.workflows.training.batches import BatchSource, CaseDataset, batches, epoch_order
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.label_versions import LabelStore
from labelmend.workflows.training.results import RunResult, write_outputs
from labelmend.workflows.training.revising import new_version
from labelmend.workflows.training.run import (
    Plan,
    RunState,
    borrowed_network,
    is_over,
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
    progress: Progress = no_progress,
) -> RunResult:
    """Train on given labels and write corrected ones, or go on with a run that was interrupted.

    Args:
        config: all settings.
        method: the learning method.
        network: a module of your own, image `(b c *space)` -> logits `(b k *space)` (k + 1 for exclusive
            classes); every round starts from a copy of it. Default: the MONAI network of `config.network`.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Returns:
        Where everything lies.

    Raises:
        LabelmendError: bad input or settings, before training starts where it can be known.
    """
    check_out(config, method)
    with kept_folder(config.out) if is_first_process() else nullcontext():
        plan, state = start(config, method, network, progress)
        while not is_over(plan, state):
            state = fit(plan, state)
            state = revise(plan, state)
        return write_outputs(plan, state)


def fit(plan: Plan, state: RunState) -> RunState:
    """One round: networks from scratch on the newest labels, or on from the last checkpoint."""
    config, accelerator = plan.config, plan.accelerator
    if state.round == 0 and config.first_round is not None:
        return replace(state, networks=(borrowed_network(plan),), trained=0)
    modules = new_networks(plan, state.round)
    prepared = [accelerator.prepare_model(net) for net in modules]
    optimizer = accelerator.prepare_optimizer(_optimizer(modules, config))
    cases, held_out = split_cases(plan, state.round)
    dataset, validation = _dataset(plan, state, cases), _dataset(plan, state, held_out)
    first, best = restore_round(plan, state.round, modules, optimizer)
    state = replace(state, trained=first)
    saved_at = time.monotonic()
    for epoch in range(first, config.epochs):
        state, row = _train_epoch(plan, state, epoch, dataset, prepared, optimizer)
        _synchronise(plan, modules)
        if held_out:
            best = _validate(plan, modules, validation, epoch, row, best)
        method, wanted = plan.method.epoch_end(_counted(plan, state.method), epoch)
        state = replace(state, method=method)
        if wanted and epoch + 1 < config.epochs:
            stage = f"revising after epoch {epoch + 1}"
            state, row["n_revised"], _ = new_version(plan, state, modules[0], stage)
            dataset = _dataset(plan, state, cases)
        append_metrics(plan.folder, row, accelerator.is_main_process)
        if config.early_stop and epoch - best["epoch"] >= config.early_stop:
            break
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
            save_run(plan, state, modules, optimizer, epoch + 1, best)
            saved_at = time.monotonic()
    if best["networks"]:
        for net, weights in zip(modules, best["networks"], strict=True):
            net.load_state_dict(weights)
        state = replace(state, trained=best["epoch"] + 1)
    state = replace(state, networks=tuple(modules))
    save_run(plan, state, modules, optimizer, config.epochs, best)
    return state


def _train_epoch(
    plan: Plan,
    state: RunState,
    epoch: int,
    dataset: CaseDataset,
    prepared: Sequence[nn.Module],
    optimizer: torch.optim.Optimizer,
) -> tuple[RunState, dict[str, Any]]:
    """One pass over the data set; returns the row of metrics.jsonl."""
    config, losses = plan.config, []
    loaded, n_batches = _epoch_batches(plan, state, dataset, epoch)
    stage, method = f"round {state.round + 1}", state.method
    torch.manual_seed(seed_of(plan, state.round, epoch))
    for net in prepared:
        net.train()
    for step, batch in enumerate(loaded):
        _set_learning_rate(optimizer, config, epoch + step / n_batches)
        with plan.accelerator.autocast():
            loss, _, method = plan.method.step(method, batch, prepared)
        plan.accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        done = epoch * n_batches + step + 1
        plan.tick(stage, done, config.epochs * n_batches, f"loss {losses[-1]:.3f}")
    mean = float(np.mean(losses))
    if not math.isfinite(mean):
        raise LabelmendError(f"the loss became {mean} in epoch {epoch + 1}: lower --learning-rate")
    row = {"round": state.round + 1, "epoch": epoch + 1, "loss": mean}
    return replace(state, method=method, loss=mean, trained=epoch + 1), row


def revise(plan: Plan, state: RunState) -> RunState:
    """End of a round: let the method revise the labels with the networks of this round."""
    # A bias measured on cases that were trained on is too small.
    if not (plan.config.clean_repeat and state.round > 0):
        stage = f"revising, round {state.round + 1}"
        state, n_revised, held = new_version(plan, state, state.networks[0], stage, plan.config.average_shift)
        measured = [
            row | ({"why": f"not learned ({held[row['class']]}): kept"} if row["class"] in held else {})
            for row in plan.method.findings(state.method)
        ]
        row = {"round": state.round + 1, "loss": state.loss, "bias": measured, "n_revised": n_revised}
        state = replace(state, rows=(*state.rows, row))
    state = replace(state, round=state.round + 1)
    save_run(plan, state, state.networks, None, None, {})
    return state


def _counted(plan: Plan, method: State) -> State:
    """The method's state with the counts of all processes added up."""
    names = plan.method.needs.counts
    if plan.accelerator.num_processes == 1 or not names:
        return method
    device = plan.accelerator.device

    def total(array: NDArray[Any]) -> NDArray[Any]:
        return plan.accelerator.reduce(torch.as_tensor(array, device=device), "sum").cpu().numpy()

    return method | {name: total(method[name]) for name in names if name in method}


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


def _epoch_batches(
    plan: Plan, state: RunState, dataset: CaseDataset, epoch: int
) -> tuple[Iterator[Any], int]:
    """Batches of this process in this epoch, and their number."""
    config, accelerator = plan.config, plan.accelerator
    rng = np.random.default_rng([config.seed, state.round, epoch])
    order = epoch_order(
        dataset.source.cases, rng, config.batch_size, accelerator.num_processes, config.steps_per_epoch
    )
    mine = order[accelerator.process_index :: accelerator.num_processes]
    seeds = [seed_of(plan, state.round, epoch, i) for i in range(len(mine))]
    return _batches(plan, dataset, mine, seeds, epoch), len(mine)


def _batches(
    plan: Plan, dataset: CaseDataset, order: list[list[str]], seeds: list[int], epoch: int
) -> Iterator[Any]:
    return batches(
        dataset,
        order,
        seeds=seeds,
        epoch=epoch,
        overlapping=plan.card.overlapping,
        augment=plan.config.augment if epoch >= 0 else None,
        device=plan.accelerator.device,
        workers=plan.config.workers,
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


def _dataset(plan: Plan, state: RunState, cases: Sequence[str]) -> CaseDataset:
    reader = _Reader(plan.data.training, plan.data.clean, plan.store, state.version)
    source = BatchSource(tuple(cases), reader.image, reader.labels, reader.left_out)
    return CaseDataset(source, plan.card.resize, plan.card.patch, plan.config.cache_gib)


def _synchronise(plan: Plan, modules: Sequence[nn.Module]) -> None:
    """Running statistics of the first process for all: every process goes on with the same networks."""
    if plan.accelerator.num_processes > 1:
        for net in modules:
            broadcast(list(net.buffers()))


@torch.no_grad()
def _validate(
    plan: Plan,
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
        for batch in _batches(plan, held_out, order, [0] * len(order), -1)
    ]
    row["validation_loss"] = _agreed(plan, float(np.mean(losses)))
    if not row["validation_loss"] < best["loss"]:
        return best
    return {"loss": row["validation_loss"], "epoch": epoch, "networks": [weights_of(net) for net in modules]}


def _agreed(plan: Plan, value: float) -> float:
    """The mean over processes, so that all of them stop at the same epoch."""
    if plan.accelerator.num_processes == 1:
        return value
    return float(plan.accelerator.reduce(torch.tensor(value, device=plan.accelerator.device), "mean"))
