"""Packages that come with an extra: one sentence names what is missing, and the command that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labelmend.errors import MissingExtraError

EXTRAS = {
    "accelerate": ("Accelerate", "train"),
    "cleanlab": ("cleanlab", "cleanlab"),
    "monai": ("MONAI", "train"),
    "pandas": ("pandas", "tabular"),
    "pyarrow": ("pyarrow", "tabular"),
    "pycocotools": ("pycocotools", "coco"),
    "pynndescent": ("PyNNDescent", "tabular"),
    "ray": ("Ray", "ray"),
    "safetensors": ("safetensors", "train"),
    "skimage": ("scikit-image", "tags"),
    "sklearn": ("scikit-learn", "tabular"),
    "torch": ("PyTorch", "train"),
}
"""Import name -> how people write it, and the extra of labelmend that brings it."""


@contextmanager
def needed_by(what: str, *, instead: str = "") -> Iterator[None]:
    """Within, an import that fails for want of an extra raises a MissingExtraError.

    Args:
        what: who needs the package, as the subject of the sentence.
        instead: what to do without the package.

    >>> with needed_by("a fictitious job"):
    ...     raise ModuleNotFoundError("No module named 'torch'", name="torch")
    Traceback (most recent call last):
    labelmend.errors.MissingExtraError: a fictitious job needs PyTorch: pip install 'labelmend[train]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_extra(what, error, instead=instead)
        if missing is None:
            raise
        raise missing from error


def missing_extra(what: str, error: ModuleNotFoundError, *, instead: str = "") -> MissingExtraError | None:
    """The MissingExtraError that a failed import stands for; None if no extra brings the package.

    Args:
        what, instead: see `needed_by`.
        error: the failed import.
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    title, extra = EXTRAS[package]
    otherwise = f", or {instead}" if instead else ""
    return MissingExtraError(f"{what} needs {title}: pip install 'labelmend[{extra}]'{otherwise}")
