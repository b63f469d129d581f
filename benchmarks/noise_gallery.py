"""The pictures of `docs/gallery.md`: each kind of noise on real anatomy, at three severities.

    pip download nilearn --no-deps
    python benchmarks/noise_gallery.py --nilearn nilearn-0.14.1-py3-none-any.whl

The anatomy is the MNI ICBM152 2009a template (T1, and its grey and white matter maps) as the nilearn package
carries it; nothing is fetched. `--nilearn` takes the wheel, or a folder in which nilearn lies. Pictures hold
the notice of the template. Whatever is drawn comes from fixed seeds: two runs write the same bytes.

Each picture shows a typical draw: of SEEDS seeds, that whose Dice is nearest to the mean at all three
severities, among those where each severity goes further than the one before. The means are printed.
"""

from __future__ import annotations

import argparse
import gzip
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import binary_opening, label

from labelmend.geometry import outlines
from labelmend.html.figures import CLEAN, GIVEN, GROUND, QUIET, TEXT
from labelmend.metrics import dice
from labelmend.noise import NOISES, PRESETS, SEVERITIES, Noise, case_generator, draw_raters, make_noise
from labelmend.types import BoolArray, FloatArray, Grid, LabelMap

TARGET = Path(__file__).parents[1] / "docs" / "images"
SEEDS = 40
WIDE, HIGH, GAP = 280, 288, 8
FINE = 4
"""Lines are drawn so many times as large and then reduced: soft edges over crisp pixels."""
LOST, WRONG = "#46a6ff", "#e8112d"
HUES = ("#46a6ff", "#ff9f40", "#8df59a", "#f07ad8")
NOTICE = (
    "Anatomy: MNI ICBM152 2009a nonlinear symmetric template, cut, enlarged and drawn over. "
    "Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, "
    "McGill University. Permission to use, copy, modify, and distribute this software and its documentation "
    "for any purpose and without fee is hereby granted, provided that the above copyright notice appear in "
    "all copies. The authors and McGill University make no representations about the suitability of this "
    'software for any purpose. It is provided "as is" without express or implied warranty. The authors are '
    "not responsible for any data loss, equipment damage, property loss, or injury to subjects or patients "
    "resulting from the use or misuse of this software package."
)

SENTENCES = {
    "markov": "Outlines wander outward or inward step by step; as set, mostly outward.",
    "morphology": "Outlines too wide or too tight, by the same distance all around.",
    "affine": "Whole structures shifted, turned, and drawn too large or too small.",
    "deformation": "A hand that slips: outlines displaced smoothly, neighbours together.",
    "polygon": "Outlines clicked with few vertices, each click a little off.",
    "segthor": "Every structure too small or too large, in proportion to its size.",
    "confusion": "Some objects are given to another class; their outlines stay.",
    "missing": "Some objects are overlooked.",
    "spurious": "Objects that are not there: small copies of true ones, elsewhere.",
    "missing_slices": "Slices without annotation, and ends of structures at the wrong slice.",
    "slice_steps": "Only every few slices drawn, then copied to those between, each a little off.",
    "compose": "Several kinds of error in one mask, one after the other.",
    "one_of": "One kind of error a case, chosen by chance: three cases.",
}
OBJECTS, SLICES = ("confusion", "missing", "spurious"), ("missing_slices", "slice_steps")
PARTS = ["affine", "polygon", "deformation"]
SETTINGS: dict[str, dict[str, object]] = {
    "compose": {
        "parts": [{"name": "deformation", "sd_mm": 2.0}, {"name": "polygon", "vertices": 20}, "spurious"],
        "probability": [1.0, 1.0, 0.5],
    },
    "one_of": {"parts": PARTS},
}


