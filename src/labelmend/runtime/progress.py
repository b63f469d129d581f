"""TODO."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """Progress for whoever watches: the engine itself prints nothing."""

    stage: str
    done: int
    total: int
    text: str = ""
