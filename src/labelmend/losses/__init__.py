"""Training losses: tensors in, scalar out; every one honours ignored pixels. Needs torch."""

from labelmend.losses.dice_ce import dice_ce_loss, soft_dice_loss

__all__ = ["dice_ce_loss", "soft_dice_loss"]
