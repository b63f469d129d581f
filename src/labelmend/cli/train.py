"""labelmend train DATA --labels NAME --method METHOD --clean CLEAN --out RUN"""

from __future__ import annotations

import warnings

from jsonargparse import Namespace

from labelmend.cli.choice import ChoiceParser, chosen
from labelmend.cli.screen import Bars, print_run
from labelmend.engine.config import TrainConfig
from labelmend.methods.registry import METHODS


def parser() -> ChoiceParser:
    """Arguments of `labelmend train`: the fields of TrainConfig, and the method with its own."""
    made = ChoiceParser(prog="labelmend train", description="Train on noisy masks and write corrected ones.")
    made.add_choice("method", METHODS, default="spatial_correction", help="the learning method")
    made.add_argument("data", nargs="?", default="", help="folder with images/ and label folders")
    made.add_class_arguments(TrainConfig, as_group=False, skip={"data"})
    return made


def run(arguments: Namespace) -> int:
    from labelmend.api import train

    settings = {key: value for key, value in vars(arguments).items() if key not in ("config", "method")}
    settings["network"], settings["augment"] = arguments.network, arguments.augment
    instantiated = parser_instances(arguments)
    with Bars() as bars, warnings.catch_warnings():
        result = train(config=instantiated, method=chosen(arguments.method, METHODS), on_tick=bars.on_tick)
    print_run(result)
    return 0
