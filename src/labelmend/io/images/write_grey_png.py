"""Write grey pictures as PNG, for images that labelmend draws."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from labelmend.errors import GeometryError
from labelmend.io.files.atomic import write_bytes
from labelmend.types import FloatArray


def write_picture(path: str | Path, grey: FloatArray) -> None:
    """Write a picture as 8-bit grey PNG, atomically.

    Args:
        path: file to write, `.png`.
        grey: `(h w)` floats; 0 is black, 1 is white, values outside are clipped.

    Raises:
        GeometryError: not two-dimensional. OutputError: disk full, or not writable.
    """
    grey = np.asarray(grey)
    if grey.ndim != 2:
        raise GeometryError(f"{path}: expected a 2-D picture, got shape {grey.shape}")
    out = BytesIO()
    Image.fromarray((np.clip(grey, 0, 1) * 255).round().astype(np.uint8)).save(out, format="PNG")
    write_bytes(path, out.getvalue())
