"""The page of masks from tags: what it says, what its pictures show, and that it loads nothing."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawing import picture
from labelmend.errors import UnreadableFileError
from labelmend.workflows.image_tags.page import (
    COLOURS,
    LEVELS,
    example,
    heat_uri,
    render_seeds,
    seeds_uri,
    write_pseudo_masks_page,
)

KNOWN = {"accuracy": 0.9, "commoner": 0.5, "auc": 0.97, "on_background": 0.12}


def one_class(name: str, value: int, **change: Any) -> dict[str, Any]:
    return {
        "name": name, "value": value, "n_tagged": 60, "n_without_seed": 2, "seeded": 0.2, "unsure": 0.31,
        "n_held_out": 20, "n_held_out_tagged": 10, **KNOWN, "shares": {"stage3": 1.25, "stage4": -0.5},
        **change,
    }  # fmt: skip


def summary(**change: Any) -> dict[str, Any]:
    """What summary.json holds of two images, one of them shown."""
    cases = [
        {
            "case": "a", "labels": "labels/a.png", "heat": "heat/a.npz", "tags": ["disc"],
            "background": 0.5, "unsure": 0.25, "classes": {"disc": 0.25, "square": 0.0},
        },
        {"case": "b", "labels": "labels/b.png", "heat": None, "tags": [], "unsure": 0.0, "classes": {}},
    ]  # fmt: skip
    return {
        "kind": "seed", "version": "0.1.0", "images": "/data/my set/images", "tags": "/data/tags.csv",
        "ignore": 255, "n_cases": 120, "n_training": 100, "n_held_out": 20, "n_sizes": 1, "channels": 1,
        "grid": [8, 8], "background": 0.5, "unsure": 0.3, "layers": ["stage3", "stage4"],
        "classes": [one_class("disc", 1), one_class("square", 2)], "loss": [0.7, 0.2],
        "training_accuracy": [0.95, 0.9], "warnings": ["disc is on every image."],
        "assumptions": ["Tags are right."], "notes": ["Left out: age."],
        "settings": {"mode": "propagate", "foreground": 0.3, "background": 0.05, "layers": ["x", "y"],
                     "backbone": None},
        "cases": cases, **change,
    }  # fmt: skip


def written(folder: Path, **change: Any) -> Path:
    """A folder of `seed`: an image of 8 x 4 with a disc to the left and unsure pixels to the right."""
    labels = np.zeros((8, 4), np.uint8)
    labels[:, 0], labels[:, 3] = 1, 255
    picture(folder / "labels/a.png", labels)
    (folder / "heat").mkdir()
    fused = np.zeros((2, 8, 8), np.uint8)
    fused[0, :, :4] = 255
    layers = np.stack([fused, fused // 2])
    np.savez(folder / "heat/a.npz", image=np.arange(64.0).reshape(1, 8, 8), fused=fused, layers=layers)
    (folder / "summary.json").write_text(json.dumps(summary(**change)))
    return folder


def pixels(uri: str) -> np.ndarray:
    """`(h w 4)` of a picture in a data URI."""
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def test_the_page_says_what_was_made_and_puts_warnings_before_numbers():
    page = render_seeds(summary(), [], Path("/out/labels"))
    assert "<h1>Masks of disc and square from tags alone</h1>" in page
    assert "120 images. On the average image 20 % of the pixels" in page
    assert "50 % as background, and 30 % are unsure: they have value 255" in page
    order = ["with caution", "disc is on every image.", "Class by class", "Which layers", "Assumptions<"]
    assert sorted(order, key=page.index) == order
    assert "Tags are right." in page
    assert "Left out: age." in page
    assert "the loss went from 0.70 to 0.20 in 2 epochs" in page
    assert "disc 95 % and square 90 %" in page
    assert "+1.25</td><td>−0.50</td><td>+0.75</td>" in page


def test_the_command_to_go_on_with_can_be_pasted():
    page = render_seeds(summary(), [], Path("/out dir/labels"))
    command = re.search("<code>(.*)</code>", page)[1].replace("&#39;", "'")
    assert command == "labelmend train '/data/my set' --labels '/out dir/labels' --method adele --out RUN"
    assert "labelmend train DATA --labels" in render_seeds(summary(images="/data/pictures"), [], Path("x"))


def test_what_is_not_known_is_left_out():
    unknown = dict.fromkeys([*KNOWN, "shares"])
    classes = [one_class("disc", 1, **unknown), one_class("square", 2, **unknown)]
    page = render_seeds(summary(classes=classes, warnings=[], notes=[]), [], Path("x"))
    assert "with caution" not in page
    assert "raise no concerns" in page
    assert "held-out image" not in page
    assert "Which layers" not in page
    one_known = render_seeds(summary(classes=[classes[0], one_class("square", 2)]), [], Path("x"))
    assert one_known.count("<td>–</td>") == 4


def test_an_example_has_a_row_for_each_tag_and_a_picture_for_each_layer_and_all_fused(tmp_path):
    folder = written(tmp_path)
    shown = example(folder, summary()["cases"][0], ["disc", "square"], 255)
    assert (shown.height, shown.width) == (148, 74)
    assert [row.name for row in shown.rows] == ["disc"]
    assert len(shown.rows[0].uris) == 3
    assert shown.content == "disc 25 % and unsure 25 %"
    strong, weak = pixels(shown.rows[0].uris[0]), pixels(shown.rows[0].uris[1])
    assert strong[:, :4, 3].min() > weak[:, :4, 3].max() > 0
    assert not strong[:, 4:, 3].any()


def test_a_map_is_clear_at_0_and_brighter_and_denser_the_higher_it_is():
    made = pixels(heat_uri(np.arange(256, dtype=np.uint8)[None]))[0].astype(int)
    assert made[0, 3] == 0
    assert (np.diff(made[:, 3]) >= 0).all()
    brightness = made[:, :3].sum(axis=1)
    assert (np.diff(brightness) >= 0).all()
    assert len(np.unique(made, axis=0)) == LEVELS


def test_a_mask_shows_classes_in_their_colours_background_clear_and_unsure_hatched():
    labels = np.repeat([[0, 1, 2, 255]], 24, axis=0).repeat(24, axis=1).astype(np.uint8)
    made = pixels(seeds_uri(labels, 2, 255))
    assert not made[:, :24, 3].any()
    for j in (0, 1):
        rgb = tuple(int(COLOURS[j][i : i + 2], 16) for i in (1, 3, 5))
        assert (made[:, 24 * (j + 1) : 24 * (j + 2), :3] == rgb).all()
    unsure = made[:, 72:, 3]
    assert set(np.unique(unsure)) == {50, 190}
    assert np.mean(unsure == 190) == pytest.approx(1 / 3)


def test_classes_beyond_the_colours_begin_anew():
    labels = np.full((4, 4), 9, np.uint8)
    assert (pixels(seeds_uri(labels, 9, 255)) == pixels(seeds_uri(np.ones((4, 4), np.uint8), 9, 255))).all()


def test_the_page_is_made_of_the_folder_alone_and_shows_the_examples(tmp_path):
    page = write_pseudo_masks_page(written(tmp_path))
    assert page == tmp_path / "report.html"
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 1
    assert text.count("<img") == 5
    assert "1 of 120 images" in text
    assert str((tmp_path / "labels").resolve()) in text


def test_an_image_without_a_tag_has_no_row_of_maps(tmp_path):
    cases = [{**summary()["cases"][0], "tags": []}]
    text = write_pseudo_masks_page(written(tmp_path, cases=cases)).read_text(encoding="utf-8")
    assert "No tag: background everywhere." in text
    assert text.count("<img") == 2


def test_the_page_loads_nothing_and_runs_nothing(tmp_path):
    text = write_pseudo_masks_page(written(tmp_path)).read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in text
    assert not re.search(r"<script|<link|https?://|@import", text)
    assert not re.search(r"(src=\"|url\()(?!data:image/png;base64,)", text)


def test_names_are_escaped(tmp_path):
    cases = [{**summary()["cases"][0], "case": "<i>", "tags": ["<b>"], "classes": {"<b>": 0.25}}]
    folder = written(
        tmp_path, cases=cases, classes=[one_class("<b>", 1), one_class("&", 2)], layers=["<u>", "y"]
    )
    found = json.loads((folder / "summary.json").read_text())
    for c in found["classes"]:
        c["shares"] = {"<u>": 1.0, "y": 1.0}
    (folder / "summary.json").write_text(json.dumps(found))
    text = write_pseudo_masks_page(folder).read_text(encoding="utf-8")
    assert not re.search("<i>|<b>|<u>", text)
    assert "&lt;i&gt;" in text
    assert text.count("&lt;b&gt;") > 3


@pytest.mark.parametrize(
    "found", [{}, [1], {**summary(), "settings": {}}, {**summary(), "cases": [{"heat": "no"}]}]
)
def test_something_else_in_place_of_masks_is_told(tmp_path, found):
    (written(tmp_path) / "summary.json").write_text(json.dumps(found))
    with pytest.raises(UnreadableFileError, match="no finished masks from tags"):
        write_pseudo_masks_page(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PK\x03\x04xx")]
)
@pytest.mark.parametrize("name", ["summary.json", "heat/a.npz"])
def test_a_file_that_is_gone_or_damaged_is_told(tmp_path, name, damage):
    damage(written(tmp_path) / name)
    with pytest.raises(UnreadableFileError, match="run labelmend pseudo-masks again"):
        write_pseudo_masks_page(tmp_path)


def test_maps_that_could_run_code_are_refused(tmp_path):
    folder = written(tmp_path)
    np.savez(folder / "heat/a.npz", image=np.array([{}], object), fused=1, layers=1)
    with pytest.raises(UnreadableFileError, match="allow_pickle"):
        write_pseudo_masks_page(folder)
