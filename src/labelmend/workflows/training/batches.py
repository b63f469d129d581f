"""Cases as training tensors: decoding, training grid, patches, order, augmentation, from explicit seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from labelmend.geometry.resample import normalise, pad_to_multiple, resample
from labelmend.io import Image
from labelmend.methods.base import Batch
from labelmend.model.network import PAD_MULTIPLE
from labelmend.types import BoolArray, LabelMap
from labelmend.workflows.training.config import AugmentConfig

_WHOLE = 0.999
"""Share of a resampled pixel that must be annotated for it to count; one, but for rounding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One case on the training grid.

    Args:
        case: case id.
        image: `(c *space)` floats, normalised.
        masks: `(k *space)` floats: the share of each pixel that a class covers, so that a coarser grid keeps
            where boundaries lie below the pixel.
        valid: `(*space)` booleans.
        spacing_mm: of the training grid.
    """

    case: str
    image: Tensor
    masks: Tensor
    valid: Tensor
    spacing_mm: tuple[float, ...]

    @cached_property
    def present(self) -> Tensor:
        """Numbers of the classes that the case holds; found once, since patches are cut many times."""
        return (self.masks.flatten(1) > 0.5).any(1).nonzero().flatten()


@dataclass(frozen=True)
class BatchSource:
    """Where the cases of a round come from.

    Args:
        cases: case ids, in order; trusted cases may be repeated.
        read_image: case id -> image.
        read_labels: case id -> the labels of this round.
        read_left_out: case id -> `(*space)` booleans, pixels to train without; None if there are none.
    """

    cases: tuple[str, ...]
    read_image: Callable[[str], Image]
    read_labels: Callable[[str], LabelMap]
    read_left_out: Callable[[str], BoolArray | None] = lambda case: None


class CaseDataset(torch.utils.data.Dataset[Sample]):
    """Samples by position in an epoch's order; decoded cases are kept in memory up to a budget.

    Args:
        source: the cases.
        resize: training grid, or None for the native one.
        patch: size of random crops, or None for whole cases.
        cache_gib: memory for decoded cases, GiB.
    """

    def __init__(
        self,
        source: BatchSource,
        resize: tuple[int, ...] | None,
        patch: tuple[int, ...] | None,
        cache_gib: float,
    ) -> None:
        self.source, self.resize, self.patch = source, resize, patch
        self._budget = cache_gib * 2**30
        self._cache: dict[str, Sample] = {}

    def __getitem__(self, key: tuple[str, int]) -> Sample:
        case, seed = key
        sample = self._cache.get(case) or self._decode(case)
        return sample if self.patch is None else crop(sample, self.patch, np.random.default_rng(seed))

    def _decode(self, case: str) -> Sample:
        image, labels = self.source.read_image(case), self.source.read_labels(case)
        sample = to_sample(case, image, labels, self.resize, self.source.read_left_out(case))
        size = sum(t.numel() * t.element_size() for t in (sample.image, sample.masks, sample.valid))
        if size <= self._budget:
            self._cache[case], self._budget = sample, self._budget - size
        return sample


def to_sample(
    case: str,
    image: Image,
    labels: LabelMap,
    resize: tuple[int, ...] | None,
    left_out: BoolArray | None = None,
) -> Sample:
    """A case on the training grid; a pixel is valid where nothing ignored or left out reaches into it."""
    shape = resize or image.grid.shape
    pixels = normalise(resample(torch.from_numpy(image.array).float(), shape))
    masks = resample(torch.from_numpy(labels.masks().astype(np.float32)), shape)
    unsaid = labels.ignored() if left_out is None else labels.ignored() | left_out
    valid = (resample(torch.from_numpy(~unsaid).float()[None], shape) > _WHOLE).float()
    spacing = tuple(s * n / m for s, n, m in zip(image.grid.spacing_mm, image.grid.shape, shape, strict=True))
    pixels, masks, valid = (pad_to_multiple(t, PAD_MULTIPLE) for t in (pixels, masks, valid))
    return Sample(case, pixels, masks, valid[0].bool(), spacing)


def crop(sample: Sample, size: tuple[int, ...], rng: np.random.Generator) -> Sample:
    """A random patch, two times in three around a random foreground voxel: small structures are seen too."""
    missing = [max(0, want - have) for want, have in zip(size, sample.valid.shape, strict=True)]
    image, masks, valid = sample.image, sample.masks, sample.valid
    if any(missing):  # padding by nothing would copy the whole case
        pads = [n for m in reversed(missing) for n in (0, m)]
        image, masks, valid = (F.pad(t, pads) for t in (image, masks, valid))
    room = np.array(valid.shape, int) - np.array(size, int)
    start: NDArray[Any] = rng.integers(0, room + 1)
    if rng.random() < 2 / 3 and len(sample.present):
        mask = masks[int(sample.present[rng.integers(len(sample.present))])]
        voxels = (mask > 0.5).nonzero()
        centre = voxels[int(rng.integers(len(voxels)))].numpy()
        start = np.clip(centre - np.array(size) // 2, 0, room)
    window = tuple(slice(int(a), int(a) + n) for a, n in zip(start, size, strict=True))
    return Sample(
        sample.case,
        image[(slice(None), *window)].clone(),
        masks[(slice(None), *window)].clone(),
        valid[window].clone(),
        sample.spacing_mm,
    )


def epoch_order(
    cases: Sequence[str], rng: np.random.Generator, batch_size: int, processes: int, steps: int | None
) -> list[list[str]]:
    """Shuffled batches of one epoch, all of full size, a multiple of the number of processes of them.

    The shuffled cases are repeated until `steps` batches per process are full; by default as few as hold
    every case.
    """
    wanted = steps or math.ceil(len(cases) / (batch_size * processes))
    order: list[str] = []
    while len(order) < wanted * batch_size * processes:
        order += [cases[i] for i in rng.permutation(len(cases))]
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(wanted * processes)]


def batches(
    dataset: CaseDataset,
    order: Sequence[Sequence[str]],
    *,
    seeds: Sequence[int],
    epoch: int,
    overlapping: bool,
    augment: AugmentConfig | None,
    device: torch.device,
    workers: int = 0,
) -> Iterator[Batch]:
    """Batches of an epoch on the device, augmented; `seeds` has one number a batch."""
    keys = [
        [(case, seed + i) for i, case in enumerate(cases)] for cases, seed in zip(order, seeds, strict=True)
    ]
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=keys, collate_fn=list, num_workers=workers, pin_memory=False
    )
    for samples, seed in zip(loader, seeds, strict=True):
        image = torch.stack([s.image for s in samples]).to(device, non_blocking=True)
        masks = torch.stack([s.masks for s in samples]).to(device)
        valid = torch.stack([s.valid for s in samples]).to(device)
        if augment is not None:
            rng = torch.Generator().manual_seed(seed)
            spacings = [s.spacing_mm for s in samples]
            image, masks, valid = augmented(image, masks, valid, augment, spacings, rng)
        target = masks if overlapping else exclusive_target(masks)
        cases, spacing_mm = tuple(s.case for s in samples), tuple(s.spacing_mm for s in samples)
        yield Batch(image, target, valid, cases, epoch, spacing_mm)


def augmented(
    image: Tensor,
    masks: Tensor,
    valid: Tensor,
    config: AugmentConfig,
    spacing_mm: Sequence[Sequence[float]],
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Random affine in the plane of the last two axes, mirror, contrast; pixels from outside are not valid.

    Args:
        image: `(b c *space)`.
        masks: `(b k *space)` floats.
        valid: `(b *space)` booleans.
        config: how much of each.
        spacing_mm: of each case on the training grid, so that rotations are rotations in mm.
        rng: source of all random numbers.
    """
    n, ndim = len(image), image.ndim - 2

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng) * 2 - 1

    high, wide = image.shape[-2:]
    theta = _affine(
        angle=uniform(n) * math.radians(config.rotate_deg),
        scale=1 + uniform(n) * config.scale,
        shift=uniform(n, ndim) * config.shift * 2,
        aspect=torch.tensor([(high * mm[-2]) / (wide * mm[-1]) for mm in spacing_mm]),
        mirror=[
            torch.where(uniform(n) > 0, -1.0, 1.0) if axis in config.flip_axes else torch.ones(n)
            for axis in range(ndim)
        ],
    )
    grid = F.affine_grid(theta, [n, 1, *image.shape[2:]], align_corners=False).to(image)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    masks = F.grid_sample(masks, grid, align_corners=False)
    valid = F.grid_sample(valid.float().unsqueeze(1), grid, align_corners=False).squeeze(1) > _WHOLE
    each = (n, *[1] * (ndim + 1))
    gain, offset = 1 + uniform(*each) * config.intensity, uniform(*each) * config.intensity
    return image * gain.to(image) + offset.to(image), masks, valid


def _affine(
    *, angle: Tensor, scale: Tensor, shift: Tensor, aspect: Tensor, mirror: Sequence[Tensor]
) -> Tensor:
    """`(b ndim ndim+1)` matrices from output to input coordinates, last axis first, as in affine_grid."""
    n, ndim = shift.shape
    theta = torch.zeros(n, ndim, ndim + 1)
    theta[:, range(ndim), range(ndim)] = scale[:, None]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta[:, 0, 0], theta[:, 0, 1] = cos, -sin * aspect
    theta[:, 1, 0], theta[:, 1, 1] = sin / aspect, cos
    theta[:, :, -1] = shift
    for axis, sign in enumerate(reversed(mirror)):
        theta[:, :, axis] *= sign[:, None]
    return theta


def exclusive_target(masks: Tensor) -> Tensor:
    """`(b *space)` integers from `(b k *space)` shares of exclusive classes: 0 background, j the j-th."""
    shares = torch.cat([1 - masks.sum(1, keepdim=True), masks], dim=1)
    return shares.max(1).indices  # what argmax gives, but several times as fast across channels
