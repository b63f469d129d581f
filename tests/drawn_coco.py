"""A COCO data set drawn by hand: three photos of a cat and a dog each, with probabilities; and its audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from drawing import disc, picture
from drawn_audit import case_row, finding, write_audit
from drawn_findings import arrays
from labelmend.geometry import signed_distance
from labelmend.io import open_coco
from labelmend.io.labels.coco_proposals import write_proposal
from labelmend.types import BoolArray

SHAPE = (64, 64)
CAT, DOG = 7, 3
"""Numbers of the categories; in the order of their numbers the dog comes first."""

CATS = {"a": ((20, 20), 11.0), "b": ((22, 19), 10.0), "c": ((19, 22), 12.0)}
DOGS = {"a": ((46, 46), 8.0), "b": ((44, 47), 9.0), "c": ((47, 44), 8.0)}
EXTRA = disc(SHAPE, (12, 52), 6)
"""What is annotated as a dog in photo c, where there is none."""

MISSED, GOOD, TOO_MUCH = "a", "b", "c"


def true_masks(case: str) -> BoolArray:
    """`(2 h w)`: dog and cat of a photo."""
    return np.stack([disc(SHAPE, *DOGS[case]), disc(SHAPE, *CATS[case])])


def runs(mask: BoolArray) -> dict[str, Any]:
    """Uncompressed run lengths, column by column, background first."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    starts = np.flatnonzero(np.diff(flat, append=~flat[-1]))
    return {"size": list(mask.shape), "counts": np.diff(starts, prepend=0).tolist()}


def coco_set(root: Path) -> Path:
    """instances.json, images/val/, and probabilities/ of three photos.

    In a the dog is not annotated, b is well done, in c there is a dog too many. Cats are annotations 1, 2, 3;
    dogs are 12, 13 and, too many, 14; 15 is a crowd in a, and 16 a box without a mask. Numbers of images are
    those of the cats times ten.
    """
    drawn = []

    def add(number: int, case: str, category: int, mask: BoolArray, **more: Any) -> None:
        about = {"id": number, "image_id": 10 * (1 + "abc".index(case)), "category_id": category}
        drawn.append(about | {"segmentation": runs(mask), "iscrowd": 0, "by": "Ada"} | more)

    images = []
    for number, case in enumerate("abc", start=1):
        dog, cat = true_masks(case)
        name = f"val/{case}.png"
        images.append({"id": 10 * number, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]})
        add(number, case, CAT, cat)
        if case != MISSED:
            add(10 + number, case, DOG, dog)
        noise = np.random.default_rng(number).integers(0, 8, SHAPE)
        picture(root / "images" / name, 30 + 90 * cat + 170 * (dog & ~cat) + noise)
        logits = np.stack([-signed_distance(mask) for mask in (dog, cat)]).clip(-8, 8)
        arrays(root / "probabilities" / f"{case}.npz", probs=(1 / (1 + np.exp(-logits))).astype(np.float16))
    add(14, TOO_MUCH, DOG, EXTRA)
    add(15, MISSED, CAT, disc(SHAPE, (58, 6), 4), iscrowd=1)
    add(16, MISSED, CAT, dog, segmentation=[], bbox=[0, 0, 9, 9])
    content = {
        "info": {"description": "naïve"},
        "images": images,
        "annotations": drawn,
        "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
    }
    (root / "instances.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return root


WIDER = disc(SHAPE, CATS[MISSED][0], 13.0)
"""The cat of photo a as it is proposed, two pixels further out than it is annotated."""


def coco_audit(root: Path) -> Path:
    """The audit of `coco_set` as `labelmend audit` leaves it, but for the cat that is proposed wider in a.

    Proposed is: in a the dog and the wider cat, in b nothing, in c one dog less.
    """
    labels, out = coco_set(root / "data") / "instances.json", root / "audit"
    given = open_coco(labels)
    better = {MISSED: np.stack([true_masks(MISSED)[0], WIDER]), TOO_MUCH: true_masks(TOO_MUCH)}
    cases, found = [], []
    for rank, case in enumerate("abc", start=1):
        more: dict[str, Any] = {"image": f"val/{case}.png", "checksum": given.checksum(case)}
        if case in better:
            masks = given.read(case).with_masks(better[case])
            path = write_proposal(out / "proposals", given, case, masks)
            more["proposal"] = [path.relative_to(out).as_posix()]
            found.append(finding(case, 1, "missing", "dog", "a dog seems to be missing"))
        cases.append(case_row(case, rank, **more))
    facts = {"layout": "coco", "classes": ["dog", "cat"], "values": None, "overlapping": True}
    return write_audit(out, labels, cases, found, **facts)
