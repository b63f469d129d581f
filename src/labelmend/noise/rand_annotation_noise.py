"""A noise as a random transform, called on the labels of a training pipeline in the style of MONAI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.noise.base import Noise, check_probability
from labelmend.noise.compose import make_noise
from labelmend.types import LabelMap


class RandAnnotationNoise:
    """Draws a noise on labels, with some probability at each call.

    Labels have channels in front, as in MONAI: `(1 *space)` is an integer map, of booleans a mask;
    `(k *space)` is one mask a class, of booleans or of 0 and 1. The dtype stays; a tensor comes back as one.

    Args:
        noise: the noise, or what `make_noise` takes.
        prob: probability in [0, 1] that a call draws noise.
        keys: names of the labels in dicts; all else in a dict comes back as it is.
        spacing_mm: per axis in space or one number, for noises measured in mm; None: they are in pixels.
        seed: random seed.

    >>> transform = RandAnnotationNoise("missing", keys=["label"], seed=0)
    >>> sorted(transform({"image": np.zeros((1, 4, 4)), "label": np.ones((1, 4, 4), np.uint8)}))
    ['image', 'label']
    """

    def __init__(
        self,
        noise: Noise | str | Mapping[str, Any],
        *,
        prob: float = 1.0,
        keys: Sequence[str] | str = (),
        spacing_mm: Sequence[float] | float | None = None,
        seed: int | None = None,
    ) -> None:
        check_probability("annotation", prob=prob)
        self.noise, self.prob, self.spacing_mm = make_noise(noise), prob, spacing_mm
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)
        self.rng = np.random.default_rng(seed)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandAnnotationNoise:
        """Begin anew, from a seed or from a number that a generator of NumPy gives; returns the transform."""
        self.rng = np.random.default_rng(seed if state is None else int(state.randint(2**31)))
        return self

    def __call__(self, data: Any) -> Any:
        """Labels, or a dict with labels under `keys`, with noise drawn or as they are; nothing is changed."""
        if self.rng.random() >= self.prob:
            return data
        if not isinstance(data, Mapping):
            return self._noisy(data)
        missing = [key for key in self.keys if key not in data]
        if missing or not self.keys:
            what = f"without {missing[0]!r}" if missing else "and no keys"
            raise ConfigError(
                f"annotation noise was given a dict {what}; the dict has {', '.join(map(str, data))}"
            )
        return {**data, **{key: self._noisy(data[key]) for key in self.keys}}

    def _noisy(self, labels: Any) -> Any:
        array = np.asarray(labels)
        noisy = self._drawn(array).astype(array.dtype)
        return labels.new_tensor(noisy) if hasattr(labels, "new_tensor") else noisy

    def _drawn(self, array: NDArray[Any]) -> NDArray[Any]:
        """Noisy labels `(c *space)`."""
        if array.ndim not in (3, 4) or not len(array):
            raise GeometryError(
                "annotation noise expects labels with channels in front, (c h w) or (c d h w), got "
                f"{array.shape}"
            )
        whole = array if array.dtype.kind in "biu" else array.astype(np.int64)
        if not np.array_equal(whole, array) or (len(array) > 1 and not ((whole == 0) | (whole == 1)).all()):
            raise LabelValueError(
                "annotation noise expects an integer map (1 *space), or masks of 0 and 1 (k *space): these "
                "labels hold other values"
            )
        if len(array) == 1:
            return self.noise(whole[0], spacing_mm=self.spacing_mm, rng=self.rng)[None]
        names = [str(channel) for channel in range(len(array))]
        masks = LabelMap.from_array(whole.astype(bool), classes=names, spacing_mm=self.spacing_mm)
        return self.noise.apply(masks, self.noise.draw(self.rng, masks)).array
