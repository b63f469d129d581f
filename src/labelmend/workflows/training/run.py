"""A run: its plan, where it stands, and how it is checked, saved and resumed."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from labelmend import __version__
from labelmend.errors import ConfigError, OutputError
from labelmend.geometry.resample import per_axis
from labelmend.methods.base import Method, State
from labelmend.model.network import padded_size, try_out
from labelmend.model.predictor import ModelCard, load_predictor
from labelmend.runtime.output_folder import about_to_write
from labelmend.runtime.progress import Progress, Tick
from labelmend.workflows.training.checkpoint import load_checkpoint, save_checkpoint
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.label_versions import LabelStore
from labelmend.workflows.training.run_data import RunData, check_first_round, load_and_check
from labelmend.workflows.training.run_folder import check_out, open_run, trim_metrics


@dataclass(frozen=True)
class Plan:
    """What does not change during a run.

    Args:
        config: all settings.
        method: the learning method.
        data: training cases and trusted cases.
        store: all versions of the labels.
        accelerator: device, precision and processes.
        card: layout of the network's inputs and outputs.
        own_network: a module of the user's, or None for that of the config.
        progress: called with the progress of every stage.
    """

    config: TrainConfig
    method: Method
    data: RunData
    store: LabelStore
    accelerator: Accelerator
    card: ModelCard
    own_network: nn.Module | None
    progress: Progress

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
            self.progress(Tick(stage, done, total, text))


@dataclass(frozen=True)
class RunState:
    """Where a run stands. Each step takes a state and returns the next one.

    Args:
        method: state of the method.
        round: rounds finished.
        version: version of the labels that the networks are trained on.
        trained: epochs of this round that went into its networks; 0 if they come from another run.
        loss: training loss of the last epoch.
        rows: what each round measured, for the report.
        notes: sentences for the report.
        networks: networks of this round.
    """

    method: State = field(default_factory=dict)
    round: int = 0
    version: int = 0
    trained: int = 0
    loss: float | None = None
    rows: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    networks: tuple[nn.Module, ...] = ()

    def noting(self, *notes: str) -> RunState:
        """The same state with more sentences for the report, each said once."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))


def is_over(plan: Plan, state: RunState) -> bool:
    """Whether no round is left, or none that would change anything."""
    return state.round >= plan.rounds or (state.round > 0 and plan.method.finished(state.method))


