"""Pictures: a grey window for the report, and the before-and-after panels for a page that shows one case."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from labelmend.errors import GeometryError
from labelmend.geometry import outlines
from labelmend.metrics import dice
from labelmend.types import BoolArray, FloatArray

GIVEN, CORRECTED, CLEAN = "#ff9f40", "#35d6f2", "#8df59a"
GROUND, TEXT, QUIET = "#0c0f13", "#eef1f4", "#a7b0ba"
LOSSLESS_BYTES = 100_000
"""Pictures up to this size are kept as PNG; larger ones become JPEG, so that a report stays small."""
JPEG_QUALITY = 88


def grey(picture: FloatArray) -> NDArray[np.uint8]:
    """Grey values with the 1st percentile black and the 99th white; a constant picture becomes mid-grey.

    Args:
        picture: `(h w)` or `(c h w)` numbers; three channels (colour) are averaged, of others the
            first is taken.

    >>> grey(np.array([[0.0, 1.0]])).tolist()
    [[0, 255]]
    """
    picture = np.asarray(picture, float)
    if picture.ndim == 3:
        picture = picture.mean(axis=0) if len(picture) == 3 else picture[0]
    low, high = np.percentile(picture, (1, 99))
    if high <= low:
        low, high = picture.min(), picture.max()
    if high <= low:
        return np.full(picture.shape, 128, np.uint8)
    return np.rint(np.clip((picture - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture `(h w)` or `(h w 3)` as a data URI: PNG (lossless) when small, JPEG otherwise."""
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    kind = "png"
    if buffer.tell() > LOSSLESS_BYTES:
        buffer, kind = io.BytesIO(), "jpeg"
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def thumbnail(
    image: FloatArray | None,
    given: BoolArray,
    predicted: BoolArray,
    *,
    height_to_width: float = 1.0,
    side_px: int = 96,
) -> str:
    """A small picture as a data URI, with the outlines of given masks and, below them, of predicted ones.

    Args:
        image: `(h w)` numbers, or None for a dark ground.
        given: `(k h w)` booleans.
        predicted: `(k h w)` booleans.
        height_to_width: of the picture in mm.
        side_px: its longer side.
    """
    h, w = given.shape[1:]
    size = (side_px, max(1, round(side_px * height_to_width)))
    if height_to_width > 1:
        size = (max(1, round(side_px / height_to_width)), side_px)
    base = np.full((h, w), 24, np.uint8) if image is None else grey(image)
    fine = (2 * size[0], 2 * size[1])
    panel = Image.fromarray(base).resize(fine, Image.Resampling.BILINEAR).convert("RGB")
    pen = ImageDraw.Draw(panel)
    for masks, colour in ((predicted, CORRECTED), (given, GIVEN)):
        for mask in masks:
            for corners in outlines(mask):
                line = [(x * fine[0] / w, y * fine[1] / h) for x, y in [*corners, corners[0]]]
                pen.line(line, fill=colour, width=3)
    return data_uri(np.asarray(panel.resize(size, Image.Resampling.LANCZOS)))


def before_after(
    image: FloatArray,
    given: BoolArray,
    corrected: BoolArray,
    clean: BoolArray | None = None,
    *,
    classes: Sequence[str],
    scale: int = 3,
) -> Image.Image:
    """Panels given | corrected | clean side by side, outlined along pixel faces, each with its Dice below.

    Dice is to the clean masks where they are known, and between given and corrected otherwise. The clean
    outline is repeated, dotted in white, in the first two panels.

    Args:
        image: `(h w)` or `(c h w)` numbers.
        given: `(k h w)` booleans.
        corrected: `(k h w)` booleans.
        clean: `(k h w)` booleans, or None.
        classes: the k names.
        scale: screen pixels per image pixel.

    Raises:
        GeometryError: masks and image do not have the same height and width, or not one name per mask.
    """
    base = grey(image)
    for masks in (given, corrected, clean):
        if masks is not None and masks.shape != (len(classes), *base.shape):
            raise GeometryError(
                f"masks of shape {masks.shape} for {len(classes)} classes on an image of {base.shape}: "
                "before_after draws one slice, (k h w) masks on an (h w) image"
            )
    panels = [("given", given, GIVEN), ("corrected", corrected, CORRECTED)]
    if clean is not None:
        panels.append(("clean", clean, CLEAN))
    drawn = [
        _panel(base, masks, colour, None if masks is clean else clean, scale) for _, masks, colour in panels
    ]
    truth = corrected if clean is None else clean
    captions = [_captions(masks, truth, classes, clean is not None) for _, masks, _ in panels]
    return _side_by_side(drawn, [(name, colour) for name, _, colour in panels], captions)


