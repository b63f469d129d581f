"""Measure how the fronts of Markov noise move, and check what `labelmend.theory` makes of it.

    python benchmarks/theory_markov.py measure --ndim 2   # rows into results/theory_markov.jsonl; goes on
    python benchmarks/theory_markov.py table              # rows -> src/labelmend/theory/markov_front.json
    python benchmarks/theory_markov.py check              # new masks against it: results/theory_markov.md
    python benchmarks/theory_markov.py figure             # docs/images/markov_front.png

The rows are measured on large discs and balls, which hold normals of every direction, once walking outward
and once inward, so that the effect of their curvature cancels.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from labelmend.geometry import boundary_bias
from labelmend.noise import markov_noise
from labelmend.noise.walk import (
    IN_INNER,
    IN_OUTER,
    INSIDE,
    OUTSIDE,
    WALL,
    _frontier_places,
    _gap_scale,
    _listed,
    _step,
)
from labelmend.theory import expected_bias_mm, front_drift_vox, front_level_vox, front_spread_vox

HERE = Path(__file__).parent
ROWS = HERE / "results" / "theory_markov.jsonl"
CHECK = HERE / "results" / "theory_markov.md"
TABLE = HERE.parent / "src" / "labelmend" / "theory" / "markov_front.json"
FIGURE = HERE.parent / "docs" / "images" / "markov_front.png"

# Radius of the shape, room around it, cases (three times as many near expand 0.5, where masks differ most; no
# more than 40 of a ball if flips are so rare that cases hardly differ).
SHAPES = {2: (250.0, 64, 400), 3: (40.0, 38, 100)}
TRAVELS = {
    2: (0.25, 0.5, 1, 1.5, 2, 3, 4.5, 6.5, 9, 13, 18, 24),
    3: (0.25, 0.5, 1, 1.5, 2, 3, 4.5, 6.5, 9),
}
EXPANDS = (0.5, 0.525, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0)
RARE_FLIP = 0.05
FLIPS = (0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.75, 1.0)
FIRST_GAIN = {2: 2 * 2**0.5 / np.pi, 3: 3 * 2**0.5 / np.pi * np.arctan(0.5**0.5)}  # mean of max |normal|

BIN = 0.25  # of the distance from the centre, in voxels
ANGLES = 8


class Ball:
    """A large disc or ball, ready to be walked many times; counts pixels by radius and direction."""

    def __init__(self, ndim: int, radius: float, reach: int) -> None:
        size = 2 * int(radius + reach) + 3
        # Off the centre of a pixel, so that radii are spread evenly.
        axes = [np.arange(size) - size // 2 - shift for shift in (0.31, 0.17, 0.08)[:ndim]]
        mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
        distance = np.sqrt(sum(x * x for x in mesh))
        fourth = sum(x**4 for x in mesh) / np.maximum(distance, 1) ** 4
        harmonic = 4 * fourth - 3 if ndim == 2 else (5 * fourth - 3) / 2  # 1 on axes, mean 0
        low = -1.0 if ndim == 2 else -2 / 3
        angle = np.clip(((harmonic - low) / (1 - low) * ANGLES).astype(int), 0, ANGLES - 1)
        self.n_radii = int((radius + reach) / BIN) + 1
        ring = np.minimum((distance / BIN).astype(int), self.n_radii - 1)
        bins = (ring * ANGLES + angle).astype(np.int32)
        mask = distance < radius
        self.inside = self._counts(bins[mask])
        self.pixels = np.maximum(self._counts(bins).sum(axis=1), 1)
        near = np.abs(distance - radius) < 5
        self.harmonic = np.bincount(angle[near], harmonic[near], ANGLES) / np.bincount(
            angle[near], minlength=ANGLES
        )
        self.harmonic_square = float((harmonic[near] ** 2).mean())
        self.x = (np.arange(self.n_radii) + 0.5) * BIN - radius
        walled = np.full([n + 2 for n in mask.shape], WALL)
        self.bins = np.zeros(walled.shape, np.int32)
        image = (slice(1, -1),) * ndim
        walled[image], self.bins[image] = OUTSIDE - mask.view(np.uint8), bins
        self.state, self.bins = walled.ravel(), self.bins.ravel()
        self.neighbours = tuple(int(o) for stride in walled.strides for o in (-stride, stride))
        self.places = _frontier_places(self.state, self.neighbours)
        self.lists = [np.empty(self.state.size + 1, np.int32) for _ in range(3)]

    def _counts(self, bins: np.ndarray) -> np.ndarray:
        return np.bincount(bins.ravel(), minlength=self.n_radii * ANGLES).reshape(self.n_radii, ANGLES)

    def walk(self, rng: np.random.Generator, expand: float, flip: float, stops: np.ndarray) -> dict[str, Any]:
        """One walk, looked at after some numbers of steps."""
        grows = rng.random(stops[-1]) < expand
        counts = np.zeros(self.n_radii * ANGLES, np.int64)
        seen = np.zeros((len(stops), counts.size), np.int64)
        _walk_and_count(
            self.state.copy(), self.neighbours, self.places, rng, grows, flip,
            *self.lists, self.bins, counts, stops, seen,
        )  # fmt: skip
        changed = seen.reshape(len(stops), self.n_radii, ANGLES)
        share = changed.sum(axis=2) / self.pixels  # of the pixels at a radius, by which the mask has grown
        drift = share.sum(axis=1) * BIN
        tilt = (changed @ self.harmonic / self.pixels).sum(axis=1) * BIN / self.harmonic_square
        second = 2 * (share * self.x).sum(axis=1) * BIN
        profile = share + self.inside.sum(axis=1) / self.pixels
        excess = np.diff(np.concatenate([[0], np.cumsum(grows)[stops - 1]])) - expand * np.diff(
            np.concatenate([[0], stops])
        )
        return {
            "drift": drift,
            "tilt": tilt,
            "width2": second - drift**2,
            "profile": profile,
            "excess": excess,
        }


@njit
def _walk_and_count(  # type: ignore[no-untyped-def]
    state, neighbours, places, rng, grows, flip, inner, outer, chosen, bins, counts, stops, seen
):
    """`labelmend.noise.walk`, with the directions of the steps given and every flip counted in its bin."""
    n_inner, n_outer = _listed(state, places, inner, outer)
    scale = _gap_scale(flip)
    stop = 0
    for t in range(len(grows)):
        if grows[t]:
            n_outer, n_inner, flips, _ = _step(
                state, neighbours, rng, scale, chosen, outer, n_outer, inner, n_inner,
                INSIDE, OUTSIDE, IN_OUTER, IN_INNER,
            )  # fmt: skip
        else:
            n_inner, n_outer, flips, _ = _step(
                state, neighbours, rng, scale, chosen, inner, n_inner, outer, n_outer,
                OUTSIDE, INSIDE, IN_INNER, IN_OUTER,
            )  # fmt: skip
        for i in range(flips):
            counts[bins[chosen[i]]] += 1 if grows[t] else -1
        if t + 1 == stops[stop]:
            seen[stop] = counts
            stop += 1


def measure(ndims: list[int]) -> None:
    """Every setting that is not among the rows yet."""
    done = {(r["ndim"], r["expand"], r["flip"]) for r in read_rows()}
    for ndim in ndims:
        radius, reach, cases = SHAPES[ndim]
        ball = Ball(ndim, radius, reach)
        for flip in FLIPS:
            for expand in EXPANDS:
                if (ndim, expand, flip) in done:
                    continue
                start = time.time()
                number = min(cases, 40) if ndim == 3 and flip < RARE_FLIP else cases
                row = measure_one(ball, ndim, expand, flip, number * (3 if expand < 0.65 else 1))
                with ROWS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    ndim,
                    expand,
                    flip,
                    f"{time.time() - start:.1f} s",
                    row["drift"][-1],
                    row["level"][-1],
                    flush=True,
                )


def measure_one(ball: Ball, ndim: int, expand: float, flip: float, cases: int) -> dict[str, Any]:
    """One setting: averages over cases that walk outward, and over as many that walk inward, mirrored."""
    stops = np.unique(np.maximum(1, np.round(np.array(TRAVELS[ndim]) / flip).astype(int)))
    sides = []
    for sign, e in ((1, expand), (-1, 1 - expand)):
        rng = np.random.default_rng([20230501, ndim, round(1e4 * e), round(1e4 * flip)])
        walks = [ball.walk(rng, e, flip, stops) for _ in range(cases)]
        side = {key: np.stack([walk[key] for walk in walks]) for key in walks[0]}
        side["drift"], side["tilt"], side["excess"] = (sign * side[k] for k in ("drift", "tilt", "excess"))
        if sign < 0:
            side["profile"] = 1 - mirrored(ball, side["profile"])
        sides.append(side)
    values = {
        key: [np.concatenate([side[key][part::5] for side in sides]) for part in range(5)] for key in sides[0]
    }
    whole = {key: np.concatenate(value) for key, value in values.items()}
    parts = [{key: values[key][part] for key in values} for part in range(5)]
    result = {"ndim": ndim, "expand": expand, "flip": flip, "cases": 2 * cases, "steps": stops.tolist()}
    names = (
        "drift",
        "drift_error",
        "tilt",
        "between",
        "within",
        "level",
        "level_error",
        "curvature",
    )
    columns: dict[str, list[float]] = {name: [] for name in names}
    for j in range(len(stops)):
        drift, slopes, error = controlled(whole, "drift", j)
        levels = [level(ball, part, j, slopes, even=flip < RARE_FLIP) for part in parts]
        outward, inward = (controlled(side, "drift", j)[0] for side in sides)
        between = np.sqrt(np.mean([side["drift"][:, j].var(ddof=1) for side in sides]))
        row = (
            drift,
            error,
            controlled(whole, "tilt", j)[0],
            between,
            np.sqrt(max(0.0, whole["width2"][:, j].mean())),
            level(ball, whole, j, slopes, even=flip < RARE_FLIP),
            np.std(levels, ddof=1) / 5**0.5,
            (outward - inward) / 2 * SHAPES[ndim][0] / (ndim - 1),
        )
        for name, value in zip(names, row, strict=True):
            columns[name].append(round(float(value), 5))
    return {**result, **columns}


def mirrored(ball: Ball, profiles: np.ndarray) -> np.ndarray:
    """Profiles read backward: the value at x becomes that at -x."""
    where = np.arange(ball.n_radii)
    zero = int(np.argmin(np.abs(ball.x - BIN / 2)))
    return profiles[..., np.clip(2 * zero - 1 - where, 0, ball.n_radii - 1)]


def controlled(values: dict[str, np.ndarray], name: str, j: int) -> tuple[float, np.ndarray, float]:
    """Mean of a quantity, its slopes on the surplus of expansion steps (whose mean is known), its error."""
    y = values[name][:, j]
    surplus = values["excess"][:, : j + 1]
    if surplus.std() == 0:
        return float(y.mean()), np.zeros(j + 1), float(y.std(ddof=1) / len(y) ** 0.5)
    design = np.column_stack([np.ones(len(y)), surplus])
    solution = np.linalg.lstsq(design, y, rcond=1e-8)[0]
    left = y - design @ solution
    return float(solution[0]), solution[1:], float(left.std(ddof=1) / max(1, len(y) - j - 2) ** 0.5)


def level(
    ball: Ball, values: dict[str, np.ndarray], j: int, slopes: np.ndarray, *, even: bool = False
) -> float:
    """Where the mean mask crosses one half, with weights under which the cases drew no surplus of expansion.

    With `even`, cases are moved to the mean displacement, and their mean is blurred by their spread. This
    evens out that few steps make few different masks; it neglects that foam, too, differs between cases.
    """
    profiles = values["profile"][:, j]
    moved = values["excess"][:, : j + 1] @ slopes
    if even:
        at_mean = [np.interp(ball.x + shift, ball.x, one) for shift, one in zip(moved, profiles)]
        profile = gaussian_filter1d(np.mean(at_mean, axis=0), max(moved.std() / BIN, 1e-6), mode="nearest")
    else:
        weights = 1 - moved.mean() * (moved - moved.mean()) / max(moved.var(), 1e-12)
        profile = weights @ profiles / len(moved)
    profile = np.convolve(np.pad(profile, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    at = int(np.flatnonzero(profile >= 0.5)[-1])
    return float(ball.x[at] + BIN * (profile[at] - 0.5) / (profile[at] - profile[at + 1]))


def read_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def table() -> None:
    """Even out the rows over settings, and write them as the table of the package."""
    held: dict[str, Any] = {
        "made_by": "benchmarks/theory_markov.py",
        "order": "[flip][expand][travel]; travel = steps * flip, lengths in voxels",
    }
    for ndim in (2, 3):
        rows = {(r["flip"], r["expand"]): r for r in read_rows() if r["ndim"] == ndim}
        travels = np.array([0.0, *TRAVELS[ndim]])
        fields = {name: np.zeros((len(FLIPS), len(EXPANDS), len(travels))) for name in FIELDS}
        for i, flip in enumerate(FLIPS):
            for k, expand in enumerate(EXPANDS):
                for name, values in on_travels(rows[flip, expand], travels, FIRST_GAIN[ndim]).items():
                    fields[name][i, k] = values
            even_out(fields, i)
        fields["lead"][:, 0] = 0.0  # at expand 0.5, by symmetry; in the foam there the crossing is anywhere
        fields = {name: np.concatenate([at_flip_zero(field), field]) for name, field in fields.items()}
        held[f"{ndim}-D"] = {
            "travel": travels.tolist(),
            "expand": list(EXPANDS),
            "flip": [0.0, *FLIPS],
            "errors": ERRORS[ndim],
            **{name: np.round(field, 3).tolist() for name, field in fields.items()},
        }
    TABLE.write_text(compact(held))
    print(f"{TABLE}: {TABLE.stat().st_size / 1000:.0f} kB")


FIELDS = ("gain", "lead", "tilt", "between", "within")

# One standard error, as a share of the value and in voxels, of chance, of reading between settings and of the
# curvature of a body, together. Chosen on random settings; `check` draws others.
ERRORS = {
    2: {
        "drift": {"share": 0.007, "vox": 0.03},
        "level": {"share": 0.015, "vox": 0.05},
        "between": {"share": 0.05, "vox": 0.01},
        "within": {"share": 0.03, "vox": 0.02},
    },
    3: {
        "drift": {"share": 0.02, "vox": 0.05},
        "level": {"share": 0.03, "vox": 0.1},
        "between": {"share": 0.08, "vox": 0.02},
        "within": {"share": 0.04, "vox": 0.03},
    },
}


def on_travels(row: dict[str, Any], travels: np.ndarray, first_gain: float) -> dict[str, np.ndarray]:
    """The fields of one row at common travels; ratios keep the value of the first step down to no travel."""
    flip, expand, steps = row["flip"], row["expand"], np.array(row["steps"])
    travelled, drift = steps * flip, np.array(row["drift"])
    # Zero where there is no drift, or no spread: `even_out` fills these in.
    per_drift = np.divide(1, drift, out=np.zeros(len(drift)), where=expand > 0.5)
    coins = np.sqrt(travelled * flip * expand * (1 - expand))
    ratios = {
        "gain": drift / travelled / max(2 * expand - 1, 0.01),
        "tilt": np.array(row["tilt"]) * per_drift,
        "between": np.divide(row["between"], coins, out=np.zeros(len(coins)), where=expand < 1),
    }
    lengths = {"lead": np.array(row["level"]) - drift, "within": np.array(row["within"])}
    known = {"gain": first_gain, "between": 2 * first_gain}  # after one step, exactly
    later = steps > 1
    found = {}
    for name, values in ratios.items():
        x = np.concatenate([[flip], travelled[later]])
        y = np.concatenate([[known.get(name, values[0])], values[later]])
        found[name] = _curve(x, y, np.clip(travels, x[0], x[-1]))
    for name, values in lengths.items():
        x, y = np.concatenate([[0.0], travelled]), np.concatenate([[0.0], values])
        found[name] = _curve(x, y, np.clip(travels, 0, x[-1]))
    return found


def _curve(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    return PchipInterpolator(np.log1p(x), y)(np.log1p(at))


def even_out(fields: dict[str, np.ndarray], i: int) -> None:
    """Smooth curves over `expand` for what is even about 0.5; what is unknown there is read off them."""
    lean = 2 * np.array(EXPANDS) - 1
    for name, degree, known in (
        ("gain", 3, lean > 0),
        ("tilt", 1, lean > 0.15),
        ("between", 3, lean < 1),
        ("within", 4, lean >= 0),
    ):
        # Drifts are known alike for all `expand`, so that gains are the less certain the smaller the lean.
        weights = np.maximum(lean, 0.02) if name in ("gain", "tilt") else np.ones(len(lean))
        for t in range(fields[name].shape[2]):
            fit = np.polynomial.Polynomial.fit(
                lean[known] ** 2, fields[name][i, known, t], degree, w=weights[known]
            )
            fields[name][i, :, t] = fit(lean**2)


def at_flip_zero(field: np.ndarray) -> np.ndarray:
    """The limit of rare flips: a straight line through the two smallest ones."""
    (one, other), (low, high) = field[:2], FLIPS[:2]
    return (one - (other - one) * low / (high - low))[None]


def compact(held: dict[str, Any]) -> str:
    """JSON with one line for each innermost list."""
    text = json.dumps(held, indent=1)
    return re.sub(r"\[\s+([-\d.,\seE+]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


class Body:
    """A disc or ball in mm on a grid of any spacing, and how far masks that started from it have moved."""

    def __init__(self, radius_mm: float, reach_mm: float, spacing_mm: tuple[float, ...]) -> None:
        ndim = len(spacing_mm)
        halves = [int((radius_mm + reach_mm) / s) + 2 for s in spacing_mm]
        axes = [
            (np.arange(-half, half + 1) + shift) * s
            for half, shift, s in zip(halves, (0.31, 0.17, 0.08), spacing_mm)
        ]
        mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
        distance = np.sqrt(sum(x * x for x in mesh))
        self.mask = distance < radius_mm
        self.radius, self.step = radius_mm, 0.5 * min(spacing_mm)
        sphere = 2 * np.pi if ndim == 2 else 4 * np.pi
        self.per_ray = np.prod(spacing_mm) / np.maximum(distance, self.step) ** (ndim - 1) / sphere
        # Rays that cross voxels of the same length lie in one bin, so that no two speeds are mixed.
        stretch = np.sqrt(sum((s * x) ** 2 for s, x in zip(spacing_mm, mesh))) / np.maximum(
            distance, self.step
        )
        edges = np.linspace(min(spacing_mm), max(spacing_mm) * (1 + 1e-9), 13)[1:-1]
        self.kinds = np.searchsorted(edges, stretch)
        self.rings = (distance / self.step).astype(int)

    def mean_shift(self, share: np.ndarray) -> float:
        """Mean over rays from the centre of how far a mask, or a mean of masks, reaches beyond the body."""
        return float((share * self.per_ray).sum() - (self.mask * self.per_ray).sum())

    def level_shift(self, share: np.ndarray) -> float:
        """Mean over rays of how far beyond the body the share of masks falls to one half."""
        shifts, weights = [], []
        for kind in np.unique(self.kinds):
            mine = self.kinds == kind
            counts = np.bincount(self.rings[mine])
            profile = np.bincount(self.rings[mine], share[mine]) / np.maximum(counts, 1)
            start = np.bincount(self.rings[mine], self.mask[mine]) / np.maximum(counts, 1)
            shifts.append(self._crossing(profile) - self._crossing(start))
            weights.append(self.per_ray[mine & self.mask].sum())
        return float(np.average(shifts, weights=weights))

    def _crossing(self, profile: np.ndarray) -> float:
        """Outermost radius at which a profile passes one half."""
        even = np.convolve(profile, np.full(5, 0.2), mode="same")[:-3]
        at = int(np.flatnonzero(even >= 0.5)[-1])
        return self.step * (at + 0.5 + (even[at] - 0.5) / (even[at] - even[at + 1]))


def simulate(
    body: Body, cases: int, seed: int, **setting: Any
) -> tuple[tuple[float, float], tuple[float, float], float, np.ndarray]:
    """Mean and level displacement of drawn masks with standard errors, their spread, and their mean."""
    rng = np.random.default_rng(seed)
    total, shifts = np.zeros(body.mask.shape), []
    for _ in range(cases):
        noisy = markov_noise(body.mask, rng, **setting)
        total += noisy
        shifts.append(body.mean_shift(noisy))
    spread = float(np.std(shifts, ddof=1))
    error = spread / cases**0.5
    share = total / cases
    return (float(np.mean(shifts)), error), (body.level_shift(share), 1.25 * error), spread, share


def drawn_and_told(
    body: Body, spacing_mm: tuple[float, ...], cases: int, seed: int, setting: dict[str, Any], **finish: Any
) -> dict[str, Any]:
    """What masks drawn by a setting do, beside what the theory says, in mm and positive outward."""
    drift, level, spread, share = simulate(body, cases, seed, **setting, **finish)
    row: dict[str, Any] = {**setting, "spacing_mm": spacing_mm, "spread": spread}
    for name, of, drawn in (("drift", "mean", drift), ("level", "level", level)):
        told = expected_bias_mm(**setting, spacing_mm=spacing_mm, of=of)
        row |= {name: drawn[0], f"{name}_se": drawn[1]}
        row |= {f"{name}_told": -told.value, f"{name}_error": told.error}
        row[f"{name}_z"] = (drawn[0] + told.value) / np.hypot(drawn[1], told.error)
    row["boundary_bias"] = boundary_bias(share > 0.5, body.mask, spacing_mm)
    return row


def random_checks(seed: int, number: int, ndim: int, radius: float, cases: int) -> list[dict[str, Any]]:
    """Random settings, each with what is drawn and what the theory says."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(number):
        flip = float(np.exp(rng.uniform(np.log(0.01), np.log(0.5))))
        steps = max(1, round(rng.uniform(0.7, 15 if ndim == 2 else 8) / flip))
        setting = {"steps": steps, "expand": float(rng.uniform(0, 1)), "flip": flip}
        body = Body(radius, room(setting, ndim), (1.0,) * ndim)
        row = drawn_and_told(body, (1.0,) * ndim, cases, seed + 1 + i, setting)
        row["spread_told"] = front_spread_vox(**setting, ndim=ndim).between.value
        found.append(row)
    return found


