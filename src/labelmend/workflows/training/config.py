"""Every setting of a training run, as frozen dataclasses; the resolved ones are saved as RUN/config.yaml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from labelmend.errors import ConfigError, DataError
from labelmend.io.files.atomic import plain
from labelmend.io.files.reading import read_yaml
from labelmend.methods.base import Method, hyper_parameters
from labelmend.methods.registry import METHODS, method_name
from labelmend.model.config import Device, NetworkConfig

Precision = Literal["no", "fp16", "bf16"]


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of each training case; geometry moves image and labels together.

    Args:
        rotate_deg: largest rotation in the plane of the last two axes, degrees.
        scale: largest relative change of size.
        shift: largest shift as a share of the image size.
        intensity: largest relative change of contrast, and of brightness in standard deviations.
        flip_axes: spatial axes that are mirrored at random, for structures without left and right.
    """

    rotate_deg: float = 10.0
    scale: float = 0.1
    shift: float = 0.08
    intensity: float = 0.1
    flip_axes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rotate_deg", "scale", "shift", "intensity"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"augment.{name} must not be negative, got {getattr(self, name)}")
        if self.scale >= 1:
            raise ConfigError(f"augment.scale must be under 1, got {self.scale}")
        if not set(self.flip_axes) <= {0, 1, 2}:
            raise ConfigError(f"augment.flip_axes may name the axes 0, 1 and 2, got {self.flip_axes}")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run.

    Args:
        data: folder with images/ and label folders.
        out: folder of the run; must be new, empty, or hold this very run, which then goes on.
        labels: name of the folder with the given labels.
        clean: trusted cases: a folder with images/ and labels, a label folder for some of the cases in
            `data`, or a text file of case ids.
        clean_labels: label folder of the trusted cases, if `clean` has several.
        clean_cases: use only these of the trusted cases: ids, or a text file of them.
        reference: label folder with the true masks of training cases, for the report; not used in training.
        cases: train on these: ids, or a text file of them. Default: all that are not trusted.
        classes: class names and their values in integer maps.
        ignore: value of unannotated pixels in integer maps.
        spacing_mm: pixel spacing in mm for files that store none, or instead of what they store. One number
            per axis, here and in resize and patch, refers to the most frequent orientation of the volumes.
        resize: train on a grid of this many pixels per axis; labels are still written on their own grid.
        patch: train on random patches of this many pixels per axis; prediction slides a window.
        network: the network.
        first_round: a finished run on the same data whose network serves as the first round.
        rounds: training runs from scratch, each followed by one revision of the labels. Default: depends on
            the method.
        clean_repeat: how often each trusted case is used per epoch from the second round on; 0: not at all.
        min_learned: labels of a class are revised only if predictions agree with the labels of their own case
            by this much more than predictions of other cases do; 0 turns the check off, 1 would be perfect.
        average_shift: for revisions, predictions are averaged over nine shifts of the image by up to this
            many pixels of the training grid; 0 predicts once.
        epochs: epochs per round.
        steps_per_epoch: batches per epoch. Default: one pass over the cases.
        batch_size: cases per batch and process.
        learning_rate: peak of the schedule (linear warm-up over a tenth, then cosine to zero), AdamW.
        weight_decay: weight decay of AdamW.
        augment: augmentation.
        early_stop: stop a round after this many epochs without a lower loss on held-out given labels; 0 never
            stops early.
        validation_share: share of the cases held out from training for early stopping.
        mixed_precision: "no", "fp16" or "bf16".
        channels_last: use the memory layout that is fastest for convolutions.
        device: "auto" uses a GPU if available, "cpu" does not.
        threads: CPU threads; 0 leaves PyTorch's own choice.
        workers: processes that load data; 0 loads in the training process.
        cache_gib: memory for decoded cases, GiB.
        seed: random seed.
    """

    data: str = ""
    out: str = ""
    labels: str = "labels"
    clean: str | None = None
    clean_labels: str | None = None
    clean_cases: str | list[str] | None = None
    reference: str | None = None
    cases: str | list[str] | None = None
    classes: dict[str, int] | None = None
    ignore: int | None = None
    spacing_mm: float | list[float] | None = None
    resize: int | list[int] | None = None
    patch: int | list[int] | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    first_round: str | None = None
    rounds: int | None = None
    clean_repeat: int = 0
    min_learned: float = 0.05
    average_shift: int = 3
    epochs: int = 50
    steps_per_epoch: int | None = None
    batch_size: int = 8
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    early_stop: int = 0
    validation_share: float = 0.1
    mixed_precision: Precision = "no"
    channels_last: bool = True
    device: Device = "auto"
    threads: int = 0
    workers: int = 0
    cache_gib: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("network", NetworkConfig), ("augment", AugmentConfig)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}")
        for name, known in (("mixed_precision", get_args(Precision)), ("device", get_args(Device))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("steps_per_epoch", "rounds"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "clean_repeat",
            "average_shift",
            "early_stop",
            "workers",
            "threads",
            "seed",
            "weight_decay",
            "cache_gib",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.min_learned < 1:
            raise ConfigError(f"min_learned must be in [0, 1), got {self.min_learned}")
        if not 0 < self.validation_share < 1:
            raise ConfigError(f"validation_share must lie between 0 and 1, got {self.validation_share}")
        if self.resize is not None and self.patch is not None:
            raise ConfigError("choose resize (whole cases on another grid) or patch (crops), not both")


def to_yaml(config: TrainConfig, method: Method) -> str:
    """The resolved settings as YAML, readable with `labelmend train --config`."""
    settings = dataclasses.asdict(config) | {
        "method": {"name": method_name(method)} | hyper_parameters(method)
    }
    return yaml.safe_dump(plain(settings), sort_keys=False)


def read_settings(run: Path) -> dict[str, Any]:
    """The settings that a run was started with, as nested dicts."""
    path = run / "config.yaml"
    try:
        return read_yaml(path)
    except DataError as error:
        raise ConfigError(f"{run} is no readable run: {error}") from error


def config_from(settings: Mapping[str, Any]) -> tuple[TrainConfig, Method]:
    """TrainConfig and method from the nested dicts of `read_settings`."""
    values = dict(settings)
    chosen = dict(values.pop("method"))
    values["network"] = NetworkConfig(**values["network"])
    augment = dict(values["augment"])
    values["augment"] = AugmentConfig(**augment | {"flip_axes": tuple(augment["flip_axes"])})
    return TrainConfig(**values), METHODS[chosen.pop("name")](**chosen)


def differing(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings in which two runs differ, as `key: old -> new`, nested keys with dots."""
    found: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differing(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found