def _panel(
    base: NDArray[np.uint8], masks: BoolArray, colour: str, clean: BoolArray | None, scale: int
) -> Image.Image:
    """One picture with its outlines, drawn twice as large and then halved, so that lines have soft edges."""
    fine = 2 * scale
    size = (base.shape[1] * fine, base.shape[0] * fine)
    panel = Image.fromarray(base).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(panel)
    for mask in masks:
        for corners in outlines(mask):
            line = [(x * fine, y * fine) for x, y in [*corners, corners[0], corners[1]]]
            pen.line(line, fill=colour, width=max(3, round(fine * 0.75)), joint="curve")
    for mask in () if clean is None else clean:
        for corners in outlines(mask):
            _dots(pen, [(x * fine, y * fine) for x, y in [*corners, corners[0]]], fine)
    return panel.resize((size[0] // 2, size[1] // 2), Image.Resampling.LANCZOS)


def _dots(pen: ImageDraw.ImageDraw, line: list[tuple[int, int]], fine: int) -> None:
    """A dot every three pixels along a closed polygon."""
    gap, radius, rest = 3.0 * fine, max(1.0, 0.36 * fine), 0.0
    for (x0, y0), (x1, y1) in pairwise(line):
        length = abs(x1 - x0) + abs(y1 - y0)
        at = rest
        while at < length:
            x, y = x0 + (x1 - x0) * at / length, y0 + (y1 - y0) * at / length
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="white")
            at += gap
        rest = at - length


def _captions(masks: BoolArray, truth: BoolArray, classes: Sequence[str], to_clean: bool) -> str:
    """Dice of each class to the truth, or what the panel of the truth itself is."""
    if masks is truth:
        return "dotted in the other pictures" if to_clean else ""
    scores = (f"{name} {dice(a, b):.2f}" for name, a, b in zip(classes, masks, truth, strict=True))
    return ("Dice  " if to_clean else "Dice to corrected  ") + "   ".join(scores).replace("nan", "–")


def _side_by_side(
    drawn: list[Image.Image], titles: list[tuple[str, str]], captions: list[str]
) -> Image.Image:
    width, height = drawn[0].size
    gap, big = max(8, width // 60), max(14, width // 19)
    small, foot = max(11, round(big * 0.8)), round(big * 3.2)
    sheet = Image.new("RGB", (len(drawn) * (width + gap) + gap, height + foot + gap), GROUND)
    pen = ImageDraw.Draw(sheet)
    for i, (panel, (title, colour), caption) in enumerate(zip(drawn, titles, captions, strict=True)):
        x = gap + i * (width + gap)
        sheet.paste(panel, (x, gap))
        pen.text((x, height + gap + big * 0.35), title, fill=colour, font=ImageFont.load_default(big))
        font = ImageFont.load_default(_fitting(caption, small, width))
        pen.text((x, height + gap + big * 1.8), caption, fill=TEXT, font=font)
    return sheet


def _fitting(text: str, size: int, width: int) -> int:
    """The largest font size up to `size` at which the text is no wider than `width`."""
    while size > 8 and ImageFont.load_default(size).getlength(text) > width:
        size -= 1
    return size
