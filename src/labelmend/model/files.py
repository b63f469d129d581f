"""The files of a trained model: weights as safetensors, and a card that says what they expect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io import write_bytes, write_json
from labelmend.io.files.reading import read_bytes, read_object


def save_model(run: Path, network: nn.Module, description: Mapping[str, Any]) -> None:
    """RUN/model.safetensors with the weights and RUN/model.json with all that `predict` needs to know."""
    from safetensors.torch import save

    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
    write_bytes(run / "model.safetensors", save(weights))
    write_json(run / "model.json", description)


def read_model(run: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and description of a finished run."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(read_bytes(run / "model.safetensors")), read_object(run / "model.json")
    except (OSError, ValueError, DataError, SafetensorError) as error:
        raise UnreadableFileError(
            f"{run} holds no finished model ({error}): let `labelmend train` end first"
        ) from error
