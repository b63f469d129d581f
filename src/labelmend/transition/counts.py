"""Transition matrices counted from what a network says beside what was given; sums that batches add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelmend.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

LOGIT_BINS = 64
LOGIT_RANGE = (-4.0, 12.0)
"""Logits of the likeliest class, in quarter steps: the histogram from which anchors are taken."""


def anchor_counts(probs: Tensor, given: Tensor, counted: Tensor) -> FloatArray:
    """Pixels by task, predicted class, how sure the network is of it, and given class.

    A pixel of the training grid whose labels differ counts by its shares: their mean is the matrix of the
    labels as given, on their own grid, whereas a majority would outvote single wrong pixels.

    Args:
        probs: `(m C n)` probabilities.
        given: `(m C n)` shares.
        counted: `(n)` booleans.

    Returns:
        `(m C LOGIT_BINS C)` counts.
    """
    import torch

    m, n_classes, _ = probs.shape
    top, predicted = probs.max(dim=1)
    low, high = LOGIT_RANGE
    step = (top.double().logit(eps=1e-9) - low) * (LOGIT_BINS / (high - low))
    place = torch.arange(m, device=probs.device)[:, None] * n_classes + predicted
    place = place * LOGIT_BINS + step.long().clamp(0, LOGIT_BINS - 1)
    cells, size = place[:, counted].flatten(), m * n_classes * LOGIT_BINS
    shares = given[:, :, counted].double().movedim(1, 0).flatten(1)
    counts = torch.stack([torch.bincount(cells, weights, minlength=size) for weights in shares], dim=-1)
    return counts.reshape(m, n_classes, LOGIT_BINS, n_classes).cpu().numpy()


def transition_from_anchors(counts: FloatArray, share: float) -> FloatArray:
    """Transition matrix of each task: what the surest pixels of a predicted class are given as.

    Args:
        counts: `(m C bins C)` of `anchor_counts`.
        share: share of the pixels predicted as a class that are its anchors, in (0, 1].

    Returns:
        `(m C C)`, rows are true classes and sum to 1. A class that is nowhere predicted, or that its own
        anchors mostly are not given as, has the row of the identity: nothing is known of it.
    """
    from_the_top = counts[:, :, ::-1].cumsum(axis=2)
    totals = from_the_top.sum(axis=-1)
    enough = (totals >= share * totals[..., -1:]).argmax(axis=2)
    anchors = np.take_along_axis(from_the_top, enough[..., None, None], axis=2)[:, :, 0]
    return sound_rows(anchors)


def updated_transition(transition: FloatArray, joint: FloatArray, share: float) -> FloatArray:
    """The matrix moved by a share towards what the corrected network now makes of the given labels.

    Args:
        transition: `(m C C)`.
        joint: `(m C C)`, expected number of pixels of each true class given as each class.
        share: in [0, 1]; 1 is a full step of expectation maximisation.
    """
    known = joint.sum(axis=-1, keepdims=True) > 0
    return np.where(known, (1 - share) * transition + share * sound_rows(joint), transition)


def expected_joint(probs: Tensor, given: Tensor, counted: Tensor, transition: FloatArray) -> FloatArray:
    """Expected number of pixels of each true class given as each class, knowing picture and label.

    Args:
        probs: `(m C n)` probabilities of the true classes.
        given: `(m C n)` shares.
        counted: `(n)` booleans.
        transition: `(m C C)`.
    """
    import torch

    matrix = torch.as_tensor(transition).to(probs)
    said = torch.einsum("min,mij->mjn", probs, matrix).clamp(min=1e-12)
    joint = matrix * torch.einsum("min,mjn->mij", probs, given * counted / said)
    return joint.double().cpu().numpy()


def sound_rows(counts: FloatArray) -> FloatArray:
    """Rows that sum to 1; the identity's where there are none or where another class outweighs it."""
    identity = np.broadcast_to(np.eye(counts.shape[-1]), counts.shape)
    total = counts.sum(axis=-1, keepdims=True)
    rows = counts / np.maximum(total, 1e-12)
    own = np.diagonal(rows, axis1=-2, axis2=-1)
    sound = (total[..., 0] > 0) & (own >= rows.max(axis=-1))
    return np.where(sound[..., None], rows, identity)
