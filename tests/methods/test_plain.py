import numpy as np
import torch

from labelmend.losses import dice_ce_loss
from labelmend.methods.base import Batch
from labelmend.methods.plain import Plain
from labelmend.types import Grid, LabelMap, Predicted


def test_it_learns_from_the_labels_as_they_are_and_needs_no_clean_case():
    image, target = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    batch = Batch(image, target, torch.ones(1, 2, 2, dtype=torch.bool), ("a",))
    logits = torch.tensor([[[[3.0, -1.0], [0.5, 2.0]]]])
    loss, out, state = Plain().step({"kept": 1}, batch, [lambda image: logits])
    assert float(loss) == float(dice_ce_loss(logits, target, valid=batch.valid))
    assert out is logits
    assert state == {"kept": 1}
    assert Plain.needs.clean == "unused"
    assert Plain.needs.rounds == 1


def test_it_never_revises_even_where_prediction_and_labels_are_opposites():
    labels = LabelMap(np.zeros((1, 2, 2), bool), Grid((2, 2), (1.0, 1.0)), ("a",))
    case = Predicted("x", labels, labels, np.ones((1, 2, 2), np.float32))
    state, revisions = Plain().revise({}, [case], [case])
    assert list(revisions) == []
    assert Plain().findings(state) == []
