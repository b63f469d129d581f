"""Your own training loop: any network and optimiser, with Spatial Correction between two rounds.

Run it: python examples/04_own_training_loop.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import labelmend


def draw_discs(n_cases: int, size: int, radius: float) -> np.ndarray:
    """Masks `(n k=1 h w)` of a disc whose place differs from case to case."""
    rows, columns = np.mgrid[:size, :size]
    centres = size / 2 + np.random.default_rng(0).uniform(-5, 5, (n_cases, 2))
    return np.stack([[np.hypot(rows - y, columns - x) < radius] for y, x in centres])


def network() -> nn.Module:
    """A small network without down-sampling."""
    return nn.Sequential(nn.Conv2d(1, 8, 9, padding=4), nn.ReLU(), nn.Conv2d(8, 1, 1))


def dice(labels: list[labelmend.LabelMap], truth: np.ndarray) -> float:
    return float(np.mean([labelmend.metrics.dice(m.masks()[0], t[0]) for m, t in zip(labels, truth)]))


def main(n_cases: int = 16, size: int = 48, epochs: int = 40, n_trusted: int = 4) -> None:
    torch.manual_seed(0)
    truth, drawn = draw_discs(n_cases, size, size / 5), draw_discs(n_cases, size, size / 5 + 3)
    images = torch.tensor(truth + np.random.default_rng(1).normal(0, 0.2, truth.shape)).float()
    given = [labelmend.LabelMap.from_array(mask, spacing_mm=1.0, classes=("disc",)) for mask in drawn]
    trusted = [labelmend.LabelMap.from_array(mask, spacing_mm=1.0, classes=("disc",)) for mask in truth]
    cases = tuple(f"case_{i}" for i in range(n_cases))
    method, current = labelmend.SpatialCorrection(), list(given)
    state = method.init(labelmend.Facts(("disc",), True, 2, n_cases, (float(drawn.mean()),)))
    for _ in range(2):
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        target = torch.tensor(np.stack([labels.masks() for labels in current])).float()
        for epoch in range(epochs):  # one batch per epoch; yours has a data loader here
            batch = labelmend.Batch(images, target, torch.ones(n_cases, size, size).bool(), cases, epoch)
            loss, _, state = method.step(state, batch, [net])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        probs = torch.sigmoid(net(images)).detach().numpy()
        predicted = [labelmend.Predicted(*row) for row in zip(cases, given, current, probs)]
        clean = [labelmend.Predicted(*row) for row in zip(cases, trusted, trusted, probs)][:n_trusted]
        state, revisions = labelmend.revise_labels(method, state, predicted, clean, n_epochs=epochs)
        for revision in revisions:
            current[cases.index(revision.case)] = revision.labels
        print(f"Dice of the masks: given {dice(given, truth):.3f}, revised {dice(current, truth):.3f}")


if __name__ == "__main__":
    main()
