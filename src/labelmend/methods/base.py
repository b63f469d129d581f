"""The protocol of every learning method: five verbs and two more that few have; values go in and come back.

    state = method.init(facts)                                   once a run
    loss, logits, state = method.step(state, batch, nets)        every batch
    state, wanted = method.epoch_end(state, epoch)               every epoch; True asks to revise at once
    state, revisions = method.revise(state, cases, clean)        once a round, and when asked for
    method.finished(state)                                       after a round; True leaves out those to come

    rows, revisions = method.revise_from_probs(known, cases)     instead of these, with saved probabilities
    masks = method.correct_prediction(correction, probs)         whenever its network predicts

A method is a frozen dataclass whose fields are its hyper-parameters. It holds no changing attribute. A state
is a plain dict of numbers, strings, lists and numpy arrays, so that the engine can save it without knowing
what it means.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.geometry import boundary_bias
from labelmend.types import BoolArray, FloatArray, LabelMap, Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, Any]
Rows = list[dict[str, Any]]
Nets = Sequence[Callable[["Tensor"], "Tensor"]]


@dataclass(frozen=True)
class Needs:
    """What a method asks of the loop.

    Args:
        networks: how many networks are trained side by side.
        clean: whether trusted cases are "required", "optional" or "unused".
        rounds: trainings from scratch, each followed by one `revise`, that the method asks for by default.
        counts: entries of the state that `step` adds to; where several processes train, the engine adds up
            theirs before every `epoch_end`, which takes them out again.
        lead_in: the field that counts the epochs of a round before the method does what it is made for.
    """

    networks: int = 1
    clean: Literal["required", "optional", "unused"] = "unused"
    rounds: int = 1
    counts: tuple[str, ...] = ()
    lead_in: str = ""


@dataclass(frozen=True)
class Facts:
    """What a method may know before training.

    Args:
        classes: names of the k foreground classes.
        overlapping: True when a pixel may belong to several classes.
        ndim: 2 or 3.
        n_cases: number of training cases.
        class_frequency: per class, share of annotated pixels that belong to it.
        seed: the run's seed, for methods that draw random numbers of their own.
    """

    classes: tuple[str, ...]
    overlapping: bool
    ndim: int
    n_cases: int
    class_frequency: tuple[float, ...]
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Known:
    """What a method may know that revises from saved probabilities alone.

    Args:
        facts: see `Facts`.
        confidence: `(2 m C)`: per one of the m `tasks` and label, the sum of the probabilities of that label
            over the pixels given as it, and the number of these pixels.
        trusted: streams the trusted cases, their `given` labels being the truth.
        redrawn: streams the trusted cases that have given labels beside the trusted ones: truth, given labels
            and probabilities.
    """

    facts: Facts
    confidence: FloatArray
    trusted: Callable[[], Iterator[Predicted]] = lambda: iter(())
    redrawn: Callable[[], Iterator[tuple[LabelMap, LabelMap, FloatArray]]] = lambda: iter(())


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch on the training grid.

    Args:
        image: `(b c *space)` floats.
        target: `(b k *space)` floats in [0, 1] for overlapping classes (shares of a pixel); for exclusive
            classes `(b *space)` integers, 0 background and j for the j-th class.
        valid: `(b *space)` booleans, False where labels are to be ignored.
        cases: the b case ids.
        epoch: epoch within the round, from 0.
        spacing_mm: of each case on the training grid; empty: 1 mm.
    """

    image: Tensor
    target: Tensor
    valid: Tensor
    cases: tuple[str, ...]
    epoch: int = 0
    spacing_mm: tuple[tuple[float, ...], ...] = ()


