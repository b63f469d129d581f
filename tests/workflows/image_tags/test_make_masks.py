"""From tags to masks on drawn pictures: what is written, what may go wrong, and that training takes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from drawing import picture, volume
from drawn_data import QUICK, contents, half_files
from labelmend.errors import (
    ConfigError,
    DataError,
    GeometryError,
    LabelmendError,
    MissingDataError,
    OutputError,
)
from labelmend.io import checksum, open_dataset, open_labels, read_manifest
from labelmend.runtime.progress import Tick
from labelmend.workflows.image_tags.make_masks import pseudo_masks
from labelmend.workflows.image_tags.page import write_pseudo_masks_page
from labelmend.workflows.training.train import train

N = 24
FEW = {"resize": 16, "epochs": 1, "batch_size": 8, "threads": 1, "device": "cpu"}


def draw(root: Path, n: int = N, size: int = 32) -> Path:
    """images/, truth/ and tags.csv: bright discs on every second image, dark squares on two of four."""
    rng, lines = np.random.default_rng(0), ["image,disc,square"]
    y, x = np.mgrid[:size, :size]
    for i in range(n):
        image, truth = rng.normal(0.5, 0.05, (size, size)), np.zeros((size, size), np.uint8)
        (a, b), (c, d) = rng.uniform(6, size - 6, 2), rng.integers(1, size - 11, 2)
        shapes = (
            ((y - a) ** 2 + (x - b) ** 2 < 30, 0.4),
            ((abs(y - c - 5) < 5) & (abs(x - d - 5) < 5), -0.4),
        )
        for value, (mask, change) in enumerate(shapes, start=1):
            if i // value % 2:
                image, truth = np.where(mask, 0.5 + change, image), np.where(mask, value, truth)
        picture(root / f"images/c{i:02}.png", image)
        picture(root / f"truth/c{i:02}.png", truth.astype(np.uint8))
        lines.append(f"c{i:02}.png,{i % 2},{i // 2 % 2}")
    (root / "tags.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A run long enough to learn something; its ticks."""
    ticks: list[Tick] = []
    out = tmp_path_factory.mktemp("made") / "out"
    result = pseudo_masks(
        data / "images", data / "tags.csv", out, resize=32, epochs=12, batch_size=8, learning_rate=1e-2,
        device="cpu", threads=1, progress=ticks.append,
    )  # fmt: skip
    return result, ticks


def scores_of(folder: Path, case: str) -> np.ndarray:
    with np.load(folder / f"scores/{case}.npz", allow_pickle=False) as file:
        return file["scores"]


# ---- what is written


def test_the_masks_are_a_label_folder_whose_unsure_pixels_are_ignored(data, made):
    result, _ = made
    labels = open_labels(result.labels)
    assert (labels.classes, labels.values, labels.ignore) == (("disc", "square"), (1, 2), 255)
    paired = open_dataset(data, result.labels.resolve())
    assert len(paired.cases) == N
    assert half_files(result.folder) == []


