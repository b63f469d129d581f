"""The assumptions behind masks from tags, and warnings about them, as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelmend.runtime.text import listed

MOST_ON_BACKGROUND = 1 / 3
"""A class is doubtful from this share of evidence on background: images without it then show half as much of
the class as images with it."""

LEAST_AUC = 0.75
"""Lowest acceptable AUC of a class."""

MOST_MARKED = 0.5
"""Fraction of its images' pixels above which a class may be recognised by background."""

MOST_WITHOUT_SEED = 0.2
"""Largest acceptable fraction of its tagged images in which a class gets no pixel."""

FEW = 5
"""Fewest held-out images of either kind needed to judge a class."""

ASSUMED = (
    "Tags are correct and complete: an image without a tag does not contain that class, and an image "
    "without any tag is all background.",
    "An image with a tag contains the class. The region that looks most like the class is assigned to it, "
    "however weak the evidence: maps are normalised by their maximum in each image.",
    "Anything that appears with a class on most images and rarely without it is indistinguishable from it.",
    "Each pixel belongs to at most one class.",
)


def assumed(settings: Mapping[str, Any], shape: Sequence[int], n_held_out: int) -> tuple[str, ...]:
    """The assumptions behind the masks.

    Args:
        settings: settings of the run.
        shape: training grid `(h w)`.
        n_held_out: number of images used to evaluate the classifier.
    """
    h, w = shape
    found = list(ASSUMED)
    if settings["resize"] is not None:
        found.append(
            f"{h} x {w} pixels, to which every image was resized for the network, keep all relevant detail. "
            "Masks are on the grid of each image."
        )
    if settings["measure"] == "set":
        found.append("Grey values have the same meaning in all images.")
    if settings["flips"]:
        found.append("A mirrored image shows the same classes.")
    if n_held_out:
        found.append(
            "Images are independent: the held-out set was drawn by image. If several images come from one "
            "patient, the held-out numbers are too optimistic."
        )
    return tuple(found)


def tag_doubts(
    classes: Sequence[Mapping[str, Any]],
    *,
    everywhere: Sequence[str],
    inseparable: Sequence[tuple[str, str]],
    n_held_out: int,
) -> tuple[str, ...]:
    """Reasons why the masks may be wrong, most serious first.

    Args:
        classes: statistics of each class, as in summary.json.
        everywhere: classes tagged on every image.
        inseparable: pairs of classes with the same tags.
        n_held_out: images that the classifier was judged on.
    """
    found = [
        f"No pixel of any image is {c['name']}: its maps never reached the threshold. Training on these "
        "masks would fail or never learn it. Lower the thresholds, train longer, or leave the class out."
        for c in classes
        if c["n_without_seed"] == c["n_tagged"]
    ]
    found += [
        f"Evidence on background: {100 * c['on_background']:.0f} % of the evidence for {c['name']} falls on "
        "held-out images without it (both kinds weighted equally; 50 % is chance). Check some of its masks "
        "before you trust them."
        for c in classes
        if c["on_background"] is not None and c["on_background"] >= MOST_ON_BACKGROUND
    ]
    found += [
        f"The network barely predicts which images show {c['name']}: its held-out AUC is "
        f"{100 * c['auc']:.0f} % (50 % is chance). It may be looking at something other than the class. More "
        "epochs or more images may help."
        for c in classes
        if c["auc"] is not None and c["auc"] < LEAST_AUC
    ]
    found += [
        f"On images with {c['name']}, {100 * c['seeded']:.0f} % of the pixels are assigned to it. Unless it "
        "really is that large, the network recognises it by its surroundings. Raise the foreground "
        "threshold; if grey values were scaled per image (measure), scale them over the set."
        for c in classes
        if c["seeded"] >= MOST_MARKED
    ]
    found += [
        f"{c['n_without_seed']} of {c['n_tagged']} images with {c['name']} have no pixel of it."
        for c in classes
        if MOST_WITHOUT_SEED * c["n_tagged"] < c["n_without_seed"] < c["n_tagged"]
    ]
    found += [
        f"{name} is on every image, so it cannot be distinguished from background, and its masks may be "
        "anywhere. Add images without it, or leave it out."
        for name in everywhere
    ]
    found += [
        f"{one} and {other} have the same tags on every image: they cannot be distinguished."
        for one, other in inseparable
    ]
    few = [c["name"] for c in classes if c["auc"] is None and c["name"] not in everywhere]
    if n_held_out == 0:
        found.append("No image was held out, so it is unknown how well the network predicts the classes.")
    elif few:
        found.append(
            f"Too few held-out images with or without {listed(few)} to judge the network's predictions."
        )
    return tuple(found)