def room(setting: dict[str, Any], ndim: int) -> float:
    """Voxels around a body that masks will hardly ever leave."""
    spread = front_spread_vox(**setting, ndim=ndim)
    level = front_level_vox(**setting, ndim=ndim)
    return abs(level.value) + 4 * (spread.between.value + spread.within.value) + 4


J1_LUNG = {"steps": 180, "expand": 0.8, "flip": 0.05}
B1 = {"steps": 80, "expand": 0.7, "flip": 0.05}
NAMED: list[tuple[str, dict[str, Any], tuple[float, ...], float]] = [
    ("J1 lung, heart", J1_LUNG, (1.0, 1.0), 60.0),
    ("J1 lung, small disc", J1_LUNG, (1.0, 1.0), 25.0),
    ("J1 clavicle", {"steps": 100, "expand": 0.8, "flip": 0.02}, (1.0, 1.0), 60.0),
    ("J2 lung, heart", {**J1_LUNG, "expand": 0.2}, (1.0, 1.0), 60.0),
    ("J1-hard lung", {**J1_LUNG, "steps": 400}, (1.0, 1.0), 100.0),
    ("I1", {"steps": 200, "expand": 0.2, "flip": 0.05}, (1.0, 1.0), 60.0),
    ("unbiased", {**J1_LUNG, "expand": 0.5}, (1.0, 1.0), 60.0),
    ("nearly unbiased", {**J1_LUNG, "expand": 0.55}, (1.0, 1.0), 80.0),
    ("J1 lung on 1 x 2.5 mm", J1_LUNG, (1.0, 2.5), 300.0),
    ("expansion only, frequent flips", {"steps": 12, "expand": 1.0, "flip": 0.7}, (1.0, 1.0), 60.0),
    ("B1", B1, (1.0, 1.0, 1.0), 30.0),
    ("B2", {**B1, "expand": 0.3}, (1.0, 1.0, 1.0), 30.0),
    ("B1 on 3 x 1 x 1 mm", B1, (3.0, 1.0, 1.0), 70.0),
    ("B2 on 3 x 1 x 1 mm", {**B1, "expand": 0.3}, (3.0, 1.0, 1.0), 70.0),
    ("J1 lung in 3-D", {**J1_LUNG, "steps": 100}, (1.0, 1.0, 1.0), 30.0),
]
FINISHES: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("smoothed", {"smooth": True}),
    ("speckle 0.2, smoothed", {"speckle": 0.2, "smooth": True}),
]