class Method:
    """Base of all methods: plain training on the labels as they are, and no revision."""

    needs: ClassVar[Needs] = Needs()

    def init(self, facts: Facts) -> State:
        """State at the start of a run."""
        return {}

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        """Loss and logits of one batch, and the state after it. Default: Dice-CE of the first network."""
        from labelmend.losses import dice_ce_loss

        logits = nets[0](batch.image)
        return dice_ce_loss(logits, batch.target, valid=batch.valid), logits, state

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        """State after an epoch, and whether to `revise` now and go on training on the result. Default: no.

        Args:
            state: the method's state.
            epoch: the epoch that ended, from 0 within the round.
        """
        return state, False

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        """Revised labels of the training cases, at the end of a round or of an epoch. Default: none.

        Args:
            state: the method's state.
            cases: whole training cases, predicted as they are asked for.
            clean: trusted cases, their `given` labels being the truth; empty if there are none.
        """
        return state, iter(())

    def revise_from_probs(
        self, known: Known, cases: Callable[[], Iterator[Predicted]]
    ) -> tuple[Rows, Iterator[Revision]]:
        """Revised labels from saved out-of-sample probabilities, without training. Default: ConfigError.

        Args:
            known: what was found beforehand.
            cases: streams the cases to correct, given labels as current ones.

        Returns:
            Rows as of `findings`, and the revisions, which are made as they are asked for.
        """
        raise ConfigError(f"{type(self).__name__} revises labels only while a network is trained")

    def finished(self, state: State) -> bool:
        """Whether a further round would change nothing, asked after `revise`. Default: no."""
        return False

    def lead_in(self, state: State) -> int:
        """Epochs of a round after which the method begins; no label is revised before. Default: its field."""
        return int(getattr(self, self.needs.lead_in)) if self.needs.lead_in else 0

    def held_back(self, state: State, classes: Collection[str]) -> State:
        """The state after a revision that was not taken over for some classes. Default: as it was."""
        return state

    def findings(self, state: State) -> list[dict[str, Any]]:
        """What the last `revise` measured: rows with at least `class` and `why`. Default: none."""
        return []

    def correction(self, state: State) -> dict[str, Any] | None:
        """What undoes the bias that `revise` measured, as JSON values; None: nothing was. Default: None."""
        return None

    def correct_prediction(
        self,
        correction: Mapping[str, Any],
        probs: FloatArray,
        *,
        overlapping: bool,
        spacing_mm: Sequence[float],
    ) -> BoolArray:
        """`(k *space)` masks: what the network predicts, its bias undone. Default: ConfigError.

        Args:
            correction: what `correction` gave out.
            probs: see `Predicted`.
            overlapping: whether classes may overlap.
            spacing_mm: per axis.
        """
        raise ConfigError(f"{type(self).__name__} knows no way to correct predictions")


def revision(
    predicted: Predicted, masks: BoolArray, reason: str, confidence: float | None = None
) -> Revision:
    """The Revision that turns the given labels of a case into `masks`, with its counts and displacements.

    Args:
        predicted: the case with its given labels and probabilities.
        masks: `(k *space)` booleans, the proposal.
        reason: one sentence for the person who reviews it.
        confidence: in [0, 1]; None takes the mean probability that the network gives to what changed.
    """
    given, labels = predicted.given, predicted.given.with_masks(masks)
    if confidence is None:
        confidence = _agreement(predicted.probs, given, labels)
    return Revision(predicted.case, labels, reason, **changes(given, labels), confidence=confidence)


def changes(given: LabelMap, labels: LabelMap) -> dict[str, Any]:
    """What a Revision counts of the way from the given labels to revised ones: voxels and displacements."""
    added, removed, displacement = [], [], []
    for name in given.names:
        before, after = given.mask(name), labels.mask(name)
        added.append(int(np.count_nonzero(after & ~before)))
        removed.append(int(np.count_nonzero(before & ~after)))
        displacement.append(boundary_bias(before, after, given.grid.spacing_mm))
    return {
        "added_vox": tuple(added),
        "removed_vox": tuple(removed),
        "displacement_mm": tuple(displacement),
    }


def foreground_probs(probs: FloatArray, labels: LabelMap) -> FloatArray:
    """`(k *space)` probabilities of the foreground classes, whichever way the classes are annotated."""
    return probs if labels.overlapping else probs[1:]


def tasks(labels: LabelMap, probs: FloatArray) -> list[tuple[NDArray[Any], FloatArray]]:
    """The labelling tasks of a case, each with its given labels and probabilities, class 0 being the rest.

    Exclusive classes are one task with k + 1 labels; overlapping ones are k tasks with two labels each.

    Args:
        labels: the given labels.
        probs: `(k *space)` sigmoid outputs, or `(k+1 *space)` softmax outputs with background first.

    Returns:
        pairs of `(*space)` integers and `(C *space)` probabilities.
    """
    if labels.overlapping:
        return [(mask.astype(int), np.stack([1 - p, p])) for mask, p in zip(labels.array, probs, strict=True)]
    indices = np.zeros(labels.grid.shape, np.intp)
    for index, name in enumerate(labels.classes, start=1):
        indices[labels.mask(name)] = index
    return [(indices, probs)]