def test_a_class_is_marked_where_it_is_tagged_only_and_no_tag_is_background_everywhere(made):
    result, _ = made
    labels = open_labels(result.labels)
    for i, case in enumerate(labels.cases):
        found = set(np.unique(labels.read(case).array).tolist())
        tagged = {value for value, there in ((1, i % 2), (2, i // 2 % 2)) if there}
        assert found <= {0, 255, *tagged} if tagged else found == {0}
        scores = scores_of(result.folder, case)
        assert (scores.dtype, scores.shape) == (np.float16, (2, 32, 32))
        assert [bool(s.any()) for s in scores] == [1 in tagged, 2 in tagged]
        assert all(s.max() == 1 for s in scores if s.any())


def test_the_scores_are_higher_on_the_drawn_shapes_than_beside_them(data, made):
    result, _ = made
    truth = open_labels(data / "truth", classes={"disc": 1, "square": 2})
    for j in (0, 1):
        pairs = [(scores_of(result.folder, case)[j], truth.read(case).array == j + 1) for case in truth.cases]
        inside = np.concatenate([s[m] for s, m in pairs if m.any()]).astype(float)
        beside = np.concatenate([s[~m] for s, m in pairs if m.any()]).astype(float)
        assert inside.mean() > 2 * beside.mean()


def test_every_mask_is_on_record_with_its_image(data, made):
    result, _ = made
    rows = read_manifest(result.folder / "manifest.jsonl")
    assert [row.case for row in rows] == [f"c{i:02}" for i in range(N)]
    row = rows[3]
    assert row.files == ("labels/c03.png", "scores/c03.npz")
    assert row.checksum == checksum(*(result.folder / file for file in row.files))
    assert row.parent == str(data / "images/c03.png")
    assert row.parent_checksum == checksum(row.parent)
    assert (row.method, row.version, row.seed) == ("pseudo_masks", 0, 0)
    assert row.extra == {"tags": ["disc", "square"]}
    assert row.parameters["foreground"] == 0.5
    assert rows[0].reason == "no tag: background everywhere"


def test_the_summary_agrees_with_the_masks(made):
    result, _ = made
    assert json.loads((result.folder / "summary.json").read_text()) == result.summary
    labels = open_labels(result.labels)
    maps = {case: labels.read(case).array for case in labels.cases}
    disc = result.summary["classes"][0]
    tagged = [array for i, array in enumerate(maps.values()) if i % 2]
    assert disc["n_tagged"] == 12
    assert disc["seeded"] == pytest.approx(np.mean([(a == 1).mean() for a in tagged]))
    assert disc["unsure"] == pytest.approx(np.mean([(a == 255).mean() for a in tagged]))
    assert result.summary["background"] == pytest.approx(np.mean([(a == 0).mean() for a in maps.values()]))
    assert (result.summary["n_training"], result.summary["n_held_out"]) == (N - 4, 4)
    assert disc["auc"] is None  # four held-out images are too few
    assert any("Too few held-out images" in text for text in result.summary["warnings"])
    assert result.summary["loss"][-1] < result.summary["loss"][0]


def test_the_page_shows_twelve_examples(made):
    result, _ = made
    page = write_pseudo_masks_page(result.folder).read_text(encoding="utf-8")
    assert page.count("<article") == 12
    assert "<h1>Masks of disc and square from tags alone</h1>" in page


def test_progress_is_told(made):
    _, ticks = made
    last = {tick.stage: (tick.done, tick.total) for tick in ticks}
    assert last == {"reading images": (N, N), "learning tags": (12, 12), "writing masks": (N, N)}


def test_training_takes_the_masks_as_given_labels(data, made, tmp_path):
    result, _ = made
    run = train(data, labels=str(result.labels.resolve()), out=tmp_path / "run", method="adele",
                **{**QUICK, "epochs": 1, "seed": 0})  # fmt: skip
    assert len(run.summary["cases"]) == N
    corrected = open_labels(run.labels, classes={"disc": 1, "square": 2}, ignore=255)
    assert (corrected.classes, corrected.ignore) == (("disc", "square"), 255)


# ---- again, and other ways


def test_the_same_call_again_replaces_its_files_by_the_same_ones(data, tmp_path):
    images, tags, out = data / "images", data / "tags.csv", tmp_path / "out"
    pseudo_masks(images, tags, out, **FEW)
    first = contents(out)
    pseudo_masks(images, tags, out, **FEW, page=False)
    assert contents(out) == {name: digest for name, digest in first.items() if name != "report.html"}
    pseudo_masks(images, tags, out, **FEW)
    assert contents(out) == first
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    pseudo_masks(images, tags, out, **FEW, seed=1)
    assert contents(out)["scores/c01.npz"] != first["scores/c01.npz"]


def test_a_mask_corrected_by_hand_is_not_replaced(data, tmp_path):
    pseudo_masks(data / "images", data / "tags.csv", tmp_path / "out", **FEW)
    picture(tmp_path / "out/labels/c01.png", np.zeros((32, 32), np.uint8))
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match=r"case c01 in .* was edited"):
        pseudo_masks(data / "images", data / "tags.csv", tmp_path / "out", **FEW)
    assert contents(tmp_path / "out") == before


def test_images_of_differing_sizes_get_masks_of_their_own_sizes(data, tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(20, 32), (40, 24), (9, 7), (32, 32)]
    for i in range(8):
        picture(tmp_path / f"images/c{i}.png", rng.random(sizes[i % 4]))
    tags = tmp_path / "tags.tsv"
    tags.write_text("case\ttags\n" + "".join(f"c{i}\t{'x' * (i < 4)}\n" for i in range(8)))
    result = pseudo_masks(tmp_path / "images", tags, tmp_path / "out", **FEW)
    labels = open_labels(result.labels)
    assert [labels.read(f"c{i}").array.shape for i in range(4)] == sizes
    assert scores_of(result.folder, "c2").shape == (1, 9, 7)
    assert result.summary["n_sizes"] == 4
    assert write_pseudo_masks_page(result.folder).is_file()


def test_colour_jpeg_gets_png_masks_and_nifti_keeps_its_grid(tmp_path):

    rng = np.random.default_rng(0)
    for i in range(6):
        (tmp_path / "colour").mkdir(exist_ok=True)
        picture(tmp_path / f"colour/c{i}.jpg", rng.integers(0, 255, (16, 20, 3), np.uint8))
        (tmp_path / "mri").mkdir(exist_ok=True)
        slice_ = nibabel.Nifti1Image(
            rng.normal(size=(16, 20)).astype(np.float32), np.diag([2.0, 3.0, 1.0, 1.0])
        )
        nibabel.save(slice_, tmp_path / f"mri/c{i}.nii.gz")
    tags = tmp_path / "tags.csv"
    tags.write_text("case,x\n" + "".join(f"c{i},{i % 2}\n" for i in range(6)))
    colour = pseudo_masks(tmp_path / "colour", tags, tmp_path / "out1", **FEW)
    assert colour.summary["channels"] == 3
    assert sorted(p.name for p in colour.labels.glob("*.png")) == [f"c{i}.png" for i in range(6)]
    mri = pseudo_masks(tmp_path / "mri", tags, tmp_path / "out2", **FEW, measure="image")
    assert open_labels(mri.labels).read("c1").grid.spacing_mm == (2.0, 3.0)
    assert write_pseudo_masks_page(colour.folder).is_file()


def test_a_network_of_ones_own_is_copied_and_its_layers_are_read(data, tmp_path):
    own = nn.Sequential()
    own.add_module("near", nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()))
    own.add_module("far", nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()))
    before = {name: value.clone() for name, value in own.state_dict().items()}
    result = pseudo_masks(
        data / "images", data / "tags.csv", tmp_path / "out", **FEW, backbone=own, layers=["near", "far"]
    )
    assert result.summary["layers"] == ["near", "far"]
    assert result.summary["settings"]["backbone"] == "Sequential"
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


