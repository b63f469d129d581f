"""The loop: train, let the method revise the labels, train again, write the corrected labels.

    for each round:            fresh networks on the newest labels
        for each epoch:        one pass, method.step on every batch
        method.revise          revised labels become the next version

Everything random comes from (seed, round, epoch, batch), so a run that was killed and started again ends with
the same labels as one that was not.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

from labelmend import __version__
from labelmend.engine.checkpoint import load_checkpoint, save_checkpoint
from labelmend.engine.config import TrainConfig
from labelmend.engine.data import CaseDataset, Source, batches, epoch_order
from labelmend.engine.grid import per_axis
from labelmend.engine.labels import LabelStore
from labelmend.engine.material import Material, check_first_round, gather
from labelmend.engine.network import padded_size, try_out
from labelmend.engine.outputs import (
    RunResult,
    append_metrics,
    check_out,
    open_run,
    trim_metrics,
    write_outputs,
)
from labelmend.engine.predict import ModelCard, Predictor, load_predictor
from labelmend.errors import ConfigError, LabelmendError
from labelmend.io import Dataset, Image
from labelmend.methods.base import Method, State
from labelmend.types import LabelMap, Predicted

CHECKPOINT_EVERY_S = 30.0
"""Seconds of training that a killed run may lose."""

WARM_UP_SHARE = 0.1
"""Share of a round over which the learning rate rises to its peak."""


@dataclass(frozen=True)
class Tick:
    """Progress for whoever watches: the engine itself prints nothing."""

    stage: str
    done: int
    total: int
    text: str = ""


@dataclass
class Run:
    """A run in progress: what does not change, and where it stands."""

    config: TrainConfig
    method: Method
    material: Material
    store: LabelStore
    accelerator: Accelerator
    card: ModelCard
    own_network: nn.Module | None
    on_tick: Callable[[Tick], None]
    state: State = field(default_factory=dict)
    round: int = 0
    loss: float | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    networks: list[nn.Module] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return Path(self.config.out)

    @property
    def rounds(self) -> int:
        return self.config.rounds or self.method.needs.rounds

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint" / "state.pt"

    def tick(self, stage: str, done: int, total: int, text: str = "") -> None:
        if self.accelerator.is_main_process:
            self.on_tick(Tick(stage, done, total, text))


def train(
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
    run = start(config, method, network, on_tick)
    while run.round < run.rounds:
        fit(run)
        revise(run)
    return write_outputs(run)


def start(
    config: TrainConfig, method: Method, network: nn.Module | None, on_tick: Callable[[Tick], None]
) -> Run:
    """Check all input, open the run folder, and find out where an earlier start of this run stopped."""
    if config.threads:
        torch.set_num_threads(config.threads)
    check_out(config, method)
    accelerator = _accelerator(config)
    seen: list[str] = []

    def on_case(case: str) -> None:
        seen.append(case)
        if accelerator.is_main_process:
            on_tick(Tick("checking data", len(seen), 0, case))

    material = gather(config, method, on_case)
    card = _card(config, material, network)
    store = LabelStore(Path(config.out) / "checkpoint" / "labels", material.training.read_labels)
    run = Run(config, method, material, store, accelerator, card, network, on_tick)
    _check_training(run)
    if accelerator.is_main_process:
        open_run(config, method)
    accelerator.wait_for_everyone()
    saved = load_checkpoint(run.checkpoint)
    if saved is None:
        run.state = method.init(material.for_method(config.seed))
    else:
        run.state, run.round, run.loss = saved["state"], saved["round"], saved["loss"]
        run.rows, run.notes = saved["rows"], saved["notes"]
        if saved["epoch"] is None:
            run.networks = _networks(run)
            for net, weights in zip(run.networks, saved["networks"], strict=True):
                net.load_state_dict(weights)
    return run


def _accelerator(config: TrainConfig) -> Accelerator:
    try:
        return Accelerator(mixed_precision=config.mixed_precision, cpu=config.device == "cpu")
    except ValueError as error:
        raise ConfigError(
            f"mixed_precision {config.mixed_precision} with device {config.device} cannot be had: {error}"
        ) from error


def _check_training(run: Run) -> None:
    """Whatever would stop the training later, found out before anything is written."""
    config, card, material = run.config, run.card, run.material
    _split(run)
    if config.first_round is not None and not run.checkpoint.exists():
        _borrowed(run)
        if material.clean is not None:
            check_first_round(Path(config.first_round), material.clean)
    shape = card.patch or padded_size(card.resize or min(material.facts.shapes))
    batch = min(config.batch_size, 2)
    for net in _networks(run):
        try_out(net, shape=(batch, card.in_channels, *shape), out_channels=card.out_channels)


def fit(run: Run) -> None:
    """One round: networks from scratch on the newest labels, or on from the last checkpoint."""
    config, accelerator = run.config, run.accelerator
    if run.round == 0 and config.first_round is not None:
        run.networks = [_borrowed(run)]
        return
    modules = _networks(run)
    prepared = [accelerator.prepare_model(net) for net in modules]
    optimizer = accelerator.prepare_optimizer(_optimizer(modules, config))
    cases, held_out = _split(run)
    dataset, validation = _dataset(run, cases), _dataset(run, held_out)
    first, best = _restore(run, modules, optimizer)
    saved_at = time.monotonic()
    for epoch in range(first, config.epochs):
        torch.manual_seed(_seed(run, epoch))
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
            raise LabelmendError(f"the loss became {row['loss']} in epoch {epoch + 1}: lower --learning_rate")
        _synchronise(run, modules)
        if held_out:
            best = _validate(run, modules, validation, epoch, row, best)
        run.loss = row["loss"]
        append_metrics(run.folder, row, accelerator.is_main_process)
        stop = bool(config.early_stop and epoch - best["epoch"] >= config.early_stop)
        if stop:
            break
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
            _save(run, modules, optimizer, epoch + 1, best)
            saved_at = time.monotonic()
    if best["networks"]:
        for net, weights in zip(modules, best["networks"], strict=True):
            net.load_state_dict(weights)
    run.networks = modules
    _save(run, modules, optimizer, config.epochs, best)


def revise(run: Run) -> None:
    """Let the method revise the labels with the networks of this round; every process takes its share."""
    accelerator, training = run.accelerator, run.material.training
    version = run.round + 1
    mine = training.cases[accelerator.process_index :: accelerator.num_processes]
    predictor = Predictor(run.card, run.networks[0], accelerator.device, run.config.average_shift)
    clean = run.material.clean
    seen_clean = run.config.clean_repeat and run.round > 0  # a bias measured on cases trained on is too small
    if not seen_clean:
        cases = _predictions(run, predictor, training.subset(mine), f"revising, round {run.round + 1}")
        trusted = (
            iter(()) if clean is None else _predictions(run, predictor, clean, "measuring on trusted cases")
        )
        run.state, revisions = run.method.revise(run.state, cases, trusted)
        for revision in revisions:
            run.store.commit(revision, version, training.read_labels(revision.case))
    accelerator.wait_for_everyone()
    if not seen_clean:
        n_revised = sum(run.store.version_of(case, version) == version for case in training.cases)
        found = run.method.findings(run.state)
        run.rows.append({"round": version, "loss": run.loss, "bias": found, "n_revised": n_revised})
    run.round += 1
    _save(run, run.networks, None, None, {})


def _predictions(run: Run, predictor: Predictor, dataset: Dataset, stage: str) -> Iterator[Predicted]:
    """Whole cases with given and current labels and probabilities, one at a time."""
    trusted = dataset.labels.path != run.material.training.labels.path
    for done, case in enumerate(dataset.cases, start=1):
        given = dataset.read_labels(case)
        current = given if trusted else run.store.read(case, run.round, given)
        yield Predicted(case, given, current, predictor.probs(dataset.read_image(case)))
        run.tick(stage, done, len(dataset.cases), case)


def _card(config: TrainConfig, material: Material, network: nn.Module | None) -> ModelCard:
    labels, ndim = material.training.labels, material.facts.ndim
    spacing = config.spacing_mm
    return ModelCard(
        network=config.network if network is None else None,
        ndim=ndim,
        in_channels=material.facts.n_channels,
        classes=labels.classes,
        values=labels.values if labels.stored_foreground is None else (labels.stored_foreground,),
        overlapping=labels.overlapping,
        resize=per_axis(config.resize, ndim, "resize"),
        patch=per_axis(config.patch, ndim, "patch"),
        spacing_mm=tuple(spacing) if isinstance(spacing, list) else spacing,
        labelmend_version=__version__,
    )


def _networks(run: Run) -> list[nn.Module]:
    """Networks of a round before training: a copy of the user's module, or new ones from the round's seed."""
    layout = torch.channels_last if run.card.ndim == 2 else torch.channels_last_3d
    modules = []
    for index in range(run.method.needs.networks):
        torch.manual_seed(_seed(run, -1 - index))
        net = run.card.build() if run.own_network is None else copy.deepcopy(run.own_network)
        net = net.to(run.accelerator.device)
        modules.append(net.to(memory_format=layout) if run.config.channels_last else net)  # type: ignore[call-overload]
    return modules


def _borrowed(run: Run) -> nn.Module:
    """The network of a finished run, as the outcome of the first round."""
    assert run.config.first_round is not None
    own = copy.deepcopy(run.own_network)  # its weights are replaced, and the next round starts from it
    predictor = load_predictor(run.config.first_round, network=own, device=run.accelerator.device)
    for name in ("network", "ndim", "in_channels", "classes", "overlapping", "resize", "patch"):
        theirs, ours = getattr(predictor.card, name), getattr(run.card, name)
        if theirs != ours:
            raise ConfigError(
                f"--first_round {run.config.first_round} has {name} {theirs}, this run has {ours}"
            )
    return predictor.network


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


def _seed(run: Run, epoch: int, batch: int = 0) -> int:
    """A number that depends on where in the run we are and on nothing else."""
    place = [run.config.seed, run.round, epoch + 16, batch, run.accelerator.process_index * (epoch >= 0)]
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def _order(run: Run, cases: Sequence[str], epoch: int) -> tuple[list[list[str]], list[int]]:
    """Batches of this process in this epoch, and a seed for each."""
    config, accelerator = run.config, run.accelerator
    rng = np.random.default_rng([config.seed, run.round, epoch])
    order = epoch_order(cases, rng, config.batch_size, accelerator.num_processes, config.steps_per_epoch)
    mine = order[accelerator.process_index :: accelerator.num_processes]
    return mine, [_seed(run, epoch, i) for i in range(len(mine))]


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


def _split(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cases of this round (trusted ones repeated if asked for), and those held out for early stopping."""
    config, clean = run.config, run.material.clean
    cases = run.material.training.cases
    held_out: tuple[str, ...] = ()
    if config.early_stop:
        shuffled = np.random.default_rng([config.seed, 7]).permutation(len(cases))
        n = max(1, round(config.validation_share * len(cases)))
        if n >= len(cases):
            raise ConfigError(
                f"early stopping needs held-out cases, and there are only {len(cases)} cases in all"
            )
        held_out = tuple(sorted(cases[i] for i in shuffled[:n]))
        cases = tuple(case for case in cases if case not in held_out)
    if config.clean_repeat and run.round > 0 and clean is not None:
        cases += clean.cases * config.clean_repeat
    return cases, held_out


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

    def _trusted(self, case: str) -> Dataset | None:
        return self.clean if self.clean is not None and case in self.clean.cases else None


