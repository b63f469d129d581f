"""Write masks made from class maps, with their scores, the maps to show, and the manifest."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmend.geometry.resample import resample
from labelmend.io import (
    ManifestRow,
    append_row,
    checksum,
    read_image,
    write_bytes,
    write_json,
    write_manifest,
    write_new_labels,
)
from labelmend.runtime.progress import Progress, Tick
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.image_tags.class_maps import ClassMaps, MultiLayerCAM, class_maps
from labelmend.workflows.image_tags.data import TagData, brought, example_rows
from labelmend.workflows.image_tags.growing import grow, random_walk
from labelmend.workflows.image_tags.output_folder import (
    MANIFEST,
    METHOD,
    NAMES,
    heat_file,
    label_file,
    scores_file,
)
from labelmend.workflows.image_tags.seeds import IGNORE, gated, seeds

MOST_SHOWN = 12
"""Cases shown in the report."""

LONGEST_REFINED = 512
"""Most pixels; larger images are refined on a smaller grid, since a random walk costs time per pixel."""


def write_tag_masks(
    folder: Path,
    model: MultiLayerCAM,
    material: TagData,
    *,
    settings: Mapping[str, Any],
    device: torch.device,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Write masks, scores, maps to show, and the manifest.

    Args:
        folder: the emptied output folder.
        model: the trained network.
        material: images and tags.
        settings: settings of the run.
        device: device of the model.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Returns:
        For each case, its files, its tags, and the fractions of its pixels.
    """
    table = material.table
    values = {name: j for j, name in enumerate(table.classes, start=1)}
    write_manifest(folder / MANIFEST, [])
    write_json(folder / NAMES, {"labels": {"background": 0, **values, "ignore": IGNORE}})
    examples = set(example_rows(table.tags, MOST_SHOWN, np.random.default_rng(settings["seed"])).tolist())
    found = []
    for row, fused, layers in _maps(model, material, settings, device):
        case, path, tags = table.cases[row], material.files[table.cases[row]], table.tags[row]
        scores = gated(resample(material.stored(row, fused), material.native[row]).numpy(), tags)
        labels = seed_mask(scores, tags, path, settings)
        write_new_labels(folder / label_file(path), labels, path)
        _write_arrays(folder / scores_file(case), scores=scores.astype(np.float16))
        if row in examples:
            pixels = brought(read_image(path), material.orientation).array
            seen = resample(torch.from_numpy(pixels), material.images.shape).numpy()
            each = np.stack([_levels(maps) for maps in layers.values()])
            _write_arrays(folder / heat_file(case), image=seen, fused=_levels(fused), layers=each)
        append_row(folder / MANIFEST, _manifest_row(folder, case, path, table.of(case), settings))
        counts = np.bincount(labels.ravel(), minlength=256) / labels.size
        found.append(
            {
                "case": case,
                "image": str(path.resolve()),
                "labels": label_file(path),
                "heat": heat_file(case) if row in examples else None,
                "tags": list(table.of(case)),
                "background": counts[0],
                "unsure": counts[IGNORE],
                "classes": {name: counts[j] for name, j in values.items()},
            }
        )
        progress(Tick("writing masks", row + 1, len(material.images), case))
    return found


def _maps(
    model: MultiLayerCAM, material: TagData, settings: Mapping[str, Any], device: torch.device
) -> Iterator[tuple[int, Tensor, dict[str, Tensor]]]:
    """For each row, the fused maps `(k h w)` on the training grid, and those of each layer."""
    rows, batch_size = np.arange(len(material.images)), settings["batch_size"]
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        tags = torch.from_numpy(material.table.tags[part]).to(device)
        maps: ClassMaps = class_maps(model, material.batch(part).to(device), tags, flip=settings["flips"])
        for i, row in enumerate(part.tolist()):
            yield row, maps.fused[i].cpu(), {name: each[i].cpu() for name, each in maps.per_layer.items()}


def seed_mask(
    scores: FloatArray, tags: BoolArray, path: Path, settings: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """Seeds from scores, refined on request.

    Args:
        scores: `(k h w)` gated, on the grid of the image.
        tags: `(k)` booleans.
        path: the image.
        settings: foreground, background, conflict and refine.

    Returns:
        `(h w)`: 0 background, 1..k classes, 255 unsure.
    """
    thresholds = {name: settings[name] for name in ("foreground", "background", "conflict")}
    if settings["refine"] == "none" or not tags.any():
        return seeds(scores, tags, **thresholds)
    native = scores.shape[1:]
    shrink = max(1.0, max(native) / LONGEST_REFINED)
    shape = [max(1, round(size / shrink)) for size in native]
    small = resample(torch.from_numpy(scores), shape).numpy()
    image = read_image(path)
    pixels = resample(torch.from_numpy(image.array), shape).numpy()
    spacing = [mm * n / size for mm, n, size in zip(image.grid.spacing_mm, native, shape, strict=True)]
    given = seeds(small, tags, **thresholds)
    walked, probs = random_walk(given, pixels, spacing_mm=spacing, n_classes=len(tags))
    made = walked if settings["refine"] == "random_walk" else grow(given, probs, tags)
    places = [((np.arange(size) + 0.5) * n / size).astype(int) for size, n in zip(native, shape, strict=True)]
    return made[np.ix_(*places)].astype(np.uint8)


def _manifest_row(
    folder: Path, case: str, path: Path, tags: Sequence[str], settings: Mapping[str, Any]
) -> ManifestRow:
    files = (label_file(path), scores_file(case))
    return ManifestRow(
        case=case,
        files=files,
        checksum=checksum(*(folder / file for file in files)),
        parent=str(path),
        parent_checksum=checksum(path),
        method=METHOD,
        parameters=dict(settings),
        version=0,
        seed=settings["seed"],
        reason=f"seeds of the tags {', '.join(tags)}" if tags else "no tag: background everywhere",
        extra={"tags": list(tags)},
    )


def _write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a .npz file of plain arrays atomically."""
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    write_bytes(path, data.getvalue())


def _levels(maps: Tensor) -> NDArray[np.uint8]:
    """Maps in [0, 1] as 0..255."""
    return (maps.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
