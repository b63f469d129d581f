"""How much of an object maps from image-level tags cover: one layer or several, with attention or without.

    python benchmarks/weak_maps.py [--minutes 9] [--share 0/2 --threads 1]      until nothing is left; then
    python benchmarks/weak_maps.py --table

Three sets (weak_sets.py says what they need), three seeds. A piece is one small network, trained from scratch
on tags alone, and the maps made with it; or the maps that need no network. Grad-CAM and LayerCAM are those of
torchcam (`pip install --no-deps --target FOLDER torchcam`, and PYTHONPATH=FOLDER).

Maps of a class count where it is tagged in truth, divided by their maximum in the image, at the size of the
image; scores are pooled over the pixels of the test images with that tag. All maps of networks are means over
the image and its mirror image.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from labelmend.metrics.coverage import coverage_curve
from labelmend.workflows.image_tags.attention import propagate
from labelmend.workflows.image_tags.class_maps import Mode, MultiLayerCAM, TinyBackbone, class_maps
from labelmend.workflows.image_tags.layer_outputs import LayerTap
from labelmend.workflows.image_tags.pooling import POOLED_SHARE
from labelmend.workflows.image_tags.train_classifier import fit_tags
from weak_sets import SETS, SIDE, WeakSet, installed, trivial_scores

RESULTS = Path(__file__).parent / "results" / "weak_maps.jsonl"
SEEDS = range(3)
GROUPS = ("trivial", "last", "stack", "fine", "last, mean", "stack, mean")
LAYERS = ("stage2", "stage3", "stage4")
N_TRAIN, N_TEST, EPOCHS = 1200, 300, 16
BATCH = 10
METRICS = {
    "average_precision": "AP",
    "recall_at_60": "recall at precision 60 %",
    "recall_at_70": "at 70 %",
    "recall_at_80": "at 80 %",
    "best_iou": "best IoU",
}
ARMS = {
    "one value everywhere": "trivial",
    "grey value": "trivial",
    "gradient": "trivial",
    "nearness to the centre": "trivial",
    "last layer": "last",
    "last layer, Grad-CAM (torchcam)": "last",
    "last layer's network, LayerCAM of three layers (torchcam)": "last",
    "last layer on the grid of the stack": "fine",
    "last layer, spread over three layers": "last",
    "three layers, no attention": "stack",
    "Multi-SA, propagated (default)": "stack",
    "pooled by mean: last layer": "last, mean",
    "pooled by mean: last layer, spread over three layers": "last, mean",
    "pooled by mean: three layers, no attention": "stack, mean",
    "pooled by mean: Multi-SA, propagated": "stack, mean",
}
Maps = NDArray[np.floating]
MapsOf = Callable[[Tensor, Tensor], Tensor]


def network(group: str, k: int, seed: int) -> MultiLayerCAM:
    torch.manual_seed(seed)
    backbone = TinyBackbone(1)
    if group == "fine":
        keep_grid(backbone)
    kind, _, mean = group.partition(", ")
    layers = LAYERS if kind == "stack" else LAYERS[-1:]
    mode: Mode = "propagate" if kind == "stack" else "none"
    pooled = None if mean else POOLED_SHARE
    return MultiLayerCAM(backbone, k, layers=layers, mode=mode, pooled_share=pooled)


def keep_grid(backbone: TinyBackbone) -> None:
    """Stages 3 and 4 on the grid of stage 2: pools without stride, convolutions as far apart as before."""
    for stage, dilation in ((backbone.stage3, 2), (backbone.stage4, 4)):
        for index, part in enumerate(stage):
            if isinstance(part, nn.MaxPool2d):
                stage[index] = nn.MaxPool2d(3, stride=1, padding=1)
            elif isinstance(part, nn.Conv2d):
                part.dilation = part.padding = (dilation, dilation)


def piece_of(name: str, seed: int, group: str, sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Scores of all arms of a piece: metric, then class."""
    n_train, n_test, epochs = sizes
    test = SETS[name]("test", n_test, seed)
    if group == "trivial":
        maps = trivial_scores(test) | {"constant": np.ones((n_test, SIDE, SIDE), np.float32)}
        order = ("constant", "brightness", "edge", "centre")
        found = {arm: np.stack([maps[key]] * len(test.classes), 1) for arm, key in zip(arms_of(group), order)}
        return {"accuracy": None, "arms": {arm: scores(m, test) for arm, m in found.items()}}
    if group == "last":
        installed("torchcam", "__init__.py")  # says so before the training
    train = SETS[name]("train", n_train, seed)
    model = network(group, len(test.classes), seed)
    history = fit_tags(model, torch.from_numpy(train.images), train.tags, epochs=epochs, seed=seed)
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(batch).logits for batch, _ in batches(test)]).numpy()
    return {
        "accuracy": dict(zip(test.classes, rounded(((logits > 0) == test.tags).mean(axis=0)))),
        "loss": rounded(history.loss),
        "arms": {arm: scores(all_maps(of, test), test) for arm, of in makers(model, group).items()},
    }


