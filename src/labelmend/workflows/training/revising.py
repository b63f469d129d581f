"""From one version of the labels to the next: the method proposes, and only what the network knows is kept.

No label is revised before the method has begun, and none of a class that the network has not learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from labelmend.io import Dataset
from labelmend.methods.base import Method, State, without
from labelmend.methods.registry import method_name
from labelmend.metrics.learned import LEAST_CASES, SAMPLED, Seen, predicted_masks, saying_nothing, seen
from labelmend.model.predictor import Predictor
from labelmend.types import Predicted, Revision
from labelmend.workflows.training.run import Plan, RunState, split_cases


def revise_labels(
    method: Method,
    state: State,
    cases: Iterable[Predicted],
    clean: Iterable[Predicted] = (),
    *,
    n_epochs: int | None = None,
    min_learned: float = 0.05,
) -> tuple[State, list[Revision]]:
    """Let a method revise labels at the end of a round of your own training loop.

    As in `labelmend.train`, nothing is revised before the method has begun (`Method.lead_in`), and no class
    that the network has not learned.

    Args:
        method: the learning method.
        state: its state, from `method.init` and `method.step`.
        cases: training cases with given labels, current labels and probabilities.
        clean: trusted cases, with the true labels as given.
        n_epochs: epochs that went into the network; None if they are enough for the method to begin.
        min_learned: revise a class only if predictions agree this much better with the labels of their own
            case than with those of other cases; 0 revises every class.

    Returns:
        The state of the method, and the revisions of the cases whose labels change.

    >>> from labelmend.methods.plain import Plain
    >>> revise_labels(Plain(), {}, [])
    ({}, [])
    """
    known, trusted = tuple(cases), tuple(clean)
    if not known or (n_epochs is not None and n_epochs <= method.lead_in(state)):
        return state, []
    held: Mapping[str, str] = {}
    if min_learned and revises(method):
        ours, theirs = (
            [seen(case.given, predicted_masks(case.given, case.probs)) for case in group[:SAMPLED]]
            for group in (known, trusted)
        )
        held = saying_nothing(known[0].given.names, ours, "cases", theirs, min_learned)
    by_case = {case.case: case for case in known}
    state, proposals = method.revise(state, known, trusted)
    kept = [
        revised
        for proposal in proposals
        if (revised := without(proposal, by_case[proposal.case].current, by_case[proposal.case].given, held))
    ]
    return (method.held_back(state, tuple(held)) if held else state), kept


def new_version(
    plan: Plan, state: RunState, network: nn.Module, stage: str, average_shift: int = 0
) -> tuple[RunState, int, dict[str, str]]:
    """Labels as the method revises them become the next version; every process takes its share of the cases.

    Returns:
        the state with the next version; how many cases were revised, over all processes; and why, by class,
        nothing of it was revised.
    """
    accelerator, training, clean, store = plan.accelerator, plan.data.training, plan.data.clean, plan.store
    late = _too_early(plan, state)
    if late is not None:
        return replace(state.noting(late), version=state.version + 1), 0, {}
    held = not_learned(plan, state, network)
    mine = training.cases[accelerator.process_index :: accelerator.num_processes]
    predictor = Predictor(plan.card, network, accelerator.device, average_shift)
    cases = _predictions(plan, state, predictor, training.subset(mine), stage)
    trusted: Iterator[Predicted] = iter(())
    if clean is not None:
        trusted = _predictions(plan, state, predictor, clean, "measuring on trusted cases")
    method, revisions = plan.method.revise(state.method, cases, trusted)
    n_held = 0
    for proposal in revisions:
        given = training.read_labels(proposal.case)
        kept = without(proposal, store.read(proposal.case, state.version, given), given, held)
        n_held += kept is not proposal
        if kept is not None and store.differs(kept, state.version, given):
            store.commit(kept, state.version + 1, given)
    if held:
        method = plan.method.held_back(method, tuple(held))
    accelerator.wait_for_everyone()
    if _over_processes(plan, n_held):
        state = state.noting(
            *(
                f"Round {state.round + 1}: the network has not learned {name} ({why}, see min_learned), so "
                "its labels stay as they are."
                for name, why in held.items()
            )
        )
    version = state.version + 1
    n_revised = sum(store.version_of(case, version) == version for case in training.cases)
    return replace(state, method=method, version=version), n_revised, held


def not_learned(plan: Plan, state: RunState, network: nn.Module) -> dict[str, str]:
    """By class, why its labels are not to be revised by this network: it has not learned it.

    Asked on trusted cases, where there are enough, and on given labels: of cases held out from training or,
    where none are, of training cases. That flatters the network; but one that knows labels by heart predicts
    these labels, which changes nothing.
    """
    least = plan.config.min_learned
    if least == 0 or not revises(plan.method):
        return {}
    clean, training, (_, held_out) = plan.data.clean, plan.data.training, split_cases(plan, state.round)
    predictor = Predictor(plan.card, network, plan.accelerator.device)
    trusted = [] if clean is None else _sample(plan, predictor, clean, clean.cases)
    asked = held_out if len(held_out) >= LEAST_CASES else training.cases
    given = _sample(plan, predictor, training, asked)
    kind = "held-out" if asked is held_out else "training"
    return saying_nothing(plan.card.classes, given, f"{kind} cases", trusted, least)


def revises(method: Method) -> bool:
    """Whether a method revises labels at all."""
    return type(method).revise is not Method.revise


def _too_early(plan: Plan, state: RunState) -> str | None:
    """Why this network comes from epochs before the method did its work; None if it does not."""
    lead_in, setting = plan.method.lead_in(state.method), plan.method.needs.lead_in
    if not lead_in or state.trained > lead_in:
        return None
    theirs = f"is that of epoch {state.trained}" if state.trained else "comes from another run"
    lower = f", or lower --method.{setting.replace('_', '-')}" if setting else ""
    return (
        f"Round {state.round + 1}: {method_name(plan.method)} begins after {lead_in} epochs, and the network "
        f"of this round {theirs}: no label was revised. Take more --epochs{lower}."
    )


def _sample(plan: Plan, predictor: Predictor, dataset: Dataset, cases: tuple[str, ...]) -> list[Seen]:
    """Some of the cases, predicted once; so many that `LEAST_CASES` hold each class, if there are."""
    order = [cases[i] for i in np.random.default_rng([plan.config.seed, 11]).permutation(len(cases))]
    found: list[Seen] = []
    holders = np.zeros(len(plan.card.classes), int)
    for case in order:
        if len(found) >= SAMPLED and (holders >= LEAST_CASES).all():
            break
        labels = dataset.read_labels(case)
        holds = labels.masks().any(axis=tuple(range(1, labels.grid.ndim + 1)))
        if len(found) < SAMPLED or (holds & (holders < LEAST_CASES)).any():
            holders += holds
            found.append(seen(labels, predictor.masks(dataset.read_image(case))))
    return found


def _predictions(
    plan: Plan, state: RunState, predictor: Predictor, dataset: Dataset, stage: str
) -> Iterator[Predicted]:
    """Whole cases with given and current labels and probabilities, one at a time."""
    trusted = dataset.labels.path != plan.data.training.labels.path
    for done, case in enumerate(dataset.cases, start=1):
        given = dataset.read_labels(case)
        current = given if trusted else plan.store.read(case, state.version, given)
        image = dataset.read_image(case)
        yield Predicted(case, given, current, predictor.probs(image), partial(predictor.features, image))
        plan.tick(stage, done, len(dataset.cases), case)


def _over_processes(plan: Plan, count: int) -> int:
    """The sum of a count over all processes."""
    if plan.accelerator.num_processes == 1:
        return count
    return int(plan.accelerator.reduce(torch.tensor(count, device=plan.accelerator.device), "sum"))
