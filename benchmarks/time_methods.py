"""Time of a training step of every method beside plain training, in turns on one thread.

    python benchmarks/time_methods.py [--repeats 15]

Steps of all methods alternate, so that whatever else the machine does meets all of them alike. A step is the
loss of the method, backward and update: batch of 8 at 128 x 128, three overlapping classes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from labelmend.methods.base import Batch, Facts, Method
from labelmend.methods.registry import METHODS
from labelmend.model.config import NetworkConfig
from labelmend.model.network import build_network

HERE = Path(__file__).parent
FACTS = Facts(("a", "b", "c"), overlapping=True, ndim=2, n_cases=8, class_frequency=(0.2, 0.1, 0.05))
LATE = 29
"""Epoch of the timed steps: every part of a method is at work by then."""


def stepper(method: Method, batch: Batch) -> Callable[[], None]:
    """A function that does one training step of the method with networks of its own."""
    nets = [
        build_network(NetworkConfig(), ndim=2, in_channels=1, out_channels=3).to(
            memory_format=torch.channels_last
        )
        for _ in range(method.needs.networks)
    ]
    optimizer = torch.optim.AdamW([p for net in nets for p in net.parameters()], lr=1e-3)
    state = method.init(FACTS)

    def step() -> None:
        loss, _, _ = method.step(state, batch, nets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image = torch.randn(8, 1, 128, 128).to(memory_format=torch.channels_last)
    target = (torch.rand(8, 3, 128, 128) > 0.5).float()
    batch = Batch(image, target, torch.ones(8, 128, 128, dtype=torch.bool), tuple("abcdefgh"), LATE)
    steppers = {name: stepper(METHODS[name](), batch) for name in sorted(METHODS)}
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    for turn in range(repeats + 2):
        for name, step in steppers.items():
            began = time.perf_counter()
            step()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - began)
    plain = np.array(seconds["plain"])
    lines = [
        "# Time of the methods beside plain training",
        "",
        "Made by `python benchmarks/time_methods.py`: one thread, steps of all methods in turns, median of",
        f"{repeats} ratios to the plain step of the same turn. A training costs the ratio times the rounds;",
        "in a first round of two, forward correction, Spatial Correction, confident learning and auto train",
        "plainly.",
        "",
        "| method | step | rounds | networks |",
        "|---|---|---|---|",
    ]
    for name in steppers:
        ratio, needs = np.median(np.array(seconds[name]) / plain), METHODS[name].needs
        lines.append(f"| {name} | {ratio:.1f} | {needs.rounds} | {needs.networks} |")
    (HERE / "results" / "time_methods.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