def makers(model: MultiLayerCAM, group: str) -> dict[str, MapsOf]:
    """For each arm of a trained network, a function from images and tags to maps."""

    def ours(mode: str) -> MapsOf:
        def maps(images: Tensor, tags: Tensor) -> Tensor:
            model.mode = mode  # type: ignore[assignment]  # "none" and "propagate" are the same network
            return class_maps(model, images, tags).fused

        return maps

    def mirrored(plain: MapsOf) -> MapsOf:
        return lambda images, tags: (plain(images, tags) + plain(images.flip(-1), tags).flip(-1)) / 2

    made = {
        "last layer": ours("none"),
        "last layer on the grid of the stack": ours("none"),
        "last layer, spread over three layers": mirrored(lambda images, _: spread(model, images)),
        "last layer, Grad-CAM (torchcam)": mirrored(
            lambda images, tags: torchcam(model, "GradCAM", LAYERS[-1:], images, tags)
        ),
        "last layer's network, LayerCAM of three layers (torchcam)": mirrored(
            lambda images, tags: torchcam(model, "LayerCAM", LAYERS, images, tags)
        ),
        "three layers, no attention": ours("none"),
        "Multi-SA, propagated (default)": ours("propagate"),
        "Multi-SA, propagated": ours("propagate"),
    }
    return {arm: made[arm.removeprefix("pooled by mean: ")] for arm in arms_of(group)}


@torch.no_grad()
def spread(model: MultiLayerCAM, images: Tensor) -> Tensor:
    """Maps of the last layer, propagated over features of three."""
    with LayerTap(model.backbone, LAYERS) as tap:
        maps = model(images).maps
    stages = [tap[name] for name in LAYERS]
    return at_size(propagate(at_size(maps, stages[0].shape[-1]), stages), SIDE)


def torchcam(
    model: MultiLayerCAM, method: str, layers: tuple[str, ...], images: Tensor, tags: Tensor
) -> Tensor:
    """Maps as torchcam makes them: each between 0 and 1, layers fused by its own rule."""
    from torchcam import methods

    found = torch.zeros(*tags.shape, SIDE, SIDE)
    with getattr(methods, method)(model, [f"backbone.{name}" for name in layers]) as extractor:
        for c in range(tags.shape[1]):
            cams = extractor(c, model(images).logits)
            found[:, c] = at_size(extractor.fuse_cams(cams)[:, None], SIDE)[:, 0]
    return found


def at_size(maps: Tensor, side: int) -> Tensor:
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def all_maps(maps_of: MapsOf, data: WeakSet) -> Maps:
    return torch.cat([maps_of(images, tags) for images, tags in batches(data)]).numpy()


def batches(data: WeakSet) -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(data.images), BATCH):
        rows = slice(first, first + BATCH)
        yield torch.from_numpy(data.images[rows]), torch.from_numpy(data.tags[rows])


def scores(maps: Maps, data: WeakSet) -> dict[str, dict[str, float]]:
    """For each metric, a score a class, over the images in which it is tagged."""
    found: dict[str, dict[str, float]] = {metric: {} for metric in METRICS}
    for c, name in enumerate(data.classes):
        rows = data.tags[:, c]
        shown = np.maximum(maps[rows, c], 0)
        shown = shown / np.maximum(shown.max(axis=(1, 2), keepdims=True), 1e-12)
        curve = coverage_curve(shown, data.masks[rows, c])
        values = [curve.average_precision, *(curve.recall_at(p) for p in (0.6, 0.7, 0.8)), curve.best_iou]
        for metric, value in zip(METRICS, rounded(values)):
            found[metric][name] = value
    return found


def rounded(values: Any) -> list[float]:
    return np.round(np.asarray(values, float), 5).tolist()


def arms_of(group: str) -> list[str]:
    return [arm for arm, of in ARMS.items() if of == group]