def _dataset(run: Run, cases: Sequence[str]) -> CaseDataset:
    reader = _Reader(run.material.training, run.material.clean, run.store, run.round)
    source = Source(tuple(cases), reader.image, reader.labels)
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
    return {"loss": row["validation_loss"], "epoch": epoch, "networks": [_weights(net) for net in modules]}


def _agreed(run: Run, value: float) -> float:
    """The mean over processes, so that all of them stop at the same epoch."""
    if run.accelerator.num_processes == 1:
        return value
    return float(run.accelerator.reduce(torch.tensor(value, device=run.accelerator.device), "mean"))


def _weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}


def _save(
    run: Run, modules: Sequence[nn.Module], optimizer: Any, epoch: int | None, best: dict[str, Any]
) -> None:
    """Where the run stands: `epoch` within a round, or None between rounds."""
    if not run.accelerator.is_main_process:
        return
    scaler = run.accelerator.scaler
    save_checkpoint(
        run.checkpoint,
        {
            "round": run.round,
            "epoch": epoch,
            "networks": [_weights(net) for net in modules],
            "optimizer": optimizer.state_dict() if optimizer is not None else None,
            "scaler": scaler.state_dict() if scaler is not None else None,
            "best": best,
            "state": run.state,
            "rows": run.rows,
            "loss": run.loss,
            "notes": run.notes,
        },
    )


def _restore(run: Run, modules: Sequence[nn.Module], optimizer: Any) -> tuple[int, dict[str, Any]]:
    """First epoch to train, and the best one so far, from a checkpoint within this round."""
    saved = load_checkpoint(run.checkpoint)
    fresh = {"loss": math.inf, "epoch": 0, "networks": []}
    inside = saved is not None and saved["epoch"] is not None and saved["round"] == run.round
    trim_metrics(
        run.folder, run.round + 1, saved["epoch"] if saved and inside else 0, run.accelerator.is_main_process
    )
    if saved is None or not inside:
        return 0, fresh
    for net, weights in zip(modules, saved["networks"], strict=True):
        net.load_state_dict(weights)
    optimizer.load_state_dict(saved["optimizer"])
    if run.accelerator.scaler is not None and saved["scaler"]:
        run.accelerator.scaler.load_state_dict(saved["scaler"])
    return saved["epoch"], saved["best"] or fresh