@dataclass(frozen=True)
class Scene:
    """Clean labels, and how they are looked at.

    Args:
        picture: `(h w)` grey values.
        labels: the clean labels.
        cell: screen pixels of one pixel, (down, across).
        cut: index of the coronal plane that is shown of a volume `(z y x)`, or None.
    """

    picture: NDArray[np.uint8]
    labels: LabelMap
    cell: tuple[int, int]
    cut: int | None = None

    def view(self, labels: LabelMap) -> BoolArray:
        """The masks `(k h w)` in the plane that is shown."""
        masks = labels.masks()
        return masks if self.cut is None else masks[:, :, self.cut]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nilearn", type=Path, required=True, help="wheel of nilearn, or a folder with it")
    parser.add_argument("--out", type=Path, default=TARGET, help="folder of the pictures")
    arguments = parser.parse_args()
    scenes = read_scenes(arguments.nilearn)
    if missing := set(NOISES) ^ set(SENTENCES):
        raise SystemExit(
            f"kinds without a sentence, or sentences without a kind: {', '.join(sorted(missing))}"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    draws = {kind: three_draws(kind, scene_of(kind, scenes)) for kind in NOISES}
    pictures = {f"gallery_{kind}": kind_row(kind, scenes, draws[kind]) for kind in NOISES}
    pictures["gallery"] = overview(scenes, draws)
    pictures["gallery_presets"] = preset_row(scenes["organs"])
    pictures["gallery_raters"] = rater_picture(scenes["organs"])
    for name, picture in pictures.items():
        save(picture, arguments.out / f"{name}.png")


# Anatomy


def read_scenes(nilearn: Path) -> dict[str, Scene]:
    """The three scenes: organs of 35 to 110 pixels, small objects, and a volume of thick slices."""
    t1, grey, white = (read_volume(nilearn, kind) for kind in ("t1", "gm", "wm"))
    return {"organs": organs(t1), "objects": objects(t1, grey, white), "volume": volume(t1)}


def read_volume(nilearn: Path, kind: str) -> NDArray[np.uint8]:
    """A template volume `(x y z)`, 1 mm a pixel."""
    name = f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    if zipfile.is_zipfile(nilearn):
        with zipfile.ZipFile(nilearn) as wheel:
            found = [member for member in wheel.namelist() if member.endswith(name)]
            data = wheel.read(found[0]) if found else b""
    else:
        paths = sorted(nilearn.rglob(name))
        data = paths[0].read_bytes() if paths else b""
    if not data:
        raise SystemExit(f"{nilearn} holds no {name}: give the wheel of nilearn, or the folder where it lies")
    return np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).dataobj)


def axial(values: NDArray, z_mm: int) -> NDArray:
    """An axial plane as radiologists look at it: front up, the patient's left at the right."""
    return values[::-1, ::-1, z_mm + 72].T


def labelled(masks: Mapping[str, BoolArray], spacing_mm: tuple[float, ...]) -> LabelMap:
    array = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for value, mask in enumerate(masks.values(), start=1):
        array[mask] = value
    return LabelMap(array, Grid(array.shape, spacing_mm), tuple(masks))


def organs(t1: NDArray) -> Scene:
    """Below the base of the brain: temporal lobes and hindbrain, each an island in the stripped template."""
    picture = axial(t1, -45)[62:206, 28:168]
    islands, count = label(picture > 0)
    names = ("right temporal lobe", "left temporal lobe", "hindbrain")
    if count != len(names):
        raise SystemExit(f"the plane should show {len(names)} islands, but it shows {count}")
    masks = {name: islands == number for number, name in enumerate(names, start=1)}
    return Scene(picture, labelled(masks, (1.0, 1.0)), (2, 2))


def objects(t1: NDArray, grey: NDArray, white: NDArray) -> Scene:
    """At the level of the deep nuclei: ten objects of four classes, from the tissue maps."""
    picture, grey, white = (axial(values, 8) for values in (t1, grey / 255, white / 255))
    fluid = picture < 125
    thalamus = (white < 0.5) & ~fluid
    thalamus[:, 97:100] = False  # the two halves meet in the midline
    tissues = {
        "ventricle": (fluid, ((5, 14), (25, -46))),
        "caudate": (binary_opening((grey > 0.5) & ~fluid), ((14, 14),)),
        "putamen": (binary_opening((grey > 0.35) & ~fluid), ((27, 3),)),
        "thalamus": (binary_opening(thalamus, iterations=3), ((9, -18),)),
    }
    masks = {}
    for name, (tissue, places) in tissues.items():
        islands, _ = label(tissue)
        wanted = [islands[98 - y, 98 - side * x] for x, y in places for side in (1, -1)]
        if 0 in wanted:
            raise SystemExit(f"no {name} where it should be: is this another template?")
        masks[name] = np.isin(islands, wanted)[64:160, 52:145]
    return Scene(picture[64:160, 52:145], labelled(masks, (1.0, 1.0)), (3, 3))


