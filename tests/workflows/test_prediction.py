"""A folder of images segmented: files like those of training, each on the grid of its image."""

import dataclasses
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from drawing import picture
from drawn_data import AFFINE, contents, half_files
from labelmend.errors import ConfigError, GeometryError, MissingDataError, OutputError, UnreadableFileError
from labelmend.io import read_label_array
from labelmend.model.files import save_model
from labelmend.model.predictor import ModelCard, card_to_json, load_predictor
from labelmend.runtime.progress import Tick
from labelmend.workflows.prediction import image_of, segment

CARD = ModelCard(
    network=None,
    ndim=2,
    in_channels=1,
    classes=("heart", "lung"),
    values=None,
    overlapping=True,
    resize=None,
    patch=None,
)
EXCLUSIVE = dataclasses.replace(CARD, overlapping=False, values=(3, 7))


class Bright(nn.Module):
    """First class where the image is bright, second where it is dark; with background, that always loses."""

    def __init__(self, background: bool = False) -> None:
        super().__init__()
        self.background = background

    def forward(self, image):
        below = [torch.full_like(image, -9.0)] if self.background else []
        return torch.cat([*below, image, -image], dim=1)


def run_of(folder: Path, card: ModelCard, correction=None) -> Path:
    folder.mkdir()
    save_model(folder, Bright(not card.overlapping), card_to_json(card, correction))
    return folder