def pieces() -> Iterator[tuple[str, int, str]]:
    for groups in (GROUPS[:3], GROUPS[4:], GROUPS[3:4]):
        for seed in SEEDS:
            for name in SETS:
                for group in groups:
                    yield name, seed, group


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further piece after this time")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th piece, for n processes side by side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="only pieces whose `set seed group` matches")
    parser.add_argument("--smoke", action="store_true", help="100 images, 1 epoch; print, and write nothing")
    parser.add_argument("--table", action="store_true", help="write the table")
    options = parser.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if options.table:
        return table(rows)
    torch.set_num_threads(options.threads)
    done = set() if options.smoke else {(row["set"], row["seed"], row["group"]) for row in rows}
    sizes = (100, 100, 1) if options.smoke else (N_TRAIN, N_TEST, EPOCHS)
    began = time.monotonic()
    first, step = map(int, options.share.split("/"))
    mine = [p for p in pieces() if re.search(options.only, "{} {} {}".format(*p))][first::step]
    left = [piece for piece in mine if piece not in done]
    while left and time.monotonic() - began < 60 * options.minutes:
        (name, seed, group), start = left.pop(0), time.monotonic()
        found = piece_of(name, seed, group, sizes)
        seconds = round(time.monotonic() - start, 1)
        row = {"set": name, "seed": seed, "group": group, "seconds": seconds} | found
        if not options.smoke:
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(f"{name} {seed} {group} ({seconds} s)", *brief(row), sep="\n    ", flush=True)
    print(f"{len(left)} pieces left" if left else "nothing left: python benchmarks/weak_maps.py --table")
    return None


def brief(row: dict[str, Any]) -> list[str]:
    accuracy = [f"accuracy {mean_of(row['accuracy']):.3f}"] if row["accuracy"] else []
    return accuracy + [
        f"{arm}: " + ", ".join(f"{label} {mean_of(values[metric]):.3f}" for metric, label in METRICS.items())
        for arm, values in row["arms"].items()
    ]


def mean_of(by_class: dict[str, float]) -> float:
    return float(np.mean(list(by_class.values())))


def table(rows: list[dict[str, Any]]) -> None:
    lines = [
        "# Maps from image-level tags",
        "",
        f"Made by `python benchmarks/weak_maps.py`. Small networks, trained from scratch on {N_TRAIN} images",
        f"of 64 x 64, {EPOCHS} epochs; {N_TEST} test images. Maps gated by the true tags; scores pooled over",
        "the pixels of the test images that carry the tag, mean over classes; then mean ± standard deviation",
        "over seeds, each with its own data, order and weights. `one value everywhere` shows the share of",
        "object pixels. Recall at a precision is the largest share of the object that a threshold finds",
        "while that share of what it finds is right. Accuracy is that of the tags. Logits pool maps by rank",
        f"(share {POOLED_SHARE:g}, the default, chosen on training images with other seeds), but where",
        "`pooled by mean` stands: the plain mean of CAM.",
        "",
    ]
    for name in SETS:
        here = [row for row in rows if row["set"] == name]
        if here:
            lines += set_table(name, here)
    lines += ["## Seconds of a piece, training and maps", "", f"| | {' | '.join(GROUPS)} |"]
    lines += ["|---|" + "---|" * len(GROUPS)]
    for name in SETS:
        of = [[r["seconds"] for r in rows if (r["set"], r["group"]) == (name, g)] for g in GROUPS]
        lines.append(f"| {name} | {' | '.join(f'{np.mean(s):.0f}' if s else '–' for s in of)} |")
    RESULTS.with_suffix(".md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def set_table(name: str, rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"## {name}", "", f"| | {' | '.join(METRICS.values())} | accuracy | seeds |"]
    lines += ["|---|" + "---|" * (len(METRICS) + 2)]
    for arm, group in ARMS.items():
        here = [row for row in rows if row["group"] == group]
        if not here:
            continue
        cells = [spread_of([mean_of(row["arms"][arm][metric]) for row in here]) for metric in METRICS]
        cells.append(spread_of([mean_of(row["accuracy"]) for row in here if row["accuracy"]]))
        lines.append(f"| {arm} | {' | '.join(cells)} | {len(here)} |")
    return [*lines, "", *gains(rows), ""]


def gains(rows: list[dict[str, Any]]) -> list[str]:
    """What layers and attention add to the average precision of the last layer, seed by seed."""
    found = {
        (arm, row["seed"]): mean_of(values["average_precision"])
        for row in rows
        for arm, values in row["arms"].items()
    }
    lines = []
    for arm in ("three layers, no attention", "Multi-SA, propagated (default)"):
        pairs = [(found.get((arm, seed)), found.get(("last layer", seed))) for seed in SEEDS]
        told = ", ".join(f"{a - b:+.3f}" for a, b in pairs if a is not None and b is not None)
        lines.append(f"- {arm}, less last layer, AP by seed: {told}")
    return lines


def spread_of(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
