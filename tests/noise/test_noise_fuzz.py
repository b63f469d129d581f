"""Every kind of error on every kind of labels: nothing crashes, and what holds for all of them holds."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmend.errors import ConfigError
from labelmend.noise import (
    NOISES,
    PRESETS,
    Compose,
    MarkovNoise,
    MaskNoise,
    Noise,
    OneOf,
    draw_raters,
    make_noise,
)
from labelmend.noise.base import LARGEST
from labelmend.types import BoolArray, Grid, LabelMap

fuzzed = settings(max_examples=60, deadline=None, database=None, derandomize=True)

NEVER_OR_ALWAYS = (0.0, 1.0, 5e-324, 1 - 2**-53)
probabilities = st.sampled_from(NEVER_OR_ALWAYS) | st.floats(0, 1)
sizes = st.sampled_from([0.0, 1e-300, 1e-9, LARGEST]) | st.floats(0, 30)
numbers = st.builds(lambda size, sign: sign * size, sizes, st.sampled_from([-1, 1]))
axes = st.none() | st.integers(0, 2)
seeds = st.integers(0, 2**32 - 1)


def whole(least: int, usual: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, usual) | st.just(most)


def ordered(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(values, values).map(sorted)


# ---- labels ------------------------------------------------------------------------------------------------

MASKS = ("empty", "full", "pixel", "line", "border", "box", "half", "dust", "checks")


def drawn_mask(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> BoolArray:
    mask = np.zeros(shape, bool)
    place = tuple(int(rng.integers(n)) for n in shape)
    axis = int(rng.integers(len(shape)))
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[place] = True
    elif kind == "line":
        mask[tuple(slice(None) if i == axis else p for i, p in enumerate(place))] = True
    elif kind == "border":
        np.moveaxis(mask, axis, 0)[[0, -1][: int(rng.integers(1, 3))]] = True
    elif kind == "box":
        ends = (sorted(rng.integers(n + 1, size=2)) for n in shape)
        mask[tuple(slice(low, high) for low, high in ends)] = True
    elif kind == "half":
        np.moveaxis(mask, axis, 0)[: place[axis] + 1] = True
    elif kind == "dust":
        mask = rng.random(shape) < rng.random()
    elif kind == "checks":
        mask = np.indices(shape).sum(axis=0) % 2 == 0
    return mask


@st.composite
def spacings(draw: st.DrawFn, ndim: int) -> tuple[float, ...]:
    least = draw(st.sampled_from([1e-3, 0.1, 1.0, 1e3]))
    ratios = st.sampled_from([1.0, 2.5, 1e4] if least <= 0.1 else [1.0, 1.4])
    return tuple(least * draw(ratios) for _ in range(ndim))


@st.composite
def label_maps(draw: st.DrawFn, classes: tuple[str, ...] | None = None, ndim: int | None = None) -> LabelMap:
    """Labels of both ways to annotate, of all shapes and spacings."""
    ndim = ndim or draw(st.sampled_from([2, 3]))
    side = st.sampled_from([1, 1, 2, 5, 9] if ndim == 3 else [1, 2, 7, 24])
    shape = tuple(draw(side) for _ in range(ndim))
    grid = Grid(shape, draw(spacings(ndim)))
    classes = classes or tuple(f"class {j}" for j in range(draw(st.sampled_from([1, 2, 3, 12]))))
    kinds = draw(st.lists(st.sampled_from(MASKS), min_size=len(classes), max_size=len(classes)))
    rng = np.random.default_rng(draw(seeds))
    masks = np.stack([drawn_mask(kind, shape, rng) for kind in kinds])
    ignored = rng.random(shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))
    if draw(st.booleans()):
        return frozen(LabelMap(masks, grid, classes, ignored_mask=ignored if ignored.any() else None))
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.int32]))
    values = draw(st.permutations(range(1, 40))) if draw(st.booleans()) else None
    values = tuple(values[: len(classes)]) if values else None
    array = np.zeros(shape, dtype)
    for value, mask in zip(values or range(1, 40), masks, strict=False):
        array[mask] = value
    ignore = (255 if dtype == np.uint8 else -1) if ignored.any() else None
    if ignore is not None:
        array[ignored] = ignore
    return frozen(LabelMap(array, grid, classes, values, ignore))


def frozen(labels: LabelMap) -> LabelMap:
    """The same labels in memory that nobody may write to."""
    labels.array.setflags(write=False)
    if labels.ignored_mask is not None:
        labels.ignored_mask.setflags(write=False)
    return labels


def only(labels: LabelMap, classes: tuple[str, ...]) -> LabelMap:
    """The labels as they would be without the other classes."""
    kept = [labels.classes.index(name) for name in classes]
    values = tuple(labels.class_values[j] for j in kept)
    if labels.overlapping:
        return dataclasses.replace(labels, array=labels.array[kept], classes=classes, values=None)
    known = np.isin(labels.array, [*values, *([] if labels.ignore is None else [labels.ignore])])
    array = np.where(known, labels.array, 0).astype(labels.array.dtype)
    return dataclasses.replace(labels, array=array, classes=classes, values=values)


# ---- noises ------------------------------------------------------------------------------------------------

SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "markov": st.fixed_dictionaries(
        {
            "steps": st.integers(0, 300),
            "expand": probabilities,
            "flip": probabilities,
            "speckle": probabilities,
            "smooth": st.booleans(),
        }
    ),
    "morphology": st.builds(
        lambda radii, **rest: {"low_mm": radii[0], "high_mm": radii[1], **rest},
        ordered(sizes),
        dilate=probabilities,
        in_pixels=st.booleans(),
    ),
    "affine": st.fixed_dictionaries(
        {"shift_mm": sizes, "rotation_deg": sizes, "scale": sizes, "log_scale": numbers}
    ),
    "deformation": st.fixed_dictionaries(
        {"sd_mm": sizes, "length_mm": sizes.filter(bool), "offset_mm": numbers}
    ),
    "polygon": st.fixed_dictionaries(
        {"vertices": whole(3, 20, 10**6), "jitter_mm": sizes, "offset_mm": numbers, "axis": axes}
    ),
    "segthor": st.builds(
        lambda times, **rest: {"fewest": times[0], "most": times[1], **rest},
        ordered(st.integers(0, 6)),
        under=probabilities,
        area_px=st.sampled_from([1.0, 10.0, 400.0]) | st.floats(1, 400),
    ),
    "confusion": st.fixed_dictionaries({"probability": probabilities}),
    "missing": st.fixed_dictionaries(
        {"probability": probabilities, "halving_mm": st.none() | sizes.filter(bool)}
    ),
    "spurious": st.builds(
        lambda scales, **rest: {"scale_low": scales[0], "scale_high": scales[1], **rest},
        ordered(probabilities.filter(bool)),
        count=st.floats(0, 5),
        radius_mm=sizes,
    ),
    "missing_slices": st.fixed_dictionaries(
        {
            "probability": probabilities,
            "end_slices": whole(0, 9, 10**6),
            "extend": probabilities,
            "axis": axes,
        }
    ),
    "slice_steps": st.fixed_dictionaries({"every": whole(1, 9, 10**6), "shift_mm": sizes, "axis": axes}),
}
"""Settings of every kind of error, over all that it takes; fewer where more would only take longer."""


@st.composite
def noises(draw: st.DrawFn, kind: str) -> Noise:
    if kind in SETTINGS:
        return NOISES[kind](**draw(SETTINGS[kind]))
    parts = [
        draw(noises(part))
        for part in draw(st.lists(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=3))
    ]
    if kind == "one_of":
        weights = st.lists(st.sampled_from([1e-9, 1.0, LARGEST]), min_size=len(parts), max_size=len(parts))
        return OneOf(parts, draw(st.none() | weights))
    chances = st.lists(probabilities, min_size=len(parts), max_size=len(parts))
    return Compose(parts, draw(probabilities | chances))


def by_default(noise: Noise) -> Noise:
    """The same kind of error with other settings."""
    if isinstance(noise, Compose | OneOf):
        return type(noise)(parts=[by_default(part) for part in noise.noises])
    return type(noise)() if noise.name in NOISES else noise


def drawn(noise: Noise, labels: LabelMap, seed: int) -> dict[str, Any] | None:
    """What a noise draws, or None where it says that it can do nothing with these labels."""
    try:
        return noise.draw(np.random.default_rng(seed), labels)
    except ConfigError as error:
        if "noise" not in str(error) or "leave it out" not in str(error):
            raise
        return None


def check_all(noise: Noise, labels: LabelMap, seed: int) -> None:
    before = labels.array.copy()
    params = drawn(noise, labels, seed)
    if params is None:
        return
    noisy = noise.apply(labels, params)

    text = json.dumps(params, allow_nan=False)
    assert drawn(noise, labels, seed) == params
    again = by_default(noise).apply(labels, json.loads(text))
    assert np.array_equal(again.array, noisy.array)

    assert (noisy.array.dtype, noisy.array.shape) == (labels.array.dtype, labels.array.shape)
    assert (noisy.grid, noisy.classes, noisy.values) == (labels.grid, labels.classes, labels.values)
    assert noisy.ignore == labels.ignore
    assert noisy.ignored_mask is labels.ignored_mask
    ignored = labels.ignored()
    assert np.array_equal(noisy.array[..., ignored], before[..., ignored])
    assert np.array_equal(noisy.ignored(), ignored)
    if not labels.overlapping:
        known = {0, labels.ignore, *labels.class_values}
        assert set(np.unique(noisy.array).tolist()) <= known
    assert np.array_equal(labels.array, before)
    assert not np.shares_memory(noisy.array, labels.array)


@pytest.mark.parametrize("kind", NOISES)
def test_every_kind_keeps_what_is_promised_of_all(kind: str) -> None:
    @fuzzed
    @given(noises(kind), label_maps(), seeds)
    def holds(noise: Noise, labels: LabelMap, seed: int) -> None:
        check_all(noise, labels, seed)

    holds()


@pytest.mark.parametrize("label", PRESETS)
def test_so_does_every_preset(label: str) -> None:
    preset = PRESETS[label]
    classes = tuple(preset.per_class) or None

    @settings(fuzzed, max_examples=15)
    @given(label_maps(classes), seeds)
    def holds(labels: LabelMap, seed: int) -> None:
        check_all(preset, labels, seed)

    holds()


@pytest.mark.parametrize("kind", NOISES)
def test_no_strength_is_no_error(kind: str) -> None:
    @settings(fuzzed, max_examples=25)
    @given(noises(kind), label_maps(), numbers, seeds)
    def holds(noise: Noise, labels: LabelMap, bias: float, seed: int) -> None:
        still = noise.styled(strength=0, bias=bias)
        params = drawn(still, labels, seed)
        if params is not None:
            assert np.array_equal(still.apply(labels, params).array, labels.array)

    holds()


@pytest.mark.parametrize("label", PRESETS)
def test_no_strength_is_no_error_in_a_preset(label: str) -> None:
    classes = tuple(PRESETS[label].per_class) or None

    @settings(fuzzed, max_examples=10)
    @given(label_maps(classes), seeds)
    def holds(labels: LabelMap, seed: int) -> None:
        still = PRESETS[label].styled(strength=0)
        params = still.draw(np.random.default_rng(seed), labels)
        assert np.array_equal(still.apply(labels, params).array, labels.array)

    holds()


@pytest.mark.parametrize("kind", NOISES)
def test_every_style_is_a_noise_or_is_refused_in_a_sentence(kind: str) -> None:
    @settings(fuzzed, max_examples=40)
    @given(noises(kind), sizes, numbers, label_maps(), seeds)
    def holds(noise: Noise, strength: float, bias: float, labels: LabelMap, seed: int) -> None:
        try:
            styled = noise.styled(strength=strength, bias=bias)
        except ConfigError as error:
            if "noise: " not in str(error):
                raise
            return
        if not too_long(styled):
            check_all(styled, labels, seed)

    holds()


def too_long(noise: Noise) -> bool:
    """Whether a noise would be right but would keep the test waiting."""
    if isinstance(noise, Compose | OneOf):
        return any(too_long(part) for part in noise.noises)
    return (
        getattr(noise, "steps", 0) > 3000 or getattr(noise, "most", 0) > 30 or getattr(noise, "count", 0) > 30
    )


@pytest.mark.parametrize("kind", [name for name, noise in NOISES.items() if issubclass(noise, MaskNoise)])
def test_what_a_class_draws_does_not_depend_on_the_others(kind: str) -> None:
    @settings(fuzzed, max_examples=25)
    @given(noises(kind), label_maps(), seeds, st.data())
    def holds(noise: Noise, labels: LabelMap, seed: int, data: st.DataObject) -> None:
        kept = data.draw(st.lists(st.sampled_from(labels.classes), min_size=1, unique=True))
        params = drawn(noise, labels, seed)
        if params is not None:
            alone = noise.draw(np.random.default_rng(seed), only(labels, tuple(kept)))
            assert alone["classes"] == {name: params["classes"][name] for name in kept}

    holds()


# ---- what is refused ---------------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
NO_NUMBER = (NAN, INF, -INF, "1", None, True, [2.0], {}, 1j, np.array([1.0, 2.0]), np.float64("nan"))
REFUSED: dict[str, tuple[Any, ...]] = {
    "probability": (*NO_NUMBER, -0.1, 1.1, -5e-324, 2),
    "size": (*NO_NUMBER, -1, -5e-324, 2 * LARGEST),
    "positive size": (*NO_NUMBER, -1, 0, 0.0, 2 * LARGEST),
    "size or None": (*(v for v in NO_NUMBER if v is not None), -1, 0, 2 * LARGEST),
    "number": (*NO_NUMBER, 2 * LARGEST, -2 * LARGEST),
    "share": (*NO_NUMBER, -0.1, 0, 1.1),
    "flag": (NAN, INF, "yes", "true", None, 1, 0.0, [], {}),
    "axis": (NAN, INF, "1", True, False, 1.0, -1, 3, [0], {}, np.array([0, 1])),
    "steps": (*NO_NUMBER, -1, 2.0, 10**6 + 1, 10**30),
    "slices": (*NO_NUMBER, -1, 2.0, 10**6 + 1, 10**30),
    "every": (*NO_NUMBER, -1, 0, 2.0, 10**6 + 1, 10**30),
    "vertices": (*NO_NUMBER, -1, 2, 7.0, 10**6 + 1, 10**30),
    "iterations": (*NO_NUMBER, -1, 2.0, 1001, 10**30),
    "area": (*NO_NUMBER, -1, 0, 0.5, 10_001),
    "count": (*NO_NUMBER, -1, 1001),
    "pairs": (NAN, 1, True, "ab", ["ab"], [("a", "b")], {"a": "a"}, {"a": 1}, {1: "a"}, {"a": None}),
    "parts": (NAN, 1, None, True, "markov", {}, {"name": "markov"}, [], (), [1], [None], ["x"], [{}],
              [["markov"]], [{"name": []}], [{"name": "markov", 1: 2}], [MarkovNoise]),
    "chances": (*NO_NUMBER, -0.1, 1.1, [0.5, 0.5], [NAN], ["0.5"], [True], [None], "5"),
    "weights": (NAN, 1.0, True, "5", [], [0], [-1], [NAN], [INF], ["1"], [True], [None], [1, 1], {"a": 1}),
}  # fmt: skip
"""By kind of setting, values that it must not have."""

FIELDS = {
    "markov": {"steps": "steps", "expand": "probability", "flip": "probability", "speckle": "probability",
               "smooth": "flag"},
    "morphology": {"low_mm": "size", "high_mm": "size", "dilate": "probability", "in_pixels": "flag"},
    "affine": {"shift_mm": "size", "rotation_deg": "size", "scale": "size", "log_scale": "number"},
    "deformation": {"sd_mm": "size", "length_mm": "positive size", "offset_mm": "number"},
    "polygon": {"vertices": "vertices", "jitter_mm": "size", "offset_mm": "number", "axis": "axis"},
    "segthor": {"fewest": "iterations", "most": "iterations", "under": "probability", "area_px": "area"},
    "confusion": {"probability": "probability", "pairs": "pairs"},
    "missing": {"probability": "probability", "halving_mm": "size or None"},
    "spurious": {"count": "count", "scale_low": "share", "scale_high": "share", "radius_mm": "size"},
    "missing_slices": {"probability": "probability", "end_slices": "slices", "extend": "probability",
                       "axis": "axis"},
    "slice_steps": {"every": "every", "shift_mm": "size", "axis": "axis"},
    "compose": {"parts": "parts", "probability": "chances"},
    "one_of": {"parts": "parts", "weights": "weights"},
}  # fmt: skip


def test_the_table_of_impossible_settings_holds_every_setting_there_is() -> None:
    there = {kind: [field.name for field in dataclasses.fields(noise)] for kind, noise in NOISES.items()}  # type: ignore[arg-type]
    assert {kind: list(fields) for kind, fields in FIELDS.items()} == there


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in FIELDS for field in FIELDS[kind]])
def test_impossible_settings_are_refused_by_name(kind: str, field: str) -> None:
    others = {"parts": ["markov"]} if "parts" in FIELDS[kind] else {}
    for value in REFUSED[FIELDS[kind][field]]:
        with pytest.raises(ConfigError) as refusal:
            NOISES[kind](**{**others, field: value})
        if field != "parts":
            assert f"{kind} noise" in str(refusal.value), value
            stem = field.rstrip("sy")  # one weight, two weights; one probability, two probabilities
            assert stem in str(refusal.value), value
        with pytest.raises(ConfigError):
            make_noise({"name": kind, **others, field: value})


@pytest.mark.parametrize("kind", NOISES)
def test_impossible_styles_are_refused(kind: str) -> None:
    noise = NOISES[kind](**({"parts": ["markov"]} if "parts" in FIELDS[kind] else {}))
    for strength in REFUSED["size"]:
        with pytest.raises(ConfigError, match="noise: strength"):
            noise.styled(strength=strength)
    for bias in REFUSED["number"]:
        with pytest.raises(ConfigError, match="noise: bias"):
            noise.styled(bias=bias)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("number", (*NO_NUMBER, 0, -1, 2.0)),
        ("seed", (NAN, INF, "1", None, 1.5, [1], {})),
        ("strength_spread", REFUSED["size"]),
        ("bias_spread", REFUSED["size"]),
    ],
)
def test_impossible_raters_are_refused(field: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=field):
            draw_raters(**{"count": 2, {"number": "count"}.get(field, field): value})


def test_numbers_of_numpy_are_as_good_as_plain_ones() -> None:
    given_by_numpy = MarkovNoise(np.int64(5), np.float32(0.5), np.float64(0.25), smooth=np.bool_(True))
    assert given_by_numpy == MarkovNoise(5, 0.5, 0.25, smooth=True)
    labels = LabelMap(np.eye(5, dtype=np.uint8), Grid((5, 5), (1.0, 1.0)), ("a",))
    assert json.dumps(given_by_numpy.draw(np.random.default_rng(0), labels))