def masks_of(answers: Sequence[NDArray[Any]], n_classes: int, *, overlapping: bool) -> BoolArray:
    """`(k *space)` masks from the integers of each of the `tasks`."""
    if overlapping:
        return np.stack(answers) > 0
    return np.stack([answers[0] == index for index in range(1, n_classes + 1)])


def flat_tasks(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and labels of a batch by task, `(m C n)` each, for m `tasks` of C labels and n pixels.

    Args:
        logits: `(b k *space)` for overlapping classes, `(b k+1 *space)` for exclusive ones.
        target: `(b k *space)` floats (shares of a pixel), or `(b *space)` integers.
    """
    import torch

    channels = logits.detach().float().movedim(1, 0).flatten(1)
    if target.ndim == logits.ndim:
        probs, truth = channels.sigmoid(), target.float().movedim(1, 0).flatten(1)
        return torch.stack([1 - probs, probs], dim=1), torch.stack([1 - truth, truth], dim=1)
    truth = torch.nn.functional.one_hot(target.long().flatten(), len(channels)).T.float()
    return channels.softmax(dim=0)[None], truth[None]


def _agreement(probs: FloatArray, given: LabelMap, revised: LabelMap) -> float:
    """Mean probability that the network gives to the revised labels where they differ from the given ones."""
    found = []
    for name, prob in zip(given.classes, foreground_probs(probs, given), strict=True):
        after = revised.mask(name)
        changed = after != given.mask(name)
        found.append(np.where(after[changed], prob[changed], 1 - prob[changed]))
    every = np.concatenate(found)
    return float(every.mean()) if every.size else 1.0


def hyper_parameters(method: Method) -> dict[str, Any]:
    """The fields of a method by name, for configs and manifests."""
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]


def check_revision(revision: Revision, given: LabelMap) -> None:
    """Refuse a revision that changes shape, dtype, classes or an ignored pixel of the given labels."""
    new = revision.labels
    if new.array.shape != given.array.shape or new.array.dtype != given.array.dtype:
        raise GeometryError(
            f"case {revision.case}: revised labels are {new.array.dtype} {new.array.shape}, "
            f"the given ones {given.array.dtype} {given.array.shape}"
        )
    if new.classes != given.classes:
        raise LabelValueError(
            f"case {revision.case}: revised classes {new.classes} are not the given {given.classes}"
        )
    if revision.left_out is not None and (
        revision.left_out.shape != given.grid.shape or revision.left_out.dtype != bool
    ):
        raise GeometryError(
            f"case {revision.case}: left_out is {revision.left_out.dtype} {revision.left_out.shape}, "
            f"booleans of shape {given.grid.shape} are expected"
        )
    ignored = given.ignored()
    if not np.array_equal(new.ignored(), ignored) or not np.array_equal(
        new.array[..., ignored], given.array[..., ignored]
    ):
        raise LabelValueError(f"case {revision.case}: the revision changes pixels that are to be ignored")


def without(revision: Revision, current: LabelMap, given: LabelMap, held: Collection[str]) -> Revision | None:
    """A revision that leaves the classes `held` as they are; None if nothing is left of it.

    Where classes exclude each other, a pixel that would go to such a class, or be taken from it, stays.

    Args:
        revision: what the method proposes.
        current: the labels before it.
        given: the labels as delivered.
        held: names of classes.
    """
    old, new = current.masks(), revision.labels.masks()
    rows = [index for index, name in enumerate(given.classes) if name in held]
    differs = (new != old)[rows]
    if not differs.any():
        return revision
    masks = new.copy()
    if given.overlapping:
        masks[rows] = old[rows]
    else:
        masks = np.where(differs.any(axis=0), old, new)
    left_out = None
    if revision.left_out is not None:
        left_out = revision.left_out & (masks != given.masks()).any(axis=0)
    if np.array_equal(masks, old) and (left_out is None or not left_out.any()):
        return None
    labels = given.with_masks(masks)
    reason = f"{revision.reason}; {', '.join(sorted(held))} kept, not learned"
    more = changes(given, labels)
    return dataclasses.replace(revision, labels=labels, left_out=left_out, reason=reason, **more)