def volume(t1: NDArray) -> Scene:
    """A block of both hemispheres, every fourth slice: 4 mm; seen in a coronal cut."""
    block = t1[::-1, 136:156, 14:158:4][28:168].T[::-1]
    brain = block > 0
    right = np.arange(block.shape[2]) < 70
    masks = {"right hemisphere": brain & right, "left hemisphere": brain & ~right}
    cut = 2
    return Scene(block[:, cut], labelled(masks, (4.0, 1.0, 1.0)), (8, 2), cut)


# Draws


def scene_of(kind: str, scenes: Mapping[str, Scene]) -> Scene:
    return scenes["volume" if kind in SLICES else "objects" if kind in OBJECTS else "organs"]


def drawn(noise: Noise, labels: LabelMap, seed: int, *by: str) -> LabelMap:
    return noise.apply(labels, noise.draw(case_generator(seed, "gallery", *by), labels))


def three_draws(kind: str, scene: Scene) -> list[LabelMap]:
    """Easy, medium and hard; of `one_of` the first case of each of three parts."""
    noise = make_noise({"name": kind, **SETTINGS.get(kind, {})})
    if kind == "one_of":
        params = [noise.draw(case_generator(seed, "gallery"), scene.labels) for seed in range(SEEDS)]
        first = {drawing["choice"]: drawing for drawing in reversed(params)}
        return [noise.apply(scene.labels, first[choice]) for choice in range(len(PARTS))]
    return typical([noise.styled(strength=s) for s in SEVERITIES.values()], scene.labels, kind)


def mean_dice(noisy: LabelMap, clean: LabelMap) -> float:
    """Mean over the classes."""
    return float(np.mean([dice(a, b) for a, b in zip(noisy.masks(), clean.masks(), strict=True)]))


def typical(noises: Sequence[Noise], labels: LabelMap, name: str, *, in_order: bool = True) -> list[LabelMap]:
    """A draw of each noise with one seed for all: that whose Dices are nearest to their means.

    Args:
        noises: the mildest first.
        labels: the clean ones.
        name: to print the means under.
        in_order: take only seeds where the first noise changes something and each has a lower Dice than
            the one before it.
    """
    scores = np.array(
        [[mean_dice(drawn(noise, labels, seed), labels) for noise in noises] for seed in range(SEEDS)]
    )
    far = np.abs(scores - scores.mean(axis=0)).sum(axis=1)
    graded = (np.diff(scores, axis=1, prepend=1) < 0).all(axis=1) | (not in_order)
    if not graded.any():
        raise SystemExit(
            f"{name}: at none of {SEEDS} seeds does each severity go further than the one before"
        )
    seed = int(np.where(graded, far, np.inf).argmin())
    means = ", ".join(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(scores.mean(axis=0), scores.std(axis=0)))
    print(f"{name}: mean Dice over {SEEDS} seeds {means}; seed {seed}")
    return [drawn(noise, labels, seed) for noise in noises]


# Pictures


def kind_row(kind: str, scenes: Mapping[str, Scene], noisy: Sequence[LabelMap]) -> Image.Image:
    """Clean, then the three draws."""
    names = PARTS if kind == "one_of" else list(SEVERITIES)
    sentence = SENTENCES[kind] + (" Coronal cut, slices of 4 mm." if kind in SLICES else "")
    return row(kind, sentence, scene_of(kind, scenes), names, noisy, by_class=kind == "confusion")


def preset_row(scene: Scene) -> Image.Image:
    """Three published settings on one structure: those of the heart."""
    names = ("J1", "J2", "J3")
    labels = labelled({"hindbrain": scene.labels.masks()[2]}, scene.labels.grid.spacing_mm)
    scene = Scene(scene.picture, labels, scene.cell)
    noisy = typical([PRESETS[name].per_class["heart"] for name in names], labels, "presets", in_order=False)
    sentence = (
        "Published settings of the heart in radiographs, here on the hindbrain: too large, too small, either."
    )
    return row("presets", sentence, scene, names, noisy)


