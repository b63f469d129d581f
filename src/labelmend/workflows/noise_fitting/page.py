"""A self-contained page on a noise fit: the errors of masks, and how well simulated ones match them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import UndefinedError

from labelmend.errors import DataError, UnreadableFileError
from labelmend.html import text
from labelmend.html.charts import HEIGHT, WIDTH, _ticks, dots, interval_text
from labelmend.html.figures import CORRECTED, GIVEN
from labelmend.html.page import templates
from labelmend.io import write_text
from labelmend.io.files.reading import read_json

MOST_CASE_BINS = 24
"""Bins of the charts over cases; fewer if there are few cases."""


@dataclass(frozen=True)
class Histogram:
    """Two distributions over common bins: the data as bars, the simulation as a line.

    Args:
        title: the quantity.
        bars: (x, y, width, height) of each bar.
        line: SVG path of the simulation.
        ticks: (x, text) of each mark.
        zero: x of zero, or None if outside.
    """

    title: str
    bars: tuple[tuple[float, float, float, float], ...]
    line: str
    ticks: tuple[tuple[float, str], ...]
    zero: float | None


def write_noise_page(folder: Path) -> Path:
    """Write FOLDER/fit.html from FOLDER/fit.json.

    Args:
        folder: output of `fit_noise`.

    Raises:
        UnreadableFileError: fit.json is missing or damaged.
    """
    path = Path(folder) / "fit.json"
    try:
        found = read_json(path)
        page = render_noise(found)
    except (DataError, ValueError, LookupError, TypeError, ArithmeticError, UndefinedError) as error:
        raise UnreadableFileError(f"{path} is not a finished noise fit ({error}): fit again") from error
    target = Path(folder) / "fit.html"
    write_text(target, page)
    return target


def render_noise(found: Mapping[str, Any]) -> str:
    """The page as text; names are escaped by the template.

    Args:
        found: content of fit.json.
    """
    environment = templates(
        "labelmend.workflows.noise_fitting",
        number=text.number,
        signed=text.signed,
        interval=interval_text,
        count=text.count,
    )
    by_clean = found["kind"] == "clean"
    classes = [_clean_class(c, found["unit"]) if by_clean else _rater_class(c) for c in found["classes"]]
    return environment.get_template("noise_fit.html.jinja").render(
        found=found,
        classes=classes,
        by_clean=by_clean,
        percent=f"{100 * found['level']:g} %",
        colours={"given": GIVEN, "simulated": CORRECTED},
        width=WIDTH,
        tall=HEIGHT,
    )


def histogram(
    title: str, edges: Sequence[float], given: Sequence[float], simulated: Sequence[float]
) -> Histogram:
    """A chart of two distributions.

    Args:
        title: the quantity.
        edges: `m + 1` edges of bins of equal width.
        given: `m` fractions.
        simulated: `m` fractions.
    """
    low, high = edges[0], edges[-1]
    top = max([*given, *simulated, 1e-12])

    def across(value: float) -> float:
        return round(WIDTH * (value - low) / (high - low), 2)

    def down(share: float) -> float:
        return round(HEIGHT * (1 - share / top), 2)

    width = across(edges[1])
    bars = tuple(
        (across(edge), down(share), round(width, 2), round(HEIGHT - down(share), 2))
        for edge, share in zip(edges[:-1], given, strict=True)
        if share > 0
    )
    steps = [
        f"{'L' if index else 'M'}{across(edges[index])} {down(share)}H{across(edges[index + 1])}"
        for index, share in enumerate(simulated)
    ]
    zero = across(0.0) if low < 0 < high else None
    return Histogram(title, bars, "".join(steps), _ticks(low, high, across), zero)


def _clean_class(found: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """A class with its charts."""
    shares = found["histogram"]
    charts = [histogram(f"displacement, {unit}", shares["edges_mm"], shares["given"], shares["simulated"])]
    for title, key in (
        (f"bias of a case, {unit}", "bias_mm"),
        (f"roughness of a case, {unit}", "roughness_mm"),
        ("Dice to clean", "dice"),
        ("area ratio to clean", "area_ratio"),
    ):
        one, other = ([r[key] for r in found[side] if r[key] is not None] for side in ("given", "simulated"))
        if one and other:
            charts.append(_of_cases(title, one, other))
    return {**found, "charts": charts}


def _of_cases(title: str, given: Sequence[float], simulated: Sequence[float]) -> Histogram:
    low, high = min(*given, *simulated), max(*given, *simulated)
    pad = 0.03 * (high - low) or 0.5
    n_bins = int(np.clip(2 * math.sqrt(len(given)), 6, MOST_CASE_BINS))
    edges = np.linspace(low - pad, high + pad, n_bins + 1)
    shares = [np.histogram(side, edges)[0] / len(side) for side in (given, simulated)]
    return histogram(title, edges.tolist(), shares[0].tolist(), shares[1].tolist())


def _rater_class(found: Mapping[str, Any]) -> dict[str, Any]:
    """A class of annotators with its charts."""
    charts = [
        (title, dots(list(zip(found["raters"], found[key], strict=True)), "", signed=key == "bias_mm"))
        for title, key in (
            ("bias relative to the average annotator", "bias_mm"),
            ("roughness along the outline", "roughness_mm"),
            ("spread of the bias over cases", "spread_mm"),
        )
    ]
    return {**found, "charts": charts}
