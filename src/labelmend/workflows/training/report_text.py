"""Sentences of the training report."""

from __future__ import annotations

from labelmend.html.text import count, listing, number
from labelmend.workflows.training.report_summary import ClassBias, RunSummary


def headline(summary: RunSummary, n_changed: int) -> str:
    """What was done, in two sentences."""
    n, measured = len(summary.cases), any(round_.bias for round_ in summary.rounds)
    text = (
        f"A network was trained on {count(n, 'case')} with the given outlines of {listing(summary.classes)}. "
    )
    if measured and summary.clean_cases:
        trusted = count(len(summary.clean_cases), "trusted case")
        text += f"On {trusted} it was measured how far such outlines are off. "
    if n_changed == 0:
        return text + "No outline was changed."
    whose = "all of them" if n_changed == n and n > 1 else count(n_changed, "case")
    return text + f"Corrected outlines were then written for {whose}; the given files were not touched."


def bias_sentence(bias: ClassBias, unit: str, confidence: float | None = None) -> str:
    """How far the given outlines of one class are off, and how sure that is.

    >>> bias_sentence(ClassBias("lung", -14.6, -15.0, -14.2, 20, True, ""), "mm", 0.95)
    'Given outlines of lung run about 14.6 mm too large (95 % interval 14.2 to 15.0 mm, 20 trusted cases).'
    """
    if bias.mean is None:
        return f"The bias of {bias.name} could not be measured: no trusted case had a boundary to compare."
    trusted = count(bias.n_cases, "trusted case")
    interval = "interval" if confidence is None else f"{confidence * 100:g} % interval"
    size = f"about {_amount(bias.mean, unit)}"
    if bias.low is None or bias.high is None:
        why = "too few for an interval" if bias.n_cases < 2 else "no interval"
        return f"Given outlines of {bias.name} run {size} ({trusted}, {why})."
    if bias.low <= 0 <= bias.high:
        return (
            f"Given outlines of {bias.name} show no certain bias: {size}, but the {interval} reaches from "
            f"{_amount(bias.low, unit)} to {_amount(bias.high, unit)} ({trusted})."
        )
    near, far = sorted((abs(bias.low), abs(bias.high)))
    return (
        f"Given outlines of {bias.name} run {size} "
        f"({interval} {number(near, 1)} to {number(far, 1)} {unit}, {trusted})."
    )


def decision(bias: ClassBias) -> str:
    """What was done about it: the method's own sentence where it gave one."""
    done = "Outlines moved back" if bias.moved else "Outlines left as given"
    return f"{done}: {bias.why.rstrip('.')}." if bias.why else f"{done}."


def later_round(bias: ClassBias, number_of_round: int, unit: str) -> str:
    """The bias that a later round still found."""
    found = "not measured" if bias.mean is None else _amount(bias.mean, unit)
    return f"Round {number_of_round}, trained on the outlines of the round before: {found}."


def _amount(bias: float, unit: str) -> str:
    """The size and direction of a bias: "14.6 mm too large"."""
    size = number(abs(bias), 1)
    if not size.strip("0."):
        return f"{size} {unit}"
    return f"{size} {unit} too {'large' if bias < 0 else 'small'}"
