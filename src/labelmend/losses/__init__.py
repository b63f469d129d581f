"""Training losses, each a function and a module: logits and labels in, scalar out. Needs torch.

Every one takes `valid`, False where a pixel is to be left out, class weights and a reduction; exclusive and
overlapping classes, distinguished by the shape of the target; 2-D and 3-D.
"""

from labelmend.losses.confidence_regularised import ConfidenceRegularisedLoss, confidence_regularised_loss
from labelmend.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from labelmend.losses.dice_ce import DiceCELoss, DiceLoss, dice_ce_loss, dice_loss, soft_dice_loss
from labelmend.losses.forward_ce import ForwardCELoss, forward_ce_loss
from labelmend.losses.gce import GCELoss, gce_loss
from labelmend.losses.jensen_shannon import JensenShannonLoss, jensen_shannon_loss
from labelmend.losses.nr_dice import NRDiceLoss, nr_dice_loss
from labelmend.losses.sce import SCELoss, sce_loss
from labelmend.losses.t_loss import TLoss, t_loss

__all__ = [
    "ConfidenceRegularisedLoss",
    "CrossEntropyLoss",
    "DiceCELoss",
    "DiceLoss",
    "ForwardCELoss",
    "GCELoss",
    "JensenShannonLoss",
    "NRDiceLoss",
    "SCELoss",
    "TLoss",
    "confidence_regularised_loss",
    "cross_entropy_loss",
    "dice_ce_loss",
    "dice_loss",
    "forward_ce_loss",
    "gce_loss",
    "jensen_shannon_loss",
    "nr_dice_loss",
    "sce_loss",
    "soft_dice_loss",
    "t_loss",
]
