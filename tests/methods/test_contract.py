"""What every method promises, over all files in methods/: a new method is tested here without being named."""

import copy
import dataclasses
import io
import json
import pickle

import numpy as np
import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.methods.base import Batch, Facts, Known, Method
from labelmend.methods.registry import METHODS, method_name
from labelmend.types import Grid, LabelMap, Predicted
from labelmend.workflows.correction.methods import self_confidence

pytestmark = pytest.mark.parametrize("name", sorted(METHODS))

KINDS = {
    "2-D, two classes, overlapping": (2, 2, True),
    "2-D, four classes, exclusive": (2, 4, False),
    "3-D, two classes, exclusive": (3, 2, False),
    "3-D, four classes, overlapping": (3, 4, True),
}


def shape_of(ndim: int) -> tuple[int, ...]:
    return (18, 22) if ndim == 2 else (10, 12, 14)


def facts(ndim: int, k: int, overlapping: bool) -> Facts:
    names = tuple("abcd"[:k])
    return Facts(names, overlapping, ndim, n_cases=6, class_frequency=(0.1,) * k)


def blobs(ndim: int, k: int, overlapping: bool, rng, grow: float = 0.0) -> np.ndarray:
    """k discs, apart from each other unless classes overlap; `grow` adds to their radii."""
    axes = np.meshgrid(*map(np.arange, shape_of(ndim)), indexing="ij")
    masks = []
    for index in range(k):
        centre = [n * (0.3 + 0.4 * ((index >> axis) & 1)) for axis, n in enumerate(shape_of(ndim))]
        far = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre)))
        masks.append(far <= 2.6 + grow + 0.2 * rng.random())
    masks = np.stack(masks)
    return masks if overlapping else masks & (np.cumsum(masks, axis=0) == 1)


def label_map(masks: np.ndarray, overlapping: bool, ignored: np.ndarray) -> LabelMap:
    k, shape = len(masks), masks.shape[1:]
    grid = Grid(shape, (1.0, 0.8, 0.7)[-len(shape) :])
    names = tuple("abcd"[:k])
    if overlapping:
        return LabelMap(masks, grid, names, ignored_mask=ignored)
    array = np.zeros(shape, np.uint8)
    for index, mask in enumerate(masks, start=1):
        array[mask] = index
    array[ignored] = 255
    return LabelMap(array, grid, names, ignore=255)


def case(
    name: str, ndim: int, k: int, overlapping: bool, seed: int, *, perfect: bool = False, absent: bool = False
) -> Predicted:
    truth = blobs(ndim, k, overlapping, np.random.default_rng(seed))
    if absent:
        truth[0] = False
    ignored = np.zeros(shape_of(ndim), bool)
    ignored[:2] = True
    given = label_map(truth, overlapping, ignored)
    shown = truth if perfect else blobs(ndim, k, overlapping, np.random.default_rng(seed), grow=1.6)
    if overlapping:
        probs = np.where(shown, 0.97, 0.03)
    else:
        probs = np.full((k + 1, *shape_of(ndim)), 0.03 / k)
        winner = np.where(shown.any(0), shown.argmax(0) + 1, 0)
        np.put_along_axis(probs, winner[None], 0.97, axis=0)
    return Predicted(name, given, given, probs.astype(np.float32))


def batch(
    ndim: int, k: int, overlapping: bool, b: int = 2, *, valid: bool = True, absent: bool = False
) -> Batch:
    generator = torch.Generator().manual_seed(3)
    drawn = [blobs(ndim, k, overlapping, np.random.default_rng(i)) for i in range(b)]
    masks = torch.from_numpy(np.stack(drawn))
    if absent:
        masks[:, 0] = False
    target = masks.float() if overlapping else torch.where(masks.any(1), masks.float().argmax(1) + 1, 0)
    image = torch.randn(b, 1, *shape_of(ndim), generator=generator)
    mask = torch.full((b, *shape_of(ndim)), valid)
    return Batch(image, target, mask, tuple(f"case{i}" for i in range(b)))