def check() -> None:
    """New masks, with seeds of their own, against the theory; the result as a page."""
    named = []
    for i, (name, setting, spacing, radius) in enumerate(NAMED):
        ndim = len(spacing)
        body = Body(radius, max(spacing) * room(setting, ndim), spacing)
        row = drawn_and_told(body, spacing, 1000 if ndim == 2 else 200, 4_000_000 + i, setting)
        named.append((name, radius, row))
        print(name, {k: v if isinstance(v, tuple) else round(v, 3) for k, v in row.items()}, flush=True)
    finished = []
    for name, setting, spacing, radius in (NAMED[0], NAMED[2], NAMED[7], NAMED[10]):
        for i, (finish, options) in enumerate(FINISHES):
            body = Body(radius, room(setting, len(spacing)), spacing)
            cases = 400 if len(spacing) == 2 else 100
            row = drawn_and_told(body, spacing, cases, 5_000_000 + i, setting, **options)
            finished.append((f"{name}, {finish}", radius, row))
            print(name, finish, round(row["drift"], 3), round(row["level"], 3), flush=True)
    random = random_checks(6_000_000, 100, 2, 150.0, 400), random_checks(7_000_000, 60, 3, 40.0, 100)
    CHECK.write_text(page(named, finished, random))
    print(CHECK.read_text())


