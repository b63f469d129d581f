"""Where corrected labels lie, in which layout, and that what did not change is the same file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from drawn_correct import disc, generous, raw, saved
from drawn_data import contents
from labelmend.errors import ConfigError, MissingDataError
from labelmend.io import checksum, open_labels
from labelmend.io.cases import Source, open_source
from labelmend.types import LabelMap
from labelmend.workflows.correction.write import files_of, home_of, ignore_value, parent_of, write_labels

pytestmark = pytest.mark.usefixtures("no_nnunet")


def opened(labels: Path, **more: object) -> Source:
    return open_source(labels, labels.parent / "probs", **more)


def halved(source: Source, case: str) -> tuple[str, LabelMap]:
    """A case without its lower half."""
    given = source.given.read(case)
    masks = given.masks().copy()
    masks[:, 24:] = False
    return case, given.with_masks(masks)


def test_a_label_folder_keeps_files_and_names(tmp_path: Path) -> None:
    source = opened(generous(tmp_path) / "labels", classes={"disc": 1}, ignore=9)
    assert home_of(source, None) == "labels"
    place = tmp_path / "out" / "labels"
    write_labels(source, place, iter([halved(source, "c")]))
    given, new = contents(tmp_path / "labels"), contents(place)
    assert [name for name in given if given[name] != new[name]] == ["c.png"]
    found = open_labels(place)
    assert (found.classes, found.values, found.ignore) == (("disc",), (1,), 9)
    assert ignore_value(source) == 9
    assert files_of(source, place, "c") == (place / "c.png",)
    origin = tmp_path / "labels" / "c.png"
    assert parent_of(source, "c") == (str(origin), checksum(origin))


def test_one_folder_a_class_stays_so_and_has_no_value_to_ignore(tmp_path: Path) -> None:
    for case in "ab":
        for name in ("left", "right"):
            picture(tmp_path / "masks" / name / f"{case}.png", disc(9) * 255)
        saved(tmp_path / "probs", case, np.stack([disc(9), disc(9)]))
    source = opened(tmp_path / "masks")
    place = tmp_path / "out" / "labels"
    write_labels(source, place, iter([halved(source, "b")]))
    given, new = contents(tmp_path / "masks"), contents(place)
    assert [name for name in given if given[name] != new[name]] == ["left/b.png", "right/b.png"]
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert ignore_value(source) is None
    assert files_of(source, place, "b") == (place / "left" / "b.png", place / "right" / "b.png")
    assert parent_of(source, "b")[0] == str(tmp_path / "masks")


@pytest.mark.parametrize("copied", [False, True])
def test_a_raw_data_set_becomes_another_one_with_its_images(tmp_path: Path, copied: bool) -> None:
    home = raw(tmp_path)
    source = opened(home)
    place = tmp_path / "out" / home_of(source, "Dataset777_New")
    write_labels(source, place, iter([halved(source, "a")]), copy_images=copied)
    given, new = contents(home), contents(place)
    assert given.keys() == new.keys()
    assert [name for name in given if given[name] != new[name]] == ["dataset.json", "labelsTr/a.png"]
    assert (place / "imagesTr" / "a_0000.png").is_symlink() is not copied
    assert files_of(source, place, "a") == (place / "labelsTr" / "a.png",)


def test_the_next_number_is_taken_that_nnunet_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = raw(tmp_path)
    (tmp_path / "Dataset006_Other").mkdir()
    assert home_of(opened(home), None) == "Dataset007_Discs_mended"
    (tmp_path / "results" / "Dataset007_Trained").mkdir(parents=True)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "absent"))
    assert home_of(open_source(home / "labelsTr", tmp_path / "probs"), None) == "Dataset008_Discs_mended"
    home.rename(tmp_path / "discs")
    assert home_of(opened(tmp_path / "discs"), None) == "Dataset501_discs_mended"


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    home = raw(tmp_path)
    with pytest.raises(ConfigError, match="nnU-Net would not recognise 'Mended'"):
        home_of(opened(home), "Mended")
    generous(tmp_path / "flat")
    with pytest.raises(ConfigError, match=r"a name for a raw data set .* but .* is none"):
        home_of(opened(tmp_path / "flat" / "labels", classes={"disc": 1}), "Dataset501_X")


def test_data_that_nnunet_cannot_train_on_is_refused(tmp_path: Path) -> None:
    home = raw(tmp_path)
    (home / "labelsTr").rename(home / "labelsTs")
    (home / "labelsTr").mkdir()
    with pytest.raises(MissingDataError, match="holds no training labels"):
        home_of(open_source(home / "labelsTs", tmp_path / "probs"), None)
    (home / "labelsTr").rmdir()
    (home / "labelsTs").rename(home / "labelsTr")
    for path in (home / "imagesTr").iterdir():
        path.unlink()
    with pytest.raises(MissingDataError, match="holds no images"):
        home_of(opened(home), None)


def test_a_coco_file_stays_one(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    square = [[1, 1, 5, 1, 5, 5, 1, 5]]
    content = {
        "images": [{"id": i, "file_name": f"{c}.png", "height": 8, "width": 8} for i, c in enumerate("ab")],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": square} for i in (0, 1)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path = tmp_path / "given.json"
    path.write_text(json.dumps(content))
    for case in "ab":
        saved(tmp_path / "probs", case, np.full((1, 8, 8), 0.5))
    source = opened(path)
    place = tmp_path / "out" / home_of(source, None)
    assert place.name == "labels.json"
    empty = source.given.read("a").with_masks(np.zeros((1, 8, 8), bool))
    write_labels(source, place, iter([("a", empty)]))
    assert json.loads(place.read_text())["annotations"] == content["annotations"][1:]
    assert (files_of(source, place, "a"), ignore_value(source)) == ((place,), None)
    assert parent_of(source, "a") == (str(path), checksum(path))
