"""From one version of the labels to the next: the method proposes, and only what the network knows is kept.

No label is revised before the method has begun, and none of a class that the network has not learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from labelmend.io import Dataset
from labelmend.methods.base import Method, without
from labelmend.methods.registry import method_name
from labelmend.metrics.learned import LEAST_CASES, SAMPLED, Seen, saying_nothing, seen
from labelmend.model.predictor import Predictor
from labelmend.types import Predicted
from labelmend.workflows.training.run import Run, split_cases


def new_version(
    run: Run, network: nn.Module, stage: str, average_shift: int = 0
) -> tuple[int, dict[str, str]]:
    """Labels as the method revises them become the next version; every process takes its share of the cases.

    Returns:
        how many cases were revised, over all processes; and why, by class, nothing of it was revised.
    """
    accelerator, training, clean = run.accelerator, run.material.training, run.material.clean
    if not _begun(run):
        run.version += 1
        return 0, {}
    held = not_learned(run, network)
    mine = training.cases[accelerator.process_index :: accelerator.num_processes]
    predictor = Predictor(run.card, network, accelerator.device, average_shift)
    cases = _predictions(run, predictor, training.subset(mine), stage)
    trusted = iter(()) if clean is None else _predictions(run, predictor, clean, "measuring on trusted cases")
    run.state, revisions = run.method.revise(run.state, cases, trusted)
    n_held = 0
    for proposal in revisions:
        given = training.read_labels(proposal.case)
        kept = without(proposal, run.store.read(proposal.case, run.version, given), given, held)
        n_held += kept is not proposal
        if kept is not None and run.store.differs(kept, run.version, given):
            run.store.commit(kept, run.version + 1, given)
    if held:
        run.state = run.method.held_back(run.state, tuple(held))
    accelerator.wait_for_everyone()
    if _over_processes(run, n_held):
        for name, why in held.items():
            run.note(
                f"Round {run.round + 1}: the network has not learned {name} ({why}, see min_learned), so its "
                "labels stay as they are."
            )
    run.version += 1
    return sum(run.store.version_of(case, run.version) == run.version for case in training.cases), held


def not_learned(run: Run, network: nn.Module) -> dict[str, str]:
    """By class, why its labels are not to be revised by this network: it has not learned it.

    Asked on trusted cases, where there are enough, and on given labels: of cases held out from training or,
    where none are, of training cases. That flatters the network; but one that knows labels by heart predicts
    these labels, which changes nothing.
    """
    least = run.config.min_learned
    if least == 0 or type(run.method).revise is Method.revise:
        return {}
    clean, training, (_, held_out) = run.material.clean, run.material.training, split_cases(run)
    predictor = Predictor(run.card, network, run.accelerator.device)
    trusted = [] if clean is None else _sample(run, predictor, clean, clean.cases)
    asked = held_out if len(held_out) >= LEAST_CASES else training.cases
    given = _sample(run, predictor, training, asked)
    kind = "held-out" if asked is held_out else "training"
    return saying_nothing(run.card.classes, given, f"{kind} cases", trusted, least)


def _begun(run: Run) -> bool:
    """Whether the network of this round comes from epochs in which the method did its work; else a note."""
    lead_in, setting = run.method.lead_in(run.state), run.method.needs.lead_in
    if not lead_in or run.trained > lead_in:
        return True
    theirs = f"is that of epoch {run.trained}" if run.trained else "comes from another run"
    lower = f", or lower --method.{setting}" if setting else ""
    run.note(
        f"Round {run.round + 1}: {method_name(run.method)} begins after {lead_in} epochs, and the network of "
        f"this round {theirs}: no label was revised. Take more --epochs{lower}."
    )
    return False


def _sample(run: Run, predictor: Predictor, dataset: Dataset, cases: tuple[str, ...]) -> list[Seen]:
    """Some of the cases, predicted once; so many that `LEAST_CASES` hold each class, if there are."""
    order = [cases[i] for i in np.random.default_rng([run.config.seed, 11]).permutation(len(cases))]
    found: list[Seen] = []
    holders = np.zeros(len(run.card.classes), int)
    for case in order:
        if len(found) >= SAMPLED and (holders >= LEAST_CASES).all():
            break
        labels = dataset.read_labels(case)
        holds = labels.masks().any(axis=tuple(range(1, labels.grid.ndim + 1)))
        if len(found) < SAMPLED or (holds & (holders < LEAST_CASES)).any():
            holders += holds
            found.append(seen(labels, predictor.masks(dataset.read_image(case))))
    return found


def _predictions(run: Run, predictor: Predictor, dataset: Dataset, stage: str) -> Iterator[Predicted]:
    """Whole cases with given and current labels and probabilities, one at a time."""
    trusted = dataset.labels.path != run.material.training.labels.path
    for done, case in enumerate(dataset.cases, start=1):
        given = dataset.read_labels(case)
        current = given if trusted else run.store.read(case, run.version, given)
        image = dataset.read_image(case)
        yield Predicted(case, given, current, predictor.probs(image), partial(predictor.features, image))
        run.tick(stage, done, len(dataset.cases), case)


def _over_processes(run: Run, count: int) -> int:
    """The sum of a count over all processes."""
    if run.accelerator.num_processes == 1:
        return count
    return int(run.accelerator.reduce(torch.tensor(count, device=run.accelerator.device), "sum"))