def start(
    config: TrainConfig,
    method: Method,
    network: nn.Module | None,
    progress: Progress,
    data: RunData | None = None,
) -> tuple[Plan, RunState]:
    """Check all input, open the run folder, and find where an earlier start of this run stopped.

    Args:
        config: all settings.
        method: the learning method.
        network: a module of the user's, or None for that of the config.
        progress: called with the progress of every stage.
        data: checked data; by default they are opened and checked as the config says.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    check_out(config, method)
    accelerator = _accelerator(config)
    checked: list[str] = []

    def on_case(case: str) -> None:
        checked.append(case)
        if accelerator.is_main_process:
            progress(Tick("checking data", len(checked), 0, case))

    data = data or load_and_check(config, method, on_case)
    card = _card(config, data, network)
    store = LabelStore(Path(config.out) / "checkpoint" / "labels", data.training.read_labels)
    plan = Plan(config, method, data, store, accelerator, card, network, progress)
    _check_training(plan)
    about_to_write(config.out)
    if accelerator.is_main_process:
        open_run(config, method)
    accelerator.wait_for_everyone()
    saved = load_checkpoint(plan.checkpoint)
    if saved is not None:
        return plan, _resumed(plan, saved)
    unseen = data.unseen if method.needs.clean != "unused" else ()
    return plan, RunState(method.init(data.for_method(config.seed)), notes=tuple(data.notes)).noting(
        *(f"No trusted case shows {name}, so nothing of it is measured on them." for name in unseen)
    )


def _resumed(plan: Plan, saved: dict[str, Any]) -> RunState:
    """The state of a checkpoint; networks only between rounds, since `restore_round` has the others."""
    state = RunState(
        saved["state"], saved["round"], saved["version"], 0, saved["loss"], tuple(saved["rows"]),
        tuple(saved["notes"]),
    )  # fmt: skip
    state = _check_machine(plan, state, saved.get("machine") or {})
    if saved["epoch"] is not None:
        return state
    networks = new_networks(plan, state.round)
    for net, weights in zip(networks, saved["networks"], strict=True):
        net.load_state_dict(weights)
    return replace(state, networks=tuple(networks))


def _machine(plan: Plan) -> dict[str, Any]:
    """What decides on the last bits of a result beside the settings."""
    device, accelerator = plan.accelerator.device, plan.accelerator
    return {
        "processes": accelerator.num_processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _check_machine(plan: Plan, state: RunState, before: dict[str, Any]) -> RunState:
    """Refuse to go on with another number of processes; a note where the rest of the machine differs."""
    now = _machine(plan)
    if is_over(plan, state) or not before:
        return state
    if before["processes"] != now["processes"]:
        raise OutputError(
            f"{plan.folder} holds a run on {before['processes']} processes, and this start has "
            f"{now['processes']}: start it as before, or choose another --out"
        )
    changed = [f"{key} {old} -> {now[key]}" for key, old in before.items() if now.get(key, old) != old]
    if changed:
        return state.noting(
            f"This run was interrupted and went on elsewhere ({', '.join(changed)}): single pixels may "
            "differ from those of a run that was not interrupted."
        )
    return state


def _accelerator(config: TrainConfig) -> Accelerator:
    try:
        return Accelerator(mixed_precision=config.mixed_precision, cpu=config.device == "cpu")
    except ValueError as error:
        raise ConfigError(
            f"mixed_precision {config.mixed_precision} with device {config.device} cannot be had: {error}"
        ) from error


def _check_training(plan: Plan) -> None:
    """Whatever would stop the training later, found out before anything is written."""
    config, card, data = plan.config, plan.card, plan.data
    split_cases(plan, 0)
    if config.first_round is not None and not plan.checkpoint.exists():
        borrowed_network(plan)
        if data.clean is not None:
            check_first_round(Path(config.first_round), data.clean)
    shape = card.patch or padded_size(card.resize or min(data.facts.shapes))
    batch = min(config.batch_size, 2)
    for net in new_networks(plan, 0):
        try_out(net, shape=(batch, card.in_channels, *shape), out_channels=card.out_channels)


def _card(config: TrainConfig, data: RunData, network: nn.Module | None) -> ModelCard:
    labels, ndim = data.training.labels, data.facts.ndim
    spacing = config.spacing_mm
    return ModelCard(
        network=config.network if network is None else None,
        ndim=ndim,
        in_channels=data.facts.n_channels,
        classes=labels.classes,
        values=labels.values if labels.stored_foreground is None else (labels.stored_foreground,),
        overlapping=labels.overlapping,
        resize=per_axis(config.resize, ndim, "resize"),
        patch=per_axis(config.patch, ndim, "patch"),
        spacing_mm=tuple(spacing) if isinstance(spacing, list) else spacing,
        orientation=data.training.orientation,
        labelmend_version=__version__,
        background=labels.background,
    )


def new_networks(plan: Plan, round_index: int) -> list[nn.Module]:
    """Networks of a round before training: a copy of the user's module, or new ones from the round's seed."""
    layout = torch.channels_last if plan.card.ndim == 2 else torch.channels_last_3d
    modules = []
    for index in range(plan.method.needs.networks):
        torch.manual_seed(seed_of(plan, round_index, -1 - index))
        net = plan.card.build() if plan.own_network is None else copy.deepcopy(plan.own_network)
        net = net.to(plan.accelerator.device)
        modules.append(net.to(memory_format=layout) if plan.config.channels_last else net)  # type: ignore[call-overload]
    return modules


def borrowed_network(plan: Plan) -> nn.Module:
    """The network of a finished run, as the outcome of the first round."""
    assert plan.config.first_round is not None
    own = copy.deepcopy(plan.own_network)  # its weights are replaced, and the next round starts from it
    predictor = load_predictor(plan.config.first_round, network=own, device=plan.accelerator.device)
    for name in ("network", "ndim", "in_channels", "classes", "overlapping", "resize", "patch"):
        theirs, ours = getattr(predictor.card, name), getattr(plan.card, name)
        if theirs != ours:
            raise ConfigError(
                f"--first-round {plan.config.first_round} has {name} {theirs}, this run has {ours}"
            )
    theirs = predictor.card.orientation
    if theirs not in (None, plan.card.orientation):
        raise ConfigError(
            f"--first-round {plan.config.first_round} was trained on volumes turned to {theirs}, this run "
            f"turns them to {plan.card.orientation}, as most are stored: leave out --first-round"
        )
    return predictor.network


def seed_of(plan: Plan, round_index: int, epoch: int, batch: int = 0) -> int:
    """A number that depends on where in the run we are and on nothing else."""
    process = plan.accelerator.process_index * (epoch >= 0)
    place = [plan.config.seed, round_index, epoch + 16, batch, process]
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def split_cases(plan: Plan, round_index: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cases of this round (trusted ones repeated if asked for), and those held out for early stopping."""
    config, clean = plan.config, plan.data.clean
    cases = plan.data.training.cases
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
    if config.clean_repeat and round_index > 0 and clean is not None:
        cases += clean.cases * config.clean_repeat
    return cases, held_out


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}


def save_run(
    plan: Plan,
    state: RunState,
    modules: Sequence[nn.Module],
    optimizer: Any,
    epoch: int | None,
    best: dict[str, Any],
) -> None:
    """Where the run stands: `epoch` within a round, or None between rounds."""
    if not plan.accelerator.is_main_process:
        return
    scaler = plan.accelerator.scaler
    save_checkpoint(
        plan.checkpoint,
        {
            "round": state.round,
            "version": state.version,
            "epoch": epoch,
            "networks": [weights_of(net) for net in modules],
            "optimizer": optimizer.state_dict() if optimizer is not None else None,
            "scaler": scaler.state_dict() if scaler is not None else None,
            "best": best,
            "state": state.method,
            "rows": list(state.rows),
            "loss": state.loss,
            "notes": list(state.notes),
            "machine": _machine(plan),
        },
    )


def restore_round(
    plan: Plan, round_index: int, modules: Sequence[nn.Module], optimizer: Any
) -> tuple[int, dict[str, Any]]:
    """First epoch to train, and the best one so far, from a checkpoint within this round."""
    saved = load_checkpoint(plan.checkpoint)
    fresh = {"loss": math.inf, "epoch": 0, "networks": []}
    inside = saved is not None and saved["epoch"] is not None and saved["round"] == round_index
    trim_metrics(
        plan.folder,
        round_index + 1,
        saved["epoch"] if saved and inside else 0,
        plan.accelerator.is_main_process,
    )
    if saved is None or not inside:
        return 0, fresh
    for net, weights in zip(modules, saved["networks"], strict=True):
        net.load_state_dict(weights)
    optimizer.load_state_dict(saved["optimizer"])
    if plan.accelerator.scaler is not None and saved["scaler"]:
        plan.accelerator.scaler.load_state_dict(saved["scaler"])
    return saved["epoch"], saved["best"] or fresh
