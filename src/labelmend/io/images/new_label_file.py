"""Create label files for images without labels: on the image's grid, in a lossless format."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import GeometryError, LabelValueError, OutputError
from labelmend.io.images.formats import case_id, read_bytes, read_image, suffix_of, write_checked
from labelmend.io.images.nifti import encode_new_labels
from labelmend.types import Grid


def new_label_name(image: str | Path) -> str:
    """File name for the labels of an image: the image's name if its format can store labels, else .png.

    >>> new_label_name("a/scan.nii.gz"), new_label_name("photo.jpg")
    ('scan.nii.gz', 'photo.png')
    """
    image = Path(image)
    keeps = suffix_of(image) in (".nii", ".nii.gz", ".png", ".tif", ".tiff")
    return image.name if keeps else f"{case_id(image)}.png"


def write_new_labels(path: str | Path, array: NDArray[Any], image: str | Path) -> None:
    """Write an integer map on the grid of an image, as unsigned 8-bit, or 16-bit if the values need it.

    Args:
        path: file to write; its suffix sets the format. NIfTI takes affine, codes and units from `image`.
        array: integers or booleans `(*space)`.
        image: the image file; never modified.

    Raises:
        OutputError: `path` is the image itself; disk full. GeometryError: the shape is not the image's.
        LabelValueError: values outside 0..65535.
    """
    path, image = Path(path), Path(image)
    if path.resolve() == image.resolve() or (path.exists() and image.exists() and path.samefile(image)):
        raise OutputError(
            f"{path} is the image itself, and originals are never overwritten: choose another folder"
        )
    array = _small(array, path)
    grid = read_image(image).grid
    if array.shape != grid.shape:
        raise GeometryError(
            f"{path}: labels of shape {array.shape} for the image {image} of shape {grid.shape}"
        )
    if suffix_of(path) not in (".nii", ".nii.gz"):
        write_pixels(path, array)
        return
    data = encode_new_labels(array, read_bytes(image))
    write_checked(path, _zipped(data) if suffix_of(path) == ".nii.gz" else data, array, grid)


def write_pixels(path: str | Path, array: NDArray[Any]) -> None:
    """Write integers that belong to no file yet, as unsigned 8-bit, or 16-bit where the values need it.

    Args:
        path: file to write: `.tif` for slices or volumes, anything else is written as PNG.
        array: integers or booleans `(*space)`.

    Raises:
        OutputError: disk full. GeometryError: a volume as PNG. LabelValueError: values outside 0..65535.
    """
    path = Path(path)
    array = _small(array, path)
    encode = _tiff if suffix_of(path) in (".tif", ".tiff") else _png
    write_checked(path, encode(array, path), array, Grid(array.shape, (1.0,) * array.ndim))


def _small(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """The same values in the smallest unsigned integers that hold them."""
    array = np.asarray(array)
    if array.min(initial=0) < 0 or array.max(initial=0) > 65535:
        raise LabelValueError(f"{path}: label values must lie in 0..65535, got {array.min()}..{array.max()}")
    return array.astype(np.uint8 if array.max(initial=0) < 256 else np.uint16)


def _png(array: NDArray[Any], path: Path) -> bytes:
    from PIL import Image

    if array.ndim != 2:
        raise GeometryError(f"{path}: PNG stores only 2-D labels, got shape {array.shape}")
    out = BytesIO()
    Image.fromarray(array).save(out, format="PNG")
    return out.getvalue()


def _tiff(array: NDArray[Any], path: Path) -> bytes:
    import tifffile

    out = BytesIO()
    tifffile.imwrite(out, array, photometric="minisblack", compression="zlib", metadata=None)
    return out.getvalue()


def _zipped(data: bytes) -> bytes:
    """Gzip without name and time stamp, so that equal labels give equal bytes."""
    out = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()
