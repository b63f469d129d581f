"""ADELE: stop learning a class from its labels once it has been learnt, and correct them instead.

Networks learn what labels have in common before they learn their errors, and each class in its own time. The
IoU of predictions and labels is followed class by class; where its curve bends, the class joins those whose
labels are corrected by confident predictions while training goes on. Predictions at several scales are held
together, which keeps them good for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.geometry import class_numbers
from labelmend.methods.base import Batch, Facts, Known, Method, Needs, Nets, Rows, State, revision
from labelmend.theory.learning_curve import CurveVerdict, has_settled
from labelmend.types import BoolArray, FloatArray, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

Base = Literal["given", "current"]
Loss = Literal["dice_ce", "ce"]

LARGEST_MULTIPLE = 16
"""Scaled images keep the powers of two in the sides of the training grid up to this one: four halvings."""


def relabel(
    labels: NDArray[Any],
    probs: FloatArray,
    active: Collection[int],
    tau: float,
    *,
    keep_classes: bool = True,
    ignored: BoolArray | None = None,
) -> NDArray[Any]:
    """Labels of an image in which confident predictions of active classes replace what was there.

    A pixel changes if its largest probability is over `tau`, if both its label and its prediction are active
    or background, and if the predicted class is annotated somewhere in the image: no image gains a class. An
    image without any active class stays as it is.

    Args:
        labels: `(*space)` integers, 0 background.
        probs: `(C *space)` probabilities, background first.
        active: classes to correct, numbers from 1 on.
        tau: confidence that must be exceeded.
        keep_classes: give its pixels back to a class that would vanish from the image.
        ignored: `(*space)` booleans, pixels that stay as they are.

    >>> probs = np.full((3, 6), 0.05)
    >>> probs[[1, 0, 1, 2, 0, 2], range(6)] = 0.9
    >>> relabel(np.array([0, 1, 2, 1, 2, 0]), probs, {1}, 0.8)
    array([1, 0, 2, 1, 2, 0])
    """
    counted = np.ones(labels.shape, bool) if ignored is None else ~ignored
    present = set(np.unique(labels[counted]).tolist())
    if not present & set(active):
        return labels
    free = {0, *active}
    predicted = probs.argmax(axis=0)
    moving = counted & (probs.max(axis=0) > tau) & np.isin(predicted, list(free & (present | {0})))
    new = np.where(moving & np.isin(labels, list(free)), predicted, labels).astype(labels.dtype)
    while keep_classes and (lost := present - set(np.unique(new[counted]).tolist()) - {0}):
        new = np.where(counted & np.isin(labels, list(lost)), labels, new)
    return new


def class_counts(logits: Tensor, target: Tensor, valid: Tensor) -> NDArray[Any]:
    """`(3 k)`: valid pixels of each foreground class in both labels and predictions, and in either one."""
    if target.ndim == logits.ndim:
        truth, found = target > 0.5, logits > 0
    else:
        numbers = range(1, logits.shape[1])
        winner = logits.argmax(dim=1)
        truth, found = (_stacked(x, numbers) for x in (target, winner))
    mask = valid.bool().unsqueeze(1)
    sums = [(x & mask).transpose(0, 1).flatten(1).sum(dim=1) for x in (truth & found, truth, found)]
    return np.asarray([s.tolist() for s in sums], np.int64)


def _stacked(numbers: Tensor, classes: Iterable[int]) -> Tensor:
    import torch

    return torch.stack([numbers == index for index in classes], dim=1)


def iou_of(counts: NDArray[Any]) -> list[float]:
    """IoU of each class from `class_counts` summed over a data set; NaN where neither side has a pixel."""
    both, truth, found = np.asarray(counts, float)
    union = truth + found - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan).tolist()


def scaled_sizes(shape: Sequence[int], scales: Iterable[float]) -> list[tuple[int, ...]]:
    """Sizes that stand for the scales other than 1, without those that come out the same.

    A side keeps the powers of two that divide it, up to 16, since the network may need them; and is at least
    twice that multiple, if it was so before, since batch norm cannot do with one pixel.

    >>> scaled_sizes((96, 128), (0.7, 1.0, 1.5))
    [(64, 96), (144, 192)]
    """
    sizes = []
    for scale in scales:
        size = tuple(_scaled(n, scale) for n in shape)
        if size != tuple(shape) and size not in sizes:
            sizes.append(size)
    return sizes


def _scaled(n: int, scale: float) -> int:
    multiple = math.gcd(n, LARGEST_MULTIPLE)
    return max(math.ceil(n * scale / multiple - 0.5) * multiple, min(n, 2 * multiple))


@dataclass(frozen=True)
class Adele(Method):
    """Early-learning correction: follow each class's IoU, and relabel by confident predictions past its knee.

    The state grows by one number a class and epoch, its curve; besides, there are three counts a class.

    Args:
        slope_drop: share of its mean slope so far that a curve has lost at its trigger (r of the paper).
        tau: probability over which a prediction replaces a label.
        every: revise when a class joins, and then each time that this many epochs are full; 0 only when one
            joins.
        base: labels that a revision starts from, "given" (the same however often it is done) or "current"
            (revisions add up).
        loss: what is trained at each scale: Dice with cross-entropy ("dice_ce") or cross-entropy ("ce").
        scales: image sizes that are trained, as shares of the training grid; 1 must be among them. Time and
            memory of a step grow with the sum of their squares (cubes in 3-D): 3.7-fold in 2-D.
        consistency: weight of the Jensen-Shannon divergence between scales.
        rho: the divergence counts for an image once a mean prediction is at least this confident somewhere.
        min_iou: a class whose curve never rose counts as learnt at or above this IoU.

    Paper: Liu, Liu, Zhu, Shen, Fernandez-Granda, "Adaptive Early-Learning Correction for Segmentation from
        Noisy Annotations", CVPR 2022.
    Differs: labels are revised by predictions at one scale that the engine makes, in evaluation mode and at
        the end of an epoch; the paper averages scales. A trigger asks whether a curve has certainly bent, so
        that it does not depend on how long an epoch is; the paper compares the slope with that after the
        first epoch (`paper_trigger`). No class vanishes from an image. Curves have one point per epoch,
        measured against the labels trained on, which are the given ones for a class that is not active.
        Scales have equal weights and sides in whole multiples of what the network halves; corners are not
        aligned. Ignored pixels count nowhere and are never filled in. Overlapping classes are binary problems
        each, with a trigger, a confidence and a background of their own. At the end of a round, all active
        classes are corrected, and curves begin again. Trains with Dice too, since cross-entropy alone is slow
        to learn thin structures, and without the temperature; Dice makes networks confident, so that a `tau`
        of 0.8 would copy whole predictions, bias and all. `published/official_adele.py` has the rules of the
        paper and of both released programs.
    """

    slope_drop: float = 0.95
    tau: float = 0.95
    every: int = 5
    base: Base = "given"
    loss: Loss = "dice_ce"
    scales: tuple[float, ...] = (0.7, 1.0, 1.5)
    consistency: float = 1.0
    rho: float = 0.8
    min_iou: float = 0.5

    needs: ClassVar[Needs] = Needs(counts=("counts",))

    @property
    def _loss_temperature(self) -> float:
        """What logits are divided by in the loss."""
        return 1.0

    @property
    def _floor(self) -> float:
        """Of the mean prediction in the consistency, see `jensen_shannon_loss`."""
        return 0.0

    def __post_init__(self) -> None:
        if not (0 < self.slope_drop < 1 and 0.5 <= self.tau <= 1):
            limits = "slope_drop in (0, 1) and tau in [0.5, 1] expected"
            raise ConfigError(f"{limits}, got {self.slope_drop} and {self.tau}")
        if self.every < 0 or self.base not in get_args(Base) or self.loss not in get_args(Loss):
            limits = 'every >= 0, base "given" or "current" and loss "dice_ce" or "ce" expected'
            raise ConfigError(f"{limits}, got {self}")
        if 1 not in self.scales or not all(0.1 <= scale <= 4 for scale in self.scales):
            raise ConfigError(f"scales must lie in [0.1, 4] and hold 1, got {self.scales}")
        if not (0 <= self.consistency < math.inf and 0 <= self.rho <= 1 and 0 <= self.min_iou <= 1):
            limits = "consistency >= 0, rho in [0, 1] and min_iou in [0, 1] expected"
            raise ConfigError(f"{limits}, got {self.consistency}, {self.rho} and {self.min_iou}")

    def init(self, facts: Facts) -> State:
        return {"classes": list(facts.classes)} | _fresh(len(facts.classes))

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        import torch

        from labelmend.losses.cross_entropy import cross_entropy_loss
        from labelmend.losses.dice_ce import dice_ce_loss
        from labelmend.losses.jensen_shannon import jensen_shannon_loss

        overlapping = batch.target.ndim == batch.image.ndim
        sizes = scaled_sizes(tuple(batch.image.shape[2:]), self.scales)
        native = nets[0](batch.image)
        logits = [native.float(), *(_at_size(nets[0], batch.image, size) for size in sizes)]
        base = dice_ce_loss if self.loss == "dice_ce" else cross_entropy_loss
        heat = self._loss_temperature
        loss = torch.stack([base(z / heat, batch.target, valid=batch.valid) for z in logits]).mean()
        if self.consistency and sizes:
            apart = jensen_shannon_loss(
                logits, overlapping=overlapping, valid=batch.valid, rho=self.rho, floor=self._floor
            )
            loss = loss + self.consistency * apart
        counts = class_counts(native.detach(), batch.target, batch.valid)
        return loss, native, state | {"counts": state.get("counts", 0) + counts}

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        counts = state.get("counts")
        if counts is None:
            return state, False
        state = {key: value for key, value in state.items() if key != "counts"}
        if epoch == 0:
            state |= _fresh(len(state["classes"]))
        curves = [*state["curves"], iou_of(counts)]
        since, why = list(state["since"]), list(state["why"])
        for index, curve in enumerate(zip(*curves, strict=True)):
            if since[index] == 0:
                verdict = self.trigger(curve, epoch)
                since[index], why[index] = (epoch + 1) * verdict.settled, verdict.why
        active, every = [i for i, first in enumerate(since) if first], self.every
        new = [i for i in active if since[i] == epoch + 1]
        due = active if every and (epoch + 1) % every == 0 else new
        return state | {"curves": curves, "since": since, "why": why, "due": due}, bool(due)

    def trigger(self, curve: Sequence[float], epoch: int) -> CurveVerdict:
        """Whether a class with this curve, one point an epoch, joins after epoch `epoch`, counted from 0."""
        times = np.arange(len(curve)) + 0.5  # an IoU over an epoch belongs to its middle
        return has_settled(times, curve, epoch + 1.0, drop=self.slope_drop, min_iou=self.min_iou)

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        active = [index for index, first in enumerate(state["since"]) if first]
        # what was revised before is in the current labels, but not in the given ones
        acting = state["due"] if state["due"] and self.base == "current" else active
        proposals = (self._revised(predicted, acting) for predicted in cases) if acting else ()
        return state | {"due": []}, (revised for revised in proposals if revised is not None)

    def revise_from_probs(
        self, known: Known, cases: Callable[[], Iterator[Predicted]]
    ) -> tuple[Rows, Iterator[Revision]]:
        # out-of-sample predictions of a case have not learned its errors by heart: no class has to wait
        names = known.facts.classes
        state = self.init(known.facts) | {"since": [1] * len(names)}
        why = f"corrected where the prediction is over {self.tau:.0%} sure, in cases that hold the class"
        return [{"class": name, "why": why} for name in names], self.revise(state, cases(), ())[1]

    def findings(self, state: State) -> list[dict[str, Any]]:
        rows = []
        for index, (name, since, why) in enumerate(
            zip(state["classes"], state["since"], state["why"], strict=True)
        ):
            iou = state["curves"][-1][index] if state["curves"] else math.nan
            text = f"corrected since epoch {since} ({why})" if since else f"not corrected: {why}"
            rows.append({"class": name, "since": since or None, "iou": _number(iou), "why": text})
        return rows

    def _relabelled(
        self, numbers: NDArray[Any], probs: FloatArray, active: Collection[int], ignored: BoolArray
    ) -> NDArray[Any]:
        """`relabel` with these settings."""
        return relabel(numbers, probs, active, self.tau, ignored=ignored)

    def _revised(self, predicted: Predicted, acting: Collection[int]) -> Revision | None:
        """Labels with the acting classes corrected; None where nothing new comes of it."""
        labels = predicted.given if self.base == "given" else predicted.current
        before, ignored, probs = labels.masks(), labels.ignored(), predicted.probs
        if labels.overlapping:
            masks = before.copy()
            for j in acting:
                both = np.stack([1 - probs[j], probs[j]])
                masks[j] = self._relabelled(before[j].astype(np.int64), both, {1}, ignored) == 1
        else:
            new = self._relabelled(class_numbers(before), probs, {index + 1 for index in acting}, ignored)
            masks = np.stack([new == index + 1 for index in range(len(before))])
        if np.array_equal(masks, predicted.current.masks()):
            return None
        changed = [
            n
            for n, a, b in zip(labels.classes, masks, predicted.given.masks(), strict=True)
            if (a != b).any()
        ]
        names = ", ".join(changed)
        reason = f"{names}: the network is over {self.tau:.0%} sure" if changed else "as given again"
        return revision(predicted, masks, reason)


def _at_size(net: Callable[[Tensor], Tensor], image: Tensor, size: tuple[int, ...]) -> Tensor:
    """Logits of an image that the network sees at another size, on the grid of the image again."""
    import torch.nn.functional as F

    mode = "bilinear" if len(size) == 2 else "trilinear"
    scaled = F.interpolate(image, size=size, mode=mode, align_corners=False)
    try:
        logits = net(scaled)
    except Exception as error:  # whatever a module that we did not write raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"the network takes images of size {tuple(image.shape[2:])} but not of {size} ({reason}): ADELE "
            "trains at several scales, choose a network for any size or --method.scales [1.0]"
        ) from error
    return F.interpolate(logits.float(), size=image.shape[2:], mode=mode, align_corners=False)


def _fresh(k: int) -> dict[str, Any]:
    """Curves of k classes before the first epoch of a round."""
    return {"curves": [], "since": [0] * k, "why": ["no epoch was trained"] * k, "due": []}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