def nets(method: Method, ndim: int, k: int, overlapping: bool) -> list[torch.nn.Module]:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d if ndim == 2 else torch.nn.Conv3d
    return [conv(1, k + (not overlapping), 3, padding=1) for _ in range(method.needs.networks)]


def trained(method: Method, kind: tuple, steps: int, state=None, modules=None):
    ndim, k, overlapping = kind
    state = method.init(facts(*kind)) if state is None else state
    modules = modules or nets(method, ndim, k, overlapping)
    for _ in range(steps):
        loss, logits, state = method.step(state, batch(*kind), modules)
        loss.backward()
    return state, loss, logits, modules


def revised(method: Method, state, kind, **flags):
    cases = [case(f"case{i}", *kind, seed=i, **flags) for i in range(2)]
    n_clean = 0 if method.needs.clean == "unused" else 3
    perfect = flags.get("perfect", False)
    clean = [case(f"clean{i}", *kind, seed=10 + i, perfect=perfect) for i in range(n_clean)]
    state, revisions = method.revise(state, iter(cases), iter(clean))
    return cases, list(revisions), state


def every_revision(method: Method, kind, **flags):
    """Given labels by case, and what the method revises in all its rounds and from saved probabilities."""
    state, found = trained(method, kind, 1)[0], []
    for _ in range(method.needs.rounds):
        cases, revisions, state = revised(method, state, kind, **flags)
        found += revisions
    if type(method).revise_from_probs is not Method.revise_from_probs:
        confidence = sum(self_confidence(p.given, p.probs) for p in cases)
        known = Known(facts(*kind), confidence, trusted=lambda: iter(cases))
        found += method.revise_from_probs(known, lambda: iter(cases))[1]
    return {p.case: p.given for p in cases}, found


def test_it_builds_with_defaults_and_is_a_frozen_value(name):
    method = METHODS[name]()
    rebuilt = eval(repr(method), {type(method).__name__: type(method)})
    assert rebuilt == method
    assert type(method).__dataclass_params__.frozen
    assert method_name(method) == name


def test_it_names_its_paper_and_documents_its_fields(name):
    method = METHODS[name]
    assert "Paper:" in method.__doc__
    for field in dataclasses.fields(method):
        assert f"{field.name}:" in method.__doc__


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_step_gives_a_finite_loss_logits_of_the_right_shape_and_a_gradient(name, kind):
    method = METHODS[name]()
    _, loss, logits, modules = trained(method, kind, 2)
    ndim, k, overlapping = kind
    assert loss.ndim == 0
    assert torch.isfinite(loss)
    assert tuple(logits.shape) == (2, k + (not overlapping), *shape_of(ndim))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for m in modules for p in m.parameters())


