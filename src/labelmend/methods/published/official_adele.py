"""ADELE by the rules of the paper and of its released programs, for comparison; `adele` is for your data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.methods.adele import Adele, Base, Loss, relabel
from labelmend.methods.base import Needs
from labelmend.metrics.calibration import scaled
from labelmend.theory.learning_curve import CurveVerdict, paper_trigger, published_trigger
from labelmend.types import BoolArray, FloatArray

Program = Literal["paper", "segthor", "voc"]

SEGTHOR_EPOCHS = 100
"""Length of the published training on SegTHOR, up to which its program looks ahead."""

VOC_EPOCHS = 16
"""The same for VOC; after this epoch every class is corrected."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "paper": {"tau": 0.8, "every": 1, "base": "current"},
    "segthor": {"tau": 0.7, "every": 10, "base": "current"},
    "voc": {"tau": 0.8, "every": 1, "base": "given"},
}
"""Settings in which the two released programs and the paper differ."""


def relabel_voc(
    labels: NDArray[Any],
    probs: FloatArray,
    active: Collection[int],
    tau: float,
    *,
    ignored: BoolArray | None = None,
) -> NDArray[Any]:
    """`relabel` as the program for VOC does it.

    Pixels of classes that are not active may be overwritten too, images without foreground are corrected
    freely, and background is only predicted where there was some. An image that would lose over half of its
    foreground and become over 95 % background stays as it is.

    Args:
        labels, probs, active, tau, ignored: see `relabel`.
    """
    counted = np.ones(labels.shape, bool) if ignored is None else ~ignored
    present = set(np.unique(labels[counted]).tolist())
    empty = present <= {0}
    if not present & set(active) and not empty:
        return labels
    allowed = {0, *active} if empty else {0, *active} & present
    predicted = probs.argmax(axis=0)
    moving = counted & (probs.max(axis=0) > tau) & np.isin(predicted, list(allowed))
    new = np.where(moving, predicted, labels).astype(labels.dtype)
    kept, left = ((x > 0)[counted].sum() for x in (labels, new))
    return labels if left < 0.5 * kept and (new == 0)[counted].mean() > 0.95 else new


@dataclass(frozen=True)
class OfficialAdele(Adele):
    """ADELE with the trigger, temperature and thresholds of the paper or of one of its programs.

    Args:
        program: "paper" compares a curve's slope with that after the first epoch; "segthor" and "voc" do as
            the two released programs, which differ.
        slope_drop: share of its slope after one epoch that a curve has lost at its trigger.
        tau: see `Adele`. Default: 0.7 in segthor, else 0.8.
        every: see `Adele`. Default: 10 in segthor, else 1.
        base: see `Adele`. Default: "given" in voc, else "current".
        loss: see `Adele`.
        scales: see `Adele`.
        consistency: see `Adele`.
        rho: see `Adele`.
        min_iou: not used.

    Paper: Liu, Liu, Zhu, Shen, Fernandez-Granda, "Adaptive Early-Learning Correction for Segmentation from
        Noisy Annotations", CVPR 2022; official code for SegTHOR and VOC.
    Differs: as `Adele`, but for what is named above. VOC's program also mirrors images and runs a CRF, and
        has a point of the curves in 100 batches; SegTHOR's keeps what training predicted.
    """

    program: Program = "paper"
    slope_drop: float = 0.9
    tau: float | None = None  # type: ignore[assignment]
    every: int | None = None  # type: ignore[assignment]
    base: Base | None = None  # type: ignore[assignment]
    loss: Loss = "ce"

    needs: ClassVar[Needs] = Needs(counts=("counts",))

    def __post_init__(self) -> None:
        if self.program not in get_args(Program):
            raise ConfigError(f"program must be one of {', '.join(DEFAULTS)}, got {self.program!r}")
        for name, value in DEFAULTS[self.program].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        super().__post_init__()

    @property
    def _loss_temperature(self) -> float:
        return len(self.scales)

    @property
    def _floor(self) -> float:
        return 0.0 if self.program == "paper" else 1e-3

    def trigger(self, curve: Sequence[float], epoch: int) -> CurveVerdict:
        """Whether a class with this curve joins after epoch `epoch`, counted from 0."""
        if self.program == "paper":
            return paper_trigger(curve, loss=self.slope_drop)
        horizon = SEGTHOR_EPOCHS if self.program == "segthor" else VOC_EPOCHS
        wait = self.program == "segthor"
        return published_trigger(curve, epoch, horizon=horizon, loss=self.slope_drop, wait_for_rise=wait)

    def _relabelled(
        self, numbers: NDArray[Any], probs: FloatArray, active: Collection[int], ignored: BoolArray
    ) -> NDArray[Any]:
        tau = float(self.tau)  # type: ignore[arg-type]  # set by the program
        if self.program == "voc":  # which also divides logits before it asks for confidence
            return relabel_voc(numbers, scaled(probs, len(self.scales)), active, tau, ignored=ignored)
        return relabel(numbers, probs, active, tau, keep_classes=False, ignored=ignored)
