"""Progress of a job, for whoever watches: jobs print nothing themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """How far one stage of a job has come.

    Args:
        stage: what is being done.
        done: steps done.
        total: of how many; 0 if that is not known yet.
        text: such as the case that was just done.
    """

    stage: str
    done: int
    total: int
    text: str = ""


Progress = Callable[[Tick], None]
"""Called after each step of a job; every job that takes long has such a parameter `progress`."""


Count = Callable[[str, int], None]
"""Counts one step: called with its text and the number of steps in all."""


def no_progress(tick: Tick) -> None:
    """Show nothing."""


def counter(progress: Progress, stage: str) -> Count:
    """A function `(text, total)` that counts its calls as the steps of one stage.

    >>> count = counter(print, "comparing")
    >>> count("patient_1", 20)
    Tick(stage='comparing', done=1, total=20, text='patient_1')
    """
    done = 0

    def step(text: str, total: int) -> None:
        nonlocal done
        done += 1
        progress(Tick(stage, done, total, text))

    return step
