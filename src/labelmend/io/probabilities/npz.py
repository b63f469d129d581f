"""One array in a .npy or .npz file; its header is read first, and nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import DataError, UnreadableFileError
from labelmend.io.files.limits import check_declared
from labelmend.io.files.reading import reading_arrays
from labelmend.runtime.text import listed

NNUNET_KEYS = ("probabilities", "softmax")
"""Names under which nnU-Net saves probabilities: version 2, and version 1."""

ARRAY_SUFFIXES = (".npz", ".npy")

_KIND = "a NumPy array"
_MOST_HEADER = 65536


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file, not read yet.

    Args:
        path: the file.
        key: name of the array in a .npz, empty for a .npy.
        shape: its shape.
        dtype: its numeric dtype.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def from_nnunet(self) -> bool:
        """Whether the array has nnU-Net's name for probabilities."""
        return self.key in NNUNET_KEYS

    def read(self) -> NDArray[Any]:
        """The array; a .npy is memory-mapped read-only."""
        with reading_arrays(self.path, _KIND):
            if not self.key:
                return np.lib.format.open_memmap(self.path, mode="r")
            n_bytes = self.dtype.itemsize * math.prod(self.shape)
            check_declared(n_bytes, self.path, f"an array {self.shape} of {self.dtype}")
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as file:
                return np.lib.format.read_array(file, allow_pickle=False)


def open_array(path: str | Path) -> ArrayFile:
    """Find the array in a file: the only one of a .npz, or the one with nnU-Net's name.

    Args:
        path: .npy or .npz.

    Raises:
        MissingDataError, UnreadableFileError: no such file, damaged, or a .npz with a member path outside the
            archive.
        DataError: pickled objects, not numeric, or a .npz with several arrays.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        with reading_arrays(path, _KIND), open(path, "rb") as file:
            shape, dtype = header(file)
        return _checked(ArrayFile(path, "", shape, dtype))
    with reading_arrays(path, _KIND), zipfile.ZipFile(path) as archive:
        member = _chosen(path, archive.infolist())
        with archive.open(member) as file:
            shape, dtype = header(file)
            _check_size(member, dtype.itemsize * math.prod(shape))
    return _checked(ArrayFile(path, member.filename.removesuffix(".npy"), shape, dtype))


def header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a .npy file from its first bytes, or a ValueError."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of the format, which plain numbers do not need")
    length = file.read(2 if version == (1, 0) else 4)
    n_bytes = int.from_bytes(length, "little")
    if n_bytes > _MOST_HEADER:
        raise ValueError(f"a header of {n_bytes} bytes, which NumPy does not write")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(io.BytesIO(length + file.read(n_bytes)))
    if any(isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"the shape {shape}")
    return tuple(int(n) for n in shape), dtype


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file; its size is compared with its header before memory is allocated.

    Raises:
        UnreadableFileError: raised by `reading`.
    """
    with open(path, "rb") as file:
        shape, dtype = header(file)
        announced, held = dtype.itemsize * math.prod(shape), path.stat().st_size - file.tell()
        if announced > held and not dtype.hasobject:
            raise ValueError(f"the header declares {announced} bytes, the file holds {held}")
        check_declared(announced, path, f"an array {shape} of {dtype}")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def _checked(array: ArrayFile) -> ArrayFile:
    if array.dtype.hasobject:
        raise DataError(
            f"{array.path} holds Python objects (pickled data), which can run any code when loaded: save "
            "it again as a plain array of floats"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"{array.path} holds {array.dtype}: expected numbers")
    if math.prod(array.shape) == 0:
        raise DataError(f"{array.path} has shape {array.shape}, which is empty")
    return array


def _chosen(path: Path, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """The array to use, or an error; an archive with member paths outside itself is not read at all."""
    for member in members:
        windows, posix = PureWindowsPath(member.filename), PurePosixPath(member.filename)
        if windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts:
            raise UnreadableFileError(
                f"{path} holds a member {member.filename!r} that points outside the archive, which NumPy "
                "never writes: the file was not read, get it again from its source"
            )
    arrays = {m.filename.removesuffix(".npy"): m for m in members if m.filename.endswith(".npy")}
    key = next((key for key in NNUNET_KEYS if key in arrays), None)
    if key is None and len(arrays) == 1:
        (key,) = arrays
    if key is None:
        held = f"the arrays {listed(sorted(arrays))}" if arrays else "no array"
        raise DataError(f"{path} holds {held}: expected one array, or one named {NNUNET_KEYS[0]!r}")
    if arrays[key].flag_bits & 1:
        raise UnreadableFileError(f"{path} is encrypted: save it without a password")
    return arrays[key]


def _check_size(member: zipfile.ZipInfo, announced: int) -> None:
    """Raise an error before allocating memory for data that the file does not contain."""
    if member.file_size < announced:
        raise ValueError(f"the header declares {announced} bytes, the archive holds {member.file_size}")
