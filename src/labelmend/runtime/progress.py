"""Progress of a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """How far a job has come: jobs print nothing themselves.

    Args:
        stage: what is being done.
        done: steps done.
        total: of how many; 0 where nobody knows.
        text: a few words more.
    """

    stage: str
    done: int
    total: int
    text: str = ""
