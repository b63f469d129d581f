"""A run: what stays as it is, where it stands, and how it is checked, saved and taken up again."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from labelmend.runtime.progress import Tick
from labelmend.workflows.training.checkpoint import load_checkpoint, save_checkpoint
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.label_versions import LabelStore
from labelmend.workflows.training.run_data import RunData, check_first_round, load_and_check
from labelmend.workflows.training.run_folder import check_out, open_run, trim_metrics


@dataclass
class Run:
    """A run in progress: what does not change, and where it stands.

    `trained` counts the epochs of the round that went into its networks; 0 if they are another run's.
    """

    config: TrainConfig
    method: Method
    material: RunData
    store: LabelStore
    accelerator: Accelerator
    card: ModelCard
    own_network: nn.Module | None
    on_tick: Callable[[Tick], None]
    state: State = field(default_factory=dict)
    round: int = 0
    version: int = 0
    trained: int = 0
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
    def over(self) -> bool:
        """Whether no round is left, or none that would change anything."""
        return self.round >= self.rounds or (self.round > 0 and self.method.finished(self.state))

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint" / "state.pt"

    def note(self, text: str) -> None:
        """A sentence for the report, said once."""
        if text not in self.notes:
            self.notes.append(text)

    def tick(self, stage: str, done: int, total: int, text: str = "") -> None:
        if self.accelerator.is_main_process:
            self.on_tick(Tick(stage, done, total, text))


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

    material = load_and_check(config, method, on_case)
    card = _card(config, material, network)
    store = LabelStore(Path(config.out) / "checkpoint" / "labels", material.training.read_labels)
    run = Run(config, method, material, store, accelerator, card, network, on_tick)
    _check_training(run)
    about_to_write(config.out)
    if accelerator.is_main_process:
        open_run(config, method)
    accelerator.wait_for_everyone()
    saved = load_checkpoint(run.checkpoint)
    if saved is None:
        run.state = method.init(material.for_method(config.seed))
        run.notes = list(material.notes)
        for name in material.unseen if method.needs.clean != "unused" else ():
            run.note(f"No trusted case shows {name}, so nothing of it is measured on them.")
    else:
        run.state, run.round, run.loss = saved["state"], saved["round"], saved["loss"]
        run.version = saved["version"]
        run.rows, run.notes = saved["rows"], saved["notes"]
        _check_machine(run, saved.get("machine") or {})
        if saved["epoch"] is None:
            run.networks = new_networks(run)
            for net, weights in zip(run.networks, saved["networks"], strict=True):
                net.load_state_dict(weights)
    return run


def _machine(run: Run) -> dict[str, Any]:
    """What decides on the last bits of a result beside the settings."""
    device, accelerator = run.accelerator.device, run.accelerator
    return {
        "processes": accelerator.num_processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _check_machine(run: Run, before: dict[str, Any]) -> None:
    """Refuse to go on with another number of processes; a note where the rest of the machine differs."""
    now = _machine(run)
    if run.over or not before:
        return
    if before["processes"] != now["processes"]:
        raise OutputError(
            f"{run.folder} holds a run on {before['processes']} processes, and this start has "
            f"{now['processes']}: start it as before, or choose another --out"
        )
    changed = [f"{key} {old} -> {now[key]}" for key, old in before.items() if now.get(key, old) != old]
    if changed:
        run.note(
            f"This run was interrupted and went on elsewhere ({', '.join(changed)}): single pixels may "
            "differ from those of a run that was not interrupted."
        )


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
    split_cases(run)
    if config.first_round is not None and not run.checkpoint.exists():
        borrowed_network(run)
        if material.clean is not None:
            check_first_round(Path(config.first_round), material.clean)
    shape = card.patch or padded_size(card.resize or min(material.facts.shapes))
    batch = min(config.batch_size, 2)
    for net in new_networks(run):
        try_out(net, shape=(batch, card.in_channels, *shape), out_channels=card.out_channels)


def _card(config: TrainConfig, material: RunData, network: nn.Module | None) -> ModelCard:
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
        orientation=material.training.orientation,
        labelmend_version=__version__,
        background=labels.background,
    )


def new_networks(run: Run) -> list[nn.Module]:
    """Networks of a round before training: a copy of the user's module, or new ones from the round's seed."""
    layout = torch.channels_last if run.card.ndim == 2 else torch.channels_last_3d
    modules = []
    for index in range(run.method.needs.networks):
        torch.manual_seed(seed_of(run, -1 - index))
        net = run.card.build() if run.own_network is None else copy.deepcopy(run.own_network)
        net = net.to(run.accelerator.device)
        modules.append(net.to(memory_format=layout) if run.config.channels_last else net)  # type: ignore[call-overload]
    return modules


def borrowed_network(run: Run) -> nn.Module:
    """The network of a finished run, as the outcome of the first round."""
    assert run.config.first_round is not None
    own = copy.deepcopy(run.own_network)  # its weights are replaced, and the next round starts from it
    predictor = load_predictor(run.config.first_round, network=own, device=run.accelerator.device)
    for name in ("network", "ndim", "in_channels", "classes", "overlapping", "resize", "patch"):
        theirs, ours = getattr(predictor.card, name), getattr(run.card, name)
        if theirs != ours:
            raise ConfigError(
                f"--first-round {run.config.first_round} has {name} {theirs}, this run has {ours}"
            )
    theirs = predictor.card.orientation
    if theirs not in (None, run.card.orientation):
        raise ConfigError(
            f"--first-round {run.config.first_round} was trained on volumes turned to {theirs}, this run "
            f"turns them to {run.card.orientation}, as most are stored: leave out --first-round"
        )
    return predictor.network


def seed_of(run: Run, epoch: int, batch: int = 0) -> int:
    """A number that depends on where in the run we are and on nothing else."""
    place = [run.config.seed, run.round, epoch + 16, batch, run.accelerator.process_index * (epoch >= 0)]
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def split_cases(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
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


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}


def save_run(
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
            "version": run.version,
            "epoch": epoch,
            "networks": [weights_of(net) for net in modules],
            "optimizer": optimizer.state_dict() if optimizer is not None else None,
            "scaler": scaler.state_dict() if scaler is not None else None,
            "best": best,
            "state": run.state,
            "rows": run.rows,
            "loss": run.loss,
            "notes": run.notes,
            "machine": _machine(run),
        },
    )


def restore_round(run: Run, modules: Sequence[nn.Module], optimizer: Any) -> tuple[int, dict[str, Any]]:
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
