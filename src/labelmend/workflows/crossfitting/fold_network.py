"""One fold: train a network without its cases, then predict them."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.geometry import class_levels, resolve
from labelmend.io import read_image, write_bytes
from labelmend.methods.plain import Plain
from labelmend.metrics import dice
from labelmend.model.files import save_model
from labelmend.model.predictor import Predictor, card_to_json
from labelmend.runtime.progress import Progress, Tick, counter
from labelmend.types import FloatArray, LabelMap
from labelmend.workflows.training.config import TrainConfig, config_from
from labelmend.workflows.training.loop import fit
from labelmend.workflows.training.run import start
from labelmend.workflows.training.run_data import RunData


def predict_fold(
    home: Path,
    probabilities: Path,
    number: int,
    fold_of: Mapping[str, int],
    data: RunData,
    plan: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Train the network of a fold in `home`, and write the probabilities of the cases it has not seen.

    Args:
        home: folder of the fold; an interrupted training in it continues.
        probabilities: folder for `<case>.npz`.
        number: the fold.
        fold_of: per case the fold that holds it out.
        data: all cases, checked.
        plan: the content of crossfit.json.
        progress: called with a `Tick` after each step.

    Returns:
        Row of the result: fold, n_trained, n_predicted, epochs, loss, and the mean Dice of the predictions
        with the given labels, which says how well the network has learned, not how good the labels are.
    """
    held_out = [case for case, fold in fold_of.items() if fold == number]
    training = data.training.subset(case for case, fold in fold_of.items() if fold != number)
    config = _config(home, plan)

    def named(tick: Tick) -> None:
        n_folds = max(fold_of.values()) + 1
        progress(dataclasses.replace(tick, stage=f"fold {number + 1} of {n_folds}: training"))

    fold_data = dataclasses.replace(data, training=training)
    run, state = start(config, Plain(), None, named, fold_data)
    state = fit(run, state)
    network = state.networks[0]
    save_model(home, network, card_to_json(run.card, None))
    predictor = Predictor(run.card, network, run.accelerator.device, plan["settings"]["average_shift"])
    count, agreement = counter(progress, f"fold {number + 1}: predicting"), []
    for case in held_out:
        given = data.training.labels.read(case)  # as stored, not as turned for training
        probs = predictor.probs(read_image(data.training.images[case]).onto(given.grid))
        write_probabilities(probabilities / f"{case}.npz", probs)
        agreement.append(_dice(probs, given))
        count(case, len(held_out))
    shutil.rmtree(home / "checkpoint", ignore_errors=True)
    return {
        "fold": number, "n_trained": len(training.cases), "n_predicted": len(held_out),
        "epochs": config.epochs, "loss": state.loss, "dice_to_given": float(np.nanmean(agreement)),
    }  # fmt: skip


def _config(home: Path, plan: Mapping[str, Any]) -> TrainConfig:
    """The settings of crossfit.json as a TrainConfig."""
    asked = plan["asked"]
    settings = {name: value for name, value in plan["settings"].items() if name != "average_shift"}
    common = {name: asked[name] for name in ("labels", "spacing_mm", "ignore", "seed")}
    run = {"data": asked["images"], "out": str(home), "device": plan["device"], "method": {"name": "plain"}}
    return config_from({**settings, **common, **run})[0]


def write_probabilities(path: Path, probs: FloatArray) -> None:
    """Write `(k *space)` probabilities as float16.

    The array is not called `probabilities`, the name of nnU-Net, whose axes run the other way in volumes.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probs=probs.astype(np.float16))
    write_bytes(path, buffer.getvalue())


def _dice(probs: FloatArray, given: LabelMap) -> float:
    """Mean Dice over the classes that prediction or labels hold."""
    masks = resolve(class_levels(probs, overlapping=given.overlapping), overlapping=given.overlapping)
    scores = [dice(mask, given.mask(name)) for mask, name in zip(masks, given.classes, strict=True)]
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")
