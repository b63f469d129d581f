"""What every noise is: parameters drawn from a generator, then applied; and one generator a case."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import find_objects

from labelmend.errors import ConfigError
from labelmend.geometry import mask_box, signed_distance
from labelmend.runtime.randomness import case_generator
from labelmend.types import BoolArray, LabelMap, label_array

Params = Mapping[str, Any]

Box = tuple[slice, ...]

# Integers below this are exact in every JSON reader.
SEED_LIMIT = 2**53
# No length, angle or factor is larger: a million kilometres fit, and no sum or product of a few overflows.
LARGEST = 1e9


class Noise(ABC):
    """A noise is a frozen dataclass; its fields are its settings.

    All chance lies in `draw`: `apply` with the same labels and parameters gives the same result, today and
    from the manifest that kept the parameters.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Numbers of NumPy become plain ones, as JSON can hold them; then a kind of noise checks its own."""
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())

    def __call__(
        self,
        labels: ArrayLike,
        *,
        spacing_mm: Sequence[float] | float | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> NDArray[Any]:
        """Noisy labels from an array, drawn and applied at once.

        Args:
            labels: `(*space)` booleans, one mask; or integers, whose values but 0 are the classes.
            spacing_mm: per axis, or one number; None: lengths in mm count pixels.
            rng: generator or seed.

        Returns:
            A new array of the same shape and dtype.
        """
        array = label_array(labels)
        whole = array.astype(np.uint8) if array.dtype == bool else array
        names = {str(value): int(value) for value in np.unique(whole) if value}
        if not names:
            return array.copy()
        clean = LabelMap.from_array(whole, classes=names, spacing_mm=spacing_mm)
        drawn = self.draw(np.random.default_rng(rng), clean)
        return self.apply(clean, drawn).array.astype(array.dtype)

    @abstractmethod
    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of the noise of one case, as numbers, strings, lists and dicts that JSON can hold.

        Raises:
            ConfigError: this noise can do nothing with labels of this kind (one class, 2-D, and so on).
        """

    @abstractmethod
    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels in a new array; ignored pixels stay, and so do dtype, grid and class names."""

    @abstractmethod
    def styled(self, *, strength: float = 1.0, bias: float = 0.0) -> Self:
        """The same kind of error in another hand.

        Args:
            strength: how many times as large, or as frequent, the errors are; 0 or more.
            bias: how generous the hand is: the odds of outward to inward errors (of additions to omissions)
                are multiplied by exp(bias). Kinds of error without direction pay no heed to it.

        Raises:
            ConfigError: a strength or bias that is no number or out of range, or that makes a setting so.
        """


class MaskNoise(Noise):
    """A noise that treats the mask of each class by itself.

    For exclusive classes a pixel that several noisy classes claim goes to the one whose clean region is
    nearest; a pixel that none claims becomes background. What one class draws does not depend on the others.
    """

    @abstractmethod
    def draw_mask(
        self, rng: np.random.Generator, mask: BoolArray, spacing_mm: tuple[float, ...]
    ) -> dict[str, Any]:
        """Parameters of the noise of one mask, as JSON can hold them."""

    @abstractmethod
    def apply_mask(self, mask: BoolArray, params: Params, spacing_mm: tuple[float, ...]) -> BoolArray:
        """The noisy mask `(*space)`, a new array; a mask that cannot be drawn wrong (empty) comes back."""

    def draw(self, rng: np.random.Generator, labels: LabelMap) -> dict[str, Any]:
        """Parameters of each class, by name."""
        return draw_by_class(rng, labels, dict.fromkeys(labels.classes, self))

    def apply(self, labels: LabelMap, params: Params) -> LabelMap:
        """Noisy labels from drawn parameters."""
        return apply_by_class(labels, params, dict.fromkeys(labels.classes, self))


def draw_by_class(
    rng: np.random.Generator, labels: LabelMap, noises: Mapping[str, MaskNoise]
) -> dict[str, Any]:
    """Parameters of a noise a class; each class has a generator of its own, whatever the others are."""
    base = int(rng.integers(SEED_LIMIT))
    names = sorted({noise.name for noise in noises.values()})
    drawn = {}
    for name in labels.classes:
        noise, own = noises[name], case_generator(base, name)
        drawn[name] = noise.draw_mask(own, labels.mask(name), labels.grid.spacing_mm)
    return {"noise": "+".join(names), "classes": drawn}


def apply_by_class(labels: LabelMap, params: Params, noises: Mapping[str, MaskNoise]) -> LabelMap:
    """Labels after a noise a class, from what `draw_by_class` returned."""
    drawn, spacing_mm = params["classes"], labels.grid.spacing_mm
    check_drawn(labels, drawn)
    return merge(
        labels,
        (noises[name].apply_mask(labels.mask(name), drawn[name], spacing_mm) for name in labels.classes),
    )


def check_drawn(labels: LabelMap, drawn: Mapping[str, Any]) -> None:
    """A ConfigError unless every class has drawn parameters."""
    for name in labels.classes:
        if name not in drawn:
            raise ConfigError(f"the noise parameters hold no class {name!r}, only {', '.join(drawn)}")


def merge(labels: LabelMap, noisy: Iterable[BoolArray]) -> LabelMap:
    """Labels with noisy masks; for exclusive classes each pixel goes to one of the classes that claim it.

    Args:
        labels: the clean labels.
        noisy: per class `(*space)` booleans, one after the other; of exclusive classes only the box of
            each is kept. Where they overlap, the nearest clean region wins (signed distance in mm, negative
            inside; the first class on a tie, and where no class has a clean region).
    """
    if labels.overlapping:
        return labels.with_masks(np.stack(list(noisy)))
    claims: dict[str, tuple[Box, BoolArray]] = {}
    taken, contested = np.zeros(labels.grid.shape, bool), np.zeros(labels.grid.shape, bool)
    for name, mask in zip(labels.classes, noisy, strict=True):
        box = mask_box(mask)
        if box is not None:
            claims[name] = box, mask[box].copy()
            contested[box] |= taken[box] & mask[box]
            taken[box] |= mask[box]
    indices = np.zeros(labels.grid.shape, np.int32)
    for number, name in enumerate(labels.classes, start=1):
        if name in claims:
            box, mask = claims[name]
            indices[box][mask & ~contested[box]] = number
    if contested.any():
        _settle(labels, indices, contested, claims)
    return labels.with_indices(indices)


def _settle(
    labels: LabelMap,
    indices: NDArray[np.integer],
    contested: BoolArray,
    claims: Mapping[str, tuple[Box, BoolArray]],
) -> None:
    """Write the class that wins each contested pixel into `indices`."""
    nearest_mm = np.full(contested.shape, np.inf)
    for number, name in enumerate(labels.classes, start=1):
        if name not in claims:
            continue
        own, mask = claims[name]
        claimed, clean = np.zeros(contested.shape, bool), labels.mask(name)
        claimed[own] = mask & contested[own]
        if not claimed.any():
            continue
        # The nearest pixel of the other side lies in the box of the region or right beside it.
        box = box_around(clean | claimed, 0.0, labels.grid.spacing_mm)
        distance_mm = signed_distance(clean[box], labels.grid.spacing_mm)
        nearer = claimed[box] & ((distance_mm < nearest_mm[box]) | (indices[box] == 0))
        indices[box][nearer], nearest_mm[box][nearer] = number, distance_mm[nearer]


def box_around(mask: BoolArray, reach_mm: float, spacing_mm: Sequence[float]) -> Box:
    """The box of a mask and all that lies within reach of it, and a pixel more; it ends at the border.

    Args:
        mask: `(*space)` booleans, not empty.
        reach_mm: 0 or more.
        spacing_mm: per axis in mm.

    Returns:
        One slice an axis.

    >>> box_around(np.array([[False, True, False, False, False, False]]), 2.0, (1.0, 1.0))
    (slice(0, 1, None), slice(0, 5, None))
    """
    box = []
    for found, s, n in zip(find_objects(mask.view(np.uint8))[0], spacing_mm, mask.shape, strict=True):
        margin = min(math.ceil(reach_mm / s) + 1, n)
        box.append(slice(max(found.start - margin, 0), min(found.stop + margin, n)))
    return tuple(box)


def shift_odds(probability: float, bias: float) -> float:
    """A probability whose odds are multiplied by exp(bias); 0 and 1 stay.

    >>> round(shift_odds(0.5, 1.0), 3)
    0.731
    """
    if probability in (0, 1) or bias == 0:
        return probability
    against = min((1 - probability) / probability, 1e308)  # infinity times 0 is no number
    return 1 / (1 + against * limited_exp(-bias))


def limited_exp(value: float) -> float:
    """The exponential, of at most 700 so that it does not overflow."""
    return math.exp(min(value, 700.0))


def check_probability(noise: str, **values: object) -> None:
    """Raise a ConfigError for the first value outside [0, 1].

    >>> check_probability("missing", probability=1.5)
    Traceback (most recent call last):
    labelmend.errors.ConfigError: missing noise: probability must lie in [0, 1], got 1.5
    """
    for name, value in values.items():
        if not (is_number(value) and 0 <= value <= 1):
            raise ConfigError(f"{noise} noise: {name} must lie in [0, 1], got {quoted(value)}")


def check_size(noise: str, **values: object) -> None:
    """Raise a ConfigError for the first value that is negative, absurdly large or no number.

    >>> check_size("affine", shift_mm=-2)
    Traceback (most recent call last):
    labelmend.errors.ConfigError: affine noise: shift_mm must be a number from 0 up, got -2
    """
    for name, value in values.items():
        if not (is_number(value) and 0 <= value <= LARGEST):
            wanted = (
                f"at most {LARGEST:,.0f}" if is_number(value) and value > LARGEST else "a number from 0 up"
            )
            raise ConfigError(f"{noise} noise: {name} must be {wanted}, got {quoted(value)}")


def check_number(noise: str, **values: object) -> None:
    """Raise a ConfigError for the first value that is no number or absurdly far from 0.

    >>> check_number("affine", log_scale=float("nan"))
    Traceback (most recent call last):
    labelmend.errors.ConfigError: affine noise: log_scale must be a finite number, got nan
    """
    for name, value in values.items():
        if not (is_number(value) and abs(value) <= LARGEST):
            far = is_number(value) and math.isfinite(value)
            wanted = f"at most {LARGEST:,.0f} from 0" if far else "a finite number"
            raise ConfigError(f"{noise} noise: {name} must be {wanted}, got {quoted(value)}")


def check_whole(noise: str, least: int, most: int, /, **values: object) -> None:
    """Raise a ConfigError for the first value that is no whole number from `least` to `most`.

    >>> check_whole("polygon", 3, 10**6, vertices=2)
    Traceback (most recent call last):
    labelmend.errors.ConfigError: polygon noise: vertices must be a whole number from 3 to 1,000,000, got 2
    """
    for name, value in values.items():
        if not (is_whole(value) and least <= value <= most):
            raise ConfigError(
                f"{noise} noise: {name} must be a whole number from {least} to {most:,}, got {quoted(value)}"
            )


def check_flag(noise: str, **values: object) -> None:
    """Raise a ConfigError for the first value that is neither true nor false."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{noise} noise: {name} must be true or false, got {quoted(value)}")


def check_axis(noise: str, axis: object) -> None:
    """Raise a ConfigError for what is no array axis of a volume, nor None."""
    if axis is not None and not (is_whole(axis) and 0 <= axis <= 2):
        raise ConfigError(f"{noise} noise: axis must be 0, 1, 2 or None, got {quoted(axis)}")


def check_style(noise: str, *, strength: object, bias: object) -> None:
    """Raise a ConfigError for a style that `Noise.styled` cannot take."""
    check_size(noise, strength=strength)
    check_number(noise, bias=bias)


def is_number(value: object) -> TypeGuard[float]:
    """True for what counts as a number in settings; true and false do not."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """True for a whole number that is written as one; true, false and 2.0 are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def quoted(value: object) -> str:
    """How a refused value is quoted: text in quotes, numbers of NumPy like any other."""
    return repr(value.item() if isinstance(value, np.generic) else value)