@pytest.mark.parametrize(
    "settings",
    [{"mode": "none", "layers": ["stage4"]}, {"checkpointing": True}, {"held_out": 0.0},
     {"resize": None}, {"flips": False}, {"conflict": "smaller"}],
    ids=str,
)  # fmt: skip
def test_every_setting_leads_to_masks(data, tmp_path, settings):
    result = pseudo_masks(data / "images", data / "tags.csv", tmp_path / "out", **{**FEW, **settings})
    assert len(open_labels(result.labels).cases) == N
    if settings == {"held_out": 0.0}:
        assert result.summary["n_training"] == N
        assert any("No image was held out" in text for text in result.summary["warnings"])


@pytest.mark.parametrize("refine", ["grow", "random_walk"])
def test_refining_leaves_seeds_as_they_are_and_decides_some_unsure_pixels(data, tmp_path, refine):
    pytest.importorskip("skimage")
    ways = {**FEW, "epochs": 6, "learning_rate": 1e-2}
    plain = pseudo_masks(data / "images", data / "tags.csv", tmp_path / "plain", **ways)
    refined = pseudo_masks(data / "images", data / "tags.csv", tmp_path / "refined", **ways, refine=refine)
    before, after = open_labels(plain.labels), open_labels(refined.labels)
    decided = 0
    for case in before.cases:
        one, other = before.read(case).array, after.read(case).array
        np.testing.assert_array_equal(one[one != 255], other[one != 255])
        decided += int(((one == 255) & (other != 255)).sum())
    assert decided > 0


# ---- bad input


@pytest.fixture
def refused(data, tmp_path) -> Callable[..., None]:
    """Nothing is written, and one sentence holds all these words."""

    def check(
        kind: type[LabelmendError], *words: str, images: Path | None = None, tags: str = "", **more: Any
    ) -> None:
        table = data / "tags.csv"
        if tags:
            table = tmp_path / "tags.csv"
            table.write_text(tags)
        with pytest.raises(LabelmendError) as caught:
            pseudo_masks(images or data / "images", table, tmp_path / "out", **{**FEW, **more})
        assert type(caught.value) is kind
        assert [word for word in words if word not in str(caught.value)] == []
        assert not (tmp_path / "out").exists()

    return check