def row(
    title: str,
    sentence: str,
    scene: Scene,
    names: Sequence[str],
    noisy: Sequence[LabelMap],
    *,
    by_class: bool = False,
) -> Image.Image:
    """A heading, the clean panel and the noisy ones with their Dice, and what the colours mean."""
    panels = [panel(scene, scene.labels, by_class), *(panel(scene, labels, by_class) for labels in noisy)]
    words = [
        "clean",
        *(f"{n}   Dice {mean_dice(labels, scene.labels):.2f}" for n, labels in zip(names, noisy)),
    ]
    head, foot = 66, 62
    sheet = Image.new("RGB", (len(panels) * (WIDE + GAP) + GAP, head + HIGH + foot), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (GAP, 8), title, 22, TEXT)
    write(pen, (GAP, 38), sentence, 17, QUIET)
    for i, (picture, caption) in enumerate(zip(panels, words, strict=True)):
        x = GAP + i * (WIDE + GAP)
        sheet.paste(picture, (x, head))
        write(pen, (x, head + HIGH + 5), caption, 17, TEXT if i else CLEAN)
    legend(pen, (GAP, head + HIGH + 36), scene.labels.classes if by_class else None)
    return sheet


def overview(scenes: Mapping[str, Scene], draws: Mapping[str, Sequence[LabelMap]]) -> Image.Image:
    """All kinds at medium severity."""
    kinds = [kind for kind in NOISES if kind != "one_of"]
    columns, below, head = 4, 50, 34
    rows = -(-len(kinds) // columns)
    size = (columns * (WIDE + GAP) + GAP, head + rows * (HIGH + below))
    sheet = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(sheet)
    legend(pen, (GAP, 8), None)
    for number, kind in enumerate(kinds):
        scene, (_, medium, _) = scene_of(kind, scenes), draws[kind]
        x, y = GAP + number % columns * (WIDE + GAP), head + number // columns * (HIGH + below)
        sheet.paste(panel(scene, medium, kind == "confusion"), (x, y))
        write(pen, (x, y + HIGH + 6), kind, 20, TEXT)
        score = f"Dice {mean_dice(medium, scene.labels):.2f}"
        write(pen, (x + WIDE - font(17).getlength(score), y + HIGH + 8), score, 17, QUIET)
    return sheet


def rater_picture(scene: Scene) -> Image.Image:
    """One case by four annotators, with their styles."""
    larger, people = Scene(scene.picture, scene.labels, (4, 4)), draw_raters(4)
    noisy = [drawn(rater.styled(make_noise("deformation")), scene.labels, 0, rater.name) for rater in people]
    lines = [(scene.view(labels), hue, 2.2, 0.0) for labels, hue in zip(noisy, HUES)]
    picture = enlarged(larger, np.zeros((*scene.picture.shape, 4)))
    picture = with_lines(picture, larger.cell, [*lines, (scene.view(scene.labels), "#ffffff", 1.6, 9.0)])
    side = 330
    sheet = Image.new("RGB", (picture.width + side, picture.height + 2 * GAP), GROUND)
    sheet.paste(picture, (GAP, GAP))
    pen, x = ImageDraw.Draw(sheet), picture.width + 3 * GAP
    write(pen, (x, 20), "four raters", 22, TEXT)
    text = "deformation noise, each in their own hand; white, dashed: clean"
    for i, line in enumerate(wrap(text, 36)):
        write(pen, (x, 56 + 24 * i), line, 17, QUIET)
    for i, (rater, hue, labels) in enumerate(zip(people, HUES, noisy)):
        y = 130 + 92 * i
        write(pen, (x, y), rater.name, 20, hue)
        write(pen, (x, y + 27), f"strength {rater.strength:.2f}   bias {rater.bias:+.2f}", 17, TEXT)
        write(pen, (x, y + 50), f"Dice {mean_dice(labels, scene.labels):.2f}", 17, TEXT)
    return sheet


def panel(scene: Scene, labels: LabelMap, by_class: bool) -> Image.Image:
    """The picture with noisy outline and tints and the clean outline dashed, or the clean one alone.

    Args:
        scene: the clean labels and how to look at them.
        labels: the ones to show.
        by_class: colours tell classes; otherwise what was added and left out.
    """
    clean, noisy = scene.view(scene.labels), scene.view(labels)
    tint = np.zeros((*scene.picture.shape, 4))
    if by_class:
        for mask, hue in zip(noisy, HUES, strict=True):
            tint[mask] = (*rgb(hue), 0.7)
        wrong = noisy & ~clean
        lines = [(noisy, "#101010", 1.2, 0.0), (wrong, WRONG, 3.4, 0.0)]
    elif labels is scene.labels:
        lines = [(clean, CLEAN, 2.2, 0.0)]
    else:
        tint[(noisy & ~clean).any(axis=0)] = (*rgb(GIVEN), 0.58)
        tint[(clean & ~noisy).any(axis=0)] = (*rgb(LOST), 0.5)
        lines = [(clean, "#ffffff", 1.4, 7.0), (noisy, GIVEN, 2.2, 0.0)]
    picture = with_lines(enlarged(scene, tint), scene.cell, lines)
    sheet = Image.new("RGB", (WIDE, HIGH))
    sheet.paste(picture, ((WIDE - picture.width) // 2, (HIGH - picture.height) // 2))
    return sheet


def enlarged(scene: Scene, tint: FloatArray) -> Image.Image:
    """The tinted picture with every pixel as large as its cell."""
    grey = np.repeat(scene.picture[..., None].astype(float), 3, axis=2)
    mixed = grey * (1 - tint[..., 3:]) + tint[..., :3] * tint[..., 3:]
    large = np.rint(mixed).astype(np.uint8).repeat(scene.cell[0], axis=0).repeat(scene.cell[1], axis=1)
    return Image.fromarray(large)


def with_lines(
    picture: Image.Image, cell: tuple[int, int], lines: Sequence[tuple[BoolArray, str, float, float]]
) -> Image.Image:
    """The picture with outlines of masks on it: (masks `(k h w)`, colour, width, length of dashes or 0)."""
    for masks, colour, width, dash in lines:
        cover = Image.new("L", (picture.width * FINE, picture.height * FINE))
        pen = ImageDraw.Draw(cover)
        for mask in masks:
            for corners in outlines(mask):
                ring = np.array([*corners, corners[0]]) * cell[::-1] * FINE
                stroke(pen, ring, round(width * FINE), dash * FINE)
        picture.paste(Image.new("RGB", picture.size, colour), mask=cover.reduce(FINE))
    return picture


def stroke(pen: ImageDraw.ImageDraw, ring: NDArray, width: int, dash: float) -> None:
    """A closed polygon, solid or in dashes."""
    if not dash:
        pen.line([tuple(point) for point in [*ring.tolist(), ring[1].tolist()]], 255, width, joint="curve")
        return
    gone = 0.0
    for start, end in pairwise(ring.astype(float)):
        length = float(np.abs(end - start).sum())
        marks = np.arange(np.floor(gone / dash), np.ceil((gone + length) / dash) + 1) * dash
        ends = np.clip(marks - gone, 0, length)
        for low, high, mark in zip(ends[:-1], ends[1:], marks):
            if round(mark / dash) % 2 == 0 and high > low:
                points = [tuple(start + (end - start) * at / length) for at in (low, high)]
                pen.line(points, 255, width)
        gone += length


def legend(pen: ImageDraw.ImageDraw, at: tuple[float, float], classes: Sequence[str] | None) -> None:
    """What the colours mean, on one line."""
    if classes is None:
        parts = [("clean outline, dashed", "#ffffff"), ("noisy outline, and what it adds", GIVEN)]
        parts.append(("what it leaves out", LOST))
    else:
        parts = [*zip(classes, HUES, strict=True), ("outlined: wrong class", WRONG)]
    x, y = at
    for text, colour in parts:
        pen.rectangle((x, y + 5, x + 12, y + 15), fill=colour)
        write(pen, (x + 19, y), text, 16, QUIET)
        x += 19 + font(16).getlength(text) + 26


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str) -> None:
    pen.text(at, text, fill=colour, font=font(size))


def rgb(colour: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(colour[1:]))  # type: ignore[return-value]


def save(picture: Image.Image, path: Path) -> None:
    """A PNG with the notice of the template in it."""
    notes = PngInfo()
    notes.add_text("Copyright", NOTICE)
    picture.save(path, optimize=True, pnginfo=notes)
    print(f"{path.name}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
