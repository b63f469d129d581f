"""Training on the labels as they are: the control that every other method is measured against."""

from __future__ import annotations

from dataclasses import dataclass

from labelmend.methods.base import Method


@dataclass(frozen=True)
class Plain(Method):
    """Dice and cross-entropy on the given labels; no correction.

    Paper: none; the baseline of every paper implemented here.
    """
