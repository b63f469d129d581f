"""Resumable state of a run: one file, whole or absent, that loads without unpickling code."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmend.errors import UnreadableFileError
from labelmend.io import write_bytes


def save_checkpoint(path: Path, values: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and numpy arrays to one file."""
    buffer = io.BytesIO()
    torch.save(_pack(values), buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None where there is nothing yet."""
    if not path.exists():
        return None
    try:
        return _unpack(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnreadableFileError(
            f"{path} cannot be read ({reason}): delete the run folder and start again"
        ) from error


def _pack(value: Any) -> Any:
    """Numpy arrays as tensors under a marked key: weights-only loading knows tensors, not numpy.

    Equal texts become one object: a pickle tells which objects are the same, and a run that was taken up
    again would leave other bytes than one that was not.
    """
    if type(value) is str:
        return sys.intern(value)
    if isinstance(value, np.ndarray):
        return {"__numpy__": torch.from_numpy(np.array(value, order="C"))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {_pack(key): _pack(item) for key, item in value.items()}
    return [_pack(item) for item in value] if isinstance(value, list | tuple) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__numpy__"}:
            return value["__numpy__"].numpy()
        return {key: _unpack(item) for key, item in value.items()}
    return [_unpack(item) for item in value] if isinstance(value, list) else value
