"""CORES2: be sure of something, then leave out the labels that this surety speaks against.

Cross-entropy first; a reward for being sure comes in; then the sieve looks at every given pixel in every
batch and leaves out of the loss those whose label the network finds less likely than the mean of all labels.
What is left out has no label any more, but its prediction may not change when the picture is perturbed.

A class that lies over others (overlapping) is a problem of two labels, and there the sieve is nothing but
agreement: a label is kept where the prediction at one half says the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError
from labelmend.geometry import class_numbers
from labelmend.methods.base import Batch, Facts, Method, Needs, Nets, State, revision
from labelmend.types import Predicted, Revision

if TYPE_CHECKING:
    from torch import Tensor

    from labelmend.losses.confidence_regularised import Prior


@dataclass(frozen=True, eq=False)
class _Labels:
    """Given labels as one question a pixel: overlapping classes have become cases of one class each.

    Args:
        target: `(m *space)` integers, or `(m 1 *space)` floats where classes overlap.
        valid: `(m *space)` booleans.
        groups: `(m l *space)` booleans, valid pixels of each of the l labels; of overlapping classes outside
            and inside.
    """

    target: Tensor
    valid: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Cores(Method):
    """Train with a confidence regulariser, leave sieved pixels out, and hand back their predicted labels.

    Epochs are absolute, since a method does not know how many there will be; the published run has
    100 of them, with 10, 39 and 31 in the places of 5, 15 and 16. The defaults suit runs of 20 to 100.

    Args:
        beta: weight of the regulariser at its full height. With a uniform prior over C labels it has to reach
            C times the largest probability of one certain wrong label: of two labels 0.5 is enough up to a
            quarter of wrong ones, 1 always.
        prior: weights of the classes in the regulariser: "uniform"; "empirical", shares of pixels, as in the
            paper. Those are refused from the `beta` on that makes rare classes win everywhere.
        eps: probability about which the reward for being sure ends, in [0, 1); 1e-8 as published.
        rule: which labels stay: "margin", those at most `margin` under the predicted one; "argmax", those
            that are predicted; "mean_logit", the paper's, among the labels that the case holds.
        margin: in units of the logits; 2 leaves out what is under a seventh as likely as the prediction.
        warm_up: epochs before the regulariser comes in.
        ramp_to: epoch at which it is at full height.
        sieve_from: first epoch that leaves labels out, from 0.
        min_kept: a class keeps all its labels in a case where fewer than this share would stay: a network
            that has not learned it yet knows no better. 0 sieves always, as published.
        consistency: weight of a pixel without label relative to one with its label; 0 saves a second pass
            through the network.
        perturb: largest change of contrast and brightness, and spread of the noise, in the second pass, in
            standard deviations of the image.
        flip_axes: spatial axes that are mirrored at random in it, for structures that have no side.
        base: "dice_ce" adds soft Dice over the labels that are kept; "ce" is the published loss.

    Paper: Cheng, Zhu, Li, Gong, Sun, Liu, "Learning with Instance-Dependent Label Noise: A Sample Sieve
        Approach", ICLR 2021.
    Differs: pixels instead of pictures. The prior is uniform, since shares of pixels with beta 2 turn the
        background into foreground; Dice is added, without which thin structures are not learned in few
        epochs; of two labels the rule of the paper is mere agreement, which takes from a thin structure
        whatever the network is not sure of yet, hence the margin; a reward for being sure that never ends
        makes logits run away and classes vanish for good, hence a low beta and `eps`; `min_kept` is ours. As
        published: beta 2, prior empirical, eps 1e-8, rule mean_logit, min_kept 0, base ce. Consistency is
        trained along with the labels, not afterwards from scratch. The learning rate is not divided by
        1 + beta, which AdamW would not feel.
    """

    beta: float = 0.5
    prior: Literal["uniform", "empirical"] = "uniform"
    eps: float = 0.01
    rule: Literal["mean_logit", "argmax", "margin"] = "margin"
    margin: float = 2.0
    warm_up: int = 5
    ramp_to: int = 15
    sieve_from: int = 16
    min_kept: float = 0.02
    consistency: float = 1.0
    perturb: float = 0.2
    flip_axes: tuple[int, ...] = ()
    base: Literal["dice_ce", "ce"] = "dice_ce"

    needs: ClassVar[Needs] = Needs(counts=("n_given", "n_removed"), lead_in="sieve_from")

    def __post_init__(self) -> None:
        for name, known in (
            ("prior", ("uniform", "empirical")),
            ("rule", ("mean_logit", "argmax", "margin")),
            ("base", ("dice_ce", "ce")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("beta", "margin", "consistency", "perturb", "warm_up", "sieve_from"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be a number >= 0, got {getattr(self, name)}")
        if not 0 <= self.eps < 1:
            raise ConfigError(f"eps must be in [0, 1), got {self.eps}")
        if not self.warm_up < self.ramp_to or not 0 <= self.min_kept <= 1:
            raise ConfigError(f"warm_up < ramp_to and min_kept in [0, 1] expected, got {self}")

    def init(self, facts: Facts) -> State:
        zeros = np.zeros(len(facts.classes), np.int64)
        state: State = {"classes": list(facts.classes), "seed": facts.seed}
        state |= dict.fromkeys(self.needs.counts, zeros)
        if self.prior == "uniform":
            return state
        from labelmend.losses.confidence_regularised import check_beta, largest_beta

        shares = np.array(facts.class_frequency, float)
        if not facts.overlapping:
            shares = np.array([1 - shares.sum(), *shares])
        check_beta(self.beta, largest_beta(shares, overlapping=facts.overlapping))
        return state | {"prior": shares}

    def beta_at(self, epoch: int) -> float:
        """Weight of the regulariser in an epoch."""
        return self.beta * float(np.clip((epoch - self.warm_up) / (self.ramp_to - self.warm_up), 0, 1))

    def step(self, state: State, batch: Batch, nets: Nets) -> tuple[Tensor, Tensor, State]:
        from labelmend.losses.base import check, foreground
        from labelmend.losses.confidence_regularised import confidence_regularised_loss
        from labelmend.losses.dice_ce import soft_dice_loss

        logits = nets[0](batch.image)
        overlapping = batch.target.ndim == logits.ndim
        asked, labels = _asked(logits, overlapping), _labels(batch.target, batch.valid, logits.shape[1])
        sieving = batch.epoch >= self.sieve_from
        keep = self._kept(asked.detach(), labels) if sieving else labels.valid
        loss = confidence_regularised_loss(
            asked,
            labels.target,
            beta=self.beta_at(batch.epoch),
            prior=self._prior(state, asked, overlapping),
            valid=keep,
            eps=self.eps,
        )
        if self.base == "dice_ce":
            checked = check(asked, labels.target, keep, None)
            loss = loss + soft_dice_loss(*foreground(checked), checked.mask)
        if sieving and self.consistency:
            again = _asked(self._seen_again(state, batch, nets), overlapping)
            moved = _divergence(asked.detach(), again) * (labels.valid & ~keep)
            loss = loss + self.consistency * moved.sum() / labels.valid.sum().clamp(min=1)
        counts = {"n_given": labels.groups, "n_removed": labels.groups & ~keep.unsqueeze(1)}
        found = {
            name: state[name] + _per_class(n, len(state[name]), overlapping) for name, n in counts.items()
        }
        return loss, logits, state | found

    def epoch_end(self, state: State, epoch: int) -> tuple[State, bool]:
        shares = [
            float(removed / max(given, 1))
            for removed, given in zip(state["n_removed"], state["n_given"], strict=True)
        ]
        zeros = np.zeros_like(state["n_given"])
        removed = shares if epoch >= self.sieve_from else []
        return state | {"n_given": zeros, "n_removed": zeros, "removed": removed}, False

    def revise(
        self, state: State, cases: Iterable[Predicted], clean: Iterable[Predicted]
    ) -> tuple[State, Iterator[Revision]]:
        proposals = (self._revised(predicted) for predicted in cases)
        return state, (proposal for proposal in proposals if proposal is not None)

    def findings(self, state: State) -> list[dict[str, Any]]:
        names, shares = state.get("classes", []), state.get("removed", [])
        if not shares:
            why = f"the sieve starts with epoch {self.sieve_from + 1}, and training ended before"
            return [{"class": name, "why": why} for name in names]
        return [
            {
                "class": name,
                "removed": share,
                "why": f"{share:.1%} of its pixels sieved out in the last epoch",
            }
            for name, share in zip(names, shares, strict=True)
        ]

    def _prior(self, state: State, asked: Tensor, overlapping: bool) -> Prior:
        if "prior" not in state:
            return "uniform"
        shares = asked.new_tensor(state["prior"])
        return shares.repeat(len(asked) // len(shares)).unsqueeze(1) if overlapping else shares

    def _kept(self, asked: Tensor, labels: _Labels) -> Tensor:
        """`(m *space)` booleans: labels that stay, see `min_kept`."""
        from labelmend.losses.confidence_regularised import sieve_mask

        overlapping = labels.target.ndim == asked.ndim
        axes = tuple(range(2, asked.ndim))
        among = None if overlapping else labels.groups.flatten(2).any(dim=2)
        keep = sieve_mask(
            asked, labels.target, rule=self.rule, margin=self.margin, among=among, valid=labels.valid
        )
        keep = keep.flatten(0, 1) if overlapping else keep
        share = (labels.groups & keep.unsqueeze(1)).sum(axes) / labels.groups.sum(axes).clamp(min=1)
        unknown = (share < self.min_kept).reshape(*share.shape, *[1] * len(axes))
        return keep | (labels.groups & unknown).any(dim=1)

    def _seen_again(self, state: State, batch: Batch, nets: Nets) -> Tensor:
        """Logits of the perturbed images, mirrored back; what is drawn depends on seed, epoch and cases."""
        import torch

        key = f"{state['seed']} {batch.epoch} {batch.cases}"
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        image = batch.image
        contrast, light = (
            self.perturb * (2 * torch.rand(len(image), generator=generator) - 1).to(image) for _ in range(2)
        )
        per_case = (len(image), *[1] * (image.ndim - 1))
        noise = torch.randn(image.shape, generator=generator).to(image)
        seen = image * (1 + contrast).reshape(per_case) + light.reshape(per_case) + self.perturb * noise
        mirrored = [
            axis + 2
            for axis in self.flip_axes
            if axis + 2 < image.ndim and torch.rand((), generator=generator) < 0.5
        ]
        return nets[0](seen.flip(mirrored)).flip(mirrored)

    def _revised(self, predicted: Predicted) -> Revision | None:
        """Labels with the prediction where the sieve leaves them out; None if that changes nothing."""
        import torch

        labels, overlapping = predicted.current, predicted.current.overlapping
        masks, probs = labels.masks(), torch.from_numpy(np.asarray(predicted.probs))
        tiny = torch.finfo(torch.float).tiny
        logits = probs.clamp(min=tiny).log()
        if overlapping:
            logits = logits - (1 - probs).clamp(min=tiny).log()
        target = masks.astype(np.float32) if overlapping else class_numbers(masks)
        valid = torch.from_numpy(~labels.ignored())[None]
        given = _labels(torch.from_numpy(target)[None], valid, len(logits))
        removed = (given.valid & ~self._kept(_asked(logits[None], overlapping), given)).numpy()
        if overlapping:
            proposal = np.where(removed, predicted.probs > 0.5, masks)
        else:
            winner = np.where(removed[0], np.argmax(predicted.probs, axis=0), target)
            proposal = np.stack([winner == c + 1 for c in range(len(masks))])
        if (proposal == masks).all():
            return None
        share = removed.sum() / max(int(given.valid.sum()), 1)
        return revision(predicted, proposal, f"the network speaks against {share:.1%} of the labels")


def _asked(logits: Tensor, overlapping: bool) -> Tensor:
    """Logits of one question a pixel: `(b k *space)` of overlapping classes become `(b*k 1 *space)`."""
    return logits.flatten(0, 1).unsqueeze(1) if overlapping else logits


def _labels(target: Tensor, valid: Tensor, channels: int) -> _Labels:
    """Given labels of a batch, for logits with this many channels."""
    import torch

    if target.ndim > valid.ndim:
        every = valid.repeat_interleave(channels, dim=0)
        target = target.flatten(0, 1).unsqueeze(1)
        inside = target >= 0.5
        return _Labels(target, every, torch.cat([~inside, inside], dim=1) & every.unsqueeze(1))
    numbers = torch.where(valid, target, 0).long()
    groups = torch.stack([numbers == c for c in range(channels)], dim=1)
    return _Labels(numbers, valid, groups & valid.unsqueeze(1))


def _per_class(groups: Tensor, n_classes: int, overlapping: bool) -> NDArray[np.int64]:
    """Pixels of each of the k foreground classes."""
    counts = groups.flatten(2).sum(dim=2)
    if overlapping:
        return counts[:, 1].reshape(-1, n_classes).sum(dim=0).cpu().numpy()
    return counts[:, 1:].sum(dim=0).cpu().numpy()


def _divergence(believed: Tensor, logits: Tensor) -> Tensor:
    """`(m *space)`: KL divergence of predictions from those believed, both as logits of one question."""
    import torch.nn.functional as F

    if logits.shape[1] > 1:
        logs = believed.log_softmax(dim=1)
        return (logs.exp() * (logs - logits.log_softmax(dim=1))).sum(dim=1)
    inside = believed.sigmoid() * (F.logsigmoid(believed) - F.logsigmoid(logits))
    outside = (-believed).sigmoid() * (F.logsigmoid(-believed) - F.logsigmoid(-logits))
    return (inside + outside).squeeze(1)