@pytest.mark.parametrize("special", [{"b": 1}, {"absent": True}, {"valid": False}], ids=str)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_batch_of_one_an_absent_class_and_an_all_ignored_batch_are_survived(name, kind, special):
    method = METHODS[name]()
    modules = nets(method, *kind)
    loss, _, _ = method.step(method.init(facts(*kind)), batch(*kind, **special), modules)
    loss.backward()
    assert torch.isfinite(loss)
    if special == {"valid": False}:
        assert not any(p.grad is not None and p.grad.any() for m in modules for p in m.parameters())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_same_seed_gives_the_same_result(name, kind):
    method = METHODS[name]()
    one, two = (trained(method, kind, 3) for _ in range(2))
    assert float(one[1].detach()) == float(two[1].detach())
    first, second = (revised(method, s[0], kind)[1] for s in (one, two))
    assert len(first) == len(second)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.labels.array, b.labels.array)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_inputs_are_never_changed(name, kind):
    method = METHODS[name]()
    one = batch(*kind)
    before = [t.clone() for t in (one.image, one.target, one.valid)]
    state = method.init(facts(*kind))
    method.step(state, one, nets(method, *kind))
    for tensor, old in zip((one.image, one.target, one.valid), before):
        assert torch.equal(tensor, old)
    cases = [case("a", *kind, seed=1)]
    clean = [case("c", *kind, seed=2)]
    old = copy.deepcopy([(p.given.array, p.probs) for p in (*cases, *clean)])
    list(method.revise(state, cases, clean)[1])
    for p, (array, probs) in zip((*cases, *clean), old):
        np.testing.assert_array_equal(p.given.array, array)
        np.testing.assert_array_equal(p.probs, probs)


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_revisions_keep_shape_dtype_classes_and_ignored_pixels(name, kind, absent):
    method = METHODS[name]()
    given, revisions = every_revision(method, kind, absent=absent)
    assert bool(revisions) == (type(method).revise is not Method.revise)
    for revision in revisions:
        old, new = given[revision.case], revision.labels
        assert new.array.shape == old.array.shape
        assert new.array.dtype == old.array.dtype
        assert new.classes == old.classes
        np.testing.assert_array_equal(new.ignored(), old.ignored())
        np.testing.assert_array_equal(new.masks()[:, old.ignored()], old.masks()[:, old.ignored()])
        changed = new.masks() ^ old.masks()
        assert sum(revision.added_vox) + sum(revision.removed_vox) == changed.sum()
        assert 0 <= revision.confidence <= 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_perfect_predictions_are_a_fixed_point(name, kind):
    given, revisions = every_revision(METHODS[name](), kind, perfect=True)
    assert [r.case for r in revisions if not np.array_equal(r.labels.array, given[r.case].array)] == []


def test_stop_save_load_and_go_on_equals_uninterrupted(name):
    from labelmend.workflows.training.checkpoint import _pack, _unpack

    method, kind = METHODS[name](), KINDS["2-D, four classes, exclusive"]
    whole, loss, _, _ = trained(method, kind, 4)
    state, _, _, modules = trained(method, kind, 2)
    buffer = io.BytesIO()
    torch.save(_pack(state), buffer)
    buffer.seek(0)
    state = _unpack(torch.load(buffer, weights_only=True))
    again, loss_again, _, _ = trained(method, kind, 2, state, modules)
    assert float(loss.detach()) == float(loss_again.detach())
    assert repr(again) == repr(whole)


def test_the_state_stays_small_however_many_epochs(name):
    """A few bytes a pixel at most, and no more than some numbers a class and epoch on top."""
    method, kind = METHODS[name](), KINDS["2-D, four classes, exclusive"]
    modules, sizes = nets(method, *kind), []
    state = method.init(facts(*kind))
    for epoch in range(24):
        one = dataclasses.replace(batch(*kind), epoch=epoch)
        _, _, state = method.step(state, one, modules)
        state, _ = method.epoch_end(state, epoch)
        sizes.append(len(pickle.dumps(state)))
    assert sizes[-1] <= 4 * 2 * np.prod(shape_of(2)) + 16384  # pixels of the data, and tables of the classes
    assert sizes[-1] - sizes[3] <= 20 * 4 * 32


def test_findings_can_be_written_as_json(name):
    method, kind = METHODS[name](), KINDS["2-D, two classes, overlapping"]
    _, _, state = revised(method, method.init(facts(*kind)), kind)
    rows = json.loads(json.dumps(method.findings(state)))
    assert [row for row in rows if not {"class", "why"} <= row.keys()] == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_undoes_a_bias_can_be_saved_and_makes_masks_or_is_refused(name, kind):
    method, (ndim, k, overlapping) = METHODS[name](), kind
    cases, _, state = revised(method, method.init(facts(*kind)), kind)
    found, settings = method.correction(state), {"overlapping": overlapping, "spacing_mm": (1.0,) * ndim}
    if found is None:
        with pytest.raises(ConfigError, match=f"{type(method).__name__} knows no way"):
            method.correct_prediction({}, cases[0].probs, **settings)
    else:
        masks = method.correct_prediction(json.loads(json.dumps(found)), cases[0].probs, **settings)
        assert masks.shape == (k, *shape_of(ndim))
        assert masks.dtype == bool
        assert overlapping or masks.sum(axis=0).max() <= 1
