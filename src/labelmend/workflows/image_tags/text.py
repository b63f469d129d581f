"""What a run of `seed` takes for granted, and what makes its masks doubtful, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelmend.runtime.text import listed

MOST_ON_BACKGROUND = 1 / 3
"""Evidence on background from which on a class is doubtful: images without it then show half as much of the
class as images with it."""

LEAST_AUC = 0.75
"""How well a classifier must tell images with a class from those without."""

MOST_MARKED = 0.5
"""Share of the pixels of its images from which on a class may be told by the background."""

MOST_WITHOUT_SEED = 0.2
"""Share of its tagged images that a class may miss."""

FEW = 5
"""Held-out images of either kind below which nothing can be said about a class."""

ASSUMED = (
    "Tags are right and complete: an image without a tag shows nothing of that class, and an image without "
    "any tag is background everywhere.",
    "An image with a tag shows the class somewhere. Where it looks most like the class it is taken for it, "
    "however weak the evidence: maps are measured against their own maximum in each image.",
    "Whatever comes with a class on most images, and seldom without it, cannot be told from the class.",
    "A pixel belongs to one class at most.",
)


def assumed(settings: Mapping[str, Any], shape: Sequence[int], n_held_out: int) -> tuple[str, ...]:
    """What the masks rest on.

    Args:
        settings: of the run.
        shape: training grid `(h w)`.
        n_held_out: images that the classifier was judged on.
    """
    h, w = shape
    found = list(ASSUMED)
    if settings["resize"] is not None:
        found.append(
            f"Nothing that matters is lost at {h} x {w} pixels, to which every image was stretched for the "
            "network. Masks lie on the grid of each image."
        )
    if settings["measure"] == "set":
        found.append("Equal grey values mean the same in all images.")
    if settings["flips"]:
        found.append("A mirror image shows the same classes.")
    if n_held_out:
        found.append(
            "Images are independent: those held out were drawn by image. If several images come from one "
            "patient, the numbers on held-out images are too good."
        )
    return tuple(found)


def tag_doubts(
    classes: Sequence[Mapping[str, Any]],
    *,
    everywhere: Sequence[str],
    inseparable: Sequence[tuple[str, str]],
    n_held_out: int,
) -> tuple[str, ...]:
    """Why the masks may be wrong, the gravest first.

    Args:
        classes: what was measured of each, as in summary.json.
        everywhere: classes on every image.
        inseparable: pairs of classes with the same tags.
        n_held_out: images that the classifier was judged on.
    """
    found = [
        f"No pixel of any image was marked as {c['name']}: its maps never reached the threshold. Training on "
        "these masks would fail or never learn it. Lower the thresholds, train for more epochs, or leave "
        "the class out."
        for c in classes
        if c["n_without_seed"] == c["n_tagged"]
    ]
    found += [
        f"Evidence on background: of what speaks for {c['name']}, {100 * c['on_background']:.0f} % lies on "
        "held-out images that do not show it, counted as if both kinds were equally many (50 % would be no "
        "better than chance). Do not trust its masks before looking at some."
        for c in classes
        if c["on_background"] is not None and c["on_background"] >= MOST_ON_BACKGROUND
    ]
    found += [
        f"The network hardly knows which images show {c['name']}: a held-out image with it ranks before one "
        f"without it in {100 * c['auc']:.0f} % of all pairs (50 % is chance). What it looks at need not be "
        "the class. More epochs or more images may help."
        for c in classes
        if c["auc"] is not None and c["auc"] < LEAST_AUC
    ]
    found += [
        f"On images with {c['name']}, {100 * c['seeded']:.0f} % of the pixels are marked as it. Unless it is "
        "that large, the network tells it by what lies around it. Raise the foreground threshold; if grey "
        "values were scaled by image (measure), scale them by set."
        for c in classes
        if c["seeded"] >= MOST_MARKED
    ]
    found += [
        f"{c['n_without_seed']} of {c['n_tagged']} images with {c['name']} have no pixel marked as it."
        for c in classes
        if MOST_WITHOUT_SEED * c["n_tagged"] < c["n_without_seed"] < c["n_tagged"]
    ]
    found += [
        f"{name} is on every image: nothing tells it from what else all images show, and its masks may be "
        "anywhere. Add images without it, or leave it out."
        for name in everywhere
    ]
    found += [
        f"{one} and {other} have the same tags on every image: they cannot be told apart."
        for one, other in inseparable
    ]
    few = [c["name"] for c in classes if c["auc"] is None and c["name"] not in everywhere]
    if n_held_out == 0:
        found.append("No image was held out, so nothing says how well the network knows the classes.")
    elif few:
        found.append(
            f"Too few held-out images show {listed(few)}, or show none of it, to say how well the network "
            "knows it."
        )
    return tuple(found)