def page(
    named: list[tuple[str, float, dict[str, Any]]],
    finished: list[tuple[str, float, dict[str, Any]]],
    random: tuple[list[dict[str, Any]], ...],
) -> str:
    """The page of results."""
    lines = [
        "# Markov noise: drawn against told",
        "",
        "From `benchmarks/theory_markov.py`, with seeds of its own. Displacements of discs and balls in mm,",
        "positive outward: the mean over masks and directions, and the level, where half of all masks hold a",
        "pixel; the last column is what `boundary_bias` reads off that level.",
        "Standard errors behind ±; z is the difference over both errors together.",
        "",
        "| setting | radius | naive | mean drawn | mean told | z | level drawn "
        "| level told | z | `boundary_bias` |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(line(name, radius, row) for name, radius, row in named),
        "",
        "Flat is what is flat in voxels. A ball of 70 mm on 3 x 1 x 1 mm is an ellipsoid of 23 x 70 x 70",
        "voxels, whose rim has a radius of 8: there masks grow by less than from a flat boundary and shrink",
        "by more. The mean of both, B1 and B2, is that of a flat one.",
        "",
        "## Smoothing and speckle",
        "",
        "The theory knows neither. Smoothing closes the gaps of dense foam and removes loose bits, so that",
        "the mean comes close to the level.",
        "",
        "| setting | mean drawn | level drawn | level told |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['drift']:.2f} ± {row['drift_se']:.2f} "
            f"| {row['level']:.2f} ± {row['level_se']:.2f} | {row['level_told']:.2f} |"
            for name, _, row in finished
        ),
        "",
        "## Random settings",
        "",
        "Expand from 0 to 1, flip from 0.01 to 0.5, travel (steps * flip) up to 15 in 2-D and 8 in 3-D;",
        "discs of radius 150, balls of radius 40.",
        "",
        "| | settings | root mean square of z | beyond 2 | beyond 3 | largest difference, voxels |",
        "|---|---|---|---|---|---|",
    ]
    for ndim, rows in zip((2, 3), random):
        for name in ("drift", "level"):
            z = np.array([row[f"{name}_z"] for row in rows])
            gap = max(abs(row[name] - row[f"{name}_told"]) for row in rows)
            lines.append(
                f"| {ndim}-D, {'mean' if name == 'drift' else name} | {len(z)} "
                f"| {np.sqrt((z**2).mean()):.2f} | {(abs(z) > 2).sum()} | {(abs(z) > 3).sum()} | {gap:.2f} |"
            )
    for ndim, rows in zip((2, 3), random):
        ratio = [r["spread"] / r["spread_told"] for r in rows if 0.05 < r["expand"] < 0.95]
        lines += [
            "",
            f"Spread between cases, drawn over told, {ndim}-D (expand 0.05 to 0.95): {np.mean(ratio):.3f} ± "
            f"{np.std(ratio):.3f} over {len(ratio)} settings.",
        ]
    return "\n".join(lines) + "\n"