def rows(change: Callable[[int], str]) -> str:
    return "image,disc\n" + "".join(f"c{i:02},{change(i)}\n" for i in range(N))


def test_tags_of_images_that_are_not_there(refused):
    refused(
        MissingDataError, "1 of 25 cases that have no image: c99", tags=rows(lambda i: str(i % 2)) + "c99,1\n"
    )


def test_images_without_tags(refused):
    refused(MissingDataError, "23 of 24 images have no line", "c01, c02", tags="image,disc\nc00,1\n")


def test_a_class_that_is_never_tagged(refused):
    refused(DataError, "tags none of 24 images with disc", tags=rows(lambda i: "0"))


def test_all_images_of_one_class(refused):
    refused(DataError, "same tags on every image (disc)", tags=rows(lambda i: "1"))


def test_a_class_on_every_image_beside_another_is_made_with_a_warning(data, tmp_path):
    text = "image,body,disc\n" + "".join(f"c{i:02},1,{i % 2}\n" for i in range(N))
    (tmp_path / "tags.csv").write_text(text)
    result = pseudo_masks(data / "images", tmp_path / "tags.csv", tmp_path / "out", **FEW)
    assert any(text.startswith("body is on every image") for text in result.summary["warnings"])


def test_images_of_differing_channels(refused, data, tmp_path):
    picture(tmp_path / "images/c01.png", np.zeros((32, 32, 3), np.uint8))
    picture(tmp_path / "images/c00.png", np.zeros((32, 32), np.uint8))
    words = [str(tmp_path / "images/c01.png"), "3 channels", str(tmp_path / "images/c00.png"), "has 1"]
    refused(DataError, *words, images=tmp_path / "images", tags="image,x\nc00,1\nc01,0\n")


def test_volumes(refused, tmp_path):
    (tmp_path / "images").mkdir()
    volume(tmp_path / "images/v.nii", np.zeros((4, 4, 4), np.float32), np.eye(4))
    volume(tmp_path / "images/w.nii", np.zeros((4, 4), np.float32), np.eye(4))
    text = "image,tags\nv,x\nw,\n"
    refused(GeometryError, "v.nii is a volume", "2-D", images=tmp_path / "images", tags=text)


def test_images_of_differing_sizes_that_are_not_resized(refused, tmp_path):
    picture(tmp_path / "images/a.png", np.zeros((8, 8), np.uint8))
    picture(tmp_path / "images/b.png", np.zeros((8, 9), np.uint8))
    text = "image,x\na,1\nb,0\n"
    words = ["(8, 9)", "(8, 8)", "--resize"]
    refused(GeometryError, *words, images=tmp_path / "images", tags=text, resize=None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"held_out": 0.9}, "held_out must lie in [0, 0.5]"),
        ({"background": 0.6}, "background < foreground"),
        ({"mode": "both"}, "mode must be one of propagate, none"),
        ({"refine": "crf"}, "refine must be one of none, grow, random_walk"),
        ({"measure": "pixel"}, "measure must be one of set, image"),
        ({"conflict": "all"}, "conflict must be one of argmax, ignore, smaller"),
        ({"epochs": 0}, "epochs and batch_size must be 1 or more"),
        ({"resize": [8]}, "resize needs 2 positive sizes"),
        ({"layers": ["stage9"]}, "no layer 'stage9'"),
        ({"backbone": nn.Conv2d(1, 2, 3)}, "needs `layers`"),
        (
            {"backbone": nn.Sequential(nn.Conv2d(3, 2, 3)), "layers": ["0"]},
            "does not accept images (1, 1, 16, 16)",
        ),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
        ({"classes": ["dics"]}, "did you mean 'disc'"),
    ],
)
def test_settings_that_cannot_be_used(refused, settings, words):
    refused(ConfigError, words, **settings)


def test_an_output_folder_among_the_images_or_with_something_in_it(data, tmp_path):
    with pytest.raises(OutputError, match="is inside the input folder"):
        pseudo_masks(data / "images", data / "tags.csv", data / "images" / "out", **FEW)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(OutputError, match=r"already holds mine\.txt"):
        pseudo_masks(data / "images", data / "tags.csv", tmp_path, **FEW)