def halves(shape: tuple[int, ...]) -> np.ndarray:
    """Bright where the first index is in the first half."""
    array = np.zeros(shape)
    array[: shape[0] // 2] = 1.0
    return array


@pytest.fixture
def images(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "a.png", halves((4, 6)))
    picture(tmp_path / "images" / "b.png", halves((6, 8)))
    return tmp_path / "images"


def test_overlapping_classes_become_a_folder_each(tmp_path, images):
    written = segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", network=Bright())
    assert [str(p.relative_to(tmp_path / "out")) for p in written] == [
        "heart/a.png",
        "lung/a.png",
        "heart/b.png",
        "lung/b.png",
    ]
    assert read_label_array(written[0])[0].tolist() == [[255] * 6] * 2 + [[0] * 6] * 2
    assert read_label_array(written[3])[0].tolist() == [[0] * 8] * 3 + [[255] * 8] * 3


def test_exclusive_classes_keep_the_values_of_training(tmp_path, images):
    written = segment(run_of(tmp_path / "run", EXCLUSIVE), images, tmp_path / "out", network=Bright(True))
    assert [p.name for p in written] == ["a.png", "b.png"]
    assert read_label_array(written[0])[0].tolist() == [[3] * 6] * 2 + [[7] * 6] * 2


def test_classes_without_values_count_from_one(tmp_path, images):
    card = dataclasses.replace(EXCLUSIVE, values=None)
    written = segment(run_of(tmp_path / "run", card), images, tmp_path / "out", network=Bright(True))
    assert np.unique(read_label_array(written[0])[0]).tolist() == [1, 2]


def test_volumes_keep_affine_and_codes_of_their_image(tmp_path):
    image = nibabel.Nifti1Image(halves((4, 6, 3)).astype(np.float32), AFFINE)
    image.header.set_sform(AFFINE, code=2)
    (tmp_path / "images").mkdir()
    nibabel.save(image, tmp_path / "images" / "a.nii.gz")
    run = run_of(tmp_path / "run", dataclasses.replace(CARD, ndim=3))
    heart = nibabel.load(segment(run, tmp_path / "images", tmp_path / "out", network=Bright())[0])
    np.testing.assert_allclose(heart.affine, AFFINE)
    assert int(heart.header["sform_code"]) == 2
    assert np.array_equal(np.asarray(heart.dataobj), halves((4, 6, 3)))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_a_volume_whose_suffix_says_the_wrong_thing_of_its_compression_is_segmented(tmp_path, name):
    data = nibabel.Nifti1Image(halves((4, 6, 3)).astype(np.float32), AFFINE).to_bytes()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(gzip.compress(data) if name == "a.nii" else data)
    run = run_of(tmp_path / "run", dataclasses.replace(CARD, ndim=3))
    heart = segment(run, tmp_path / "images", tmp_path / "out", network=Bright())[0]
    assert np.array_equal(np.asarray(nibabel.load(heart).dataobj), halves((4, 6, 3)))


def test_a_spacing_an_axis_belongs_to_the_axes_of_training(tmp_path):
    (tmp_path / "images").mkdir()
    turned = nibabel.Nifti1Image(halves((4, 6, 3)), np.eye(4)[:, [2, 0, 1, 3]])  # SRA
    nibabel.save(turned, tmp_path / "images" / "a.nii")
    card = dataclasses.replace(CARD, ndim=3, spacing_mm=(1.0, 2.0, 3.0), orientation="RAS")
    predictor = load_predictor(run_of(tmp_path / "run", card), network=Bright())
    assert image_of(predictor, tmp_path / "images" / "a.nii").grid.spacing_mm == (3.0, 1.0, 2.0)


def test_a_photograph_gets_a_label_file_that_keeps_its_values(tmp_path):
    picture(tmp_path / "images" / "a.jpg", halves((8, 8)))
    run = run_of(tmp_path / "run", EXCLUSIVE)
    assert segment(run, tmp_path / "images", tmp_path / "out", network=Bright(True)) == [
        tmp_path / "out" / "a.png"
    ]


def test_a_measured_bias_is_undone_when_asked(tmp_path, images):
    found = {"method": "spatial_correction", "parameters": {}, "settings": {"undo": [[0.0, -1.0], None]}}
    run = run_of(tmp_path / "run", CARD, correction=found)
    segment(run, images, tmp_path / "plain", network=Bright())
    heart, lung, *_ = segment(run, images, tmp_path / "out", correct=True, network=Bright())
    assert read_label_array(heart)[0].tolist() == [[255] * 6] + [[0] * 6] * 3
    assert lung.read_bytes() == (tmp_path / "plain" / "lung" / "a.png").read_bytes()


def test_a_bias_that_was_not_measured_is_told_before_anything_is_written(tmp_path, images):
    with pytest.raises(ConfigError, match="no bias"):
        segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", correct=True, network=Bright())
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_read_is_told_before_anything_is_written(tmp_path, images):
    (images / "b.png").write_bytes((images / "b.png").read_bytes()[:-15])
    with pytest.raises(UnreadableFileError, match=r"b\.png"):
        segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", network=Bright())
    assert not (tmp_path / "out").exists()


def test_an_image_of_another_kind_is_named_before_anything_is_written(tmp_path, images):
    picture(images / "b.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(GeometryError, match=r"b\.png: the network was trained on 2-D images of 1 channel"):
        segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", network=Bright())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path, images):
    run = run_of(tmp_path / "run", CARD)
    before = contents(images)
    with pytest.raises(OutputError, match="is inside the input folder"):
        segment(run, images, images, network=Bright())
    assert contents(images) == before


def test_masks_of_a_call_that_fails_in_the_middle_are_not_left_behind(tmp_path, images):
    def stop(tick: Tick) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", network=Bright(), progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "run"]


def test_no_images_are_told(tmp_path):
    with pytest.raises(MissingDataError, match="nowhere"):
        segment(run_of(tmp_path / "run", CARD), tmp_path / "nowhere", tmp_path / "out", network=Bright())


def test_images_stay_as_they_are_and_no_half_file_is_left(tmp_path, images):
    before = contents(images)
    segment(run_of(tmp_path / "run", CARD), images, tmp_path / "out", network=Bright())
    assert contents(images) == before
    assert half_files(tmp_path) == []


def test_progress_counts_the_cases(tmp_path, images):
    seen: list[tuple[str, int]] = []
    segment(
        run_of(tmp_path / "run", CARD),
        images,
        tmp_path / "out",
        network=Bright(),
        progress=lambda tick: seen.append((tick.text, tick.total)),
    )
    assert seen == [("a", 2), ("b", 2)]