def line(name: str, radius: float, row: dict[str, Any]) -> str:
    """One row of the first table."""
    naive = row["steps"] * row["flip"] * (2 * row["expand"] - 1)
    told = (
        f"{row[key]:.2f} ± {row[f'{key}_se']:.2f} "
        f"| {row[f'{key}_told']:.2f} ± {row[f'{key}_error']:.2f} | {row[f'{key}_z']:+.1f}"
        for key in ("drift", "level")
    )
    setting = f"({row['steps']}, {row['expand']}, {row['flip']})"
    return (
        f"| {name} {setting} | {radius:.0f} | {naive:.2f} | {' | '.join(told)} | {row['boundary_bias']:.2f} |"
    )


def figure() -> None:
    """Masks for several values of `expand`, and the measured curves."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    shown, axes = plt.subplots(2, 4, figsize=(13, 6.6), height_ratios=(1, 1.05), layout="constrained")
    y, x = np.mgrid[:150, :150] - 74.6
    disc = x**2 + y**2 < 40**2
    for axis, expand in zip(axes[0], (1.0, 0.8, 0.6, 0.5)):
        noisy = markov_noise(disc, np.random.default_rng(1), steps=180, expand=expand, flip=0.05)
        axis.imshow(np.where(noisy, 0.72, 1.0), cmap="gray", vmin=0, vmax=1)
        axis.contour(disc, [0.5], colors="tab:red", linewidths=1)
        level = front_level_vox(steps=180, expand=expand, flip=0.05, ndim=2).value
        axis.add_artist(plt.Circle((74.6, 74.6), 40 + level, fill=False, color="tab:blue", lw=1.2))
        axis.set(title=f"expand {expand}", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("steps 180, flip 0.05\nred: true, blue: level told")
    _curves(axes[1])
    shown.savefig(FIGURE, dpi=110)
    print(FIGURE)


def _curves(axes: Any) -> None:
    steps = np.arange(0, 361, 4)
    for ndim, colour in ((2, "tab:blue"), (3, "tab:orange")):
        there = steps if ndim == 2 else steps[steps <= 180]
        setting = {"expand": 0.8, "flip": 0.05, "ndim": ndim}
        drift = [front_drift_vox(steps=int(t), **setting).value for t in there]
        level = [front_level_vox(steps=int(t), **setting).value for t in there]
        axes[0].plot(there, level, color=colour, label=f"level, {ndim}-D")
        axes[0].plot(there, drift, color=colour, ls="--", label=f"mean, {ndim}-D")
    axes[0].plot(steps, steps * 0.05 * 0.6, "k:", label="naive")
    axes[0].set(xlabel="steps", ylabel="displacement, voxels", title="expand 0.8, flip 0.05")
    travel = np.linspace(0.5, 20, 60)
    for flip, colour in ((0.02, "tab:blue"), (0.1, "tab:green"), (0.3, "tab:olive"), (0.7, "tab:red")):
        for ndim, style in ((2, "-"), (3, ":")):
            there = travel if ndim == 2 else travel[travel <= 9]
            stops = np.unique(np.maximum(1, np.round(there / flip).astype(int)))
            gains = [
                front_drift_vox(steps=int(t), expand=0.8, flip=flip, ndim=ndim).value / (t * flip * 0.6)
                for t in stops
            ]
            label = f"flip {flip}" if ndim == 2 else None
            axes[1].plot(stops * flip, gains, style, color=colour, label=label)
    axes[1].axhline(1, color="k", lw=0.5)
    axes[1].set(xlabel="travel (steps x flip)", ylabel="mean over naive", title="gain; dotted: 3-D")
    expands = np.linspace(0.5, 1, 101)
    for axis, ndim in ((axes[2], 2), (axes[3], 3)):
        setting = {"steps": 180 if ndim == 2 else 80, "flip": 0.05, "ndim": ndim}
        told = [(front_level_vox(expand=e, **setting), front_drift_vox(expand=e, **setting)) for e in expands]
        spread = [front_spread_vox(expand=e, **setting) for e in expands]
        drift = np.array([one.value for _, one in told])
        between = np.array([s.between.value for s in spread])
        axis.fill_between(expands, drift - between, drift + between, color="tab:blue", alpha=0.2, lw=0)
        axis.plot(expands, [one.value for one, _ in told], "tab:blue", label="level")
        axis.plot(expands, drift, "tab:blue", ls="--", label="mean ± spread of cases")
        axis.plot(expands, [s.within.value for s in spread], "tab:gray", label="spread within a mask")
        axis.plot(expands, setting["steps"] * 0.05 * (2 * expands - 1), "k:", label="naive")
        axis.set(xlabel="expand", title=f"{ndim}-D, steps {setting['steps']}, flip 0.05")
    for axis in axes:
        axis.legend(fontsize=7, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "table", "check", "figure"])
    parser.add_argument("--ndim", type=int, nargs="*", default=[2, 3], help="for measure")
    arguments = parser.parse_args()
    jobs = {"measure": lambda: measure(arguments.ndim), "table": table, "check": check, "figure": figure}
    jobs[arguments.what]()
