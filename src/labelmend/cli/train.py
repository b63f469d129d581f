"""`labelmend train DATA --labels NAME --method METHOD --clean CLEAN --out RUN`."""

from __future__ import annotations

import dataclasses

from jsonargparse import Namespace

from labelmend.cli.choice import ChoiceParser, chosen
from labelmend.cli.screen import Bars, print_run
from labelmend.methods.registry import METHODS
from labelmend.model.config import NetworkConfig
from labelmend.workflows.training.config import AugmentConfig, TrainConfig

GOES_ON = True
"""Stopped, it keeps what is done, and the same command goes on from there."""


def parser() -> ChoiceParser:
    """Arguments of the verb: the fields of TrainConfig, and a method with its own."""
    made = ChoiceParser(
        prog="labelmend train",
        description="Train on noisy masks, write corrected ones and a report. "
        "After an interruption the same command goes on.",
    )
    made.add_choice("method", METHODS, default="spatial_correction", help="the learning method")
    made.add_argument("data", type=str, help="folder with images/ and label folders")
    made.add_class_arguments(TrainConfig, as_group=False, skip={"data"})
    return made


def run(arguments: Namespace) -> int:
    """Train and say where the results are."""
    from labelmend.workflows.training.train import train

    with Bars() as bars:
        result = train(
            config=config_of(arguments), method=chosen(arguments.method, METHODS), on_tick=bars.on_tick
        )
    if result.is_main:
        print_run(result)
    from accelerate import PartialState

    PartialState().destroy_process_group()
    return 0


def config_of(arguments: Namespace) -> TrainConfig:
    """The TrainConfig that parsed arguments stand for."""
    values = {f.name: arguments[f.name] for f in dataclasses.fields(TrainConfig)}
    network, augment = values["network"], values["augment"]
    values["network"] = NetworkConfig(name=network.name, args=dict(network.args))
    fields = augment.as_dict()
    values["augment"] = AugmentConfig(**fields | {"flip_axes": tuple(fields["flip_axes"])})
    return TrainConfig(**values)
